/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* live_signalling.c: the signalling thread: SIP, fragments and TCP segments of all capture threads in, in the order of
 * their packets; calls to the writers, expectations and reassembled media back to the capture threads.
 *
 * Control messages are never dropped.  What is put together from fragments and is not SIP goes back to one fixed capture
 * thread a flow, and is dropped, counted, when that thread does not keep up.
 */
#include "recorder/live.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define WAITING_AT_MOST  40000 /* messages in an outbox, about 100 MiB: 3 s of 2,000 calls/s */
#define MESSAGES_WAITING 256   /* the same for SIP messages that are kept: at most 16 MiB of them */
#define TAKE_AT_ONCE     64    /* messages between two looks at timers and outboxes */

/* ---- signalling's sink (signalling thread) ------------------------------------------------------ */

static struct outbox *writer_of(struct live *l, uint64_t call)
{
	return &l->to_writer[call % l->session->writers_count];
}

static void sink_open(void *ctx, const struct store_open *o)
{
	outbox_put(writer_of(ctx, o->call), MESSAGE_OPEN, o, sizeof *o);
}

static void sink_expect(void *ctx, const struct media_expect *e)
{
	struct live *l = ctx;
	struct media_expect mine = *e;
	for (unsigned i = 0; i < l->session->threads; i++) {
		mine.stream_base = (uint16_t)(e->stream_base + i * STREAM_BLOCK);
		outbox_put(&l->threads[i].control, MESSAGE_EXPECT, &mine, sizeof mine);
	}
}

static void sink_forget(void *ctx, const struct media_forget *f)
{
	struct live *l = ctx;
	for (unsigned i = 0; i < l->session->threads; i++)
		outbox_put(&l->threads[i].control, MESSAGE_FORGET, f, sizeof *f);
}

static void sink_record(void *ctx, uint64_t call, const struct call_record *record)
{
	outbox_put_call(writer_of(ctx, call), call, record);
}

static void sink_done(void *ctx, uint64_t call)
{
	outbox_put(writer_of(ctx, call), MESSAGE_DONE, &call, sizeof call);
}

/* A call's record must not be lost, its messages may be: whoever floods us with them does not fill the memory. */
static void sink_message(void *ctx, uint64_t call, const struct signalling_record *m)
{
	struct live *l = ctx;
	struct outbox *o = writer_of(l, call);
	if (o->waiting > MESSAGES_WAITING)
		count(&l->signalling_counters, COUNT_SIGNALLING_NOT_KEPT);
	else
		outbox_put_signalling(o, call, m);
}

/* A writer that is behind by so much is given no new calls: those that are open need it, and memory is bounded. */
static bool overloaded(void *ctx)
{
	const struct live *l = ctx;
	for (unsigned i = 0; i < l->session->writers_count; i++)
		if (l->to_writer[i].waiting > WAITING_AT_MOST)
			return true;
	return false;
}

/* ---- the joiner's owner (signalling thread) ------------------------------------------------------ */

/* Media goes back to a capture thread, always the same for a flow. */
static struct capture_thread *thread_of(struct live *l, const struct datagram *d)
{
	unsigned sum = d->src.port + d->dst.port;
	for (unsigned i = 0; i < sizeof d->src.addr; i++)
		sum += d->src.addr[i] + d->dst.addr[i];
	return &l->threads[sum % l->session->threads];
}

static void joined_datagram(void *ctx, const struct datagram *d)
{
	struct live *l = ctx;
	struct counters *c = &l->signalling_counters;
	struct ring *r = thread_of(l, d)->control_ring;
	struct message head = { .kind = MESSAGE_DATAGRAM };

	if (sip_recognise(d->payload, d->len) != SIP_NOT) {
		count(c, COUNT_TO_SIGNALLING);
		signalling_message(l->signalling, d);
		return;
	}
	/* The ring is made for control messages: datagrams, which may be dropped, leave half of it free. */
	size_t size = sizeof head + sizeof *d + d->len;
	uint8_t *room = ring_used(r) < CONTROL_BYTES / 2 ? ring_reserve(r, size) : NULL;
	if (!room) {
		count(c, COUNT_REASSEMBLED_RING_DROP);
		return;
	}
	memcpy(room, &head, sizeof head);
	memcpy(room + sizeof head, d, sizeof *d);
	if (d->len)
		memcpy(room + sizeof head + sizeof *d, d->payload, d->len);
	ring_commit(r);
}

/* Not told when the ring is full: it is told again. */
static void not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	struct live *l = ctx;
	struct endpoint ends[2] = { *src, *dst };
	for (unsigned i = 0; i < l->session->threads; i++) {
		struct outbox *o = &l->threads[i].control;
		if (ring_used(o->ring) < CONTROL_BYTES / 2)
			(void)outbox_offer(o, MESSAGE_NOT_SIP, ends, sizeof ends);
	}
}

static bool flush_to_writers(struct live *l)
{
	bool empty = true;
	for (unsigned i = 0; i < l->session->writers_count; i++)
		empty &= outbox_flush(&l->to_writer[i]);
	return empty;
}

static bool flush_control(struct live *l)
{
	bool empty = true;
	for (unsigned i = 0; i < l->session->threads; i++)
		empty &= outbox_flush(&l->threads[i].control);
	return empty;
}

/* ---- signalling thread ---------------------------------------------------------------------------- */

static void take_sip(struct live *l, const void *body)
{
	struct sip_message_head h;
	memcpy(&h, body, sizeof h);
	struct datagram d = {
		.ts_ns = h.ts_ns,
		.src = h.src,
		.dst = h.dst,
		.payload = (const uint8_t *)body + sizeof h,
		.len = h.len,
		.wire_len = h.wire_len,
	};
	signalling_message(l->signalling, &d);
}

static void take_piece(struct live *l, const void *body)
{
	struct piece p;
	memcpy(&p, body, sizeof p);
	p.bytes = (const uint8_t *)body + sizeof p;
	reassembly_piece(l->joiner.reassembly, &p);
}

static void take_message(struct live *l, const void *message)
{
	const struct message *head = message;
	const struct alive_message *alive = message_body(message);
	const struct remark_message *remark = message_body(message);
	switch ((enum message_kind)head->kind) {
	case MESSAGE_SIP: take_sip(l, message_body(message)); break;
	case MESSAGE_PIECE: take_piece(l, message_body(message)); break;
	case MESSAGE_ALIVE: signalling_alive(l->signalling, alive->call, alive->ts_ns); break;
	case MESSAGE_ORPHAN: signalling_orphan(l->signalling, message_body(message)); break;
	case MESSAGE_REMARK:
		signalling_remark(l->signalling, remark->call, remark->coverage);
		break;
	default: assert_failed("a message for signalling", __FILE__, __LINE__);
	}
}

static bool take_next(struct live *l, int64_t until_ns)
{
	struct ring *from;
	const void *message = intake_next(l->intakes, l->session->threads, until_ns, &from);
	if (!message)
		return false;
	take_message(l, message);
	ring_pop(from);
	return true;
}

/* The slowest capture thread's packet time: nothing older will come any more. */
static int64_t common_time(const struct live *l)
{
	int64_t now = INT64_MAX;
	for (unsigned i = 0; i < l->session->threads; i++) {
		int64_t t = atomic_load_explicit(&l->threads[i].now_ns, memory_order_acquire);
		if (t < now)
			now = t;
	}
	return now;
}

/* The newest of all: where the capture ends. */
static int64_t latest_time(const struct live *l)
{
	int64_t now = 0;
	for (unsigned i = 0; i < l->session->threads; i++) {
		int64_t t = atomic_load_explicit(&l->threads[i].now_ns, memory_order_acquire);
		if (t > now)
			now = t;
	}
	return now;
}

static bool all_drained(struct live *l)
{
	for (unsigned i = 0; i < l->session->threads; i++)
		if (!atomic_load_explicit(&l->threads[i].drained, memory_order_acquire))
			return false;
	return true;
}

void *live_signalling_run(void *arg)
{
	struct live *l = arg;
	for (;;) {
		/* Both read before draining: what came before them is then still drained. */
		bool last = all_drained(l);
		int64_t now = common_time(l);
		/* One thread's rings are in order; of several, the slowest sets the pace. */
		int64_t until = last || l->session->threads == 1 ? INT64_MAX : now;
		int taken = 0;
		uint64_t began = work_now();
		reload_take(&l->new_policy, l->signalling);
		while (taken < TAKE_AT_ONCE && take_next(l, until))
			taken++;
		if (taken)
			work_done(&l->signalling_work, WORK_SIGNALLING, began, (unsigned)taken);
		reassembly_tick(l->joiner.reassembly, now);
		signalling_tick(l->signalling, now);
		atomic_store_explicit(&l->session->packet_ns, now, memory_order_relaxed);
		(void)flush_to_writers(l);
		if (flush_control(l) && taken < TAKE_AT_ONCE)
			atomic_store_explicit(&l->heard_ns, now, memory_order_release);
		if (taken)
			continue;
		if (last)
			break;
		clock_sleep_us(IDLE_US);
	}
	reassembly_finish(l->joiner.reassembly);
	signalling_finish(l->signalling, latest_time(l));
	/* Both each time: a writer may wait for what capture threads send when they are told. */
	for (bool empty = false; !empty;) {
		empty = flush_to_writers(l);
		empty &= flush_control(l);
		if (!empty)
			clock_sleep_us(IDLE_US);
	}
	work_end(&l->signalling_work);
	atomic_store_explicit(&l->signalling_gone, true, memory_order_release);
	return NULL;
}

/* ---- set-up --------------------------------------------------------------------------------------- */

enum rc live_signalling_init(struct live *l, struct error *err)
{
	struct signalling_sink sink = { .ctx = l,
					.open = sink_open,
					.expect = sink_expect,
					.forget = sink_forget,
					.record = sink_record,
					.done = sink_done,
					.message = sink_message };
	struct joiner_owner joined = { l, joined_datagram, not_sip };
	struct session *s = l->session;

	l->to_writer = calloc(s->writers_count, sizeof *l->to_writer);
	l->signalling = session_signalling(s, &sink, overloaded, &l->signalling_counters);
	if (!l->to_writer || !l->signalling)
		return error_set(err, RC_FAILED, "not enough memory for signalling");
	for (unsigned i = 0; i < s->writers_count; i++)
		l->to_writer[i].ring = s->writers[i].signalling;
	return joiner_init(&l->joiner, s->options, l->signalling, &joined, &l->signalling_counters,
			   err);
}
