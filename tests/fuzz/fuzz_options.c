/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a configuration file: either every value lies within its bounds, or nothing is
 * changed and one printable line says where the file is wrong. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct options *o)
{
#define OPTION_INT(field, name, def, min, max, unit, prose)                                        \
	ASSERT(o->field >= (min) && o->field <= (max));
#define OPTION_STR(field, name, def, prose)  ASSERT(memchr(o->field, '\0', OPTION_TEXT));
#define OPTION_BOOL(field, name, def, prose) ASSERT(o->field == true || o->field == false);
#include "base/options.def"
#undef OPTION_INT
#undef OPTION_STR
#undef OPTION_BOOL
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static struct options o, defaults;
	static char path[32];
	struct error err = { "" };

	if (fd < 0) {
		fd = memfd_create("options", MFD_CLOEXEC);
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		options_default(&defaults);
	}
	ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	o = defaults;
	if (options_read(&o, path, &err) == RC_OK) {
		check_bounds(&o);
		return 0;
	}
	ASSERT(memcmp(&o, &defaults, sizeof o) == 0);
	ASSERT(strncmp(err.text, path, strlen(path)) == 0);
	for (const char *c = err.text; *c; c++)
		ASSERT(*c >= ' ' && *c < 0x7f);
	return 0;
}
