/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sink_file.c: frames into a capture file, or down a pipe. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/net.h"
#include "load/sink.h"

#define BUFFER_BYTES  (1u << 20)
#define RECORD_HEAD   16
#define FILE_HEAD     24
#define LINK_ETHERNET 1

struct file {
	struct sink sink;
	FILE *to; /* owned, but for standard output */
	char *name;
	uint64_t bytes;
	size_t used;
	bool nanoseconds;
	uint8_t buffer[BUFFER_BYTES];
};

static enum rc flush(struct file *f, struct error *err)
{
	if (fwrite(f->buffer, 1, f->used, f->to) != f->used || fflush(f->to) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", f->name);
	f->bytes += f->used;
	f->used = 0;
	return RC_OK;
}

static enum rc burst(struct sink *s, const struct load_frame *frames, unsigned n, struct error *err)
{
	struct file *f = (struct file *)s;
	for (unsigned i = 0; i < n; i++) {
		if (f->used + RECORD_HEAD + LOAD_FRAME_ROOM > BUFFER_BYTES) {
			enum rc rc = flush(f, err);
			if (rc != RC_OK)
				return rc;
		}
		uint8_t *to = f->buffer + f->used;
		int64_t second = frames[i].at_ns / NS_PER_S, part = frames[i].at_ns % NS_PER_S;
		put_u32_le(to, (uint32_t)second);
		put_u32_le(to + 4, (uint32_t)(f->nanoseconds ? part : part / NS_PER_US));
		put_u32_le(to + 8, frames[i].len);
		put_u32_le(to + 12, frames[i].len);
		memcpy(to + RECORD_HEAD, frames[i].bytes, frames[i].len);
		f->used += RECORD_HEAD + frames[i].len;
	}
	return RC_OK;
}

static enum rc finish(struct sink *s, FILE *figures, struct error *err)
{
	struct file *f = (struct file *)s;
	enum rc rc = flush(f, err);
	if (rc == RC_OK && f->to != stdout) {
		FILE *to = f->to;
		f->to = NULL;
		if (fclose(to) != 0)
			rc = error_errno(err, RC_FAILED, errno, "%s", f->name);
	}
	fprintf(figures, ", \"file_bytes\": %" PRIu64, f->bytes);
	return rc;
}

static void close_file(struct sink *s)
{
	struct file *f = (struct file *)s;
	if (f->to && f->to != stdout)
		(void)fclose(f->to);
	free(f->name);
	free(f);
}

enum rc sink_file_open(struct sink **out, const char *path, bool nanoseconds, struct error *err)
{
	struct file *f = calloc(1, sizeof *f);
	bool to_stdout = strcmp(path, "-") == 0;
	if (!f)
		return error_set(err, RC_FAILED, "not enough memory");
	f->sink = (struct sink){ burst, finish, close_file };
	f->name = strdup(to_stdout ? "standard output" : path);
	f->to = to_stdout ? stdout : fopen(path, "wbe");
	f->nanoseconds = nanoseconds;
	if (!f->name || !f->to) {
		enum rc rc = error_errno(err, RC_FAILED, errno, "%s", path);
		close_file(&f->sink);
		return rc;
	}
	(void)setvbuf(f->to, NULL, _IONBF, 0); /* the buffer is ours */
	put_u32_le(f->buffer, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
	put_u16_le(f->buffer + 4, 2);
	put_u16_le(f->buffer + 6, 4);
	put_u32_le(f->buffer + 16, 65535);
	put_u32_le(f->buffer + 20, LINK_ETHERNET);
	f->used = FILE_HEAD;
	*out = &f->sink;
	return RC_OK;
}
