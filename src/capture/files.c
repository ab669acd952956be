/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* files.c: several capture files as one source, in time order.  One thread.
 *
 * Each file's next frame stands ready; a heap gives the file whose frame is oldest, the file
 * given first where times are equal.  Time stamps that run backwards inside a file are passed
 * as they are.  A file that breaks leaves the heap, its failure is kept, the others go on.
 */
#include "capture/kind.h"

#include <stdio.h>
#include <stdlib.h>

#include "capture/staging.h"

struct input {
	struct capture_file *file; /* owned; NULL once it is closed */
	struct frame next;         /* borrowed from the file; not yet given */
	bool later;                /* on top of the heap, and its next frame to be read yet */
	bool over;     /* it has ended in this burst, which may still look at its frames */
	uint64_t size; /* bytes read in the end */
};

struct files {
	struct capture base;
	struct staging staging;
	struct input *inputs; /* owned: in the order given */
	size_t count;
	uint32_t *heap; /* owned: numbers of the inputs that have a frame ready, oldest on top */
	size_t heap_used;
	struct error failure; /* of the first file that broke */
	unsigned broken;
	bool some_over; /* files to be closed when the next burst begins */
};

static bool older(const struct files *s, uint32_t a, uint32_t b)
{
	int64_t ta = s->inputs[a].next.ts_ns, tb = s->inputs[b].next.ts_ns;

	return ta != tb ? ta < tb : a < b;
}

/* Put the top where it belongs, after its time changed. */
static void sink_top(struct files *s)
{
	uint32_t top = s->heap[0];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= s->heap_used)
			break;
		if (child + 1 < s->heap_used && older(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!older(s, s->heap[child], top))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = top;
}

static void add_to_heap(struct files *s, uint32_t input)
{
	size_t at = s->heap_used++;

	for (; at > 0 && older(s, input, s->heap[(at - 1) / 2]); at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = input;
}

/* Make the next frame of a file stand ready; false when there is none, and the file is over.  Where this burst has no room
 * for it, the burst ends. */
static bool advance(struct files *s, uint32_t number)
{
	struct input *in = &s->inputs[number];
	uint64_t total;
	enum capture_file_read got = capture_file_next(in->file, &in->next);

	in->later = got == CAPTURE_FILE_LATER;
	if (LIKELY(got == CAPTURE_FILE_FRAME)) {
		in->next.interface_no = (uint16_t)number;
		return true;
	}
	if (in->later)
		return true;
	if (got == CAPTURE_FILE_BROKEN && s->broken++ == 0)
		capture_file_failure(in->file, &s->failure);
	capture_file_progress(in->file, &in->size, &total);
	in->size = total; /* done with it, wherever it broke */
	in->over = s->some_over = true;
	return false;
}

/* The file on top of the heap has given its frame: on to its next. */
static void go_on(struct files *s)
{
	if (!advance(s, s->heap[0]))
		s->heap[0] = s->heap[--s->heap_used];
	else if (s->inputs[s->heap[0]].later)
		return;
	if (s->heap_used > 1)
		sink_top(s);
}

static void close_those_over(struct files *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!s->inputs[i].over)
			continue;
		capture_file_close(s->inputs[i].file);
		s->inputs[i].file = NULL;
		s->inputs[i].over = false;
	}
	s->some_over = false;
}

static void begin_burst(struct files *s)
{
	if (UNLIKELY(s->some_over))
		close_those_over(s);
	staging_restart(&s->staging);
	for (size_t i = 0; i < s->heap_used; i++)
		capture_file_burst(s->inputs[s->heap[i]].file);
	if (s->heap_used > 0 && s->inputs[s->heap[0]].later)
		go_on(s);
}

static int files_burst(struct capture *c, struct frame *frames, int max)
{
	struct files *s = (struct files *)c;
	int n = 0;

	begin_burst(s);
	while (n < max && s->heap_used > 0 && !s->inputs[s->heap[0]].later) {
		const struct input *top = &s->inputs[s->heap[0]];
		frames[n] = top->next;
		if (!capture_file_stays(top->file))
			staging_keep(&s->staging, &frames[n]);
		n++;
		go_on(s);
	}
	return n > 0 ? n : -1;
}

static void files_wait(struct capture *c, int timeout_ms)
{
	(void)c;
	(void)timeout_ms;
}

static const char *files_failure(const struct capture *c)
{
	const struct files *s = (const struct files *)c;

	return s->broken ? s->failure.text : NULL;
}

static uint64_t files_kernel_drops(struct capture *c)
{
	(void)c;
	return 0;
}

static void files_progress(const struct capture *c, uint64_t *done, uint64_t *total)
{
	const struct files *s = (const struct files *)c;
	bool known = true;

	*done = *total = 0;
	for (size_t i = 0; i < s->count; i++) {
		uint64_t file_done = s->inputs[i].size, file_total = file_done;
		if (s->inputs[i].file && !s->inputs[i].over)
			capture_file_progress(s->inputs[i].file, &file_done, &file_total);
		known = known && file_total > 0;
		*done += file_done;
		*total += file_total;
	}
	if (!known)
		*total = 0;
}

static void files_close(struct capture *c)
{
	struct files *s = (struct files *)c;

	for (size_t i = 0; i < s->count; i++)
		capture_file_close(s->inputs[i].file);
	staging_clear(&s->staging);
	free(s->heap);
	free(s->inputs);
	free(s);
}

static const struct capture_kind files_kind = {
	.burst = files_burst,
	.wait = files_wait,
	.failure = files_failure,
	.kernel_drops = files_kernel_drops,
	.progress = files_progress,
	.close = files_close,
};

enum rc capture_open_files(struct capture **out, const char *const *paths, size_t n,
			   const char *filter, struct error *err)
{
	if (n == 0 || n > UINT16_MAX)
		return error_set(err, RC_USAGE, "no capture file, or too many");

	enum rc rc = RC_FAILED;
	struct files *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, rc, "out of memory");
	s->base.kind = &files_kind;
	s->inputs = calloc(n, sizeof *s->inputs);
	s->heap = calloc(n, sizeof *s->heap);
	if (!s->inputs || !s->heap || !staging_init(&s->staging)) {
		(void)error_set(err, rc, "out of memory");
		goto fail;
	}
	for (; s->count < n; s->count++) {
		rc = capture_file_open(&s->inputs[s->count].file, paths[s->count], filter, err);
		if (rc != RC_OK)
			goto fail;
	}
	for (uint32_t i = 0; i < n; i++)
		if (advance(s, i))
			add_to_heap(s, i);
	*out = &s->base;
	return RC_OK;
fail:
	files_close(&s->base);
	return rc;
}
