/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_replay.c: replay to the sound device or a file, export to a file: opened chunks become a timeline, and that a file
 * or sound.  The file's bytes go to the caller's descriptor and nowhere else.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/opening.h"

struct hearing {
	struct timeline *timeline; /* owned */
	struct {
		uint16_t number;
		int index;
	} voices[512]; /* streams the timeline knows */
	size_t voices_count;
	struct audio_summary summary;
};

/* ---- from chunks to a timeline --------------------------------------------------------------------------------- */

/* A stream's index in the timeline; -1: the call has more streams than are heard together. */
static int voice_of(struct hearing *h, const struct stream_record *s, int64_t until_us)
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
	timeline_until(h->timeline, index, until_us);
	if (s->foreign)
		timeline_mute(h->timeline, index);
	h->voices[h->voices_count].number = s->stream;
	h->voices[h->voices_count++].index = index;
	return index;
}

static enum rc hear_chunk(void *ctx, const struct stream_record *s, int64_t until_us,
			  const uint8_t *body, size_t len, struct error *err)
{
	struct hearing *h = ctx;
	int voice = voice_of(h, s, until_us);
	if (voice < 0)
		return error_set(err, RC_FAILED, "the recording has too many streams");
	enum rc rc = timeline_chunk(h->timeline, voice, body, len);
	return rc == RC_FAILED ? error_set(err, rc, "not enough memory") : rc;
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

static enum rc give(struct hearing *h, const struct opened *x, uint64_t from, struct error *err)
{
	const struct opening *o = x->o;
	int tracks = o->track < 0 ? 2 : 1;
	enum track track = o->track == TRACK_CALLEE ? TRACK_CALLEE : TRACK_CALLER;
	if (o->play)
		return audio_play(h->timeline, &h->summary, tracks, track, from, x->q->who->stop,
				  err);
	return audio_write(h->timeline, &h->summary, o->fd, o->format, tracks, track, from, err);
}

static enum rc hand_out(void *ctx, const struct opened *x, struct error *err)
{
	struct hearing *h = ctx;
	const struct audio_summary *s = &h->summary;
	char sha256[65] = "", detail[160];
	enum rc rc = render(h, err);
	if (rc != RC_OK)
		return rc;
	uint64_t bytes = 0, from = (uint64_t)(x->o->at_s * s->rate);
	if (from >= s->samples)
		return error_set(err, RC_USAGE, "at: the recording is %.1f s long",
				 (double)s->samples / s->rate);
	if ((rc = give(h, x, from, err)) != RC_OK)
		return rc;
	if (!x->o->play)
		hash_file(x->o->fd, &bytes, sha256);
	snprintf(detail, sizeof detail, "bytes=%llu sha256=%s", (unsigned long long)bytes,
		 *sha256 ? sha256 : "none");
	rc = opening_audit(x, "done", x->o->play ? NULL : detail, err);
	if (rc != RC_OK)
		return rc;
	json_t *reply =
		json_pack("{s:f, s:I, s:i}", "seconds", (double)(s->samples - from) / s->rate,
			  "zero_us", (json_int_t)s->zero_us, "rate", (int)s->rate);
	ASSERT(reply);
	json_object_set_new(reply, "bytes", bytes ? json_integer((json_int_t)bytes) : json_null());
	json_object_set_new(reply, "sha256", call_json_text(sha256));
	json_object_set_new(reply, "undecoded", call_json_text(s->undecoded));
	requests_reply(x->q, reply);
	return RC_OK;
}

static enum rc replay(const struct request *q, const char *action, struct error *err)
{
	struct opening o;
	char detail[128];
	enum rc rc = opening_read(q, action, true, &o, err);
	if (rc != RC_OK)
		return rc;
	struct hearing *h = calloc(1, sizeof *h);
	ASSERT(h);
	h->timeline = timeline_new();
	ASSERT(h->timeline);
	snprintf(detail, sizeof detail, "to=%s format=%s track=%s", o.play ? "device" : "file",
		 o.play ? "none" : opening_format_name(o.format), opening_track_name(o.track));
	const struct opening_use use = { h, hear_chunk, hand_out };
	rc = opening_run(q, &o, detail, &use, err);
	timeline_free(h->timeline);
	free(h);
	return rc;
}

enum rc req_replay_check(const struct request *q, struct error *err)
{
	struct opening o;
	return opening_read(q, "replay", true, &o, err);
}

enum rc req_replay(const struct request *q, struct error *err)
{
	return replay(q, "replay", err);
}

enum rc req_export_check(const struct request *q, struct error *err)
{
	struct opening o;
	return opening_read(q, "export", true, &o, err);
}

enum rc req_export(const struct request *q, struct error *err)
{
	return replay(q, "export", err);
}
