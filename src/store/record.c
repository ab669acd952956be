/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* record.c: call and stream records as bytes and back (call.proto, protobuf-c).
 *
 * Any thread.  Packing allocates nothing.  Unpacking takes what a recorder sealed, which may be a
 * hostile one: a body that is too long, holds too much or contradicts call.proto is refused
 * whole.
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "store/call.pb-c.h"
#include "store/store.h"

#define HOLDS_MAX                                                                                  \
	(sizeof((struct call_record *)0)->holds / sizeof((struct call_record *)0)->holds[0])
#define PAYLOAD_TYPES_MAX sizeof((struct stream_record *)0)->payload_types

/* protobuf-c's messages point to bytes they never change when packing, but not as const. */
static uint8_t *unconst(const void *p)
{
	union {
		const void *from;
		uint8_t *to;
	} u = { .from = p };
	return u.to;
}

static ProtobufCBinaryData data(const void *p, size_t len)
{
	return (ProtobufCBinaryData){ .len = len, .data = unconst(p) };
}

static ProtobufCBinaryData text(const char *s, size_t room)
{
	return data(s, strnlen(s, room));
}
#define TEXT(array) text(array, sizeof(array))

/* False when it does not fit with its terminating zero. */
static bool text_take(char *to, size_t room, const ProtobufCBinaryData *from)
{
	if (from->len >= room)
		return false;
	memset(to, 0, room);
	if (from->len)
		memcpy(to, from->data, from->len);
	return true;
}
#define TAKE(array, from) text_take(array, sizeof(array), &(from))

static bool bytes_take_all(uint8_t *to, size_t len, const ProtobufCBinaryData *from)
{
	if (from->len != len)
		return false;
	memcpy(to, from->data, len);
	return true;
}

/* ---- call ---------------------------------------------------------------------------------- */

static void call_fill(Callspan__CallRecord *m, const struct call_record *r)
{
	m->id = data(r->id.b, sizeof r->id.b);
	m->conversation = data(r->conversation.b, sizeof r->conversation.b);
	m->sip_call_id = TEXT(r->sip_call_id);
	m->from = TEXT(r->from);
	m->to = TEXT(r->to);
	m->from_name = TEXT(r->from_name);
	m->to_name = TEXT(r->to_name);
	m->from_uri = TEXT(r->from_uri);
	m->to_uri = TEXT(r->to_uri);
	m->state = (Callspan__CallState)r->state;
	m->outcome = (Callspan__CallOutcome)r->outcome;
	m->ended_by = (Callspan__CallEndedBy)r->ended_by;
	m->direction = (Callspan__CallDirection)r->direction;
	m->sip_status = r->sip_status;
	m->start_us = r->start_us;
	m->ring_us = r->ring_us;
	m->answer_us = r->answer_us;
	m->end_us = r->end_us;
	m->until_us = r->until_us;
	m->dtmf_count = r->dtmf_count;
	m->policy = TEXT(r->policy);
	m->recorder = TEXT(r->recorder);
	m->imported = r->imported;
	m->imported_us = r->imported_us;
	m->retain_from_call = r->retain_from_call;
	m->diverted_from = TEXT(r->diverted_from);
	m->referred_by = TEXT(r->referred_by);
	m->other_media = TEXT(r->other_media);
	m->caller_digits = TEXT(r->digits[TRACK_CALLER]);
	m->callee_digits = TEXT(r->digits[TRACK_CALLEE]);
}

static void sdes_fill(Callspan__SdesKey *m, const struct sdes_key *k)
{
	callspan__sdes_key__init(m);
	m->from_us = k->from_us;
	m->party = k->party;
	m->key = data(k->key, k->key_len);
	m->mki_len = k->mki_len;
	m->suite = TEXT(k->suite);
	m->params = TEXT(k->params);
}

size_t call_record_pack(const struct call_record *r, uint8_t *buf)
{
	Callspan__CallRecord m = CALLSPAN__CALL_RECORD__INIT;
	Callspan__Hold holds[HOLDS_MAX], *hold_at[HOLDS_MAX];
	ProtobufCBinaryData coverage[COVERAGE_MAX];
	Callspan__SdesKey sdes[SDES_MAX], *sdes_at[SDES_MAX];

	ASSERT(r->holds_count <= HOLDS_MAX && r->coverage_count <= COVERAGE_MAX &&
	       r->sdes_count <= SDES_MAX);
	call_fill(&m, r);
	for (uint32_t i = 0; i < r->holds_count; i++) {
		callspan__hold__init(&holds[i]);
		holds[i].from_us = r->holds[i].from_us;
		holds[i].to_us = r->holds[i].to_us;
		hold_at[i] = &holds[i];
	}
	m.n_holds = r->holds_count;
	m.holds = hold_at;
	for (uint32_t i = 0; i < r->coverage_count; i++)
		coverage[i] = TEXT(r->coverage[i]);
	m.n_coverage = r->coverage_count;
	m.coverage = coverage;
	for (uint32_t i = 0; i < r->sdes_count; i++) {
		sdes_fill(&sdes[i], &r->sdes[i]);
		sdes_at[i] = &sdes[i];
	}
	m.n_sdes = r->sdes_count;
	m.sdes = sdes_at;
	ASSERT(callspan__call_record__get_packed_size(&m) <= RECORD_BODY_MAX);
	return callspan__call_record__pack(&m, buf);
}

static bool call_take_text(struct call_record *r, const Callspan__CallRecord *m)
{
	return bytes_take_all(r->id.b, sizeof r->id.b, &m->id) &&
	       bytes_take_all(r->conversation.b, sizeof r->conversation.b, &m->conversation) &&
	       TAKE(r->sip_call_id, m->sip_call_id) && TAKE(r->from, m->from) &&
	       TAKE(r->to, m->to) && TAKE(r->from_name, m->from_name) &&
	       TAKE(r->to_name, m->to_name) && TAKE(r->from_uri, m->from_uri) &&
	       TAKE(r->to_uri, m->to_uri) && TAKE(r->policy, m->policy) &&
	       TAKE(r->recorder, m->recorder) && TAKE(r->diverted_from, m->diverted_from) &&
	       TAKE(r->referred_by, m->referred_by) && TAKE(r->other_media, m->other_media) &&
	       TAKE(r->digits[TRACK_CALLER], m->caller_digits) &&
	       TAKE(r->digits[TRACK_CALLEE], m->callee_digits);
}

static bool sdes_take(struct sdes_key *k, const Callspan__SdesKey *m)
{
	if (m->party > TRACK_CALLEE || m->key.len > SDES_KEY || m->mki_len > 128)
		return false;
	k->from_us = m->from_us;
	k->party = (uint8_t)m->party;
	k->key_len = (uint8_t)m->key.len;
	k->mki_len = (uint8_t)m->mki_len;
	if (m->key.len)
		memcpy(k->key, m->key.data, m->key.len);
	return TAKE(k->suite, m->suite) && TAKE(k->params, m->params);
}

static bool call_take_lists(struct call_record *r, const Callspan__CallRecord *m)
{
	if (m->n_holds > HOLDS_MAX || m->n_coverage > COVERAGE_MAX || m->n_sdes > SDES_MAX)
		return false;
	r->holds_count = (uint32_t)m->n_holds;
	for (size_t i = 0; i < m->n_holds; i++) {
		r->holds[i].from_us = m->holds[i]->from_us;
		r->holds[i].to_us = m->holds[i]->to_us;
	}
	r->coverage_count = (uint32_t)m->n_coverage;
	for (size_t i = 0; i < m->n_coverage; i++)
		if (!TAKE(r->coverage[i], m->coverage[i]))
			return false;
	r->sdes_count = (uint32_t)m->n_sdes;
	for (size_t i = 0; i < m->n_sdes; i++)
		if (!sdes_take(&r->sdes[i], m->sdes[i]))
			return false;
	return true;
}

static void call_take_numbers(struct call_record *r, const Callspan__CallRecord *m)
{
	r->state = (enum call_state)m->state;
	r->outcome = (enum call_outcome)m->outcome;
	r->ended_by = (enum call_ended_by)m->ended_by;
	r->direction = (enum call_direction)m->direction;
	r->sip_status = m->sip_status;
	r->start_us = m->start_us;
	r->ring_us = m->ring_us;
	r->answer_us = m->answer_us;
	r->end_us = m->end_us;
	r->until_us = m->until_us;
	r->dtmf_count = m->dtmf_count;
	r->imported = m->imported;
	r->imported_us = m->imported_us;
	r->retain_from_call = m->retain_from_call;
}

/* Values outside the tables of names would index past somebody's array. */
static bool call_in_range(const Callspan__CallRecord *m)
{
	return (unsigned)m->state <= CALL_ENDED && (unsigned)m->outcome <= OUTCOME_UNANSWERED &&
	       (unsigned)m->ended_by <= ENDED_BY_CAPTURE_END &&
	       (unsigned)m->direction <= DIRECTION_INTERNAL;
}

static void forget(ProtobufCBinaryData *d)
{
	if (d->data)
		forget_bytes(d->data, d->len);
}

/* Keys of the media and digits, before their memory is given back. */
static void call_forget(Callspan__CallRecord *m)
{
	for (size_t i = 0; i < m->n_sdes; i++)
		forget(&m->sdes[i]->key);
	forget(&m->caller_digits);
	forget(&m->callee_digits);
}

bool call_record_unpack(struct call_record *r, const uint8_t *buf, size_t len)
{
	memset(r, 0, sizeof *r);
	if (len > RECORD_BODY_MAX)
		return false;
	Callspan__CallRecord *m = callspan__call_record__unpack(NULL, len, buf);
	if (!m)
		return false;
	bool good = call_in_range(m) && call_take_text(r, m) && call_take_lists(r, m);
	call_take_numbers(r, m);
	call_forget(m);
	callspan__call_record__free_unpacked(m, NULL);
	return good;
}

/* ---- stream -------------------------------------------------------------------------------- */

size_t stream_record_pack(const struct stream_record *r, uint8_t *buf)
{
	Callspan__StreamRecord m = CALLSPAN__STREAM_RECORD__INIT;
	Callspan__Endpoint src = CALLSPAN__ENDPOINT__INIT, dst = CALLSPAN__ENDPOINT__INIT;

	ASSERT(r->payload_types_count <= PAYLOAD_TYPES_MAX);
	src.addr = data(r->src.addr, sizeof r->src.addr);
	src.port = r->src.port;
	dst.addr = data(r->dst.addr, sizeof r->dst.addr);
	dst.port = r->dst.port;
	m.stream = r->stream;
	m.track = r->track;
	m.foreign = r->foreign != 0;
	m.ssrc = r->ssrc;
	m.src = &src;
	m.dst = &dst;
	m.codec = TEXT(r->codec);
	m.fmtp = TEXT(r->fmtp);
	m.payload_types = data(r->payload_types, r->payload_types_count);
	m.clock_rate = r->clock_rate;
	m.channels = r->channels;
	m.ptime_ms = r->ptime_ms;
	m.packets = r->packets;
	m.bytes = r->bytes;
	m.lost = r->lost;
	m.late = r->late;
	m.duplicates = r->duplicates;
	m.reordered = r->reordered;
	m.events = r->events;
	m.cut = r->cut;
	m.dropped = r->dropped;
	m.truncated = r->truncated;
	m.jitter_ms = r->jitter_ms;
	m.start_us = r->start_us;
	m.end_us = r->end_us;
	m.until_us = r->until_us;
	m.complete = r->complete;
	m.protection = (Callspan__Protection)r->protection;
	m.relay_copies = r->relay_copies;
	m.noise = r->noise;
	m.loss_runs = r->loss_runs;
	m.loss_longest = r->loss_longest;
	m.sender_packets = r->sender_packets;
	m.reports = r->reports;
	m.remote_lost = r->remote_lost;
	m.remote_jitter_ms = r->remote_jitter_ms;
	ASSERT(callspan__stream_record__get_packed_size(&m) <= RECORD_BODY_MAX);
	return callspan__stream_record__pack(&m, buf);
}

static bool endpoint_take(struct endpoint *e, const Callspan__Endpoint *m)
{
	if (!m || m->port > UINT16_MAX)
		return false;
	memset(e, 0, sizeof *e);
	e->port = (uint16_t)m->port;
	return bytes_take_all(e->addr, sizeof e->addr, &m->addr);
}

static void stream_take_numbers(struct stream_record *r, const Callspan__StreamRecord *m)
{
	r->stream = (uint16_t)m->stream;
	r->track = (uint8_t)m->track;
	r->foreign = m->foreign ? 1 : 0;
	r->ssrc = m->ssrc;
	r->clock_rate = m->clock_rate;
	r->channels = m->channels;
	r->ptime_ms = m->ptime_ms;
	r->packets = m->packets;
	r->bytes = m->bytes;
	r->lost = m->lost;
	r->late = m->late;
	r->duplicates = m->duplicates;
	r->reordered = m->reordered;
	r->events = m->events;
	r->cut = m->cut;
	r->dropped = m->dropped;
	r->truncated = m->truncated;
	r->jitter_ms = m->jitter_ms;
	r->start_us = m->start_us;
	r->end_us = m->end_us;
	r->until_us = m->until_us;
	r->complete = m->complete;
	r->protection = (uint8_t)m->protection;
	r->relay_copies = m->relay_copies;
	r->noise = m->noise;
	r->loss_runs = m->loss_runs;
	r->loss_longest = m->loss_longest;
	r->sender_packets = m->sender_packets;
	r->reports = m->reports;
	r->remote_lost = m->remote_lost;
	r->remote_jitter_ms = m->remote_jitter_ms;
}

bool stream_record_unpack(struct stream_record *r, const uint8_t *buf, size_t len)
{
	memset(r, 0, sizeof *r);
	if (len > RECORD_BODY_MAX)
		return false;
	Callspan__StreamRecord *m = callspan__stream_record__unpack(NULL, len, buf);
	if (!m)
		return false;
	bool good = m->stream <= UINT16_MAX && m->track <= TRACK_CALLEE && isfinite(m->jitter_ms) &&
		    isfinite(m->remote_jitter_ms) && (unsigned)m->protection < PROTECTIONS &&
		    m->payload_types.len <= PAYLOAD_TYPES_MAX && TAKE(r->codec, m->codec) &&
		    TAKE(r->fmtp, m->fmtp) && endpoint_take(&r->src, m->src) &&
		    endpoint_take(&r->dst, m->dst);
	stream_take_numbers(r, m);
	if (good && m->payload_types.len)
		memcpy(r->payload_types, m->payload_types.data, m->payload_types.len);
	r->payload_types_count = good ? (uint32_t)m->payload_types.len : 0;
	callspan__stream_record__free_unpacked(m, NULL);
	return good;
}

/* ---- signalling ---------------------------------------------------------------------------- */

/* i64 ts_us, src (16 + u16), dst (16 + u16), u8 transport; little-endian; zeros up to SIGNALLING_HEAD. */
size_t signalling_record_pack_head(const struct signalling_record *r, uint8_t buf[SIGNALLING_HEAD])
{
	memset(buf, 0, SIGNALLING_HEAD);
	put_u64_le(buf, (uint64_t)r->ts_us);
	memcpy(buf + 8, r->src.addr, 16);
	put_u16_le(buf + 24, r->src.port);
	memcpy(buf + 26, r->dst.addr, 16);
	put_u16_le(buf + 42, r->dst.port);
	buf[44] = r->transport;
	return SIGNALLING_HEAD;
}

static void endpoint_read(struct endpoint *e, struct bytes *b)
{
	for (size_t i = 0; i < sizeof e->addr; i++)
		e->addr[i] = bytes_u8(b);
	e->port = bytes_u16_le(b);
}

bool signalling_record_unpack(struct signalling_record *r, const uint8_t *buf, size_t len)
{
	memset(r, 0, sizeof *r);
	if (len < SIGNALLING_HEAD || len - SIGNALLING_HEAD > UINT16_MAX)
		return false;
	struct bytes b = bytes_over(buf, SIGNALLING_HEAD);
	r->ts_us = (int64_t)bytes_u64_le(&b);
	endpoint_read(&r->src, &b);
	endpoint_read(&r->dst, &b);
	r->transport = bytes_u8(&b);
	r->bytes = buf + SIGNALLING_HEAD;
	r->len = (uint32_t)(len - SIGNALLING_HEAD);
	return true;
}
