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

#include "base/clock.h"

/* Chunks at the writers before the reader waits: enough to keep them busy, and small beside memory.audio. */
#define CHUNKS_OUT_AT_MOST    4096
#define WAIT_US               50
#define PROGRESS_EVERY_BURSTS 4096

struct reader {
	struct session *session;
	struct tap tap;
	struct signalling *signalling;
	struct counters signalling_counters;
	struct outbox *to_writer; /* signalling's, one a writer */
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
	struct call_message m = { .call = call, .record = *record };
	outbox_put(writer_of(ctx, call), MESSAGE_CALL, &m, sizeof m);
}

static void sink_done(void *ctx, uint64_t call)
{
	outbox_put(writer_of(ctx, call), MESSAGE_DONE, &call, sizeof call);
}

/* ---- the tap's owner --------------------------------------------------------------------------- */

static void tap_sip(void *ctx, const struct datagram *d, enum sip_kind kind)
{
	struct reader *r = ctx;
	(void)kind;
	count(&r->tap.counters, COUNT_TO_SIGNALLING);
	signalling_message(r->signalling, d);
}

static void tap_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	signalling_alive(((struct reader *)ctx)->signalling, call, ts_ns);
}

static void tap_time(void *ctx, int64_t now_ns)
{
	struct reader *r = ctx;
	signalling_tick(r->signalling, now_ns);
	atomic_store_explicit(&r->session->packet_ns, now_ns, memory_order_relaxed);
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

static void read_all(struct reader *r, struct capture *c, const volatile int *stop)
{
	struct frame frames[CAPTURE_BURST];
	int64_t started = clock_mono_ns();
	unsigned bursts = 0;
	int n;

	while (!*stop && (n = capture_burst(c, frames, CAPTURE_BURST)) >= 0) {
		tap_burst(&r->tap, frames, n);
		keep_pace(r);
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
	struct tap_owner owner = { r, tap_sip, tap_alive, tap_time, tap_wait };
	struct signalling_sink sink = { r,           sink_open,   sink_expect,
					sink_forget, sink_record, sink_done };

	r->to_writer = calloc(s->writers_count, sizeof *r->to_writer);
	r->signalling = session_signalling(s, &sink, NULL, &r->signalling_counters);
	if (!r->to_writer || !r->signalling)
		return error_set(err, RC_FAILED, "not enough memory for signalling");
	for (unsigned i = 0; i < s->writers_count; i++)
		r->to_writer[i].ring = s->writers[i].signalling;
	return tap_init(&r->tap, s->options, 0, 1, s->writers, s->writers_count, &owner, err);
}

static void reader_free(struct reader *r)
{
	for (unsigned i = 0; r->to_writer && i < r->session->writers_count; i++)
		outbox_clear(&r->to_writer[i]);
	free(r->to_writer);
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
	signalling_finish(r->signalling, tap_catch_up(&r->tap));
	while (!flush_all(r) || r->tap.chunks_out > 0)
		clock_sleep_us(WAIT_US);
	rc = session_finish_writers(s, err);

	s->pen_held = media_held(r->tap.media);
	counters_sum(&s->total, &r->tap.counters);
	counters_sum(&s->total, &r->signalling_counters);
	if (rc == RC_OK && *stop)
		rc = error_set(err, RC_FAILED, "interrupted: recorded as far as it was read");
	const char *broke = capture_failure(s->captures[0]);
	if (rc == RC_OK && broke)
		rc = error_set(err, RC_FAILED, "%s", broke);
out:
	reader_free(r);
	free(r);
	return rc;
}
