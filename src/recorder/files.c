/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* files.c: recording capture files: one reader thread in packet order, writers behind it.
 *
 * The reader is capture thread and signalling in one: a SIP message takes effect before the next frame
 * is looked at.  Nothing is dropped for want of speed: when the writers fall behind, the
 * reader waits.
 */
#include "recorder/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Chunks at the writers before the reader waits: enough to keep them busy, and small beside memory.audio. */
#define CHUNKS_OUT_AT_MOST    4096
#define WAIT_US               50
#define PROGRESS_EVERY_BURSTS 4096

struct reader {
	struct session *session;
	struct tap tap;
	struct signalling *signalling;
	struct joiner joiner;
	struct counters signalling_counters;
	struct outbox *to_writer; /* signalling's, one a writer */
	struct frame first;       /* the first frame read, without its bytes */
	int64_t next_status;
};

/* ---- signalling's sink ----------------------------------------------------------------------- */

static struct outbox *writer_of(struct reader *r, uint64_t call)
{
	return &r->to_writer[call % r->session->writers_count];
}

static void sink_open(void *ctx, const struct store_open *o)
{
	outbox_put(writer_of(ctx, o->call), MESSAGE_OPEN, o, sizeof *o);
}

static void sink_expect(void *ctx, const struct media_expect *e)
{
	media_expect(((struct reader *)ctx)->tap.media, e);
}

static void sink_forget(void *ctx, const struct media_forget *f)
{
	media_forget(((struct reader *)ctx)->tap.media, f);
}

static void sink_record(void *ctx, uint64_t call, const struct call_record *record)
{
	outbox_put_call(writer_of(ctx, call), call, record);
}

static void sink_done(void *ctx, uint64_t call)
{
	outbox_put(writer_of(ctx, call), MESSAGE_DONE, &call, sizeof call);
}

static void sink_message(void *ctx, uint64_t call, const struct signalling_record *m)
{
	outbox_put_signalling(writer_of(ctx, call), call, m);
}

/* ---- the tap's owner --------------------------------------------------------------------------- */

static void tap_sip(void *ctx, const struct datagram *d, enum sip_kind kind)
{
	struct reader *r = ctx;
	(void)kind;
	count(&r->tap.counters, COUNT_TO_SIGNALLING);
	signalling_message(r->signalling, d);
}

static void tap_piece(void *ctx, const struct piece *p)
{
	reassembly_piece(((struct reader *)ctx)->joiner.reassembly, p);
}

static void tap_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	signalling_alive(((struct reader *)ctx)->signalling, call, ts_ns);
}

static void tap_orphan(void *ctx, const struct media_orphan *o)
{
	signalling_orphan(((struct reader *)ctx)->signalling, o);
}

static void tap_remark(void *ctx, uint64_t call, const char *coverage)
{
	signalling_remark(((struct reader *)ctx)->signalling, call, coverage);
}

static void tap_time(void *ctx, int64_t now_ns)
{
	struct reader *r = ctx;
	reassembly_tick(r->joiner.reassembly, now_ns);
	signalling_tick(r->signalling, now_ns);
	atomic_store_explicit(&r->session->packet_ns, now_ns, memory_order_relaxed);
}

/* ---- the joiner's owner ---------------------------------------------------------------------- */

static void joined_datagram(void *ctx, const struct datagram *d)
{
	tap_datagram(&((struct reader *)ctx)->tap, d);
}

static void not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	sieve_mark(((struct reader *)ctx)->tap.sieve, src, dst);
}

static bool flush_all(struct reader *r)
{
	bool empty = tap_service(&r->tap);
	for (unsigned i = 0; i < r->session->writers_count; i++)
		empty &= outbox_flush(&r->to_writer[i]);
	return empty;
}

/* A file waits for its writer, which may wait for an `open` that stands in an outbox here. */
static bool tap_wait(void *ctx)
{
	struct reader *r = ctx;
	for (unsigned i = 0; i < r->session->writers_count; i++)
		outbox_flush(&r->to_writer[i]);
	clock_sleep_us(WAIT_US);
	return true;
}

/* ---- the run -------------------------------------------------------------------------------------- */

static void keep_pace(struct reader *r)
{
	while (!flush_all(r) || r->tap.chunks_out > CHUNKS_OUT_AT_MOST)
		clock_sleep_us(WAIT_US);
}

/* Every so often, for who watches a long import. */
static void tell_status(struct reader *r)
{
	int64_t now = clock_mono_ns();
	if (now < r->next_status)
		return;
	struct counters sum;
	memset(&sum, 0, sizeof sum);
	counters_sum(&sum, &r->tap.counters);
	counters_sum(&sum, &r->signalling_counters);
	for (unsigned i = 0; i < r->session->writers_count; i++)
		counters_sum(&sum, &r->session->writers[i].counters);
	status_write(r->session, &sum, true);
	r->next_status = now + STATUS_EVERY_NS;
}

/* Of a capture of which nothing can be decoded the reason is told. */
static enum rc check_decoded(const struct reader *r, struct error *err)
{
	const struct counters *c = &r->tap.counters;
	uint64_t frames = counter_get(c, COUNT_FRAMES);
	char name[LINK_NAME];
	if (!frames || counter_get(c, COUNT_DECODE_LINK_UNKNOWN) < frames)
		return RC_OK;
	return error_set(err, RC_FAILED, "%.300s: link type %u (%s) is not decoded",
			 r->session->cfg->files[r->first.interface_no], r->first.link_type,
			 capture_link_name(r->first.link_type, name));
}

static int read_burst(struct reader *r, struct capture *c, struct frame *frames)
{
	struct work *w = &r->tap.work;
	work_turn(w);
	uint64_t began = work_sample(w);
	int n = capture_burst(c, frames, CAPTURE_BURST);
	if (n > 0)
		work_done(w, WORK_READ, began, (unsigned)n);
	return n;
}

static void read_all(struct reader *r, struct capture *c, const volatile int *stop)
{
	struct frame frames[CAPTURE_BURST];
	int64_t started = clock_mono_ns();
	unsigned bursts = 0;
	int n;

	while (!*stop && (n = read_burst(r, c, frames)) >= 0) {
		if (!r->first.ts_ns && n > 0) {
			r->first = frames[0];
			r->first.bytes = NULL;
		}
		tap_burst(&r->tap, frames, n);
		keep_pace(r);
		tell_status(r);
		if (r->session->cfg->progress && bursts++ % PROGRESS_EVERY_BURSTS == 0)
			progress_draw(c, started);
	}
	if (r->session->cfg->progress) {
		progress_draw(c, started);
		progress_end();
	}
}

static enum rc reader_init(struct reader *r, struct session *s, struct error *err)
{
	*r = (struct reader){ .session = s };
	struct tap_owner owner = { .ctx = r,
				   .sip = tap_sip,
				   .in_line = true,
				   .piece = tap_piece,
				   .alive = tap_alive,
				   .orphan = tap_orphan,
				   .remark = tap_remark,
				   .tick = tap_time,
				   .wait = tap_wait,
				   .chunks_most = CHUNKS_OUT_AT_MOST };
	struct joiner_owner joined = { r, joined_datagram, not_sip };
	struct signalling_sink sink = { .ctx = r,
					.open = sink_open,
					.expect = sink_expect,
					.forget = sink_forget,
					.record = sink_record,
					.done = sink_done,
					.message = sink_message };

	r->to_writer = calloc(s->writers_count, sizeof *r->to_writer);
	r->signalling = session_signalling(s, &sink, NULL, &r->signalling_counters);
	if (!r->to_writer || !r->signalling)
		return error_set(err, RC_FAILED, "not enough memory for signalling");
	for (unsigned i = 0; i < s->writers_count; i++)
		r->to_writer[i].ring = s->writers[i].signalling;
	enum rc rc = joiner_init(&r->joiner, s->options, r->signalling, &joined,
				 &r->signalling_counters, err);
	if (rc != RC_OK)
		return rc;
	return tap_init(&r->tap, s->options, 0, 1, s->writers, s->writers_count, &owner, err);
}

static void reader_free(struct reader *r)
{
	for (unsigned i = 0; r->to_writer && i < r->session->writers_count; i++)
		outbox_clear(&r->to_writer[i]);
	free(r->to_writer);
	joiner_free(&r->joiner);
	signalling_free(r->signalling);
	tap_free(&r->tap);
}

enum rc files_run(struct session *s, const volatile int *stop, struct error *err)
{
	struct reader *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, RC_FAILED, "not enough memory for a reader");
	enum rc rc = reader_init(r, s, err);
	if (rc == RC_OK)
		rc = session_start_writers(s, err);
	if (rc != RC_OK)
		goto out;

	read_all(r, s->captures[0], stop);
	int64_t end_ns = tap_catch_up(&r->tap);
	reassembly_finish(r->joiner.reassembly);
	signalling_finish(r->signalling, end_ns);
	while (!flush_all(r) || r->tap.chunks_out > 0)
		clock_sleep_us(WAIT_US);
	rc = session_finish_writers(s, err);

	work_end(&r->tap.work);
	session_note_tap(s, "reader", 0, &r->tap);
	s->fragments_held = reassembly_fragments_held(r->joiner.reassembly);
	s->segments_held = reassembly_segments_held(r->joiner.reassembly);
	counters_sum(&s->total, &r->signalling_counters);
	if (rc == RC_OK && *stop)
		rc = error_set(err, RC_FAILED, "interrupted: recorded as far as it was read");
	const char *broke = capture_failure(s->captures[0]);
	if (rc == RC_OK && broke)
		rc = error_set(err, RC_FAILED, "%s", broke);
	if (rc == RC_OK)
		rc = check_decoded(r, err);
out:
	reader_free(r);
	free(r);
	return rc;
}
