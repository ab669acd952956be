/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_replay.c: opening audio: replay to the sound device or a file, export to a file.
 *
 *   words right? -> role -> such a recording? -> purpose allowed by the policy? -> may it leave unprotected?
 *     -> the audio secret (the person's passphrase) -> audit entry, synced -> only now a chunk is unsealed
 *
 * A recording is all or nothing: a record altered, missing or out of the order in which it was taken in is damage,
 * not a gap.  The file's bytes go to the caller's descriptor and nowhere else.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/audio.h"
#include "base/bytes.h"
#include "vault/parts.h"

#define GCM_TAG         16
#define REFERENCE_BYTES 200
#define CHUNK_PT_AT     1
#define CHUNK_SSRC_AT   36

static const char *const format_names[] = { "wav", "flac" };
static const char *const track_names[] = { "caller", "callee" };

struct opening {
	const char *action, *id, *reference, *purpose_name, *passphrase;
	int purpose;
	enum audio_format format;
	int track; /* -1: both */
	double at_s;
	bool play;
	int fd; /* -1: none */
};

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
	o->purpose_name = requests_text(q, "purpose");
	o->reference = requests_text(q, "reference");
	o->purpose = o->purpose_name ? policy_purpose(o->purpose_name) : -1;
	if (o->purpose < 0)
		return error_set(
			err, RC_USAGE, "%s; the choices are: %s",
			o->purpose_name ? "no such purpose" : "a purpose must be stated",
			requests_choices(policy_purpose_names, PURPOSES, choices, sizeof choices));
	if (!o->reference || !*o->reference)
		return error_set(err, RC_USAGE, "a reference must be stated (a case, a ticket)");
	if (strlen(o->reference) > REFERENCE_BYTES)
		return error_set(err, RC_USAGE, "the reference is longer than %d bytes",
				 REFERENCE_BYTES);
	return RC_OK;
}

/* One of two names; *out unchanged when absent. */
static enum rc read_name(const struct request *q, const char *member, const char *const *names,
			 int *out, struct error *err)
{
	char choices[64];
	const char *text = requests_text(q, member);
	if (!text)
		return RC_OK;
	int n = find_name(names, 2, text);
	if (n < 0)
		return error_set(err, RC_USAGE, "no such %s; the choices are: %s", member,
				 requests_choices(names, 2, choices, sizeof choices));
	*out = n;
	return RC_OK;
}

/* Seconds as a number, or "[[H:]M:]S". */
static bool read_offset(const json_t *j, double *seconds)
{
	if (json_is_number(j)) {
		*seconds = json_number_value(j);
		return *seconds >= 0;
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
	o->passphrase = requests_text(q, "passphrase");
	if (at && !json_is_null(at) && !read_offset(at, &o->at_s))
		return error_set(err, RC_USAGE, "at: seconds from the start are wanted, or M:SS");
	if (o->play == (o->fd >= 0))
		return error_set(err, RC_USAGE, "either a sound device or a file is wanted");
	return RC_OK;
}

static enum rc read_opening(const struct request *q, const char *action, struct opening *o,
			    struct error *err)
{
	int format = AUDIO_WAV;
	*o = (struct opening){ .action = action, .track = -1, .id = requests_text(q, "id") };
	if (!o->id)
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	enum rc rc = read_purpose(q, o, err);
	if (rc == RC_OK)
		rc = read_name(q, "format", format_names, &format, err);
	if (rc == RC_OK)
		rc = read_name(q, "track", track_names, &o->track, err);
	if (rc == RC_OK)
		rc = read_target(q, o, err);
	o->format = (enum audio_format)format;
	return rc;
}

/* ---- rights ------------------------------------------------------------------------------------------------ */

static enum rc check_policy(const struct request *q, const struct opening *o, struct error *err)
{
	const struct policy *p = &q->v->policy;
	ASSERT(o->purpose >= 0 && o->purpose < PURPOSES); /* read_purpose() saw to that */
	if (!(p->purposes & 1u << o->purpose))
		return error_set(err, RC_REFUSED, "the policy in force (%s) does not allow %s",
				 p->name, o->purpose_name);
	if (!o->play && !p->plain_export)
		return error_set(err, RC_REFUSED,
				 "the policy in force (%s) lets no recording leave unprotected",
				 p->name);
	return RC_OK;
}

static enum rc open_secret(const struct request *q, const struct opening *o,
			   struct seal_pair *audio, struct error *err)
{
	*audio = q->v->keys.audio;
	if (q->v->keys.has_audio)
		return RC_OK;
	return people_open_audio(&q->person, o->passphrase, audio, err);
}

static enum rc audit(const struct request *q, const struct opening *o, const struct uuid *id,
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

/* ---- from records to a timeline ------------------------------------------------------------------------------ */

struct hearing {
	const struct request *q;
	struct call *call;       /* owned */
	struct segment *segment; /* borrowed */
	struct call_keys keys;
	struct timeline *timeline; /* owned */
	struct {
		uint16_t number;
		int index;
	} voices[512]; /* streams the timeline knows */
	size_t voices_count;
	struct audio_summary summary;
};

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

/* Its index in the timeline; -1: the call has more streams than are heard together. */
static int voice_of(struct hearing *h, const struct stream_record *s)
{
	for (size_t i = 0; i < h->voices_count; i++) {
		if (h->voices[i].number == s->stream)
			return h->voices[i].index;
	}
	if (h->voices_count == sizeof h->voices / sizeof h->voices[0])
		return -1;
	int index = timeline_stream(h->timeline, s);
	if (index < 0)
		return -1;
	timeline_until(h->timeline, index, sooner(h->call->r.until_us, s->until_us));
	if (s->foreign)
		timeline_mute(h->timeline, index);
	h->voices[h->voices_count].number = s->stream;
	h->voices[h->voices_count++].index = index;
	return index;
}

static enum rc altered(const struct hearing *h, const struct segment_record *r, struct error *err)
{
	return error_set(err, RC_DAMAGED, "segment %s, offset %llu: the chunk was altered",
			 h->call->segment, (unsigned long long)r->offset);
}

static enum rc hear_chunk(struct hearing *h, const struct segment_record *r, struct error *err)
{
	if (r->body_len < GCM_TAG + CHUNK_HEADER)
		return altered(h, r, err);
	size_t len = r->body_len - GCM_TAG;
	uint8_t *body = malloc(len);
	ASSERT(body);
	enum rc rc = RC_OK;
	if (!segment_unseal(h->segment, r, &h->keys, body)) {
		rc = altered(h, r, err);
	} else {
		int voice = voice_of(h, stream_of(h->call, r, body));
		if (voice < 0)
			rc = error_set(err, RC_FAILED, "the recording has too many streams");
		else
			rc = timeline_chunk(h->timeline, voice, body, len);
		if (rc == RC_DAMAGED)
			rc = altered(h, r, err);
		else if (rc == RC_FAILED && voice >= 0)
			rc = error_set(err, rc, "not enough memory");
	}
	forget_bytes(body, len);
	free(body);
	return rc;
}

/* All records of the call, in order, held against what was taken in. */
static enum rc hear_records(struct hearing *h, struct error *err)
{
	struct segment_record r;
	uint8_t digest[32] = { 0 };
	uint64_t cursor = 0, n = 0;
	enum rc rc;
	while ((rc = segment_call_next(h->segment, h->call->slot, &cursor, &r)) == RC_OK) {
		segments_digest(digest, &r);
		if (++n == h->call->records && memcmp(digest, h->call->digest, 32) != 0)
			break;
		rc = r.type == RECORD_CHUNK ? hear_chunk(h, &r, err) : RC_OK;
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_END || n < h->call->records)
		return error_set(err, RC_DAMAGED,
				 "segment %s does not hold what was taken in of this recording",
				 h->call->segment);
	return RC_OK;
}

static enum rc render(struct hearing *h, struct error *err)
{
	enum rc rc = timeline_render(h->timeline, &h->summary, err);
	if (rc == RC_NOT_FOUND && h->summary.undecoded_streams)
		return error_set(err, RC_FAILED, "nothing to hear: no decoder for %s",
				 h->summary.undecoded);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "nothing to hear: no audio was recorded");
	return rc;
}

static enum rc hear(struct hearing *h, const struct seal_pair *audio, struct error *err)
{
	struct vault *v = h->q->v;
	enum rc rc =
		segment_keys(h->segment, h->call->slot, audio, &v->keys.metadata, &h->keys, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "the recording was destroyed");
	if (rc != RC_OK)
		return rc;
	(void)call_row_open(h->call, &h->keys);
	h->timeline = timeline_new();
	ASSERT(h->timeline);
	rc = hear_records(h, err);
	return rc == RC_OK ? render(h, err) : rc;
}

/* ---- out ----------------------------------------------------------------------------------------------------- */

/* SHA-256 of a regular file by its descriptor, which may be write-only; "" for a pipe. */
static void hash_file(int fd, uint64_t *bytes, char hex[65])
{
	struct stat st;
	char self[64];
	uint8_t digest[32];
	*bytes = 0;
	hex[0] = '\0';
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	*bytes = (uint64_t)st.st_size;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	int again = open(self, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, again, 0);
	close(again);
	if (p == MAP_FAILED)
		return;
	digest_sha256(digest, p, (size_t)st.st_size);
	keys_hex(hex, digest, sizeof digest);
	(void)munmap(p, (size_t)st.st_size);
}

static enum rc hand_out(struct hearing *h, const struct opening *o, struct error *err)
{
	const struct audio_summary *s = &h->summary;
	char sha256[65] = "", detail[160];
	uint64_t bytes = 0, from = (uint64_t)(o->at_s * s->rate);
	int tracks = o->track < 0 ? 2 : 1;
	enum track track = o->track == TRACK_CALLEE ? TRACK_CALLEE : TRACK_CALLER;
	if (from >= s->samples)
		return error_set(err, RC_USAGE, "at: the recording is %.1f s long",
				 (double)s->samples / s->rate);
	enum rc rc =
		o->play ? audio_play(h->timeline, s, tracks, track, from, NULL, err)
			: audio_write(h->timeline, s, o->fd, o->format, tracks, track, from, err);
	if (rc != RC_OK)
		return rc;
	if (!o->play)
		hash_file(o->fd, &bytes, sha256);
	snprintf(detail, sizeof detail, "bytes=%llu sha256=%s", (unsigned long long)bytes,
		 *sha256 ? sha256 : "none");
	rc = audit(h->q, o, &h->call->r.id, "done", o->play ? NULL : detail, err);
	if (rc != RC_OK)
		return rc;
	json_t *reply =
		json_pack("{s:f, s:I, s:i}", "seconds", (double)(s->samples - from) / s->rate,
			  "zero_us", (json_int_t)s->zero_us, "rate", (int)s->rate);
	ASSERT(reply);
	json_object_set_new(reply, "bytes", bytes ? json_integer((json_int_t)bytes) : json_null());
	json_object_set_new(reply, "sha256", call_json_text(sha256));
	json_object_set_new(reply, "undecoded", call_json_text(s->undecoded));
	requests_reply(h->q, reply);
	return RC_OK;
}

/* Everything after words and role. */
static enum rc open_recording(const struct request *q, const struct opening *o, struct hearing *h,
			      struct error *err)
{
	struct uuid id;
	struct seal_pair secret;
	char detail[128];
	enum rc rc = catalogue_find(q->v, o->id, &id, err);
	if (rc == RC_OK)
		rc = catalogue_get(q->v, &id, &h->call, err);
	if (rc == RC_OK)
		rc = check_policy(q, o, err);
	if (rc == RC_OK)
		rc = open_secret(q, o, &secret, err);
	if (rc != RC_OK)
		return rc;
	snprintf(detail, sizeof detail, "to=%s format=%s track=%s", o->play ? "device" : "file",
		 o->play ? "none" : format_names[o->format],
		 o->track < 0 ? "both" : track_names[o->track]);
	rc = audit(q, o, &id, "granted", detail, err);
	if (rc == RC_OK)
		rc = segments_open(q->v, h->call->segment, &h->segment, err);
	if (rc == RC_NOT_FOUND)
		rc = RC_DAMAGED;
	if (rc == RC_OK)
		rc = hear(h, &secret, err);
	forget_bytes(&secret, sizeof secret);
	if (rc == RC_OK)
		rc = hand_out(h, o, err);
	struct error second;
	if (rc != RC_OK &&
	    audit(q, o, &id, rc == RC_DAMAGED ? "damaged" : "failed", err->text, &second) != RC_OK)
		*err = second;
	return rc;
}

static enum rc replay(const struct request *q, const char *action, struct error *err)
{
	struct opening o;
	struct hearing *h = calloc(1, sizeof *h);
	ASSERT(h);
	h->q = q;
	enum rc rc = read_opening(q, action, &o, err);
	if (rc == RC_OK)
		rc = open_recording(q, &o, h, err);
	timeline_free(h->timeline);
	call_row_free(h->call);
	forget_bytes(h, sizeof *h);
	free(h);
	return rc;
}

enum rc req_replay_check(const struct request *q, struct error *err)
{
	struct opening o;
	return read_opening(q, "replay", &o, err);
}

enum rc req_replay(const struct request *q, struct error *err)
{
	return replay(q, "replay", err);
}

enum rc req_export_check(const struct request *q, struct error *err)
{
	struct opening o;
	return read_opening(q, "export", &o, err);
}

enum rc req_export(const struct request *q, struct error *err)
{
	return replay(q, "export", err);
}
