/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_fingerprint.c: what was recorded of each stream, as a hash: to be compared with another capture of the same call.
 *
 * SHA-1 of the payloads of the stream's most frequent payload type, each sequence number once and in order, without what
 * came after the call's end.  It opens audio (a hash of silence, or of a known sentence, tells what was said), so it takes the
 * same way as replay and leaves the same audit entries.
 */
#include <stdlib.h>
#include <string.h>

#include "rtp/rtp.h"
#include "vault/opening.h"

struct run_piece {
	uint64_t sequence;
	uint8_t *payload; /* owned */
	uint32_t len;
	uint8_t type;
};

struct print {
	struct stream_record stream;
	struct run_piece *pieces; /* owned */
	size_t count, room;
};

struct prints {
	struct print *at; /* owned */
	size_t count;
};

static struct print *print_of(struct prints *p, const struct stream_record *s)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->at[i].stream.stream == s->stream)
			return &p->at[i];
	}
	p->at = reallocarray(p->at, p->count + 1, sizeof *p->at);
	ASSERT(p->at);
	p->at[p->count] = (struct print){ .stream = *s };
	return &p->at[p->count++];
}

static void keep(struct print *p, const struct rtp_frame *f)
{
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 256;
		p->pieces = reallocarray(p->pieces, p->room, sizeof *p->pieces);
		ASSERT(p->pieces);
	}
	struct run_piece *x = &p->pieces[p->count++];
	x->sequence = f->sequence;
	x->len = f->payload_len;
	x->type = f->payload_type;
	x->payload = malloc(x->len + 1);
	ASSERT(x->payload);
	memcpy(x->payload, f->payload, x->len);
}

static enum rc take_chunk(void *ctx, const struct stream_record *s, int64_t until_us,
			  const uint8_t *body, size_t len, struct error *err)
{
	struct print *p = print_of(ctx, s);
	struct chunk_reader reader;
	struct rtp_frame f;
	enum rc rc = RC_DAMAGED;
	(void)err; /* the caller names what is damaged */
	if (!chunk_reader_init(&reader, body, len))
		return RC_DAMAGED;
	while ((rc = chunk_reader_next(&reader, &f)) == RC_OK) {
		if (!until_us || f.arrival_us <= until_us)
			keep(p, &f);
	}
	return rc == RC_END ? RC_OK : rc;
}

static int by_sequence(const void *a, const void *b)
{
	const struct run_piece *x = a, *y = b;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static uint8_t usual_type(const struct print *p)
{
	size_t seen[128] = { 0 };
	uint8_t usual = 0;
	for (size_t i = 0; i < p->count; i++) {
		if (++seen[p->pieces[i].type] > seen[usual])
			usual = p->pieces[i].type;
	}
	return usual;
}

/* Put the pieces together; gives the number of packets. */
static size_t hash(struct print *p, uint8_t type, char hex[41])
{
	size_t len = 0, packets = 0;
	uint8_t digest[20];
	qsort(p->pieces, p->count, sizeof *p->pieces, by_sequence);
	for (size_t i = 0; i < p->count; i++)
		len += p->pieces[i].len;
	uint8_t *all = malloc(len + 1), *at = all;
	ASSERT(all);
	for (size_t i = 0; i < p->count; i++) {
		const struct run_piece *x = &p->pieces[i];
		if (x->type != type || (i > 0 && x[-1].sequence == x->sequence))
			continue;
		memcpy(at, x->payload, x->len);
		at += x->len;
		packets++;
	}
	digest_sha1(digest, all, (size_t)(at - all));
	keys_hex(hex, digest, sizeof digest);
	forget_bytes(all, len);
	free(all);
	return packets;
}

static json_t *to_json(struct print *p)
{
	const struct stream_record *s = &p->stream;
	char hex[41], ssrc[16], src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT];
	uint8_t type = usual_type(p);
	size_t packets = hash(p, type, hex);
	snprintf(ssrc, sizeof ssrc, "0x%08x", s->ssrc);
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:s}", "track",
			 track_name((enum track)s->track), "ssrc", ssrc, "src",
			 endpoint_text(&s->src, src), "dst", endpoint_text(&s->dst, dst),
			 "payload_type", (int)type, "packets", (json_int_t)packets, "payload_sha1",
			 hex);
}

static enum rc reply(void *ctx, const struct opened *x, struct error *err)
{
	struct prints *p = ctx;
	json_t *streams = json_array();
	ASSERT(streams);
	vault_step_out(x->q->v);
	for (size_t i = 0; i < p->count; i++) {
		json_t *one = to_json(&p->at[i]);
		ASSERT(one && json_array_append_new(streams, one) == 0);
	}
	vault_step_in(x->q->v);
	enum rc rc = opening_check(x, err);
	if (rc == RC_OK)
		rc = opening_audit(x, "done", NULL, err);
	if (rc == RC_OK)
		requests_reply(x->q, json_pack("{s:o}", "streams", json_incref(streams)));
	json_decref(streams);
	return rc;
}

static void prints_free(struct prints *p)
{
	for (size_t i = 0; i < p->count; i++) {
		for (size_t k = 0; k < p->at[i].count; k++) {
			forget_bytes(p->at[i].pieces[k].payload, p->at[i].pieces[k].len);
			free(p->at[i].pieces[k].payload);
		}
		free(p->at[i].pieces);
	}
	free(p->at);
}

enum rc req_fingerprint_check(const struct request *q, struct error *err)
{
	struct opening o;
	return opening_read(q, "fingerprint", false, &o, err);
}

enum rc req_fingerprint(const struct request *q, struct error *err)
{
	struct opening o;
	struct prints p = { 0 };
	const struct opening_use use = { .ctx = &p, .chunk = take_chunk, .finish = reply };
	enum rc rc = opening_read(q, "fingerprint", false, &o, err);
	if (rc == RC_OK)
		rc = opening_run(q, &o, NULL, &use, err);
	prints_free(&p);
	return rc;
}
