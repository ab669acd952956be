/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_digits.c: which keys were pressed in a call, where the policy has kept them.
 *
 * From the telephone-event packets among the chunks (RFC 4733), each with its time, and from the call record what was sent in
 * signalling.  Keys pressed are card numbers and PINs as often as not, so this is an opening: the same rights, purpose and
 * audit entries as a hearing.
 *
 *   payload:  event | E R volume | duration (16 bits, timestamp units); several packets an event, all with its timestamp
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "rtp/rtp.h"
#include "vault/opening.h"

#define EVENT_BYTES 4
#define FRAME_MOST  128 /* bytes of a packet that may be an event: encrypted, with an extension */
#define USUAL_RATE  8000
#define LOOK_BACK   8

static const char keys[] = "0123456789*#ABCD";

/* A packet that may be an event, kept until the media keys are known. */
struct kept {
	size_t voice; /* index of its stream */
	struct rtp_frame frame;
	uint8_t bytes[FRAME_MOST];
};

struct voice {
	struct stream_record r;
	struct unprotect *unprotect; /* owned; NULL: not encrypted */
};

struct press {
	size_t voice;
	int64_t time_us;
	uint32_t timestamp, duration;
	uint8_t event, track;
};

struct pressing {
	struct voice *voices; /* owned */
	size_t voices_count;
	struct kept *kept; /* owned */
	size_t kept_count;
	struct press *presses; /* owned */
	size_t presses_count;
};

/* Room for one more in an array of `count`, which grows by doubling from a power of two. */
static void *grown(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	void *larger = reallocarray(array, count ? 2 * count : 1, size);
	ASSERT(larger);
	return larger;
}

/* ---- from chunks to candidates ---------------------------------------------------------------------------------- */

static size_t voice_of(struct pressing *p, const struct stream_record *s)
{
	for (size_t i = 0; i < p->voices_count; i++) {
		if (p->voices[i].r.stream == s->stream)
			return i;
	}
	p->voices = grown(p->voices, p->voices_count, sizeof *p->voices);
	p->voices[p->voices_count] = (struct voice){ .r = *s };
	return p->voices_count++;
}

static void keep(struct pressing *p, const struct stream_record *s, const struct rtp_frame *f)
{
	uint32_t stored = f->extra_len + f->payload_len + f->padding_len;
	bool audio = s->payload_types_count > 0 && s->payload_types[0] == f->payload_type;
	if (audio || stored > FRAME_MOST || f->payload_len < EVENT_BYTES || s->foreign)
		return;
	p->kept = grown(p->kept, p->kept_count, sizeof *p->kept);
	struct kept *k = &p->kept[p->kept_count++];
	k->voice = voice_of(p, s);
	k->frame = *f;
	memcpy(k->bytes, f->payload - f->extra_len, stored);
}

static enum rc take_chunk(void *ctx, const struct stream_record *s, int64_t until_us,
			  const uint8_t *body, size_t len, struct error *err)
{
	struct chunk_reader reader;
	struct rtp_frame f;
	enum rc rc;
	(void)err; /* the caller names what is damaged */
	if (!s->events)
		return RC_OK;
	if (!chunk_reader_init(&reader, body, len))
		return RC_DAMAGED;
	while ((rc = chunk_reader_next(&reader, &f)) == RC_OK) {
		if (!until_us || f.arrival_us <= until_us)
			keep(ctx, s, &f);
	}
	return rc == RC_END ? RC_OK : rc;
}

/* ---- from candidates to presses ----------------------------------------------------------------------------------- */

static void add_event(struct pressing *p, const struct kept *k, const uint8_t *payload,
		      uint32_t timestamp)
{
	struct bytes b = bytes_over(payload, EVENT_BYTES);
	uint8_t event = bytes_u8(&b);
	(void)bytes_u8(&b);
	uint32_t duration = bytes_u16(&b);
	if (event >= sizeof keys - 1)
		return;
	for (size_t i = p->presses_count, n = 0; i-- > 0 && n < LOOK_BACK; n++) {
		struct press *x = &p->presses[i];
		if (x->voice != k->voice || x->timestamp != timestamp)
			continue;
		x->duration = x->duration > duration ? x->duration : duration;
		return;
	}
	p->presses = grown(p->presses, p->presses_count, sizeof *p->presses);
	p->presses[p->presses_count++] = (struct press){ .voice = k->voice,
							 .time_us = k->frame.arrival_us,
							 .timestamp = timestamp,
							 .duration = duration,
							 .event = event,
							 .track = p->voices[k->voice].r.track };
}

static void read_protected(struct pressing *p, struct kept *k, struct voice *v)
{
	static uint8_t plain[RTP_PACKET_MAX]; /* one thread uses a vault */
	struct rtp_header h;
	uint32_t len;
	if (audio_unprotect(v->unprotect, &k->frame, plain, &len) == UNPROTECT_OK &&
	    rtp_parse(&h, plain, len, len) && h.payload_len == EVENT_BYTES)
		add_event(p, k, h.payload, h.timestamp);
	forget_bytes(plain, sizeof plain);
}

static void read_kept(struct pressing *p, const struct call_record *r)
{
	for (size_t i = 0; i < p->kept_count; i++) {
		struct kept *k = &p->kept[i];
		struct voice *v = &p->voices[k->voice];
		k->frame.extra = k->bytes;
		k->frame.payload = k->bytes + k->frame.extra_len;
		if (v->r.protection == PROTECTION_NONE) {
			if (k->frame.payload_len == EVENT_BYTES)
				add_event(p, k, k->frame.payload, k->frame.timestamp);
			continue;
		}
		if (!v->unprotect)
			v->unprotect = audio_unprotect_new(&v->r, r->sdes, r->sdes_count);
		if (v->unprotect)
			read_protected(p, k, v);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct press *x = a, *y = b;
	return x->time_us < y->time_us ? -1 : x->time_us > y->time_us;
}

/* ---- the reply ------------------------------------------------------------------------------------------------------ */

static json_t *press_json(const struct pressing *p, const struct press *x)
{
	const char digit[2] = { keys[x->event], '\0' };
	uint32_t rate = p->voices[x->voice].r.clock_rate;
	json_t *o = json_object();
	json_object_set_new(o, "time", call_json_time(x->time_us));
	json_object_set_new(o, "digit", json_string(digit));
	json_object_set_new(o, "duration_ms",
			    json_integer((json_int_t)((uint64_t)x->duration * 1000 /
						      (rate ? rate : USUAL_RATE))));
	return o;
}

static json_t *entry(unsigned track, const char *from, json_t *digits, json_t *presses)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "track", track_name((enum track)track),
			      "from", from, "digits", digits, "presses", presses);
	ASSERT(o);
	return o;
}

static void media_digits(const struct pressing *p, unsigned track, json_t *to)
{
	char *text = calloc(p->presses_count + 1, 1);
	json_t *presses = json_array();
	size_t n = 0;
	ASSERT(text);
	for (size_t i = 0; i < p->presses_count; i++) {
		if (p->presses[i].track != track)
			continue;
		text[n++] = keys[p->presses[i].event];
		json_array_append_new(presses, press_json(p, &p->presses[i]));
	}
	if (n)
		json_array_append_new(to, entry(track, "media", json_string(text), presses));
	else
		json_decref(presses);
	forget_bytes(text, n);
	free(text);
}

static enum rc reply(void *ctx, const struct opened *x, struct error *err)
{
	struct pressing *p = ctx;
	const struct call_record *r = &x->call->r;
	json_t *digits = json_array();
	read_kept(p, r);
	if (p->presses_count)
		qsort(p->presses, p->presses_count, sizeof *p->presses, by_time);
	for (unsigned track = 0; track < 2; track++) {
		media_digits(p, track, digits);
		if (r->digits[track][0])
			json_array_append_new(digits, entry(track, "signalling",
							    call_json_text(r->digits[track]),
							    json_array()));
	}
	enum rc rc = opening_audit(x, "done", NULL, err);
	if (rc == RC_OK)
		requests_reply(x->q, json_pack("{s:o}", "digits", json_incref(digits)));
	json_decref(digits);
	return rc;
}

static void pressing_free(struct pressing *p)
{
	for (size_t i = 0; i < p->voices_count; i++)
		audio_unprotect_free(p->voices[i].unprotect);
	if (p->kept)
		forget_bytes(p->kept, p->kept_count * sizeof *p->kept);
	if (p->presses)
		forget_bytes(p->presses, p->presses_count * sizeof *p->presses);
	free(p->voices);
	free(p->kept);
	free(p->presses);
}

enum rc req_digits_check(const struct request *q, struct error *err)
{
	struct opening o;
	return opening_read(q, "digits", false, &o, err);
}

enum rc req_digits(const struct request *q, struct error *err)
{
	struct opening o;
	struct pressing p = { 0 };
	const struct opening_use use = { .ctx = &p, .chunk = take_chunk, .finish = reply };
	enum rc rc = opening_read(q, "digits", false, &o, err);
	if (rc == RC_OK)
		rc = opening_run(q, &o, NULL, &use, err);
	pressing_free(&p);
	return rc;
}
