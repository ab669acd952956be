/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Fragments: whatever their order, whole packets come out, and nothing else does. */
#include "reassembly_help.h"

static uint8_t content(uint32_t at)
{
	return (uint8_t)(at * 7 + at / 256);
}

static struct piece fragment_of(struct bench *b, uint32_t id, uint32_t offset, uint32_t len,
				bool more)
{
	static uint8_t bytes[65536];
	struct piece p = { .ts_ns = b->now_ns,
			   .bytes = bytes,
			   .len = len,
			   .wire_len = len,
			   .kind = PIECE_FRAGMENT,
			   .protocol = 17,
			   .more = more,
			   .id = id,
			   .offset = offset };
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = content(offset + i);
	p.src = b->a;
	p.dst = b->b;
	p.src.port = p.dst.port = 0;
	return p;
}

static void put(struct bench *b, uint32_t id, uint32_t offset, uint32_t len, bool more)
{
	struct piece p = fragment_of(b, id, offset, len, more);
	reassembly_piece(b->r, &p);
}

static void assert_whole(const struct bench *b, unsigned n, uint32_t len)
{
	assert_int_equal(b->packets_count, n + 1);
	assert_int_equal(b->packets[n].len, len);
	assert_int_equal(b->packets[n].wire_len, len);
	for (uint32_t i = 0; i < len && i + 1 < sizeof b->packets[n].text; i++)
		assert_int_equal((uint8_t)b->packets[n].text[i], content(i));
}

static void fragments_in_any_order_become_one_packet(void **state)
{
	struct bench *b = *state;
	static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					       { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	for (unsigned o = 0; o < 6; o++) {
		for (unsigned i = 0; i < 3; i++) {
			unsigned f = orders[o][i];
			assert_int_equal(b->packets_count, o);
			put(b, o, f * 1000, f == 2 ? 900 : 1000, f != 2);
		}
		assert_whole(b, o, 2900);
	}
	assert_int_equal(counted(b, COUNT_FRAGMENT_PACKETS), 6);
	check_fragments(b, 18);
}

static void fragments_that_come_twice_are_duplicates(void **state)
{
	struct bench *b = *state;
	for (unsigned i = 0; i < 4; i++) {
		put(b, 1, i * 800, 800, i != 3);
		put(b, 1, i * 800, 800, i != 3);
	}
	assert_whole(b, 0, 3200);
	assert_int_equal(counted(b, COUNT_FRAGMENT_DUPLICATE), 4);
	/* Later the number is used again. */
	b->now_ns += 2 * NS_PER_S;
	put(b, 1, 0, 800, true);
	put(b, 1, 800, 100, false);
	assert_whole(b, 1, 900);
	check_fragments(b, 10);
}

static void fragments_cut_again_on_the_way_are_duplicates(void **state)
{
	struct bench *b = *state;
	put(b, 1, 0, 1600, true);
	put(b, 1, 0, 800, true);
	put(b, 1, 800, 800, true);
	put(b, 1, 1600, 80, false);
	assert_whole(b, 0, 1680);
	check_fragments(b, 4);
}

static void fragments_that_overlap_drop_the_packet(void **state)
{
	struct bench *b = *state;
	put(b, 1, 0, 800, true);
	put(b, 1, 400, 800, true);
	put(b, 1, 1200, 80, false);
	put(b, 1, 800, 400, true);
	assert_int_equal(b->packets_count, 0);
	assert_int_equal(counted(b, COUNT_FRAGMENT_OVERLAP), 4);
	assert_int_equal(reassembly_fragments_held(b->r), 0);
}

static void fragments_that_say_otherwise_drop_the_packet(void **state)
{
	struct bench *b = *state;
	put(b, 1, 0, 800, true);
	struct piece p = fragment_of(b, 1, 0, 800, true);
	uint8_t other[800];
	memcpy(other, p.bytes, sizeof other);
	other[700] ^= 1;
	p.bytes = other;
	reassembly_piece(b->r, &p);
	put(b, 1, 800, 80, false);
	assert_int_equal(b->packets_count, 0);
	assert_int_equal(counted(b, COUNT_FRAGMENT_OVERLAP), 3);
}

static void fragments_with_two_ends_drop_the_packet(void **state)
{
	struct bench *b = *state;
	put(b, 1, 1600, 80, false);
	put(b, 1, 2400, 80, false);
	put(b, 2, 1600, 80, false);
	put(b, 2, 1680, 800, true);
	put(b, 3, 1680, 800, true);
	put(b, 3, 800, 80, false);
	assert_int_equal(counted(b, COUNT_FRAGMENT_CONTRADICTORY), 6);
	check_fragments(b, 6);
}

static void fragments_that_cannot_be_are_malformed(void **state)
{
	struct bench *b = *state;
	put(b, 1, 65528, 800, false); /* beyond the longest packet */
	put(b, 1, 0, 0, true);        /* empty */
	put(b, 1, 0, 801, true);      /* not a multiple of 8, and not the last */
	assert_int_equal(counted(b, COUNT_FRAGMENT_MALFORMED), 3);
	put(b, 2, 0, 65528, true);
	put(b, 2, 65528, 7, false);
	assert_int_equal(b->packets_count, 1);
	assert_int_equal(b->packets[0].len, 65535);
	check_fragments(b, 5);
}

static void fragments_of_crumbs_are_bounded(void **state)
{
	struct bench *b = *state;
	for (uint32_t i = 0; i < 100; i++)
		put(b, 1, i * 8, 8, i != 99);
	assert_whole(b, 0, 800);
	for (uint32_t i = 0; i < 1000; i++)
		put(b, 2, i * 8, 8, i != 999);
	assert_int_equal(b->packets_count, 1);
	assert_int_equal(counted(b, COUNT_FRAGMENT_TINY), 1000);
	check_fragments(b, 1100);
}

static void fragments_cut_by_the_snap_length_say_so(void **state)
{
	struct bench *b = *state;
	struct piece p = fragment_of(b, 1, 0, 1400, true);
	p.len = 200;
	reassembly_piece(b->r, &p);
	put(b, 1, 1400, 100, false);
	assert_int_equal(b->packets_count, 1);
	assert_int_equal(b->packets[0].len, 200);
	assert_int_equal(b->packets[0].wire_len, 1500);
}

static void fragments_wait_no_longer_than_their_time(void **state)
{
	struct bench *b = *state;
	put(b, 1, 0, 800, true);
	b->now_ns += 20 * NS_PER_S;
	put(b, 2, 0, 800, true);
	reassembly_tick(b->r, b->now_ns + 11 * NS_PER_S);
	assert_int_equal(counted(b, COUNT_FRAGMENT_TIMEOUT), 1);
	b->now_ns += 11 * NS_PER_S;
	put(b, 2, 800, 80, false);
	put(b, 1, 800, 80, false);
	assert_whole(b, 0, 880);
	assert_int_equal(reassembly_fragments_held(b->r), 1);
	check_fragments(b, 4);
}

static void fragments_are_told_apart_by_all_of_their_key(void **state)
{
	struct bench *b = *state;
	struct piece p = fragment_of(b, 1, 0, 800, true);
	reassembly_piece(b->r, &p);
	struct piece other = fragment_of(b, 1, 800, 80, false);
	other.protocol = 6;
	reassembly_piece(b->r, &other);
	other = fragment_of(b, 1, 800, 80, false);
	other.src.addr[15]++;
	reassembly_piece(b->r, &other);
	assert_int_equal(b->packets_count, 0);
	/* In IPv6 the first fragment alone says what follows (RFC 8200, 4.5). */
	uint8_t six[16] = { 0x20, 1, 0xd, 0xb8 };
	struct endpoint src, dst;
	endpoint_set_v6(&src, six, 0);
	six[15] = 1;
	endpoint_set_v6(&dst, six, 0);
	p = fragment_of(b, 0x12345678, 0, 800, true);
	p.src = src;
	p.dst = dst;
	reassembly_piece(b->r, &p);
	p = fragment_of(b, 0x12345678, 800, 80, false);
	p.src = src;
	p.dst = dst;
	p.protocol = 60;
	reassembly_piece(b->r, &p);
	assert_whole(b, 0, 880);
	check_fragments(b, 5);
}

/* A flood of first fragments, and a good packet every ms among them, its second half 5 ms late. */
static void fragments_of_good_packets_survive_a_flood(void **state)
{
	struct bench *b = *state;
	int64_t seconds = getenv("LONG") ? 30 : 2;
	uint64_t given = 0;
	for (int64_t ms = 0; ms < seconds * 1000; ms++) {
		b->now_ns += NS_PER_MS;
		for (unsigned i = 0; i < 20; i++) {
			struct piece p = fragment_of(b, i, 0, 64, true);
			memcpy(p.src.addr + 8, &given, sizeof given);
			reassembly_piece(b->r, &p);
			given++;
		}
		uint32_t id = (uint32_t)ms & 0xffff;
		put(b, id, 0, 1400, true);
		if (ms >= 5)
			put(b, (id - 5) & 0xffff, 1400, 100, false);
		given += ms >= 5 ? 2 : 1;
		if (ms % 50 == 0)
			reassembly_tick(b->r, b->now_ns);
	}
	assert_int_equal(b->packets_count, seconds * 1000 - 5);
	check_fragments(b, given);
	assert_true(counted(b, COUNT_FRAGMENT_EVICTED) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_new, bench_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fragments_in_any_order_become_one_packet),
		TEST(fragments_that_come_twice_are_duplicates),
		TEST(fragments_cut_again_on_the_way_are_duplicates),
		TEST(fragments_that_overlap_drop_the_packet),
		TEST(fragments_that_say_otherwise_drop_the_packet),
		TEST(fragments_with_two_ends_drop_the_packet),
		TEST(fragments_that_cannot_be_are_malformed),
		TEST(fragments_of_crumbs_are_bounded),
		TEST(fragments_cut_by_the_snap_length_say_so),
		TEST(fragments_wait_no_longer_than_their_time),
		TEST(fragments_are_told_apart_by_all_of_their_key),
		TEST(fragments_of_good_packets_survive_a_flood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
