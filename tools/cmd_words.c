/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_words.c: the words on the command line, by tables of options.
 *
 * --name VALUE, --name=VALUE, -x VALUE, -xVALUE and `--`; a word that is not known is answered with the nearest
 * one, or with all there are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "cmd.h"

#define NAMES 64

static enum rc unknown_word(struct cli *c, const char *given, const struct word *words,
			    size_t count)
{
	const char *names[NAMES] = { NULL };
	char text[sizeof c->err.text - 100] = "";
	size_t n = 0, at = 0;
	for (; n < count && n < NAMES; n++)
		names[n] = words[n].name;
	const char *near = strncmp(given, "--", 2) == 0 ? nearest_of(given + 2, names, n) : NULL;
	if (near)
		return error_set(&c->err, RC_USAGE, "no option %s: did you mean --%s?", given,
				 near);
	for (size_t i = 0; i < n && at < sizeof text; i++) {
		int len = snprintf(text + at, sizeof text - at, " --%s", names[i]);
		at += len > 0 ? (size_t)len : 0;
	}
	return error_set(&c->err, RC_USAGE, "no option %s; there are:%s", given, text);
}

static const struct word *find_word(const char *given, const struct word *words, size_t count)
{
	size_t len = strcspn(given, "=");
	for (size_t i = 0; i < count; i++) {
		if (given[1] != '-' && words[i].letter && words[i].letter == given[1])
			return &words[i];
		if (given[1] == '-' && strlen(words[i].name) == len - 2 &&
		    strncmp(given + 2, words[i].name, len - 2) == 0)
			return &words[i];
	}
	return NULL;
}

/* What is not UTF-8 is not what it should be. */
static void repeat(struct cli *c, const char *value)
{
	json_t *text = json_string(value);
	if (!c->repeated)
		c->repeated = json_array();
	json_array_append_new(c->repeated, text ? text : json_string(""));
}

/* One option at argv[i]; returns how many words it took in *took. */
static enum rc read_word(struct cli *c, const struct word *words, size_t count, int argc,
			 char **argv, int i, int *took)
{
	const char *given = argv[i];
	const struct word *w = find_word(given, words, count);
	if (!w)
		return unknown_word(c, given, words, count);
	bool is_long = given[1] == '-';
	const char *joined = is_long ? strchr(given, '=') : given[2] ? given + 1 : NULL;
	*took = 1;
	if (!w->argument) {
		if (joined)
			return error_set(&c->err, RC_USAGE, "--%s takes no value", w->name);
		*w->flag = true;
		return RC_OK;
	}
	if (!joined && i + 1 >= argc)
		return error_set(&c->err, RC_USAGE, "--%s wants a value: %s", w->name, w->argument);
	const char *value = joined ? joined + 1 : argv[i + 1];
	*took = joined ? 1 : 2;
	if (w->value)
		*w->value = value;
	else
		repeat(c, value);
	return RC_OK;
}

static const char help_prose[] = "show this text";

static void print_help(const struct cli *c, const struct word *words, size_t count)
{
	printf("usage: callspan %s %s\n\n%s\n\n", c->command->name, c->command->synopsis,
	       c->command->prose);
	cmd_print_words(stdout, words, count);
}

void cmd_print_words(FILE *to, const struct word *words, size_t count)
{
	char left[80];
	for (size_t i = 0; i < count; i++) {
		const struct word *w = &words[i];
		char letter[8] = "    ";
		if (w->letter)
			snprintf(letter, sizeof letter, "-%c, ", w->letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, w->name, w->argument ? " " : "",
			 w->argument ? w->argument : "");
		fprintf(to, "  %-34s %s\n", left, w->prose);
	}
}

enum rc cmd_words(struct cli *c, const struct word *words, size_t words_count, int argc,
		  char **argv, const char **arguments, int most, int *count)
{
	bool help = false;
	const struct word everywhere[] = {
		{ 0, "store", "DIR", "the store to use", &c->store_given, NULL },
		{ 0, "config", "FILE", "a configuration file that names the store",
		  &c->config_given, NULL },
		{ 0, "help", NULL, help_prose, NULL, &help },
	};
	struct word all[NAMES];
	size_t n = 0;
	ASSERT(words_count + 3 <= NAMES);
	for (size_t i = 0; i < words_count; i++)
		all[n++] = words[i];
	for (size_t i = 0; i < 3; i++)
		all[n++] = everywhere[i];
	int given = 0;
	bool plain = false;
	for (int i = 1; i < argc && !help;) {
		int took = 1;
		if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
		} else if (!plain && argv[i][0] == '-' && argv[i][1]) {
			enum rc rc = read_word(c, all, n, argc, argv, i, &took);
			if (rc != RC_OK)
				return rc;
		} else if (given == most) {
			return error_set(&c->err, RC_USAGE,
					 "one word too many: %.100s (callspan %s %s)", argv[i],
					 c->command->name, c->command->synopsis);
		} else {
			arguments[given++] = argv[i];
		}
		i += took;
	}
	if (count)
		*count = given;
	if (help)
		print_help(c, all, n);
	return help ? RC_END : RC_OK;
}

enum rc cmd_global_words(struct cli *c, const struct word *words, size_t words_count, int argc,
			 char **argv, int *at)
{
	int i = 1;
	while (i < argc && argv[i][0] == '-' && argv[i][1]) {
		int took = 1;
		enum rc rc = read_word(c, words, words_count, argc, argv, i, &took);
		if (rc != RC_OK)
			return rc;
		i += took;
	}
	*at = i;
	return RC_OK;
}

/* ---- choices ---------------------------------------------------------------------------------- */

/* "add, list and show" */
static void list_names(char *out, size_t room, const char *const *names, size_t count)
{
	size_t at = 0;
	for (size_t i = 0; i < count && at < room; i++) {
		const char *before = !i ? "" : i + 1 < count ? ", " : " and ";
		at += (size_t)snprintf(out + at, room - at, "%s%s", before, names[i]);
	}
}

enum rc cmd_choose(struct cli *c, const char *command, const char *word, const void *rows,
		   size_t row_size, size_t count, size_t *at)
{
	const char *names[NAMES] = { NULL };
	char all[200] = "";
	ASSERT(count <= NAMES);
	for (size_t i = 0; i < count; i++) {
		memcpy(&names[i], (const char *)rows + i * row_size, sizeof names[i]);
		if (word && strcmp(word, names[i]) == 0) {
			*at = i;
			return RC_OK;
		}
	}
	const char *near = word ? nearest_of(word, names, count) : NULL;
	if (near)
		return error_set(&c->err, RC_USAGE, "%s %.60s: did you mean %s?", command, word,
				 near);
	list_names(all, sizeof all, names, count);
	return error_set(&c->err, RC_USAGE, "%s %.60s: there are %s", command, word ? word : "what",
			 all);
}

/* ---- values -------------------------------------------------------------------------------- */

void cmd_put_text(json_t *request, const char *member, const char *text)
{
	if (!text)
		return;
	json_t *value = json_string(text);
	/* What is not UTF-8 is the name of nothing. */
	json_object_set_new(request, member, value ? value : json_string(""));
}

enum rc cmd_put_time(struct cli *c, json_t *request, const char *member, const char *text)
{
	int64_t ts_ns;
	if (!text)
		return RC_OK;
	if (!clock_parse(text, &ts_ns))
		return error_set(
			&c->err, RC_USAGE,
			"--%s %.40s: not a time; write YYYY-MM-DD, \"YYYY-MM-DD HH:MM[:SS]\", "
			"RFC 3339, @SECONDS, or -30m, -12h, -7d",
			member, text);
	json_object_set_new(request, member, json_integer(ts_ns / 1000));
	return RC_OK;
}

enum rc cmd_put_number(struct cli *c, json_t *request, const char *member, const char *text)
{
	if (!text)
		return RC_OK;
	char *end;
	long long n = strtoll(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || n > INT32_MAX)
		return error_set(&c->err, RC_USAGE, "--%s %.40s: a number is wanted (0: all)",
				 member, text);
	json_object_set_new(request, member, json_integer(n));
	return RC_OK;
}
