/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_draw.c: a draw is the same for everyone who does it again, and favours nobody. */
#include "store_help.h"

#include "base/bytes.h"
#include "vault/draw.h"

#define SEED 42

/* Any id: the draw looks at nothing else. */
static struct uuid id_of(uint32_t n)
{
	struct uuid id = { { 0 } };
	put_u32(id.b + 12, n);
	put_u32(id.b, n * 2654435761u);
	return id;
}

static struct uuid *drawn(uint64_t seed, size_t count, uint32_t of, size_t *n)
{
	struct draw *d = draw_new(seed, count);
	for (uint32_t i = 0; i < of; i++) {
		struct uuid id = id_of(i);
		assert_true(draw_offer(d, &id, NULL));
	}
	struct uuid *ids = draw_result(d, n);
	draw_free(d);
	return ids;
}

static void draw_is_the_order_of_hashes_that_sha256sum_gives(void **state)
{
	char command[256], line[256], text[UUID_TEXT];
	size_t n;
	(void)state;
	struct uuid *ids = drawn(SEED, 5, 40, &n);
	assert_int_equal(n, 5);
	char list[] = "/tmp/callspan-draw-XXXXXX";
	int fd = mkstemp(list);
	assert_true(fd >= 0);
	for (uint32_t i = 0; i < 40; i++) {
		struct uuid id = id_of(i);
		assert_int_equal(dprintf(fd, "%s\n", uuid_text(&id, text)), UUID_TEXT);
	}
	close(fd);
	snprintf(command, sizeof command,
		 "while read id; do echo \"$(printf '%%s %%s' %d $id | sha256sum | cut -c1-64) "
		 "$id\"; done <%s | sort | head -n 5 | cut -d' ' -f2",
		 SEED, list);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	for (size_t i = 0; i < 5; i++) {
		assert_non_null(fgets(line, sizeof line, p));
		line[strcspn(line, "\n")] = '\0';
		assert_string_equal(line, uuid_text(&ids[i], text));
	}
	assert_int_equal(pclose(p), 0);
	(void)unlink(list);
	free(ids);
}

static void order_of_the_offers_does_not_matter_nor_does_a_second_one(void **state)
{
	size_t n, m;
	(void)state;
	struct uuid *first = drawn(SEED, 7, 100, &n);
	struct draw *d = draw_new(SEED, 7);
	for (uint32_t i = 200; i-- > 0;) {
		struct uuid id = id_of(i % 100);
		assert_true(draw_offer(d, &id, NULL));
	}
	struct uuid *second = draw_result(d, &m);
	draw_free(d);
	assert_int_equal(n, m);
	assert_memory_equal(first, second, n * sizeof *first);
	free(first);
	free(second);
}

static void fewer_than_wanted_are_all_drawn(void **state)
{
	size_t n;
	(void)state;
	free(drawn(SEED, 50, 12, &n));
	assert_int_equal(n, 12);
	free(drawn(SEED, 50, 0, &n));
	assert_int_equal(n, 0);
}

/* Over many seeds each of 20 is drawn as often as any other: chi-square with 19 degrees of freedom. */
static void every_id_is_drawn_equally_often(void **state)
{
	enum { IDS = 20, COUNT = 5, ROUNDS = 4000 };
	unsigned hits[IDS] = { 0 };
	double expected = (double)ROUNDS * COUNT / IDS, chi = 0;
	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		size_t n;
		struct uuid *ids = drawn(seed, COUNT, IDS, &n);
		for (size_t i = 0; i < n; i++)
			hits[ids[i].b[15]]++;
		free(ids);
	}
	for (int i = 0; i < IDS; i++)
		chi += (hits[i] - expected) * (hits[i] - expected) / expected;
	assert_true(chi < 43.8); /* beyond it: one in a thousand */
	assert_true(chi > 1);    /* too even would be no draw */
}

static void each_line_has_its_own_draw(void **state)
{
	size_t n;
	(void)state;
	struct draw *d = draw_new(SEED, 3);
	for (uint32_t i = 0; i < 500; i++) {
		struct uuid id = id_of(i);
		uint8_t line[PARTY_KEY] = { 0, (uint8_t)(i % 10) };
		/* line 0 has many calls, line 9 one */
		if (i % 10 == 9 && i > 9)
			line[1] = 0;
		assert_true(draw_offer(d, &id, line));
	}
	assert_int_equal(draw_lines(d), 10);
	struct uuid *ids = draw_result(d, &n);
	assert_int_equal(n, 9 * 3 + 1);
	free(ids);
	draw_free(d);
}

static void call_of_two_lines_is_drawn_once(void **state)
{
	size_t n;
	(void)state;
	struct draw *d = draw_new(SEED, 3);
	struct uuid id = id_of(1);
	for (uint8_t i = 0; i < 2; i++)
		assert_true(draw_offer(d, &id, (uint8_t[PARTY_KEY]){ i }));
	free(draw_result(d, &n));
	assert_int_equal(n, 1);
	draw_free(d);
}

static void too_many_lines_are_told(void **state)
{
	(void)state;
	struct draw *d = draw_new(SEED, 1);
	for (uint32_t i = 0; i <= DRAW_LINES; i++) {
		struct uuid id = id_of(i);
		uint8_t line[PARTY_KEY] = { 0 };
		put_u32(line, i);
		assert_int_equal(draw_offer(d, &id, line), i < DRAW_LINES);
	}
	draw_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draw_is_the_order_of_hashes_that_sha256sum_gives),
		cmocka_unit_test(order_of_the_offers_does_not_matter_nor_does_a_second_one),
		cmocka_unit_test(fewer_than_wanted_are_all_drawn),
		cmocka_unit_test(every_id_is_drawn_equally_often),
		cmocka_unit_test(each_line_has_its_own_draw),
		cmocka_unit_test(call_of_two_lines_is_drawn_once),
		cmocka_unit_test(too_many_lines_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
