/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recorder.c: making a session ready, running it, and telling what came of it. */
#include "recorder/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "recorder/parts.h"
#include "recorder/pressure.h"

struct signalling *session_signalling(struct session *s, const struct signalling_sink *sink,
				      bool (*overloaded)(void *ctx), struct counters *counters)
{
	const struct options *o = s->options;
	bool imported = s->cfg->files != NULL;
	struct signalling_config cfg = {
		.max_calls = (uint32_t)o->max_calls,
		.media_threads = s->threads,
		.call_timeout_ns = o->call_timeout_s * NS_PER_S,
		.bye_timeout_ns = o->bye_timeout_s * NS_PER_S,
		.max_message = (uint32_t)o->sip_max_bytes,
		.policy = &s->policy,
		.policy_hash = s->policy.hash,
		.retention = s->policy.classes[s->policy.default_class].name,
		.recorder = store_writer_recorder(s->writers[0].writer),
		.imported = imported,
		.imported_us = imported ? clock_real_ns() / NS_PER_US : 0,
		.retain_from_call = s->cfg->retain_from_call,
		.linger_ns = 10 * NS_PER_S,
		.conversation_header = o->conversation_header,
		.sink = *sink,
		.overloaded = overloaded,
		.counters = counters,
	};
	return signalling_new(&cfg);
}

enum rc session_start_writers(struct session *s, struct error *err)
{
	enum rc rc = RC_OK;
	for (unsigned i = 0; i < s->writers_count && rc == RC_OK; i++) {
		rc = writer_thread_start(&s->writers[i], err);
		if (rc == RC_OK)
			cpus_pin(&s->writer_cpus, s->writers[i].thread, i);
	}
	if (rc == RC_OK)
		sd_notify(0, "READY=1");
	return rc;
}

enum rc session_finish_writers(struct session *s, struct error *err)
{
	enum rc first = RC_OK;
	for (unsigned i = 0; i < s->writers_count; i++) {
		struct error later;
		enum rc rc = writer_thread_finish(&s->writers[i], &later);
		counters_sum(&s->total, &s->writers[i].counters);
		session_note_work(s, "writer", i, &s->writers[i].work);
		if (first == RC_OK && rc != RC_OK) {
			first = rc;
			*err = later;
		}
	}
	return first;
}

/* ---- making ready ---------------------------------------------------------------------------------- */

static enum rc open_capture(struct session *s, struct error *err)
{
	const struct options *o = s->options;

	s->captures = calloc(s->threads, sizeof(struct capture *));
	if (!s->captures)
		return error_set(err, RC_FAILED, "not enough memory");
	if (s->cfg->files)
		return capture_open_files(&s->captures[0], s->cfg->files, s->cfg->files_count,
					  o->filter, err);
	if (o->dpdk[0]) {
		struct capture_dpdk dpdk = {
			.arguments = o->dpdk,
			.filter = o->filter,
			.descriptors = (int)o->descriptors,
			.snaplen = (int)o->snaplen,
		};
		return capture_open_dpdk(s->captures, s->threads, &dpdk, err);
	}
	return sources_open(&s->sources, o, s->captures, err);
}

static enum rc make_writers(struct session *s, struct error *err)
{
	const struct options *o = s->options;
	enum rc rc = RC_OK;

	s->writers = calloc(s->writers_count, sizeof *s->writers);
	if (!s->writers)
		return error_set(err, RC_FAILED, "not enough memory");
	for (unsigned i = 0; i < s->writers_count && rc == RC_OK; i++) {
		struct store_writer_config cfg = {
			.store = o->store,
			.writer_no = i,
			.segment_bytes = (size_t)o->segment_mib << 20,
			.sync_ns = o->sync_ms * NS_PER_MS,
			.done_needed = s->threads + 1,
		};
		rc = writer_thread_init(&s->writers[i], cfg, s->threads,
					pressure_buffers(o, s->threads), &s->packet_ns, err);
	}
	return rc;
}

/* Writers read all keys first: a store that lacks one is left as it is.  The vault exchanges its keys under the lock: what
 * it did in between would have them seal to keys that are gone. */
static enum rc take_store(struct session *s, struct error *err)
{
	const char *store = s->options->store;
	uint8_t before[2][32], now[2][32];
	enum rc rc = store_read_vault_public(store, before[0], before[1], err);
	if (rc == RC_OK)
		rc = make_writers(s, err);
	if (rc == RC_OK)
		rc = store_recorder_lock(store, &s->lock, err);
	if (rc == RC_OK)
		rc = store_read_vault_public(store, now[0], now[1], err);
	if (rc == RC_OK && memcmp(before, now, sizeof now) != 0)
		rc = error_set(err, RC_FAILED, "%s: the keys were exchanged just now: start again",
			       store);
	return rc;
}

/* The options that hold more than a number or a text. */
static enum rc read_lists(struct session *s, struct error *err)
{
	const struct options *o = s->options;
	enum rc rc = cpus_read(&s->capture_cpus, "capture.cpus", o->capture_cpus, err);
	if (rc == RC_OK)
		rc = cpus_read(&s->writer_cpus, "writer.cpus", o->writer_cpus, err);
	return rc == RC_OK ? sources_init(&s->sources, o, err) : rc;
}

static enum rc session_init(struct session *s, const struct recorder_config *cfg, struct error *err)
{
	bool listens = !cfg->files;
	*s = (struct session){ .cfg = cfg, .options = cfg->options, .lock = -1 };
	enum rc rc = read_lists(s, err);
	if (rc != RC_OK)
		return rc;
	unsigned interfaces = s->sources.count ? s->sources.count : 1;
	s->threads = listens ? interfaces * s->sources.threads_each : 1;
	s->writers_count = (unsigned)cfg->options->writer_threads;

	/* Root only for what needs it: the interfaces, or files that others may not read. */
	if ((rc = open_capture(s, err)) != RC_OK)
		return rc;
	/* A port of DPDK's is opened again without it. */
	rc = guard_drop_root(s->options->store, s->options->user, listens && !s->options->dpdk[0],
			     err);
	if (rc != RC_OK)
		return rc;
	if ((rc = store_check_version(s->options->store, err)) != RC_OK)
		return rc;
	if ((rc = policy_of_store(&s->policy, s->options->store, err)) != RC_OK)
		return rc;
	return take_store(s, err);
}

static void session_free(struct session *s)
{
	for (unsigned i = 0; s->writers && i < s->writers_count; i++)
		writer_thread_free(&s->writers[i]);
	free(s->writers);
	for (unsigned i = 0; s->captures && i < s->threads; i++)
		capture_close(s->captures[i]);
	free(s->captures);
	free(s->works);
	if (s->lock >= 0)
		close(s->lock);
}

/* ---- the run ----------------------------------------------------------------------------------------- */

static void tell(const struct session *s, double seconds)
{
	const struct counters *t = &s->total;
	log_info("recorded",
		 "frames=%llu calls=%llu answered=%llu streams=%llu stored=%llu duplicates=%llu "
		 "kernel-drops=%llu dropped=%llu seconds=%.1f",
		 (unsigned long long)counter_get(t, COUNT_FRAMES),
		 (unsigned long long)counter_get(t, COUNT_CALLS),
		 (unsigned long long)counter_get(t, COUNT_CALLS_ANSWERED),
		 (unsigned long long)counter_get(t, COUNT_STREAMS),
		 (unsigned long long)counter_get(t, COUNT_RTP_STORED),
		 (unsigned long long)counter_get(t, COUNT_RTP_DUPLICATE),
		 (unsigned long long)counter_get(t, COUNT_KERNEL_DROPS),
		 (unsigned long long)(counter_get(t, COUNT_RTP_REFUSED) +
				      counter_get(t, COUNT_RTP_NO_BUFFER) +
				      counter_get(t, COUNT_FRAMES_IN_DROPPED_CHUNKS) +
				      counter_get(t, COUNT_DISK_FULL_CHUNKS)),
		 seconds);
}

enum rc recorder_check(const struct recorder_config *cfg, struct error *err)
{
	struct policy policy;
	struct store_writer *w;
	static struct counters unused;
	static struct session lists;
	struct decoder decoder;

	/* As the user that will record, so that what it may not read is found now. */
	enum rc rc = guard_drop_root(cfg->options->store, cfg->options->user, false, err);
	lists.options = cfg->options;
	if (rc == RC_OK)
		rc = read_lists(&lists, err);
	if (rc == RC_OK)
		rc = decoder_init(&decoder, cfg->options, err);
	if (rc == RC_OK && cfg->options->dpdk[0])
		rc = capture_check_dpdk(cfg->options->dpdk, err);
	if (rc != RC_OK || (rc = store_check_version(cfg->options->store, err)) != RC_OK)
		return rc;
	if ((rc = policy_of_store(&policy, cfg->options->store, err)) != RC_OK)
		return rc;
	struct store_writer_config writer = {
		.store = cfg->options->store,
		.segment_bytes = (size_t)cfg->options->segment_mib << 20,
		.sync_ns = cfg->options->sync_ms * NS_PER_MS,
		.done_needed = 2,
		.counters = &unused,
	};
	if ((rc = store_writer_new(&w, &writer, err)) != RC_OK)
		return rc;
	return store_writer_finish(w, err); /* it had nothing to write */
}

enum rc recorder_run(const struct recorder_config *cfg, const volatile int *stop, struct error *err)
{
	struct session *s = calloc(1, sizeof *s);
	struct error later;
	if (!s)
		return error_set(err, RC_FAILED, "not enough memory");

	guard_memory();
	int64_t started = clock_mono_ns();
	uint64_t started_cycles = work_now();
	enum rc rc = session_init(s, cfg, err);
	if (rc == RC_OK) {
		s->started_ns = clock_real_ns();
		s->started_mono_ns = started;
		s->started_cycles = started_cycles;
		rc = cfg->files ? files_run(s, stop, err) : live_run(s, stop, err);
		status_write(s, &s->total, false);
		tell(s, (double)(clock_mono_ns() - started) / (double)NS_PER_S);
		if (cfg->counters_path) {
			enum rc told = report_write(cfg->counters_path, s, &later);
			if (rc == RC_OK && told != RC_OK) {
				rc = told;
				*err = later;
			}
		}
	}
	session_free(s);
	free(s);
	return rc;
}
