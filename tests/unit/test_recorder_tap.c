/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The packet path of a capture thread allocates nothing, locks nothing, and asks the kernel for nothing.
 *
 * This program's calls of those functions go by way of the ones below (Makefile: WRAP_test_recorder_tap), which count
 * them.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "recorder/tap.h"

static unsigned calls_made;

/* WRAPPED(type, name, parameters, arguments) */
#define WRAPPED(type, name, parameters, arguments)                                                 \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		calls_made++;                                                                      \
		return __real_##name arguments;                                                    \
	}
WRAPPED(void *, malloc, (size_t n), (n))
WRAPPED(void *, calloc, (size_t n, size_t each), (n, each))
WRAPPED(void *, realloc, (void *p, size_t n), (p, n))
WRAPPED(void *, aligned_alloc, (size_t align, size_t n), (align, n))
WRAPPED(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t from),
	(at, n, prot, flags, fd, from))
WRAPPED(int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
WRAPPED(int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m))
WRAPPED(int, clock_gettime, (clockid_t id, struct timespec *t), (id, t))
WRAPPED(int, clock_nanosleep,
	(clockid_t id, int flags, const struct timespec *t, struct timespec *left),
	(id, flags, t, left))

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	calls_made += p != NULL;
	__real_free(p);
}

#define LINES   500 /* calls; two flows each */
#define SECONDS 3
#define T0      INT64_C(1763712000000000000)
#define FRAME   (14 + 20 + 8 + 12 + 160)
#define REST    2000 /* SIP messages that signalling has room for */

/* Stands for the owner of a tap, the signalling thread and the writer. */
struct rig {
	struct tap tap;
	struct writer_thread writer;
	struct writer_input input;
	uint64_t sip, refused, frames_written;
};

static void rig_sip(void *ctx, const struct datagram *d, enum sip_kind kind)
{
	struct rig *r = ctx;
	(void)d;
	assert_int_equal(kind, SIP_REST);
	if (r->sip == REST) {
		r->refused++;
		count(&r->tap.counters, COUNT_SIGNALLING_RING_DROP);
		return;
	}
	r->sip++;
	count(&r->tap.counters, COUNT_TO_SIGNALLING);
}

static void rig_alive(void *ctx, uint64_t call, int64_t ts_ns)
{
	(void)ctx;
	(void)call;
	(void)ts_ns;
}

static void rig_tick(void *ctx, int64_t now_ns)
{
	(void)ctx;
	(void)now_ns;
}

static bool rig_wait(void *ctx)
{
	(void)ctx;
	return false;
}

static struct endpoint end_of(uint32_t host, uint16_t port)
{
	struct endpoint e;
	uint8_t v4[4];
	put_u32(v4, 0x0a000000 + host);
	endpoint_set_v4(&e, v4, port);
	return e;
}

static struct rig *rig_new(void)
{
	struct error err;
	static struct options o;
	struct rig *r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
	assert_non_null(r);
	memset(r, 0, sizeof *r);
	options_default(&o);
	o.audio_mib = 64;
	r->writer.inputs = &r->input;
	r->input.from_thread = ring_new(1 << 20);
	r->input.back = ring_new(1 << 20);
	struct tap_owner owner = { .ctx = r,
				   .sip = rig_sip,
				   .alive = rig_alive,
				   .tick = rig_tick,
				   .wait = rig_wait,
				   .chunks_most = SIZE_MAX,
				   .keep_reserve = true };
	assert_int_equal(tap_init(&r->tap, &o, 0, 1, &r->writer, 1, &owner, &err), RC_OK);
	for (uint32_t n = 0; n < 2 * LINES; n++) {
		struct media_expect e = { .call = n / 2,
					  .at = end_of(n, 4000),
					  .party = n & 1,
					  .stream_base = (uint16_t)((n & 1) * STREAM_BLOCK),
					  .from_ns = T0,
					  .ptime_ms = 20,
					  .payloads_count = 1 };
		e.payloads[0] = (struct media_payload){ 0, PAYLOAD_AUDIO, 1, 8000, "PCMU", "" };
		media_expect(r->tap.media, &e);
	}
	return r;
}

static void rig_free(struct rig *r)
{
	tap_free(&r->tap);
	ring_free(r->input.from_thread);
	ring_free(r->input.back);
	free(r);
}

/* The writer's side: every chunk goes home. */
static void write_all(struct rig *r)
{
	const void *m;
	size_t n;
	while ((m = ring_front(r->input.from_thread, &n))) {
		const struct message *head = m;
		if (head->kind == MESSAGE_CHUNK) {
			struct chunk *c;
			memcpy(&c, message_body(m), sizeof(struct chunk *));
			r->frames_written += c->frames;
			assert_true(ring_put(r->input.back, &c, sizeof(struct chunk *)));
		}
		ring_pop(r->input.from_thread);
	}
}

static void put_head(uint8_t *p, uint32_t src, uint16_t src_port, uint32_t dst, uint16_t dst_port,
		     size_t len)
{
	memset(p, 0, 42);
	p[12] = 8; /* IPv4 */
	p[14] = 0x45;
	put_u16(p + 16, (uint16_t)(28 + len));
	p[22] = 64;
	p[23] = 17; /* UDP */
	put_u32(p + 26, 0x0a000000 + src);
	put_u32(p + 30, 0x0a000000 + dst);
	put_u16(p + 34, src_port);
	put_u16(p + 36, dst_port);
	put_u16(p + 38, (uint16_t)(8 + len));
}

/* Packet `no` of flow `n`: what goes to endpoint n comes from the other end of its call. */
static struct frame rtp_frame(uint8_t *p, uint32_t n, uint32_t no)
{
	put_head(p, n ^ 1, 4000, n, 4000, 172);
	uint8_t *rtp = p + 42;
	memset(rtp, 0x55, 172);
	rtp[0] = 0x80;
	rtp[1] = 0;
	put_u16(rtp + 2, (uint16_t)no);
	put_u32(rtp + 4, no * 160);
	put_u32(rtp + 8, 0xabc00000 + n);
	return (struct frame){ .ts_ns = T0 + no * 20 * NS_PER_MS + n,
			       .bytes = p,
			       .len = FRAME,
			       .wire_len = FRAME,
			       .link_type = 1 };
}

/* A telephone that registers, and garbage at the same port. */
static struct frame flood_frame(uint8_t *p, uint32_t n, int64_t ts_ns)
{
	static const char *const texts[] = {
		"REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 REGISTER\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\nthis is not a header\r\n\r\n",
		"OPTIONS sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 OPTIONS\r\n\r\n",
	};
	const char *text = texts[n % 3];
	size_t len = strlen(text);
	put_head(p, 50000 + n % 5000, 5060, 60000, 5060, len);
	snprintf((char *)p + 42, FRAME - 42, "%s", text);
	return (struct frame){ .ts_ns = ts_ns,
			       .bytes = p,
			       .len = (uint32_t)(42 + len),
			       .wire_len = (uint32_t)(42 + len),
			       .link_type = 1 };
}

/* Packets `from` to `to` of all flows, burst by burst; `flood`: as many SIP messages among them. */
static uint64_t play(struct rig *r, uint32_t from, uint32_t to, bool flood)
{
	static uint8_t bytes[CAPTURE_BURST][FRAME];
	struct frame frames[CAPTURE_BURST];
	uint64_t sent = 0;
	int n = 0;
	for (uint32_t no = from; no < to; no++) {
		for (uint32_t flow = 0; flow < 2 * LINES; flow++) {
			frames[n] = rtp_frame(bytes[n], flow, no);
			int64_t ts_ns = frames[n++].ts_ns;
			if (flood) {
				frames[n] = flood_frame(bytes[n], flow, ts_ns);
				n++;
			}
			sent++;
			if (n + 2 > CAPTURE_BURST) {
				tap_burst(&r->tap, frames, n);
				tap_service(&r->tap);
				write_all(r);
				n = 0;
			}
		}
	}
	tap_burst(&r->tap, frames, n);
	return sent;
}

static void packets_of_known_flows_allocate_and_lock_nothing(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	/* What is counted is counted: else this could not fail. */
	assert_true(calls_made > 10);
	uint64_t sent = play(r, 0, 60, false); /* begun, and a chunk handed over */
	calls_made = 0;
	sent += play(r, 60, 60 + SECONDS * 50, false);
	assert_int_equal(calls_made, 0);
	assert_int_equal(counter_get(&r->tap.counters, COUNT_RTP_STORED), sent);
	assert_true(r->frames_written > sent / 2);
	rig_free(r);
	assert_true(calls_made > 0);
}

static void beginning_of_flows_allocates_nothing(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	calls_made = 0;
	uint64_t sent = play(r, 0, 5, false);
	assert_int_equal(calls_made, 0);
	assert_int_equal(counter_get(&r->tap.counters, COUNT_STREAMS), 2 * LINES);
	assert_int_equal(counter_get(&r->tap.counters, COUNT_RTP_STORED), sent);
	rig_free(r);
}

static void flood_of_sip_costs_no_frame(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	calls_made = 0;
	uint64_t sent = play(r, 0, 100, true);
	assert_int_equal(calls_made, 0);
	assert_int_equal(counter_get(&r->tap.counters, COUNT_RTP_STORED), sent);
	assert_int_equal(r->sip, REST);
	assert_int_equal(r->refused, sent - REST);
	assert_int_equal(counter_get(&r->tap.counters, COUNT_DATAGRAMS), 2 * sent);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_known_flows_allocate_and_lock_nothing),
		cmocka_unit_test(beginning_of_flows_allocates_nothing),
		cmocka_unit_test(flood_of_sip_costs_no_frame),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
