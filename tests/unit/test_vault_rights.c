/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_rights.c: the table of who may ask what, as docs/rights.md has it, as requests.c has it, and as it is
 * carried out: every request tried as every role.
 *
 * When the documentation is behind, the table as it should stand there is printed.
 */
#include "vault_help.h"

#define DOCUMENT "docs/rights.md"
#define ROWS_MAX 128

static const struct {
	enum role role;
	const char *name, *person;
} columns[] = {
	{ ROLE_CONTROLLER, "controller", "alice" },
	{ ROLE_MANAGER, "manager", "mia" },
	{ ROLE_STAFF, "staff", "stan" },
	{ ROLE_AUDITOR, "auditor", "audrey" },
	{ ROLE_OPERATOR, "operator", "oscar" },
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	test_record(&t, 2, NULL);
	for (size_t i = 1; i < COLUMNS; i++)
		test_person(&t, columns[i].person, columns[i].role);
	struct person gone = { .name = "gone", .role = ROLE_CONTROLLER, .disabled = true };
	assert_int_equal(people_save(t.path, &gone, &t.err), RC_OK);
	*state = &t;
	return 0;
}

/* A line of the table in the documentation. */
static void table_line(char line[128], const struct request_right *right)
{
	char name[40];
	snprintf(name, sizeof name, "`%s`", right->name);
	int n = snprintf(line, 128, "| %-19s |", name);
	for (size_t i = 0; i < COLUMNS; i++)
		n += snprintf(line + n, 128 - (size_t)n, " %-*s |", (int)strlen(columns[i].name),
			      right->roles & columns[i].role ? "yes" : "");
}

static void print_table(void)
{
	struct request_right right;
	char line[128];
	printf("%s should have this table:\n\n| request             |", DOCUMENT);
	for (size_t i = 0; i < COLUMNS; i++)
		printf(" %s |", columns[i].name);
	printf("\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; requests_right(i, &right); i++) {
		table_line(line, &right);
		printf("%s\n", line);
	}
}

/* Documented and in the code: the same lines, in the same order. */
static void documentation_has_the_table_of_the_code(void **state)
{
	struct request_right right;
	char *text, *rest, *got, line[128];
	size_t len, row = 0;
	struct error err;
	bool same = true;
	(void)state;
	assert_int_equal(disk_read(DOCUMENT, 1 << 20, &text, &len, &err), RC_OK);
	rest = text;
	while ((got = strsep(&rest, "\n"))) {
		if (strncmp(got, "| `", 3) != 0)
			continue;
		if (!requests_right(row++, &right)) {
			same = false;
			continue;
		}
		table_line(line, &right);
		if (strcmp(got, line) != 0) {
			print_message("documented: %s\nin code:    %s\n", got, line);
			same = false;
		}
	}
	same = same && row > 0 && !requests_right(row, &right);
	free(text);
	if (!same)
		print_table();
	assert_true(same);
}

static uint64_t entries(const struct test_vault *t)
{
	return t->v->head.number;
}

/* Asked without any member: whoever has the right is told what is missing, or answered. */
static void expect_allowed(struct test_vault *t, const char *person, const char *request)
{
	enum rc rc = test_ask_as(t, person, "{'request':'%s'}", request);
	if (rc == RC_REFUSED && (strstr(t->err.text, "your role") || strstr(t->err.text, "listed")))
		fail_msg("%s was refused %s: %s", person, request, t->err.text);
}

static void expect_refused(struct test_vault *t, const char *person, const char *request,
			   const char *words)
{
	uint64_t before = entries(t);
	enum rc rc = test_ask_as(t, person, "{'request':'%s'}", request);
	if (rc != RC_REFUSED || !strstr(t->err.text, words))
		fail_msg("%s asked %s: %d (%s), should be refused", person, request, rc,
			 t->err.text);
	assert_int_equal(json_array_size(t->replies), 0);
	if (entries(t) != before + 1)
		fail_msg("the refusal of %s to %s is not audited", request, person);
}

static void every_cell_is_as_documented(void **state)
{
	struct test_vault *t = *state;
	struct request_right right;
	size_t refused[ROWS_MAX] = { 0 };
	for (size_t row = 0; requests_right(row, &right); row++) {
		assert_true(row < ROWS_MAX);
		for (size_t i = 0; i < COLUMNS; i++) {
			bool may = right.roles & columns[i].role;
			refused[row] += !may;
			if (may)
				expect_allowed(t, columns[i].person, right.name);
			else
				expect_refused(t, columns[i].person, right.name, columns[i].name);
		}
		expect_refused(t, "stranger", right.name, "not listed");
		expect_refused(t, "gone", right.name, "no longer");
		refused[row] += 2;
	}
	for (size_t row = 0; requests_right(row, &right); row++) {
		size_t audited = test_audited(t, right.name, "refused");
		if (audited < refused[row])
			fail_msg("%s: %zu refusals, %zu audited", right.name, refused[row],
				 audited);
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static enum rc ask_as_root(struct test_vault *t, const char *name)
{
	json_t *request = json_pack("{s:s}", "request", name);
	const struct vault_caller who = { .person = "root", .uid = 0 };
	json_decref(t->replies);
	t->replies = json_array();
	enum rc rc = vault_request(t->v, &who, request, test_collect, t, &t->err);
	json_decref(request);
	return rc;
}

/* Root runs the system: an operator, until it is listed as something else. */
static void root_is_an_operator_unless_listed(void **state)
{
	struct test_vault *t = *state;
	struct request_right right;
	for (size_t row = 0; requests_right(row, &right); row++) {
		bool may = right.roles & ROLE_OPERATOR;
		enum rc rc = ask_as_root(t, right.name);
		bool role = rc == RC_REFUSED && strstr(t->err.text, "your role (operator)");
		if (may == role)
			fail_msg("root asked %s: %d (%s)", right.name, rc, t->err.text);
	}
	/* ... but has no file to keep a passphrase in. */
	assert_int_equal(ask_as_root(t, "person-passphrase"), RC_REFUSED);
	test_person(t, "root", ROLE_AUDITOR);
	assert_int_equal(ask_as_root(t, "calls"), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "auditor"));
	assert_int_equal(ask_as_root(t, "audit-list"), RC_OK);
}

static void who_has_no_right_is_told_before_words_are_looked_at(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask_as(t, "stan", "{'request':'export','purpose':'none'}"),
			 RC_REFUSED);
	assert_int_equal(test_ask(t, "{'request':'export','purpose':'none'}"), RC_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documentation_has_the_table_of_the_code),
		cmocka_unit_test_setup_teardown(every_cell_is_as_documented, make, test_vault_drop),
		cmocka_unit_test_setup_teardown(root_is_an_operator_unless_listed, make,
						test_vault_drop),
		cmocka_unit_test_setup_teardown(who_has_no_right_is_told_before_words_are_looked_at,
						make, test_vault_drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
