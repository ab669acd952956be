/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* report.c: what a run counted, and how far it is. */
#include "recorder/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

void session_note_work(struct session *s, const char *role, unsigned number, const struct work *w)
{
	struct session_work *works = realloc(s->works, (s->works_count + 1) * sizeof *works);
	ASSERT(works);
	works[s->works_count++] = (struct session_work){ role, number, *w };
	s->works = works;
}

void session_note_tap(struct session *s, const char *role, unsigned number, const struct tap *t)
{
	counters_sum(&s->total, &t->counters);
	session_note_work(s, role, number, &t->work);
	if (!t->media)
		return;
	s->pen_held += media_held(t->media);
	s->buffers_most += media_buffers_most(t->media);
	s->media_bytes_most += media_bytes_most(t->media);
	s->ended_bytes_most += media_ended_bytes_most(t->media);
}

/* Seconds by stage: of the bursts that were timed where a stage is sampled. */
static void put_work(FILE *f, const struct session_work *w, double cycle_s)
{
	fprintf(f, "    \"%s-%u\": {\"cpu_s\": %.6f", w->role, w->number,
		(double)w->work.cpu_ns / (double)NS_PER_S);
	for (int i = 0; i < WORK_STAGES; i++)
		if (w->work.items[i])
			fprintf(f,
				", \"%s\": {\"s\": %.6f, \"items\": %" PRIu64 ", \"sampled\": %s}",
				work_names[i], (double)w->work.cycles[i] * cycle_s,
				w->work.items[i], work_sampled[i] ? "true" : "false");
	fputs("}", f);
}

static void put_works(FILE *f, const struct session *s)
{
	double seconds = (double)(clock_mono_ns() - s->started_mono_ns) / (double)NS_PER_S;
	double cycle_s = seconds / (double)(work_now() - s->started_cycles);
	fputs("  \"threads\": {\n", f);
	for (unsigned i = 0; i < s->works_count; i++) {
		put_work(f, &s->works[i], cycle_s);
		fputs(i + 1 < s->works_count ? ",\n" : "\n", f);
	}
	fputs("  }\n", f);
}

enum rc report_write(const char *path, const struct session *s, struct error *err)
{
	FILE *f = fopen(path, "we");
	if (!f)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	fputs("{\n", f);
	for (int i = 0; i < COUNTER_COUNT; i++)
		fprintf(f, "  \"%s\": %" PRIu64 ",\n", counter_names[i],
			counter_get(&s->total, (enum counter)i));
	fprintf(f, "  \"pen-held\": %" PRIu64 ",\n", s->pen_held);
	fprintf(f, "  \"fragments-held\": %" PRIu64 ",\n", s->fragments_held);
	fprintf(f, "  \"segments-held\": %" PRIu64 ",\n", s->segments_held);
	fprintf(f,
		"  \"memory\": {\"chunk-buffer-bytes\": %d, \"chunk-buffers-most\": %" PRIu64
		", \"media-bytes-most\": %" PRIu64 ", \"ended-bytes-most\": %" PRIu64 "},\n",
		CHUNK_BUFFER, s->buffers_most, s->media_bytes_most, s->ended_bytes_most);
	put_works(f, s);
	fputs("}\n", f);
	bool bad = ferror(f) != 0;
	if (fclose(f) != 0 || bad)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

/* ---- status ------------------------------------------------------------------------------------------------- */

static void put_time(FILE *f, const char *name, int64_t ns)
{
	char text[CLOCK_TEXT];
	if (ns)
		fprintf(f, "  \"%s\": \"%s\",\n", name, clock_rfc3339(ns, text));
	else
		fprintf(f, "  \"%s\": null,\n", name);
}

/* The interfaces, and since when they are as they are. */
static void put_sources(FILE *f, const struct sources *s)
{
	char text[CLOCK_TEXT];
	fputs("  \"interfaces\": [", f);
	for (unsigned i = 0; i < s->count; i++)
		fprintf(f, "%s\n    {\"name\": \"%s\", \"state\": \"%s\", \"since\": \"%s\"}",
			i ? "," : "", s->at[i].name, sources_state(&s->at[i]),
			clock_rfc3339(s->at[i].since_ns, text));
	fputs(s->count ? "\n  ],\n" : "],\n", f);
}

static bool put_status(FILE *f, const struct session *s, const struct counters *sum, bool running)
{
	fprintf(f, "{\n  \"running\": %s,\n  \"live\": %s,\n", running ? "true" : "false",
		s->cfg->files ? "false" : "true");
	put_time(f, "started", s->started_ns);
	put_time(f, "written", clock_real_ns());
	put_time(f, "packet_time", atomic_load_explicit(&s->packet_ns, memory_order_relaxed));
	put_sources(f, &s->sources);
	fputs("  \"counters\": {\n", f);
	for (int i = 0; i < COUNTER_COUNT; i++)
		fprintf(f, "    \"%s\": %" PRIu64 "%s\n", counter_names[i],
			counter_get(sum, (enum counter)i), i + 1 < COUNTER_COUNT ? "," : "");
	fputs("  }\n}\n", f);
	return ferror(f) == 0;
}

void status_write(struct session *s, const struct counters *sum, bool running)
{
	char path[STORE_PATH], fresh[STORE_PATH + 8];
	int n = snprintf(path, sizeof path, "%s/recorder/status.json", s->options->store);
	ASSERT(n > 0 && (size_t)n < sizeof path); /* the store was opened below the same root */
	snprintf(fresh, sizeof fresh, "%s.new", path);
	FILE *f = fopen(fresh, "we");
	bool good = f && put_status(f, s, sum, running);
	if (f && fclose(f) != 0)
		good = false;
	good = good && rename(fresh, path) == 0;
	if (!good && !s->status_failed)
		log_warning("status-not-written", "path=%s", path);
	s->status_failed = !good;
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
