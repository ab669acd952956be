/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* What is known of a call, kept small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sip/call.h"

static void tell(const struct known *k, struct call_record *r)
{
	memset(r, 0, sizeof *r);
	known_tell(k, r);
}

static void nothing_is_an_empty_record(void **state)
{
	(void)state;
	struct known k = { 0 };
	struct call_record r, zeros;

	tell(&k, &r);
	memset(&zeros, 0, sizeof zeros);
	assert_memory_equal(&r, &zeros, sizeof r);
	known_clear(&k);
}

static void texts_come_back_each_in_its_field(void **state)
{
	(void)state;
	static const char *const texts[KNOWN_TEXTS] = { "id@host", "100", "",
							"Ann",     "Bob", "sip:100@a",
							"sip",     "300", "\xc3\xa9 x" };
	struct known k = { 0 };
	struct call_record r;

	assert_string_equal(known_text(&k, KNOWN_FROM), "");
	known_set_texts(&k, texts);
	for (unsigned i = 0; i < KNOWN_TEXTS; i++)
		assert_string_equal(known_text(&k, (enum known_text)i), texts[i]);
	tell(&k, &r);
	assert_string_equal(r.sip_call_id, texts[0]);
	assert_string_equal(r.from, texts[1]);
	assert_string_equal(r.to, texts[2]);
	assert_string_equal(r.from_name, texts[3]);
	assert_string_equal(r.to_name, texts[4]);
	assert_string_equal(r.from_uri, texts[5]);
	assert_string_equal(r.to_uri, texts[6]);
	assert_string_equal(r.diverted_from, texts[7]);
	assert_string_equal(r.referred_by, texts[8]);
	known_clear(&k);
}

/* One text becomes another of them, longer or shorter: what it is made of lies in what it replaces. */
static void a_text_changes_and_the_others_stay(void **state)
{
	(void)state;
	struct known k = { 0 };

	known_set_text(&k, KNOWN_TO, "200");
	known_set_text(&k, KNOWN_FROM, "a much longer name than there was room for");
	known_set_text(&k, KNOWN_REFERRED_BY, known_text(&k, KNOWN_FROM));
	known_set_text(&k, KNOWN_FROM, "");
	assert_string_equal(known_text(&k, KNOWN_FROM), "");
	assert_string_equal(known_text(&k, KNOWN_TO), "200");
	assert_string_equal(known_text(&k, KNOWN_REFERRED_BY),
			    "a much longer name than there was room for");
	known_clear(&k);
	assert_string_equal(known_text(&k, KNOWN_TO), "");
}

static void texts_longer_than_their_fields_are_cut(void **state)
{
	(void)state;
	struct known k = { 0 };
	struct call_record r;
	char text[1000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (unsigned i = 0; i < KNOWN_TEXTS; i++)
		known_set_text(&k, (enum known_text)i, text);
	tell(&k, &r);
	assert_int_equal(strlen(r.sip_call_id), sizeof r.sip_call_id - 1);
	assert_int_equal(strlen(r.from), sizeof r.from - 1);
	assert_int_equal(strlen(r.referred_by), sizeof r.referred_by - 1);
	known_clear(&k);
}

static void remarks_are_made_once_and_taken_back(void **state)
{
	(void)state;
	static char names[COVERAGE_MAX + 1][8];
	struct known k = { 0 };
	struct call_record r;

	assert_false(known_unremark(&k, "zrtp"));
	for (unsigned i = 0; i < COVERAGE_MAX; i++) {
		snprintf(names[i], sizeof names[i], "r%u", i);
		assert_true(known_remark(&k, names[i]));
		assert_false(known_remark(&k, names[i]));
	}
	assert_false(known_remark(&k, "one more"));
	assert_true(known_unremark(&k, "r3"));
	assert_false(known_unremark(&k, "r3"));
	assert_true(known_remark(&k, "one more"));
	tell(&k, &r);
	assert_int_equal(r.coverage_count, COVERAGE_MAX);
	assert_string_equal(r.coverage[2], "r2");
	assert_string_equal(r.coverage[3], "r4");
	assert_string_equal(r.coverage[COVERAGE_MAX - 1], "one more");
	known_clear(&k);
}

static void other_media_is_named_once_in_the_order_it_came(void **state)
{
	(void)state;
	struct known k = { 0 };
	struct call_record r;

	assert_true(known_other(&k, 4)); /* message */
	assert_true(known_other(&k, 0)); /* video */
	assert_false(known_other(&k, 4));
	tell(&k, &r);
	assert_string_equal(r.other_media, "message,video");
	for (uint8_t i = 0; i < 6; i++)
		(void)known_other(&k, i);
	tell(&k, &r);
	assert_string_equal(r.other_media, "message,video,text,t38,image,application");
	known_clear(&k);
}

static void holds_digits_and_keys_are_told(void **state)
{
	(void)state;
	struct known k = { 0 };
	struct call_record r;
	struct sdes_key key = { .key_len = 30, .key = { 1, 2, 3 }, .suite = "AES_CM_128" };

	known_extras(&k)->holds_count = 1;
	known_extras(&k)->holds[0].from_us = 5;
	known_extras(&k)->holds[0].to_us = 7;
	memcpy(known_extras(&k)->digits[TRACK_CALLEE], "42", 3);
	for (uint8_t i = 0; i < SDES_MAX; i++) {
		key.key[0] = i;
		assert_int_equal(sdes_note(known_keys(&k), TRACK_CALLEE, i, &key, 9), SDES_NOTED);
		assert_int_equal(sdes_note(known_keys(&k), TRACK_CALLEE, i, &key, 9), SDES_KNOWN);
	}
	assert_int_equal(sdes_note(known_keys(&k), TRACK_CALLER, 0, &key, 9), SDES_TOO_MANY);
	/* Each key's leg goes with it. */
	sdes_drop(k.keys, 1);
	assert_int_equal(k.keys->leg[0], 0);
	assert_int_equal(k.keys->leg[1], 2);
	tell(&k, &r);
	assert_int_equal(r.holds_count, 1);
	assert_int_equal(r.holds[0].from_us, 5);
	assert_int_equal(r.holds[0].to_us, 7);
	assert_string_equal(r.digits[TRACK_CALLER], "");
	assert_string_equal(r.digits[TRACK_CALLEE], "42");
	assert_int_equal(r.sdes_count, SDES_MAX - 1);
	assert_int_equal(r.sdes[0].key[0], 0);
	assert_int_equal(r.sdes[1].key[0], 2);
	assert_int_equal(r.sdes[1].from_us, 9);
	assert_string_equal(r.sdes[1].suite, "AES_CM_128");
	known_clear(&k);
	assert_null(k.keys);
	assert_null(k.extras);
}

/* What performance.md says of a usual call. */
static void an_open_call_is_small(void **state)
{
	(void)state;
	assert_in_range(sizeof(struct call), 1, 600); /* with two of the next and one of the last */
	assert_in_range(sizeof(struct line), 1, 72);
	assert_in_range(sizeof(struct exchange), 1, 56);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_an_empty_record),
		cmocka_unit_test(texts_come_back_each_in_its_field),
		cmocka_unit_test(a_text_changes_and_the_others_stay),
		cmocka_unit_test(texts_longer_than_their_fields_are_cut),
		cmocka_unit_test(remarks_are_made_once_and_taken_back),
		cmocka_unit_test(other_media_is_named_once_in_the_order_it_came),
		cmocka_unit_test(holds_digits_and_keys_are_told),
		cmocka_unit_test(an_open_call_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
