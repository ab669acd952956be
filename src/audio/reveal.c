/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reveal.c: what a stream's frames say: decrypted where they must be, each with its decoder and length.
 *
 * Runs in the vault, at render.  Frames are decrypted in order of arrival.  A stream that is protected and has no key
 * that fits is not heard: its ciphertext would be noise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/timeline.h"

#define EVENT_BYTES 4 /* of a telephone-event (RFC 4733, 2.3) */

void reveal_forget(struct stream *s)
{
	for (int i = 0; i < PAYLOAD_TYPES; i++) {
		struct decoder *d = s->decoders[i];
		if (d && d->state)
			d->codec->ops->close(d->state);
		if (d)
			repeat_free(d->repeat);
		free(d);
		s->decoders[i] = NULL;
	}
	if (s->plain)
		explicit_bzero(s->plain, s->plain_len);
	free(s->plain);
	s->plain = NULL;
	s->plain_len = 0;
}

static bool wanted(const struct stream *s, const struct kept *k)
{
	return !s->muted && (s->until_us == 0 || k->frame.arrival_us <= s->until_us);
}

/* ---- decryption -------------------------------------------------------------------------------------- */

static int by_arrival(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	if (x->frame.arrival_us != y->frame.arrival_us)
		return x->frame.arrival_us < y->frame.arrival_us ? -1 : 1;
	return x->frame.sequence < y->frame.sequence ? -1 : x->frame.sequence > y->frame.sequence;
}

/* Where the plain packet's payload is now; NULL: it is not one. */
static bool take_plain(struct stream *s, struct kept *k, const uint8_t *packet, uint32_t len)
{
	struct rtp_header h;
	if (!rtp_parse(&h, packet, len, len))
		return false;
	ASSERT(s->plain_len + h.payload_len <= s->stored_bytes);
	k->payload = memcpy(s->plain + s->plain_len, h.payload, h.payload_len);
	k->payload_len = h.payload_len;
	s->plain_len += h.payload_len;
	return true;
}

static bool decrypt(const struct timeline *t, struct stream *s, struct audio_summary *out)
{
	struct unprotect *u = audio_unprotect_new(&s->record, t->keys, t->keys_count);
	uint8_t *packet = malloc(RTP_PACKET_MAX);
	s->plain = malloc(s->stored_bytes + 1);
	bool ok = u && packet && s->plain;
	uint64_t good = 0, bad = 0;
	if (ok)
		qsort(s->kept, s->kept_count, sizeof *s->kept, by_arrival);
	for (size_t i = 0; ok && i < s->kept_count; i++) {
		struct kept *k = &s->kept[i];
		uint32_t len;
		if (!wanted(s, k))
			continue;
		enum unprotect_verdict v = audio_unprotect(u, &k->frame, packet, &len);
		bool plain = v == UNPROTECT_OK && take_plain(s, k, packet, len);
		good += plain;
		bad += v == UNPROTECT_FAILED || (v == UNPROTECT_OK && !plain);
	}
	out->decrypted[s->record.track] += good;
	out->unauthentic[s->record.track] += bad;
	out->undecrypted_streams += ok && good == 0 && bad > 0;
	if (packet)
		explicit_bzero(packet, RTP_PACKET_MAX);
	free(packet);
	audio_unprotect_free(u);
	return ok;
}

/* ---- decoders ---------------------------------------------------------------------------------------- */

/* A key press that was kept, of a payload type that the record does not explain. */
static bool is_event(const struct stream *s, const struct kept *k, const struct codec *c)
{
	return !c || (!c->ops && c->name[0] == '\0' && s->record.events > 0 &&
		      k->payload_len == EVENT_BYTES);
}

/* False: memory is short. */
static bool find_decoder(struct stream *s, struct kept *k)
{
	uint8_t type = k->frame.payload_type & (PAYLOAD_TYPES - 1);
	const struct codec *c = codec_of(&s->record, type);
	if (is_event(s, k, c))
		return true;
	if (!s->decoders[type]) {
		struct decoder *d = calloc(1, sizeof *d);
		if (!d)
			return false;
		d->codec = c;
		d->payload_type = type;
		d->format = codec_format_of(c, &s->record, type);
		s->decoders[type] = d;
	}
	k->decoder = s->decoders[type];
	if (c->ops && c->ops->look)
		c->ops->look(&k->decoder->format, k->payload, k->payload_len);
	return true;
}

void reveal_measure(struct kept *k)
{
	const struct decoder *d = k->decoder;
	size_t samples = 0;
	if (d && d->codec->ops && k->payload_len > 0)
		samples = d->codec->ops->measure(&d->format, k->payload, k->payload_len);
	ASSERT(samples <= CODEC_SAMPLES_MAX);
	k->samples = (uint32_t)samples;
}

bool reveal_stream(struct timeline *t, struct stream *s, struct audio_summary *out)
{
	bool protected = s->record.protection != PROTECTION_NONE;
	for (size_t i = 0; i < s->kept_count; i++) {
		struct kept *k = &s->kept[i];
		k->payload = protected || !wanted(s, k) ? NULL : k->frame.payload;
		k->payload_len = k->payload ? k->frame.payload_len : 0;
		k->decoder = NULL;
	}
	if (protected && !decrypt(t, s, out))
		return false;
	for (size_t i = 0; i < s->kept_count; i++)
		if (s->kept[i].payload && !find_decoder(s, &s->kept[i]))
			return false;
	for (size_t i = 0; i < s->kept_count; i++)
		reveal_measure(&s->kept[i]);
	return true;
}
