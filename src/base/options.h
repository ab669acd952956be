/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* options.h: configuration as one table.
 *
 * The rows of options.def give each option's YAML name, type, default, bounds and prose;
 * the file reader, `callspand --help`, the manual page and conf/callspan.yaml come from the same rows.
 * Files are YAML (libyaml events): a mapping of sections to mappings of scalars.
 */
#ifndef CALLSPAN_BASE_OPTIONS_H
#define CALLSPAN_BASE_OPTIONS_H

#include <stdio.h>

#include "base/rc.h"

#define OPTION_TEXT 1024 /* room for EAL arguments with a few devices */

struct options {
#define OPTION_INT(field, name, def, min, max, unit, prose) int64_t field;
#define OPTION_STR(field, name, def, prose)                 char field[OPTION_TEXT];
#define OPTION_BOOL(field, name, def, prose)                bool field;
#include "base/options.def"
#undef OPTION_INT
#undef OPTION_STR
#undef OPTION_BOOL
};

void options_default(struct options *o);

/* Read a file over what is there.  On failure RC_USAGE and one line
 * "file:line:column: what is wrong" (unknown name, wrong type, out of bounds, not YAML). */
enum rc options_read(struct options *o, const char *path, struct error *err) MUST_USE;

/* Set one option by its dotted name, as from the command line. */
enum rc options_set(struct options *o, const char *name, const char *value,
		    struct error *err) MUST_USE;

/* Write the table: a commented YAML file of the defaults, or manual text (mdoc). */
void options_write_yaml(FILE *to);
void options_write_mdoc(FILE *to);

#endif
