/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* search: how long a search by number takes among many calls, with nothing in any cache.
 *
 *   search [--calls 5000000] [--queries 200] [--keep DIR | --use DIR]
 *
 * Puts rows of calls into a new store as ingest does (catalogue_put), over 30 days of hourly segments: a million numbers outside,
 * a thousand inside.  The slots of the calls that are asked for are real; the others are filled with random bytes, for sealing
 * them would take twenty minutes and nobody opens them.  Then, for one number after the other: the kernel's caches are dropped
 * (root), and the index's own, and the request `calls` with the number is timed, from asking to the last reply, with all that
 * a request does (person, ingest, rows opened and printed); a few times with the store opened anew, so that the index's files
 * are too.  Prints one JSON object.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/segment.h"
#undef SEGMENT_NAME
#include "vault/parts.h"

#define HOURS       720
#define NUMBERS     1000000u
#define INSIDE      1000u
#define BATCH       2000
#define FIRST_S     INT64_C(1767600000)
#define NS_PER_S    INT64_C(1000000000)
#define CACHE_BYTES ((size_t)64 << 20) /* as the service's, usually */
#define ANEW        20

static const char controller[] = "bench";

_Noreturn static void die(const struct error *err)
{
	fprintf(stderr, "search: %s\n", err->text);
	exit(RC_FAILED);
}

_Noreturn static void die_errno(const char *what)
{
	fprintf(stderr, "search: %s: %s\n", what, strerror(errno));
	exit(RC_FAILED);
}

static uint64_t chance_state = 0x9e3779b97f4a7c15;

static uint64_t chance(void)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return chance_state;
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

struct hour {
	char name[128];
	struct segment_start start;
	uint32_t slots;
	int keys; /* its slot file */
};

static struct hour hours[HOURS];

static void put_at(int fd, const void *bytes, size_t len, off_t at)
{
	if (pwrite(fd, bytes, len, at) != (ssize_t)len)
		die_errno("write");
}

static int new_file(const struct vault *v, const struct hour *h, const char *ending)
{
	char folder[STORE_PATH], path[STORE_PATH], file[160];
	disk_path(folder, v->store, "vault/segments");
	snprintf(file, sizeof file, "%s%s", h->name, ending);
	disk_path(path, folder, file);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die_errno(path);
	return fd;
}

static void make_hours(struct vault *v)
{
	uint8_t block[LAYOUT_BLOCK];
	struct sign_pair sign;
	sign_pair_new(&sign);
	for (int i = 0; i < HOURS; i++) {
		struct hour *h = &hours[i];
		char id[UUID_TEXT], time_text[16];
		time_t at = (time_t)(FIRST_S + i * 3600);
		struct tm tm;
		gmtime_r(&at, &tm);
		strftime(time_text, sizeof time_text, "%Y%m%dT%H", &tm);
		h->start.id = uuid_v7((int64_t)at * NS_PER_S);
		snprintf(h->name, sizeof h->name, "%s-standard-%s", time_text,
			 uuid_text(&h->start.id, id));
		snprintf(h->start.retention, sizeof h->start.retention, "standard");
		h->start.hour_s = at;
		memcpy(h->start.sign_public, sign.public_key, 32);
		memcpy(h->start.audio_public, v->keys.audio.public_key, 32);
		memcpy(h->start.metadata_public, v->keys.metadata.public_key, 32);
		layout_start_put(block, &h->start);
		int fd = new_file(v, h, ".seg");
		put_at(fd, block, sizeof block, 0);
		close(fd);
		h->keys = new_file(v, h, ".keys");
		struct keys_head head = { .segment = h->start.id, .end = LAYOUT_BLOCK };
		layout_head_put(block, &head, &sign);
		put_at(h->keys, block, sizeof block, 0);
	}
}

static void close_hours(struct vault *v)
{
	struct error err;
	struct index_batch *b = index_batch_new(v->index);
	for (int i = 0; i < HOURS; i++) {
		struct segment_row row = { .done = true,
					   .calls = hours[i].slots,
					   .cursor = LAYOUT_BLOCK,
					   .closed_bytes = LAYOUT_BLOCK };
		segments_put(b, hours[i].name, &row);
		close(hours[i].keys);
	}
	if (index_batch_commit(b, &err) != RC_OK)
		die(&err);
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static void number_text(char out[32], unsigned n)
{
	snprintf(out, 32, "+4930%09u", (n * 7919u) % 1000000000u);
}

static void fill_stream(struct call *c, uint16_t number)
{
	static const uint8_t host[4] = { 192, 0, 2, 7 };
	struct stream_record *s = call_row_stream(c, number);
	s->track = (uint8_t)(number / 32);
	s->ssrc = (uint32_t)chance();
	snprintf(s->codec, sizeof s->codec, "PCMA");
	s->payload_types[0] = 8;
	s->payload_types_count = 1;
	s->clock_rate = 8000;
	s->channels = 1;
	s->ptime_ms = 20;
	s->packets = 3000 + chance() % 9000;
	s->bytes = s->packets * 160;
	s->jitter_ms = 1.5;
	s->start_us = c->r.answer_us;
	s->end_us = c->r.end_us;
	s->complete = true;
	endpoint_set_v4(&s->src, host, (uint16_t)chance());
	endpoint_set_v4(&s->dst, host, (uint16_t)chance());
}

static struct call *make_call(struct vault *v, unsigned number)
{
	unsigned hour = (unsigned)(chance() % HOURS);
	int64_t start_us = (FIRST_S + hour * 3600) * 1000000 + (int64_t)(chance() % 3600000000u);
	struct uuid id = uuid_v7(start_us * 1000);
	struct call *c = call_row_new(&id);
	struct call_record *r = &c->r;
	r->conversation = id;
	r->start_us = start_us;
	r->ring_us = start_us + 1000000;
	r->answer_us = start_us + 5000000;
	r->end_us = r->until_us = r->answer_us + (int64_t)(chance() % 300000000u);
	r->state = CALL_ENDED;
	r->outcome = OUTCOME_ANSWERED;
	r->ended_by = ENDED_BY_CALLER;
	r->direction = DIRECTION_INBOUND;
	r->sip_status = 200;
	number_text(r->from, number);
	snprintf(r->to, sizeof r->to, "%u", 10000 + (unsigned)(chance() % INSIDE));
	snprintf(r->sip_call_id, sizeof r->sip_call_id, "%016llx@pbx.example.test",
		 (unsigned long long)chance());
	snprintf(r->from_uri, sizeof r->from_uri, "sip:%s@example.test", r->from);
	snprintf(r->to_uri, sizeof r->to_uri, "sip:%s@example.test", r->to);
	snprintf(r->policy, sizeof r->policy, "%s", v->policy.hash);
	snprintf(r->recorder, sizeof r->recorder, "0123456789abcdef");
	snprintf(c->segment, sizeof c->segment, "%s", hours[hour].name);
	snprintf(c->class, sizeof c->class, "standard");
	c->slot = hours[hour].slots++;
	c->attested = true;
	c->records = 14;
	c->chunks = 8;
	c->opened = c->stale = true;
	random_bytes(c->digest, sizeof c->digest);
	fill_stream(c, 0);
	fill_stream(c, 32);
	catalogue_parties(v, c);
	c->expiry_us = catalogue_expiry(v, c);
	return c;
}

static void put_slot(const struct call *c, bool real, const struct call_keys *keys)
{
	uint8_t slot[SLOT_BYTES];
	struct hour *h = hours;
	while (strcmp(h->name, c->segment) != 0)
		h++;
	if (real)
		slot_make(slot, &h->start, c->slot, &c->r.id, c->r.start_us, keys->audio,
			  keys->metadata);
	else
		random_bytes(slot, sizeof slot);
	put_at(h->keys, slot, sizeof slot, LAYOUT_BLOCK + (off_t)c->slot * SLOT_BYTES);
}

static void build(struct vault *v, unsigned long count, unsigned queries)
{
	struct call_keys keys = { .has_audio = true, .has_metadata = true };
	struct error err;
	random_bytes(keys.audio, sizeof keys.audio);
	random_bytes(keys.metadata, sizeof keys.metadata);
	make_hours(v);
	struct index_batch *b = index_batch_new(v->index);
	for (unsigned long i = 0; i < count; i++) {
		unsigned number = (unsigned)(chance() % NUMBERS);
		struct call *c = make_call(v, number);
		put_slot(c, number < queries, &keys);
		catalogue_put(b, c, &keys);
		call_row_free(c);
		if ((i + 1) % BATCH)
			continue;
		if (index_batch_commit(b, &err) != RC_OK)
			die(&err);
		b = index_batch_new(v->index);
		if ((i + 1) % 100000 == 0)
			fprintf(stderr, "search: %lu calls\r", i + 1);
	}
	if (index_batch_commit(b, &err) != RC_OK)
		die(&err);
	close_hours(v);
	fprintf(stderr, "\n");
}

/* What the index's files are called, all together: another when RocksDB has put some into order. */
static uint64_t files_now(const struct vault *v)
{
	char path[STORE_PATH];
	uint64_t sum = 0;
	disk_path(path, v->store, "vault/index");
	DIR *d = opendir(path);
	if (!d)
		die_errno(path);
	const struct dirent *e;
	while ((e = readdir(d)))
		sum += e->d_ino * 2654435761u;
	closedir(d);
	return sum;
}

/* In a store that has grown over months RocksDB has long put its files into order, so that is waited for. */
static void settle(const char *store)
{
	struct vault *v;
	struct error err;
	if (vault_open(&v, store, 0, &err) != RC_OK)
		die(&err);
	uint64_t before = 0, now = files_now(v);
	for (int quiet_s = 0; quiet_s < 10; quiet_s++) {
		clock_sleep_us(1000000);
		before = now;
		now = files_now(v);
		if (now != before)
			quiet_s = 0;
	}
	vault_close(v);
}

/* ---- asking ----------------------------------------------------------------------------------------------------------- */

static bool drop_caches(void)
{
	sync();
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "3", 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

static bool count_reply(void *ctx, const json_t *object)
{
	(void)object;
	++*(unsigned long *)ctx;
	return true;
}

static double ask_ms(struct vault *v, const char *number, unsigned long *replies)
{
	const struct vault_caller who = { .person = controller, .uid = 1 };
	struct error err;
	json_t *request = json_pack("{s:s, s:s}", "request", "calls", "party", number);
	int64_t began_ns = clock_mono_ns();
	if (vault_request(v, &who, request, count_reply, replies, &err) != RC_OK)
		die(&err);
	double ms = (double)(clock_mono_ns() - began_ns) / 1e6;
	json_decref(request);
	return ms;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void put_figures(json_t *o, const char *name, double *ms, unsigned n)
{
	qsort(ms, n, sizeof *ms, by_size);
	json_object_set_new(o, name,
			    json_pack("{s:f, s:f, s:f}", "p50_ms", ms[n / 2], "p99_ms",
				      ms[n * 99 / 100], "max_ms", ms[n - 1]));
}

/* With nothing in the kernel's caches, and nothing in the index's own. */
static double ask_cold_ms(struct vault *v, unsigned n, unsigned long *replies, bool *dropped)
{
	char number[32];
	number_text(number, n);
	index_cache(v->index, 0);
	index_cache(v->index, CACHE_BYTES);
	*dropped &= drop_caches();
	return ask_ms(v, number, replies);
}

static struct vault *open_vault(const char *store)
{
	const struct vault_settings settings = { .cache_bytes = CACHE_BYTES };
	struct vault *v;
	struct error err;
	if (vault_open(&v, store, 0, &err) != RC_OK || vault_configure(v, &settings, &err) != RC_OK)
		die(&err);
	return v;
}

static void search(const char *store, unsigned long calls, unsigned queries)
{
	double *cold = calloc(queries, sizeof *cold), *warm = calloc(queries, sizeof *warm);
	double anew[ANEW];
	unsigned long replies = 0, again = 0;
	bool dropped = true;
	char number[32];
	ASSERT(cold && warm);
	struct vault *v = open_vault(store);
	number_text(number, NUMBERS - 1); /* the first request of a process looks at more */
	(void)ask_ms(v, number, &again);
	for (unsigned i = 0; i < queries; i++)
		cold[i] = ask_cold_ms(v, i, &replies, &dropped);
	for (unsigned i = 0; i < 2 * queries; i++) {
		number_text(number, i % queries);
		warm[i % queries] = ask_ms(v, number, &again);
	}
	vault_close(v);
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	for (unsigned i = 0; i < ANEW; i++) {
		v = open_vault(store);
		anew[i] = ask_cold_ms(v, i, &again, &dropped);
		vault_close(v);
	}
	json_t *o =
		json_pack("{s:I, s:i, s:f, s:b, s:I}", "calls", (json_int_t)calls, "queries",
			  (int)queries, "replies_a_query", (double)replies / queries,
			  "caches_dropped", (int)dropped, "max_rss_kib", (json_int_t)u.ru_maxrss);
	put_figures(o, "cold", cold, queries);
	put_figures(o, "warm", warm, queries);
	put_figures(o, "opened_anew", anew, ANEW);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
	free(cold);
	free(warm);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "calls", required_argument, NULL, 'c' },
						 { "queries", required_argument, NULL, 'q' },
						 { "keep", required_argument, NULL, 'k' },
						 { "use", required_argument, NULL, 'u' },
						 { NULL, 0, NULL, 0 } };
	const char *told = getenv("SEARCH_CALLS"), *dir = getenv("BENCH_DIR"), *kept = NULL,
		   *used = NULL;
	unsigned long calls = told ? strtoul(told, NULL, 10) : 5000000;
	unsigned queries = 200;
	char made[256];
	struct vault *v;
	struct error err;
	int opt;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'c': calls = strtoul(optarg, NULL, 10); break;
		case 'q': queries = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'k': kept = optarg; break;
		case 'u': used = optarg; break;
		default: return RC_USAGE;
		}
	}
	snprintf(made, sizeof made, "%s/callspan-search.XXXXXX", dir ? dir : "/var/tmp");
	if (!used && !kept && !mkdtemp(made))
		die_errno(made);
	const char *store = used ? used : kept ? kept : made;
	const struct vault_init cfg = { .store = store,
					.policy = "lab",
					.policy_dir = "conf/policies",
					.controller = controller,
					.allow_cow = true,
					.recorder_uid = (uid_t)-1 };
	if (!used) {
		if (vault_init(&cfg, &err) != RC_OK || vault_open(&v, store, 0, &err) != RC_OK)
			die(&err);
		int64_t began_ns = clock_mono_ns();
		build(v, calls, queries);
		fprintf(stderr, "search: built in %.0f s\n",
			(double)(clock_mono_ns() - began_ns) / 1e9);
		vault_close(v);
	}
	settle(store);
	search(store, calls, queries);
	if (!used && !kept)
		disk_remove_tree(store);
	return 0;
}
