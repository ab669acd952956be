/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* tap.c: decode, look up, keep; and the way of chunks to the writers. */
#include "recorder/tap.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/pressure.h"

/* Packet time moves in steps at most this long before timers are looked at. */
#define TICK_STEP_NS (50 * NS_PER_MS)
#define JUMP_NS      (60 * NS_PER_S)

/* ---- media's sink: to the writers -------------------------------------------------------- */

static struct outbox *writer_of(struct tap *t, uint64_t call)
{
	return &t->to_writer[call % t->writers_count];
}

static bool sink_chunk(void *ctx, struct chunk *c)
{
	struct tap *t = ctx;
	while (t->chunks_out >= t->owner.chunks_most ||
	       !outbox_offer(writer_of(t, c->call), MESSAGE_CHUNK, &c, sizeof(struct chunk *))) {
		if (!t->owner.wait(t->owner.ctx))
			return false;
		tap_service(
			t); /* giving buffers back only fills the pool: allowed from within media */
	}
	t->chunks_out++;
	return true;
}

/* Who does not wait for the writers has what they have given back by now. */
static void sink_reclaim(void *ctx)
{
	struct tap *t = ctx;
	tap_service(t);
	while (t->chunks_out > 0 && t->owner.wait(t->owner.ctx))
		tap_service(t);
}

static void sink_stream(void *ctx, const struct stream_record *r)
{
	struct tap *t = ctx;
	outbox_put(writer_of(t, r->call), MESSAGE_STREAM, r, sizeof *r);
}

static void sink_done(void *ctx, uint64_t call)
{
	struct tap *t = ctx;
	if (!(call & CALL_UNWRITTEN))
		outbox_put(writer_of(t, call), MESSAGE_DONE, &call, sizeof call);
}

static void sink_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	struct tap *t = ctx;
	t->owner.alive(t->owner.ctx, call, ts_ns);
}

static void sink_orphan(void *ctx, const struct media_orphan *o)
{
	struct tap *t = ctx;
	t->owner.orphan(t->owner.ctx, o);
}

static void sink_remark(void *ctx, uint64_t call, const char *coverage)
{
	struct tap *t = ctx;
	t->owner.remark(t->owner.ctx, call, coverage);
}

/* ---- set-up -------------------------------------------------------------------------------- */

enum rc tap_init(struct tap *t, const struct options *o, unsigned thread_no, unsigned threads,
		 struct writer_thread *writers, unsigned writers_count,
		 const struct tap_owner *owner, struct error *err)
{
	memset(t, 0, sizeof *t);
	t->writers = writers;
	t->writers_count = writers_count;
	t->thread_no = thread_no;
	t->owner = *owner;
	t->to_writer = calloc(writers_count, sizeof *t->to_writer);
	t->sieve = sieve_new();
	if (!t->to_writer || !t->sieve)
		return error_set(err, RC_FAILED, "not enough memory for a capture thread");
	for (unsigned i = 0; i < writers_count; i++)
		t->to_writer[i].ring = writers[i].inputs[thread_no].from_thread;

	enum rc rc = decoder_init(&t->decoder, o, err);
	if (rc != RC_OK)
		return rc;
	struct media_config cfg = {
		.max_streams = (uint32_t)o->max_streams,
		.max_expects = (uint32_t)o->max_calls * MEDIA_EXPECTS,
		.buffers = pressure_buffers(o, threads),
		.keep_reserve = owner->keep_reserve,
		.pen_bytes = (size_t)o->pen_mib << 20,
		.thread = (uint8_t)thread_no,
		.sink = { .ctx = t,
			  .chunk = sink_chunk,
			  .stream = sink_stream,
			  .done = sink_done,
			  .alive = sink_alive,
			  .orphan = sink_orphan,
			  .remark = sink_remark,
			  .reclaim = sink_reclaim },
		.counters = &t->counters,
	};
	t->media = media_new(&cfg);
	if (!t->media)
		return error_set(err, RC_FAILED, "not enough memory for %lld streams",
				 (long long)o->max_streams);
	return RC_OK;
}

void tap_free(struct tap *t)
{
	for (unsigned i = 0; t->to_writer && i < t->writers_count; i++)
		outbox_clear(&t->to_writer[i]);
	free(t->to_writer);
	media_free(t->media);
	sieve_free(t->sieve);
}

/* ---- the burst ------------------------------------------------------------------------------ */

void tap_tick(struct tap *t, int64_t now_ns)
{
	if (now_ns <= t->now_ns)
		return;
	uint64_t began = work_now();
	t->now_ns = now_ns;
	media_tick(t->media, now_ns);
	t->owner.tick(t->owner.ctx, now_ns);
	work_done(&t->work, WORK_TIMERS, began, 1);
}

int64_t tap_catch_up(struct tap *t)
{
	tap_tick(t, t->newest_ns);
	return t->now_ns;
}

static void unknown_to_media(struct tap *t, const struct datagram *d)
{
	enum sip_kind kind = sip_recognise(d->payload, d->len);
	if (kind == SIP_NOT) {
		media_pen(t->media, d);
		return;
	}
	uint64_t began = work_now();
	t->owner.sip(t->owner.ctx, d, kind);
	work_done(&t->work, WORK_SIGNALLING, began, 1);
}

static void run(struct tap *t, const struct datagram *d, int n)
{
	enum media_verdict verdicts[CAPTURE_BURST];
	uint64_t began = work_sample(&t->work);
	media_burst(t->media, d, n, verdicts);
	work_done(&t->work, WORK_MEDIA, began, (unsigned)n);
	for (int i = 0; i < n; i++)
		if (UNLIKELY(verdicts[i] == MEDIA_UNKNOWN))
			unknown_to_media(t, &d[i]);
}

/* Might this be text, as SIP is?  RTP and RTCP have the top bit set (version 2). */
static bool may_be_sip(const struct datagram *d)
{
	return d->len && d->payload[0] < 0x80 && d->payload[0] >= '\n';
}

/* A time stamp that stands alone far ahead of what comes next is a broken one: believed, it would time out every open
 * call.  A frame's neighbour in the burst tells. */
static bool stands_alone(const struct tap *t, const struct frame *frames, int n, int i)
{
	return t->newest_ns && frames[i].ts_ns - t->newest_ns > JUMP_NS && i + 1 < n &&
	       frames[i].ts_ns - frames[i + 1].ts_ns > JUMP_NS;
}

void tap_datagram(struct tap *t, const struct datagram *d)
{
	run(t, d, 1);
}

static bool for_signalling(struct tap *t, enum decode_verdict v, const struct piece *p)
{
	return v == DECODE_FRAGMENT || (v == DECODE_TCP && sieve_passes(t->sieve, p, &t->counters));
}

/* What of a burst is not decoding. */
static uint64_t within(const struct tap *t)
{
	const uint64_t *c = t->work.cycles;
	return c[WORK_MEDIA] + c[WORK_SIGNALLING] + c[WORK_TIMERS];
}

void tap_burst(struct tap *t, const struct frame *frames, int n)
{
	struct datagram d[CAPTURE_BURST];
	uint64_t began = work_sample(&t->work), before = within(t);
	int held = 0;

	for (int i = 0; i < n; i++) {
		struct frame f = frames[i];
		if (UNLIKELY(stands_alone(t, frames, n, i))) {
			count(&t->counters, COUNT_TIME_JUMPS);
			f.ts_ns = t->newest_ns;
		}
		if (LIKELY(f.ts_ns > t->newest_ns))
			t->newest_ns = f.ts_ns;
		if (UNLIKELY(f.ts_ns >= t->now_ns + TICK_STEP_NS)) {
			run(t, d, held);
			held = 0;
			tap_tick(t, f.ts_ns);
		}
		struct piece piece;
		enum decode_verdict v =
			decode_frame(&t->decoder, &f, &d[held], &piece, &t->counters);
		bool joined = v != DECODE_UDP && for_signalling(t, v, &piece);
		held += v == DECODE_UDP;
		bool told = joined || (v == DECODE_UDP && may_be_sip(&d[held - 1]));
		if (UNLIKELY(told && t->owner.in_line)) {
			run(t, d, held);
			held = 0;
		}
		if (UNLIKELY(joined))
			t->owner.piece(t->owner.ctx, &piece);
	}
	if (LIKELY(held))
		run(t, d, held);
	if (UNLIKELY(began))
		work_done(&t->work, WORK_DECODE, began + within(t) - before, (unsigned)n);
}

bool tap_service(struct tap *t)
{
	bool empty = true;
	for (unsigned i = 0; i < t->writers_count; i++) {
		struct ring *back = t->writers[i].inputs[t->thread_no].back;
		const void *m;
		size_t n;
		while ((m = ring_front(back, &n))) {
			struct chunk *c;
			memcpy(&c, m, sizeof(struct chunk *));
			ring_pop(back);
			media_give_back(t->media, c);
			t->chunks_out--;
		}
		empty &= outbox_flush(&t->to_writer[i]);
	}
	return empty;
}
