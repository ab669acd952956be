/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* call_json.c: a call as the command line's contract prints it.
 *
 * Every field always stands there, null when unknown; times are RFC 3339 in UTC.  `show` adds fields, it
 * changes none.  For an operator numbers are starred and names left out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/audio.h"
#include "base/clock.h"
#include "base/log.h"
#include "vault/parts.h"

json_t *call_json_time(int64_t us)
{
	char text[CLOCK_TEXT];
	return us ? json_string(clock_rfc3339(us * 1000, text)) : json_null();
}

/* JSON is UTF-8 and what came from the wire may not be. */
json_t *call_json_text(const char *s)
{
	if (!s || !*s)
		return json_null();
	json_t *j = json_string(s);
	if (j)
		return j;
	char *copy = strdup(s);
	ASSERT(copy);
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	j = json_string(copy);
	free(copy);
	return j;
}

json_t *call_json_party(const char *party, bool masked)
{
	char text[LOG_MASKED];
	return call_json_text(masked && *party ? log_mask(party, text) : party);
}

static json_t *personal(const char *s, bool masked)
{
	return masked ? json_null() : call_json_text(s);
}

static json_t *id_json(const struct uuid *id)
{
	char text[UUID_TEXT];
	return uuid_is_nil(id) ? json_null() : json_string(uuid_text(id, text));
}

static json_t *number_or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *endpoint_json(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT];
	static const struct endpoint none;
	return endpoint_equal(e, &none) ? json_null() : json_string(endpoint_text(e, text));
}

static void set(json_t *o, const char *name, json_t *value)
{
	int rc = json_object_set_new(o, name, value);
	ASSERT(rc == 0);
}

static void append(json_t *a, json_t *value)
{
	int rc = json_array_append_new(a, value);
	ASSERT(rc == 0);
}

/* In hundredths, as such scores are given; no figure where there is no model of the codec, or nothing was heard. */
static json_t *mos_json(const struct stream_record *s)
{
	double mos = s->packets ? audio_mos(s) : (double)NAN;
	return isfinite(mos) ? json_real(round(mos * 100) / 100) : json_null();
}

/* What `show` says of a stream beyond the list. */
static json_t *quality_json(const struct stream_record *s)
{
	char ssrc[16];
	json_t *o = json_object();
	snprintf(ssrc, sizeof ssrc, "0x%08x", s->ssrc);
	set(o, "track", json_string(track_name((enum track)s->track)));
	set(o, "ssrc", json_string(ssrc));
	set(o, "protection", json_string(protection_name((enum protection)s->protection)));
	set(o, "foreign", json_boolean(s->foreign));
	set(o, "decodable", json_boolean(audio_decodes(s)));
	set(o, "channels", number_or_null(s->channels));
	set(o, "fmtp", call_json_text(s->fmtp));
	set(o, "events", json_integer((json_int_t)s->events));
	set(o, "noise", json_integer((json_int_t)s->noise));
	set(o, "relay_copies", json_integer((json_int_t)s->relay_copies));
	set(o, "truncated", json_integer((json_int_t)s->truncated));
	set(o, "loss_runs", json_integer((json_int_t)s->loss_runs));
	set(o, "loss_longest", json_integer((json_int_t)s->loss_longest));
	set(o, "sender_packets", number_or_null(s->sender_packets));
	set(o, "reports", json_integer((json_int_t)s->reports));
	set(o, "remote_lost", s->reports ? json_integer(s->remote_lost) : json_null());
	set(o, "remote_jitter_ms", s->reports ? json_real(s->remote_jitter_ms) : json_null());
	return o;
}

static json_t *stream_json(const struct stream_record *s)
{
	char ssrc[16];
	json_t *o = json_object(), *types = json_array();
	for (uint32_t i = 0; i < s->payload_types_count; i++)
		append(types, json_integer(s->payload_types[i]));
	snprintf(ssrc, sizeof ssrc, "0x%08x", s->ssrc);
	set(o, "track", json_string(track_name((enum track)s->track)));
	set(o, "ssrc", json_string(ssrc));
	set(o, "src", endpoint_json(&s->src));
	set(o, "dst", endpoint_json(&s->dst));
	set(o, "codec", call_json_text(s->codec));
	set(o, "payload_types", types);
	set(o, "clock_rate", number_or_null(s->clock_rate));
	set(o, "ptime_ms", number_or_null(s->ptime_ms));
	set(o, "packets", json_integer((json_int_t)s->packets));
	set(o, "bytes", json_integer((json_int_t)s->bytes));
	set(o, "lost", json_integer((json_int_t)s->lost));
	set(o, "late", json_integer((json_int_t)s->late));
	set(o, "duplicates", json_integer((json_int_t)s->duplicates));
	set(o, "reordered", json_integer((json_int_t)s->reordered));
	set(o, "dropped", json_integer((json_int_t)s->dropped));
	set(o, "jitter_ms", json_real(s->jitter_ms));
	set(o, "mos", mos_json(s));
	set(o, "stored", json_boolean(s->packets > s->dropped));
	set(o, "complete", json_boolean(s->complete));
	set(o, "start", call_json_time(s->start_us));
	set(o, "end", call_json_time(s->end_us));
	return o;
}

static int by_place(const void *a, const void *b)
{
	const struct stream_record *const *x = a, *const *y = b;
	if ((*x)->track != (*y)->track)
		return (*x)->track < (*y)->track ? -1 : 1;
	if ((*x)->start_us != (*y)->start_us)
		return (*x)->start_us < (*y)->start_us ? -1 : 1;
	return (*x)->stream < (*y)->stream ? -1 : 1;
}

/* One object a stream, always in the same order. */
static json_t *streams_json(const struct call *c, json_t *(*one)(const struct stream_record *s))
{
	json_t *a = json_array();
	const struct stream_record **sorted = calloc(c->streams_count + 1, sizeof(void *));
	ASSERT(sorted);
	for (size_t i = 0; i < c->streams_count; i++)
		sorted[i] = &c->streams[i];
	qsort(sorted, c->streams_count, sizeof(void *), by_place);
	for (size_t i = 0; i < c->streams_count; i++) {
		const struct stream_record s = coverage_stream(c, (size_t)(sorted[i] - c->streams));
		append(a, one(&s));
	}
	free(sorted);
	return a;
}

/* Of a call that is not to be recorded nothing is told but when it was, even where something is known. */
static void identity(json_t *o, const struct call *c, bool masked, bool excluded)
{
	bool hidden = masked || excluded;
	set(o, "id", id_json(&c->r.id));
	set(o, "sip_call_id", personal(c->r.sip_call_id, hidden));
	set(o, "conversation", id_json(&c->r.conversation));
	set(o, "from", excluded ? json_null() : call_json_party(c->r.from, masked));
	set(o, "to", excluded ? json_null() : call_json_party(c->r.to, masked));
	set(o, "from_name", personal(c->r.from_name, hidden));
	set(o, "to_name", personal(c->r.to_name, hidden));
	set(o, "direction", json_string(call_direction_name(c->r.direction)));
}

static void course(json_t *o, const struct call *c)
{
	const struct call_record *r = &c->r;
	uint64_t digits = r->dtmf_count;
	for (size_t i = 0; i < c->streams_count; i++)
		digits += c->streams[i].events;
	set(o, "state", json_string(call_state_name(r->state)));
	set(o, "outcome", call_json_text(call_outcome_name(r->outcome)));
	set(o, "ended_by", call_json_text(call_ended_by_name(r->ended_by)));
	set(o, "sip_status", number_or_null(r->sip_status));
	set(o, "start", call_json_time(r->start_us));
	set(o, "ring", call_json_time(r->ring_us));
	set(o, "answer", call_json_time(r->answer_us));
	set(o, "end", call_json_time(r->end_us));
	set(o, "duration_ms",
	    r->answer_us && r->end_us ? json_integer((r->end_us - r->answer_us) / 1000)
				      : json_null());
	set(o, "dtmf_count", json_integer((json_int_t)digits));
}

json_t *call_json_coverage(const struct coverage *v)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < v->count; i++)
		append(a, call_json_text(v->names[i]));
	return a;
}

static json_t *retention_json(const struct call *c)
{
	json_t *o = json_object();
	set(o, "class", call_json_text(c->class));
	set(o, "expires", call_json_time(c->expiry_us));
	set(o, "holds", json_array());
	return o;
}

static json_t *hold_times_json(const struct call *c)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < c->r.holds_count; i++) {
		json_t *o = json_object();
		set(o, "from", call_json_time(c->r.holds[i].from_us));
		set(o, "to", call_json_time(c->r.holds[i].to_us));
		append(a, o);
	}
	return a;
}

static void more(json_t *o, const struct call *c, bool masked, bool excluded)
{
	char digest[65];
	keys_hex(digest, c->digest, sizeof c->digest);
	set(o, "from_uri", personal(c->r.from_uri, masked || excluded));
	set(o, "to_uri", personal(c->r.to_uri, masked || excluded));
	set(o, "diverted_from",
	    excluded ? json_null() : call_json_party(c->r.diverted_from, masked));
	set(o, "referred_by", excluded ? json_null() : call_json_party(c->r.referred_by, masked));
	set(o, "other_media", call_json_text(c->r.other_media));
	set(o, "messages", json_integer((json_int_t)c->messages));
	set(o, "quality", excluded ? json_array() : streams_json(c, quality_json));
	set(o, "holds_on_wire", hold_times_json(c));
	set(o, "segment", json_string(c->segment));
	set(o, "slot", json_integer(c->slot));
	set(o, "records", json_integer((json_int_t)c->records));
	set(o, "chunks", json_integer((json_int_t)c->chunks));
	set(o, "digest", json_string(digest));
	set(o, "imported_at", call_json_time(c->r.imported_us));
	set(o, "readable", json_boolean(c->opened));
}

json_t *call_json(const struct call *c, enum call_json_kind kind, bool masked)
{
	json_t *o = json_object();
	struct coverage v;
	coverage_of(&v, c, COVERAGE_GAP);
	identity(o, c, masked, v.excluded);
	course(o, c);
	set(o, "coverage", call_json_coverage(&v));
	set(o, "retention", retention_json(c));
	set(o, "policy", call_json_text(c->r.policy));
	set(o, "recorder", call_json_text(c->r.recorder));
	set(o, "imported", json_boolean(c->r.imported));
	set(o, "attested", json_boolean(c->attested));
	set(o, "streams", v.excluded ? json_array() : streams_json(c, stream_json));
	if (kind == CALL_JSON_SHOW)
		more(o, c, masked, v.excluded);
	return o;
}
