/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* opening.c: see opening.h.  On the vault's thread. */
#include "vault/opening.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "vault/access.h"
#include "vault/grants.h"
#include "vault/handover.h"
#include "vault/unlock.h"

#define GCM_TAG       16
#define CHUNK_PT_AT   1
#define CHUNK_SSRC_AT 36
#define WAY_BYTES     (1u << 20) /* of records between two turns */

static const char *const format_names[] = { "wav", "flac", "opus", "pcap" };
static const char *const track_names[] = { "caller", "callee" };
static const char *const leaves_names[] = { "plain", "zip", "cms" };

const char *opening_format_name(enum opening_format f)
{
	return format_names[f];
}

const char *opening_track_name(int track)
{
	return track < 0 ? "both" : track_names[track];
}

const char *opening_leaves_name(enum opening_leaves l)
{
	return leaves_names[l];
}

/* ---- words ------------------------------------------------------------------------------------------------- */

static int find_name(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

static enum rc read_purpose(const struct request *q, struct opening *o, struct error *err)
{
	char choices[256];
	bool staff = q->person.role == ROLE_STAFF;
	o->purpose_name = requests_text(q, "purpose");
	o->reference = requests_text(q, "reference");
	/* What staff hear was given to them, and says why. */
	if (staff && !o->purpose_name)
		o->purpose_name = "training";
	if (staff && !o->reference)
		o->reference = "given to hear";
	o->purpose = o->purpose_name ? policy_purpose(o->purpose_name) : -1;
	if (o->purpose < 0)
		return error_set(
			err, RC_USAGE, "%s; the choices are: %s",
			o->purpose_name ? "no such purpose" : "a purpose must be stated",
			requests_choices(policy_purpose_names, PURPOSES, choices, sizeof choices));
	if (!o->reference || !o->reference[strspn(o->reference, " \t\r\n")])
		return error_set(err, RC_USAGE, "a reference must be stated (a case, a ticket)");
	if (strlen(o->reference) > REQUEST_REFERENCE)
		return error_set(err, RC_USAGE, "the reference is longer than %d bytes",
				 REQUEST_REFERENCE);
	return RC_OK;
}

/* One of `count` names; *out unchanged when absent. */
static enum rc read_name(const struct request *q, const char *member, const char *const *names,
			 int count, int *out, struct error *err)
{
	char choices[64];
	const char *text = requests_text(q, member);
	if (!text)
		return RC_OK;
	int n = find_name(names, count, text);
	if (n < 0)
		return error_set(err, RC_USAGE, "no such %s; the choices are: %s", member,
				 requests_choices(names, (size_t)count, choices, sizeof choices));
	*out = n;
	return RC_OK;
}

/* Seconds as a number, or "[[H:]M:]S". */
static bool read_offset(const json_t *j, double *seconds)
{
	if (json_is_number(j)) {
		*seconds = json_number_value(j);
		return *seconds >= 0 && *seconds < 1e9;
	}
	const char *at = json_string_value(j);
	char *end;
	*seconds = 0;
	for (int part = 0; at && part < 3; part++) {
		if (*at < '0' || *at > '9')
			return false;
		double v = strtod(at, &end);
		*seconds = *seconds * 60 + v;
		if (!*end)
			return *seconds < 1e9;
		at = *end == ':' ? end + 1 : NULL;
	}
	return false;
}

static enum rc read_target(const struct request *q, struct opening *o, struct error *err)
{
	const json_t *at = json_object_get(q->body, "at"), *fd = json_object_get(q->body, "fd");
	o->play = json_is_true(json_object_get(q->body, "play"));
	o->fd = json_is_integer(fd) ? (int)json_integer_value(fd) : -1;
	if (at && !json_is_null(at) && !read_offset(at, &o->at_s))
		return error_set(err, RC_USAGE, "at: seconds from the start are wanted, or M:SS");
	if (o->play == (o->fd >= 0))
		return error_set(err, RC_USAGE, "either a sound device or a file is wanted");
	return RC_OK;
}

enum rc opening_read(const struct request *q, const char *action, bool target, struct opening *o,
		     struct error *err)
{
	int format = FORMAT_WAV;
	*o = (struct opening){
		.action = action, .track = -1, .fd = -1, .id = requests_text(q, "id")
	};
	if (!o->id)
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	enum rc rc = read_purpose(q, o, err);
	if (rc == RC_OK)
		rc = read_name(q, "format", format_names, FORMAT_PCAP + 1, &format, err);
	if (rc == RC_OK)
		rc = read_name(q, "track", track_names, 2, &o->track, err);
	if (rc == RC_OK && target)
		rc = read_target(q, o, err);
	o->format = (enum opening_format)format;
	o->conceal = json_is_true(json_object_get(q->body, "conceal"));
	if (rc == RC_OK && o->conceal && o->format == FORMAT_PCAP)
		rc = error_set(err, RC_USAGE, "conceal: in a pcap there is nothing to fill");
	return rc == RC_OK && target ? handover_read(q, o, err) : rc;
}

/* ---- rights ------------------------------------------------------------------------------------------------ */

static enum rc check_policy(const struct request *q, const struct opening *o, struct error *err)
{
	const struct policy *p = &q->v->policy;
	ASSERT(o->purpose >= 0 && o->purpose < PURPOSES); /* read_purpose() saw to that */
	if (!(p->purposes & 1u << o->purpose))
		return error_set(err, RC_REFUSED, "the policy in force (%s) does not allow %s",
				 p->name, o->purpose_name);
	if (q->person.role == ROLE_STAFF && strcmp(o->purpose_name, "training") != 0)
		return error_set(err, RC_REFUSED, "a call is given to staff for training only");
	if (q->person.role == ROLE_STAFF && o->fd >= 0)
		return error_set(err, RC_REFUSED,
				 "this call was given to you to hear, not to take along");
	if (!(p->purpose_roles[o->purpose] & (unsigned)q->person.role))
		return error_set(err, RC_REFUSED,
				 "the policy in force (%s) does not allow %s to your role (%s)",
				 p->name, o->purpose_name, people_role_name(q->person.role));
	if (o->fd >= 0 && o->leaves == LEAVES_PLAIN && !p->plain_export)
		return error_set(err, RC_REFUSED,
				 "the policy in force (%s) lets no recording leave unprotected: "
				 "export it with --password-file or --recipient",
				 p->name);
	return RC_OK;
}

/* What opens the audio: the secret that opens every slot, or the key of this one call, as it was given. */
struct secret {
	struct seal_pair audio;
	uint8_t key[KEY_BYTES];
	bool given;
};

static enum rc open_secret(const struct request *q, const struct uuid *call, struct secret *s,
			   struct error *err)
{
	*s = (struct secret){ .audio = q->v->keys.audio };
	if (q->v->keys.has_audio)
		return RC_OK;
	if (q->person.role != ROLE_STAFF)
		return unlock_audio(q, &s->audio, err);
	s->given = true;
	return grants_open(q, call, s->key, err);
}

static enum rc note(const struct request *q, const struct opening *o, const struct uuid *id,
		    const char *outcome, const char *detail, struct error *err)
{
	return audit_write(q->v,
			   &(struct audit_entry){ .person = q->person.name,
						  .role = people_role_name(q->person.role),
						  .action = o->action,
						  .call = id,
						  .purpose = o->purpose_name,
						  .reference = o->reference,
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

/* With the policy under which it was. */
static enum rc note_granted(struct opened *x, const struct uuid *id, const char *detail,
			    struct error *err)
{
	char text[512];
	const struct vault *v = x->q->v;
	snprintf(text, sizeof text, "%s%spolicy=%.16s", detail ? detail : "", detail ? " " : "",
		 v->policy.hash);
	enum rc rc = note(x->q, x->o, id, "granted", text, err);
	x->entry.number = v->head.number;
	x->entry.time_us = v->head.time_us;
	memcpy(x->entry.hash, v->head.hash, sizeof x->entry.hash);
	snprintf(x->entry.policy, sizeof x->entry.policy, "%s", v->policy.name);
	snprintf(x->entry.policy_hash, sizeof x->entry.policy_hash, "%s", v->policy.hash);
	return rc;
}

enum rc opening_audit(const struct opened *x, const char *outcome, const char *detail,
		      struct error *err)
{
	return note(x->q, x->o, &x->call->r.id, outcome, detail, err);
}

/* ---- records ------------------------------------------------------------------------------------------------- */

/* The earlier of two limits of which 0 is none. */
static int64_t sooner(int64_t a, int64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

/* RFC 3551, table 4: what a payload type means without an SDP. */
static void by_static_type(struct stream_record *s, uint8_t type)
{
	static const struct {
		uint8_t type;
		const char *codec;
	} known[] = { { 0, "PCMU" }, { 3, "GSM" }, { 8, "PCMA" }, { 9, "G722" }, { 18, "G729" } };
	s->payload_types[0] = type;
	s->payload_types_count = 1;
	s->clock_rate = 8000;
	s->channels = 1;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (known[i].type == type)
			snprintf(s->codec, sizeof s->codec, "%s", known[i].codec);
	}
}

/* The stream of a chunk.  Killed before the first stream record, the recorder has left only the chunk's own header
 * to say what it is. */
static struct stream_record *stream_of(struct call *c, const struct segment_record *r,
				       const uint8_t *body)
{
	struct stream_record *s = call_row_stream(c, r->stream);
	if (s->clock_rate)
		return s;
	struct bytes b = bytes_over(body + CHUNK_SSRC_AT, 4);
	s->ssrc = bytes_u32_le(&b);
	s->track = r->track;
	by_static_type(s, body[CHUNK_PT_AT] & 127);
	return s;
}

static enum rc altered(const struct opened *x, const struct segment_record *r, struct error *err)
{
	return error_set(err, RC_DAMAGED, "segment %s, offset %llu: the %s was altered",
			 x->call->segment, (unsigned long long)r->offset,
			 r->type == RECORD_CHUNK ? "chunk" : "record");
}

static enum rc use_chunk(const struct opened *x, const struct segment_record *r,
			 const struct opening_use *use, struct error *err)
{
	if (r->body_len < GCM_TAG + CHUNK_HEADER)
		return altered(x, r, err);
	size_t len = r->body_len - GCM_TAG;
	uint8_t *body = malloc(len);
	ASSERT(body);
	enum rc rc = RC_DAMAGED;
	if (segment_unseal(x->segment, r, &x->keys, body)) {
		const struct stream_record *s = stream_of(x->call, r, body);
		rc = use->chunk(use->ctx, s, sooner(x->call->r.until_us, s->until_us), body, len,
				err);
	}
	if (rc == RC_DAMAGED)
		rc = altered(x, r, err);
	forget_bytes(body, len);
	free(body);
	return rc;
}

/* Keys of the media and digits stand in the sealed records only, not in the index: the newest record's count. */
static bool take_call_record(const struct opened *x, const uint8_t *body, size_t len)
{
	struct call_record fresh, *r = &x->call->r;
	bool good = call_record_unpack(&fresh, body, len) && uuid_equal(&fresh.id, &r->id);
	if (good) {
		r->sdes_count = fresh.sdes_count;
		memcpy(r->sdes, fresh.sdes, sizeof r->sdes);
		memcpy(r->digits, fresh.digits, sizeof r->digits);
	}
	forget_bytes(&fresh, sizeof fresh);
	return good;
}

static enum rc use_sealed(const struct opened *x, const struct segment_record *r,
			  const struct opening_use *use, struct error *err)
{
	struct signalling_record m;
	enum rc rc = RC_OK;
	uint8_t *body = malloc(r->body_len + 1);
	ASSERT(body);
	bool good = r->body_len >= GCM_TAG && segment_unseal(x->segment, r, &x->keys, body);
	if (good && r->type == RECORD_CALL)
		good = take_call_record(x, body, r->body_len - GCM_TAG);
	else if (good && (good = signalling_record_unpack(&m, body, r->body_len - GCM_TAG)))
		rc = use->signalling(use->ctx, &m, err);
	if (!good)
		rc = altered(x, r, err);
	forget_bytes(body, r->body_len);
	free(body);
	return rc;
}

static enum rc use_record(const struct opened *x, const struct segment_record *r,
			  const struct opening_use *use, struct error *err)
{
	if (r->type == RECORD_CHUNK)
		return use_chunk(x, r, use, err);
	if (r->type == RECORD_CALL || (r->type == RECORD_SIGNALLING && use->signalling))
		return use_sealed(x, r, use, err);
	return RC_OK;
}

enum rc opening_check(const struct opened *x, struct error *err)
{
	struct call *now = NULL;
	const struct request *q = x->q;
	enum rc rc = requests_check_asker(q, err);
	if (rc == RC_OK)
		rc = reindex_check(q->v, err);
	if (rc == RC_OK)
		rc = catalogue_get(q->v, &x->call->r.id, &now, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "the recording was destroyed meanwhile");
	if (rc == RC_OK && !access_sees(q, now))
		rc = error_set(err, RC_REFUSED, "what you may was changed meanwhile: ask again");
	call_row_free(now);
	return rc;
}

/* The segment stays mapped meanwhile: what a purge makes of it is another file. */
static enum rc give_way(const struct opened *x, uint64_t *bytes, struct error *err)
{
	if (*bytes < WAY_BYTES)
		return RC_OK;
	*bytes = 0;
	vault_give_way(x->q->v);
	return opening_check(x, err);
}

/* All records of the call, in order, held against what was taken in. */
static enum rc use_records(const struct opened *x, const struct opening_use *use, struct error *err)
{
	struct segment_record r;
	uint8_t digest[32] = { 0 };
	uint64_t cursor = 0, n = 0, bytes = 0;
	enum rc rc;
	while ((rc = segment_call_next(x->segment, x->call->slot, &cursor, &r)) == RC_OK) {
		segments_digest(digest, &r);
		if (++n == x->call->records && memcmp(digest, x->call->digest, 32) != 0)
			break;
		rc = use_record(x, &r, use, err);
		bytes += r.body_len;
		if (rc == RC_OK)
			rc = give_way(x, &bytes, err);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_END || n < x->call->records)
		return error_set(err, RC_DAMAGED,
				 "segment %s does not hold what was taken in of this recording",
				 x->call->segment);
	return RC_OK;
}

static enum rc open_keys(struct opened *x, const struct secret *s, struct error *err)
{
	enum rc rc = segment_keys(x->segment, x->call->slot, s->given ? NULL : &s->audio,
				  &x->q->v->keys.metadata, &x->keys, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "the recording was destroyed");
	if (rc == RC_OK && s->given) {
		memcpy(x->keys.audio, s->key, sizeof x->keys.audio);
		x->keys.has_audio = true;
	}
	return rc;
}

static enum rc use_recording(struct opened *x, const struct secret *secret,
			     const struct opening_use *use, struct error *err)
{
	char path[STORE_PATH];
	if (segments_locate(x->q->v, x->call->segment, path) == SEGMENT_NOWHERE)
		return error_set(err, RC_DAMAGED, "segment %s is gone", x->call->segment);
	enum rc rc = segments_map(x->q->v, path, &x->segment, err);
	if (rc != RC_OK)
		return rc;
	rc = open_keys(x, secret, err);
	if (rc == RC_OK) {
		(void)call_row_open(x->call, &x->keys);
		rc = use_records(x, use, err);
	}
	segment_close(x->segment);
	x->segment = NULL;
	return rc == RC_OK ? use->finish(use->ctx, x, err) : rc;
}

enum rc opening_run(const struct request *q, const struct opening *o, const char *detail,
		    const struct opening_use *use, struct error *err)
{
	struct secret secret;
	struct opened x = { .q = q, .o = o };
	enum rc rc = access_call(q, o->id, &x.call, err);
	if (rc == RC_OK)
		rc = check_policy(q, o, err);
	if (rc == RC_OK)
		rc = open_secret(q, &x.call->r.id, &secret, err);
	if (rc != RC_OK) {
		call_row_free(x.call);
		return rc;
	}
	const struct uuid id = x.call->r.id;
	rc = note_granted(&x, &id, detail, err);
	if (rc == RC_OK)
		rc = use_recording(&x, &secret, use, err);
	forget_bytes(&secret, sizeof secret);
	struct error second;
	/* A refusal is told where all are. */
	if (rc != RC_OK && rc != RC_REFUSED &&
	    note(q, o, &id, rc == RC_DAMAGED ? "damaged" : "failed", err->text, &second) != RC_OK)
		*err = second;
	call_row_free(x.call);
	forget_bytes(&x, sizeof x);
	return rc;
}
