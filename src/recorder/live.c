/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* live.c: recording from an interface: capture threads, one signalling thread, writers.
 *
 *                       control ◄──────────────┐
 *   capture thread 0 ──► dialogs, rest ──► signalling ──► writers
 *   capture thread n ──►     "                         ▲
 *         └────────────────── chunks, streams ─────────┘
 *
 * The end, in order: capture threads stop reading and serve only their control ring; signalling, once
 * nothing more can come from them, ends every call; capture threads carry that out and
 * leave; the writers close their segments.
 */
#include "recorder/parts.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"

#define CONTROL_BYTES   (4u << 20)
#define DIALOG_BYTES    (8u << 20) /* twice the rest: under a flood the rest goes first */
#define REST_BYTES      (4u << 20)
#define WAIT_MS         5
#define IDLE_US         500
#define WATCH_US        20000
#define WAITING_AT_MOST 10000 /* messages in an outbox: about 20 MiB */
#define TAKE_AT_ONCE    64    /* messages between two looks at timers and outboxes */
/* Idle packet time trails the wall clock: frames may still sit in the kernel's block. */
#define IDLE_LAG_NS    (200 * NS_PER_MS)
#define DROPS_EVERY_NS NS_PER_S
#define NEWS_EVERY_NS  (60 * NS_PER_S)

struct capture_thread {
	struct live *live;       /* borrowed */
	struct capture *capture; /* borrowed */
	struct tap tap;
	struct outbox control;       /* signalling's side of this thread's control ring */
	struct ring *control_ring;   /* owned: expect and forget */
	struct ring *dialogs, *rest; /* owned: SIP to signalling */
	struct outbox to_dialogs;    /* alive messages are never dropped */
	_Atomic int64_t now_ns;      /* this thread's packet time, for signalling */
	_Atomic bool drained;        /* reads no more frames */
	_Atomic bool broke;          /* the interface failed or went away */
	uint64_t kernel_drops;
	pthread_t thread;
	bool running;
};

struct live {
	struct session *session;
	struct capture_thread *threads; /* owned */
	struct signalling *signalling;
	struct counters signalling_counters;
	struct outbox *to_writer; /* signalling's, one a writer */
	_Atomic bool stopping, signalling_gone;
	pthread_t signalling_thread;
	bool signalling_running;
};

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
	struct call_message m = { .call = call, .record = *record };
	outbox_put(writer_of(ctx, call), MESSAGE_CALL, &m, sizeof m);
}

static void sink_done(void *ctx, uint64_t call)
{
	outbox_put(writer_of(ctx, call), MESSAGE_DONE, &call, sizeof call);
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

static bool flush_signalling(struct live *l)
{
	bool empty = true;
	for (unsigned i = 0; i < l->session->writers_count; i++)
		empty &= outbox_flush(&l->to_writer[i]);
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

static void take_message(struct live *l, const void *message)
{
	const struct message *head = message;
	const struct alive_message *alive = message_body(message);
	if (head->kind == MESSAGE_SIP)
		take_sip(l, message_body(message));
	else
		signalling_alive(l->signalling, alive->call, alive->ts_ns);
}

/* Both kinds of message begin with something that tells their packet time. */
static int64_t message_time(const void *message)
{
	const struct message *head = message;
	const struct alive_message *alive = message_body(message);
	const struct sip_message_head *sip = message_body(message);
	return head->kind == MESSAGE_SIP ? sip->ts_ns : alive->ts_ns;
}

/* Of all rings' oldest messages the oldest, and none that is younger than `until_ns`: so that what several threads saw
 * comes together in packet order. */
static bool take_oldest(struct live *l, int64_t until_ns)
{
	struct ring *oldest = NULL;
	const void *message = NULL;
	int64_t oldest_ns = INT64_MAX;

	for (unsigned i = 0; i < 2 * l->session->threads; i++) {
		struct capture_thread *t = &l->threads[i / 2];
		struct ring *r = i % 2 ? t->rest : t->dialogs;
		size_t n;
		const void *m = ring_front(r, &n);
		if (m && message_time(m) < oldest_ns) {
			oldest = r;
			message = m;
			oldest_ns = message_time(m);
		}
	}
	if (!oldest || oldest_ns > until_ns)
		return false;
	take_message(l, message);
	ring_pop(oldest);
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

static void *run_signalling(void *arg)
{
	struct live *l = arg;
	for (;;) {
		/* Both read before draining: what came before them is then still drained. */
		bool last = all_drained(l);
		int64_t now = common_time(l);
		/* One thread's rings are in order; of several, the slowest sets the pace. */
		int64_t until = last || l->session->threads == 1 ? INT64_MAX : now;
		int taken = 0;
		while (taken < TAKE_AT_ONCE && take_oldest(l, until))
			taken++;
		signalling_tick(l->signalling, now);
		atomic_store_explicit(&l->session->packet_ns, now, memory_order_relaxed);
		flush_signalling(l);
		if (taken)
			continue;
		if (last)
			break;
		clock_sleep_us(IDLE_US);
	}
	signalling_finish(l->signalling, latest_time(l));
	while (!flush_signalling(l))
		clock_sleep_us(IDLE_US);
	atomic_store_explicit(&l->signalling_gone, true, memory_order_release);
	return NULL;
}

/* ---- capture thread ---------------------------------------------------------------------------------- */

static void tap_sip(void *ctx, const struct datagram *d, enum sip_kind kind)
{
	struct capture_thread *t = ctx;
	struct ring *r = kind == SIP_DIALOG ? t->dialogs : t->rest;
	struct message head = { .kind = MESSAGE_SIP };
	struct sip_message_head h = { d->ts_ns, d->src, d->dst, d->len, d->wire_len };
	uint8_t *room = ring_reserve(r, sizeof head + sizeof h + d->len);

	if (!room) {
		count(&t->tap.counters, COUNT_SIGNALLING_RING_DROP);
		return;
	}
	memcpy(room, &head, sizeof head);
	memcpy(room + sizeof head, &h, sizeof h);
	memcpy(room + sizeof head + sizeof h, d->payload, d->len);
	ring_commit(r);
	count(&t->tap.counters, COUNT_TO_SIGNALLING);
}

static void tap_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	struct capture_thread *t = ctx;
	struct alive_message m = { call, ts_ns };
	outbox_put(&t->to_dialogs, MESSAGE_ALIVE, &m, sizeof m);
}

static void tap_time(void *ctx, int64_t now_ns)
{
	/* Published after the burst instead, when the SIP of that time is on its ring. */
	(void)ctx;
	(void)now_ns;
}

/* A live recorder never waits for its writers: the chunk is dropped and counted. */
static bool tap_wait(void *ctx)
{
	(void)ctx;
	return false;
}

static void take_control(struct capture_thread *t)
{
	const void *m;
	size_t n;
	while ((m = ring_front(t->control_ring, &n))) {
		const struct message *head = m;
		if (head->kind == MESSAGE_EXPECT)
			media_expect(t->tap.media, message_body(m));
		else
			media_forget(t->tap.media, message_body(m));
		ring_pop(t->control_ring);
	}
}

static void note_kernel_drops(struct capture_thread *t)
{
	uint64_t drops = capture_kernel_drops(t->capture);
	count_add(&t->tap.counters, COUNT_KERNEL_DROPS, drops - t->kernel_drops);
	t->kernel_drops = drops;
}

static bool serve(struct capture_thread *t)
{
	take_control(t);
	bool empty = tap_service(&t->tap);
	return outbox_flush(&t->to_dialogs) && empty;
}

static void publish_time(struct capture_thread *t)
{
	int64_t now = t->tap.newest_ns > t->tap.now_ns ? t->tap.newest_ns : t->tap.now_ns;
	atomic_store_explicit(&t->now_ns, now, memory_order_release);
}

static void capture_frames(struct capture_thread *t)
{
	struct frame frames[CAPTURE_BURST];
	int64_t next_drops = 0;

	while (!atomic_load_explicit(&t->live->stopping, memory_order_relaxed)) {
		serve(t);
		int n = capture_burst(t->capture, frames, CAPTURE_BURST);
		if (n < 0) {
			atomic_store_explicit(&t->broke, true, memory_order_release);
			break;
		}
		if (n > 0) {
			tap_burst(&t->tap, frames, n);
		} else {
			capture_wait(t->capture, WAIT_MS);
			tap_tick(&t->tap, clock_real_ns() - IDLE_LAG_NS);
		}
		publish_time(t);
		if (t->tap.now_ns >= next_drops) {
			note_kernel_drops(t);
			next_drops = t->tap.now_ns + DROPS_EVERY_NS;
		}
	}
	note_kernel_drops(t);
	tap_catch_up(&t->tap);
	publish_time(t);
}

static void *run_capture(void *arg)
{
	struct capture_thread *t = arg;
	capture_frames(t);
	while (!outbox_flush(&t->to_dialogs))
		clock_sleep_us(IDLE_US);
	atomic_store_explicit(&t->drained, true, memory_order_release);
	for (;;) {
		bool last = atomic_load_explicit(&t->live->signalling_gone, memory_order_acquire);
		bool empty = serve(t);
		if (last && empty && t->tap.chunks_out == 0)
			return NULL;
		clock_sleep_us(IDLE_US);
	}
}

/* ---- set-up and end ---------------------------------------------------------------------------------- */

static enum rc thread_init(struct live *l, unsigned i, struct error *err)
{
	struct session *s = l->session;
	struct capture_thread *t = &l->threads[i];
	struct tap_owner owner = { t, tap_sip, tap_alive, tap_time, tap_wait };

	t->live = l;
	t->capture = s->captures[i];
	t->control_ring = ring_new(CONTROL_BYTES);
	t->dialogs = ring_new(DIALOG_BYTES);
	t->rest = ring_new(REST_BYTES);
	if (!t->control_ring || !t->dialogs || !t->rest)
		return error_set(err, RC_FAILED, "not enough memory for a capture thread");
	t->control.ring = t->control_ring;
	t->to_dialogs.ring = t->dialogs;
	return tap_init(&t->tap, s->options, i, s->threads, s->writers, s->writers_count, &owner,
			err);
}

static enum rc live_init(struct live *l, struct session *s, struct error *err)
{
	struct signalling_sink sink = { l,           sink_open,   sink_expect,
					sink_forget, sink_record, sink_done };
	enum rc rc = RC_OK;

	l->session = s;
	l->threads = calloc(s->threads, sizeof *l->threads);
	l->to_writer = calloc(s->writers_count, sizeof *l->to_writer);
	l->signalling = session_signalling(s, &sink, overloaded, &l->signalling_counters);
	if (!l->threads || !l->to_writer || !l->signalling)
		return error_set(err, RC_FAILED, "not enough memory for signalling");
	for (unsigned i = 0; i < s->writers_count; i++)
		l->to_writer[i].ring = s->writers[i].signalling;
	for (unsigned i = 0; i < s->threads && rc == RC_OK; i++)
		rc = thread_init(l, i, err);
	return rc;
}

static enum rc start_thread(pthread_t *thread, bool *running, void *(*fn)(void *), void *arg,
			    struct error *err)
{
	int e = pthread_create(thread, NULL, fn, arg);
	if (e)
		return error_errno(err, RC_FAILED, e, "cannot start a thread");
	*running = true;
	return RC_OK;
}

static enum rc start_threads(struct live *l, struct error *err)
{
	enum rc rc =
		start_thread(&l->signalling_thread, &l->signalling_running, run_signalling, l, err);
	for (unsigned i = 0; i < l->session->threads && rc == RC_OK; i++)
		rc = start_thread(&l->threads[i].thread, &l->threads[i].running, run_capture,
				  &l->threads[i], err);
	return rc;
}

static void stop_threads(struct live *l)
{
	atomic_store_explicit(&l->stopping, true, memory_order_relaxed);
	/* A thread that never started has nothing more to say. */
	for (unsigned i = 0; l->threads && i < l->session->threads; i++)
		if (!l->threads[i].running)
			atomic_store_explicit(&l->threads[i].drained, true, memory_order_release);
	if (l->signalling_running)
		pthread_join(l->signalling_thread, NULL);
	else
		atomic_store_explicit(&l->signalling_gone, true, memory_order_release);
	for (unsigned i = 0; l->threads && i < l->session->threads; i++)
		if (l->threads[i].running)
			pthread_join(l->threads[i].thread, NULL);
}

static void live_free(struct live *l)
{
	for (unsigned i = 0; l->threads && i < l->session->threads; i++) {
		struct capture_thread *t = &l->threads[i];
		outbox_clear(&t->control);
		outbox_clear(&t->to_dialogs);
		ring_free(t->control_ring);
		ring_free(t->dialogs);
		ring_free(t->rest);
		tap_free(&t->tap);
	}
	for (unsigned i = 0; l->to_writer && i < l->session->writers_count; i++)
		outbox_clear(&l->to_writer[i]);
	free(l->to_writer);
	free(l->threads);
	signalling_free(l->signalling);
	free(l);
}

/* Once a minute, what the journal should know; the counters are each thread's own, read relaxed. */
static void tell_news(struct live *l)
{
	struct counters sum;
	memset(&sum, 0, sizeof sum);
	for (unsigned i = 0; i < l->session->threads; i++)
		counters_sum(&sum, &l->threads[i].tap.counters);
	counters_sum(&sum, &l->signalling_counters);
	for (unsigned i = 0; i < l->session->writers_count; i++)
		counters_sum(&sum, &l->session->writers[i].counters);
	log_info("recording",
		 "frames=%llu calls=%llu streams=%llu kernel-drops=%llu chunk-drops=%llu",
		 (unsigned long long)counter_get(&sum, COUNT_FRAMES),
		 (unsigned long long)counter_get(&sum, COUNT_CALLS),
		 (unsigned long long)counter_get(&sum, COUNT_STREAMS),
		 (unsigned long long)counter_get(&sum, COUNT_KERNEL_DROPS),
		 (unsigned long long)(counter_get(&sum, COUNT_CHUNK_RING_DROP) +
				      counter_get(&sum, COUNT_DISK_FULL_CHUNKS)));
}

static const struct capture_thread *broken_thread(struct live *l)
{
	for (unsigned i = 0; i < l->session->threads; i++)
		if (atomic_load_explicit(&l->threads[i].broke, memory_order_acquire))
			return &l->threads[i];
	return NULL;
}

static enum rc watch(struct live *l, const volatile int *stop, struct error *err)
{
	int64_t next_news = clock_mono_ns() + NEWS_EVERY_NS;
	while (!*stop) {
		clock_sleep_us(WATCH_US);
		const struct capture_thread *broken = broken_thread(l);
		if (broken)
			return error_set(err, RC_FAILED, "%s", capture_failure(broken->capture));
		if (clock_mono_ns() >= next_news) {
			tell_news(l);
			next_news += NEWS_EVERY_NS;
		}
	}
	return RC_OK;
}

enum rc live_run(struct session *s, const volatile int *stop, struct error *err)
{
	struct error later;
	struct live *l = calloc(1, sizeof *l);
	if (!l)
		return error_set(err, RC_FAILED, "not enough memory to record");
	enum rc rc = live_init(l, s, err);
	if (rc == RC_OK)
		rc = session_start_writers(s, err);
	if (rc == RC_OK)
		rc = start_threads(l, err);
	if (rc == RC_OK)
		rc = watch(l, stop, err);
	sd_notify(0, "STOPPING=1");
	stop_threads(l);
	enum rc closed = session_finish_writers(s, &later);
	if (rc == RC_OK && closed != RC_OK) {
		rc = closed;
		*err = later;
	}
	for (unsigned i = 0; l->threads && i < s->threads; i++) {
		counters_sum(&s->total, &l->threads[i].tap.counters);
		if (l->threads[i].tap.media)
			s->pen_held += media_held(l->threads[i].tap.media);
	}
	counters_sum(&s->total, &l->signalling_counters);
	live_free(l);
	return rc;
}
