/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_replay.c: replay to the sound device or a file, export to a file: opened chunks become a timeline, and that a file
 * or sound.  The file's bytes go to the caller's descriptor (handover.c) and nowhere else.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vault/handover.h"
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

/* What only the call record tells of the sound: its keys, and when nobody was to be heard. */
static void prepare(struct hearing *h, const struct opened *x)
{
	const struct call_record *r = &x->call->r;
	timeline_keys(h->timeline, r->sdes, r->sdes_count);
	timeline_conceal(h->timeline, x->o->conceal);
	for (unsigned i = 0; i < x->o->mutes_count; i++) {
		const struct mute *m = &x->o->mutes[i];
		timeline_silence(h->timeline, m->tracks, m->from_s, m->to_s);
	}
	for (uint32_t i = 0; i < r->holds_count; i++) {
		timeline_mark(h->timeline, r->holds[i].from_us, "hold");
		if (r->holds[i].to_us)
			timeline_mark(h->timeline, r->holds[i].to_us, "resume");
	}
}

static enum rc render(struct hearing *h, struct error *err)
{
	enum rc rc = timeline_render(h->timeline, &h->summary, err);
	if (rc == RC_NOT_FOUND && h->summary.undecrypted_streams &&
	    h->summary.undecrypted_streams == h->summary.undecoded_streams)
		return error_set(
			err, RC_FAILED,
			"nothing to hear: the audio is encrypted and its key is not known; "
			"export it as it was sent, with --format pcap");
	if (rc == RC_NOT_FOUND && h->summary.undecoded_streams)
		return error_set(err, RC_FAILED,
				 "nothing to hear: there is no decoder for %s; export it as it was "
				 "sent, with --format pcap",
				 h->summary.undecoded);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "nothing to hear: no audio was recorded");
	return rc;
}

/* ---- out ----------------------------------------------------------------------------------------------------- */

static const enum audio_format formats[] = {
	[FORMAT_WAV] = AUDIO_WAV, [FORMAT_FLAC] = AUDIO_FLAC, [FORMAT_OPUS] = AUDIO_OPUS
};

/* How each voice sounds. */
static json_t *voices_json(const struct audio_summary *s)
{
	json_t *a = json_array();
	for (unsigned t = 0; t < 2; t++) {
		json_t *o = json_pack(
			"{s:s, s:I, s:f, s:f, s:I, s:f, s:I, s:I}", "track",
			track_name((enum track)t), "frames", (json_int_t)s->frames[t], "gaps_s",
			(double)s->gaps_samples[t] / s->rate, "silent_share", s->silent[t],
			"clipped", (json_int_t)s->clipped[t], "concealed_s",
			(double)s->concealed_samples[t] / s->rate, "recovered",
			(json_int_t)s->recovered[t], "unauthentic", (json_int_t)s->unauthentic[t]);
		ASSERT(o);
		json_object_set_new(o, "level_dbfs",
				    isfinite(s->level_dbfs[t]) ? json_real(s->level_dbfs[t])
							       : json_null());
		json_array_append_new(a, o);
	}
	return a;
}

/* What is said of it beside what the file is. */
static json_t *told(const struct audio_summary *s, uint64_t from)
{
	json_t *o = json_pack("{s:f, s:I, s:i}", "seconds", (double)(s->samples - from) / s->rate,
			      "zero_us", (json_int_t)s->zero_us, "rate", (int)s->rate);
	ASSERT(o);
	json_object_set_new(o, "voices", voices_json(s));
	json_object_set_new(o, "undecoded", call_json_text(s->undecoded));
	return o;
}

/* The sound, and from which sample on it is wanted. */
static enum rc make_sound(struct hearing *h, const struct opened *x, uint64_t *from,
			  struct error *err)
{
	const struct audio_summary *s = &h->summary;
	enum rc rc = render(h, err);
	if (rc != RC_OK)
		return rc;
	double seconds = (double)s->samples / s->rate;
	*from = (uint64_t)(x->o->at_s * s->rate);
	if (*from >= s->samples)
		return error_set(err, RC_USAGE, "at: the recording is %.1f s long", seconds);
	return mute_fits(x->o->mutes, x->o->mutes_count, seconds, err);
}

/* To the device, or into the file at fd. */
static enum rc give(struct hearing *h, const struct opened *x, uint64_t from, int fd,
		    struct error *err)
{
	const struct opening *o = x->o;
	int tracks = o->track < 0 ? 2 : 1;
	enum track track = o->track == TRACK_CALLEE ? TRACK_CALLEE : TRACK_CALLER;
	if (o->play)
		return audio_play(h->timeline, &h->summary, tracks, track, from, x->q->who->stop,
				  err);
	ASSERT((size_t)o->format < sizeof formats / sizeof formats[0]);
	return audio_write(h->timeline, &h->summary, fd, formats[o->format], tracks, track, from,
			   err);
}

/* It was played, or is written: the audit trail takes it in, and the caller is told. */
static enum rc finish(struct hearing *h, const struct opened *x, uint64_t from,
		      struct handover *out, struct error *err)
{
	if (!x->o->play)
		return handover_finish(out, told(&h->summary, from), err);
	enum rc rc = opening_audit(x, "done", NULL, err);
	if (rc == RC_OK)
		requests_reply(x->q, told(&h->summary, from));
	return rc;
}

static enum rc hand_out(void *ctx, const struct opened *x, struct error *err)
{
	struct hearing *h = ctx;
	struct handover out = { .fd = -1 };
	uint64_t from = 0;
	prepare(h, x);
	enum rc rc = x->o->play ? RC_OK : handover_begin(&out, x, err);
	if (rc != RC_OK)
		return rc;
	/* All that was recorded is in the timeline now: decoding and playing, which take long, need nothing of the vault. */
	vault_step_out(x->q->v);
	rc = make_sound(h, x, &from, err);
	if (rc == RC_OK)
		rc = give(h, x, from, out.fd, err);
	if (rc == RC_OK && !x->o->play)
		handover_written(&out);
	vault_step_in(x->q->v);
	if (rc == RC_OK)
		rc = finish(h, x, from, &out, err);
	vault_step_out(x->q->v); /* there is much to wipe */
	handover_end(&out);
	timeline_free(h->timeline);
	h->timeline = NULL;
	vault_step_in(x->q->v);
	return rc;
}

static enum rc replay(const struct request *q, const struct opening *o, struct error *err)
{
	char detail[HANDOVER_DETAIL];
	struct hearing *h = calloc(1, sizeof *h);
	ASSERT(h);
	h->timeline = timeline_new();
	ASSERT(h->timeline);
	handover_detail(o, detail);
	const struct opening_use use = { .ctx = h, .chunk = hear_chunk, .finish = hand_out };
	enum rc rc = opening_run(q, o, detail, &use, err);
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
	struct opening o;
	enum rc rc = opening_read(q, "replay", true, &o, err);
	return rc == RC_OK ? replay(q, &o, err) : rc;
}

enum rc req_export_check(const struct request *q, struct error *err)
{
	struct opening o;
	return opening_read(q, "export", true, &o, err);
}

enum rc req_export(const struct request *q, struct error *err)
{
	struct opening o;
	enum rc rc = opening_read(q, "export", true, &o, err);
	if (rc != RC_OK)
		return rc;
	return o.format == FORMAT_PCAP ? pcap_export(q, &o, err) : replay(q, &o, err);
}
