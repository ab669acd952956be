/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* report.c: what a run counted, and how far it is. */
#include "recorder/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum rc report_write(const char *path, const struct counters *total, uint64_t pen_held,
		     struct error *err)
{
	FILE *f = fopen(path, "we");
	if (!f)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	fputs("{\n", f);
	for (int i = 0; i < COUNTER_COUNT; i++)
		fprintf(f, "  \"%s\": %" PRIu64 ",\n", counter_names[i],
			counter_get(total, (enum counter)i));
	fprintf(f, "  \"pen-held\": %" PRIu64 "\n}\n", pen_held);
	bool bad = ferror(f) != 0;
	if (fclose(f) != 0 || bad)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

void progress_draw(const struct capture *c, int64_t started_mono_ns)
{
	enum { WIDTH = 40 };
	uint64_t done, total;
	char bar[WIDTH + 1];
	double seconds = (double)(clock_mono_ns() - started_mono_ns) / (double)NS_PER_S;

	capture_progress(c, &done, &total);
	if (!total) {
		fprintf(stderr, "\r  %" PRIu64 " MB read, %.0f s", done / 1000000, seconds);
		return;
	}
	uint64_t full = done >= total ? WIDTH : done * WIDTH / total;
	for (unsigned i = 0; i < WIDTH; i++)
		bar[i] = i < full ? '#' : '.';
	bar[WIDTH] = '\0';
	fprintf(stderr, "\r  [%s] %3u %%  %.0f s", bar,
		(unsigned)(done >= total ? 100 : done * 100 / total), seconds);
}

void progress_end(void)
{
	fputc('\n', stderr);
}
