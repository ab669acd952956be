/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ingest: what it costs the vault to take in what recorders have written, stage by stage.
 *
 *   ingest --calls 20000 --chunks 2 [--done 10000] [--live]
 *
 * Makes a store, has the recorder's own writer put that many ended calls into it (each with three call records, two stream
 * records and so many full chunks), and times one ingest_run().  The stages are timed where they are called (the linker's
 * --wrap), so they add up to what they are of the whole.  With --done, so many segments that were taken in long ago lie in
 * the store, and what a request pays for them is timed.  With --live, the segment is open and grows while it is taken in
 * again and again.  Prints one JSON object.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "vault/parts.h"

#define FRAME_SAMPLES 160
#define FRAMES        50 /* of a chunk: a second of G.711 */
#define HOUR_US       (INT64_C(1767600000) * 1000000)
#define NS_PER_S      INT64_C(1000000000)

/* ---- stages ------------------------------------------------------------------------------------------------------ */

enum stage { VERIFY, DIGEST, KEYS, UNSEAL, ROWS, COMMIT, STAGES };
static const char *const stage_names[STAGES] = { "verify", "digest", "keys",
						 "unseal", "rows",   "commit" };
static int64_t spent_ns[STAGES];
static uint64_t times[STAGES];

#define TIMED(stage, call)                                                                         \
	do {                                                                                       \
		int64_t began_ns = clock_mono_ns();                                                \
		call;                                                                              \
		spent_ns[stage] += clock_mono_ns() - began_ns;                                     \
		times[stage]++;                                                                    \
	} while (0)

enum rc __real_segment_verify(struct segment *s, const uint8_t key[32], struct segment_report *r);
enum rc __wrap_segment_verify(struct segment *s, const uint8_t key[32], struct segment_report *r);
enum rc __wrap_segment_verify(struct segment *s, const uint8_t key[32], struct segment_report *r)
{
	enum rc rc;
	TIMED(VERIFY, rc = __real_segment_verify(s, key, r));
	return rc;
}

enum rc __real_segment_verify_on(struct segment *s, const uint8_t key[32], struct segment_mark *m,
				 struct segment_report *r);
enum rc __wrap_segment_verify_on(struct segment *s, const uint8_t key[32], struct segment_mark *m,
				 struct segment_report *r);
enum rc __wrap_segment_verify_on(struct segment *s, const uint8_t key[32], struct segment_mark *m,
				 struct segment_report *r)
{
	enum rc rc;
	TIMED(VERIFY, rc = __real_segment_verify_on(s, key, m, r));
	return rc;
}

void __real_segments_digest(uint8_t digest[32], const struct segment_record *r);
void __wrap_segments_digest(uint8_t digest[32], const struct segment_record *r);
void __wrap_segments_digest(uint8_t digest[32], const struct segment_record *r)
{
	TIMED(DIGEST, __real_segments_digest(digest, r));
}

enum rc __real_segment_keys(struct segment *s, uint32_t n, const struct seal_pair *audio,
			    const struct seal_pair *metadata, struct call_keys *out,
			    struct error *err);
enum rc __wrap_segment_keys(struct segment *s, uint32_t n, const struct seal_pair *audio,
			    const struct seal_pair *metadata, struct call_keys *out,
			    struct error *err);
enum rc __wrap_segment_keys(struct segment *s, uint32_t n, const struct seal_pair *audio,
			    const struct seal_pair *metadata, struct call_keys *out,
			    struct error *err)
{
	enum rc rc;
	TIMED(KEYS, rc = __real_segment_keys(s, n, audio, metadata, out, err));
	return rc;
}

bool __real_segment_unseal(const struct segment *s, const struct segment_record *r,
			   const struct call_keys *keys, uint8_t *out);
bool __wrap_segment_unseal(const struct segment *s, const struct segment_record *r,
			   const struct call_keys *keys, uint8_t *out);
bool __wrap_segment_unseal(const struct segment *s, const struct segment_record *r,
			   const struct call_keys *keys, uint8_t *out)
{
	bool good;
	TIMED(UNSEAL, good = __real_segment_unseal(s, r, keys, out));
	return good;
}

void __real_catalogue_put(struct index_batch *b, struct call *c, const struct call_keys *keys);
void __wrap_catalogue_put(struct index_batch *b, struct call *c, const struct call_keys *keys);
void __wrap_catalogue_put(struct index_batch *b, struct call *c, const struct call_keys *keys)
{
	TIMED(ROWS, __real_catalogue_put(b, c, keys));
}

enum rc __real_index_batch_commit(struct index_batch *b, struct error *err);
enum rc __wrap_index_batch_commit(struct index_batch *b, struct error *err);
enum rc __wrap_index_batch_commit(struct index_batch *b, struct error *err)
{
	enum rc rc;
	TIMED(COMMIT, rc = __real_index_batch_commit(b, err));
	return rc;
}

/* ---- a recorder ---------------------------------------------------------------------------------------------------- */

static struct counters counters;

_Noreturn static void die(const struct error *err)
{
	fprintf(stderr, "ingest: %s\n", err->text);
	exit(RC_FAILED);
}

static void write_chunk(struct store_writer *w, uint64_t call, unsigned track, uint64_t counter)
{
	static struct chunk k;
	k.call = call;
	k.stream = (uint16_t)(track * 32);
	k.track = (uint8_t)track;
	k.counter = counter;
	k.frames = FRAMES;
	k.table_len = 4 * FRAMES;
	k.payload_len = FRAME_SAMPLES * FRAMES;
	put_u32_le(k.header + 4, k.frames);
	put_u32_le(k.header + 8, k.table_len);
	put_u64_le(k.header + 16, counter * FRAMES);
	store_writer_chunk(w, &k);
}

static void write_stream(struct store_writer *w, uint64_t call, unsigned track,
			 const struct call_record *r, unsigned chunks)
{
	static const uint8_t host[4] = { 192, 0, 2, 7 };
	struct stream_record s = { .call = call,
				   .stream = (uint16_t)(track * 32),
				   .track = (uint8_t)track,
				   .ssrc = (uint32_t)call,
				   .codec = "PCMU",
				   .payload_types_count = 1,
				   .clock_rate = 8000,
				   .channels = 1,
				   .ptime_ms = 20,
				   .packets = (uint64_t)chunks * FRAMES,
				   .start_us = r->answer_us,
				   .end_us = r->end_us,
				   .complete = true };
	endpoint_set_v4(&s.src, host, (uint16_t)(4000 + call % 50000));
	endpoint_set_v4(&s.dst, host, 5000);
	store_writer_stream(w, &s);
}

static struct call_record begin_call(struct store_writer *w, uint64_t n)
{
	struct call_record r = { .start_us = HOUR_US + (int64_t)n * 10 };
	struct store_open o = { .call = n, .start_us = r.start_us, .retention = "standard" };
	r.id = r.conversation = o.id = uuid_v7(r.start_us * 1000);
	r.ring_us = r.start_us + 1000000;
	r.state = CALL_RINGING;
	snprintf(r.sip_call_id, sizeof r.sip_call_id, "%08llx@pbx.example.test",
		 (unsigned long long)n);
	snprintf(r.from, sizeof r.from, "+4416329%06u", (unsigned)n);
	snprintf(r.to, sizeof r.to, "+4930901%06u", (unsigned)(n * 7));
	snprintf(r.from_uri, sizeof r.from_uri, "sip:%s@example.test", r.from);
	snprintf(r.to_uri, sizeof r.to_uri, "sip:%s@example.test", r.to);
	store_writer_open(w, &o);
	store_writer_call(w, n, &r);
	return r;
}

/* A call as a recorder writes it: ringing, talking, its audio, its end. */
static void write_call(struct store_writer *w, uint64_t n, unsigned chunks)
{
	struct call_record r = begin_call(w, n);
	r.state = CALL_TALKING;
	r.outcome = OUTCOME_ANSWERED;
	r.sip_status = 200;
	r.answer_us = r.start_us + 2000000;
	store_writer_call(w, n, &r);
	for (unsigned i = 0; i < chunks; i++)
		write_chunk(w, n, i % 2, i / 2);
	r.state = CALL_ENDED;
	r.ended_by = ENDED_BY_CALLER;
	r.end_us = r.until_us = r.answer_us + (int64_t)chunks * 500000;
	for (unsigned track = 0; track < 2; track++)
		write_stream(w, n, track, &r, chunks);
	store_writer_call(w, n, &r);
	store_writer_done(w, n);
}

static struct store_writer *new_writer(const char *store)
{
	const struct store_writer_config cfg = { .store = store,
						 .segment_bytes = 1 << 30,
						 .sync_ns = NS_PER_S,
						 .done_needed = 1,
						 .counters = &counters };
	struct store_writer *w;
	struct error err;
	if (store_writer_new(&w, &cfg, &err) != RC_OK)
		die(&err);
	return w;
}

/* ---- what is measured ------------------------------------------------------------------------------------------------ */

struct asked {
	unsigned long calls;
	unsigned chunks, done;
	bool live;
};

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double take_in(struct vault *v)
{
	struct error err;
	int64_t began_ns = clock_mono_ns();
	if (ingest_run(v, NULL, &err) != RC_OK)
		die(&err);
	return (double)(clock_mono_ns() - began_ns) / 1e9;
}

/* Rows of segments that were done long ago. */
static void add_done(struct vault *v, unsigned count)
{
	struct error err;
	char name[SEGMENT_NAME], id[UUID_TEXT], path[STORE_PATH], file[SEGMENT_NAME + 8];
	struct index_batch *b = index_batch_new(v->index);
	for (unsigned i = 0; i < count; i++) {
		struct segment_row row = { .done = true, .closed_bytes = 1, .calls = 1 };
		struct uuid u = uuid_v7(HOUR_US * 1000);
		snprintf(name, sizeof name, "20250101T%02u-standard-%s", i % 24, uuid_text(&u, id));
		segments_put(b, name, &row);
		for (int k = 0; k < 2; k++) {
			char folder[STORE_PATH];
			disk_path(folder, v->store, "vault/segments");
			snprintf(file, sizeof file, "%s%s", name, k ? ".keys" : ".seg");
			disk_path(path, folder, file);
			FILE *f = fopen(path, "w");
			if (f)
				fclose(f);
		}
	}
	if (index_batch_commit(b, &err) != RC_OK)
		die(&err);
}

static void print_stages(json_t *o, double total_s, unsigned long calls)
{
	json_t *stages = json_object();
	double rest = total_s;
	for (int i = 0; i < STAGES; i++) {
		double s = (double)spent_ns[i] / 1e9;
		rest -= s;
		json_object_set_new(stages, stage_names[i],
				    json_pack("{s:f, s:f, s:I}", "seconds", s, "us_a_call",
					      s * 1e6 / (double)calls, "times",
					      (json_int_t)times[i]));
	}
	json_object_set_new(
		stages, "rest",
		json_pack("{s:f, s:f}", "seconds", rest, "us_a_call", rest * 1e6 / (double)calls));
	json_object_set_new(o, "stages", stages);
}

/* The recorder writes, the vault follows: each round adds the same, so it should cost the same. */
static void follow(struct vault *v, const struct asked *a, json_t *o)
{
	enum { ROUNDS = 20 };
	struct store_writer *w = new_writer(v->store);
	json_t *rounds = json_array();
	unsigned long n = 0;
	for (int i = 0; i < ROUNDS; i++) {
		for (unsigned long k = 0; k < a->calls / ROUNDS; k++)
			write_call(w, n++, a->chunks);
		store_writer_tick(w, (2 * i + 1) * NS_PER_S, HOUR_US * 1000);
		store_writer_tick(w, (2 * i + 2) * NS_PER_S, HOUR_US * 1000);
		json_array_append_new(rounds, json_real(take_in(v)));
	}
	json_object_set_new(o, "rounds_seconds", rounds);
	struct error err;
	if (store_writer_finish(w, &err) != RC_OK)
		die(&err);
	json_object_set_new(o, "closing_seconds", json_real(take_in(v)));
}

static void take_once(struct vault *v, const struct asked *a, json_t *o)
{
	struct store_writer *w = new_writer(v->store);
	struct error err;
	for (unsigned long n = 0; n < a->calls; n++)
		write_call(w, n, a->chunks);
	if (store_writer_finish(w, &err) != RC_OK)
		die(&err);
	double cpu = cpu_s(), s = take_in(v);
	json_object_set_new(o, "seconds", json_real(s));
	json_object_set_new(o, "cpu_seconds", json_real(cpu_s() - cpu));
	json_object_set_new(o, "calls_a_second", json_real((double)a->calls / s));
	print_stages(o, s, a->calls);
}

static void measure(const char *store, const struct asked *a)
{
	struct vault *v;
	struct error err;
	json_t *o =
		json_pack("{s:I, s:i}", "calls", (json_int_t)a->calls, "chunks", (int)a->chunks);
	if (vault_open(&v, store, 0, &err) != RC_OK)
		die(&err);
	if (a->live)
		follow(v, a, o);
	else
		take_once(v, a, o);
	if (a->done) {
		add_done(v, a->done);
		(void)take_in(v);
		double s = 0;
		for (int i = 0; i < 20; i++)
			s += take_in(v) / 20;
		json_object_set_new(o, "done_segments", json_integer(a->done));
		json_object_set_new(o, "nothing_new_ms", json_real(s * 1e3));
	}
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	json_object_set_new(o, "max_rss_kib", json_integer(u.ru_maxrss));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
	vault_close(v);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "calls", required_argument, NULL, 'c' },
						 { "chunks", required_argument, NULL, 'k' },
						 { "done", required_argument, NULL, 'd' },
						 { "live", no_argument, NULL, 'l' },
						 { NULL, 0, NULL, 0 } };
	struct asked a = { .calls = 20000, .chunks = 2 };
	struct error err;
	int opt;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'c': a.calls = strtoul(optarg, NULL, 10); break;
		case 'k': a.chunks = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': a.done = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'l': a.live = true; break;
		default: return RC_USAGE;
		}
	}
	char store[256];
	const char *dir = getenv("BENCH_DIR");
	snprintf(store, sizeof store, "%s/callspan-ingest.XXXXXX", dir ? dir : "/var/tmp");
	if (!mkdtemp(store))
		return RC_FAILED;
	const struct vault_init cfg = { .store = store,
					.policy = "lab",
					.policy_dir = "conf/policies",
					.controller = "bench",
					.allow_cow = true,
					.recorder_uid = (uid_t)-1 };
	if (vault_init(&cfg, &err) != RC_OK)
		die(&err);
	measure(store, &a);
	disk_remove_tree(store);
	return 0;
}
