/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* payload.h: what payload types are: by the maps of SDP, each kept once, and where no SDP maps them (RFC 3551, 6). */
#ifndef CALLSPAN_RTP_PAYLOAD_H
#define CALLSPAN_RTP_PAYLOAD_H

#include "rtp/rtp.h"

/* The entry of a map for a payload type, or NULL.  Good as long as the map is held. */
const struct media_payload *payload_map_find(const struct intern *maps, uint32_t map, uint8_t type);

/* The static audio payload type, or NULL. */
const struct media_payload *payload_static(uint8_t type);

/* Senders press keys with payload types that no SDP has named.  Beside a stream's audio, what has the shape of an event
 * (RFC 4733, 2.3) is to be taken for one: kept as audio it would be a digit that is kept. */
bool payload_is_like_event(const struct rtp_header *h);

#endif
