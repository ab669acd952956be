/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_torture.c: the messages of RFC 4475 and RFC 5118, against tests/e2e/torture.expect.
 *
 * The files are not part of the project: they are read where they are, in CALLSPAN_TORTURE or ../shared/corpus/torture,
 * and the test is skipped without them.  A row of the table:
 *
 *   file  understood  METHOD-or-status  CSeq  Call-ID  From  To
 *   file  refused     reason
 *
 * From and To are the user, or the host of a URI without one; "-" is an empty text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/message.h"

#define MESSAGE_MOST 65535

static const char *const method_names[] = {
	"INVITE",   "ACK",     "BYE",       "CANCEL", "PRACK",   "UPDATE",  "REFER", "INFO",
	"REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "other",
};

static const char *folder(void)
{
	const char *set = getenv("CALLSPAN_TORTURE");
	return set ? set : "../shared/corpus/torture";
}

static uint32_t read_bytes(const char *name, uint8_t bytes[MESSAGE_MOST])
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", folder(), name);
	FILE *f = fopen(path, "rb");
	if (!f)
		return 0;
	size_t n = fread(bytes, 1, MESSAGE_MOST, f);
	fclose(f);
	return (uint32_t)n;
}

static const char *or_none(const char *text)
{
	return text[0] ? text : "-";
}

static const char *who(const struct sip_identity *id)
{
	return or_none(id->user[0] ? id->user : id->host);
}

/* What we say of a message, as a row of the table says it. */
static void describe(char *row, size_t size, const char *name, enum message_verdict v,
		     const struct sip_message *m)
{
	char what[16];
	if (v != MESSAGE_PARSED && v != MESSAGE_REPAIRED) {
		snprintf(row, size, "%s\trefused", name);
		return;
	}
	snprintf(what, sizeof what, "%u", m->status);
	snprintf(row, size, "%s\tunderstood\t%s\t%u\t%s\t%s\t%s", name,
		 m->request ? method_names[m->method] : what, m->cseq, or_none(m->call_id),
		 who(&m->from), who(&m->to));
}

static void every_message_is_understood_or_refused_as_expected(void **state)
{
	(void)state;
	static uint8_t bytes[MESSAGE_MOST];
	char row[1024], got[4096];
	unsigned rows = 0, wrong = 0;
	FILE *table = fopen("tests/e2e/torture.expect", "r");
	if (!table || read_bytes("rfc4475/wsinv.dat", bytes) == 0) {
		if (table)
			fclose(table);
		skip();
	}
	struct message_parser *p = message_parser_new(MESSAGE_MOST);
	assert_non_null(p);
	while (fgets(row, sizeof row, table)) {
		struct sip_message m;
		row[strcspn(row, "\n")] = '\0';
		size_t name = strcspn(row, "\t");
		if (row[0] == '#' || row[name] == '\0')
			continue;
		row[name] = '\0';
		uint32_t len = read_bytes(row, bytes);
		enum message_verdict v = len > 0 ? message_parse(p, bytes, len, &m) : MESSAGE_EMPTY;
		describe(got, sizeof got, row, v, &m);
		row[name] = '\t';
		size_t refused = strlen(got);
		bool same = v == MESSAGE_PARSED || v == MESSAGE_REPAIRED
				    ? strcmp(row, got) == 0
				    : strncmp(row, got, refused) == 0 && row[refused] == '\t';
		if (!same)
			print_message("want %s\ngot  %s\n", row, got);
		wrong += !same;
		rows++;
	}
	message_parser_free(p);
	fclose(table);
	assert_int_equal(wrong, 0);
	assert_true(rows >= 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_is_understood_or_refused_as_expected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
