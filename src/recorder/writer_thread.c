/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* writer_thread.c: draining rings into a store_writer. */
#include "recorder/writer_thread.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

#define DRAIN_AT_ONCE 64 /* messages taken from one ring before the next has its turn */
#define TICK_NS       (20 * NS_PER_MS)
#define IDLE_US       1000

enum rc writer_thread_init(struct writer_thread *w, struct store_writer_config cfg, unsigned inputs,
			   size_t chunks, _Atomic int64_t *packet_ns, struct error *err)
{
	memset(w, 0, sizeof *w);
	w->packet_ns = packet_ns;
	w->inputs_count = inputs;
	w->signalling = ring_new(WRITER_INPUT_BYTES);
	w->inputs = calloc(inputs, sizeof *w->inputs);
	if (!w->signalling || !w->inputs)
		return error_set(err, RC_FAILED, "not enough memory for the writer's rings");
	for (unsigned i = 0; i < inputs; i++) {
		w->inputs[i].from_thread = ring_new(WRITER_INPUT_BYTES + chunks * CHUNK_MESSAGE);
		w->inputs[i].back = ring_new(chunks * CHUNK_MESSAGE);
		if (!w->inputs[i].from_thread || !w->inputs[i].back)
			return error_set(err, RC_FAILED,
					 "not enough memory for the writer's rings");
	}
	cfg.counters = &w->counters;
	cfg.work = &w->work;
	return store_writer_new(&w->writer, &cfg, err);
}

static void take_signalling(struct writer_thread *w, const struct signalling_message *m)
{
	struct signalling_record r = m->record;
	r.bytes = (const uint8_t *)(m + 1);
	store_writer_signalling(w->writer, m->call, &r);
}

static void take(struct writer_thread *w, const void *message)
{
	const struct message *head = message;
	const void *body = message_body(message);
	uint64_t call;

	switch ((enum message_kind)head->kind) {
	case MESSAGE_OPEN: store_writer_open(w->writer, body); break;
	case MESSAGE_CALL: {
		const struct call_message *m = body;
		store_writer_call(w->writer, m->call, &m->record);
		break;
	}
	case MESSAGE_STREAM: store_writer_stream(w->writer, body); break;
	case MESSAGE_SIGNALLING: take_signalling(w, body); break;
	case MESSAGE_DONE:
		memcpy(&call, body, sizeof call);
		store_writer_done(w->writer, call);
		break;
	default: assert_failed("a message for a writer", __FILE__, __LINE__);
	}
}

static bool drain_signalling(struct writer_thread *w)
{
	const void *m;
	size_t n;
	int taken = 0;
	while (taken < DRAIN_AT_ONCE && (m = ring_front(w->signalling, &n))) {
		take(w, m);
		ring_pop(w->signalling);
		taken++;
	}
	return taken > 0;
}

static uint64_t message_call(const struct message *head)
{
	const void *body = message_body(head);
	struct chunk *c;
	uint64_t call;

	if (head->kind == MESSAGE_CHUNK) {
		memcpy(&c, body, sizeof(struct chunk *));
		return c->call;
	}
	if (head->kind == MESSAGE_STREAM)
		return ((const struct stream_record *)body)->call;
	memcpy(&call, body, sizeof call);
	return call;
}

static void take_chunk(struct writer_thread *w, struct writer_input *in, struct chunk *c)
{
	store_writer_chunk(w->writer, c);
	/* It has room for all there are: it cannot be full. */
	ASSERT(ring_put(in->back, &c, sizeof(struct chunk *)));
}

static bool drain_input(struct writer_thread *w, struct writer_input *in)
{
	const void *m;
	size_t n;
	int taken = 0;
	while (taken < DRAIN_AT_ONCE && (m = ring_front(in->from_thread, &n))) {
		const struct message *head = m;
		if (UNLIKELY(!store_writer_knows(w->writer, message_call(head))))
			break; /* its open is on the way */
		if (LIKELY(head->kind == MESSAGE_CHUNK)) {
			struct chunk *c;
			memcpy(&c, message_body(m), sizeof(struct chunk *));
			take_chunk(w, in, c);
		} else {
			take(w, m);
		}
		ring_pop(in->from_thread);
		taken++;
	}
	return taken > 0;
}

static void *run(void *arg)
{
	struct writer_thread *w = arg;
	int64_t next_tick = 0;

	for (;;) {
		/* Read before draining: what came before it is then still drained. */
		bool last = atomic_load_explicit(&w->producers_gone, memory_order_acquire);
		bool any = drain_signalling(w);
		for (unsigned i = 0; i < w->inputs_count; i++)
			any |= drain_input(w, &w->inputs[i]);
		int64_t now = clock_mono_ns();
		if (now >= next_tick) {
			store_writer_tick(w->writer, now,
					  atomic_load_explicit(w->packet_ns, memory_order_relaxed));
			next_tick = now + TICK_NS;
		}
		if (any)
			continue;
		if (last)
			break;
		clock_sleep_us(IDLE_US);
	}
	w->result = store_writer_finish(w->writer, &w->error);
	w->writer = NULL;
	work_end(&w->work);
	return NULL;
}

enum rc writer_thread_start(struct writer_thread *w, struct error *err)
{
	enum rc rc = thread_start(&w->thread, run, w, err);
	w->running = rc == RC_OK;
	return rc;
}

enum rc writer_thread_finish(struct writer_thread *w, struct error *err)
{
	if (!w->running)
		return RC_OK;
	atomic_store_explicit(&w->producers_gone, true, memory_order_release);
	pthread_join(w->thread, NULL);
	w->running = false;
	if (w->result != RC_OK && err)
		*err = w->error;
	return w->result;
}

void writer_thread_free(struct writer_thread *w)
{
	struct error ignored;
	if (w->running)
		(void)!writer_thread_finish(w, &ignored);
	if (w->writer)
		(void)!store_writer_finish(w->writer, &ignored);
	ring_free(w->signalling);
	for (unsigned i = 0; w->inputs && i < w->inputs_count; i++) {
		ring_free(w->inputs[i].from_thread);
		ring_free(w->inputs[i].back);
	}
	free(w->inputs);
}
