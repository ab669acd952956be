/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* store_help.h: for tests of src/store: a store in a folder of its own, calls and chunks to write
 * into it, and its files as bytes.  All of it is static, so that a test links only what it tests.
 */
#ifndef CALLSPAN_TESTS_STORE_HELP_H
#define CALLSPAN_TESTS_STORE_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"

#define HELP         __attribute__((unused)) static
#define HOUR_US      INT64_C(1772532000000000) /* 2026-03-03T10:00:00Z */
#define HOUR_NS      (HOUR_US * 1000)
#define NEXT_HOUR_NS (HOUR_NS + INT64_C(3600) * NS_PER_S)

struct test_store {
	char path[64];
	struct seal_pair audio, metadata;
	struct sign_pair sign;
	struct counters counters;
};

HELP void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(close(fd), 0);
}

/* Owned by the caller. */
HELP uint8_t *read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	uint8_t *p = malloc(*len + 1);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *len), *len);
	assert_int_equal(close(fd), 0);
	return p;
}

HELP void test_store_make(struct test_store *t)
{
	char path[128];
	struct error err;

	memset(t, 0, sizeof *t);
	(void)snprintf(t->path, sizeof t->path, "/tmp/callspan-segment-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	(void)snprintf(path, sizeof path, "%s/VERSION", t->path);
	write_file(path, STORE_VERSION_LINE, strlen(STORE_VERSION_LINE));
	seal_pair_new(&t->audio);
	seal_pair_new(&t->metadata);
	sign_pair_new(&t->sign);
	assert_int_equal(store_recorder_init(t->path, t->audio.public_key, t->metadata.public_key,
					     &t->sign, &err),
			 RC_OK);
}

HELP int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

HELP void test_store_remove(struct test_store *t)
{
	(void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

HELP struct store_writer *test_writer(struct test_store *t, size_t segment_bytes)
{
	struct store_writer_config cfg = { .store = t->path,
					   .writer_no = 7,
					   .segment_bytes = segment_bytes,
					   .sync_ns = NS_PER_S,
					   .done_needed = 2,
					   .counters = &t->counters };
	struct store_writer *w;
	struct error err;

	assert_int_equal(store_writer_new(&w, &cfg, &err), RC_OK);
	return w;
}

HELP struct store_open test_open(uint64_t call, int64_t start_us, const char *retention)
{
	struct store_open o = { .call = call,
				.id = uuid_v7(start_us * 1000),
				.start_us = start_us };
	(void)snprintf(o.retention, sizeof o.retention, "%s", retention);
	return o;
}

/* A chunk whose every byte follows from call, stream and counter. */
HELP void test_chunk(struct chunk *c, uint64_t call, uint16_t stream, uint64_t counter,
		     uint32_t payload)
{
	c->call = call;
	c->counter = counter;
	c->stream = stream;
	c->track = stream & 1;
	c->thread = 0;
	c->frames = payload / 160;
	c->table_len = 4 * c->frames;
	c->payload_len = payload;
	memset(c->header, (int)(call & 0x7f), sizeof c->header);
	memset(c->table, (int)(stream & 0x7f), c->table_len);
	for (uint32_t i = 0; i < payload; i++)
		c->payload[i] = (uint8_t)(call * 31 + stream * 7 + counter * 3 + i);
}

HELP void test_call_record(struct call_record *r, const struct uuid *id)
{
	memset(r, 0, sizeof *r);
	r->id = *id;
	r->conversation = *id;
	(void)snprintf(r->from, sizeof r->from, "+441632960001");
	(void)snprintf(r->to, sizeof r->to, "+441632960099");
	r->start_us = HOUR_US;
	r->state = CALL_TALKING;
}

HELP void test_done(struct store_writer *w, uint64_t call)
{
	store_writer_done(w, call);
	store_writer_done(w, call);
}

/* Paths of the segments in STORE/recorder, sorted; their number. */
#define SEGMENTS_MAX 64
struct test_segments {
	size_t count;
	char path[SEGMENTS_MAX][256];
};

HELP int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

HELP void test_list(const struct test_store *t, struct test_segments *list)
{
	char dir[128];
	struct dirent *e;

	list->count = 0;
	(void)snprintf(dir, sizeof dir, "%s/recorder", t->path);
	DIR *d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name);
		if (len > 4 && strcmp(e->d_name + len - 4, ".seg") == 0) {
			assert_true(list->count < SEGMENTS_MAX);
			int n = snprintf(list->path[list->count++], sizeof list->path[0], "%s/%s",
					 dir, e->d_name);
			assert_true(n > 0 && (size_t)n < sizeof list->path[0]);
		}
	}
	assert_int_equal(closedir(d), 0);
	qsort(list->path, list->count, sizeof list->path[0], by_text);
}

/* The only segment of the store. */
HELP const char *test_only(const struct test_store *t, struct test_segments *list)
{
	test_list(t, list);
	assert_int_equal(list->count, 1);
	return list->path[0];
}

HELP struct segment *test_segment(const char *path)
{
	struct segment *s;
	struct error err;

	assert_int_equal(segment_open(&s, path, &err), RC_OK);
	return s;
}

/* A segment that passes every check. */
HELP struct segment_report test_verified(const struct test_store *t, struct segment *s)
{
	struct segment_report report;

	enum rc rc = segment_verify(s, t->sign.public_key, &report);
	if (rc != RC_OK)
		print_error("%s\n", report.what);
	assert_int_equal(rc, RC_OK);
	assert_false(report.damaged);
	return report;
}

HELP void keys_path(char out[260], const char *seg_path)
{
	(void)snprintf(out, 260, "%.*s.keys", (int)(strlen(seg_path) - 4), seg_path);
}

#endif
