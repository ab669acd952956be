/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* writer.c: the store's writing side: calls, their keys, and which segment each goes to.
 *
 * One thread owns a store_writer and everything in it.  A call's two keys are made when it
 * opens, lie in memory that is neither swapped nor dumped, and are wiped when it closes; nothing
 * but their sealed copies in the slot ever leaves.  Nonces cannot repeat: keys are new for each
 * call, RECORD_CALL and RECORD_STREAM take their counter from the call, and that a stream's
 * chunk counters grow is ASSERTed.
 *
 *   open ──► keys ──► segment of (class, hour) ──► slot
 *   chunk, call, stream ──► sealed with the call's keys ──► its segment
 *   done × done_needed ──► keys wiped
 *
 * A segment closes when its hour has passed and its last call has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/pages.h"
#include "base/pool.h"
#include "store/recorder_files.h"
#include "store/segment_write.h"

#define BUCKETS_FIRST 1024
#define SLAB_KEYS     1024
#define FLUSH_NS      (200 * NS_PER_MS)
#define RETRY_NS      NS_PER_S
#define HOUR_S        3600
#define LAST_HOUR_S   INT64_C(253402297200) /* 9999-12-31T23: four digits of year in a name */
/* Packet times may jump about in a capture file; so many segments at most are open for that. */
#define SEGMENTS_MOST 128

struct call_secret {
	uint8_t audio[KEY_BYTES], metadata[KEY_BYTES];
};

struct writer_stream {
	uint16_t number;
	uint32_t next_chunk; /* least counter that its next chunk may have */
	uint32_t dropped;    /* frames that were in chunks the disk did not take */
};

struct writer_call {
	struct writer_call *next; /* in its bucket */
	uint64_t number;
	struct call_secret *secret; /* owned: of `slab` */
	uint32_t slab;              /* which */
	uint32_t slot;
	struct segment_write *segment; /* borrowed; NULL: none could take it yet, nothing is kept */
	struct store_open *waiting; /* owned: what a segment has to know of it; NULL: one knows */
	uint64_t records;           /* counter of the next call or stream record */
	struct writer_stream *streams; /* owned: a list (list.h), in order of their numbers */
	uint32_t streams_count;
	unsigned done;
};

struct store_writer {
	struct segment_home home;
	size_t segment_bytes;
	int64_t sync_ns;
	unsigned done_needed;
	char recorder[RECORDER_ID];

	struct writer_call **buckets; /* owned; their number is a power of two */
	size_t buckets_count, calls_count;
	struct pool **slabs; /* owned */
	uint32_t slabs_count;

	int64_t flushed_ns, synced_ns, retried_ns; /* monotonic */
	uint8_t packed[RECORD_BODY_MAX];
};

/* ---- calls by number ----------------------------------------------------------------------- */

/* Call numbers are the recorder's own and dense; an odd multiplier spreads them (Knuth 6.4). */
static size_t bucket_of(uint64_t number, size_t count)
{
	return (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (count - 1);
}

static struct writer_call *call_find(const struct store_writer *w, uint64_t number)
{
	struct writer_call *c = w->buckets[bucket_of(number, w->buckets_count)];

	while (c && c->number != number)
		c = c->next;
	return c;
}

static void calls_grow(struct store_writer *w)
{
	size_t count = w->buckets_count * 2;
	struct writer_call **buckets = calloc(count, sizeof(struct writer_call *)), *c;

	if (!buckets)
		return; /* longer chains are slower, not wrong */
	for (size_t i = 0; i < w->buckets_count; i++) {
		while ((c = w->buckets[i])) {
			w->buckets[i] = c->next;
			size_t to = bucket_of(c->number, count);
			c->next = buckets[to];
			buckets[to] = c;
		}
	}
	free(w->buckets);
	w->buckets = buckets;
	w->buckets_count = count;
}

static void call_add(struct store_writer *w, struct writer_call *c)
{
	if (w->calls_count >= w->buckets_count)
		calls_grow(w);
	size_t to = bucket_of(c->number, w->buckets_count);
	c->next = w->buckets[to];
	w->buckets[to] = c;
	w->calls_count++;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static uint32_t slab_with_room(struct store_writer *w)
{
	for (uint32_t i = w->slabs_count; i-- > 0;)
		if (pool_left(w->slabs[i]))
			return i;
	struct pool **slabs = realloc(w->slabs, (w->slabs_count + 1) * sizeof(struct pool *));
	ASSERT(slabs);
	w->slabs = slabs;
	struct pool *slab = pool_new(sizeof(struct call_secret), SLAB_KEYS);
	ASSERT(slab);
	slabs[w->slabs_count] = slab;
	return w->slabs_count++;
}

static struct writer_call *call_new(struct store_writer *w, const struct store_open *o)
{
	struct writer_call *c = calloc(1, sizeof *c);

	ASSERT(c);
	c->number = o->call;
	c->slab = slab_with_room(w);
	c->secret = pool_get(w->slabs[c->slab]);
	random_bytes(c->secret, sizeof *c->secret);
	return c;
}

/* Its keys are gone for good. */
static void call_free(struct store_writer *w, struct writer_call *c)
{
	forget_bytes(c->secret, sizeof *c->secret);
	pool_put(w->slabs[c->slab], c->secret);
	if (c->segment)
		c->segment->calls--;
	free(c->waiting);
	free(c->streams);
	free(c);
}

static void call_close(struct store_writer *w, struct writer_call *c)
{
	struct writer_call **at = &w->buckets[bucket_of(c->number, w->buckets_count)];

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	w->calls_count--;
	call_free(w, c);
}

/* ---- which segment ------------------------------------------------------------------------- */

static int64_t hour_of(int64_t us)
{
	int64_t s = us > 0 ? us / 1000000 : 0;

	s -= s % HOUR_S;
	return s < LAST_HOUR_S ? s : LAST_HOUR_S;
}

static bool takes_calls(const struct store_writer *w, const struct segment_write *s)
{
	return s->end < w->segment_bytes && !s->suspect && !s->footer;
}

static struct segment_write *choose_segment(struct store_writer *w, const char *retention,
					    int64_t hour_s)
{
	struct segment_write *other = NULL;

	for (struct segment_write *s = w->home.segments; s; s = s->next) {
		if (!takes_calls(w, s) || strcmp(s->start.retention, retention) != 0)
			continue;
		if (s->start.hour_s == hour_s)
			return s;
		if (!other)
			other = s;
	}
	if (other && w->home.segments_count >= SEGMENTS_MOST)
		return other;
	return segment_write_new(&w->home, retention, hour_s);
}

/* ---- what the recorder sends --------------------------------------------------------------- */

static bool retention_is_good(const char *retention)
{
	size_t len = strspn(retention, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && len < sizeof((struct store_open *)0)->retention && retention[len] == '\0';
}

/* Choose the call's segment and make its slot there.  False: not now. */
static bool settle(struct store_writer *w, struct writer_call *c, const struct store_open *o)
{
	struct segment_write *s = choose_segment(w, o->retention, hour_of(o->start_us));

	if (!s || !segment_write_slot(s, &o->id, o->start_us, c->secret->audio, c->secret->metadata,
				      &c->slot))
		return false;
	c->segment = s;
	s->calls++;
	return true;
}

/* Where its records go; NULL: nowhere yet.  A call that began while too much waited for a full
 * disk is recorded from when there is room again. */
static struct segment_write *segment_of(struct store_writer *w, struct writer_call *c)
{
	if (c->waiting && w->home.troubled == 0 && settle(w, c, c->waiting)) {
		free(c->waiting);
		c->waiting = NULL;
	}
	return c->segment;
}

void store_writer_open(struct store_writer *w, const struct store_open *o)
{
	ASSERT(!call_find(w, o->call));
	ASSERT(retention_is_good(o->retention)); /* it becomes part of a file's name */
	struct writer_call *c = call_new(w, o);

	call_add(w, c);
	if (settle(w, c, o))
		return;
	count(w->home.counters, COUNT_DISK_FULL_RECORDS);
	c->waiting = malloc(sizeof *c->waiting);
	ASSERT(c->waiting);
	*c->waiting = *o;
}

/* Numbers come in blocks, few of each are used; a hostile call may use thousands. */
static struct writer_stream *stream_of(struct writer_call *c, uint16_t number)
{
	uint32_t low = 0, high = c->streams_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (c->streams[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < c->streams_count && c->streams[low].number == number)
		return &c->streams[low];
	c->streams = list_room(c->streams, c->streams_count, sizeof *c->streams);
	struct writer_stream *s = &c->streams[low];
	memmove(s + 1, s, (c->streams_count++ - low) * sizeof *s);
	*s = (struct writer_stream){ .number = number };
	return s;
}

void store_writer_chunk(struct store_writer *w, const struct chunk *k)
{
	struct writer_call *c = call_find(w, k->call);

	ASSERT(c && k->table_len <= CHUNK_TABLE && k->payload_len <= CHUNK_PAYLOAD);
	struct writer_stream *s = stream_of(c, k->stream);
	ASSERT(k->counter >= s->next_chunk && k->counter < UINT32_MAX);
	s->next_chunk = (uint32_t)k->counter + 1;
	struct segment_write *segment = segment_of(w, c);
	struct record_header h = { .type = RECORD_CHUNK,
				   .track = k->track,
				   .stream = k->stream,
				   .slot = c->slot,
				   .counter = k->counter };
	const struct seal_piece pieces[] = { { k->header, CHUNK_HEADER },
					     { k->table, k->table_len },
					     { k->payload, k->payload_len } };
	if (!segment || !segment_write_sealed(segment, h, c->secret->audio, pieces, 3)) {
		count(w->home.counters, COUNT_DISK_FULL_CHUNKS);
		s->dropped += k->frames;
		return;
	}
	count(w->home.counters, COUNT_CHUNKS_WRITTEN);
	count_add(w->home.counters, COUNT_CHUNK_BYTES, k->payload_len);
}

/* Seal the `len` bytes of w->packed as a metadata record. */
static void write_packed(struct store_writer *w, struct writer_call *c, struct record_header h,
			 size_t len)
{
	const struct seal_piece piece = { w->packed, len };
	struct segment_write *segment = segment_of(w, c);

	h.slot = c->slot;
	h.counter = c->records++;
	if (segment && segment_write_sealed(segment, h, c->secret->metadata, &piece, 1))
		count(w->home.counters, COUNT_RECORDS_WRITTEN);
	else
		count(w->home.counters, COUNT_DISK_FULL_RECORDS);
	forget_bytes(w->packed, len);
}

void store_writer_call(struct store_writer *w, uint64_t call, const struct call_record *r)
{
	struct writer_call *c = call_find(w, call);
	struct record_header h = { .type = RECORD_CALL };

	ASSERT(c);
	write_packed(w, c, h, call_record_pack(r, w->packed));
}

void store_writer_stream(struct store_writer *w, const struct stream_record *r)
{
	struct writer_call *c = call_find(w, r->call);
	struct record_header h = { .type = RECORD_STREAM, .track = r->track, .stream = r->stream };

	ASSERT(c);
	/* The capture thread cannot know what the disk did not take. */
	struct stream_record kept = *r;
	kept.dropped += stream_of(c, r->stream)->dropped;
	kept.complete = kept.complete && kept.dropped == 0;
	write_packed(w, c, h, stream_record_pack(&kept, w->packed));
}

void store_writer_signalling(struct store_writer *w, uint64_t call,
			     const struct signalling_record *r)
{
	struct writer_call *c = call_find(w, call);
	uint8_t head[SIGNALLING_HEAD];

	ASSERT(c && r->len <= UINT16_MAX);
	struct segment_write *segment = segment_of(w, c);
	struct record_header h = { .type = RECORD_SIGNALLING,
				   .slot = c->slot,
				   .counter = c->records++ };
	const struct seal_piece pieces[] = { { head, signalling_record_pack_head(r, head) },
					     { r->bytes, r->len } };
	if (segment && segment_write_sealed(segment, h, c->secret->metadata, pieces, 2))
		count(w->home.counters, COUNT_RECORDS_WRITTEN);
	else
		count(w->home.counters, COUNT_DISK_FULL_RECORDS);
	forget_bytes(head, sizeof head);
}

void store_writer_done(struct store_writer *w, uint64_t call)
{
	struct writer_call *c = call_find(w, call);

	ASSERT(c);
	if (++c->done >= w->done_needed)
		call_close(w, c);
}

bool store_writer_knows(const struct store_writer *w, uint64_t call)
{
	return call_find(w, call) != NULL;
}

const char *store_writer_recorder(const struct store_writer *w)
{
	return w->recorder;
}

/* ---- as time passes ------------------------------------------------------------------------ */

/* Do something to each segment; it may be freed by that. */
static void each_segment(struct store_writer *w, void (*act)(struct segment_write *))
{
	struct segment_write *next;

	for (struct segment_write *s = w->home.segments; s; s = next) {
		next = s->next;
		act(s);
	}
}

static void retry(struct segment_write *s)
{
	if (segment_write_in_trouble(s))
		segment_write_retry(s);
}

static void close_past(struct store_writer *w, int64_t packet_ns)
{
	struct segment_write *next;

	for (struct segment_write *s = w->home.segments; s; s = next) {
		next = s->next;
		bool past = packet_ns / NS_PER_S >= s->start.hour_s + HOUR_S;
		if (s->calls == 0 && (past || !takes_calls(w, s)) && !segment_write_in_trouble(s))
			(void)segment_write_close(s);
	}
}

void store_writer_tick(struct store_writer *w, int64_t mono_ns, int64_t packet_ns)
{
	if (w->home.troubled && mono_ns - w->retried_ns >= RETRY_NS) {
		w->retried_ns = mono_ns;
		each_segment(w, retry);
	}
	if (mono_ns - w->synced_ns >= w->sync_ns) {
		w->synced_ns = w->flushed_ns = mono_ns;
		each_segment(w, segment_write_sync);
	} else if (mono_ns - w->flushed_ns >= FLUSH_NS) {
		w->flushed_ns = mono_ns;
		each_segment(w, segment_write_flush);
	}
	close_past(w, packet_ns);
}

/* ---- from begin to end --------------------------------------------------------------------- */

static void close_calls(struct store_writer *w)
{
	for (size_t i = 0; i < w->buckets_count; i++) {
		struct writer_call *next;
		for (struct writer_call *c = w->buckets[i]; c; c = next) {
			next = c->next;
			call_free(w, c);
		}
		w->buckets[i] = NULL;
	}
	w->calls_count = 0;
}

static void writer_free(struct store_writer *w)
{
	if (!w)
		return;
	close_calls(w);
	while (w->home.segments)
		segment_write_free(w->home.segments);
	for (size_t i = 0; i < w->slabs_count; i++)
		pool_free(w->slabs[i]);
	free(w->slabs);
	free(w->buckets);
	sealer_free(w->home.sealer);
	if (w->home.dir >= 0)
		(void)close(w->home.dir);
	forget_bytes(w, sizeof *w); /* the signing key is in it */
	pages_free(w, sizeof *w);
}

static enum rc writer_init(struct store_writer *w, const struct store_writer_config *cfg,
			   struct error *err)
{
	char path[STORE_PATH];

	w->buckets = calloc(BUCKETS_FIRST, sizeof(struct writer_call *));
	w->buckets_count = w->buckets ? BUCKETS_FIRST : 0;
	w->home.sealer = sealer_new_fast();
	if (!w->buckets || !w->home.sealer)
		return error_set(err, RC_FAILED, "not enough memory for a writer");
	enum rc rc = store_check_version(cfg->store, err);
	if (rc == RC_OK)
		rc = store_read_vault_public(cfg->store, w->home.audio_public,
					     w->home.metadata_public, err);
	if (rc == RC_OK)
		rc = recorder_files_sign_pair(cfg->store, &w->home.sign, err);
	if (rc != RC_OK)
		return rc;
	store_recorder_id(w->home.sign.public_key, w->recorder);
	int n = snprintf(path, sizeof path, "%s/recorder", cfg->store);
	ASSERT(n > 0 && (size_t)n < sizeof path); /* its key files have been read */
	w->home.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->home.dir < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	return RC_OK;
}

enum rc store_writer_new(struct store_writer **out, const struct store_writer_config *cfg,
			 struct error *err)
{
	struct store_writer *w = pages_new(sizeof *w, NULL); /* kept from swap and core dumps */

	*out = NULL;
	if (!w)
		return error_set(err, RC_FAILED, "not enough memory for a writer");
	w->home.dir = -1;
	w->home.writer_no = cfg->writer_no;
	w->home.counters = cfg->counters;
	w->home.work = cfg->work;
	w->segment_bytes = cfg->segment_bytes;
	w->sync_ns = cfg->sync_ns;
	w->done_needed = cfg->done_needed;
	enum rc rc = writer_init(w, cfg, err);
	if (rc != RC_OK) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return RC_OK;
}

enum rc store_writer_finish(struct store_writer *w, struct error *err)
{
	enum rc rc = RC_OK;
	struct segment_write *next;

	close_calls(w); /* while their segments are there */
	for (struct segment_write *s = w->home.segments; s; s = next) {
		char name[SEGMENT_NAME];
		next = s->next;
		memcpy(name, s->name, sizeof name);
		if (!segment_write_close(s))
			rc = error_set(err, RC_FAILED, "segment %s could not be written to its end",
				       name);
	}
	writer_free(w);
	return rc;
}
