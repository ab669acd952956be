/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* purge.c: what a purge costs.
 *
 *   purge STORE CALLS
 *
 * Makes a store of so many recordings whose time is up, all of them: segments of 20,000 calls with slot files, slot records,
 * footer and attests as a recorder writes them; rows and everything that points at them as ingest puts them.  Sealed bytes
 * (boxes, one chunk a call, the sealed part of rows) are random: sealing is the recorder's cost.  Then it asks the vault for a
 * dry run and for a purge, as callspan does, and prints what that took as JSON.  It fails when not all of them are destroyed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "store/index.pb-c.h"
#include "store/recorder_files.h"
#include "store/segment.h"
/* Both call it so: the same name, with more room here. */
#undef SEGMENT_NAME
#include "vault/parts.h"

#define PER_SEGMENT 20000
#define CHUNK       200 /* bytes of a call's one sealed record */
#define SEALED      300 /* of a row's sealed part */
#define A_BATCH     2000

static int64_t now_us;

static int64_t bench_clock(void *ctx)
{
	(void)ctx;
	return now_us;
}

static void check(enum rc rc, const struct error *err)
{
	if (rc == RC_OK)
		return;
	fprintf(stderr, "bench/purge: %s\n", err->text);
	exit(1);
}

/* User and system time, all threads. */
static double cpu_seconds(void)
{
	struct rusage use;
	(void)getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double seconds_since(int64_t began_ns)
{
	return (double)(clock_mono_ns() - began_ns) / 1e9;
}

/* ---- segments ---------------------------------------------------------------------------------- */

struct making {
	struct vault *v;
	struct sign_pair sign; /* the recorder's */
	struct segment_start start;
	char name[SEGMENT_NAME];
	uint8_t *seg, *keys; /* files in memory */
	size_t seg_len, keys_len;
	struct footer_entry *table;
	size_t entries;
	struct digest *since;
	uint64_t records;
	uint64_t serial; /* calls made so far */
	struct index_batch *batch;
};

static uint8_t *append(struct making *m, struct record_header *h, const void *body)
{
	uint8_t *record = m->seg + m->seg_len;
	memcpy(record + RECORD_HEADER, body, h->body_len);
	layout_record_finish(record, h);
	layout_cover(m->since, record, h);
	if (h->slot != SLOT_NONE)
		m->table[m->entries++] =
			(struct footer_entry){ m->seg_len, h->slot, h->type, 0, 0 };
	m->seg_len += RECORD_HEADER + h->body_len;
	m->records++;
	return record;
}

static void begin_segment(struct making *m, int64_t hour_us)
{
	char id[UUID_TEXT], stamp[CLOCK_TEXT];
	memset(&m->start, 0, sizeof m->start);
	m->start.id = uuid_v7(hour_us * 1000);
	memcpy(m->start.sign_public, m->sign.public_key, 32);
	snprintf(m->start.retention, sizeof m->start.retention, "standard");
	m->start.hour_s = hour_us / 1000000;
	m->start.created_us = hour_us;
	clock_rfc3339(hour_us * 1000, stamp);
	snprintf(m->name, sizeof m->name, "%.4s%.2s%.2sT%.2s-standard-%s", stamp, stamp + 5,
		 stamp + 8, stamp + 11, uuid_text(&m->start.id, id));
	layout_start_put(m->seg, &m->start);
	m->seg_len = m->keys_len = LAYOUT_BLOCK;
	m->entries = 0;
	m->records = 0;
}

static void write_file(const struct making *m, const char *ext, const uint8_t *bytes, size_t len)
{
	char path[STORE_PATH];
	segments_path(path, m->v, SEGMENT_IN_VAULT, m->name, ext);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fsync(fd) != 0 || close(fd) != 0) {
		fprintf(stderr, "bench/purge: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

static void end_segment(struct making *m, uint32_t calls)
{
	static uint8_t zeros[LAYOUT_BLOCK];
	size_t len = FOOTER_HEAD + m->entries * FOOTER_ENTRY;
	uint8_t *body = malloc(len);
	ASSERT(body && layout_footer_put(body, m->table, m->entries, calls));
	struct attest a = { .segment = m->start.id, .from = LAYOUT_BLOCK, .footer = m->seg_len };
	struct record_header h = { .body_len = (uint32_t)len,
				   .type = RECORD_FOOTER,
				   .slot = SLOT_NONE };
	(void)append(m, &h, body);
	free(body);
	size_t after = m->seg_len % LAYOUT_BLOCK + RECORD_HEADER + ATTEST_RECORD;
	h = (struct record_header){ .body_len = (uint32_t)(-after % LAYOUT_BLOCK),
				    .type = RECORD_PAD,
				    .slot = SLOT_NONE };
	(void)append(m, &h, zeros);
	a.records = m->records;
	digest_sha256(a.previous, m->seg, LAYOUT_BLOCK);
	digest_take(m->since, a.covered);
	uint8_t *record = m->seg + m->seg_len;
	layout_attest_put(record, &a, 0, &m->sign);
	m->seg_len += ATTEST_RECORD;
	struct keys_head head = { .segment = m->start.id, .attests = 1, .end = m->seg_len };
	digest_sha256(head.newest, record, ATTEST_RECORD);
	layout_head_put(m->keys, &head, &m->sign);
	write_file(m, ".keys", m->keys, m->keys_len);
	write_file(m, ".seg", m->seg, m->seg_len);

	struct segment_row row = { .cursor = m->seg_len,
				   .seen_bytes = m->seg_len,
				   .calls = calls,
				   .records = m->records + 1,
				   .live_bytes = (uint64_t)calls *
						 (RECORD_HEADER * 2 + SLOT_BODY + CHUNK),
				   .closed_bytes = m->seg_len,
				   .closed_keys_bytes = m->keys_len,
				   .attested_end = m->seg_len,
				   .done = true,
				   .has_closed_attest = true,
				   .has_last_attest = true };
	digest_sha256(row.closed_attest, record + RECORD_HEADER, ATTEST_BODY);
	memcpy(row.last_attest, row.closed_attest, 32);
	segments_put(m->batch, m->name, &row);
}

/* ---- rows -------------------------------------------------------------------------------------- */

static void put_recorded(struct making *m, const struct call *c)
{
	Callspan__Index__Recorded r;
	uint8_t key[17] = { 'r' }, value[64], digest[32];
	callspan__index__recorded__init(&r);
	r.entry = m->serial + 1;
	memcpy(digest, c->digest, 32);
	r.digest = (ProtobufCBinaryData){ 32, digest };
	size_t len = callspan__index__recorded__pack(&r, value);
	memcpy(key + 1, c->r.id.b, 16);
	index_batch_put(m->batch, INDEX_META, key, sizeof key, value, len);
}

static void put_call(struct making *m, const struct uuid *id, int64_t start_us, uint32_t slot)
{
	struct call *c = call_row_new(id);
	c->r.conversation = *id;
	c->r.state = CALL_ENDED;
	c->r.outcome = OUTCOME_ANSWERED;
	c->r.start_us = start_us;
	c->r.answer_us = start_us + 5000000;
	c->r.end_us = start_us + 60000000;
	snprintf(c->r.policy, sizeof c->r.policy, "%s", m->v->policy.hash);
	snprintf(c->class, sizeof c->class, "standard");
	memcpy(c->segment, m->name, sizeof m->name);
	c->slot = slot;
	c->records = 2;
	c->chunks = 1;
	c->stored_bytes = RECORD_HEADER * 2 + SLOT_BODY + CHUNK;
	for (uint16_t track = 0; track < 2; track++) {
		struct stream_record *s = call_row_stream(c, (uint16_t)(track * 32));
		s->track = (uint8_t)track;
		snprintf(s->codec, sizeof s->codec, "PCMA");
		s->clock_rate = 8000;
		s->packets = 3000;
		s->bytes = 480000;
		s->start_us = c->r.answer_us;
		s->end_us = c->r.end_us;
	}
	c->sealed = malloc(SEALED);
	ASSERT(c->sealed);
	c->sealed_len = SEALED;
	random_bytes(c->sealed, SEALED);
	random_bytes(c->digest, sizeof c->digest);
	c->parties_count = 8;
	random_bytes(c->parties, sizeof c->parties);
	c->expiry_us = catalogue_expiry(m->v, c);
	catalogue_put(m->batch, c, NULL);
	put_recorded(m, c);
	call_row_free(c);
}

static void make_call(struct making *m, int64_t start_us, uint32_t slot)
{
	uint8_t body[SLOT_BODY], sealed[CHUNK], *made = m->keys + m->keys_len;
	struct uuid id = uuid_v7(start_us * 1000);
	random_bytes(made, SLOT_BYTES);
	memcpy(made, id.b, 16);
	put_u64_le(made + 16, (uint64_t)start_us);
	m->keys_len += SLOT_BYTES;
	memcpy(body, id.b, 16);
	put_u64_le(body + 16, (uint64_t)start_us);
	digest_sha256(body + 24, made, SLOT_BYTES);
	struct record_header h = { .body_len = SLOT_BODY, .type = RECORD_SLOT, .slot = slot };
	(void)append(m, &h, body);
	random_bytes(sealed, sizeof sealed);
	h = (struct record_header){ .body_len = CHUNK, .type = RECORD_CHUNK, .slot = slot };
	(void)append(m, &h, sealed);
	put_call(m, &id, start_us, slot);
	m->serial++;
}

static void commit(struct making *m)
{
	struct error err;
	check(index_batch_commit(m->batch, &err), &err);
	m->batch = index_batch_new(m->v->index);
}

/* An hour's calls share a segment, as a recorder's do. */
static void make_all(struct vault *v, uint64_t calls)
{
	struct making m = { .v = v };
	struct error err;
	size_t most =
		(size_t)PER_SEGMENT * (RECORD_HEADER * 2 + SLOT_BODY + CHUNK + 2 * FOOTER_ENTRY);
	check(recorder_files_sign_pair(v->store, &m.sign, &err), &err);
	m.seg = malloc(most + 4 * LAYOUT_BLOCK);
	m.keys = malloc((size_t)PER_SEGMENT * SLOT_BYTES + LAYOUT_BLOCK);
	m.table = malloc(2 * PER_SEGMENT * sizeof *m.table);
	m.since = digest_new();
	ASSERT(m.seg && m.keys && m.table && m.since);
	m.batch = index_batch_new(v->index);
	int64_t hour_us = INT64_C(1772532000000000); /* 2026-03-03T10:00:00Z */
	while (m.serial < calls) {
		uint32_t n = 0;
		begin_segment(&m, hour_us);
		for (; n < PER_SEGMENT && m.serial < calls; n++) {
			make_call(&m, hour_us + (int64_t)n * (INT64_C(3600000000) / PER_SEGMENT),
				  n);
			if (m.serial % A_BATCH == 0)
				commit(&m);
		}
		end_segment(&m, n);
		hour_us += INT64_C(3600000000);
	}
	commit(&m);
	index_batch_drop(m.batch);
	digest_free(m.since);
	free(m.seg);
	free(m.keys);
	free(m.table);
}

/* ---- asking ------------------------------------------------------------------------------------ */

static bool take_reply(void *ctx, const json_t *object)
{
	json_t **reply = ctx;
	json_decref(*reply);
	*reply = json_deep_copy(object);
	return true;
}

static json_t *ask(struct vault *v, const char *member, double *seconds)
{
	struct error err;
	json_t *reply = NULL, *request = json_pack("{s:s, s:b, s:b}", "request", "purge", member,
						   true, "yes", true);
	const struct vault_caller who = { .person = "bench" };
	int64_t began = clock_mono_ns();
	check(vault_request(v, &who, request, take_reply, &reply, &err), &err);
	*seconds = seconds_since(began);
	json_decref(request);
	return reply;
}

static struct vault *open_store(const char *store)
{
	struct vault *v;
	struct error err;
	check(vault_open(&v, store, 0, &err), &err);
	vault_set_clock(v, bench_clock, NULL);
	return v;
}

int main(int argc, char **argv)
{
	struct error err;
	double dry, purge;
	uint64_t calls = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	if (!calls) {
		fprintf(stderr, "usage: purge STORE CALLS\n");
		return 2;
	}
	struct vault_init init = { .store = argv[1],
				   .policy = "lab",
				   .policy_dir = "conf/policies",
				   .controller = "bench",
				   .allow_cow = true,
				   .recorder_uid = (uid_t)-1 };
	check(vault_init(&init, &err), &err);
	now_us = clock_real_ns() / 1000 + INT64_C(400) * 86400 * 1000000;
	struct vault *v = open_store(argv[1]);
	int64_t began = clock_mono_ns();
	make_all(v, calls);
	double built = seconds_since(began);
	vault_close(v);

	v = open_store(argv[1]);
	json_t *due = ask(v, "dry_run", &dry);
	double cpu = cpu_seconds();
	json_t *done = ask(v, "yes", &purge);
	cpu = cpu_seconds() - cpu;
	vault_close(v);
	bool all = json_integer_value(json_object_get(due, "due")) == (json_int_t)calls &&
		   json_integer_value(json_object_get(done, "destroyed")) == (json_int_t)calls;
	json_t *o = json_pack(
		"{s:I, s:f, s:f, s:f, s:f, s:O, s:O, s:O}", "calls", (json_int_t)calls, "build_s",
		built, "dry_run_s", dry, "purge_s", purge, "purge_cpu_s", cpu, "stages_ms",
		json_object_get(done, "stages_ms"), "destroyed", json_object_get(done, "destroyed"),
		"bytes_freed", json_object_get(done, "bytes_freed"));
	json_dumpf(o, stdout, 0);
	printf("\n");
	json_decref(o);
	json_decref(due);
	json_decref(done);
	if (!all)
		fprintf(stderr, "bench/purge: not all of them were destroyed\n");
	return all ? 0 : 1;
}
