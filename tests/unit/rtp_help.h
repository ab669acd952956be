/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rtp_help.h: a struct media with a sink that keeps all, for the tests of src/rtp.
 *
 * A `rig` sends datagrams as a capture thread does (what nobody takes goes to the pen), reads every
 * chunk back as it comes, and keeps frames, newest stream records, done and alive messages.
 * rig_free() asserts the laws of the counters, so every test does.
 */
#ifndef CALLSPAN_TESTS_RTP_HELP_H
#define CALLSPAN_TESTS_RTP_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "rtp/rtp.h"

#define T0 INT64_C(1763712000000000000) /* a packet time to start from */
#define MS NS_PER_MS

/* One stored frame, as read back from a chunk. */
struct kept {
	uint64_t call;
	uint16_t stream;
	uint8_t track;
	uint32_t ssrc;
	uint64_t chunk; /* its counter */
	uint64_t sequence;
	int64_t arrival_us;
	uint32_t packet_len, wire_len; /* the packet rebuilt: header and all */
	uint8_t *packet;
};

struct rig {
	struct media *media;
	struct counters *counters;
	struct kept *kept; /* grows */
	size_t kept_count, kept_max;
	struct stream_record records[256]; /* newest of each stream */
	size_t records_count, records_sent;
	uint64_t done[64], alive[4096];
	int64_t alive_ns[4096];
	size_t done_count, alive_count;
	struct media_orphan orphans[64];
	struct {
		uint64_t call;
		const char *name;
	} remarks[64];
	size_t orphans_count, remarks_count;
	uint64_t chunks;
	size_t chunk_bytes;  /* of all bodies */
	size_t last_payload; /* of the newest chunk */
	uint64_t sent;
	bool refuse; /* the sink takes no chunk */
	bool hold;   /* buffers do not come back until rig_give_back() */
	struct chunk *held[64];
	size_t held_count, reclaims;
	bool gives; /* what is held comes back when it is asked for */
};

/* ---- random numbers, with the seed shown ---- */

static uint64_t test_seed;

__attribute__((unused)) static uint64_t rnd(void)
{
	test_seed += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = test_seed;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

__attribute__((unused)) static uint32_t rnd_below(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

/* SEED=number in the environment repeats a run. */
__attribute__((unused)) static void seed_show(const char *what)
{
	const char *given = getenv("SEED");
	test_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	printf("%s: SEED=%llu\n", what, (unsigned long long)test_seed);
}

/* ---- the sink ---- */

static void rig_keep(struct rig *r, const struct chunk *c, const struct rtp_frame *f)
{
	if (r->kept_count == r->kept_max) {
		r->kept_max = r->kept_max ? 2 * r->kept_max : 1024;
		r->kept = realloc(r->kept, r->kept_max * sizeof *r->kept);
		assert_non_null(r->kept);
	}
	struct kept *k = &r->kept[r->kept_count++];
	uint32_t stored = f->extra_len + f->payload_len + f->padding_len;
	*k = (struct kept){ .call = c->call,
			    .stream = c->stream,
			    .track = c->track,
			    .chunk = c->counter,
			    .sequence = f->sequence,
			    .arrival_us = f->arrival_us,
			    .packet_len = 12 + stored,
			    .wire_len = 12 + f->wire_len };
	memcpy(&k->ssrc, c->header + 36, 4); /* little-endian, as the test machine */
	k->packet = malloc(k->packet_len);
	assert_non_null(k->packet);
	uint8_t *p = k->packet;
	p[0] = f->first_octet;
	p[1] = (uint8_t)(f->payload_type | (f->marker ? 0x80 : 0));
	p[2] = (uint8_t)(f->sequence >> 8);
	p[3] = (uint8_t)f->sequence;
	for (int i = 0; i < 4; i++) {
		p[4 + i] = (uint8_t)(f->timestamp >> (24 - 8 * i));
		p[8 + i] = (uint8_t)(k->ssrc >> (24 - 8 * i));
	}
	memcpy(p + 12, f->extra, stored);
}

static bool rig_chunk(void *ctx, struct chunk *c)
{
	struct rig *r = ctx;
	if (r->refuse)
		return false;

	size_t len = CHUNK_HEADER + c->table_len + c->payload_len;
	uint8_t *body = malloc(len);
	assert_non_null(body);
	memcpy(body, c->header, CHUNK_HEADER);
	memcpy(body + CHUNK_HEADER, c->table, c->table_len);
	memcpy(body + CHUNK_HEADER + c->table_len, c->payload, c->payload_len);
	struct chunk_reader reader;
	struct rtp_frame f;
	enum rc rc;
	uint32_t frames = 0;
	assert_true(chunk_reader_init(&reader, body, len));
	while ((rc = chunk_reader_next(&reader, &f)) == RC_OK) {
		rig_keep(r, c, &f);
		frames++;
	}
	assert_int_equal(rc, RC_END);
	assert_int_equal(frames, c->frames);
	assert_true(frames > 0);
	free(body);
	r->chunks++;
	r->chunk_bytes += len;
	r->last_payload = c->payload_len;
	if (!r->hold)
		media_give_back(r->media, c);
	else if (r->held_count < 64)
		r->held[r->held_count++] = c;
	return true;
}

static void rig_stream(void *ctx, const struct stream_record *s)
{
	struct rig *r = ctx;
	size_t i = 0;
	while (i < r->records_count &&
	       !(r->records[i].call == s->call && r->records[i].stream == s->stream))
		i++;
	if (i == r->records_count)
		r->records_count++;
	assert_true(i < sizeof r->records / sizeof r->records[0]);
	r->records[i] = *s;
	r->records_sent++;
}

static void rig_done(void *ctx, uint64_t call)
{
	struct rig *r = ctx;
	assert_true(r->done_count < 64);
	r->done[r->done_count++] = call;
}

static void rig_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	struct rig *r = ctx;
	if (r->alive_count == 4096)
		return;
	r->alive[r->alive_count] = call;
	r->alive_ns[r->alive_count++] = ts_ns;
}

static void rig_orphan(void *ctx, const struct media_orphan *o)
{
	struct rig *r = ctx;
	assert_true(r->orphans_count < 64);
	r->orphans[r->orphans_count++] = *o;
}

static void rig_remark(void *ctx, uint64_t call, const char *name)
{
	struct rig *r = ctx;
	assert_true(r->remarks_count < 64);
	r->remarks[r->remarks_count].call = call;
	r->remarks[r->remarks_count++].name = name;
}

/* How often a call was remarked so. */
__attribute__((unused)) static int remarked(const struct rig *r, uint64_t call, const char *name)
{
	int n = 0;
	for (size_t i = 0; i < r->remarks_count; i++)
		n += r->remarks[i].call == call && strcmp(r->remarks[i].name, name) == 0;
	return n;
}

__attribute__((unused)) static void rig_give_back(struct rig *r, size_t n)
{
	while (n-- > 0 && r->held_count > 0)
		media_give_back(r->media, r->held[--r->held_count]);
}

static void rig_reclaim(void *ctx)
{
	struct rig *r = ctx;
	r->reclaims++;
	if (r->gives)
		rig_give_back(r, 64);
}

/* ---- the rig ---- */

__attribute__((unused)) static struct media_config rig_config(void)
{
	return (struct media_config){
		.max_streams = 256, .max_expects = 256, .buffers = 256, .pen_bytes = 1 << 20
	};
}

__attribute__((unused)) static struct rig *rig_new(struct media_config cfg)
{
	struct rig *r = calloc(1, sizeof *r);
	assert_non_null(r);
	r->counters = aligned_alloc(64, sizeof *r->counters);
	assert_non_null(r->counters);
	memset(r->counters, 0, sizeof *r->counters);
	cfg.sink = (struct media_sink){ .ctx = r,
					.chunk = rig_chunk,
					.stream = rig_stream,
					.done = rig_done,
					.alive = rig_alive,
					.orphan = rig_orphan,
					.remark = rig_remark,
					.reclaim = rig_reclaim };
	cfg.counters = r->counters;
	r->media = media_new(&cfg);
	assert_non_null(r->media);
	return r;
}

static uint64_t counted(const struct rig *r, enum counter id)
{
	return counter_get(r->counters, id);
}

/* Every datagram became one thing, and every datagram of a flow, or from the pen, one thing too. */
static void rig_law(const struct rig *r)
{
	static const enum counter kinds[] = {
		COUNT_RTP_STORED,       COUNT_RTP_EVENT,      COUNT_RTP_DUPLICATE,
		COUNT_RTP_MALFORMED,    COUNT_RTP_AFTER_END,  COUNT_RTP_BEFORE_START,
		COUNT_RTP_REFUSED,      COUNT_RTP_NO_BUFFER,  COUNT_RTP_STREAM_LIMIT,
		COUNT_RTP_OVERSIZE,     COUNT_RTCP,           COUNT_MEDIA_OTHER,
		COUNT_RTP_EVENT_STORED, COUNT_RTP_RELAY_COPY, COUNT_RTP_EXCLUDED,
		COUNT_RTCP_ENCRYPTED,   COUNT_RTCP_MALFORMED, COUNT_MEDIA_STUN,
		COUNT_MEDIA_DTLS,       COUNT_MEDIA_ZRTP,
	};
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		sum += counted(r, kinds[i]);
	assert_int_equal(counted(r, COUNT_TO_MEDIA) + counted(r, COUNT_PEN_RELEASED), sum);
	assert_int_equal(counted(r, COUNT_TO_PEN),
			 counted(r, COUNT_PEN_RELEASED) + counted(r, COUNT_PEN_EXPIRED) +
				 counted(r, COUNT_PEN_FULL) + counted(r, COUNT_PEN_OLD) +
				 media_held(r->media));
	assert_int_equal(counted(r, COUNT_TO_MEDIA) + counted(r, COUNT_TO_PEN) +
				 counted(r, COUNT_TO_NOBODY),
			 r->sent);
}

__attribute__((unused)) static void rig_free(struct rig *r)
{
	rig_law(r);
	media_free(r->media);
	for (size_t i = 0; i < r->kept_count; i++)
		free(r->kept[i].packet);
	free(r->kept);
	free(r->counters);
	free(r);
}

/* ---- sending ---- */

__attribute__((unused)) static struct endpoint ep(uint8_t host, uint16_t port)
{
	struct endpoint e;
	endpoint_set_v4(&e, (const uint8_t[4]){ 192, 0, 2, host }, port);
	return e;
}

/* One datagram, as a burst of one; `wire_len` 0: as long as it is. */
static enum media_verdict rig_send(struct rig *r, int64_t ts_ns, struct endpoint src,
				   struct endpoint dst, const void *bytes, uint32_t len,
				   uint32_t wire_len)
{
	/* A buffer of its own, so that AddressSanitizer sees a read too far. */
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	struct datagram d = { ts_ns, src, dst, copy, len, wire_len ? wire_len : len };
	enum media_verdict v;
	media_burst(r->media, &d, 1, &v);
	if (v == MEDIA_UNKNOWN)
		media_pen(r->media, &d);
	r->sent++;
	free(copy);
	return v;
}

/* An RTP packet of `payload` octets that are unlike any other packet's. */
static uint32_t rtp_make(uint8_t *p, uint8_t type, uint16_t seq, uint32_t timestamp, uint32_t ssrc,
			 uint32_t payload)
{
	p[0] = 0x80;
	p[1] = type;
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	for (int i = 0; i < 4; i++) {
		p[4 + i] = (uint8_t)(timestamp >> (24 - 8 * i));
		p[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	}
	for (uint32_t i = 0; i < payload; i++)
		p[12 + i] = (uint8_t)(seq * 7 + ssrc + i * (timestamp >> 5 | 1));
	return 12 + payload;
}

/* A talker: a flow with one SSRC that sends G.711 of 20 ms. */
struct talker {
	struct endpoint src, dst;
	uint32_t ssrc, timestamp, step, payload;
	uint16_t seq;
	uint8_t type;
	int64_t at_ns, every_ns;
};

__attribute__((unused)) static struct talker talker(struct endpoint src, struct endpoint dst,
						    uint32_t ssrc, int64_t at_ns)
{
	return (struct talker){ src, dst, ssrc, 1000, 160, 160, 500, 0, at_ns, 20 * MS };
}

/* Send its next packet, or let it get lost. */
static enum media_verdict talk(struct rig *r, struct talker *t)
{
	uint8_t p[12 + 2048];
	uint32_t len = rtp_make(p, t->type, t->seq, t->timestamp, t->ssrc, t->payload);
	enum media_verdict v = rig_send(r, t->at_ns, t->src, t->dst, p, len, 0);
	t->seq++;
	t->timestamp += t->step;
	t->at_ns += t->every_ns;
	return v;
}

__attribute__((unused)) static void talk_lost(struct talker *t)
{
	t->seq++;
	t->timestamp += t->step;
	t->at_ns += t->every_ns;
}

__attribute__((unused)) static void talk_n(struct rig *r, struct talker *t, int n)
{
	while (n-- > 0)
		(void)talk(r, t);
}

/* One event: six packets with one timestamp. */
__attribute__((unused)) static void press(struct rig *r, struct talker *t)
{
	struct talker k = *t;
	k.type = 101;
	k.payload = 4;
	k.step = 0;
	talk_n(r, &k, 6);
	t->seq = k.seq;
	t->at_ns = k.at_ns;
	t->timestamp += 6 * 160;
}

/* The last packet once more, or the one `back` before it. */
__attribute__((unused)) static void talk_again(struct rig *r, const struct talker *t, int back,
					       int64_t late_ns)
{
	struct talker c = *t;
	c.seq = (uint16_t)(c.seq - 1 - back);
	c.timestamp -= (uint32_t)(1 + back) * c.step;
	c.at_ns = t->at_ns - t->every_ns + late_ns;
	(void)talk(r, &c);
}

__attribute__((unused)) static struct media_expect expectation(uint64_t call, struct endpoint at,
							       uint8_t party, int64_t from_ns)
{
	struct media_expect e = { .call = call,
				  .at = at,
				  .party = party,
				  .stream_base = (uint16_t)(party * STREAM_BLOCK),
				  .from_ns = from_ns,
				  .payloads_count = 4,
				  .ptime_ms = 20 };
	e.payloads[0] = (struct media_payload){ 0, PAYLOAD_AUDIO, 1, 8000, "PCMU", "" };
	e.payloads[1] = (struct media_payload){ 8, PAYLOAD_AUDIO, 1, 8000, "PCMA", "" };
	e.payloads[2] =
		(struct media_payload){ 101, PAYLOAD_EVENT, 1, 8000, "telephone-event", "" };
	e.payloads[3] = (struct media_payload){ 13, PAYLOAD_NOISE, 1, 8000, "CN", "" };
	return e;
}

__attribute__((unused)) static void rig_expect(struct rig *r, uint64_t call, struct endpoint at,
					       uint8_t party, int64_t from_ns)
{
	struct media_expect e = expectation(call, at, party, from_ns);
	media_expect(r->media, &e);
}

__attribute__((unused)) static void rig_forget(struct rig *r, uint64_t call, int64_t until_ns)
{
	struct media_forget f = { .call = call, .all = true, .until_ns = until_ns };
	size_t done = r->done_count;
	media_forget(r->media, &f);
	assert_int_equal(r->done_count, done + 1);
	assert_int_equal(r->done[done], call);
}

__attribute__((unused)) static void rig_forget_at(struct rig *r, uint64_t call, struct endpoint at,
						  int64_t until_ns)
{
	struct media_forget f = { .call = call, .at = at, .until_ns = until_ns };
	size_t done = r->done_count;
	media_forget(r->media, &f);
	assert_int_equal(r->done_count, done);
}

/* The record of the n-th stream that told of itself. */
__attribute__((unused)) static const struct stream_record *record(const struct rig *r, size_t n)
{
	assert_true(n < r->records_count);
	return &r->records[n];
}

/* The record of a stream by its SSRC; there must be one. */
__attribute__((unused)) static const struct stream_record *record_of(const struct rig *r,
								     uint32_t ssrc)
{
	size_t at = 0, found = 0;
	for (size_t i = 0; i < r->records_count; i++) {
		if (r->records[i].ssrc != ssrc)
			continue;
		at = i;
		found++;
	}
	assert_int_equal(found, 1);
	return &r->records[at];
}

#define expect_count(r, id, n) assert_int_equal(counted((r), COUNT_##id), (n))

#endif
