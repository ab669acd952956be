/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* vault_help.h: for tests of src/vault: a store made by vault_init() in a folder of its own, calls written
 * into it as the recorder does, requests and what they answer.  All of it is static.
 */
#ifndef CALLSPAN_TESTS_VAULT_HELP_H
#define CALLSPAN_TESTS_VAULT_HELP_H

#include "store_help.h"

#include <jansson.h>

#include "base/bytes.h"
#include "vault/parts.h"
#include "vault/vault.h"

#define PASSPHRASE    "correct horse battery staple"
#define FRAME_SAMPLES 160

struct test_vault {
	char path[64];
	struct vault *v;
	struct counters counters;
	struct error err; /* of the last request */
	json_t *replies;  /* array, of the last request */
};

HELP struct vault_init test_init_config(const struct test_vault *t, const char *policy,
					const char *passphrase)
{
	return (struct vault_init){ .store = t->path,
				    .policy = policy,
				    .policy_dir = "conf/policies",
				    .controller = "alice",
				    .passphrase = passphrase,
				    .allow_cow = true,
				    .recorder_uid = (uid_t)-1 };
}

HELP void test_vault_path(struct test_vault *t)
{
	memset(t, 0, sizeof *t);
	/* In memory where there is such a place: these stores live for milliseconds and sync often. */
	(void)snprintf(t->path, sizeof t->path, "%s/callspan-test-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(t->path));
}

HELP void test_vault_open(struct test_vault *t)
{
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_OK);
}

HELP void test_vault_reopen(struct test_vault *t)
{
	vault_close(t->v);
	test_vault_open(t);
}

HELP void test_vault_make(struct test_vault *t, const char *policy, const char *passphrase)
{
	test_vault_path(t);
	struct vault_init cfg = test_init_config(t, policy, passphrase);
	if (vault_init(&cfg, &t->err) != RC_OK)
		fail_msg("init: %s", t->err.text);
	test_vault_open(t);
}

HELP void test_vault_remove(struct test_vault *t)
{
	vault_close(t->v);
	json_decref(t->replies);
	(void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Set-up and tear-down of tests that want a store under the laboratory's policy and no more. */
HELP int test_vault_lab(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	*state = &t;
	return 0;
}

HELP int test_vault_drop(void **state)
{
	test_vault_remove(*state);
	return 0;
}

HELP void test_person(struct test_vault *t, const char *name, enum role role)
{
	struct person p = { .role = role };
	snprintf(p.name, sizeof p.name, "%s", name);
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
}

/* The audio secret, by a person's passphrase. */
HELP enum rc test_open_audio(const struct person *p, const char *passphrase,
			     struct seal_pair *audio, struct error *err)
{
	struct seal_pair own;
	enum rc rc = people_check_audio(p, err);
	if (rc == RC_OK)
		rc = people_open_own(p, passphrase, &own, err);
	return rc == RC_OK ? people_take_audio(p, &own, audio, err) : rc;
}

/* Is it their passphrase? */
HELP enum rc test_prove(const struct person *p, const char *passphrase, struct error *err)
{
	struct seal_pair own;
	return people_open_own(p, passphrase, &own, err);
}

/* ---- recording -------------------------------------------------------------------------------- */

HELP struct store_writer *test_recorder(struct test_vault *t)
{
	struct store_writer_config cfg = { .store = t->path,
					   .writer_no = 0,
					   .segment_bytes = 1 << 30,
					   .sync_ns = NS_PER_S,
					   .done_needed = 1,
					   .counters = &t->counters };
	struct store_writer *w;
	if (store_writer_new(&w, &cfg, &t->err) != RC_OK)
		fail_msg("writer: %s", t->err.text);
	return w;
}

struct test_call {
	uint64_t number;
	struct call_record r;
	struct stream_record streams[2];
};

/* Call n: it starts n seconds after the hour, rings, is answered after 2 s. */
HELP void test_call_begin(struct test_call *c, struct store_writer *w, uint64_t n)
{
	memset(c, 0, sizeof *c);
	c->number = n;
	c->r.start_us = HOUR_US + (int64_t)n * 1000000;
	c->r.id = uuid_v7(c->r.start_us * 1000);
	c->r.conversation = c->r.id;
	c->r.ring_us = c->r.start_us + 1000000;
	c->r.answer_us = c->r.start_us + 2000000;
	c->r.state = CALL_TALKING;
	c->r.outcome = OUTCOME_ANSWERED;
	c->r.sip_status = 200;
	snprintf(c->r.sip_call_id, sizeof c->r.sip_call_id, "id-%03u@example.test", (unsigned)n);
	snprintf(c->r.from, sizeof c->r.from, "+44163296%04u", (unsigned)n);
	snprintf(c->r.to, sizeof c->r.to, "2%03u", (unsigned)n);
	snprintf(c->r.from_name, sizeof c->r.from_name, "Caller %u", (unsigned)n);
	snprintf(c->r.from_uri, sizeof c->r.from_uri, "sip:%.127s@example.test", c->r.from);
	struct store_open o = { .call = n, .id = c->r.id, .start_us = c->r.start_us };
	snprintf(o.retention, sizeof o.retention, "standard");
	store_writer_open(w, &o);
	store_writer_call(w, n, &c->r);
}

/* Sample i of a track of call n, as a mu-law byte: different for each. */
HELP uint8_t test_sample(uint64_t n, unsigned track, uint32_t i)
{
	return (uint8_t)(0x80 | ((n * 37 + track * 11 + i * 5 + i / 160) & 0x3f));
}

/* A chunk of `frames` G.711 frames of 20 ms, the first being number `first` of its stream. */
HELP void test_audio_chunk(struct store_writer *w, const struct test_call *c, unsigned track,
			   uint64_t counter, uint32_t first, uint32_t frames)
{
	static struct chunk k;
	memset(&k, 0, sizeof k);
	k.call = c->number;
	k.stream = (uint16_t)(track * 32);
	k.track = (uint8_t)track;
	k.counter = counter;
	k.frames = frames;
	k.table_len = 4 * frames;
	k.payload_len = FRAME_SAMPLES * frames;
	k.header[0] = 1;
	put_u16_le(k.header + 2, FRAME_SAMPLES);
	put_u32_le(k.header + 4, frames);
	put_u32_le(k.header + 8, k.table_len);
	put_u32_le(k.header + 12, FRAME_SAMPLES);
	put_u64_le(k.header + 16, 65536 + first);
	put_u64_le(k.header + 24, (uint64_t)(c->r.answer_us + first * INT64_C(20000)));
	put_u32_le(k.header + 32, first * FRAME_SAMPLES);
	put_u32_le(k.header + 36, 0xabcd0000 + track);
	for (uint32_t f = 0; f < frames; f++)
		put_u32_le(k.table + (size_t)4 * f, f ? 20000u << 8 : 0);
	for (uint32_t i = 0; i < k.payload_len; i++)
		k.payload[i] = test_sample(c->number, track, first * FRAME_SAMPLES + i);
	store_writer_chunk(w, &k);
}

HELP void test_stream(struct store_writer *w, struct test_call *c, unsigned track, uint32_t frames)
{
	static const uint8_t host[4] = { 192, 0, 2, 7 };
	struct stream_record *s = &c->streams[track];
	s->call = c->number;
	s->stream = (uint16_t)(track * 32);
	s->track = (uint8_t)track;
	s->ssrc = 0xabcd0000 + track;
	endpoint_set_v4(&s->src, host, 4000);
	endpoint_set_v4(&s->dst, host, 5000);
	snprintf(s->codec, sizeof s->codec, "PCMU");
	s->payload_types_count = 1;
	s->clock_rate = 8000;
	s->channels = 1;
	s->ptime_ms = 20;
	s->packets = frames;
	s->bytes = frames * FRAME_SAMPLES;
	s->start_us = c->r.answer_us;
	s->end_us = c->r.answer_us + (frames - 1) * INT64_C(20000);
	s->complete = true;
	store_writer_stream(w, s);
}

HELP void test_call_end(struct store_writer *w, struct test_call *c, int64_t end_us)
{
	c->r.state = CALL_ENDED;
	c->r.ended_by = ENDED_BY_CALLER;
	c->r.end_us = end_us;
	c->r.until_us = end_us;
	store_writer_call(w, c->number, &c->r);
	store_writer_done(w, c->number);
}

/* Its id as text; good until the fourth one after it. */
HELP const char *test_id(const struct test_call *c)
{
	static char text[4][UUID_TEXT];
	static unsigned next;
	return uuid_text(&c->r.id, text[next++ % 4]);
}

/* A whole call of 50 frames each way. */
HELP void test_whole_call(struct store_writer *w, struct test_call *c, uint64_t n)
{
	test_call_begin(c, w, n);
	for (unsigned track = 0; track < 2; track++) {
		test_audio_chunk(w, c, track, 0, 0, 25);
		test_audio_chunk(w, c, track, 1, 25, 25);
		test_stream(w, c, track, 50);
	}
	test_call_end(w, c, c->r.answer_us + 1000000);
}

HELP void test_finish(struct test_vault *t, struct store_writer *w)
{
	if (store_writer_finish(w, &t->err) != RC_OK)
		fail_msg("finish: %s", t->err.text);
}

HELP void test_record(struct test_vault *t, unsigned calls, struct test_call *out)
{
	struct test_call scratch;
	struct store_writer *w = test_recorder(t);
	for (unsigned n = 0; n < calls; n++)
		test_whole_call(w, out ? &out[n] : &scratch, n);
	test_finish(t, w);
}

/* ---- asking ------------------------------------------------------------------------------------ */

HELP bool test_collect(void *ctx, const json_t *object)
{
	struct test_vault *t = ctx;
	json_array_append_new(t->replies, json_deep_copy(object));
	return true;
}

/* Ask as a person; single quotes in the JSON stand for double ones. */
PRINTF_LIKE(3, 4)
HELP enum rc test_ask_as(struct test_vault *t, const char *person, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_true(n > 0 && (size_t)n < sizeof text);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_t *request = json_loads(text, 0, NULL);
	assert_non_null(request);
	json_decref(t->replies);
	t->replies = json_array();
	const struct vault_caller who = { .person = person, .uid = 1000 };
	enum rc rc = vault_request(t->v, &who, request, test_collect, t, &t->err);
	json_decref(request);
	return rc;
}
#define test_ask(t, ...) test_ask_as(t, "alice", __VA_ARGS__)

HELP const json_t *test_reply(const struct test_vault *t, size_t i)
{
	const json_t *o = json_array_get(t->replies, i);
	assert_non_null(o);
	return o;
}

HELP const char *test_text(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));
	assert_non_null(s);
	return s;
}

HELP json_int_t test_number(const json_t *o, const char *member)
{
	const json_t *j = json_object_get(o, member);
	assert_true(json_is_integer(j));
	return json_integer_value(j);
}

/* Ask, and fail with what was said.  The first reply, if there is one. */
PRINTF_LIKE(3, 4)
HELP const json_t *test_must_as(struct test_vault *t, const char *person, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (test_ask_as(t, person, "%s", text) != RC_OK)
		fail_msg("%s: %s", text, t->err.text);
	return json_array_get(t->replies, 0);
}
#define test_must(t, ...) test_must_as(t, "alice", __VA_ARGS__)

/* How many entries of the audit trail have this action and outcome. */
HELP size_t test_audited(struct test_vault *t, const char *action, const char *outcome)
{
	size_t n = 0;
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *o = json_array_get(t->replies, i);
		const char *what = json_string_value(json_object_get(o, "outcome"));
		n += strcmp(test_text(o, "action"), action) == 0 &&
		     (!outcome || (what && strcmp(what, outcome) == 0));
	}
	return n;
}

/* The only segment file with this ending in a folder of the store; false: there is none. */
HELP bool test_find(const struct test_vault *t, const char *folder, const char *ending,
		    char path[512])
{
	char dir[128];
	const struct dirent *e;
	bool found = false;
	snprintf(dir, sizeof dir, "%s/%s", t->path, folder);
	DIR *d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name), tail = strlen(ending);
		if (len <= tail || strcmp(e->d_name + len - tail, ending) != 0)
			continue;
		snprintf(path, 512, "%s/%s", dir, e->d_name);
		found = true;
	}
	closedir(d);
	return found;
}

#endif
