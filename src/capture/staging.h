/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* staging.h: where the frames of one burst lie.
 *
 * libpcap's bytes are good until the next frame, a burst's until the next burst; so each
 * frame is copied here once.  There is address space for a burst of the largest frames;
 * only what bursts really filled is ever touched, and it is the same, cached, place each time.
 */
#ifndef CALLSPAN_CAPTURE_STAGING_H
#define CALLSPAN_CAPTURE_STAGING_H

#include <string.h>

#include "base/pages.h"
#include "capture/capture.h"

#define STAGING_FRAME 262144u /* libpcap's largest snap length */
#define STAGING_BYTES ((size_t)CAPTURE_BURST * STAGING_FRAME)

struct staging {
	uint8_t *bytes; /* owned */
	size_t used;
};

static inline bool staging_init(struct staging *s)
{
	s->used = 0;
	s->bytes = pages_new(STAGING_BYTES, NULL);
	return s->bytes != NULL;
}

static inline void staging_clear(struct staging *s)
{
	pages_free(s->bytes, STAGING_BYTES);
	s->bytes = NULL;
}

/* A new burst: what the last one left is gone. */
static inline void staging_restart(struct staging *s)
{
	s->used = 0;
}

/* Copy one frame's bytes and let the frame point there.  At most CAPTURE_BURST a burst. */
static inline void staging_keep(struct staging *s, struct frame *f)
{
	ASSERT(f->len <= STAGING_FRAME && s->used + f->len <= STAGING_BYTES);
	uint8_t *to = s->bytes + s->used;
	memcpy(to, f->bytes, f->len);
	f->bytes = to;
	s->used += (f->len + 15) & ~(size_t)15;
}

#endif
