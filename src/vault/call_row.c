/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* call_row.c: a call <-> its row in the index (CallRow of index.proto).
 *
 * The plain part is what lists, filters and timers need.  Who spoke stands in the sealed part, under
 *
 *     row key = HMAC-SHA256(the call's metadata key, "index row")
 *
 * with a random nonce; so it opens only through the call's slot, and dies with it.  A row whose sealed part
 * was not opened keeps it as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/index.pb-c.h"
#include "vault/parts.h"

typedef Callspan__Index__CallRow row_message;
typedef Callspan__Index__StreamRow stream_message;
typedef Callspan__Index__StreamAddresses address_message;
typedef Callspan__Index__SealedCall sealed_message;
typedef Callspan__Index__HoldTime hold_message;

#define HOLDS                                                                                      \
	(sizeof(((struct call_record *)0)->holds) / sizeof(((struct call_record *)0)->holds[0]))
#define ENDPOINT_BYTES 18
#define GCM_TAG        16

struct call *call_row_new(const struct uuid *id)
{
	struct call *c = calloc(1, sizeof *c);
	ASSERT(c);
	c->r.id = *id;
	c->attested = true;
	return c;
}

void call_row_free(struct call *c)
{
	if (!c)
		return;
	free(c->streams);
	free(c->sealed);
	forget_bytes(&c->r, sizeof c->r); /* media keys and digits, once it was opened */
	free(c);
}

struct stream_record *call_row_stream(struct call *c, uint16_t number)
{
	for (size_t i = 0; i < c->streams_count; i++) {
		if (c->streams[i].stream == number)
			return &c->streams[i];
	}
	struct stream_record *more =
		realloc(c->streams, (c->streams_count + 1) * sizeof *c->streams);
	ASSERT(more);
	c->streams = more;
	struct stream_record *s = &more[c->streams_count++];
	memset(s, 0, sizeof *s);
	s->stream = number;
	return s;
}

/* ---- the sealed part --------------------------------------------------------------------------- */

static void row_key(uint8_t key[32], const struct call_keys *keys)
{
	static const char label[] = "index row";
	hmac_sha256(key, keys->metadata, label, sizeof label - 1);
}

static void endpoint_out(uint8_t out[ENDPOINT_BYTES], const struct endpoint *e)
{
	memcpy(out, e->addr, 16);
	put_u16(out + 16, e->port);
}

static void endpoint_in(struct endpoint *e, const ProtobufCBinaryData *in)
{
	struct bytes b = bytes_over(in->data, in->len);
	const uint8_t *addr = bytes_take(&b, 16);
	uint16_t port = bytes_u16(&b);
	if (!b.failed)
		endpoint_set_v6(e, addr, port);
}

struct addresses {
	address_message m;
	uint8_t src[ENDPOINT_BYTES], dst[ENDPOINT_BYTES];
};

static uint8_t *sealed_pack(struct call *c, size_t *len)
{
	sealed_message m;
	callspan__index__sealed_call__init(&m);
	m.sip_call_id = c->r.sip_call_id;
	m.from = c->r.from;
	m.to = c->r.to;
	m.from_name = c->r.from_name;
	m.to_name = c->r.to_name;
	m.from_uri = c->r.from_uri;
	m.to_uri = c->r.to_uri;
	m.diverted_from = c->r.diverted_from;
	m.referred_by = c->r.referred_by;
	struct addresses *a = calloc(c->streams_count + 1, sizeof *a);
	address_message **pointers = calloc(c->streams_count + 1, sizeof(address_message *));
	ASSERT(a && pointers);
	for (size_t i = 0; i < c->streams_count; i++) {
		callspan__index__stream_addresses__init(&a[i].m);
		a[i].m.number = c->streams[i].stream;
		endpoint_out(a[i].src, &c->streams[i].src);
		endpoint_out(a[i].dst, &c->streams[i].dst);
		a[i].m.src = (ProtobufCBinaryData){ ENDPOINT_BYTES, a[i].src };
		a[i].m.dst = (ProtobufCBinaryData){ ENDPOINT_BYTES, a[i].dst };
		pointers[i] = &a[i].m;
	}
	m.streams = pointers;
	m.n_streams = c->streams_count;
	*len = callspan__index__sealed_call__get_packed_size(&m);
	uint8_t *bytes = malloc(*len + 1);
	ASSERT(bytes);
	callspan__index__sealed_call__pack(&m, bytes);
	free(a);
	free(pointers);
	return bytes;
}

static void seal(struct call *c, const struct call_keys *keys)
{
	uint8_t key[32];
	size_t len;
	uint8_t *clear = sealed_pack(c, &len);
	free(c->sealed);
	c->sealed_len = len + GCM_TAG;
	c->sealed = malloc(c->sealed_len);
	ASSERT(c->sealed);
	row_key(key, keys);
	random_bytes(c->nonce, sizeof c->nonce);
	gcm_seal(c->sealed, clear, len, key, c->nonce, c->r.id.b, sizeof c->r.id.b);
	forget_bytes(key, sizeof key);
	forget_bytes(clear, len);
	free(clear);
	c->stale = false;
}

static void take_text(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from);
}

static void sealed_unpack(struct call *c, const sealed_message *m)
{
	take_text(c->r.sip_call_id, sizeof c->r.sip_call_id, m->sip_call_id);
	take_text(c->r.from, sizeof c->r.from, m->from);
	take_text(c->r.to, sizeof c->r.to, m->to);
	take_text(c->r.from_name, sizeof c->r.from_name, m->from_name);
	take_text(c->r.to_name, sizeof c->r.to_name, m->to_name);
	take_text(c->r.from_uri, sizeof c->r.from_uri, m->from_uri);
	take_text(c->r.to_uri, sizeof c->r.to_uri, m->to_uri);
	take_text(c->r.diverted_from, sizeof c->r.diverted_from, m->diverted_from);
	take_text(c->r.referred_by, sizeof c->r.referred_by, m->referred_by);
	for (size_t i = 0; i < m->n_streams; i++) {
		struct stream_record *s = call_row_stream(c, (uint16_t)m->streams[i]->number);
		endpoint_in(&s->src, &m->streams[i]->src);
		endpoint_in(&s->dst, &m->streams[i]->dst);
	}
}

bool call_row_open(struct call *c, const struct call_keys *keys)
{
	if (c->opened)
		return true;
	if (!c->sealed || c->sealed_len < GCM_TAG || !keys->has_metadata)
		return false;
	uint8_t key[32];
	size_t len = c->sealed_len - GCM_TAG;
	uint8_t *clear = malloc(len + 1);
	ASSERT(clear);
	row_key(key, keys);
	bool good = gcm_open(clear, c->sealed, c->sealed_len, key, c->nonce, c->r.id.b,
			     sizeof c->r.id.b);
	sealed_message *m = good ? callspan__index__sealed_call__unpack(NULL, len, clear) : NULL;
	if (m)
		sealed_unpack(c, m);
	c->opened = m != NULL;
	callspan__index__sealed_call__free_unpacked(m, NULL);
	forget_bytes(key, sizeof key);
	forget_bytes(clear, len);
	free(clear);
	return c->opened;
}

/* ---- streams, both ways ------------------------------------------------------------------------ */

struct stream_out {
	stream_message m;
	uint32_t types[8];
};

static void stream_pack(struct stream_out *o, struct stream_record *s)
{
	callspan__index__stream_row__init(&o->m);
	for (uint32_t i = 0; i < s->payload_types_count && i < 8; i++)
		o->types[i] = s->payload_types[i];
	o->m.number = s->stream;
	o->m.track = s->track;
	o->m.foreign = s->foreign != 0;
	o->m.ssrc = s->ssrc;
	o->m.codec = s->codec;
	o->m.fmtp = s->fmtp;
	o->m.payload_types = o->types;
	o->m.n_payload_types = s->payload_types_count < 8 ? s->payload_types_count : 8;
	o->m.clock_rate = s->clock_rate;
	o->m.channels = s->channels;
	o->m.ptime_ms = s->ptime_ms;
	o->m.packets = s->packets;
	o->m.bytes = s->bytes;
	o->m.lost = s->lost;
	o->m.late = s->late;
	o->m.duplicates = s->duplicates;
	o->m.reordered = s->reordered;
	o->m.events = s->events;
	o->m.cut = s->cut;
	o->m.dropped = s->dropped;
	o->m.truncated = s->truncated;
	o->m.jitter_ms = s->jitter_ms;
	o->m.start_us = s->start_us;
	o->m.end_us = s->end_us;
	o->m.until_us = s->until_us;
	o->m.complete = s->complete;
	o->m.protection = s->protection;
	o->m.relay_copies = s->relay_copies;
	o->m.noise = s->noise;
	o->m.loss_runs = s->loss_runs;
	o->m.loss_longest = s->loss_longest;
	o->m.sender_packets = s->sender_packets;
	o->m.reports = s->reports;
	o->m.remote_lost = s->remote_lost;
	o->m.remote_jitter_ms = s->remote_jitter_ms;
}

static void stream_unpack(struct stream_record *s, const stream_message *m)
{
	s->track = (uint8_t)m->track;
	s->foreign = m->foreign ? 1 : 0;
	s->ssrc = m->ssrc;
	take_text(s->codec, sizeof s->codec, m->codec);
	take_text(s->fmtp, sizeof s->fmtp, m->fmtp);
	for (size_t i = 0; i < m->n_payload_types && i < 8; i++)
		s->payload_types[s->payload_types_count++] = (uint8_t)m->payload_types[i];
	s->clock_rate = m->clock_rate;
	s->channels = m->channels;
	s->ptime_ms = m->ptime_ms;
	s->packets = m->packets;
	s->bytes = m->bytes;
	s->lost = m->lost;
	s->late = m->late;
	s->duplicates = m->duplicates;
	s->reordered = m->reordered;
	s->events = m->events;
	s->cut = m->cut;
	s->dropped = m->dropped;
	s->truncated = m->truncated;
	s->jitter_ms = m->jitter_ms;
	s->start_us = m->start_us;
	s->end_us = m->end_us;
	s->until_us = m->until_us;
	s->complete = m->complete;
	s->protection = m->protection < PROTECTIONS ? (uint8_t)m->protection : PROTECTION_NO_KEY;
	s->relay_copies = m->relay_copies;
	s->noise = m->noise;
	s->loss_runs = m->loss_runs;
	s->loss_longest = m->loss_longest;
	s->sender_packets = m->sender_packets;
	s->reports = m->reports;
	s->remote_lost = m->remote_lost;
	s->remote_jitter_ms = m->remote_jitter_ms;
}

/* ---- the row, both ways ------------------------------------------------------------------------ */

/* Everything a row message points at. */
struct row_out {
	row_message m;
	char *coverage[COVERAGE_MAX];
	hold_message holds[HOLDS], *hold_pointers[HOLDS];
	ProtobufCBinaryData parties[CALL_PARTIES];
	struct stream_out *streams;
	stream_message **stream_pointers;
};

static void row_record(row_message *m, struct call_record *r)
{
	m->id = (ProtobufCBinaryData){ 16, r->id.b };
	m->conversation = (ProtobufCBinaryData){ 16, r->conversation.b };
	m->state = r->state;
	m->outcome = r->outcome;
	m->ended_by = r->ended_by;
	m->direction = r->direction;
	m->sip_status = r->sip_status;
	m->start_us = r->start_us;
	m->ring_us = r->ring_us;
	m->answer_us = r->answer_us;
	m->end_us = r->end_us;
	m->until_us = r->until_us;
	m->dtmf_count = r->dtmf_count;
	m->policy = r->policy;
	m->recorder = r->recorder;
	m->imported = r->imported;
	m->imported_us = r->imported_us;
	m->retain_from_call = r->retain_from_call;
	m->other_media = r->other_media;
}

static void row_vault(row_message *m, struct call *c)
{
	m->segment = c->segment;
	m->slot = c->slot;
	m->retention_class = c->class;
	m->expiry_us = c->expiry_us;
	m->attested = c->attested;
	m->recorder_stopped = c->recorder_stopped;
	m->records = c->records;
	m->chunks = c->chunks;
	m->messages = c->messages;
	m->first_offset = c->first_offset;
	m->last_offset = c->last_offset;
	m->stored_bytes = c->stored_bytes;
	m->digest = (ProtobufCBinaryData){ sizeof c->digest, c->digest };
	if (c->sealed) {
		m->nonce = (ProtobufCBinaryData){ sizeof c->nonce, c->nonce };
		m->sealed = (ProtobufCBinaryData){ c->sealed_len, c->sealed };
	}
}

static void row_lists(struct row_out *o, struct call *c)
{
	for (uint32_t i = 0; i < c->r.coverage_count && i < COVERAGE_MAX; i++) {
		o->coverage[i] = c->r.coverage[i];
		o->m.n_coverage++;
	}
	o->m.coverage = o->coverage;
	for (uint32_t i = 0; i < c->r.holds_count && i < HOLDS; i++) {
		callspan__index__hold_time__init(&o->holds[i]);
		o->holds[i].from_us = c->r.holds[i].from_us;
		o->holds[i].to_us = c->r.holds[i].to_us;
		o->hold_pointers[i] = &o->holds[i];
		o->m.n_hold_times++;
	}
	o->m.hold_times = o->hold_pointers;
	for (unsigned i = 0; i < c->parties_count; i++)
		o->parties[i] = (ProtobufCBinaryData){ PARTY_KEY, c->parties[i] };
	o->m.party_keys = o->parties;
	o->m.n_party_keys = c->parties_count;
	o->streams = calloc(c->streams_count + 1, sizeof *o->streams);
	o->stream_pointers = calloc(c->streams_count + 1, sizeof(stream_message *));
	ASSERT(o->streams && o->stream_pointers);
	for (size_t i = 0; i < c->streams_count; i++) {
		stream_pack(&o->streams[i], &c->streams[i]);
		o->stream_pointers[i] = &o->streams[i].m;
	}
	o->m.streams = o->stream_pointers;
	o->m.n_streams = c->streams_count;
}

uint8_t *call_row_pack(struct call *c, const struct call_keys *keys, size_t *len)
{
	struct row_out o = { 0 };
	if (c->stale && keys && keys->has_metadata)
		seal(c, keys);
	callspan__index__call_row__init(&o.m);
	row_record(&o.m, &c->r);
	row_vault(&o.m, c);
	row_lists(&o, c);
	*len = callspan__index__call_row__get_packed_size(&o.m);
	uint8_t *row = malloc(*len + 1);
	ASSERT(row);
	callspan__index__call_row__pack(&o.m, row);
	free(o.streams);
	free(o.stream_pointers);
	return row;
}

static bool fixed(uint8_t *to, size_t len, const ProtobufCBinaryData *from)
{
	if (from->len != len)
		return false;
	memcpy(to, from->data, len);
	return true;
}

static void record_row(struct call_record *r, const row_message *m)
{
	r->state = m->state <= CALL_ENDED ? (enum call_state)m->state : CALL_ENDED;
	r->outcome =
		m->outcome <= OUTCOME_UNANSWERED ? (enum call_outcome)m->outcome : OUTCOME_NONE;
	r->ended_by = m->ended_by <= ENDED_BY_CAPTURE_END ? (enum call_ended_by)m->ended_by
							  : ENDED_BY_NONE;
	r->direction = m->direction <= DIRECTION_INTERNAL ? (enum call_direction)m->direction
							  : DIRECTION_UNKNOWN;
	r->sip_status = m->sip_status;
	r->start_us = m->start_us;
	r->ring_us = m->ring_us;
	r->answer_us = m->answer_us;
	r->end_us = m->end_us;
	r->until_us = m->until_us;
	r->dtmf_count = m->dtmf_count;
	take_text(r->policy, sizeof r->policy, m->policy);
	take_text(r->recorder, sizeof r->recorder, m->recorder);
	r->imported = m->imported;
	r->imported_us = m->imported_us;
	r->retain_from_call = m->retain_from_call;
	take_text(r->other_media, sizeof r->other_media, m->other_media);
	for (size_t i = 0; i < m->n_coverage && i < COVERAGE_MAX; i++)
		take_text(r->coverage[r->coverage_count++], sizeof r->coverage[0], m->coverage[i]);
	for (size_t i = 0; i < m->n_hold_times && i < HOLDS; i++) {
		r->holds[i].from_us = m->hold_times[i]->from_us;
		r->holds[i].to_us = m->hold_times[i]->to_us;
		r->holds_count++;
	}
}

static bool vault_row(struct call *c, const row_message *m)
{
	take_text(c->segment, sizeof c->segment, m->segment);
	c->slot = m->slot;
	take_text(c->class, sizeof c->class, m->retention_class);
	c->expiry_us = m->expiry_us;
	c->attested = m->attested;
	c->recorder_stopped = m->recorder_stopped;
	c->records = m->records;
	c->chunks = m->chunks;
	c->messages = m->messages;
	c->first_offset = m->first_offset;
	c->last_offset = m->last_offset;
	c->stored_bytes = m->stored_bytes;
	for (size_t i = 0; i < m->n_party_keys && i < CALL_PARTIES; i++) {
		if (!fixed(c->parties[i], PARTY_KEY, &m->party_keys[i]))
			return false;
		c->parties_count++;
	}
	for (size_t i = 0; i < m->n_streams; i++)
		stream_unpack(call_row_stream(c, (uint16_t)m->streams[i]->number), m->streams[i]);
	if (m->sealed.len) {
		c->sealed = malloc(m->sealed.len);
		ASSERT(c->sealed);
		c->sealed_len = m->sealed.len;
		memcpy(c->sealed, m->sealed.data, m->sealed.len);
		if (!fixed(c->nonce, sizeof c->nonce, &m->nonce))
			return false;
	}
	return fixed(c->digest, sizeof c->digest, &m->digest);
}

struct call *call_row_unpack(const uint8_t *row, size_t len)
{
	struct uuid id = { { 0 } };
	struct call *c = NULL;
	row_message *m = callspan__index__call_row__unpack(NULL, len, row);
	bool good = m && fixed(id.b, sizeof id.b, &m->id);
	if (good) {
		c = call_row_new(&id);
		record_row(&c->r, m);
		good = vault_row(c, m) &&
		       fixed(c->r.conversation.b, sizeof c->r.conversation.b, &m->conversation);
	}
	callspan__index__call_row__free_unpacked(m, NULL);
	if (!good) {
		call_row_free(c);
		return NULL;
	}
	c->filed.filed = true;
	c->filed.start_us = c->r.start_us;
	c->filed.expiry_us = c->expiry_us;
	c->filed.conversation = c->r.conversation;
	c->filed.parties_count = c->parties_count;
	memcpy(c->filed.parties, c->parties, sizeof c->filed.parties);
	return c;
}
