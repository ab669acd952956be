/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* options.c: the option table, set by name, from a YAML file, and written out.
 *
 * A file is read whole (it is small) and its libyaml events walked once: mappings inside
 * mappings spell an option's dotted name, a scalar sets it.  Sequences, anchors, aliases and
 * tags have no meaning here and are refused.  At start, one thread.
 */
#include "base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/nearest.h"

#define FILE_BYTES (1 << 20) /* no configuration is larger */
#define DEPTH      4         /* sections within sections */

enum option_type { OPTION_IS_INT, OPTION_IS_STR, OPTION_IS_BOOL };

struct row {
	const char *name;
	enum option_type type;
	size_t offset; /* in struct options */
	int64_t def, min, max;
	const char *def_text, *unit, *prose;
};

static const struct row rows[] = {
/* clang-format off */
#define OPTION_INT(field, name, def, min, max, unit, prose) \
	{ name, OPTION_IS_INT, offsetof(struct options, field), def, min, max, #def, unit, prose },
#define OPTION_STR(field, name, def, prose) \
	{ name, OPTION_IS_STR, offsetof(struct options, field), 0, 0, 0, def, "", prose },
#define OPTION_BOOL(field, name, def, prose) \
	{ name, OPTION_IS_BOOL, offsetof(struct options, field), def, 0, 1, #def, "", prose },
#include "base/options.def"
#undef OPTION_INT
#undef OPTION_STR
#undef OPTION_BOOL
	/* clang-format on */
};
#define ROWS (sizeof rows / sizeof rows[0])

/* ---- one option ---------------------------------------------------------------------- */

static int64_t *int_field(struct options *o, const struct row *row)
{
	return (int64_t *)(void *)((char *)o + row->offset);
}

static bool *bool_field(struct options *o, const struct row *row)
{
	return (bool *)(void *)((char *)o + row->offset);
}

static char *str_field(struct options *o, const struct row *row)
{
	return (char *)o + row->offset;
}

void options_default(struct options *o)
{
	memset(o, 0, sizeof *o);
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		switch (row->type) {
		case OPTION_IS_INT: *int_field(o, row) = row->def; break;
		case OPTION_IS_BOOL: *bool_field(o, row) = row->def != 0; break;
		case OPTION_IS_STR:
			ASSERT(strlen(row->def_text) < OPTION_TEXT);
			memcpy(str_field(o, row), row->def_text, strlen(row->def_text) + 1);
			break;
		}
	}
}

static const struct row *row_named(const char *name)
{
	for (const struct row *row = rows; row < rows + ROWS; row++)
		if (strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

/* Text of the file as it may stand in an error line: short, nothing but printable ASCII. */
#define PLAIN 48
static const char *plain(const char *text, char buf[PLAIN])
{
	size_t len = strnlen(text, PLAIN);

	for (size_t i = 0; i < len && i < PLAIN - 1; i++)
		buf[i] = (char)(text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
	buf[len < PLAIN - 1 ? len : PLAIN - 1] = '\0';
	if (len == PLAIN)
		memcpy(buf + PLAIN - 4, "...", 4);
	return buf;
}

static enum rc set_int(struct options *o, const struct row *row, const char *value,
		       struct error *err)
{
	char shown[PLAIN], *end;

	errno = 0;
	long long v = strtoll(value, &end, 10);
	bool number = end != value && *end == '\0' && strspn(value, "-0123456789") == strlen(value);
	if (!number)
		return error_set(err, RC_USAGE, "%s: \"%s\" is not a whole number (%s)", row->name,
				 plain(value, shown), row->unit);
	if (errno == ERANGE || v < row->min || v > row->max)
		return error_set(err, RC_USAGE, "%s: %s is out of bounds (%lld to %lld %s)",
				 row->name, plain(value, shown), (long long)row->min,
				 (long long)row->max, row->unit);
	*int_field(o, row) = v;
	return RC_OK;
}

static enum rc set_bool(struct options *o, const struct row *row, const char *value,
			struct error *err)
{
	bool yes = strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;
	bool no = strcmp(value, "false") == 0 || strcmp(value, "no") == 0;
	char shown[PLAIN];

	if (!yes && !no)
		return error_set(err, RC_USAGE, "%s: \"%s\" is neither true nor false", row->name,
				 plain(value, shown));
	*bool_field(o, row) = yes;
	return RC_OK;
}

static enum rc set_str(struct options *o, const struct row *row, const char *value,
		       struct error *err)
{
	size_t len = strlen(value);

	if (len >= OPTION_TEXT)
		return error_set(err, RC_USAGE, "%s: longer than %d bytes", row->name,
				 OPTION_TEXT - 1);
	memcpy(str_field(o, row), value, len + 1);
	return RC_OK;
}

static enum rc set_row(struct options *o, const struct row *row, const char *value,
		       struct error *err)
{
	switch (row->type) {
	case OPTION_IS_INT: return set_int(o, row, value, err);
	case OPTION_IS_BOOL: return set_bool(o, row, value, err);
	case OPTION_IS_STR: break;
	}
	return set_str(o, row, value, err);
}

/* ---- names that are none ------------------------------------------------------------- */

/* Whether `row` lies in the section that the first `len` characters of `prefix` spell, dot
 * included. */
static bool in_section(const struct row *row, const char *prefix, size_t len)
{
	return strncmp(row->name, prefix, len) == 0;
}

/* The first row of a section, or NULL: stands for the section itself. */
static const struct row *section_named(const char *name)
{
	size_t len = strlen(name);

	for (const struct row *row = rows; row < rows + ROWS; row++)
		if (strncmp(row->name, name, len) == 0 && row->name[len] == '.')
			return row;
	return NULL;
}

/* What may stand after `prefix`: "capture.buffer" and "capture.filter" give "capture" at the
 * top, "buffer" and "filter" after "capture.".  Copies the part; false when it is a repetition
 * of the row before. */
static bool part_after(const struct row *row, size_t prefix_len, char part[PLAIN])
{
	size_t len = strcspn(row->name + prefix_len, ".");

	ASSERT(len < PLAIN);
	memcpy(part, row->name + prefix_len, len);
	part[len] = '\0';
	return row == rows || strncmp(row[-1].name, row->name, prefix_len + len) != 0 ||
	       (row[-1].name[prefix_len + len] != '.' && row[-1].name[prefix_len + len] != '\0');
}

/* "did you mean ...?" when a valid name is near, else all names of the section. */
static enum rc unknown_name(const char *name, struct error *err)
{
	const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
	size_t prefix_len = (size_t)(last - name), best = 3;
	char shown[PLAIN], part[PLAIN], nearest[PLAIN] = "", list[256] = "";
	size_t used = 0;

	for (const struct row *row = rows; row < rows + ROWS; row++) {
		if (!in_section(row, name, prefix_len) || !part_after(row, prefix_len, part))
			continue;
		size_t distance = nearest_difference(last, part);
		if (distance < best) {
			best = distance;
			memcpy(nearest, part, sizeof part);
		}
		int n = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", part);
		if (n > 0 && (size_t)n < sizeof list - used)
			used += (size_t)n;
	}
	list[used] = '\0';
	if (best < 3 && best < strlen(nearest))
		return error_set(err, RC_USAGE, "unknown option \"%s\"; did you mean \"%.*s%s\"?",
				 plain(name, shown), (int)prefix_len, name, nearest);
	if (!dot)
		return error_set(err, RC_USAGE, "unknown option \"%s\"; there are: %s",
				 plain(name, shown), list);
	if (used == 0)
		return error_set(err, RC_USAGE, "unknown option \"%s\"", plain(name, shown));
	return error_set(err, RC_USAGE, "unknown option \"%s\"; section %.*s has: %s",
			 plain(name, shown), (int)prefix_len - 1, name, list);
}

enum rc options_set(struct options *o, const char *name, const char *value, struct error *err)
{
	const struct row *row = row_named(name);

	if (row)
		return set_row(o, row, value, err);
	if (section_named(name))
		return error_set(err, RC_USAGE, "\"%s\" is a section, not an option", name);
	return unknown_name(name, err);
}

/* ---- the file ------------------------------------------------------------------------ */

struct reader {
	struct options *o;
	const char *path;
	char name[DEPTH * OPTION_TEXT]; /* dotted name of the open sections and key */
	size_t section_len[DEPTH + 1];  /* length of name at each depth, its dot included */
	int depth;                      /* mappings open */
	bool have_key;                  /* name ends in a key that waits for its value */
	bool done;                      /* the file's one document was seen */
	bool seen[ROWS];                /* options given */
	bool seen_section[DEPTH][ROWS]; /* sections given, by dots in their name and first row */
};

/* Put "file:line:column: " in front of the line; libyaml counts from 0. */
static enum rc at(const struct reader *r, yaml_mark_t mark, struct error *err)
{
	struct error inner;

	if (!err)
		return RC_USAGE;
	inner = *err;
	return error_set(err, RC_USAGE, "%s:%zu:%zu: %.350s", r->path, mark.line + 1,
			 mark.column + 1, inner.text);
}

static enum rc refuse(const struct reader *r, const yaml_event_t *e, const char *what,
		      struct error *err)
{
	(void)error_set(err, RC_USAGE, "%s", what);
	return at(r, e->start_mark, err);
}

static enum rc read_key(struct reader *r, const yaml_event_t *e, const char *text,
			struct error *err)
{
	size_t len = strlen(text), base = r->section_len[r->depth];

	if (len == 0 || len >= OPTION_TEXT)
		return refuse(r, e, "an option's name is expected here", err);
	memcpy(r->name + base, text, len + 1);
	const struct row *row = row_named(r->name), *section = section_named(r->name);
	if (!row && !section) {
		(void)unknown_name(r->name, err);
		return at(r, e->start_mark, err);
	}
	size_t dots = 0;
	for (const char *c = r->name; *c; c++)
		dots += *c == '.';
	ASSERT(row || dots < DEPTH);
	bool *seen = row ? &r->seen[row - rows] : &r->seen_section[dots][section - rows];
	if (*seen)
		return refuse(r, e, "given twice", err);
	*seen = true;
	r->have_key = true;
	return RC_OK;
}

static enum rc read_value(struct reader *r, const yaml_event_t *e, const char *text,
			  struct error *err)
{
	const struct row *row = row_named(r->name);
	bool empty = *text == '\0' && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	r->have_key = false;
	if (row)
		return set_row(r->o, row, text, err) == RC_OK ? RC_OK : at(r, e->start_mark, err);
	/* "capture:" with nothing below it: an empty section. */
	return empty ? RC_OK : refuse(r, e, "a section: a mapping is expected here", err);
}

static enum rc on_scalar(struct reader *r, const yaml_event_t *e, struct error *err)
{
	const char *text = (const char *)e->data.scalar.value;

	if (e->data.scalar.anchor)
		return refuse(r, e, "anchors are not used here", err);
	if (e->data.scalar.tag)
		return refuse(r, e, "tags are not used here", err);
	if (strlen(text) != e->data.scalar.length)
		return refuse(r, e, "a NUL character", err);
	if (r->depth == 0) {
		/* A file of comments alone is one empty scalar, or no document at all. */
		return *text == '\0' ? RC_OK : refuse(r, e, "a mapping is expected here", err);
	}
	return r->have_key ? read_value(r, e, text, err) : read_key(r, e, text, err);
}

static enum rc on_mapping(struct reader *r, const yaml_event_t *e, struct error *err)
{
	if (e->data.mapping_start.anchor)
		return refuse(r, e, "anchors are not used here", err);
	if (e->data.mapping_start.tag)
		return refuse(r, e, "tags are not used here", err);
	if (r->depth > 0 && !r->have_key)
		return refuse(r, e, "an option's name is expected here", err);
	if (r->depth == DEPTH)
		return refuse(r, e, "too deep", err);
	if (r->depth > 0 && !section_named(r->name)) {
		(void)error_set(err, RC_USAGE, "%s: a value is expected here, not a section",
				r->name);
		return at(r, e->start_mark, err);
	}
	size_t len = r->depth > 0 ? strlen(r->name) : 0;
	if (r->depth > 0)
		r->name[len++] = '.';
	r->name[len] = '\0';
	r->section_len[++r->depth] = len;
	r->have_key = false;
	return RC_OK;
}

static enum rc on_event(struct reader *r, const yaml_event_t *e, struct error *err)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT: return on_scalar(r, e, err);
	case YAML_MAPPING_START_EVENT: return on_mapping(r, e, err);
	case YAML_MAPPING_END_EVENT: r->depth--; return RC_OK;
	case YAML_SEQUENCE_START_EVENT: return refuse(r, e, "no option is a list", err);
	case YAML_ALIAS_EVENT: return refuse(r, e, "aliases are not used here", err);
	case YAML_DOCUMENT_START_EVENT:
		if (r->done)
			return refuse(r, e, "a second document", err);
		r->done = true;
		return RC_OK;
	default: return RC_OK;
	}
}

static enum rc parse_failed(const struct reader *r, const yaml_parser_t *p, const char *text,
			    size_t len, struct error *err)
{
	yaml_mark_t mark = p->problem_mark;

	if (p->error == YAML_READER_ERROR) {
		/* Bytes that are no text have an offset and no mark. */
		memset(&mark, 0, sizeof mark);
		for (size_t i = 0; i < p->problem_offset && i < len; i++) {
			bool newline = text[i] == '\n';
			mark.line += newline;
			mark.column = newline ? 0 : mark.column + 1;
		}
	}
	(void)error_set(err, RC_USAGE, "not YAML: %s", p->problem ? p->problem : "out of memory");
	return at(r, mark, err);
}

static enum rc parse(struct reader *r, const char *text, size_t len, struct error *err)
{
	yaml_parser_t p;
	enum rc rc = RC_OK;
	bool end = false;

	if (!yaml_parser_initialize(&p))
		return error_set(err, RC_FAILED, "out of memory");
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (rc == RC_OK && !end) {
		yaml_event_t e;
		if (!yaml_parser_parse(&p, &e)) {
			rc = parse_failed(r, &p, text, len, err);
			break;
		}
		end = e.type == YAML_STREAM_END_EVENT;
		rc = on_event(r, &e, err);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return rc;
}

enum rc options_read(struct options *o, const char *path, struct error *err)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return error_errno(err, RC_USAGE, errno, "%s", path);

	enum rc rc;
	struct options *copy = malloc(sizeof *copy);
	struct reader *r = calloc(1, sizeof *r);
	char *text = malloc(FILE_BYTES + 1);
	if (!copy || !r || !text) {
		rc = error_set(err, RC_FAILED, "%s: out of memory", path);
		goto done;
	}
	size_t len = fread(text, 1, FILE_BYTES + 1, f);
	if (ferror(f)) {
		rc = error_errno(err, RC_USAGE, errno, "%s", path);
		goto done;
	}
	if (len > FILE_BYTES) {
		rc = error_set(err, RC_USAGE, "%s: larger than a configuration can be", path);
		goto done;
	}
	*copy = *o;
	r->o = copy;
	r->path = path;
	rc = parse(r, text, len, err);
	if (rc == RC_OK)
		*o = *copy; /* all or nothing */
done:
	free(text);
	free(r);
	free(copy);
	(void)fclose(f);
	return rc;
}

/* ---- written out --------------------------------------------------------------------- */

/* A value as YAML: bare where that cannot be misread, else quoted. */
static void write_value(FILE *to, const struct row *row)
{
	static const char bare[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
	const char *text = row->def_text;

	if (row->type == OPTION_IS_INT) {
		(void)fprintf(to, "%lld", (long long)row->def);
	} else if (*text && strspn(text, bare) == strlen(text)) {
		(void)fputs(text, to);
	} else {
		(void)fputc('"', to);
		for (; *text; text++)
			(void)fprintf(to, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
		(void)fputc('"', to);
	}
}

/* Length of the section's name with its dot; 0 at the top. */
static size_t section_len(const struct row *row)
{
	const char *dot = strrchr(row->name, '.');

	return dot ? (size_t)(dot + 1 - row->name) : 0;
}

/* Open the sections of `row` that the row before was not in. */
static void write_sections(FILE *to, const struct row *row)
{
	const char *before = row > rows ? row[-1].name : "", *from = row->name, *dot;
	int depth = 0;

	if (row > rows && (section_len(row) != section_len(row - 1) ||
			   !in_section(row, before, section_len(row))))
		(void)fputc('\n', to);
	for (; (dot = strchr(from, '.')); from = dot + 1, depth++)
		if (strncmp(before, row->name, (size_t)(dot + 1 - row->name)) != 0)
			(void)fprintf(to, "%*s%.*s:\n", 2 * depth, "", (int)(dot - from), from);
}

void options_write_yaml(FILE *to)
{
	(void)fputs("# callspan: every option, at its default.\n\n", to);
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		int indent = 0;
		write_sections(to, row);
		for (const char *c = row->name; *c; c++)
			indent += *c == '.' ? 2 : 0;
		(void)fprintf(to, "%*s# %s", indent, "", row->prose);
		if (row->type == OPTION_IS_INT)
			(void)fprintf(to, " (%lld to %lld %s)", (long long)row->min,
				      (long long)row->max, row->unit);
		(void)fprintf(to, "\n%*s%s: ", indent, "", row->name + section_len(row));
		write_value(to, row);
		(void)fputc('\n', to);
	}
}

/* Text for mdoc(7): a backslash and a line's first dot or quote mean something else there. */
static void write_roff(FILE *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", to);
	for (; *text; text++)
		(void)fprintf(to, *text == '\\' ? "\\e" : "%c", *text);
}

void options_write_mdoc(FILE *to)
{
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		(void)fprintf(to, ".It Cm %s\n", row->name);
		write_roff(to, row->prose);
		(void)fputs(".\n", to);
		switch (row->type) {
		case OPTION_IS_INT:
			(void)fprintf(to, "%lld to %lld %s; the default is %lld.\n",
				      (long long)row->min, (long long)row->max, row->unit,
				      (long long)row->def);
			break;
		case OPTION_IS_BOOL:
			(void)fprintf(to, "The default is %s.\n", row->def ? "true" : "false");
			break;
		case OPTION_IS_STR:
			(void)fputs(*row->def_text ? "The default is \"" : "Empty by default", to);
			write_roff(to, row->def_text);
			(void)fputs(*row->def_text ? "\".\n" : ".\n", to);
			break;
		}
	}
}
