/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcapng.h: frames of one pcapng file, whatever its interfaces are.
 *
 * libpcap reads such a file only when all interfaces have one link type and one snap length; what
 * Wireshark writes of several interfaces at once, or merges, often has not.
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
 *
 *     section header | interface | interface | packet | packet | statistics | packet ...
 *
 * On the thread that owns it.
 */
#ifndef CALLSPAN_CAPTURE_PCAPNG_H
#define CALLSPAN_CAPTURE_PCAPNG_H

#include <stdio.h>

#include "capture/kind.h"

struct pcapng;

/* Is the next byte of the stream that of a pcapng file?  Takes nothing off it. */
bool pcapng_is(FILE *stream);

/* `stream` is borrowed for as long as the reader lives.  NULL: no memory. */
struct pcapng *pcapng_new(FILE *stream);
void pcapng_free(struct pcapng *p);

/* Read on to the first interface.  CAPTURE_FILE_FRAME: `*link_type` is its; _END: there is none. */
enum capture_file_read pcapng_begin(struct pcapng *p, uint16_t *link_type);

/* The next frame, its bytes borrowed until the next call. */
enum capture_file_read pcapng_next(struct pcapng *p, struct frame *frame);

/* After CAPTURE_FILE_BROKEN: what is wrong, in words. */
const char *pcapng_failure(const struct pcapng *p);

#endif
