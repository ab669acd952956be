/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sip_lab.h: signalling on a bench: who says what when, and what its sink was told.
 *
 *   say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));   method, CSeq, From tag, To tag, branch
 *   say(&l, 90, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
 *   told(&l, "open\n" "record trying\n" ...);
 *
 * Times are milliseconds after T0.  "-" is an absent tag or branch.  What the sink was told is
 * kept as text, a line a call of it, and told() compares and clears it.
 */
#ifndef CALLSPAN_TESTS_SIP_LAB_H
#define CALLSPAN_TESTS_SIP_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/sip.h"

#define T0 (INT64_C(1700000000) * NS_PER_S)

struct sip_lab {
	struct signalling *s;
	struct counters counters;
	struct call_record last;      /* newest record */
	struct media_expect expected; /* newest expectation */
	struct media_forget forgotten;
	struct store_open opened;
	uint64_t call; /* number of the newest call */
	char log[16384];
	const char *call_id, *from, *to, *type, *extra; /* headers of what is said */
	const char *src, *dst;         /* hosts it is said between; NULL: nowhere */
	unsigned messages;             /* kept */
	struct signalling_record kept; /* newest; its bytes are gone */
};

static inline int64_t at_ms(int64_t ms)
{
	return T0 + ms * NS_PER_MS;
}

static inline long ms_of(int64_t ns)
{
	return (long)((ns - T0) / NS_PER_MS);
}

static inline long ms_of_us(int64_t us)
{
	return us ? ms_of(us * NS_PER_US) : -1;
}

PRINTF_LIKE(2, 3) static inline void lab_log(struct sip_lab *l, const char *fmt, ...)
{
	size_t at = strlen(l->log);
	va_list args;
	va_start(args, fmt);
	vsnprintf(l->log + at, sizeof l->log - at, fmt, args);
	va_end(args);
}

static inline void lab_open(void *ctx, const struct store_open *o)
{
	struct sip_lab *l = ctx;
	l->call = o->call;
	l->opened = *o;
	lab_log(l, "open\n");
}

static inline void lab_expect(void *ctx, const struct media_expect *e)
{
	struct sip_lab *l = ctx;
	char text[ENDPOINT_TEXT];
	l->expected = *e;
	lab_log(l, "expect %s %s from %ld pt", e->party == TRACK_CALLER ? "caller" : "callee",
		endpoint_text(&e->at, text), ms_of(e->from_ns));
	for (unsigned i = 0; i < e->payloads_count; i++)
		lab_log(l, " %u", e->payloads[i].type);
	lab_log(l, "\n");
}

static inline void lab_forget(void *ctx, const struct media_forget *f)
{
	struct sip_lab *l = ctx;
	char text[ENDPOINT_TEXT];
	l->forgotten = *f;
	lab_log(l, "forget %s until %ld\n", f->all ? "all" : endpoint_text(&f->at, text),
		ms_of(f->until_ns));
}

static inline void lab_record(void *ctx, uint64_t call, const struct call_record *r)
{
	static const char *const states[] = { "trying", "ringing", "talking", "ended" };
	static const char *const outcomes[] = { "-", "answered", "cancelled", "failed",
						"unanswered" };
	static const char *const enders[] = { "-", "caller", "callee", "timeout", "capture-end" };
	struct sip_lab *l = ctx;
	(void)call;
	l->last = *r;
	lab_log(l, "record %s", states[r->state]);
	if (r->state == CALL_ENDED)
		lab_log(l, " %s %s %ld", outcomes[r->outcome], enders[r->ended_by],
			ms_of_us(r->end_us));
	lab_log(l, "\n");
}

static inline void lab_done(void *ctx, uint64_t call)
{
	(void)call;
	lab_log(ctx, "done\n");
}

static inline void lab_message(void *ctx, uint64_t call, const struct signalling_record *m)
{
	struct sip_lab *l = ctx;
	assert_int_equal(call, l->call);
	l->messages++;
	l->kept = *m;
}

static inline void lab_start(struct sip_lab *l, const struct signalling_config *cfg)
{
	l->s = signalling_new(cfg);
	assert_non_null(l->s);
}

static inline struct signalling_config lab_config(struct sip_lab *l)
{
	memset(l, 0, sizeof *l);
	l->call_id = "call-1@lab";
	l->from = "\"Anna\" <sip:100@lab>";
	l->to = "<sip:200@lab>";
	l->type = "application/sdp";
	l->extra = "";
	return (struct signalling_config){
		.max_calls = 4,
		.media_threads = 2,
		.call_timeout_ns = 600 * NS_PER_S,
		.bye_timeout_ns = 32 * NS_PER_S,
		.max_message = 65535,
		.policy_hash = "00",
		.retention = "short",
		.recorder = "r1",
		.dtmf = DTMF_COUNT,
		.sink = { l, lab_open, lab_expect, lab_forget, lab_record, lab_done, lab_message },
		.counters = &l->counters,
	};
}

static inline void lab_init(struct sip_lab *l)
{
	struct signalling_config cfg = lab_config(l);
	lab_start(l, &cfg);
}

static inline void lab_free(struct sip_lab *l)
{
	signalling_free(l->s);
}

/* A description of one PCMU line at this address; two may be in use at once. */
static inline const char *sdp(const char *address, unsigned port)
{
	static char text[2][256];
	static unsigned turn;
	char *t = text[turn++ % 2];
	snprintf(t, sizeof text[0],
		 "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u RTP/AVP "
		 "0\r\n",
		 address, address, port);
	return t;
}

/* The same with one more line. */
static inline const char *sdp_with(const char *address, unsigned port, const char *line)
{
	static char text[384];
	snprintf(text, sizeof text, "%s%s\r\n", sdp(address, port), line);
	return text;
}

static inline void lab_host(struct endpoint *e, const char *host)
{
	if (host)
		assert_true(endpoint_parse_addr(e, host, strlen(host), 5060));
}

static inline void send_text(struct sip_lab *l, int64_t ms, const char *text)
{
	struct datagram d = { .ts_ns = at_ms(ms),
			      .payload = (const uint8_t *)text,
			      .len = (uint32_t)strlen(text),
			      .wire_len = (uint32_t)strlen(text) };
	lab_host(&d.src, l->src);
	lab_host(&d.dst, l->dst);
	signalling_message(l->s, &d);
}

static inline void say(struct sip_lab *l, int64_t ms, const char *what, const char *body)
{
	char first[16], method[16], cseq[16], from[32], to[32], branch[32], start[64], text[4096];
	int n = 0;
	bool response = what[0] >= '1' && what[0] <= '6';
	if (response)
		assert_int_equal(sscanf(what, "%15s %n", first, &n), 1);
	assert_int_equal(
		sscanf(what + n, "%15s %15s %31s %31s %31s", method, cseq, from, to, branch), 5);
	if (response)
		snprintf(start, sizeof start, "SIP/2.0 %s Whatever", first);
	else
		snprintf(start, sizeof start, "%s sip:200@lab SIP/2.0", method);
	bool from_tag = strcmp(from, "-") != 0, to_tag = strcmp(to, "-") != 0;
	bool has_branch = strcmp(branch, "-") != 0;
	snprintf(text, sizeof text,
		 "%s\r\nVia: SIP/2.0/UDP 10.0.0.9:5060%s%s\r\nFrom: %s%s%s\r\nTo: %s%s%s\r\n"
		 "Call-ID: %s\r\nCSeq: %s %s\r\n%s%s%s%sContent-Length: %zu\r\n\r\n%s",
		 start, has_branch ? ";branch=" : "", has_branch ? branch : "", l->from,
		 from_tag ? ";tag=" : "", from_tag ? from : "", l->to, to_tag ? ";tag=" : "",
		 to_tag ? to : "", l->call_id, cseq, method, l->extra, body ? "Content-Type: " : "",
		 body ? l->type : "", body ? "\r\n" : "", body ? strlen(body) : 0,
		 body ? body : "");
	send_text(l, ms, text);
}

static inline void tick(struct sip_lab *l, int64_t ms)
{
	signalling_tick(l->s, at_ms(ms));
}

#define told(l, text)                                                                              \
	do {                                                                                       \
		assert_string_equal((l)->log, text);                                               \
		(l)->log[0] = '\0';                                                                \
	} while (0)

/* A call up to its answer at 1000 ms, what was told thrown away: caller at 10.0.0.1:4000, callee at
 * 10.0.0.2:5000, tags a and b. */
static inline void lab_talking(struct sip_lab *l)
{
	lab_init(l);
	say(l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(l, 100, "180 INVITE 1 a b z1", NULL);
	say(l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(l, 1010, "ACK 1 a b z2", NULL);
	assert_int_equal(l->last.state, CALL_TALKING);
	l->log[0] = '\0';
}

static inline uint64_t counted(const struct sip_lab *l, enum counter id)
{
	return counter_get(&l->counters, id);
}

#endif
