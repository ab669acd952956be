/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* live.c: recording from an interface: capture threads, one signalling thread, writers.
 *
 *                       control ◄──────────────────────┐
 *   capture thread 0 ──► dialogs, rest, pieces ──► signalling ──► writers
 *   capture thread n ──►     "                                 ▲
 *         └────────────────── chunks, streams ─────────────────┘
 *
 * The end, in order: capture threads read what came before it was asked for, and then serve only their control ring; signalling, once
 * nothing more can come from them, ends every call; capture threads carry that out and
 * leave; the writers close their segments.
 */
#include "recorder/live.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#define WAIT_MS  5
#define WATCH_US 20000
/* Idle packet time trails the wall clock: frames may still sit in the kernel's block. */
#define IDLE_LAG_NS    (200 * NS_PER_MS)
#define DROPS_EVERY_NS NS_PER_S
#define NEWS_EVERY_NS  (60 * NS_PER_S)
#define LOOK_EVERY_NS  NS_PER_S
/* What came before the end was asked for still sits in the kernel: until nothing has come for so long, or at most. */
#define LAST_QUIET_NS (100 * NS_PER_MS)
#define LAST_MOST_NS  (2 * NS_PER_S)

/* ---- capture thread ---------------------------------------------------------------------------------- */

static void tap_sip(void *ctx, const struct datagram *d, enum sip_kind kind)
{
	struct capture_thread *t = ctx;
	struct ring *r = kind == SIP_DIALOG ? t->intake->dialogs : t->intake->rest;
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

static void tap_piece(void *ctx, const struct piece *p)
{
	struct capture_thread *t = ctx;
	struct message head = { .kind = MESSAGE_PIECE };
	uint8_t *room = ring_reserve(t->intake->pieces, sizeof head + sizeof *p + p->len);

	if (!room) {
		bool fragment = p->kind == PIECE_FRAGMENT;
		count(&t->tap.counters, fragment ? COUNT_FRAGMENT_RING_DROP : COUNT_TCP_RING_DROP);
		return;
	}
	memcpy(room, &head, sizeof head);
	memcpy(room + sizeof head, p, sizeof *p);
	if (p->len)
		memcpy(room + sizeof head + sizeof *p, p->bytes, p->len);
	ring_commit(t->intake->pieces);
}

static void tap_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	struct capture_thread *t = ctx;
	struct alive_message m = { call, ts_ns };
	outbox_put(&t->to_dialogs, MESSAGE_ALIVE, &m, sizeof m);
}

static void tap_orphan(void *ctx, const struct media_orphan *o)
{
	struct capture_thread *t = ctx;
	outbox_put(&t->to_dialogs, MESSAGE_ORPHAN, o, sizeof *o);
}

static void tap_remark(void *ctx, uint64_t call, const char *coverage)
{
	struct capture_thread *t = ctx;
	struct remark_message m = { call, t->tap.newest_ns, coverage };
	/* Signalling ends every call then, and listens no more. */
	if (atomic_load_explicit(&t->drained, memory_order_relaxed))
		return;
	outbox_put(&t->to_dialogs, MESSAGE_REMARK, &m, sizeof m);
}

static void tap_time(void *ctx, int64_t now_ns)
{
	/* Published after the burst instead, when the SIP of that time is on its ring. */
	(void)ctx;
	(void)now_ns;
}

/* A live recorder never waits for its writers: what has no room is dropped and counted. */
static bool tap_wait(void *ctx)
{
	(void)ctx;
	return false;
}

static void take_datagram(struct capture_thread *t, const void *body)
{
	struct datagram d;
	memcpy(&d, body, sizeof d);
	d.payload = (const uint8_t *)body + sizeof d;
	tap_datagram(&t->tap, &d);
}

static void take_control(struct capture_thread *t)
{
	const void *m;
	size_t n;
	while ((m = ring_front(t->control_ring, &n))) {
		const struct message *head = m;
		const struct endpoint *ends = message_body(m);
		switch ((enum message_kind)head->kind) {
		case MESSAGE_EXPECT: media_expect(t->tap.media, message_body(m)); break;
		case MESSAGE_FORGET: media_forget(t->tap.media, message_body(m)); break;
		case MESSAGE_DATAGRAM: take_datagram(t, ends); break;
		case MESSAGE_NOT_SIP: sieve_mark(t->tap.sieve, &ends[0], &ends[1]); break;
		default: assert_failed("a message for a capture thread", __FILE__, __LINE__);
		}
		ring_pop(t->control_ring);
	}
}

static void note_kernel_drops(struct capture_thread *t)
{
	uint64_t drops = capture_kernel_drops(t->capture);
	count_add(&t->tap.counters, COUNT_KERNEL_DROPS, drops - t->kernel_drops);
	t->kernel_drops = drops;
	uint64_t outages = capture_outages(t->capture);
	count_add(&t->tap.counters, COUNT_CAPTURE_OUTAGES, outages - t->outages);
	t->outages = outages;
}

static bool serve(struct capture_thread *t)
{
	/* Read first: what signalling has said before it is then on the ring. */
	int64_t heard_ns = atomic_load_explicit(&t->live->heard_ns, memory_order_acquire);
	take_control(t);
	media_heard(t->tap.media, heard_ns);
	bool empty = tap_service(&t->tap);
	return outbox_flush(&t->to_dialogs) && empty;
}

static void publish_time(struct capture_thread *t)
{
	int64_t now = t->tap.newest_ns > t->tap.now_ns ? t->tap.newest_ns : t->tap.now_ns;
	atomic_store_explicit(&t->now_ns, now, memory_order_release);
}

/* Once the end has been asked for: when it was, when was looked for frames last, and when some were found.  Monotonic, but for
 * `wall_ns`; 0 until then. */
struct ending {
	int64_t wall_ns, asked_ns, looked_ns, heard_ns;
};

/* All frames that came before the end was asked for have been read, as far as can be told: a frame is clearly younger (one that
 * DPDK stamps when it is read need not be), or whoever looked found none for long.  A frame far ahead is of another clock. */
static bool is_over(const struct capture_thread *t, struct ending *e)
{
	if (LIKELY(!atomic_load_explicit(&t->live->stopping, memory_order_relaxed)))
		return false;
	int64_t now = clock_mono_ns();
	if (!e->asked_ns)
		*e = (struct ending){ clock_real_ns(), now, now, now };
	int64_t younger = t->tap.newest_ns - e->wall_ns;
	return (younger > LAST_QUIET_NS && younger < LAST_MOST_NS) ||
	       e->looked_ns - e->heard_ns > LAST_QUIET_NS ||
	       e->looked_ns - e->asked_ns > LAST_MOST_NS;
}

static void capture_frames(struct capture_thread *t)
{
	struct frame frames[CAPTURE_BURST];
	struct ending ending = { 0 };
	int64_t next_drops = 0;

	while (!is_over(t, &ending)) {
		serve(t);
		work_turn(&t->tap.work);
		uint64_t began = work_sample(&t->tap.work);
		/* Read before: a thread that was kept from running knows nothing of the time since. */
		int64_t looked_ns = clock_real_ns();
		if (UNLIKELY(ending.asked_ns))
			ending.looked_ns = clock_mono_ns();
		int n = capture_burst(t->capture, frames, CAPTURE_BURST);
		if (n < 0) {
			atomic_store_explicit(&t->broke, true, memory_order_release);
			break;
		}
		if (n > 0) {
			work_done(&t->tap.work, WORK_READ, began, (unsigned)n);
			tap_burst(&t->tap, frames, n);
			ending.heard_ns = ending.looked_ns;
		} else {
			tap_tick(&t->tap, looked_ns - IDLE_LAG_NS);
			capture_wait(t->capture, WAIT_MS);
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
	capture_enter(t->capture);
	capture_frames(t);
	capture_leave(t->capture);
	while (!outbox_flush(&t->to_dialogs))
		clock_sleep_us(IDLE_US);
	atomic_store_explicit(&t->drained, true, memory_order_release);
	for (;;) {
		bool last = atomic_load_explicit(&t->live->signalling_gone, memory_order_acquire);
		bool empty = serve(t);
		if (last && empty && t->tap.chunks_out == 0)
			break;
		clock_sleep_us(IDLE_US);
	}
	work_end(&t->tap.work);
	return NULL;
}

/* ---- set-up and end ---------------------------------------------------------------------------------- */

static enum rc thread_init(struct live *l, unsigned i, struct error *err)
{
	struct session *s = l->session;
	struct capture_thread *t = &l->threads[i];
	struct tap_owner owner = { .ctx = t,
				   .sip = tap_sip,
				   .piece = tap_piece,
				   .alive = tap_alive,
				   .orphan = tap_orphan,
				   .remark = tap_remark,
				   .tick = tap_time,
				   .wait = tap_wait,
				   .chunks_most = SIZE_MAX,
				   .keep_reserve = true };

	t->live = l;
	t->capture = s->captures[i];
	t->control_ring = ring_new(CONTROL_BYTES);
	t->intake = &l->intakes[i];
	if (!t->control_ring || !intake_init(t->intake, s->threads))
		return error_set(err, RC_FAILED, "not enough memory for a capture thread");
	t->control.ring = t->control_ring;
	t->to_dialogs.ring = t->intake->dialogs;
	return tap_init(&t->tap, s->options, i, s->threads, s->writers, s->writers_count, &owner,
			err);
}

static enum rc live_init(struct live *l, struct session *s, struct error *err)
{
	l->session = s;
	l->threads = calloc(s->threads, sizeof *l->threads);
	l->intakes = calloc(s->threads, sizeof *l->intakes);
	if (!l->threads || !l->intakes)
		return error_set(err, RC_FAILED, "not enough memory for capture threads");
	enum rc rc = live_signalling_init(l, err);
	for (unsigned i = 0; i < s->threads && rc == RC_OK; i++)
		rc = thread_init(l, i, err);
	return rc;
}

static enum rc start_thread(pthread_t *thread, bool *running, void *(*fn)(void *), void *arg,
			    struct error *err)
{
	enum rc rc = thread_start(thread, fn, arg, err);
	*running = rc == RC_OK;
	return rc;
}

static enum rc start_threads(struct live *l, struct error *err)
{
	enum rc rc = start_thread(&l->signalling_thread, &l->signalling_running,
				  live_signalling_run, l, err);
	for (unsigned i = 0; i < l->session->threads && rc == RC_OK; i++)
		rc = start_thread(&l->threads[i].thread, &l->threads[i].running, run_capture,
				  &l->threads[i], err);
	for (unsigned i = 0; i < l->session->threads && rc == RC_OK; i++)
		cpus_pin(&l->session->capture_cpus, l->threads[i].thread, i);
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
		if (t->intake)
			intake_release(t->intake);
		tap_free(&t->tap);
	}
	for (unsigned i = 0; l->to_writer && i < l->session->writers_count; i++)
		outbox_clear(&l->to_writer[i]);
	free(atomic_load_explicit(&l->new_policy, memory_order_acquire));
	free(l->to_writer);
	free(l->threads);
	free(l->intakes);
	joiner_free(&l->joiner);
	signalling_free(l->signalling);
	free(l);
}

/* The counters are each thread's own, read relaxed. */
static void sum_up(const struct live *l, struct counters *sum)
{
	memset(sum, 0, sizeof *sum);
	for (unsigned i = 0; i < l->session->threads; i++)
		counters_sum(sum, &l->threads[i].tap.counters);
	counters_sum(sum, &l->signalling_counters);
	counters_sum(sum, &l->session->sources.counters);
	for (unsigned i = 0; i < l->session->writers_count; i++)
		counters_sum(sum, &l->session->writers[i].counters);
}

static void tell_status(const struct live *l)
{
	struct counters sum;
	sum_up(l, &sum);
	status_write(l->session, &sum, true);
}

static void tell_pressure(struct live *l)
{
	struct counters sum;
	sum_up(l, &sum);
	pressure_watch(&l->pressure, &sum, clock_mono_ns());
}

/* Once a minute, what the journal should know. */
static void tell_news(const struct live *l)
{
	struct counters sum;
	sum_up(l, &sum);
	log_info("recording",
		 "frames=%llu calls=%llu streams=%llu kernel-drops=%llu audio-drops=%llu "
		 "chunk-drops=%llu",
		 (unsigned long long)counter_get(&sum, COUNT_FRAMES),
		 (unsigned long long)counter_get(&sum, COUNT_CALLS),
		 (unsigned long long)counter_get(&sum, COUNT_STREAMS),
		 (unsigned long long)counter_get(&sum, COUNT_KERNEL_DROPS),
		 (unsigned long long)(counter_get(&sum, COUNT_RTP_REFUSED) +
				      counter_get(&sum, COUNT_RTP_NO_BUFFER)),
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
	int64_t next_news = clock_mono_ns() + NEWS_EVERY_NS, next_status = 0, next_look = 0;
	volatile int *reload = l->session->cfg->reload;
	while (!*stop) {
		clock_sleep_us(WATCH_US);
		capture_watch(l->session->captures[0]);
		if (reload && *reload) {
			*reload = 0;
			reload_read(&l->new_policy, l->session->options->store);
		}
		const struct capture_thread *broken = broken_thread(l);
		if (broken)
			return error_set(err, RC_FAILED, "%s", capture_failure(broken->capture));
		if (clock_mono_ns() >= next_look) {
			tell_pressure(l);
			next_look = clock_mono_ns() + LOOK_EVERY_NS;
		}
		bool changed = sources_watch(&l->session->sources, l->session->captures);
		if (changed || clock_mono_ns() >= next_status) {
			tell_status(l);
			next_status = clock_mono_ns() + STATUS_EVERY_NS;
		}
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
	pressure_tell(s->options, s->threads);
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
	for (unsigned i = 0; l->threads && i < s->threads; i++)
		session_note_tap(s, "capture", i, &l->threads[i].tap);
	counters_sum(&s->total, &l->signalling_counters);
	counters_sum(&s->total, &s->sources.counters);
	session_note_work(s, "signalling", 0, &l->signalling_work);
	if (l->joiner.reassembly) {
		s->fragments_held = reassembly_fragments_held(l->joiner.reassembly);
		s->segments_held = reassembly_segments_held(l->joiner.reassembly);
	}
	live_free(l);
	return rc;
}
