/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* purge_help.h: for tests of destruction: a store whose clock the test turns, calls of today in two classes, and looking for
 * what should be gone.
 */
#ifndef CALLSPAN_TESTS_PURGE_HELP_H
#define CALLSPAN_TESTS_PURGE_HELP_H

#include "vault_help.h"

#include "vault/disposal.h"

#define DAY_US     (INT64_C(86400) * 1000000)
#define CALLS_MOST 64

/* "standard" lives 30 days, "long" 300. */
static const char purge_policy[] = "policy: test\n"
				   "retention:\n"
				   "  default: standard\n"
				   "  classes:\n"
				   "    standard: { days: 30 }\n"
				   "    long: { days: 300 }\n"
				   "purposes: [ complaint ]\n"
				   "export: { plain: allow }\n";

static int64_t purge_now; /* the vault's clock */

static int64_t purge_clock(void *ctx)
{
	(void)ctx;
	return purge_now;
}

HELP void purge_open(struct test_vault *t)
{
	test_vault_open(t);
	vault_set_clock(t->v, purge_clock, NULL);
	t->v->policy.max_share = 100;
}

HELP void purge_reopen(struct test_vault *t)
{
	vault_close(t->v);
	purge_open(t);
}

HELP int purge_make(void **state)
{
	static struct test_vault t;
	char policy[128];
	test_vault_path(&t);
	(void)snprintf(policy, sizeof policy, "%s.yaml", t.path);
	write_file(policy, purge_policy, sizeof purge_policy - 1);
	struct vault_init cfg = test_init_config(&t, policy, NULL);
	if (vault_init(&cfg, &t.err) != RC_OK)
		fail_msg("init: %s", t.err.text);
	(void)unlink(policy);
	/* The trail's first entries are of the machine's clock. */
	purge_now = clock_real_ns() / 1000 + INT64_C(7200) * 1000000;
	purge_open(&t);
	*state = &t;
	return 0;
}

HELP int purge_drop(void **state)
{
	test_vault_remove(*state);
	return 0;
}

/* The beginning of the hour before this one: all calls of a test begin in it, and share a segment. */
HELP int64_t purge_hour(void)
{
	const int64_t hour = INT64_C(3600) * 1000000;
	return (purge_now / hour - 1) * hour;
}

/* Call n of a class: 50 frames each way. */
HELP void purge_call(struct store_writer *w, struct test_call *c, uint64_t n, const char *class)
{
	memset(c, 0, sizeof *c);
	c->number = n;
	c->r.start_us = purge_hour() + (int64_t)n * 1000000;
	c->r.id = uuid_v7(c->r.start_us * 1000);
	c->r.conversation = c->r.id;
	c->r.answer_us = c->r.start_us + 2000000;
	c->r.state = CALL_TALKING;
	c->r.outcome = OUTCOME_ANSWERED;
	snprintf(c->r.from, sizeof c->r.from, "+44163296%04u", (unsigned)n);
	snprintf(c->r.to, sizeof c->r.to, "2%03u", (unsigned)n);
	snprintf(c->r.from_name, sizeof c->r.from_name, "Caller %u", (unsigned)n);
	struct store_open o = { .call = n, .id = c->r.id, .start_us = c->r.start_us };
	snprintf(o.retention, sizeof o.retention, "%s", class);
	store_writer_open(w, &o);
	store_writer_call(w, n, &c->r);
	for (unsigned track = 0; track < 2; track++) {
		test_audio_chunk(w, c, track, 0, 0, 25);
		test_audio_chunk(w, c, track, 1, 25, 25);
		test_stream(w, c, track, 50);
	}
	test_call_end(w, c, c->r.answer_us + 1000000);
}

/* `n` calls of a class in one segment, taken into the vault. */
HELP void purge_record(struct test_vault *t, struct test_call *c, unsigned n, const char *class)
{
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 0; i < n; i++)
		purge_call(w, &c[i], i, class);
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'calls','limit':0}"), RC_OK);
}

HELP size_t purge_living(struct test_vault *t)
{
	assert_int_equal(test_ask(t, "{'request':'calls','limit':0}"), RC_OK);
	return json_array_size(t->replies);
}

HELP bool purge_lives(struct test_vault *t, const struct test_call *c)
{
	char id[UUID_TEXT];
	enum rc rc = test_ask(t, "{'request':'show','id':'%s'}", uuid_text(&c->r.id, id));
	assert_true(rc == RC_OK || rc == RC_FAILED);
	if (rc == RC_FAILED)
		assert_non_null(strstr(t->err.text, "this recording was destroyed on "));
	return rc == RC_OK;
}

/* How many lines the file of disposals has, and how many of a call. */
HELP size_t purge_lines(const struct test_vault *t, const struct test_call *c)
{
	char path[128], id[UUID_TEXT] = "";
	size_t len, n = 0;
	(void)snprintf(path, sizeof path, "%s/vault/disposals", t->path);
	if (access(path, F_OK) != 0)
		return 0;
	uint8_t *text = read_file(path, &len);
	if (c)
		(void)uuid_text(&c->r.id, id);
	for (size_t at = 0; at < len; n++) {
		const uint8_t *end = memchr(text + at, '\n', len - at);
		assert_non_null(end);
		n -= memcmp(text + at, id, strlen(id)) != 0;
		at = (size_t)(end - text) + 1;
	}
	free(text);
	return n;
}

/* ---- looking for boxes ------------------------------------------------------------------------- */

struct purge_boxes {
	uint8_t box[2 * CALLS_MOST][116];
	size_t count, found;
};
static struct purge_boxes *looking;

/* The sealed boxes of the slots of a store's only slot file. */
HELP void purge_boxes(const struct test_vault *t, struct purge_boxes *b)
{
	char path[512];
	size_t len;
	if (!test_find(t, "vault/segments", ".keys", path))
		assert_true(test_find(t, "recorder", ".keys", path));
	uint8_t *bytes = read_file(path, &len);
	b->count = 0;
	for (size_t at = 4096; at + 256 <= len; at += 256) {
		memcpy(b->box[b->count++], bytes + at + SLOT_AUDIO_AT, 116);
		memcpy(b->box[b->count++], bytes + at + SLOT_METADATA_AT, 116);
	}
	free(bytes);
}

HELP int purge_look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t len;
	(void)st;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	uint8_t *bytes = read_file(path, &len);
	for (size_t i = 0; i < looking->count; i++)
		looking->found += memmem(bytes, len, looking->box[i], 116) != NULL;
	free(bytes);
	return 0;
}

/* In how many files a box is found, all boxes together. */
HELP size_t purge_find_boxes(const struct test_vault *t, struct purge_boxes *b)
{
	b->found = 0;
	looking = b;
	assert_int_equal(nftw(t->path, purge_look, 16, FTW_PHYS), 0);
	return b->found;
}

/* ---- copies ------------------------------------------------------------------------------------ */

HELP void purge_copy_tree(const char *from, const char *to)
{
	char command[2200];
	int n = snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_true(n > 0 && (size_t)n < sizeof command);
	assert_int_equal(system(command), 0);
}

#endif
