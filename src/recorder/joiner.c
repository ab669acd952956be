/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* joiner.c: reassembly's sink. */
#include "recorder/joiner.h"

#include <stdlib.h>
#include <string.h>

#define PROTOCOL_TCP 6

static void sink_message(void *ctx, const struct datagram *d)
{
	struct joiner *j = ctx;
	signalling_message_over(j->signalling, d, PROTOCOL_TCP);
}

static void sink_whole(void *ctx, const struct piece *whole)
{
	struct joiner *j = ctx;
	struct datagram d;
	struct piece inner;

	switch (decode_payload(&j->decoder, whole, &d, &inner, j->counters)) {
	case DECODE_UDP: j->owner.datagram(j->owner.ctx, &d); break;
	case DECODE_FRAGMENT:
	case DECODE_TCP: reassembly_piece(j->reassembly, &inner); break;
	case DECODE_OTHER:
	case DECODE_MALFORMED:
	case DECODE_LINK_UNKNOWN: break; /* counted */
	}
}

static void sink_not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	struct joiner *j = ctx;
	j->owner.not_sip(j->owner.ctx, src, dst);
}

enum rc joiner_ports(uint16_t ports[REASSEMBLY_PORTS], const char *text, struct error *err)
{
	unsigned n = 0;
	const char *at = text + strspn(text, " ");

	memset(ports, 0, REASSEMBLY_PORTS * sizeof *ports);
	while (*at) {
		char *end;
		long port = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : 0;
		if (port < 1 || port > UINT16_MAX || n == REASSEMBLY_PORTS)
			return error_set(err, RC_USAGE,
					 "sip.tls-ports: \"%s\" is not a list of at most %d ports",
					 text, REASSEMBLY_PORTS);
		ports[n++] = (uint16_t)port;
		at = end + strspn(end, " ,");
	}
	return RC_OK;
}

enum rc joiner_init(struct joiner *j, const struct options *o, struct signalling *signalling,
		    const struct joiner_owner *owner, struct counters *counters, struct error *err)
{
	struct reassembly_config cfg = {
		.fragment_bytes = (size_t)o->fragments_mib << 20,
		.tcp_bytes = (size_t)o->tcp_mib << 20,
		.max_message = (uint32_t)o->sip_max_bytes,
		.sink = { j, sink_message, sink_whole, sink_not_sip },
		.counters = counters,
	};
	*j = (struct joiner){ .signalling = signalling, .owner = *owner, .counters = counters };
	enum rc rc = decoder_init(&j->decoder, o, err);
	if (rc == RC_OK)
		rc = joiner_ports(cfg.tls_ports, o->tls_ports, err);
	if (rc != RC_OK)
		return rc;
	j->reassembly = reassembly_new(&cfg);
	return j->reassembly ? RC_OK
			     : error_set(err, RC_FAILED, "not enough memory for reassembly");
}

void joiner_free(struct joiner *j)
{
	reassembly_free(j->reassembly);
}
