/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Options: by name, from a file, and the line that says where a file is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/options.h"

static struct options options;
static struct error err;
static char path[64];

/* Read `len` bytes as a file over the defaults. */
static enum rc read_bytes(const char *text, size_t len)
{
	int fd = memfd_create("options", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	options_default(&options);
	err.text[0] = '\0';
	enum rc rc = options_read(&options, path, &err);
	close(fd);
	return rc;
}

static enum rc read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void assert_refused(const char *text, const char *expected)
{
	struct options untouched;
	char line[600];

	if (read_text(text) != RC_USAGE)
		fail_msg("taken: %s", text);
	snprintf(line, sizeof line, "%s:%s", path, expected);
	assert_string_equal(err.text, line);
	options_default(&untouched);
	assert_memory_equal(&options, &untouched, sizeof options); /* all or nothing */
}

static void defaults_lie_within_their_bounds(void **state)
{
	(void)state;
#define OPTION_INT(field, name, def, min, max, unit, prose)                                        \
	assert_true((int64_t)(min) <= (int64_t)(def) && (int64_t)(def) <= (int64_t)(max));
#define OPTION_STR(field, name, def, prose)  assert_true(sizeof(def) <= OPTION_TEXT);
#define OPTION_BOOL(field, name, def, prose) assert_true((def) == 0 || (def) == 1);
#include "base/options.def"
#undef OPTION_INT
#undef OPTION_STR
#undef OPTION_BOOL
	options_default(&options);
	assert_string_equal(options.store, "/var/lib/callspan");
	assert_int_equal(options.snaplen, 65535);
}

static void reads_sections_and_top_level_scalars(void **state)
{
	(void)state;
	assert_int_equal(read_text("# ours\n"
				   "store: '/srv/calls'\n"
				   "capture:\n"
				   "  interface: span0\n"
				   "  buffer: 128   # MiB\n"
				   "  filter: \"udp or tcp port 5060\"\n"
				   "memory:\n"
				   "call: {timeout: 20, bye-timeout: \"7\"}\n"
				   "log.level: debug\n"),
			 RC_OK);
	assert_string_equal(options.store, "/srv/calls");
	assert_string_equal(options.interface, "span0");
	assert_string_equal(options.filter, "udp or tcp port 5060");
	assert_string_equal(options.log_level, "debug");
	assert_int_equal(options.capture_buffer_mib, 128);
	assert_int_equal(options.call_timeout_s, 20);
	assert_int_equal(options.bye_timeout_s, 7);
	assert_int_equal(options.snaplen, 65535); /* not named: as it was */
}

static void an_empty_file_changes_nothing(void **state)
{
	(void)state;
	struct options defaults;
	static const char *const empty[] = { "", "\n", "# nothing\n", "---\n", "{}", "---\n...\n" };

	options_default(&defaults);
	for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
		assert_int_equal(read_text(empty[i]), RC_OK);
		assert_memory_equal(&options, &defaults, sizeof options);
	}
}

static void says_where_a_file_is_wrong(void **state)
{
	(void)state;
	assert_refused("store: /x\ncapture:\n  bufer: 64\n",
		       "3:3: unknown option \"capture.bufer\"; did you mean \"capture.buffer\"?");
	assert_refused("log:\n  colour: red\n",
		       "2:3: unknown option \"log.colour\"; section log has: level");
	assert_refused("captures:\n  buffer: 64\n",
		       "1:1: unknown option \"captures\"; did you mean \"capture\"?");
	assert_refused("capture:\n  buffer: lots\n",
		       "2:11: capture.buffer: \"lots\" is not a whole number (MiB)");
	assert_refused("capture:\n  buffer: 0\n",
		       "2:11: capture.buffer: 0 is out of bounds (1 to 2047 MiB)");
	assert_refused(
		"capture:\n  buffer: 99999999999999999999\n",
		"2:11: capture.buffer: 99999999999999999999 is out of bounds (1 to 2047 MiB)");
	assert_refused("capture:\n  buffer: 64\n  buffer: 65\n", "3:3: given twice");
	assert_refused("log:\n  level: info\nlog:\n", "3:1: given twice");
	assert_refused("log:\n  level: info\nlog.level: debug\n", "3:1: given twice");
	assert_refused("store:\n  path: x\n",
		       "2:3: store: a value is expected here, not a section");
	assert_refused("capture: 64\n", "1:10: a section: a mapping is expected here");
	assert_refused("capture: \"\"\n", "1:10: a section: a mapping is expected here");
	assert_refused("store: [a, b]\n", "1:8: no option is a list");
	assert_refused("- store\n", "1:1: no option is a list");
	assert_refused("store\n", "1:1: a mapping is expected here");
	assert_refused("? {a: b}\n: c\n", "1:3: an option's name is expected here");
	assert_refused("\"\": c\n", "1:1: an option's name is expected here");
	assert_refused("store: &a /x\nuser: *a\n", "1:8: anchors are not used here");
	assert_refused("capture: &a\n  buffer: 1\n", "1:10: anchors are not used here");
	assert_refused("user: *a\n", "1:7: aliases are not used here");
	assert_refused("store: !!str /x\n", "1:8: tags are not used here");
	assert_refused("store: /x\n---\nuser: y\n", "2:1: a second document");
	assert_refused("store: /x\n  user: y\n",
		       "2:7: not YAML: mapping values are not allowed in this context");
	assert_refused("store: \"a\\0b\"\n", "1:8: a NUL character");
}

static void lists_the_sections_when_no_name_is_near(void **state)
{
	(void)state;
	assert_int_equal(read_text("elephants: 3\n"), RC_USAGE);
	assert_non_null(strstr(err.text, ":1:1: unknown option \"elephants\"; there are: store, "));
	assert_non_null(strstr(err.text, ", capture, "));
	assert_null(strstr(strstr(err.text, ", capture, ") + 3, "capture")); /* each once */
}

static void survives_files_that_are_no_text(void **state)
{
	(void)state;
	static char huge[(1 << 20) + 10];

	assert_int_equal(read_bytes("store: x\nuser: \xff\xfe\x80", 18), RC_USAGE);
	assert_non_null(strstr(err.text, ":2:7: not YAML: "));
	assert_int_equal(read_bytes("store\0: x", 9), RC_USAGE);
	memset(huge, '\n', sizeof huge);
	assert_int_equal(read_bytes(huge, sizeof huge), RC_USAGE);
	memset(huge, '{', 100000);
	assert_int_equal(read_bytes(huge, 100000), RC_USAGE);
	memset(huge, 'a', 100000);
	assert_int_equal(read_bytes(huge, 100000), RC_USAGE);
	memcpy(huge, "user: ", 6);
	assert_int_equal(read_bytes(huge, 5000), RC_USAGE);
	assert_non_null(strstr(err.text, ":1:7: user: longer than 1023 bytes"));
	assert_int_equal(read_text("store: x\n\x1b[31mred: 1\n"), RC_USAGE);
	assert_null(strchr(err.text, '\x1b'));
}

static void says_when_a_file_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(options_read(&options, "/nonexistent/callspan.yaml", &err), RC_USAGE);
	assert_string_equal(err.text, "/nonexistent/callspan.yaml: No such file or directory");
	assert_int_equal(options_read(&options, "/", &err), RC_USAGE);
	assert_string_equal(err.text, "/: Is a directory");
}

static void sets_one_by_its_dotted_name(void **state)
{
	(void)state;
	options_default(&options);
	assert_int_equal(options_set(&options, "capture.threads", "4", &err), RC_OK);
	assert_int_equal(options.capture_threads, 4);
	assert_int_equal(options_set(&options, "capture.filter", "", &err), RC_OK);
	assert_int_equal(options_set(&options, "capture.threads", "65", &err), RC_USAGE);
	assert_string_equal(err.text, "capture.threads: 65 is out of bounds (1 to 64 threads)");
	assert_int_equal(options_set(&options, "capture.threads", " 4", &err), RC_USAGE);
	assert_int_equal(options_set(&options, "capture.threads", "0x4", &err), RC_USAGE);
	assert_int_equal(options_set(&options, "capture.threads", "", &err), RC_USAGE);
	assert_int_equal(options_set(&options, "capture", "4", &err), RC_USAGE);
	assert_string_equal(err.text, "\"capture\" is a section, not an option");
	assert_int_equal(options_set(&options, "capture.", "4", &err), RC_USAGE);
	assert_int_equal(options_set(&options, "", "4", &err), RC_USAGE);
	assert_int_equal(options_set(&options, "x.y.z", "4", &err), RC_USAGE);
	assert_string_equal(err.text, "unknown option \"x.y.z\"");
	assert_int_equal(options_set(&options, "x.y.z", "4", NULL), RC_USAGE);
	assert_int_equal(options.capture_threads, 4);
}

static void what_is_written_reads_back_as_the_defaults(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct options defaults;

	options_write_yaml(f);
	assert_int_equal(fclose(f), 0);
	options_default(&defaults);
	enum rc rc = read_bytes(text, len);
	if (rc != RC_OK)
		fail_msg("%s", err.text);
	assert_memory_equal(&options, &defaults, sizeof options);
#define OPTION_INT(field, name, def, min, max, unit, prose) assert_non_null(strstr(text, prose));
#define OPTION_STR(field, name, def, prose)                 assert_non_null(strstr(text, prose));
#define OPTION_BOOL(field, name, def, prose)                assert_non_null(strstr(text, prose));
#include "base/options.def"
#undef OPTION_INT
#undef OPTION_STR
#undef OPTION_BOOL
	assert_non_null(strstr(text, "\ncapture:\n"));
	assert_non_null(strstr(text, "\n  buffer: 64\n"));
	free(text);
}

static void the_manual_names_every_option(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	options_write_mdoc(f);
	assert_int_equal(fclose(f), 0);
	assert_non_null(strstr(text, ".It Cm capture.buffer\n"));
	assert_non_null(strstr(text, "\n1 to 2047 MiB; the default is 64.\n"));
	assert_non_null(strstr(text, "The default is \"/var/lib/callspan\".\n"));
	assert_non_null(strstr(text, "Empty by default.\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_lie_within_their_bounds),
		cmocka_unit_test(reads_sections_and_top_level_scalars),
		cmocka_unit_test(an_empty_file_changes_nothing),
		cmocka_unit_test(says_where_a_file_is_wrong),
		cmocka_unit_test(lists_the_sections_when_no_name_is_near),
		cmocka_unit_test(survives_files_that_are_no_text),
		cmocka_unit_test(says_when_a_file_is_not_there),
		cmocka_unit_test(sets_one_by_its_dotted_name),
		cmocka_unit_test(what_is_written_reads_back_as_the_defaults),
		cmocka_unit_test(the_manual_names_every_option),
	};
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
