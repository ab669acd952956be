/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_entry.c: there is one way to write an entry, and no other is read. */
#include "vault/entry.h"
#include "vault_help.h"

static const char *written(const struct audit_entry *e)
{
	static char text[ENTRY_TEXT + 1];
	text[entry_write(text, e)] = '\0';
	return text;
}

static void members_stand_in_their_order_and_empty_ones_nowhere(void **state)
{
	const uint8_t follows[32] = { 0xab, [31] = 1 };
	struct uuid id;
	(void)state;
	assert_true(uuid_parse(&id, "0192f0c1-7aaa-7bbb-8ccc-0123456789ab"));
	const struct audit_entry all = { .number = 7,
					 .time_us = INT64_C(1795253400123456),
					 .person = "alice",
					 .role = "controller",
					 .action = "export",
					 .call = &id,
					 .purpose = "complaint",
					 .reference = "C-17",
					 .outcome = "granted",
					 .detail = "more",
					 .after = 3,
					 .follows = follows };
	assert_string_equal(
		written(&all),
		"{\"number\":7,\"time\":\"2026-11-21T09:30:00.123456Z\",\"person\":\"alice\","
		"\"role\":\"controller\",\"action\":\"export\","
		"\"call\":\"0192f0c1-7aaa-7bbb-8ccc-0123456789ab\",\"purpose\":\"complaint\","
		"\"reference\":\"C-17\",\"outcome\":\"granted\",\"detail\":\"more\",\"after\":3,"
		"\"follows\":"
		"\"ab00000000000000000000000000000000000000000000000000000000000001\"}");
	assert_string_equal(written(&(struct audit_entry){ .number = 1, .person = "" }),
			    "{\"number\":1,\"time\":\"1970-01-01T00:00:00.000000Z\"}");
}

static void texts_are_one_line_of_utf8_whatever_they_were(void **state)
{
	static const struct {
		const char *given, *text;
	} cases[] = {
		{ "say \"no\" \\ now", "say \\\"no\\\" \\\\ now" },
		{ "a\nb\r\t\x01\x1f\x7f", "a\\u000ab\\u000d\\u0009\\u0001\\u001f\\u007f" },
		{ "Müller 電話 \U0001f4de", "Müller 電話 \U0001f4de" },
		{ "a\xff\xc3z\xed\xa0\x80", "a??z???" }, /* no UTF-8, cut short, a surrogate */
	};
	struct entry x = { 0 };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char expected[256];
		const struct audit_entry e = { .number = 1, .detail = cases[i].given };
		snprintf(
			expected, sizeof expected,
			"{\"number\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"detail\":\"%s\"}",
			cases[i].text);
		const char *text = written(&e);
		assert_string_equal(text, expected);
		assert_true(entry_read(&x, text, strlen(text)));
		if (i < 3)
			assert_string_equal(x.e.detail, cases[i].given);
		json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(j);
		assert_string_equal(test_text(j, "detail"), x.e.detail);
		json_decref(j);
	}
	entry_free(&x);
}

static void long_texts_are_cut_between_characters(void **state)
{
	static char given[3 * ENTRY_FIELD];
	struct entry x = { 0 };
	(void)state;
	memset(given, 'x', ENTRY_FIELD - 1);
	snprintf(given + ENTRY_FIELD - 1, sizeof given - ENTRY_FIELD, "\u00fc and more");
	const char *text = written(&(struct audit_entry){ .number = 1, .reference = given });
	assert_true(entry_read(&x, text, strlen(text)));
	assert_int_equal(strlen(x.e.reference), ENTRY_FIELD - 1);
	/* the largest there can be */
	memset(given, 1, sizeof given - 1);
	const struct audit_entry e = { .number = UINT64_MAX / 10,
				       .person = given,
				       .role = given,
				       .action = given,
				       .purpose = given,
				       .reference = given,
				       .outcome = given,
				       .detail = given };
	text = written(&e);
	assert_true(strlen(text) < ENTRY_TEXT);
	assert_true(entry_read(&x, text, strlen(text)));
	assert_int_equal(strlen(x.e.detail), ENTRY_FIELD);
	entry_free(&x);
}

static void what_is_written_otherwise_is_not_read(void **state)
{
#define TIME "\"time\":\"2026-11-21T09:30:00.123456Z\""
	static const char *const wrong[] = {
		"",
		"{}",
		"[]",
		"{\"number\":7}",
		"{" TIME ",\"number\":7}",
		"{\"number\":7, " TIME "}",
		"{\"number\": 7," TIME "}",
		"{\"number\":\"7\"," TIME "}",
		"{\"number\":07," TIME "}",
		"{\"number\":-7," TIME "}",
		"{\"number\":7.0," TIME "}",
		"{\"number\":99999999999999999999," TIME "}",
		"{\"number\":7," TIME "} ",
		"{\"number\":7," TIME "}}",
		"{\"number\":7," TIME ",}",
		"{\"number\":7," TIME,
		"{\"number\":7,\"time\":\"yesterday\"}",
		"{\"number\":7,\"time\":5}",
		"{\"number\":7," TIME ",\"person\":\"\"}",
		"{\"number\":7," TIME ",\"person\":null}",
		"{\"number\":7," TIME ",\"person\":\"a\",\"person\":\"b\"}",
		"{\"number\":7," TIME ",\"action\":\"a\",\"person\":\"b\"}",
		"{\"number\":7," TIME ",\"other\":\"a\"}",
		"{\"number\":7," TIME ",\"person\":\"a\\n\"}",
		"{\"number\":7," TIME ",\"person\":\"a\nb\"}",
		"{\"number\":7," TIME ",\"person\":\"a\x7f\"}",
		"{\"number\":7," TIME ",\"person\":\"a\\u0041\"}",
		"{\"number\":7," TIME ",\"person\":\"a\\u0000\"}",
		"{\"number\":7," TIME ",\"person\":\"a\\u000A\"}",
		"{\"number\":7," TIME ",\"person\":\"a\\u00",
		"{\"number\":7," TIME ",\"person\":\"a\\",
		"{\"number\":7," TIME ",\"call\":\"0192f0c1\"}",
		"{\"number\":7," TIME ",\"after\":0}",
		"{\"number\":7," TIME ",\"follows\":\"ab\"}",
	};
	struct entry x = { 0 };
	(void)state;
	static const char right[] = "{\"number\":7," TIME ",\"person\":\"a\",\"after\":3}";
	assert_true(entry_read(&x, right, strlen(right)));
	assert_int_equal(x.e.after, 3);
	assert_string_equal(x.e.person, "a");
	assert_null(x.e.role);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (entry_read(&x, wrong[i], strlen(wrong[i])))
			fail_msg("was read: %s", wrong[i]);
	}
	entry_free(&x);
}

/* printf '%s %s' HEX TEXT | sha256sum */
static void hash_is_of_the_hash_before_it_in_hex_a_blank_and_the_text(void **state)
{
	uint8_t hash[32], prev[32] = { 0 }, expected[32];
	char both[128];
	(void)state;
	snprintf(both, sizeof both, "%064d {\"number\":1}", 0);
	digest_sha256(expected, both, strlen(both));
	entry_hash(hash, prev, "{\"number\":1}", 12);
	assert_memory_equal(hash, expected, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_stand_in_their_order_and_empty_ones_nowhere),
		cmocka_unit_test(texts_are_one_line_of_utf8_whatever_they_were),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(what_is_written_otherwise_is_not_read),
		cmocka_unit_test(hash_is_of_the_hash_before_it_in_hex_a_blank_and_the_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
