/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_request.c: any bytes as the body of a request, from a controller, from root, and from nobody: answered with a verdict, and
 * each failure with one line.  The first byte chooses who asks, the rest is what http.c hands on.
 *
 * The store has two calls, and is made anew now and then, for requests change it.  What names a descriptor or a full path is
 * left out: that would reach outside.
 */
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/parts.h"

#define HOUR_US    INT64_C(1772532000000000)
#define ROUNDS     2000
#define REPLY_MOST 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* Its threads hold what they work on where nobody looks, and what they will do at their end (thread_local). */
const char *__lsan_default_suppressions(void)
{
	return "leak:librocksdb.so\nleak:__cxa_thread_atexit_impl";
}

static const char policy_text[] = "policy: fuzz\n"
				  "retention:\n"
				  "  default: standard\n"
				  "  classes:\n"
				  "    standard: {days: 30}\n"
				  "purposes: [complaint, training]\n"
				  "export: {plain: allow}\n";

static char store[64];
static struct vault *vault;
static struct counters counters;

static void record(unsigned n)
{
	const struct store_writer_config cfg = { .store = store,
						 .segment_bytes = 1 << 20,
						 .sync_ns = 1000000000,
						 .done_needed = 1,
						 .counters = &counters };
	struct call_record r = { .start_us = HOUR_US + n,
				 .answer_us = HOUR_US + n + 1,
				 .end_us = HOUR_US + n + 2,
				 .state = CALL_ENDED,
				 .outcome = OUTCOME_ANSWERED,
				 .from = "+441632960001",
				 .to = "2001" };
	struct store_open o = { .call = 1, .start_us = r.start_us, .retention = "standard" };
	struct store_writer *w;
	struct error err;
	/* The same ids each time, so that inputs can name them. */
	memset(r.id.b, 0x11 * (int)(n + 1), sizeof r.id.b);
	r.conversation = o.id = r.id;
	ASSERT(store_writer_new(&w, &cfg, &err) == RC_OK);
	store_writer_open(w, &o);
	store_writer_call(w, 1, &r);
	store_writer_done(w, 1);
	ASSERT(store_writer_finish(w, &err) == RC_OK);
}

static void drop_store(void)
{
	if (vault)
		__lsan_unregister_root_region(vault, sizeof *vault);
	vault_close(vault);
	vault = NULL;
	if (*store)
		disk_remove_tree(store);
}

static void make_store(void)
{
	struct error err;
	char policy[80];
	drop_store();
	snprintf(store, sizeof store, "%s/callspan-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ASSERT(mkdtemp(store));
	snprintf(policy, sizeof policy, "%s.yaml", store);
	FILE *f = fopen(policy, "w");
	ASSERT(f && fputs(policy_text, f) >= 0 && fclose(f) == 0);
	const struct vault_init cfg = { .store = store,
					.policy = policy,
					.controller = "alice",
					.allow_cow = true,
					.recorder_uid = (uid_t)-1 };
	ASSERT(vault_init(&cfg, &err) == RC_OK && vault_open(&vault, store, 0, &err) == RC_OK);
	unlink(policy);
	__lsan_register_root_region(vault, sizeof *vault); /* a mapping is not looked into */
	record(0);
	record(1);
}

/* No member reaches outside. */
static bool stays_inside(const json_t *o)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)o, name, value)
	{
		const char *text = json_string_value(value);
		if (strcmp(name, "fd") == 0 || (text && strchr(text, '/')))
			return false;
	}
	return true;
}

static bool count_reply(void *ctx, const json_t *object)
{
	unsigned *replies = ctx;
	ASSERT(json_is_object(object) && *replies < REPLY_MOST);
	return ++*replies < REPLY_MOST;
}

static void ask(const json_t *request, unsigned who_asks)
{
	static const struct vault_caller callers[] = {
		{ .person = "alice", .uid = 1000 },
		{ .person = "root", .uid = 0 },
		{ .person = "mallory", .uid = 1001 },
		{ .person = "uid 77", .uid = 77 },
	};
	struct error err;
	unsigned replies = 0;
	enum rc rc =
		vault_request(vault, &callers[who_asks % 4], request, count_reply, &replies, &err);
	ASSERT(rc == RC_OK || rc == RC_FAILED || rc == RC_USAGE || rc == RC_REFUSED ||
	       rc == RC_DAMAGED || rc == RC_AGAIN);
	ASSERT(rc == RC_OK || (err.text[0] && !strchr(err.text, '\n')));
	ASSERT(rc != RC_OK || who_asks % 4 < 2); /* who is not listed gets nothing */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned long rounds;
	json_error_t why;
	if (size < 1)
		return 0;
	json_t *request =
		json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, &why);
	if (json_is_object(request) && stays_inside(request)) {
		if (rounds++ % ROUNDS == 0) {
			make_store();
			if (rounds == 1)
				atexit(drop_store);
		}
		ask(request, data[0]);
	}
	json_decref(request);
	return 0;
}
