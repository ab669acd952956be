/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Chunks: what goes in comes out, bit for bit; forged bodies end in damage. */
#include "rtp_help.h"

#include "base/bytes.h"
#include "rtp/chunk.h"
#include "rtp/packet.h"

/* A frame as it was put in. */
struct put {
	uint8_t packet[12 + 2000];
	uint32_t len, wire_len;
	uint64_t sequence;
	int64_t arrival_us;
};

static struct chunk_frame frame_of(const struct put *p, struct rtp_header *h)
{
	assert_true(rtp_parse(h, p->packet, p->len, p->wire_len));
	return (struct chunk_frame){ .sequence = p->sequence,
				     .arrival_us = p->arrival_us,
				     .header = h,
				     .stored = p->len - 12,
				     .wire = p->wire_len - 12 };
}

static size_t body_of(const struct chunk *c, uint8_t *body)
{
	memcpy(body, c->header, CHUNK_HEADER);
	memcpy(body + CHUNK_HEADER, c->table, c->table_len);
	memcpy(body + CHUNK_HEADER + c->table_len, c->payload, c->payload_len);
	return CHUNK_HEADER + c->table_len + c->payload_len;
}

static void assert_same(const struct rtp_frame *f, const struct put *p)
{
	const uint8_t *b = p->packet;
	struct bytes timestamp = bytes_over(b + 4, 4);
	assert_int_equal(f->arrival_us, p->arrival_us);
	assert_int_equal(f->sequence, p->sequence);
	assert_int_equal(f->first_octet, b[0]);
	assert_int_equal(f->payload_type, b[1] & 0x7f);
	assert_int_equal(f->marker, b[1] >> 7);
	assert_int_equal(f->timestamp, bytes_u32(&timestamp));
	assert_int_equal(f->extra_len + f->payload_len + f->padding_len, p->len - 12);
	assert_int_equal(f->wire_len, p->wire_len - 12);
	assert_memory_equal(f->extra, b + 12, p->len - 12);
	assert_ptr_equal(f->payload, f->extra + f->extra_len);
	struct rtp_header h;
	assert_true(rtp_parse(&h, b, p->len, p->wire_len));
	assert_int_equal(f->extra_len, h.extra_len);
	assert_int_equal(f->padding_len, h.padding_len);
}

static void put_plain(struct put *p, unsigned n)
{
	p->len = rtp_make(p->packet, 8, (uint16_t)n, n * 160, 0x11223344, 160);
	p->wire_len = p->len;
	p->sequence = 0x10000 + n;
	p->arrival_us = T0 / 1000 + n * 20000;
}

static void the_usual_frame_costs_four_bytes(void **state)
{
	(void)state;
	static struct chunk c;
	struct chunk_writer w = { .chunk = NULL };
	struct put p;
	struct rtp_header h;
	unsigned n = 0;

	put_plain(&p, n++);
	struct chunk_frame f = frame_of(&p, &h);
	chunk_open(&w, &c, h.ssrc, 0, &f);
	for (;; n++) {
		put_plain(&p, n);
		f = frame_of(&p, &h);
		if (!chunk_fits(&w, &f))
			break;
		chunk_append(&w, &f);
	}
	assert_ptr_equal(chunk_close(&w), &c);
	assert_null(w.chunk);
	assert_int_equal(n, CHUNK_PAYLOAD / 160);
	assert_int_equal(c.frames, n);
	assert_int_equal(c.table_len, 4 * n);
	assert_int_equal(c.payload_len, 160 * n);
	const uint8_t *step = c.header + 12;
	assert_int_equal(step[0] | step[1] << 8 | step[2] << 16 | step[3] << 24, 160);
}

/* The layout, octet by octet, as docs/segment-format.md has it. */
static void is_laid_out_as_documented(void **state)
{
	(void)state;
	static struct chunk c;
	struct chunk_writer w = { .chunk = NULL };
	struct rtp_header h;
	const struct put one = { { 0x80, 0x88, 0, 5, 0, 0, 1, 0, 1, 2, 3, 4, 0xaa, 0xbb },
				 14,
				 14,
				 0x10005,
				 0x0102030405060708 };
	const struct put two = { { 0x90, 0x00, 0, 8, 9, 0, 1, 0, 1, 2, 3, 4, 1, 1, 0, 0, 0xcc },
				 17,
				 19,
				 0x10008,
				 0x0102030405060708 - 2 };
	static const uint8_t header[CHUNK_HEADER] = { 1, 8, 2, 0, 2, 0, 0, 0, 30, 0, 0, 0, 0, 0,
						      0, 0, 5, 0, 1, 0, 0, 0, 0,  0, 8, 7, 6, 5,
						      4, 3, 2, 1, 0, 1, 0, 0, 4,  3, 2, 1 };
	static const uint8_t table[] = {
		0x10, 0, 0, 0,             /* marker */
		0xef, 0, 0, 0,             /* all but the marker */
		3,    0,                   /* sequence */
		0,    1, 0, 9,             /* timestamp */
		5,    0,                   /* length */
		6,    7, 6, 5, 4, 3, 2, 1, /* arrival */
		0,                         /* payload type */
		0x90, 0, 4, 0,             /* first octet, padding, extra */
		7,    0,                   /* length on the wire */
	};
	struct chunk_frame f = frame_of(&one, &h);
	chunk_open(&w, &c, h.ssrc, 0, &f);
	f = frame_of(&two, &h);
	chunk_append(&w, &f);
	(void)chunk_close(&w);
	assert_int_equal(c.table_len, sizeof table);
	assert_memory_equal(c.table, table, sizeof table);
	static uint8_t want[CHUNK_HEADER];
	memcpy(want, header, sizeof want);
	want[8] = sizeof table;
	assert_memory_equal(c.header, want, sizeof want);
	assert_memory_equal(c.payload, "\xaa\xbb\1\1\0\0\xcc", 7);
	assert_true(sizeof table - 4 <= CHUNK_RECORD_MAX);
}

/* A packet of any shape, somewhere after the one before. */
static void put_random(struct put *p, const struct put *before)
{
	uint64_t sequence = before->sequence + 1;
	uint32_t timestamp = 0;
	memcpy(&timestamp, before->packet + 4, 4);
	timestamp = __builtin_bswap32(timestamp) + 160;
	if (rnd_below(8) == 0)
		sequence = before->sequence - 20 + rnd_below(60);
	if (rnd_below(8) == 0)
		timestamp = (uint32_t)rnd();
	uint32_t payload = rnd_below(8) ? 160 : rnd_below(400);
	p->len = rtp_make(p->packet, rnd_below(8) ? 8 : (uint8_t)rnd_below(128), (uint16_t)sequence,
			  timestamp, 7, payload);
	if (rnd_below(8) == 0)
		p->packet[1] |= 0x80;
	if (rnd_below(8) == 0) { /* CSRC, extension and padding, where they fit */
		p->len += 100;
		memset(p->packet + p->len - 100, 1 + (int)rnd_below(90), 100);
		p->packet[0] = (uint8_t)(0x80 | rnd_below(64));
		p->packet[12 + 4 * (p->packet[0] & 15) + 2] = 0;
		p->packet[12 + 4 * (p->packet[0] & 15) + 3] = (uint8_t)rnd_below(4);
	}
	p->wire_len = p->len + (rnd_below(8) ? 0 : 1 + rnd_below(300));
	p->sequence = sequence;
	p->arrival_us = before->arrival_us + 20000;
	if (rnd_below(8) == 0)
		p->arrival_us += (int64_t)rnd_below(1u << 26) - (1 << 25);
}

static void gives_back_exactly_what_was_put_in(void **state)
{
	(void)state;
	seed_show("chunk");
	static struct put puts[300];
	static uint8_t body[sizeof(struct chunk)];
	static struct chunk c;
	for (int round = 0; round < 2000; round++) {
		struct chunk_writer w = { .chunk = NULL };
		struct rtp_header h;
		unsigned n = 0;
		put_plain(&puts[0], rnd_below(60000) + 1000);
		put_random(&puts[0], &puts[0]);
		struct chunk_frame f = frame_of(&puts[0], &h);
		chunk_open(&w, &c, h.ssrc, rnd_below(2) ? 160 : 0, &f);
		for (n = 1; n < 300; n++) {
			put_random(&puts[n], &puts[n - 1]);
			f = frame_of(&puts[n], &h);
			if (!chunk_fits(&w, &f))
				break;
			chunk_append(&w, &f);
		}
		(void)chunk_close(&w);
		size_t len = body_of(&c, body);
		struct chunk_reader r;
		struct rtp_frame got;
		assert_true(chunk_reader_init(&r, body, len));
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(chunk_reader_next(&r, &got), RC_OK);
			assert_same(&got, &puts[i]);
		}
		assert_int_equal(chunk_reader_next(&r, &got), RC_END);
		assert_int_equal(chunk_reader_next(&r, &got), RC_END);
	}
}

static void count_cut(void *ctx, const struct rtp_frame *f)
{
	(void)f;
	++*(unsigned *)ctx;
}

/* A chunk that was cut and written on is the chunk that would have been written without the frames
 * cut. */
static void cutting_leaves_no_trace(void **state)
{
	(void)state;
	static struct chunk a, b;
	static uint8_t body_a[sizeof(struct chunk)], body_b[sizeof(struct chunk)];
	for (unsigned keep = 1; keep < 20; keep++) {
		struct chunk_writer wa = { .chunk = NULL }, wb = { .chunk = NULL };
		struct put p;
		struct rtp_header h;
		unsigned removed = 0;
		for (unsigned n = 0; n < 20; n++) {
			put_plain(&p, n);
			if (n == 3)
				p.packet[1] = 0;
			struct chunk_frame f = frame_of(&p, &h);
			if (n == 0) {
				chunk_open(&wa, &a, h.ssrc, 0, &f);
				chunk_open(&wb, &b, h.ssrc, 0, &f);
				continue;
			}
			chunk_append(&wa, &f);
			if (n < keep)
				chunk_append(&wb, &f);
		}
		int64_t until_us = T0 / 1000 + (keep - 1) * 20000;
		chunk_cut(&wa, until_us, count_cut, &removed);
		assert_int_equal(wa.frames, keep);
		assert_int_equal(removed, 20 - keep);
		put_plain(&p, keep);
		struct chunk_frame f = frame_of(&p, &h);
		chunk_append(&wa, &f);
		chunk_append(&wb, &f);
		(void)chunk_close(&wa);
		(void)chunk_close(&wb);
		size_t len = body_of(&a, body_a);
		assert_int_equal(len, body_of(&b, body_b));
		if (keep > 1) /* with one left, the time step is known already */
			assert_memory_equal(body_a, body_b, len);
	}
}

static void cutting_all_leaves_nothing(void **state)
{
	(void)state;
	static struct chunk c;
	struct chunk_writer w = { .chunk = NULL };
	struct put p;
	struct rtp_header h;
	unsigned removed = 0;
	put_plain(&p, 3);
	struct chunk_frame f = frame_of(&p, &h);
	chunk_open(&w, &c, h.ssrc, 160, &f);
	chunk_cut(&w, p.arrival_us - 1, count_cut, &removed);
	assert_int_equal(removed, 1);
	assert_int_equal(w.frames, 0);
}

static void a_jump_in_the_sequence_does_not_fit(void **state)
{
	(void)state;
	static struct chunk c;
	struct chunk_writer w = { .chunk = NULL };
	struct put p;
	struct rtp_header h;
	put_plain(&p, 1);
	struct chunk_frame f = frame_of(&p, &h);
	chunk_open(&w, &c, h.ssrc, 160, &f);
	f.sequence = w.sequence + 32767;
	assert_true(chunk_fits(&w, &f));
	f.sequence = w.sequence + 32768;
	assert_false(chunk_fits(&w, &f));
	f.sequence = w.sequence - 32768;
	assert_true(chunk_fits(&w, &f));
	f.sequence = w.sequence - 32769;
	assert_false(chunk_fits(&w, &f));
}

static enum rc read_all(const uint8_t *body, size_t len)
{
	/* A copy of just that size, for AddressSanitizer. */
	uint8_t *copy = malloc(len ? len : 1);
	struct chunk_reader r;
	struct rtp_frame f;
	enum rc rc = RC_DAMAGED;
	assert_non_null(copy);
	memcpy(copy, body, len);
	if (chunk_reader_init(&r, copy, len))
		while ((rc = chunk_reader_next(&r, &f)) == RC_OK)
			;
	free(copy);
	return rc;
}

static void forged_bodies_end_in_damage_or_in_frames(void **state)
{
	(void)state;
	static struct chunk c;
	static uint8_t body[sizeof(struct chunk)];
	struct chunk_writer w = { .chunk = NULL };
	struct put p;
	struct rtp_header h;
	put_plain(&p, 1);
	struct chunk_frame f = frame_of(&p, &h);
	chunk_open(&w, &c, h.ssrc, 160, &f);
	for (unsigned n = 2; n < 8; n++) {
		put_plain(&p, n);
		f = frame_of(&p, &h);
		chunk_append(&w, &f);
	}
	(void)chunk_close(&w);
	size_t len = body_of(&c, body);
	assert_int_equal(read_all(body, len), RC_END);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(read_all(body, cut), RC_DAMAGED);
	body[len] = 0;
	assert_int_equal(read_all(body, len + 1), RC_DAMAGED);
	body[0] = 2;
	assert_int_equal(read_all(body, len), RC_DAMAGED);
	body[0] = 1;
	body[4]++;
	assert_int_equal(read_all(body, len), RC_DAMAGED);
	body[4]--;
	for (int round = 0; round < 20000; round++) {
		size_t at = rnd_below(CHUNK_HEADER + 28);
		uint8_t was = body[at];
		body[at] = (uint8_t)rnd();
		(void)read_all(body, len);
		body[at] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_usual_frame_costs_four_bytes),
		cmocka_unit_test(is_laid_out_as_documented),
		cmocka_unit_test(gives_back_exactly_what_was_put_in),
		cmocka_unit_test(cutting_leaves_no_trace),
		cmocka_unit_test(cutting_all_leaves_nothing),
		cmocka_unit_test(a_jump_in_the_sequence_does_not_fit),
		cmocka_unit_test(forged_bodies_end_in_damage_or_in_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
