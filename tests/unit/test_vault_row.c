/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_row.c: a call survives its row, and only its own key opens who spoke; numbers find what they name. */
#include "vault_help.h"

static struct call *sample(void)
{
	struct uuid id = uuid_v7(HOUR_NS);
	struct call *c = call_row_new(&id);
	struct call_record *r = &c->r;
	r->conversation = uuid_v7(HOUR_NS + 1);
	snprintf(r->from, sizeof r->from, "+441632960001");
	snprintf(r->to, sizeof r->to, "2001");
	snprintf(r->from_name, sizeof r->from_name, "Zo\xc3\xab");
	snprintf(r->sip_call_id, sizeof r->sip_call_id, "abc@example.test");
	snprintf(r->from_uri, sizeof r->from_uri, "sip:+441632960001@example.test");
	snprintf(r->diverted_from, sizeof r->diverted_from, "+441632960007");
	snprintf(r->referred_by, sizeof r->referred_by, "2007");
	snprintf(r->other_media, sizeof r->other_media, "video,message");
	r->state = CALL_ENDED;
	r->outcome = OUTCOME_ANSWERED;
	r->ended_by = ENDED_BY_CALLEE;
	r->direction = DIRECTION_INBOUND;
	r->sip_status = 200;
	r->start_us = HOUR_US;
	r->end_us = HOUR_US + 5;
	r->holds_count = 1;
	r->holds[0].from_us = HOUR_US + 2;
	r->coverage_count = 1;
	snprintf(r->coverage[0], sizeof r->coverage[0], "truncated");
	struct stream_record *s = call_row_stream(c, 33);
	s->ssrc = 0xdeadbeef;
	s->payload_types[0] = 8;
	s->payload_types_count = 1;
	s->jitter_ms = 1.25;
	s->lost = 3;
	s->protection = PROTECTION_ZRTP;
	s->relay_copies = 4;
	s->noise = 5;
	s->loss_runs = 6;
	s->loss_longest = 7;
	s->sender_packets = 8;
	s->reports = 9;
	s->remote_lost = 10;
	s->remote_jitter_ms = 1.5;
	snprintf(s->fmtp, sizeof s->fmtp, "mode-set=0,2");
	memset(s->src.addr, 0x20, 16);
	s->src.port = 4000;
	snprintf(s->codec, sizeof s->codec, "PCMA");
	snprintf(c->segment, sizeof c->segment, "20260303T10-standard-x");
	snprintf(c->class, sizeof c->class, "standard");
	c->slot = 9;
	c->expiry_us = HOUR_US + 77;
	c->records = 12;
	c->messages = 11;
	c->last_offset = 4096;
	memset(c->digest, 0x5a, sizeof c->digest);
	c->opened = c->stale = true;
	return c;
}

static struct call_keys some_keys(uint8_t seed)
{
	struct call_keys k = { .has_metadata = true };
	memset(k.metadata, seed, sizeof k.metadata);
	return k;
}

static void call_survives_its_row(void **state)
{
	struct call_keys keys = some_keys(1);
	struct call *c = sample();
	size_t len;
	uint8_t *row = call_row_pack(c, &keys, &len);
	struct call *d = call_row_unpack(row, len);
	(void)state;
	assert_non_null(d);
	assert_false(d->opened);
	assert_string_equal(d->r.from, "");
	assert_true(call_row_open(d, &keys));
	assert_memory_equal(&c->r, &d->r, sizeof c->r);
	assert_int_equal(d->streams_count, 1);
	assert_memory_equal(&c->streams[0], &d->streams[0], sizeof c->streams[0]);
	assert_string_equal(d->segment, c->segment);
	assert_string_equal(d->class, c->class);
	assert_int_equal(d->slot, 9);
	assert_int_equal(d->expiry_us, c->expiry_us);
	assert_int_equal(d->records, 12);
	assert_int_equal(d->messages, 11);
	assert_int_equal(d->last_offset, 4096);
	assert_memory_equal(d->digest, c->digest, 32);
	free(row);
	call_row_free(c);
	call_row_free(d);
}

static void only_its_own_key_opens_who_spoke(void **state)
{
	struct call_keys keys = some_keys(1), other = some_keys(2), none = { 0 };
	struct call *c = sample();
	size_t len;
	uint8_t *row = call_row_pack(c, &keys, &len);
	struct call *d = call_row_unpack(row, len);
	(void)state;
	assert_null(memmem(row, len, "441632960001", 12));
	assert_null(memmem(row, len, "example.test", 12));
	assert_null(memmem(row, len, "441632960007", 12));
	assert_null(memmem(row, len, "2007", 4));
	assert_false(call_row_open(d, &other));
	assert_false(call_row_open(d, &none));
	d->sealed[0] ^= 1;
	assert_false(call_row_open(d, &keys));
	free(row);
	call_row_free(c);
	call_row_free(d);
}

static void row_that_was_not_opened_keeps_its_sealed_part(void **state)
{
	struct call_keys keys = some_keys(1);
	struct call *c = sample();
	size_t len;
	uint8_t *row = call_row_pack(c, &keys, &len);
	struct call *d = call_row_unpack(row, len);
	(void)state;
	d->r.end_us++;
	free(row);
	row = call_row_pack(d, NULL, &len);
	struct call *e = call_row_unpack(row, len);
	assert_int_equal(e->r.end_us, HOUR_US + 6);
	assert_true(call_row_open(e, &keys));
	assert_string_equal(e->r.from, c->r.from);
	free(row);
	call_row_free(c);
	call_row_free(d);
	call_row_free(e);
}

static void bytes_that_are_no_row_are_refused(void **state)
{
	struct call_keys keys = some_keys(1);
	struct call *c = sample();
	size_t len;
	uint8_t *row = call_row_pack(c, &keys, &len);
	(void)state;
	assert_null(call_row_unpack(row, 0));
	for (size_t cut = 1; cut < len; cut++)
		call_row_free(call_row_unpack(row, cut));
	for (size_t at = 0; at < len; at++) {
		row[at] ^= 0xff;
		call_row_free(call_row_unpack(row, len));
		row[at] ^= 0xff;
	}
	free(row);
	call_row_free(c);
}

static void name_that_is_not_utf8_is_still_json(void **state)
{
	(void)state;
	json_t *j = call_json_text("a\xff z");
	assert_string_equal(json_string_value(j), "a? z");
	json_decref(j);
	j = call_json_text("Zo\xc3\xab");
	assert_string_equal(json_string_value(j), "Zo\xc3\xab");
	json_decref(j);
}

static void numbers_are_told_from_names(void **state)
{
	static const struct {
		const char *party, *plain;
		bool digits;
	} cases[] = {
		{ "+44 (20) 7946-0123", "442079460123", true },
		{ "2001", "2001", true },
		{ "Alice.Smith", "alice.smith", false },
		{ "*21", "*21", false },
		{ "", "", false },
		{ "+", "+", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char plain[PARTY_TEXT];
		assert_int_equal(party_plain(cases[i].party, plain), cases[i].digits);
		assert_string_equal(plain, cases[i].plain);
	}
}

static void party_matches_whole_or_by_its_tail(void **state)
{
	static const struct {
		const char *asked, *party;
		bool match;
	} cases[] = {
		{ "442079460123", "+44 20 7946 0123", true },
		{ "02079460123", "+442079460123", true },
		{ "79460123", "+442079460123", true },
		{ "0123", "+442079460123", true },
		{ "123", "+442079460123", false },
		{ "9123", "+442079460123", false },
		{ "0442079460123", "2079460123", true },
		{ "100", "100", true },
		{ "1001", "1", false },
		{ "ALICE", "alice", true },
		{ "lice", "alice", false },
		{ "", "", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (party_matches(cases[i].asked, cases[i].party) != cases[i].match)
			fail_msg("%s against %s", cases[i].asked, cases[i].party);
	}
}

static void keys_of_a_party_depend_on_the_stores_own_key(void **state)
{
	struct vault *v = calloc(1, sizeof *v);
	uint8_t a[4][PARTY_KEY], b[4][PARTY_KEY];
	(void)state;
	assert_non_null(v);
	assert_int_equal(party_keys(v, "+442079460123", a), 4);
	v->keys.index_key[0] = 1;
	assert_int_equal(party_keys(v, "+442079460123", b), 4);
	for (int i = 0; i < 4; i++)
		assert_memory_not_equal(a[i], b[i], PARTY_KEY);
	assert_int_equal(party_keys(v, "2001", a), 1);
	assert_int_equal(party_keys(v, "alice", a), 1);
	assert_int_equal(party_keys(v, "", a), 0);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_survives_its_row),
		cmocka_unit_test(only_its_own_key_opens_who_spoke),
		cmocka_unit_test(row_that_was_not_opened_keeps_its_sealed_part),
		cmocka_unit_test(bytes_that_are_no_row_are_refused),
		cmocka_unit_test(name_that_is_not_utf8_is_still_json),
		cmocka_unit_test(numbers_are_told_from_names),
		cmocka_unit_test(party_matches_whole_or_by_its_tail),
		cmocka_unit_test(keys_of_a_party_depend_on_the_stores_own_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
