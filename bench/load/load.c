/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* load.c: lines, their calls and voices, and whose turn is next. */
#include "load/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/net.h"
#include "load/script.h"

#define EPOCH_NS     (INT64_C(1767258000) * NS_PER_S) /* 2026-01-01T09:00:00Z */
#define NEXT_CALL_MS 200 /* from the end of a call to the next on its line, at least */
#define HELD_MOST    8   /* packets that may overtake a reordered one */
#define NOISE_BYTES  (64u << 10)
#define PAYLOAD_AT   (WIRE_UDP_AT + WIRE_RTP_HEAD)
#define PAYLOAD_MOST (LOAD_MAX_PTIME * 8)
#define SEQUENCE_AT  (WIRE_UDP_AT + 2)
#define TIMESTAMP_AT (WIRE_UDP_AT + 4)
#define SIP_PORT     5060
#define TCP_PORT     40000 /* the caller's */
#define VOICE_TURN   2     /* frames at most that a voice sends in its turn */

const char *const load_codec_names[LOAD_CODECS] = { "PCMU", "PCMA", "G722", "G729", "opus" };

/* Samples of the RTP clock and bytes of payload a millisecond; Opus is as long as it likes. */
static const struct codec {
	const char *rtpmap;
	uint8_t payload_type, samples, bytes;
} codecs[LOAD_CODECS] = {
	[LOAD_PCMU] = { "PCMU/8000", 0, 8, 8 },       [LOAD_PCMA] = { "PCMA/8000", 8, 8, 8 },
	[LOAD_G722] = { "G722/8000", 9, 8, 8 },       [LOAD_G729] = { "G729/8000", 18, 8, 1 },
	[LOAD_OPUS] = { "opus/48000/2", 111, 48, 0 },
};

/* One direction's audio: a cache line. */
struct voice {
	uint8_t head[PAYLOAD_AT]; /* Ethernet to RTP, of the next packet */
	uint8_t codec, tunnel;
	bool first;    /* nothing of this call has been sent */
	uint32_t left; /* packets of this call still to come; 0: silent */
};
_Static_assert(sizeof(struct voice) == 64, "a voice is a cache line");

/* A packet that waits until others have overtaken it. */
struct held {
	uint32_t turns; /* 0: there is none */
	uint32_t timestamp;
	uint16_t sequence;
	bool overtaken;
};

struct line {
	int64_t invite_ns, media_end_ns;
	uint32_t wave;
	uint32_t sequence[2]; /* TCP: of each side's next segment */
	uint16_t port[2];     /* RTP */
	uint8_t step, codec, tunnel;
	bool tcp;
};

/* When a line's next message is due. */
struct due {
	int64_t at_ns;
	uint32_t line;
};

struct load {
	struct load_settings set;
	uint32_t packets_a_call; /* of each voice */
	int64_t ptime_ns, gap_ns;
	uint64_t lost_below, reorder_below; /* of a random number */

	struct line *lines;   /* owned */
	struct voice *voices; /* owned: the callers, then the callees */
	struct held *held;    /* owned: one a voice */
	struct due *heap;     /* owned: the earliest first */
	uint32_t voices_count, heap_count;
	uint8_t *noise; /* owned */

	int64_t cycle_ns;   /* when this ptime began */
	uint64_t turn_step; /* from voice to voice, ns x 2^16 */
	uint32_t turn;      /* the next voice in this ptime */
	uint32_t talking;   /* voices that are not silent */
	uint64_t random, number;

	struct load_frame *frames; /* borrowed while they are made */
	unsigned filled;
	struct load_tally tally;
};

/* ---- chance ------------------------------------------------------------------------------- */

/* splitmix64: one multiplication chain a word, good enough for noise. */
static inline uint64_t random_u64(struct load *l)
{
	uint64_t z = l->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A random number is below this in so many of a hundred cases. */
static uint64_t share(double per_cent)
{
	return per_cent >= 100 ? UINT64_MAX : (uint64_t)(per_cent / 100 * 0x1p64);
}

/* ---- what is due -------------------------------------------------------------------------- */

static bool due_before(const struct due *a, const struct due *b)
{
	/* A fixed order of ties keeps the frames the same from run to run. */
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->line < b->line;
}

static void heap_add(struct load *l, struct due e)
{
	uint32_t at = l->heap_count++;
	ASSERT(l->heap_count <= l->set.lines);
	while (at > 0 && due_before(&e, &l->heap[(at - 1) / 2])) {
		l->heap[at] = l->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	l->heap[at] = e;
}

/* Put `e` in the place of the earliest, and let it sink to its own. */
static void heap_replace(struct load *l, struct due e)
{
	uint32_t at = 0, child;
	while ((child = 2 * at + 1) < l->heap_count) {
		if (child + 1 < l->heap_count && due_before(&l->heap[child + 1], &l->heap[child]))
			child++;
		if (!due_before(&l->heap[child], &e))
			break;
		l->heap[at] = l->heap[child];
		at = child;
	}
	l->heap[at] = e;
}

static void heap_remove(struct load *l)
{
	struct due last = l->heap[--l->heap_count];
	if (l->heap_count > 0)
		heap_replace(l, last);
}

/* ---- frames ------------------------------------------------------------------------------- */

/* The inner frame of `len` bytes has been written at bytes + wire_tunnel_room[tunnel]. */
static inline void frame_done(struct load *l, enum wire_tunnel tunnel, size_t len, int64_t at_ns)
{
	struct load_frame *f = &l->frames[l->filled++];
	if (UNLIKELY(tunnel != WIRE_PLAIN))
		len = wire_tunnel(f->bytes, tunnel, len, (uint32_t)l->tally.packets);
	f->len = (uint32_t)len;
	f->at_ns = at_ns;
	l->tally.packets++;
	l->tally.bytes += len;
	l->tally.tunnel[tunnel]++;
	l->tally.last_ns = at_ns;
}

/* Callers live in 10.0.0.0/10, callees in 10.64.0.0/10, scattered by an odd factor. */
static uint32_t line_address(uint32_t line, enum script_side side)
{
	uint32_t host = (line * 40503 + 257) & 0x3fffff;
	return 0x0a000000 | (uint32_t)side << 22 | host;
}

/* ---- signalling --------------------------------------------------------------------------- */

static size_t write_message(const struct load *l, uint32_t no, char *to)
{
	const struct line *n = &l->lines[no];
	uint32_t call = n->wave * l->set.lines + no;
	struct script_call c = {
		.line = no,
		.call = call,
		.tag = l->set.seed * UINT64_C(0x9e3779b97f4a7c15) + call,
		.address = { line_address(no, CALLER), line_address(no, CALLEE) },
		.port = { n->port[CALLER], n->port[CALLEE] },
		.tcp = n->tcp,
		.rtpmap = codecs[n->codec].rtpmap,
		.payload_type = codecs[n->codec].payload_type,
		.ptime_ms = l->set.ptime_ms,
	};
	return script_write(&c, n->step, to);
}

static void send_message(struct load *l, uint32_t no, int64_t at_ns)
{
	struct line *n = &l->lines[no];
	enum script_side from = script_steps[n->step].from, to = from == CALLER ? CALLEE : CALLER;
	uint8_t *frame = l->frames[l->filled].bytes + wire_tunnel_room[n->tunnel];
	size_t head = n->tcp ? WIRE_TCP_AT : WIRE_UDP_AT;
	size_t len = write_message(l, no, (char *)frame + head);
	struct wire_end src = { line_address(no, from), SIP_PORT };
	struct wire_end dst = { line_address(no, to), SIP_PORT };
	if (n->tcp) {
		*(from == CALLER ? &src.port : &dst.port) = TCP_PORT;
		wire_tcp(frame, src, dst, n->sequence[from], n->sequence[to], len);
		n->sequence[from] += (uint32_t)len;
	} else {
		wire_udp(frame, src, dst, len);
	}
	l->tally.sip++;
	l->tally.sip_tcp += n->tcp;
	frame_done(l, n->tunnel, head + len, at_ns);
}

/* ---- audio -------------------------------------------------------------------------------- */

static size_t payload_bytes(struct load *l, unsigned codec)
{
	if (LIKELY(codecs[codec].bytes))
		return (size_t)codecs[codec].bytes * l->set.ptime_ms;
	/* Opus of some 16 to 48 kbit/s. */
	return 2 * l->set.ptime_ms + random_u64(l) % (4 * (uint64_t)l->set.ptime_ms);
}

/* Send the voice's next packet, or the one that was held. */
static inline void send_audio(struct load *l, struct voice *v, int64_t at_ns, const struct held *h)
{
	uint8_t *frame = l->frames[l->filled].bytes + wire_tunnel_room[v->tunnel];
	size_t len = payload_bytes(l, v->codec);
	memcpy(frame, v, sizeof *v); /* the head; audio goes over the rest */
	if (UNLIKELY(!codecs[v->codec].bytes))
		wire_udp_resize(frame, WIRE_RTP_HEAD + len);
	if (UNLIKELY(h)) {
		put_u16(frame + SEQUENCE_AT, h->sequence);
		put_u32(frame + TIMESTAMP_AT, h->timestamp);
	}
	if (UNLIKELY(v->first))
		frame[WIRE_UDP_AT + 1] |= 0x80; /* marker: a talkspurt begins, RFC 3551, 4.1 */
	v->first = false;
	memcpy(frame + PAYLOAD_AT, l->noise + (random_u64(l) & (NOISE_BYTES - 1)), len);
	put_u64_le(frame + PAYLOAD_AT, ++l->number * UINT64_C(0x9e3779b97f4a7c15));
	l->tally.audio[v->codec].packets++;
	l->tally.audio[v->codec].bytes += len;
	frame_done(l, v->tunnel, PAYLOAD_AT + len, at_ns);
}

/* The head becomes that of the packet after. */
static inline void voice_advance(const struct load *l, struct voice *v)
{
	uint8_t *p = v->head + SEQUENCE_AT;
	put_u16(p, (uint16_t)((p[0] << 8 | p[1]) + 1));
	uint8_t *t = v->head + TIMESTAMP_AT;
	uint32_t timestamp =
		(uint32_t)t[0] << 24 | (uint32_t)t[1] << 16 | (uint32_t)t[2] << 8 | t[3];
	put_u32(t, timestamp + l->set.ptime_ms * codecs[v->codec].samples);
}

/* A voice's turn where packets are lost or reordered: sent, lost, or held until later ones have overtaken it. */
static void rough_turn(struct load *l, struct voice *v, int64_t at_ns)
{
	struct held *h = &l->held[v - l->voices];
	bool last = v->left == 0;

	if (h->turns > 0 && (--h->turns == 0 || last)) {
		send_audio(l, v, at_ns, h);
		l->tally.reordered += h->overtaken;
		h->turns = 0;
	}
	if (v->first || last) {
		send_audio(l, v, at_ns, NULL);
	} else if (random_u64(l) < l->lost_below) {
		l->tally.lost++;
	} else if (h->turns == 0 && random_u64(l) < l->reorder_below) {
		*h = (struct held){ .turns = 2 + (uint32_t)(random_u64(l) % HELD_MOST) };
		h->sequence = (uint16_t)(v->head[SEQUENCE_AT] << 8 | v->head[SEQUENCE_AT + 1]);
		for (int i = 0; i < 4; i++)
			h->timestamp = h->timestamp << 8 | v->head[TIMESTAMP_AT + i];
	} else {
		send_audio(l, v, at_ns, NULL);
		h->overtaken = true;
	}
}

static inline void voice_turn(struct load *l, struct voice *v, int64_t at_ns)
{
	l->talking -= --v->left == 0;
	if (LIKELY(!l->held))
		send_audio(l, v, at_ns, NULL);
	else
		rough_turn(l, v, at_ns);
	voice_advance(l, v);
}

static void voice_begin(struct load *l, uint32_t no, enum script_side from)
{
	const struct line *n = &l->lines[no];
	struct voice *v = &l->voices[no + (from == CALLEE ? l->set.lines : 0)];
	enum script_side to = from == CALLER ? CALLEE : CALLER;
	struct wire_end src = { line_address(no, from), n->port[from] };
	struct wire_end dst = { line_address(no, to), n->port[to] };
	uint8_t *rtp = v->head + WIRE_UDP_AT;
	wire_udp(v->head, src, dst, WIRE_RTP_HEAD + payload_bytes(l, n->codec));
	rtp[0] = 0x80;
	rtp[1] = codecs[n->codec].payload_type;
	put_u16(rtp + 2, (uint16_t)random_u64(l));
	put_u32(rtp + 4, (uint32_t)random_u64(l));
	put_u32(rtp + 8, (uint32_t)random_u64(l));
	v->codec = n->codec;
	v->tunnel = n->tunnel;
	v->first = true;
	v->left = l->packets_a_call;
	l->talking++;
	l->tally.streams++;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void call_begin(struct load *l, uint32_t no, int64_t invite_ns)
{
	struct line *n = &l->lines[no];
	n->invite_ns = invite_ns;
	n->media_end_ns = invite_ns + SCRIPT_TALK_MS * NS_PER_MS +
			  (l->packets_a_call ? l->packets_a_call + 1 : 0) * l->ptime_ns;
	n->step = 0;
	for (enum script_side s = CALLER; s <= CALLEE; s++)
		n->port[s] = (uint16_t)(16384 + 2 * ((no * 7919 + n->wave * 13 + s * 101) % 20000));
	l->tally.calls++;
}

/* When line `no`'s next message is due; INT64_MAX when its calls are over. */
static int64_t next_message(struct load *l, uint32_t no, int64_t now_ns)
{
	struct line *n = &l->lines[no];
	if (++n->step == SCRIPT_STEPS) {
		if (++n->wave == l->set.waves)
			return INT64_MAX;
		call_begin(l, no, now_ns + l->gap_ns);
	}
	const struct script_step *s = &script_steps[n->step];
	return (s->after_media ? n->media_end_ns : n->invite_ns) + s->offset_ms * NS_PER_MS;
}

/* Go on from the first voice whose turn comes after `ns`; all are silent. */
static void turn_to(struct load *l, int64_t ns)
{
	l->cycle_ns = ns - ns % l->ptime_ns;
	l->turn = (uint32_t)(((uint64_t)(ns - l->cycle_ns) << 16) / l->turn_step) + 1;
}

static void signalling_turn(struct load *l)
{
	struct due e = l->heap[0];
	send_message(l, e.line, e.at_ns);
	if (l->lines[e.line].step == SCRIPT_TALK && l->packets_a_call) {
		if (!l->talking)
			turn_to(l, e.at_ns);
		voice_begin(l, e.line, CALLER);
		voice_begin(l, e.line, CALLEE);
	}
	e.at_ns = next_message(l, e.line, e.at_ns);
	if (e.at_ns < INT64_MAX)
		heap_replace(l, e);
	else
		heap_remove(l);
}

unsigned load_next(struct load *l, struct load_frame *frames, unsigned most)
{
	l->frames = frames;
	l->filled = 0;
	while (l->filled + VOICE_TURN <= most) {
		if (!l->talking) {
			if (!l->heap_count)
				break;
			signalling_turn(l);
			continue;
		}
		if (l->turn >= l->voices_count) {
			l->turn = 0;
			l->cycle_ns += l->ptime_ns;
		}
		int64_t at_ns = l->cycle_ns + (int64_t)(l->turn * l->turn_step >> 16);
		if (UNLIKELY(l->heap_count && l->heap[0].at_ns <= at_ns)) {
			signalling_turn(l);
			continue;
		}
		struct voice *v = &l->voices[l->turn++];
		__builtin_prefetch(v + 8, 1);
		if (v->left)
			voice_turn(l, v, at_ns);
	}
	return l->filled;
}

/* ---- set-up ------------------------------------------------------------------------------- */

struct load_settings load_defaults(void)
{
	return (struct load_settings){ .lines = 200,
				       .waves = 1,
				       .seconds = 10,
				       .ramp = 1,
				       .ptime_ms = 20,
				       .codecs = { [LOAD_PCMU] = true },
				       .seed = 1 };
}

/* How long calls are, and what is between them. */
static enum rc plan(struct load *l, struct error *err)
{
	struct load_settings *s = &l->set;
	int64_t around_ms = SCRIPT_TALK_MS + s->ptime_ms + SCRIPT_END_MS;

	l->ptime_ns = s->ptime_ms * NS_PER_MS;
	l->gap_ns = NEXT_CALL_MS * NS_PER_MS;
	if (s->churn > 0) {
		s->ramp = s->lines / s->churn;
		s->seconds = s->ramp - (double)(around_ms + NEXT_CALL_MS) / 1000;
		if (s->seconds * 1000 < s->ptime_ms)
			return error_set(
				err, RC_USAGE,
				"%u lines cannot make %g calls a second: calls would last %.2f s",
				s->lines, s->churn, s->seconds);
	}
	l->packets_a_call = (uint32_t)(s->seconds * 1000 / s->ptime_ms);
	if (s->churn > 0)
		l->gap_ns = (int64_t)(s->ramp * (double)NS_PER_S) - around_ms * NS_PER_MS -
			    l->packets_a_call * l->ptime_ns;
	return RC_OK;
}

static enum rc check(const struct load_settings *s, struct error *err)
{
	double tunnels = 0;
	unsigned chosen = 0;
	for (int i = 0; i < WIRE_TUNNELS; i++)
		tunnels += s->tunnel[i];
	for (int i = 0; i < LOAD_CODECS; i++)
		chosen += s->codecs[i];
	if (!s->lines || s->lines > LOAD_MAX_LINES || !s->waves ||
	    s->waves > LOAD_MAX_CALLS / s->lines)
		return error_set(err, RC_USAGE, "too many calls, or none");
	if (tunnels > 100)
		return error_set(err, RC_USAGE, "more than 100 %% of the lines in tunnels");
	if (!chosen)
		return error_set(err, RC_USAGE, "no codec is chosen");
	if (s->ptime_ms < LOAD_MIN_PTIME || s->ptime_ms > LOAD_MAX_PTIME)
		return error_set(err, RC_USAGE, "no such ptime");
	if (s->codecs[LOAD_G729] && s->ptime_ms % 10)
		return error_set(err, RC_USAGE, "G.729 has frames of 10 ms");
	return RC_OK;
}

static void line_choose(struct load *l, uint32_t no)
{
	struct line *n = &l->lines[no];
	uint64_t chance = random_u64(l), below = 0;
	n->tcp = random_u64(l) < share(l->set.tcp);
	for (int t = 1; t < WIRE_TUNNELS; t++) {
		uint64_t part = share(l->set.tunnel[t]);
		if (part && chance >= below && chance - below < part)
			n->tunnel = (uint8_t)t;
		below = below + part < below ? UINT64_MAX : below + part;
	}
	unsigned nth = no % LOAD_CODECS, codec = 0;
	for (unsigned seen = 0;; codec = (codec + 1) % LOAD_CODECS)
		if (l->set.codecs[codec] && seen++ == nth)
			break;
	n->codec = (uint8_t)codec;
}

/* The first calls begin evenly spread over the ramp, in another order than voices have their turns in: a recorder
 * that lays out memory as calls come shall find no order in what packets then ask for. */
static void set_out(struct load *l)
{
	uint32_t *order = calloc(l->set.lines, sizeof *order);
	ASSERT(order);
	double step_ns = l->set.ramp * (double)NS_PER_S / l->set.lines;
	for (uint32_t no = 0; no < l->set.lines; no++) {
		uint32_t other = (uint32_t)(random_u64(l) % (no + 1));
		order[no] = order[other];
		order[other] = no;
	}
	for (uint32_t place = 0; place < l->set.lines; place++) {
		uint32_t no = order[place];
		line_choose(l, no);
		call_begin(l, no, EPOCH_NS + (int64_t)(place * step_ns));
		heap_add(l, (struct due){ l->lines[no].invite_ns, no });
	}
	free(order);
}

enum rc load_new(struct load **out, const struct load_settings *s, struct error *err)
{
	enum rc rc = check(s, err);
	struct load *l = rc == RC_OK ? calloc(1, sizeof *l) : NULL;
	*out = NULL;
	if (rc != RC_OK)
		return rc;
	if (!l)
		goto short_of_memory;
	l->set = *s;
	rc = plan(l, err);
	if (rc != RC_OK)
		goto fail;
	bool rough = s->loss > 0 || s->reorder > 0;
	l->lost_below = share(s->loss);
	l->reorder_below = share(s->reorder);
	l->voices_count = 2 * s->lines;
	l->turn_step = ((uint64_t)l->ptime_ns << 16) / l->voices_count;
	l->random = s->seed;
	l->lines = calloc(s->lines, sizeof *l->lines);
	l->voices = aligned_alloc(64, l->voices_count * sizeof *l->voices);
	l->held = rough ? calloc(l->voices_count, sizeof *l->held) : NULL;
	l->heap = calloc(s->lines, sizeof *l->heap);
	l->noise = malloc(NOISE_BYTES + PAYLOAD_MOST);
	if (!l->lines || !l->voices || (rough && !l->held) || !l->heap || !l->noise)
		goto short_of_memory;
	memset(l->voices, 0, l->voices_count * sizeof *l->voices);
	for (size_t i = 0; i < NOISE_BYTES + PAYLOAD_MOST; i += 8)
		put_u64_le(l->noise + i, random_u64(l));
	set_out(l);
	*out = l;
	return RC_OK;
short_of_memory:
	rc = error_set(err, RC_FAILED, "not enough memory for so many lines");
fail:
	load_free(l);
	return rc;
}

void load_free(struct load *l)
{
	if (!l)
		return;
	free(l->lines);
	free(l->voices);
	free(l->held);
	free(l->heap);
	free(l->noise);
	free(l);
}

const struct load_tally *load_told(const struct load *l)
{
	return &l->tally;
}

int64_t load_begin_ns(void)
{
	return EPOCH_NS;
}
