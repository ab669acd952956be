/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* coverage.c: what of a call was seen and not recorded.
 *
 * The recorder's remarks come first, as it made them; what the call's streams tell is added: an answered call
 * without audio, one side of it, losses, codecs that this build cannot decode, ciphers without a key.  Worked out anew
 * each time, so that a codec that a later build decodes is no longer unknown.  On the vault's thread.
 */
#include <string.h>

#include "audio/audio.h"
#include "vault/parts.h"

/* clang-format off */
static const struct coverage_kind kinds[] = {
	{ "no-audio",         true,  "answered, and no audio was recorded" },
	{ "one-side",         true,  "the audio of one side only" },
	{ "gaps",             true,  "more of a voice was lost on its way than is allowed for" },
	{ "dropped",          true,  "audio was received and could not be stored" },
	{ "truncated",        true,  "packets were cut by the capture's snap length" },
	{ "srtp-no-key",      true,  "encrypted, and the key was not in sight; kept as sent" },
	{ "dtls-srtp",        true,  "encrypted with a key agreed in the media (DTLS); kept as sent" },
	{ "zrtp",             true,  "encrypted with a key agreed in the media (ZRTP); kept as sent" },
	{ "codec-unknown",    true,  "spoken in a codec that cannot be decoded here; kept as sent" },
	{ "mid-call",         true,  "the recording began in the middle of the call" },
	{ "recorder-stopped", true,  "the recorder stopped before the call ended" },
	{ "no-signalling",    true,  "media that no signalling explains: the parties are not known" },
	{ "media-after-bye",  false, "audio went on after the call was ended" },
	{ "foreign-media",    false, "audio came from elsewhere too; kept apart, not heard" },
	{ "relay-copy",       false, "the same audio was seen on both sides of a relay; kept once" },
	{ "excluded",         false, "not recorded, because the policy says so" },
	{ "excluded-part",    false, "recorded until a line came in that the policy never records" },
};
/* clang-format on */
#define KINDS (sizeof kinds / sizeof kinds[0])

#define STREAMS_MOST 64 /* looked through for each stream: no true call has more */

/* A remark of a newer recorder: told, and taken as a loss. */
static const struct coverage_kind unheard_of = { "other", true, "remarked by the recorder" };

const struct coverage_kind *coverage_kind(const char *name)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return &unheard_of;
}

const char *vault_remark_prose(const char *name)
{
	return coverage_kind(name)->prose;
}

const struct coverage_kind *coverage_kind_at(size_t i)
{
	return i < KINDS ? &kinds[i] : NULL;
}

bool coverage_has(const struct coverage *v, const char *name)
{
	for (unsigned i = 0; i < v->count; i++) {
		if (strcmp(v->names[i], name) == 0)
			return true;
	}
	return false;
}

static void remark(struct coverage *v, const char *name)
{
	if (*name && v->count < COVERAGE_NAMES && !coverage_has(v, name))
		v->names[v->count++] = name;
}

static bool holds(const struct stream_record *s, const struct stream_record *other)
{
	return other->ssrc == s->ssrc && other->track == s->track &&
	       memcmp(other->src.addr, s->src.addr, sizeof s->src.addr) == 0 &&
	       other->src.port == s->src.port && other->start_us >= s->start_us &&
	       other->end_us <= s->end_us;
}

/* On hold, and with early media, a sender numbers on while it speaks to someone else: what is not on the one flow is
 * on the other, and was not lost.  (What was sent to both would be more than was lost.) */
struct stream_record coverage_stream(const struct call *c, size_t i)
{
	struct stream_record s = c->streams[i];
	for (size_t k = 0; s.lost > 0 && k < c->streams_count && k < STREAMS_MOST; k++) {
		const struct stream_record *other = &c->streams[k];
		uint64_t sent = other->packets + other->events;
		if (k == i || !holds(&c->streams[i], other) || sent < other->packets ||
		    sent > s.lost)
			continue;
		s.lost -= sent;
		s.loss_runs = s.loss_runs < s.lost ? s.loss_runs : s.lost;
		s.loss_longest = s.loss_longest < s.lost ? s.loss_longest : s.lost;
	}
	return s;
}

double coverage_loss(const struct stream_record *s)
{
	uint64_t all = s->packets + s->lost;
	return all ? 100.0 * (double)s->lost / (double)all : 0;
}

/* What streams tell at any time. */
static void remark_streams(struct coverage *v, const struct call *c)
{
	for (size_t i = 0; i < c->streams_count; i++) {
		const struct stream_record *s = &c->streams[i];
		if (s->dropped)
			remark(v, "dropped");
		if (s->truncated)
			remark(v, "truncated");
		if (s->foreign && s->packets)
			remark(v, "foreign-media");
		if (s->relay_copies)
			remark(v, "relay-copy");
		if (s->protection >= PROTECTION_NO_KEY)
			remark(v, protection_name((enum protection)s->protection));
		if (s->packets && !audio_decodes(s))
			remark(v, "codec-unknown");
	}
}

/* What only the end of an answered call tells. */
static void remark_sides(struct coverage *v, const struct call *c, double gap_percent)
{
	bool side[2] = { false, false };
	for (size_t i = 0; i < c->streams_count; i++) {
		const struct stream_record s = coverage_stream(c, i);
		double loss = coverage_loss(&s);
		if (s.foreign || s.packets == 0) /* nobody's voice; a key press alone is no loss */
			continue;
		side[s.track & 1] |= s.packets > s.dropped;
		v->worst_loss = loss > v->worst_loss ? loss : v->worst_loss;
	}
	if (!side[0] && !side[1])
		remark(v, "no-audio");
	else if (!side[0] || !side[1])
		remark(v, "one-side");
	if (v->worst_loss > gap_percent)
		remark(v, "gaps");
}

void coverage_of(struct coverage *v, const struct call *c, double gap_percent)
{
	*v = (struct coverage){ .whole = true };
	for (uint32_t i = 0; i < c->r.coverage_count; i++)
		remark(v, c->r.coverage[i]);
	v->excluded = coverage_has(v, "excluded");
	if (v->excluded)
		return;
	remark_streams(v, c);
	if (c->r.state == CALL_ENDED && c->r.outcome == OUTCOME_ANSWERED)
		remark_sides(v, c, gap_percent);
	for (unsigned i = 0; i < v->count; i++)
		v->whole &= !coverage_kind(v->names[i])->loses;
}
