/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* generate.c: makes a capture file of many calls at once, fast, for bench/run.
 *
 *   generate --calls 1000 --seconds 30 --output FILE
 *
 * A *line* is a pair of telephones that make `waves` calls, one after the other.  Each
 * call has INVITE, 180, 200, ACK, audio (PCMU) both ways, BYE and 200, on addresses, ports,
 * numbers, tags and an SSRC of its own.  What comes next, on all lines together, is found by
 * a heap of events, so the frames stand in the file as a link would carry them:
 *
 *   signalling   INVITE   180   200 ACK                         BYE 200
 *   caller                         a   a   a   a   a   a   a   a
 *   callee                       b   b   b   b   b   b   b   b
 *
 * Some of the lines can have their signalling on TCP, a segment a message, and some can be
 * mirrored through a VXLAN tunnel (RFC 7348), as a remote SPAN session does it.  With no audio at all, what remains
 * is a load of signalling.
 *
 * The audio is noise: it does not compress, and no two frames are the same.  What was written is
 * printed as JSON, to the packet, so that a recording of it can be checked.  One thread; the
 * same options and seed give the same file.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/net.h"
#include "base/rc.h"

#define EPOCH_NS        (INT64_C(1767258000) * NS_PER_S) /* 2026-01-01T09:00:00Z */
#define MEDIA_OFFSET_MS 110   /* the ACK; audio begins within one ptime after it */
#define NEXT_CALL_MS    200   /* from the end of a call to the next on its line */
#define HELD_MOST       8     /* packets that may overtake a reordered one */
#define MAX_LINES       60000 /* lines; addresses and ports stay distinct up to here */
#define SAMPLES_PER_MS  8     /* G.711: one byte each */
#define MAX_PTIME_MS    60
#define RTP_AT          42 /* Ethernet 14, IPv4 20, UDP 8 */
#define TCP_AT          54 /* the same with TCP's 20 */
#define OUTER           50 /* Ethernet, IPv4, UDP and VXLAN's 8, before the frame itself */
#define VXLAN_PORT      4789
#define PAYLOAD_AT      54
#define RECORD_HEAD     16 /* of a packet in a capture file */
#define SIP_MOST        1400
#define TCP_PSH         0x08
#define TCP_ACK         0x10

enum side { CALLER, CALLEE };

struct settings {
	uint32_t lines, waves, ptime_ms;
	double seconds, ramp, loss, reorder; /* loss, reorder: per cent */
	double tcp, vxlan;                   /* per cent of lines */
	uint64_t seed;
	bool nanoseconds;
	const char *output;
};

/* One direction's audio. */
struct voice {
	uint8_t head[PAYLOAD_AT]; /* Ethernet to RTP; sequence, timestamp and marker change */
	uint16_t sequence, held_sequence;
	uint32_t timestamp, held_timestamp;
	uint32_t left;     /* packets of this call still to come */
	uint32_t held_for; /* packets until the held one is sent; 0: none is held */
	bool first, overtaken;
};

struct line {
	struct voice voice[2];
	int64_t invite_ns, media_end_ns;
	uint32_t wave, step;
	uint16_t port[2];     /* RTP */
	uint32_t sequence[2]; /* TCP: of each side's next segment */
	bool tcp, tunnelled;
};

struct event {
	int64_t at_ns;
	uint32_t line;
	uint32_t actor; /* 0, 1: that side's voice; 2: signalling */
};
#define ACTORS 3

struct tally {
	uint64_t packets, rtp, sip, sip_tcp, audio_bytes, calls, lost, reordered, bytes;
	int64_t last_ns;
};

struct generator {
	struct settings set;
	FILE *out;
	struct line *lines;
	struct event *heap;
	uint32_t heap_count;
	uint64_t random;
	struct tally tally;
};

/* The messages of a call.  Times count from the INVITE, or from the end of the audio. */
static const struct step {
	bool after_media;
	uint32_t offset_ms;
	enum side from;
	const char *request, *status; /* one of them */
	const char *method;
	unsigned cseq;
	bool sdp;
} steps[] = {
	{ false, 0, CALLER, "INVITE", NULL, "INVITE", 1, true },
	{ false, 40, CALLEE, NULL, "180 Ringing", "INVITE", 1, false },
	{ false, 100, CALLEE, NULL, "200 OK", "INVITE", 1, true },
	{ false, MEDIA_OFFSET_MS, CALLER, "ACK", NULL, "ACK", 1, false },
	{ true, 20, CALLER, "BYE", NULL, "BYE", 2, false },
	{ true, 30, CALLEE, NULL, "200 OK", "BYE", 2, false },
};
#define STEPS (sizeof steps / sizeof steps[0])

static _Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
static _Noreturn void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("generate: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(RC_FAILED);
}

/* ---- chance ------------------------------------------------------------------------------- */

/* splitmix64: one multiplication chain a word, good enough for noise. */
static uint64_t random_u64(struct generator *g)
{
	uint64_t z = g->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int64_t random_below(struct generator *g, int64_t limit)
{
	return limit <= 0 ? 0 : (int64_t)(random_u64(g) % (uint64_t)limit);
}

static bool random_chance(struct generator *g, double per_cent)
{
	return per_cent > 0 && (double)(random_u64(g) >> 11) * 0x1p-53 * 100 < per_cent;
}

/* ---- what comes next ---------------------------------------------------------------------- */

static bool event_before(const struct event *a, const struct event *b)
{
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns;
	/* A fixed order of ties keeps the file the same from run to run. */
	return a->line * ACTORS + a->actor < b->line * ACTORS + b->actor;
}

static void heap_add(struct generator *g, struct event e)
{
	uint32_t at = g->heap_count++;
	ASSERT(g->heap_count <= g->set.lines * ACTORS);
	while (at > 0 && event_before(&e, &g->heap[(at - 1) / 2])) {
		g->heap[at] = g->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	g->heap[at] = e;
}

/* Put `e` in the place of the earliest event, and let it sink to its own. */
static void heap_replace(struct generator *g, struct event e)
{
	uint32_t at = 0, child;
	while ((child = 2 * at + 1) < g->heap_count) {
		if (child + 1 < g->heap_count && event_before(&g->heap[child + 1], &g->heap[child]))
			child++;
		if (!event_before(&g->heap[child], &e))
			break;
		g->heap[at] = g->heap[child];
		at = child;
	}
	g->heap[at] = e;
}

static void heap_remove(struct generator *g)
{
	struct event last = g->heap[--g->heap_count];
	if (g->heap_count > 0)
		heap_replace(g, last);
}

/* ---- the file ----------------------------------------------------------------------------- */

static void file_put(struct generator *g, const void *bytes, size_t n)
{
	if (fwrite(bytes, 1, n, g->out) != n)
		die("%s: %s", g->set.output, strerror(errno));
	g->tally.bytes += n;
}

static void file_begin(struct generator *g)
{
	uint8_t head[24] = { 0 };
	g->out = fopen(g->set.output, "wb");
	if (!g->out)
		die("%s: %s", g->set.output, strerror(errno));
	setvbuf(g->out, NULL, _IOFBF, 4 << 20);
	put_u32_le(head, g->set.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
	put_u16_le(head + 4, 2);
	put_u16_le(head + 6, 4);
	put_u32_le(head + 16, 65535);
	put_u32_le(head + 20, 1); /* LINKTYPE_ETHERNET */
	file_put(g, head, sizeof head);
}

static void file_record(struct generator *g, int64_t at_ns, uint8_t *record, size_t frame_len)
{
	int64_t fraction = at_ns % NS_PER_S;
	put_u32_le(record, (uint32_t)(at_ns / NS_PER_S));
	put_u32_le(record + 4, (uint32_t)(g->set.nanoseconds ? fraction : fraction / NS_PER_US));
	put_u32_le(record + 8, (uint32_t)frame_len);
	put_u32_le(record + 12, (uint32_t)frame_len);
	file_put(g, record, RECORD_HEAD + frame_len);
	g->tally.packets++;
	g->tally.last_ns = at_ns;
}

static size_t put_outer(uint8_t *p, size_t frame_len);

/* `frame` has OUTER + RECORD_HEAD bytes of room before it. */
static void file_frame(struct generator *g, const struct line *l, int64_t at_ns, uint8_t *frame,
		       size_t frame_len)
{
	if (l->tunnelled) {
		frame -= OUTER;
		frame_len += put_outer(frame, frame_len);
	}
	file_record(g, at_ns, frame - RECORD_HEAD, frame_len);
}

/* ---- headers ------------------------------------------------------------------------------ */

/* Callers live in 10.0.0.0/10, callees in 10.64.0.0/10, scattered by an odd factor. */
static uint32_t line_address(uint32_t line, enum side side)
{
	uint32_t host = (line * 40503 + 257) & 0x3fffff;
	return 0x0a000000 | (uint32_t)side << 22 | host;
}

/* Ethernet and IPv4, before `len` bytes of `protocol`; gives where those begin. */
static uint8_t *put_ip_head(uint8_t *p, uint32_t src, uint32_t dst, uint8_t protocol, size_t len)
{
	static const uint8_t ethernet[14] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0 };
	uint32_t sum = 0;
	memcpy(p, ethernet, sizeof ethernet);
	uint8_t *ip = p + sizeof ethernet;
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[1] = 0xb8; /* DSCP EF */
	put_u16(ip + 2, (uint16_t)(20 + len));
	put_u16(ip + 6, 0x4000); /* don't fragment: then the identification may be 0, RFC 6864 */
	ip[8] = 64;
	ip[9] = protocol;
	put_u32(ip + 12, src);
	put_u32(ip + 16, dst);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put_u16(ip + 10, (uint16_t)~sum);
	return ip + 20;
}

static void put_udp_head(uint8_t *p, uint32_t src, uint16_t src_port, uint32_t dst,
			 uint16_t dst_port, size_t payload_len)
{
	uint8_t *udp = put_ip_head(p, src, dst, 17, 8 + payload_len);
	put_u16(udp, src_port);
	put_u16(udp + 2, dst_port);
	put_u16(udp + 4, (uint16_t)(8 + payload_len));
	put_u16(udp + 6, 0); /* checksum: none, RFC 768 */
}

static void put_tcp_head(uint8_t *p, uint32_t src, uint16_t src_port, uint32_t dst,
			 uint16_t dst_port, uint32_t sequence, uint32_t acknowledged,
			 size_t payload_len)
{
	uint8_t *tcp = put_ip_head(p, src, dst, 6, 20 + payload_len);
	memset(tcp, 0, 20);
	put_u16(tcp, src_port);
	put_u16(tcp + 2, dst_port);
	put_u32(tcp + 4, sequence);
	put_u32(tcp + 8, acknowledged);
	tcp[12] = 5 << 4;
	tcp[13] = TCP_ACK | TCP_PSH;
	put_u16(tcp + 14, 65535);
}

/* What a remote mirror session puts before a frame; gives its length. */
static size_t put_outer(uint8_t *p, size_t frame_len)
{
	uint8_t *vxlan = p + RTP_AT;
	put_udp_head(p, 0x0aff0001, 49152, 0x0aff0002, VXLAN_PORT, 8 + frame_len);
	memset(vxlan, 0, 8);
	vxlan[0] = 0x08; /* the VNI is valid */
	vxlan[6] = 77;
	return OUTER;
}

/* ---- signalling --------------------------------------------------------------------------- */

struct text {
	char *at, *end;
};

static void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->at, (size_t)(t->end - t->at), fmt, ap);
	va_end(ap);
	ASSERT(n >= 0 && n < t->end - t->at);
	t->at += n;
}

static const char *dotted(uint32_t a, char buf[16])
{
	snprintf(buf, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	return buf;
}

static void text_sdp(struct text *t, const char *host, uint16_t port, uint32_t ptime_ms)
{
	text_add(t,
		 "v=0\r\no=- %u 1 IN IP4 %s\r\ns=call\r\nc=IN IP4 %s\r\nt=0 0\r\n"
		 "m=audio %u RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:%u\r\na=sendrecv\r\n",
		 port, host, host, port, ptime_ms);
}

/* The message of line `no` at its step; returns its length. */
static size_t sip_write(const struct generator *g, uint32_t no, char *buf)
{
	const struct line *l = &g->lines[no];
	const struct step *s = &steps[l->step];
	uint32_t call = l->wave * g->set.lines + no;
	char host[2][16], body[512];
	struct text t = { buf, buf + SIP_MOST }, b = { body, body + sizeof body };
	dotted(line_address(no, CALLER), host[CALLER]);
	dotted(line_address(no, CALLEE), host[CALLEE]);

	if (s->request)
		text_add(&t, "%s sip:0049%09u@%s SIP/2.0\r\n", s->request, 500000000 + call,
			 host[CALLEE]);
	else
		text_add(&t, "SIP/2.0 %s\r\n", s->status);
	text_add(&t, "Via: SIP/2.0/%s %s:5060;branch=z9hG4bK%08x%s\r\n", l->tcp ? "TCP" : "UDP",
		 host[CALLER], call, s->method);
	if (s->request)
		text_add(&t, "Max-Forwards: 70\r\n");
	text_add(&t, "From: \"Line %u\" <sip:0030%09u@%s>;tag=a%08x\r\n", no, 100000000 + call,
		 host[CALLER], call);
	text_add(&t, "To: <sip:0049%09u@%s>", 500000000 + call, host[CALLEE]);
	if (l->step > 0)
		text_add(&t, ";tag=b%08x", call);
	text_add(&t, "\r\nCall-ID: %016" PRIx64 "-%08x@%s\r\nCSeq: %u %s\r\n",
		 g->set.seed * UINT64_C(0x9e3779b97f4a7c15) + call, call, host[CALLER], s->cseq,
		 s->method);
	text_add(&t, "Contact: <sip:%s:5060>\r\n", host[s->from]);
	if (s->sdp) {
		text_sdp(&b, host[s->from], l->port[s->from], g->set.ptime_ms);
		text_add(&t, "Content-Type: application/sdp\r\n");
	}
	text_add(&t, "Content-Length: %zu\r\n\r\n", (size_t)(b.at - body));
	text_add(&t, "%.*s", (int)(b.at - body), body);
	return (size_t)(t.at - buf);
}

static void sip_send(struct generator *g, uint32_t no, int64_t at_ns)
{
	char message[SIP_MOST];
	uint8_t record[RECORD_HEAD + OUTER + TCP_AT + SIP_MOST];
	uint8_t *frame = record + RECORD_HEAD + OUTER;
	struct line *l = &g->lines[no];
	enum side from = steps[l->step].from;
	enum side to = from == CALLER ? CALLEE : CALLER;
	size_t len = sip_write(g, no, message), head = l->tcp ? TCP_AT : RTP_AT;
	if (l->tcp) {
		put_tcp_head(frame, line_address(no, from), from == CALLER ? 40000 : 5060,
			     line_address(no, to), to == CALLER ? 40000 : 5060, l->sequence[from],
			     l->sequence[to], len);
		l->sequence[from] += (uint32_t)len;
	} else {
		put_udp_head(frame, line_address(no, from), 5060, line_address(no, to), 5060, len);
	}
	memcpy(frame + head, message, len);
	file_frame(g, l, at_ns, frame, head + len);
	g->tally.sip++;
	g->tally.sip_tcp += l->tcp;
}

/* ---- audio -------------------------------------------------------------------------------- */

static void voice_begin(struct generator *g, uint32_t no, enum side from)
{
	struct line *l = &g->lines[no];
	struct voice *v = &l->voice[from];
	enum side to = from == CALLER ? CALLEE : CALLER;
	memset(v, 0, sizeof *v);
	put_udp_head(v->head, line_address(no, from), l->port[from], line_address(no, to),
		     l->port[to], 12 + (size_t)g->set.ptime_ms * SAMPLES_PER_MS);
	v->head[RTP_AT] = 0x80;
	put_u32(v->head + RTP_AT + 8, (uint32_t)random_u64(g));
	v->sequence = (uint16_t)random_u64(g);
	v->timestamp = (uint32_t)random_u64(g);
	v->left = (uint32_t)(g->set.seconds * 1000 / g->set.ptime_ms);
	v->first = true;
}

static void rtp_send(struct generator *g, const struct line *l, struct voice *v, int64_t at_ns,
		     uint16_t sequence, uint32_t timestamp)
{
	uint8_t record[RECORD_HEAD + OUTER + PAYLOAD_AT + MAX_PTIME_MS * SAMPLES_PER_MS];
	size_t audio = (size_t)g->set.ptime_ms * SAMPLES_PER_MS;
	uint8_t *frame = record + RECORD_HEAD + OUTER, *payload = frame + PAYLOAD_AT;
	memcpy(frame, v->head, PAYLOAD_AT);
	frame[RTP_AT + 1] = v->first ? 0x80 : 0; /* marker: a talkspurt begins, RFC 3551, 4.1 */
	put_u16(frame + RTP_AT + 2, sequence);
	put_u32(frame + RTP_AT + 4, timestamp);
	for (size_t i = 0; i < audio; i += 8)
		put_u64_le(payload + i, random_u64(g));
	v->first = false;
	file_frame(g, l, at_ns, frame, PAYLOAD_AT + audio);
	g->tally.rtp++;
	g->tally.audio_bytes += audio;
}

/* The next packet of a voice: sent, lost, or held until later ones have overtaken it. */
static void voice_next(struct generator *g, const struct line *l, struct voice *v, int64_t at_ns)
{
	bool last = --v->left == 0;
	uint16_t sequence = v->sequence++;
	uint32_t timestamp = v->timestamp;
	v->timestamp += g->set.ptime_ms * SAMPLES_PER_MS;

	if (random_chance(g, g->set.loss)) {
		g->tally.lost++;
	} else if (v->held_for == 0 && !last && random_chance(g, g->set.reorder)) {
		v->held_sequence = sequence;
		v->held_timestamp = timestamp;
		v->held_for = 2 + (uint32_t)random_below(g, HELD_MOST);
		v->overtaken = false;
	} else {
		rtp_send(g, l, v, at_ns, sequence, timestamp);
		v->overtaken = true;
	}
	if (v->held_for > 0 && (--v->held_for == 0 || last)) {
		rtp_send(g, l, v, at_ns, v->held_sequence, v->held_timestamp);
		g->tally.reordered += v->overtaken;
		v->held_for = 0;
	}
}

/* ---- calls -------------------------------------------------------------------------------- */

/* Everything of one call but its INVITE's being sent: ports, voices, when it ends. */
static void call_begin(struct generator *g, uint32_t no, int64_t invite_ns)
{
	struct line *l = &g->lines[no];
	int64_t ptime_ns = (int64_t)g->set.ptime_ms * NS_PER_MS;
	int64_t media_ns = invite_ns + MEDIA_OFFSET_MS * NS_PER_MS;
	l->invite_ns = invite_ns;
	l->step = 0;
	for (enum side s = CALLER; s <= CALLEE; s++) {
		l->port[s] = (uint16_t)(16384 + 2 * ((no * 7919 + l->wave * 13 + s * 101) % 20000));
		l->media_end_ns = media_ns;
	}
	for (enum side s = CALLER; s <= CALLEE; s++) {
		voice_begin(g, no, s);
		l->media_end_ns = media_ns + (l->voice[s].left + 1) * ptime_ns;
		if (l->voice[s].left > 0)
			heap_add(g, (struct event){ media_ns + random_below(g, ptime_ns), no, s });
	}
	g->tally.calls++;
}

/* When line `no`'s next message is due; INT64_MAX when its calls are over. */
static int64_t signalling_next(struct generator *g, uint32_t no, int64_t now_ns)
{
	struct line *l = &g->lines[no];
	if (++l->step == STEPS) {
		if (++l->wave == g->set.waves)
			return INT64_MAX;
		call_begin(g, no, now_ns + NEXT_CALL_MS * NS_PER_MS);
		return l->invite_ns;
	}
	const struct step *s = &steps[l->step];
	return (s->after_media ? l->media_end_ns : l->invite_ns) + s->offset_ms * NS_PER_MS;
}

/* One frame, or what stands for it, of the actor whose turn it is. */
static void take_turn(struct generator *g)
{
	struct event e = g->heap[0];
	if (e.actor <= CALLEE) {
		struct voice *v = &g->lines[e.line].voice[e.actor];
		voice_next(g, &g->lines[e.line], v, e.at_ns);
		e.at_ns += (int64_t)g->set.ptime_ms * NS_PER_MS;
		if (v->left > 0)
			heap_replace(g, e);
		else
			heap_remove(g);
		return;
	}
	sip_send(g, e.line, e.at_ns);
	heap_remove(g); /* the next call's voices may be added before its INVITE is */
	e.at_ns = signalling_next(g, e.line, e.at_ns);
	if (e.at_ns < INT64_MAX)
		heap_add(g, e);
}

static void run(struct generator *g)
{
	int64_t ramp_ns = (int64_t)(g->set.ramp * (double)NS_PER_S);
	g->lines = calloc(g->set.lines, sizeof *g->lines);
	g->heap = calloc((size_t)g->set.lines * ACTORS, sizeof *g->heap);
	if (!g->lines || !g->heap)
		die("memory is short");
	g->random = g->set.seed;
	file_begin(g);
	for (uint32_t no = 0; no < g->set.lines; no++) {
		g->lines[no].tcp = random_chance(g, g->set.tcp);
		g->lines[no].tunnelled = random_chance(g, g->set.vxlan);
		call_begin(g, no, EPOCH_NS + random_below(g, ramp_ns));
		heap_add(g, (struct event){ g->lines[no].invite_ns, no, 2 });
	}
	while (g->heap_count > 0)
		take_turn(g);
	if (fclose(g->out) != 0)
		die("%s: %s", g->set.output, strerror(errno));
	free(g->heap);
	free(g->lines);
}

/* ---- options ------------------------------------------------------------------------------ */

static const struct option long_options[] = {
	{ "output", required_argument, NULL, 'o' },  { "calls", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 's' }, { "waves", required_argument, NULL, 'w' },
	{ "ramp", required_argument, NULL, 'r' },    { "ptime", required_argument, NULL, 'p' },
	{ "tcp", required_argument, NULL, 't' },     { "vxlan", required_argument, NULL, 'v' },
	{ "loss", required_argument, NULL, 'l' },    { "reorder", required_argument, NULL, 'R' },
	{ "seed", required_argument, NULL, 'S' },    { "nanoseconds", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: generate --output FILE [options]\n"
	"  --calls N        calls at once (default 200, at most 60000)\n"
	"  --waves N        calls one after the other on each line (1)\n"
	"  --seconds S      audio of each call (10; 0: signalling alone)\n"
	"  --tcp PERCENT    lines with their signalling on TCP (0)\n"
	"  --vxlan PERCENT  lines that are mirrored through VXLAN (0)\n"
	"  --ramp S         the first calls begin within this time (1)\n"
	"  --ptime MS       10 to 60 (20)\n"
	"  --loss PERCENT   packets that never come (0)\n"
	"  --reorder PERCENT  packets overtaken by up to 8 later ones (0)\n"
	"  --seed N         another seed, another file (1)\n"
	"  --nanoseconds    time stamps in nanoseconds (microseconds)\n";

static double number(const char *text, double least, double most)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end != '\0' || !(v >= least && v <= most)) {
		fprintf(stderr, "generate: '%s' is no number from %g to %g\n", text, least, most);
		exit(RC_USAGE);
	}
	return v;
}

static void read_options(struct settings *s, int argc, char **argv)
{
	int c;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'o': s->output = optarg; break;
		case 'c': s->lines = (uint32_t)number(optarg, 1, MAX_LINES); break;
		case 'w': s->waves = (uint32_t)number(optarg, 1, 1000); break;
		case 's': s->seconds = number(optarg, 0, 86400); break;
		case 't': s->tcp = number(optarg, 0, 100); break;
		case 'v': s->vxlan = number(optarg, 0, 100); break;
		case 'r': s->ramp = number(optarg, 0, 86400); break;
		case 'p': s->ptime_ms = (uint32_t)number(optarg, 10, MAX_PTIME_MS); break;
		case 'l': s->loss = number(optarg, 0, 99); break;
		case 'R': s->reorder = number(optarg, 0, 99); break;
		case 'S': s->seed = (uint64_t)number(optarg, 0, 1e15); break;
		case 'n': s->nanoseconds = true; break;
		case 'h': fputs(usage_text, stdout); exit(RC_OK);
		default: fputs(usage_text, stderr); exit(RC_USAGE);
		}
	}
	if (!s->output || optind < argc) {
		fputs(usage_text, stderr);
		exit(RC_USAGE);
	}
}

int main(int argc, char **argv)
{
	static struct generator g = { .set = { .lines = 200,
					       .waves = 1,
					       .seconds = 10,
					       .ramp = 1,
					       .ptime_ms = 20,
					       .seed = 1 } };
	read_options(&g.set, argc, argv);
	run(&g);
	const struct tally *t = &g.tally;
	printf("{\"packets\": %" PRIu64 ", \"rtp_packets\": %" PRIu64 ", \"sip_packets\": %" PRIu64
	       ", \"sip_tcp_packets\": %" PRIu64 ", \"audio_bytes\": %" PRIu64
	       ", \"calls\": %" PRIu64 ", \"streams\": %" PRIu64 ", \"calls_at_once\": %" PRIu32
	       ", \"lost\": %" PRIu64 ", \"reordered\": %" PRIu64
	       ", \"capture_seconds\": %.3f, \"file_bytes\": %" PRIu64 "}\n",
	       t->packets, t->rtp, t->sip, t->sip_tcp, t->audio_bytes, t->calls, 2 * t->calls,
	       g.set.lines, t->lost, t->reordered,
	       (double)(t->last_ns - EPOCH_NS) / (double)NS_PER_S, t->bytes);
	return RC_OK;
}
