/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_matter.c: what is sealed under a matter's key opens until that is destroyed, and never again. */
#include "vault_help.h"

#include "vault/matter.h"

#define SLOT 64

static const char number[] = "+441632960123";
static const struct uuid row = { { 7, 1, 2 } }, other = { { 7, 1, 3 } };

static void matters_path(const struct test_vault *t, char path[256])
{
	snprintf(path, 256, "%s/vault/matters.keys", t->path);
}

static void sealed(struct test_vault *t, uint32_t *n, uint8_t out[sizeof number + MATTER_OVERHEAD])
{
	assert_int_equal(matter_new(t->v, n, &t->err), RC_OK);
	assert_int_equal(matter_seal(t->v, *n, &row, number, sizeof number, out, &t->err), RC_OK);
}

static enum rc opened(struct test_vault *t, uint32_t n, const struct uuid *id, const uint8_t *in)
{
	char clear[sizeof number] = "";
	enum rc rc = matter_open(t->v, n, id, in, sizeof number + MATTER_OVERHEAD, clear, &t->err);
	if (rc == RC_OK)
		assert_string_equal(clear, number);
	return rc;
}

static void what_is_sealed_opens_for_its_row_and_no_other(void **state)
{
	struct test_vault *t = *state;
	uint8_t out[2][sizeof number + MATTER_OVERHEAD];
	uint32_t n[2];
	for (int i = 0; i < 2; i++)
		sealed(t, &n[i], out[i]);
	assert_int_equal(n[1], n[0] + 1);
	assert_int_equal(opened(t, n[0], &row, out[0]), RC_OK);
	assert_int_equal(opened(t, n[1], &row, out[1]), RC_OK);
	assert_int_equal(opened(t, n[1], &row, out[0]), RC_DAMAGED);
	assert_int_equal(opened(t, n[0], &other, out[0]), RC_DAMAGED);
	out[0][20] ^= 1;
	assert_int_equal(opened(t, n[0], &row, out[0]), RC_DAMAGED);
}

static void destroyed_key_opens_nothing_and_its_bytes_are_gone(void **state)
{
	struct test_vault *t = *state;
	uint8_t out[2][sizeof number + MATTER_OVERHEAD];
	uint32_t n[2];
	char path[256];
	size_t before_len, len;
	for (int i = 0; i < 2; i++)
		sealed(t, &n[i], out[i]);
	matters_path(t, path);
	uint8_t *before = read_file(path, &before_len);
	assert_int_equal(matter_destroy(t->v, n[0], &t->err), RC_OK);
	assert_int_equal(matter_destroy(t->v, n[0], &t->err), RC_OK);
	assert_int_equal(opened(t, n[0], &row, out[0]), RC_NOT_FOUND);
	assert_int_equal(matter_seal(t->v, n[0], &row, number, sizeof number, out[0], &t->err),
			 RC_NOT_FOUND);
	assert_int_equal(opened(t, n[1], &row, out[1]), RC_OK);
	uint8_t *after = read_file(path, &len);
	assert_int_equal(len, before_len);
	assert_null(memmem(after, len, before + (size_t)SLOT * n[0], 16));
	assert_memory_equal(after + (size_t)SLOT * n[1], before + (size_t)SLOT * n[1], SLOT);
	free(before);
	free(after);
}

static void no_slot_is_used_twice_even_behind_a_torn_one(void **state)
{
	struct test_vault *t = *state;
	uint8_t out[sizeof number + MATTER_OVERHEAD];
	uint32_t first, second;
	char path[256];
	sealed(t, &first, out);
	matters_path(t, path);
	assert_int_equal(truncate(path, (first + 1) * SLOT + 17), 0);
	assert_int_equal(matter_destroy(t->v, first, &t->err), RC_OK);
	sealed(t, &second, out);
	assert_int_equal(second, first + 2);
	assert_int_equal(opened(t, second, &row, out), RC_OK);
}

static void damaged_key_is_told_from_a_destroyed_one(void **state)
{
	struct test_vault *t = *state;
	uint8_t out[sizeof number + MATTER_OVERHEAD];
	uint32_t n;
	char path[256];
	size_t len;
	sealed(t, &n, out);
	matters_path(t, path);
	uint8_t *bytes = read_file(path, &len);
	bytes[SLOT * n + 3] ^= 1;
	write_file(path, bytes, len);
	free(bytes);
	assert_int_equal(opened(t, n, &row, out), RC_DAMAGED);
}

static void key_that_never_was_is_damage_and_makes_no_file(void **state)
{
	struct test_vault *t = *state;
	uint8_t in[sizeof number + MATTER_OVERHEAD] = { 0 };
	uint32_t n;
	char path[256];
	struct stat st;
	matters_path(t, path);
	assert_int_equal(opened(t, 5, &row, in), RC_DAMAGED);
	assert_int_equal(matter_destroy(t->v, 5, &t->err), RC_DAMAGED);
	assert_int_not_equal(stat(path, &st), 0);
	sealed(t, &n, in);
	assert_int_equal(matter_destroy(t->v, n + 1, &t->err), RC_DAMAGED);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, (n + 1) * SLOT);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(matter_open(t->v, n, &row, in, MATTER_OVERHEAD - 1, in, &t->err),
			 RC_DAMAGED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, test_vault_lab, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(what_is_sealed_opens_for_its_row_and_no_other),
		TEST(destroyed_key_opens_nothing_and_its_bytes_are_gone),
		TEST(no_slot_is_used_twice_even_behind_a_torn_one),
		TEST(damaged_key_is_told_from_a_destroyed_one),
		TEST(key_that_never_was_is_damage_and_makes_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
