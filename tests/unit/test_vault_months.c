/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Exactly the right recordings live: thirteen months of a clock, and thousands of operations, against a plain model.
 *
 * Beside the store runs a model: an array of calls, which holders each has, and when its time is up, with calendar
 * months of its own arithmetic.  Everything is asked of the store by requests; what lives is read off its index.
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "vault_help.h"

#define PARTIES 400
#define HOLDERS 64
#define CALLS   20000
#define MONTHS  13
#define CLASSES 2
#define DAY_US  (INT64_C(86400) * 1000000)
#define GRACE   5
#define FIRST_US                                                                                   \
	INT64_C(2306361600000000) /* 2043-02-01T00:00:00Z: later than what init notes; ends on a 1 March */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
#define SHARE 20 /* of the calls, one in so many */
#else
#define SHARE 1
#endif

static const char *const class_names[CLASSES] = { "standard", "incident" };

/* ---- the model ------------------------------------------------------------------------------------ */

struct model_class {
	unsigned days, months;
};

struct model_call {
	struct uuid id;
	int64_t end_us, grace_us;
	unsigned party, class;
	uint64_t holders; /* bit n: holder n */
	bool lives;
};

struct model_holder {
	char name[24]; /* "H-3", "R-2"; empty: free */
	bool inquiry, standing;
	unsigned party;
};

struct world {
	struct test_vault t;
	int64_t now_us;
	unsigned seed;
	bool months; /* profile 12-month; else 30-day */
	struct model_class classes[CLASSES];
	struct model_call *calls;
	size_t count, room;
	struct model_holder holders[HOLDERS];
	uint64_t number; /* of the next call at the recorder */
	unsigned long held, released, destroyed, applied;
};

static int64_t world_now(void *ctx)
{
	return ((const struct world *)ctx)->now_us;
}

static unsigned pick(struct world *w, unsigned n)
{
	w->seed = w->seed * 1103515245u + 12345u;
	return (unsigned)((uint64_t)(w->seed >> 8) * n >> 24);
}

/* Days since 1970 of a civil date (Howard Hinnant's arithmetic, in the proleptic Gregorian calendar). */
static int64_t day_of(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
	return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

/* The same time of day so many months later; a day that is not there is the month's last. */
static int64_t months_later(int64_t us, unsigned months)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	assert_non_null(gmtime_r(&t, &tm));
	int64_t year = tm.tm_year + 1900;
	unsigned month = (unsigned)tm.tm_mon + months, day = (unsigned)tm.tm_mday;
	year += month / 12;
	month = month % 12 + 1;
	int64_t first = day_of(year, month, 1);
	int64_t next = month == 12 ? day_of(year + 1, 1, 1) : day_of(year, month + 1, 1);
	if (day > next - first)
		day = (unsigned)(next - first);
	return (first + day - 1) * DAY_US + us % DAY_US;
}

static int64_t expiry_of(const struct world *w, const struct model_call *c)
{
	const struct model_class *k = &w->classes[c->class];
	int64_t us = k->days ? c->end_us + k->days * DAY_US : months_later(c->end_us, k->months);
	return us > c->grace_us ? us : c->grace_us;
}

static bool is_due(const struct world *w, const struct model_call *c)
{
	return c->lives && !c->holders && expiry_of(w, c) <= w->now_us;
}

/* What a holder held is let go, and has the grace at least. */
static void model_untie(struct world *w, unsigned holder)
{
	for (size_t i = 0; i < w->count; i++) {
		struct model_call *c = &w->calls[i];
		uint64_t bit = UINT64_C(1) << holder;
		if (!c->lives || !(c->holders & bit))
			continue;
		c->holders &= ~bit;
		c->grace_us = w->now_us + GRACE * DAY_US;
	}
	w->holders[holder].name[0] = '\0';
	w->released++;
}

/* ---- the store ------------------------------------------------------------------------------------ */

static void policy_text(const struct world *w, char out[4096])
{
	const char *profile =
		w->months ? "conf/policies/12-month.yaml" : "conf/policies/30-day.yaml";
	char purposes[2048] = "", line[256];
	FILE *f = fopen(profile, "re");
	bool on = false;
	assert_non_null(f);
	/* The profile's purposes; its periods are what is tried here. */
	while (fgets(line, sizeof line, f)) {
		on = on ? line[0] == ' ' : strncmp(line, "purposes:", 9) == 0;
		if (on)
			strcat(purposes, line);
	}
	fclose(f);
	int n = snprintf(out, 4096,
			 "policy: months\nretention:\n  default: standard\n  time-zone: UTC\n"
			 "  grace: { days: %d }\n  classes:\n",
			 GRACE);
	for (unsigned i = 0; i < CLASSES; i++)
		n += snprintf(out + n, 4096 - (size_t)n, "    %s: { %s: %u }\n", class_names[i],
			      w->classes[i].days ? "days" : "months",
			      w->classes[i].days ? w->classes[i].days : w->classes[i].months);
	snprintf(out + n, 4096 - (size_t)n, "%sexport: { plain: refuse }\n", purposes);
}

/* Ask with a request made by hand. */
static enum rc ask(struct world *w, json_t *request)
{
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_decref(w->t.replies);
	w->t.replies = json_array();
	assert_non_null(request);
	enum rc rc = vault_request(w->t.v, &who, request, test_collect, &w->t, &w->t.err);
	json_decref(request);
	return rc;
}

static void ask_well(struct world *w, json_t *request)
{
	if (ask(w, request) != RC_OK)
		fail_msg("%s", w->t.err.text);
}

static void world_apply_policy(struct world *w)
{
	char text[4096];
	policy_text(w, text);
	ask_well(w,
		 json_pack("{s:s, s:s, s:b}", "request", "policy-apply", "text", text, "yes", 1));
	w->applied++;
}

static void world_open(struct world *w)
{
	test_vault_open(&w->t);
	vault_set_clock(w->t.v, world_now, w);
}

static struct world *world_new(bool months, unsigned seed)
{
	struct world *w = calloc(1, sizeof *w);
	assert_non_null(w);
	w->seed = seed;
	w->months = months;
	w->now_us = FIRST_US;
	w->classes[0] =
		months ? (struct model_class){ .months = 12 } : (struct model_class){ .days = 30 };
	w->classes[1] = (struct model_class){ .months = months ? 6 : 2 };
	test_vault_make(&w->t, months ? "12-month" : "30-day", PASSPHRASE);
	/* What init noted bears the machine's time: from here on it is ours, and later than that. */
	vault_set_clock(w->t.v, world_now, w);
	return w;
}

static void world_free(struct world *w)
{
	test_vault_remove(&w->t);
	free(w->calls);
	free(w);
}

static void number_of(unsigned party, char out[32])
{
	snprintf(out, 32, "+44163296%04u", party);
}

/* A call that began at that time, ended and short. */
static void record(struct world *w, struct store_writer *writer, int64_t start_us)
{
	if (w->count == w->room) {
		w->room = w->room ? 2 * w->room : 1024;
		w->calls = realloc(w->calls, w->room * sizeof *w->calls);
		assert_non_null(w->calls);
	}
	struct model_call *m = &w->calls[w->count++];
	*m = (struct model_call){ .party = pick(w, PARTIES),
				  .class = pick(w, 10) == 0,
				  .lives = true };
	struct call_record r = { .start_us = start_us,
				 .answer_us = start_us + 2000000,
				 .end_us = start_us + 3000000 + pick(w, 3000000),
				 .state = CALL_ENDED,
				 .outcome = OUTCOME_ANSWERED,
				 .ended_by = ENDED_BY_CALLER,
				 .imported = true,
				 .imported_us = w->now_us,
				 .retain_from_call = true };
	r.id = m->id = uuid_v7(start_us * 1000);
	r.conversation = r.id;
	r.until_us = m->end_us = r.end_us;
	number_of(m->party, r.from);
	snprintf(r.to, sizeof r.to, "2000");
	struct store_open o = { .call = w->number, .id = r.id, .start_us = start_us };
	snprintf(o.retention, sizeof o.retention, "%s", class_names[m->class]);
	store_writer_open(writer, &o);
	store_writer_call(writer, w->number, &r);
	store_writer_done(writer, w->number++);
	for (unsigned h = 0; h < HOLDERS; h++) {
		const struct model_holder *k = &w->holders[h];
		if (k->name[0] && k->standing && k->party == m->party)
			m->holders |= UINT64_C(1) << h;
	}
}

/* Calls of the time since `from_us`, in a few busy hours. */
static void record_calls(struct world *w, int64_t from_us, unsigned count)
{
	struct store_writer *writer = test_recorder(&w->t);
	int64_t span_us = w->now_us - from_us - INT64_C(60000000);
	for (unsigned i = 0; i < count; i++) {
		int64_t hour_us = from_us + span_us / 30 * pick(w, 30);
		int64_t room_us = span_us / 30 < 3600 * 1000000ll ? span_us / 30 : 3600 * 1000000ll;
		record(w, writer, hour_us + room_us / 4096 * pick(w, 4096));
	}
	test_finish(&w->t, writer);
	ask_well(w, json_pack("{s:s}", "request", "status"));
}

/* ---- operations ----------------------------------------------------------------------------------- */

static int free_holder(const struct world *w)
{
	for (int h = 0; h < HOLDERS; h++) {
		if (!w->holders[h].name[0])
			return h;
	}
	return -1;
}

static void name_holder(struct world *w, int h, const char *member)
{
	snprintf(w->holders[h].name, sizeof w->holders[h].name, "%s",
		 test_text(test_reply(&w->t, 0), member));
	w->held++;
}

static void hold_given(struct world *w)
{
	char text[UUID_TEXT];
	int h = free_holder(w);
	json_t *ids = json_array();
	uint64_t bit = h < 0 ? 0 : UINT64_C(1) << h;
	for (unsigned i = 0, n = 1 + pick(w, 8); h >= 0 && w->count && i < n; i++) {
		struct model_call *c = &w->calls[pick(w, (unsigned)w->count)];
		if (!c->lives)
			continue;
		c->holders |= bit;
		json_array_append_new(ids, json_string(uuid_text(&c->id, text)));
	}
	if (!json_array_size(ids)) {
		json_decref(ids);
		return;
	}
	w->holders[h] = (struct model_holder){ .party = PARTIES };
	ask_well(w, json_pack("{s:s, s:s, s:s, s:o}", "request", "hold-add", "reason",
			      "a complaint", "reference", "C-1", "ids", ids));
	name_holder(w, h, "hold");
}

static bool tie_party(struct world *w, unsigned party, int h)
{
	bool any = false;
	for (size_t i = 0; i < w->count; i++) {
		if (!w->calls[i].lives || w->calls[i].party != party)
			continue;
		w->calls[i].holders |= UINT64_C(1) << h;
		any = true;
	}
	return any;
}

static void hold_party(struct world *w)
{
	char number[32];
	int h = free_holder(w);
	unsigned party = pick(w, PARTIES);
	bool standing = pick(w, 2) == 0;
	if (h < 0)
		return;
	number_of(party, number);
	bool any = tie_party(w, party, h);
	json_t *request =
		json_pack("{s:s, s:s, s:s, s:s, s:b}", "request", "hold-add", "reason",
			  "a complaint", "reference", "C-2", "party", number, "standing", standing);
	if (!any && !standing) {
		assert_int_equal(ask(w, request), RC_USAGE);
		return;
	}
	ask_well(w, request);
	w->holders[h] = (struct model_holder){ .standing = standing, .party = party };
	name_holder(w, h, "hold");
}

static void open_inquiry(struct world *w)
{
	char number[32], received[CLOCK_TEXT];
	int h = free_holder(w);
	unsigned party = pick(w, PARTIES);
	if (h < 0)
		return;
	number_of(party, number);
	(void)clock_rfc3339(w->now_us * 1000, received);
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s}", "request", "request-open", "kind",
				    "subject-access", "party", number, "received", received,
				    "reference", "SAR");
	bool any = tie_party(w, party, h);
	enum rc rc = ask(w, request);
	if (rc != RC_OK && !any)
		return; /* nothing of this party is there */
	if (rc != RC_OK)
		fail_msg("%s", w->t.err.text);
	w->holders[h] = (struct model_holder){ .inquiry = true, .party = party };
	name_holder(w, h, "inquiry");
}

static void release(struct world *w)
{
	unsigned h = pick(w, HOLDERS);
	const struct model_holder *k = &w->holders[h];
	if (!k->name[0])
		return;
	if (k->inquiry)
		ask_well(w,
			 json_pack("{s:s, s:s, s:s, s:s}", "request", "request-refuse", "inquiry",
				   k->name, "ground", "identity", "reason", "nobody came"));
	else
		ask_well(w, json_pack("{s:s, s:s}", "request", "hold-release", "hold", k->name));
	model_untie(w, h);
}

static void change_periods(struct world *w)
{
	struct model_class *k = &w->classes[pick(w, CLASSES)];
	if (w->months)
		*k = (struct model_class){ .months = 3 + pick(w, 12) };
	else
		*k = (struct model_class){ .days = 10 + pick(w, 50) };
	world_apply_policy(w);
}

static void reopen(struct world *w)
{
	vault_close(w->t.v);
	world_open(w);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* What lives in the index, and its timers, are what the model says. */
static void compare(struct world *w)
{
	struct uuid *ids = calloc(w->count + 1, sizeof *ids);
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0, lives = 0;
	assert_non_null(ids);
	struct index_cursor *c = index_cursor_new(w->t.v->index, INDEX_CALLS, NULL, 0, false);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		assert_int_equal(key_len, 16);
		assert_true(n <= w->count);
		memcpy(ids[n++].b, key, 16);
	}
	index_cursor_free(c);
	for (size_t i = 0; i < w->count; i++) {
		const struct model_call *m = &w->calls[i];
		bool there = bsearch(&m->id, ids, n, sizeof *ids, by_id) != NULL;
		lives += m->lives;
		if (there != m->lives)
			fail_msg("call %zu %s", i, there ? "lives and should not" : "is gone");
	}
	assert_int_equal(n, lives);
	free(ids);
}

static void purge(struct world *w)
{
	size_t due = 0;
	for (size_t i = 0; i < w->count; i++) {
		struct model_call *c = &w->calls[i];
		if (!is_due(w, c))
			continue;
		c->lives = false;
		due++;
	}
	ask_well(w, json_pack("{s:s, s:b}", "request", "purge", "yes", 1));
	const json_t *last = test_reply(&w->t, json_array_size(w->t.replies) - 1);
	assert_int_equal(test_number(last, "destroyed"), due);
	w->destroyed += due;
	compare(w);
}

static void operate(struct world *w)
{
	switch (pick(w, 8)) {
	case 0:
	case 1: hold_given(w); break;
	case 2: hold_party(w); break;
	case 3: open_inquiry(w); break;
	default: release(w); break;
	}
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void thirteen_months(bool months)
{
	struct world *w = world_new(months, 1);
	world_apply_policy(w);
	for (unsigned m = 0; m < MONTHS; m++) {
		int64_t from_us = w->now_us;
		w->now_us = months_later(FIRST_US, m + 1);
		record_calls(w, from_us, CALLS / MONTHS / SHARE);
		for (unsigned i = 0; i < 30; i++)
			operate(w);
		if (m % 3 == 2)
			change_periods(w);
		if (m % 4 == 1)
			reopen(w);
		purge(w);
		purge(w); /* nothing is left to do */
	}
	assert_true(w->held > 50 && w->released > 50 && w->applied > 3);
	assert_true(w->destroyed > w->count / (months ? 100 : 2) && w->destroyed < w->count);
	printf("# %s: calls %zu, destroyed %lu, held %lu, released %lu, policies %lu\n",
	       months ? "12-month" : "30-day", w->count, w->destroyed, w->held, w->released,
	       w->applied);
	ask_well(w, json_pack("{s:s}", "request", "verify"));
	ask_well(w, json_pack("{s:s}", "request", "audit-verify"));
	ask_well(w, json_pack("{s:s}", "request", "reindex"));
	compare(w);
	purge(w);
	world_free(w);
}

static void thirty_days_over_thirteen_months(void **state)
{
	(void)state;
	thirteen_months(false);
}

static void twelve_months_over_thirteen_months(void **state)
{
	(void)state;
	thirteen_months(true);
}

/* Small steps in any order; LONG=1 takes other numbers each time and prints them. */
static void thousands_of_operations_agree_with_a_plain_model(void **state)
{
	(void)state;
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 10) : 7;
	struct world *w = world_new(seed % 2, seed);
	world_apply_policy(w);
	for (unsigned i = 0; i < 4000 / SHARE; i++) {
		int64_t before_us = w->now_us;
		unsigned what = pick(w, 40);
		if (what < 4) {
			w->now_us += DAY_US / 24 * (1 + pick(w, 120));
			record_calls(w, before_us, 1 + pick(w, 6));
		} else if (what < 7) {
			purge(w);
		} else if (what == 7) {
			reopen(w);
		} else if (what == 8 && pick(w, 8) == 0) {
			change_periods(w);
		} else if (what == 9 && pick(w, 8) == 0) {
			ask_well(w, json_pack("{s:s}", "request", "reindex"));
			compare(w);
		} else {
			operate(w);
		}
	}
	purge(w);
	printf("# seed %u: calls %zu, destroyed %lu, held %lu, released %lu\n", seed, w->count,
	       w->destroyed, w->held, w->released);
	ask_well(w, json_pack("{s:s}", "request", "audit-verify"));
	world_free(w);
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thirty_days_over_thirteen_months),
		cmocka_unit_test(twelve_months_over_thirteen_months),
		cmocka_unit_test(thousands_of_operations_agree_with_a_plain_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
