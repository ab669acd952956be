/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* intake.c: see intake.h. */
#include "recorder/intake.h"

#define LEAST (8u << 20)

bool intake_init(struct intake *in, unsigned threads)
{
	size_t share = INTAKE_DIALOG_BYTES / threads;
	in->dialogs = ring_new(share > LEAST ? share : LEAST);
	in->rest = ring_new(INTAKE_REST_BYTES);
	in->pieces = ring_new(INTAKE_PIECES_BYTES);
	return in->dialogs && in->rest && in->pieces;
}

void intake_release(struct intake *in)
{
	ring_free(in->dialogs);
	ring_free(in->rest);
	ring_free(in->pieces);
}

/* Each kind of message tells its packet time. */
static int64_t message_time(const void *message)
{
	const struct message *head = message;
	const struct alive_message *alive = message_body(message);
	const struct remark_message *remark = message_body(message);
	const struct media_orphan *orphan = message_body(message);
	const struct sip_message_head *sip = message_body(message);
	const struct piece *piece = message_body(message);
	switch ((enum message_kind)head->kind) {
	case MESSAGE_SIP: return sip->ts_ns;
	case MESSAGE_PIECE: return piece->ts_ns;
	case MESSAGE_ALIVE: return alive->ts_ns;
	case MESSAGE_ORPHAN: return orphan->first_ns;
	case MESSAGE_REMARK: return remark->ts_ns;
	default: assert_failed("a message for signalling", __FILE__, __LINE__);
	}
}

/* The oldest of what lies ready. */
struct choice {
	const void *message;
	struct ring *ring;
	int64_t ts_ns;
};

static void consider(struct choice *c, struct ring *r)
{
	size_t n;
	const void *m = ring_front(r, &n);
	if (!m || message_time(m) >= c->ts_ns)
		return;
	*c = (struct choice){ m, r, message_time(m) };
}

static bool is_behind(const struct intake *in)
{
	return ring_used(in->rest) > INTAKE_REST_BYTES / 2 ||
	       ring_used(in->pieces) > INTAKE_PIECES_BYTES / 2;
}

const void *intake_next(const struct intake *in, unsigned n, int64_t until_ns, struct ring **from)
{
	struct choice dialog = { .ts_ns = INT64_MAX }, other = dialog;
	const struct choice *c = &other;
	bool behind = false;
	for (unsigned i = 0; i < n; i++) {
		consider(&dialog, in[i].dialogs);
		consider(&other, in[i].rest);
		consider(&other, in[i].pieces);
		behind |= is_behind(&in[i]);
	}
	if (dialog.message && dialog.ts_ns <= until_ns && (behind || dialog.ts_ns <= other.ts_ns))
		c = &dialog;
	if (!c->message || c->ts_ns > until_ns)
		return NULL;
	*from = c->ring;
	return c->message;
}
