/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any sequence of well-formed messages in any order and time: what the sink is told always makes
 * sense.
 *
 * Eight bytes make a message: what it is, Call-ID, CSeq, tags and headers, branch and hosts, SDP, time passing; or
 * media without signalling, or a remark.  The
 * sink checks that a call is opened once, has records only while open, has media only while
 * open, never uses a stream number twice, ends exactly once; at the end of the capture none is
 * left. */
#include <stdio.h>
#include <stdlib.h>

#include "sip/sip.h"

#define CALLS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the sink knows of the calls that are open. */
struct told {
	uint64_t number;
	bool ended;
	uint32_t bases; /* stream numbers given so far */
};

struct sink {
	struct told calls[CALLS];
	uint64_t newest;
};

static struct told *find(struct sink *k, uint64_t number)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (k->calls[i].number == number)
			return &k->calls[i];
	return NULL;
}

static void on_open(void *ctx, const struct store_open *o)
{
	struct sink *k = ctx;
	ASSERT(o->call != 0 && !find(k, o->call));
	struct told *t = find(k, 0);
	ASSERT(t);
	*t = (struct told){ .number = o->call };
	k->newest = o->call;
}

static void on_expect(void *ctx, const struct media_expect *e)
{
	struct told *t = find(ctx, e->call);
	ASSERT(t && !t->ended);
	ASSERT(e->party <= TRACK_CALLEE && e->payloads_count <= MEDIA_PAYLOADS);
	ASSERT(e->stream_base % (2 * STREAM_BLOCK) == 0 && e->stream_base <= t->bases);
	if (e->stream_base == t->bases)
		t->bases += 2 * STREAM_BLOCK;
}

static void on_forget(void *ctx, const struct media_forget *f)
{
	struct told *t = find(ctx, f->call);
	ASSERT(t && !t->ended);
	ASSERT(f->until_ns >= 0);
}

static void on_record(void *ctx, uint64_t call, const struct call_record *r)
{
	struct told *t = find(ctx, call);
	ASSERT(t && (!t->ended || r->state == CALL_ENDED)); /* a remark may still come */
	t->ended = r->state == CALL_ENDED;
	ASSERT(t->ended == (r->ended_by != ENDED_BY_NONE));
	ASSERT(t->ended == (r->end_us != 0));
	ASSERT(!t->ended || r->outcome != OUTCOME_NONE || r->sip_call_id[0] == '\0');
	ASSERT(memcmp(r->conversation.b, r->id.b, sizeof r->id.b) <= 0);
	ASSERT(r->sdes_count <= SDES_MAX);
	ASSERT(r->until_us >= r->end_us);
	ASSERT(r->holds_count <= 16 && r->coverage_count <= COVERAGE_MAX);
	ASSERT(!t->ended || r->end_us >= r->start_us);
	ASSERT(!t->ended || r->end_us >= r->answer_us);
	for (unsigned i = 0; i < r->holds_count; i++) {
		bool open = r->holds[i].to_us == 0;
		ASSERT(open ? !t->ended && i + 1 == r->holds_count
			    : r->holds[i].to_us >= r->holds[i].from_us);
		ASSERT(!t->ended || r->holds[i].to_us <= r->end_us);
	}
}

static void on_done(void *ctx, uint64_t call)
{
	struct told *t = find(ctx, call);
	ASSERT(t && t->ended);
	t->number = 0;
}

static void on_message(void *ctx, uint64_t call, const struct signalling_record *m)
{
	const struct told *t = find(ctx, call);
	ASSERT(t && !t->ended && m->len > 0);
}

static size_t make_body(char *out, size_t room, unsigned how)
{
	static const char *const flows[] = { "sendrecv", "sendonly", "inactive", "recvonly" };
	static const char *const keying[] = {
		"", "a=fingerprint:sha-1 00\r\n",
		("a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
		 "inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"),
		"a=candidate:1 1 UDP 1 10.0.0.3 4000 typ host\r\nm=audio 6000 RTP/SAVP 0\r\n"
	};
	if (how % 4 == 0)
		return (size_t)snprintf(out, room, "\r\n");
	return (size_t)snprintf(out, room,
				"Content-Type: application/sdp\r\n\r\nc=IN IP4 %s\r\n"
				"m=audio %u RTP/AVP %u\r\na=%s\r\n%s",
				how % 4 == 1 ? "0.0.0.0" : "10.0.0.1", (how >> 2 & 7) * 1000,
				how % 4 == 2 ? 0 : 96, flows[how >> 5 & 3], keying[how >> 3 & 3]);
}

static size_t make_message(char *out, size_t room, const uint8_t *b)
{
	static const char *const methods[] = { "INVITE", "ACK",  "BYE",   "CANCEL",
					       "UPDATE", "INFO", "PRACK", "REFER" };
	static const char *const headers[] = { "",
					       "Session-ID: ab30317f1a784dc48ff824d0d3715d86\r\n",
					       "Replaces: 1;to-tag=x\r\n",
					       "Refer-To: <sip:2@x?Replaces=2%3Bto-tag%3Dx>\r\n" };
	static const char *const statuses[] = { "100", "180", "183", "200", "200", "200",
						"302", "401", "407", "408", "481", "486",
						"487", "491", "500", "603" };
	static const char *const tags[] = { "", ";tag=a", ";tag=b", ";tag=c" };
	const char *method = methods[b[0] & 7];
	char start[64];
	if (b[0] & 8)
		snprintf(start, sizeof start, "SIP/2.0 %s x", statuses[b[0] >> 4]);
	else
		snprintf(start, sizeof start, "%s sip:x SIP/2.0", method);
	size_t n = (size_t)snprintf(out, room,
				    "%s\r\nVia: SIP/2.0/UDP h;branch=%u\r\nFrom: <sip:1@x>%s\r\n"
				    "To: <sip:2@x>%s\r\nCall-ID: %u\r\nCSeq: %u %s\r\n%s",
				    start, b[4] & 3u, tags[b[3] & 3], tags[b[3] >> 2 & 3],
				    b[1] % 6u, b[2] % 5u, method, headers[b[3] >> 4 & 3]);
	return n + make_body(out + n, room - n, b[5]);
}

static void see_media(struct signalling *s, const uint8_t *b, int64_t now)
{
	static const uint8_t hosts[2][4] = { { 10, 0, 0, 1 }, { 10, 0, 0, 2 } };
	struct media_orphan o = { .payload_type = b[1] & 127, .first_ns = now - b[2] };
	endpoint_set_v4(&o.src, hosts[b[3] & 1], (uint16_t)((b[4] & 7) * 1000));
	endpoint_set_v4(&o.dst, hosts[b[3] >> 1 & 1], (uint16_t)((b[4] >> 3 & 7) * 1000));
	signalling_orphan(s, &o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct counters counters;
	struct sink sink = { 0 };
	struct signalling_config cfg = { .max_calls = 4,
					 .media_threads = 2,
					 .call_timeout_ns = 100 * NS_PER_S,
					 .bye_timeout_ns = 32 * NS_PER_S,
					 .max_message = 1024,
					 .policy_hash = "",
					 .retention = "x",
					 .recorder = "",
					 .sink = { &sink, on_open, on_expect, on_forget, on_record,
						   on_done, on_message },
					 .dtmf = DTMF_KEEP,
					 .keep_signalling = true,
					 .orphans = ORPHANS_ON,
					 .linger_ns = size & 1 ? 10 * NS_PER_S : 0,
					 .conversation_header = "Via",
					 .counters = &counters };
	struct signalling *s = signalling_new(&cfg);
	int64_t now = 1000 * NS_PER_S;
	ASSERT(s);
	for (; size >= 8; data += 8, size -= 8) {
		char text[1024];
		now += (int64_t)data[6] * data[6] * NS_PER_MS;
		struct datagram d = { .ts_ns = data[7] & 1 ? now - NS_PER_S : now,
				      .payload = (const uint8_t *)text };
		d.len = d.wire_len = (uint32_t)make_message(text, sizeof text, data);
		endpoint_set_v4(&d.src, (uint8_t[]){ 10, 0, 0, data[4] >> 2 & 3 }, 5060);
		endpoint_set_v4(&d.dst, (uint8_t[]){ 10, 0, 0, data[4] >> 4 & 3 }, 5060);
		if (data[7] & 8)
			see_media(s, data, now);
		else
			signalling_message(s, &d);
		if (data[7] & 16)
			signalling_remark(s, sink.newest, "remark");
		if (data[7] & 2)
			signalling_alive(s, sink.newest, now);
		if (data[7] & 4)
			signalling_tick(s, now + 200 * NS_PER_MS);
		ASSERT(signalling_calls(s) <= cfg.max_calls);
	}
	signalling_finish(s, now);
	ASSERT(signalling_calls(s) == 0);
	for (unsigned i = 0; i < CALLS; i++)
		ASSERT(sink.calls[i].number == 0);
	signalling_free(s);
	return 0;
}
