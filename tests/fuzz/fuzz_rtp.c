/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Datagrams, expectations and ends in any order, through media.  The input is a list of steps;
 * after each one the laws of the counters hold, and every chunk that is handed over can be read
 * back whole. */
#include <stdlib.h>

#include "base/bytes.h"
#include "rtp/rtp.h"

#define T0   INT64_C(1763712000000000000)
#define HELD 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
	STEP_RTP,
	STEP_RTP2,
	STEP_RTP3,
	STEP_RAW,
	STEP_EXPECT,
	STEP_FORGET,
	STEP_FORGET_AT,
	STEP_TICK,
	STEP_SINK,
	STEPS
};

struct run {
	struct media *media;
	struct counters counters;
	struct chunk *held[HELD]; /* chunks on their way back */
	unsigned held_count;
	bool refuse, hold;
	int64_t now;
	uint64_t sent, done;
	uint16_t seq[4];
	uint32_t timestamp[4];
};

static bool take_chunk(void *ctx, struct chunk *c)
{
	struct run *r = ctx;
	static uint8_t body[sizeof(struct chunk)];
	struct chunk_reader reader;
	struct rtp_frame f;
	uint32_t frames = 0;

	if (r->refuse)
		return false;
	memcpy(body, c->header, CHUNK_HEADER);
	memcpy(body + CHUNK_HEADER, c->table, c->table_len);
	memcpy(body + CHUNK_HEADER + c->table_len, c->payload, c->payload_len);
	ASSERT(chunk_reader_init(&reader, body, CHUNK_HEADER + c->table_len + c->payload_len));
	enum rc rc;
	while ((rc = chunk_reader_next(&reader, &f)) == RC_OK)
		frames++;
	ASSERT(rc == RC_END && frames == c->frames && frames > 0);
	if (r->hold && r->held_count < HELD)
		r->held[r->held_count++] = c;
	else
		media_give_back(r->media, c);
	return true;
}

static void take_stream(void *ctx, const struct stream_record *s)
{
	(void)ctx;
	ASSERT(s->track <= 1 && s->clock_rate > 0 && s->payload_types_count <= 8);
	ASSERT(s->packets < 1u << 30 && s->lost < 1u << 30 && s->events < 1u << 30);
	ASSERT(s->reordered < 1u << 30 && s->duplicates < 1u << 30 && s->dropped < 1u << 30);
	ASSERT(s->truncated < 1u << 30 && s->bytes < UINT64_C(1) << 40);
	ASSERT(s->noise < 1u << 30 && s->relay_copies < 1u << 30 && s->loss_runs <= s->lost);
	ASSERT(s->loss_longest <= s->lost && s->foreign <= 1 && s->protection < PROTECTIONS);
}

static void take_done(void *ctx, uint64_t call)
{
	struct run *r = ctx;
	(void)call;
	r->done++;
}

static void take_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	(void)ctx;
	(void)call;
	(void)ts_ns;
}

static void take_orphan(void *ctx, const struct media_orphan *o)
{
	struct run *r = ctx;
	struct media_expect e = { .call = 9, .at = o->dst, .from_ns = o->first_ns, .orphan = true };
	ASSERT(o->payload_type < 128);
	media_expect(r->media, &e);
}

static void take_remark(void *ctx, uint64_t call, const char *coverage)
{
	(void)ctx;
	(void)call;
	ASSERT(coverage[0]);
}

static void assert_law(const struct run *r)
{
	static const enum counter kinds[] = {
		COUNT_RTP_STORED,       COUNT_RTP_EVENT,      COUNT_RTP_DUPLICATE,
		COUNT_RTP_MALFORMED,    COUNT_RTP_AFTER_END,  COUNT_RTP_BEFORE_START,
		COUNT_RTP_REFUSED,      COUNT_RTP_NO_BUFFER,  COUNT_RTP_STREAM_LIMIT,
		COUNT_RTP_OVERSIZE,     COUNT_RTCP,           COUNT_MEDIA_OTHER,
		COUNT_RTP_EVENT_STORED, COUNT_RTP_RELAY_COPY, COUNT_RTP_EXCLUDED,
		COUNT_RTCP_ENCRYPTED,   COUNT_RTCP_MALFORMED, COUNT_MEDIA_STUN,
		COUNT_MEDIA_DTLS,       COUNT_MEDIA_ZRTP
	};
	static const enum counter gone[] = { COUNT_PEN_RELEASED, COUNT_PEN_EXPIRED, COUNT_PEN_FULL,
					     COUNT_PEN_OLD };
	const struct counters *c = &r->counters;
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		sum += counter_get(c, kinds[i]);
	ASSERT(counter_get(c, COUNT_TO_MEDIA) + counter_get(c, COUNT_PEN_RELEASED) == sum);
	sum = media_held(r->media);
	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
		sum += counter_get(c, gone[i]);
	ASSERT(counter_get(c, COUNT_TO_PEN) == sum);
	ASSERT(counter_get(c, COUNT_TO_MEDIA) + counter_get(c, COUNT_TO_PEN) +
		       counter_get(c, COUNT_TO_NOBODY) ==
	       r->sent);
}

/* A handful of addresses, one of them a multicast group; port 4001 is RTCP's. */
static struct endpoint place(uint8_t n)
{
	struct endpoint e;
	endpoint_set_v4(&e, (const uint8_t[4]){ (n & 3) == 3 ? 239 : 10, 0, 0, n & 3 }, 4000);
	return e;
}

static void send(struct run *r, uint8_t flow, const uint8_t *bytes, uint32_t len, uint32_t more)
{
	struct datagram d = { r->now, place(flow), place(flow >> 2), bytes, len, len + more };
	d.dst.port = (uint16_t)(d.dst.port + (flow >> 7));
	enum media_verdict v;

	media_burst(r->media, &d, 1, &v);
	if (v == MEDIA_UNKNOWN)
		media_pen(r->media, &d);
	r->sent++;
}

/* A well-formed packet of one of four numberings, that moves by the input. */
static void send_rtp(struct run *r, struct bytes *b)
{
	static uint8_t p[9000];
	uint8_t flow = bytes_u8(b), which = bytes_u8(b);
	int8_t ahead = (int8_t)bytes_u8(b);
	unsigned n = which & 3, len = 160;

	r->now += (int64_t)bytes_u8(b) * 5 * NS_PER_MS;
	r->seq[n] = (uint16_t)(r->seq[n] + ahead * (which & 4 ? 300 : 1));
	r->timestamp[n] += (uint32_t)(ahead * 160);
	if (which & 8)
		len = bytes_u16(b) % (sizeof p - 12);
	p[0] = which & 16 ? (uint8_t)(0x80 | bytes_u8(b)) : 0x80;
	p[1] = which & 32 ? bytes_u8(b) : 0;
	put_u16(p + 2, r->seq[n]);
	put_u32(p + 4, r->timestamp[n]);
	put_u32(p + 8, which >> 6);
	send(r, flow, p, 12 + len, which & 64 && len == 160 ? 20 : 0);
}

static void send_raw(struct run *r, struct bytes *b)
{
	uint8_t flow = bytes_u8(b);
	uint32_t len = bytes_u8(b), more = bytes_u8(b) & 3;
	if (len > bytes_left(b))
		len = (uint32_t)bytes_left(b);
	const uint8_t *p = bytes_take(b, len);
	/* A copy of just that size, for AddressSanitizer. */
	uint8_t *copy = malloc(len ? len : 1);
	ASSERT(copy);
	if (p)
		memcpy(copy, p, len);
	send(r, flow, copy, p ? len : 0, more);
	free(copy);
}

static void expect(struct run *r, struct bytes *b)
{
	uint8_t what = bytes_u8(b);
	struct media_expect e = { .call = what & 7,
				  .at = place(what >> 3),
				  .party = what >> 5 & 1,
				  .payloads_count = 2,
				  .stream_base = bytes_u8(b),
				  .from_ns = r->now - (int64_t)bytes_u8(b) * 10 * NS_PER_MS,
				  .ptime_ms = 20 };
	uint8_t flags = bytes_u8(b);
	e.protection = (flags & 7) % PROTECTIONS;
	e.keep_events = flags & 8;
	e.discard = (flags & 0x30) == 0x30;
	e.orphan = flags & 0x40;
	if (flags & 0x80) {
		e.rtcp = e.at;
		e.rtcp.port++;
	}
	e.payloads[0] = (struct media_payload){ 0, PAYLOAD_AUDIO, 1, 8000, "PCMU", "" };
	e.payloads[1] = (struct media_payload){ .type = bytes_u8(b) & 0x7f,
						.kind = bytes_u8(b) % 3,
						.channels = 2,
						.clock_rate = bytes_u32(b),
						.codec = "x" };
	media_expect(r->media, &e);
}

static void forget(struct run *r, struct bytes *b, bool all)
{
	uint8_t what = bytes_u8(b);
	struct media_forget f = { .call = what & 7,
				  .at = place(what >> 3),
				  .all = all,
				  .until_ns = r->now - (int64_t)bytes_u8(b) * 10 * NS_PER_MS };
	uint64_t done = r->done;
	media_forget(r->media, &f);
	ASSERT(r->done == done + all);
}

static void tick(struct run *r, struct bytes *b)
{
	int64_t ms = bytes_u16(b);
	r->now += ms * NS_PER_MS;
	media_tick(r->media, r->now);
	while (r->held_count > 0)
		media_give_back(r->media, r->held[--r->held_count]);
}

static void one_step(struct run *r, struct bytes *b)
{
	uint8_t what;

	switch ((enum step)(bytes_u8(b) % STEPS)) {
	case STEP_RTP:
	case STEP_RTP2:
	case STEP_RTP3: send_rtp(r, b); break;
	case STEP_RAW: send_raw(r, b); break;
	case STEP_EXPECT: expect(r, b); break;
	case STEP_FORGET: forget(r, b, true); break;
	case STEP_FORGET_AT: forget(r, b, false); break;
	case STEP_TICK: tick(r, b); break;
	case STEP_SINK:
		what = bytes_u8(b);
		r->refuse = what & 1;
		r->hold = what & 2;
		break;
	case STEPS: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	struct bytes b = bytes_over(data, size);
	uint8_t sizes = bytes_u8(&b);
	struct media_config cfg = { .max_streams = 1 + (sizes & 15),
				    .max_expects = 1 + (sizes >> 4),
				    .buffers = 6,
				    .keep_reserve = sizes & 1,
				    .pen_bytes = 20 * 256,
				    .sink = { .ctx = &r,
					      .chunk = take_chunk,
					      .stream = take_stream,
					      .done = take_done,
					      .alive = take_alive,
					      .orphan = take_orphan,
					      .remark = take_remark },
				    .counters = &r.counters };

	memset(&r, 0, sizeof r);
	r.now = T0;
	r.media = media_new(&cfg);
	ASSERT(r.media);
	while (bytes_left(&b) > 0) {
		one_step(&r, &b);
		assert_law(&r);
	}
	for (uint64_t call = 0; call < 10; call++) {
		struct media_forget f = { .call = call, .all = true, .until_ns = INT64_MAX };
		media_forget(r.media, &f);
	}
	ASSERT(media_streams(r.media) == 0);
	assert_law(&r);
	media_free(r.media);
	return 0;
}
