/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* writer_thread.h: the thread that seals and appends: rings in, segments out.
 *
 * Signalling sends a call's `open` before anyone can expect its media, but on another ring, and it may still
 * wait in signalling's outbox: what a capture thread sends of a call that is not open yet stays at the head of its ring
 * until it is.  Each ring has its turn, and each turn its bound: a flood of new calls (a call costs two sealed
 * boxes) delays new calls, not the audio of those that are open.
 */
#ifndef CALLSPAN_RECORDER_WRITER_THREAD_H
#define CALLSPAN_RECORDER_WRITER_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/counters.h"
#include "base/work.h"
#include "recorder/messages.h"
#include "store/store.h"

#define WRITER_INPUT_BYTES                                                                         \
	(8u << 20)        /* beside its chunks, of which each ring holds all there are */
#define CHUNK_MESSAGE 32u /* a pointer, its heads, and room to spare */

struct writer_input {
	struct ring *from_thread; /* owned: a capture thread's messages */
	struct ring *back;        /* owned: its chunk buffers, on their way home */
};

struct writer_thread {
	struct store_writer *writer; /* owned */
	struct ring *signalling;     /* owned: signalling's messages */
	struct writer_input *inputs; /* owned */
	unsigned inputs_count;
	struct counters counters;
	struct work work;
	_Atomic int64_t *packet_ns;  /* borrowed: newest packet time of all capture threads */
	_Atomic bool producers_gone; /* set by the recorder: nothing more will come */
	pthread_t thread;
	bool running;
	enum rc result;
	struct error error;
};

/* Make the rings and the store writer; start nothing.  `chunks`: buffers of each capture thread. */
enum rc writer_thread_init(struct writer_thread *w, struct store_writer_config cfg, unsigned inputs,
			   size_t chunks, _Atomic int64_t *packet_ns, struct error *err) MUST_USE;
enum rc writer_thread_start(struct writer_thread *w, struct error *err) MUST_USE;

/* Say that nothing more will come, wait for the last segment to be closed, give the result. */
enum rc writer_thread_finish(struct writer_thread *w, struct error *err) MUST_USE;
void writer_thread_free(struct writer_thread *w);

#endif
