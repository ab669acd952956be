/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_table.c: aligned columns for people.
 *
 * A column is as wide as its widest cell.  On a terminal that is too narrow, columns that may shrink are cut, the
 * widest first, and what was cut ends in an ellipsis.  Width is counted in terminal columns, not in bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "cmd.h"

#define COLUMNS 16
#define GAP     2
#define CUT_MIN 6 /* no column shrinks below this */

struct cell {
	char *text; /* owned */
	const char *colour;
};

struct table {
	const struct column *columns;
	size_t columns_count;
	struct cell *cells; /* owned, row by row */
	size_t count, room;
};

struct table *cmd_table_new(const struct column *columns, size_t count)
{
	struct table *t = calloc(1, sizeof *t);
	ASSERT(t && count > 0 && count <= COLUMNS);
	t->columns = columns;
	t->columns_count = count;
	return t;
}

void cmd_table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

void cmd_table_cell(struct table *t, const char *text, const char *colour)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = reallocarray(t->cells, t->room, sizeof *t->cells);
		ASSERT(t->cells);
	}
	t->cells[t->count++] = (struct cell){ cmd_clean(text), colour };
}

void cmd_table_number(struct table *t, json_int_t number, const char *colour)
{
	char text[24];
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, number);
	cmd_table_cell(t, text, colour);
}

size_t cmd_table_rows(const struct table *t)
{
	return t->count / t->columns_count;
}

/* Bytes of the next character, and the columns it takes. */
static size_t character(const char *text, size_t *columns)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	if (n == 0 || n > (size_t)-3) {
		*columns = 1;
		return 1;
	}
	int w = wcwidth(wide);
	*columns = w < 0 ? 1 : (size_t)w;
	return n;
}

size_t cmd_width(const char *text)
{
	size_t sum = 0, columns;
	while (*text) {
		text += character(text, &columns);
		sum += columns;
	}
	return sum;
}

static size_t terminal_width(FILE *to)
{
	struct winsize size;
	int fd = fileno(to);
	if (!isatty(fd))
		return SIZE_MAX;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* Take away from the widest column that may shrink, until the row fits or none can. */
static void shrink(const struct table *t, size_t *width, size_t most)
{
	for (;;) {
		size_t sum = 0, widest = COLUMNS;
		for (size_t i = 0; i < t->columns_count; i++) {
			sum += width[i] + (i ? GAP : 0);
			if (t->columns[i].shrink && width[i] > CUT_MIN &&
			    (widest == COLUMNS || width[i] > width[widest]))
				widest = i;
		}
		if (sum <= most || widest == COLUMNS)
			return;
		width[widest]--;
	}
}

static void print_spaces(FILE *to, size_t n)
{
	while (n-- > 0)
		fputc(' ', to);
}

/* At most `width` columns of a text. */
static void print_cut(FILE *to, const char *text, size_t width)
{
	size_t used = 0, columns;
	if (cmd_width(text) <= width) {
		fputs(text, to);
		return;
	}
	while (*text) {
		size_t n = character(text, &columns);
		if (used + columns + 1 > width)
			break;
		fwrite(text, 1, n, to);
		text += n;
		used += columns;
	}
	fputs("…", to);
	print_spaces(to, width - used - 1);
}

static void print_row(const struct table *t, const struct cell *row, const size_t *width, FILE *to)
{
	bool colours = cmd_colours();
	for (size_t i = 0; i < t->columns_count; i++) {
		size_t used = cmd_width(row[i].text), pad = used < width[i] ? width[i] - used : 0;
		bool last = i + 1 == t->columns_count;
		if (t->columns[i].right)
			print_spaces(to, pad);
		if (colours && row[i].colour)
			fprintf(to, "\033[%sm", row[i].colour);
		print_cut(to, row[i].text, width[i]);
		if (colours && row[i].colour)
			fputs("\033[0m", to);
		if (!last)
			print_spaces(to, (t->columns[i].right ? 0 : pad) + GAP);
	}
	fputc('\n', to);
}

void cmd_table_print(const struct table *t, FILE *to)
{
	size_t width[COLUMNS];
	struct cell titles[COLUMNS];
	ASSERT(t->columns_count > 0);
	for (size_t i = 0; i < t->columns_count; i++) {
		union {
			const char *in;
			char *out;
		} title = { .in = t->columns[i].title };
		titles[i] = (struct cell){ title.out, "1" };
		width[i] = cmd_width(title.in);
	}
	for (size_t i = 0; i < t->count; i++) {
		size_t w = cmd_width(t->cells[i].text);
		if (w > width[i % t->columns_count])
			width[i % t->columns_count] = w;
	}
	shrink(t, width, terminal_width(to));
	print_row(t, titles, width, to);
	for (size_t i = 0; i + t->columns_count <= t->count; i += t->columns_count)
		print_row(t, t->cells + i, width, to);
}
