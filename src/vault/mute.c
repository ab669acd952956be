/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* mute.c: what is to be taken out of a recording, as people write it: SIDE:FROM-TO.
 *
 * A wrong number here lets somebody hear what was not for them, so nothing is guessed: 1:75 is no time, and a
 * stretch that begins where the recording has ended is an error.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/opening.h"

#define PARTS      3 /* hours, minutes, seconds */
#define DIGITS_MAX 9
#define SHOWN      80 /* of what is wrong */

static const struct {
	const char *name;
	unsigned tracks;
} sides[] = {
	{ "caller", 1u << TRACK_CALLER },
	{ "callee", 1u << TRACK_CALLEE },
	{ "both", 1u << TRACK_CALLER | 1u << TRACK_CALLEE },
};
#define SIDES (sizeof sides / sizeof sides[0])

const char *mute_side(const struct mute *m)
{
	size_t i = 0;
	while (i < SIDES && sides[i].tracks != m->tracks)
		i++;
	ASSERT(i < SIDES);
	return sides[i].name;
}

/* Digits, in the last part with a fraction; below 60 behind a colon. */
static bool read_part(const char *text, size_t len, bool last, bool first, double *out)
{
	char copy[2 * DIGITS_MAX + 2], *end;
	size_t whole = strspn(text, "0123456789");
	size_t fraction = whole < len && last && text[whole] == '.'
				  ? 1 + strspn(text + whole + 1, "0123456789")
				  : 0;
	if (whole == 0 || whole > DIGITS_MAX || whole + fraction != len || fraction == 1 ||
	    len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*out = strtod(copy, &end);
	return !*end && (first || *out < 60);
}

/* S, M:SS or H:MM:SS */
static bool read_time(const char *text, size_t len, double *seconds)
{
	double part;
	*seconds = 0;
	for (int i = 0; i < PARTS; i++) {
		const char *colon = memchr(text, ':', len);
		size_t n = colon ? (size_t)(colon - text) : len;
		if (!read_part(text, n, !colon, i == 0, &part))
			return false;
		*seconds = *seconds * 60 + part;
		if (!colon)
			return true;
		text = colon + 1;
		len -= n + 1;
	}
	return false;
}

static enum rc read_one(const char *text, struct mute *m, struct error *err)
{
	const char *colon = strchr(text, ':'), *dash = colon ? strchr(colon, '-') : NULL;
	m->tracks = 0;
	for (size_t i = 0; i < SIDES && colon; i++) {
		size_t len = strlen(sides[i].name);
		if (len == (size_t)(colon - text) && memcmp(text, sides[i].name, len) == 0)
			m->tracks = sides[i].tracks;
	}
	if (!m->tracks || !dash)
		return error_set(
			err, RC_USAGE,
			"mute \"%.*s\": SIDE:FROM-TO is wanted, SIDE caller, callee or both", SHOWN,
			text);
	if (!read_time(colon + 1, (size_t)(dash - colon - 1), &m->from_s) ||
	    !read_time(dash + 1, strlen(dash + 1), &m->to_s))
		return error_set(err, RC_USAGE,
				 "mute \"%.*s\": not two times (seconds, M:SS or H:MM:SS)", SHOWN,
				 text);
	if (m->to_s <= m->from_s)
		return error_set(err, RC_USAGE, "mute \"%.*s\": ends before it begins", SHOWN,
				 text);
	return RC_OK;
}

enum rc mute_read(const json_t *texts, struct mute mutes[MUTES], unsigned *count, struct error *err)
{
	size_t i;
	const json_t *text;
	*count = 0;
	if (!texts || json_is_null(texts))
		return RC_OK;
	if (!json_is_array(texts))
		return error_set(err, RC_USAGE, "mute: a list of SIDE:FROM-TO is wanted");
	if (json_array_size(texts) > MUTES)
		return error_set(err, RC_USAGE, "mute: more than %d stretches", MUTES);
	json_array_foreach(texts, i, text)
	{
		if (!json_is_string(text))
			return error_set(err, RC_USAGE, "mute: a list of SIDE:FROM-TO is wanted");
		enum rc rc = read_one(json_string_value(text), &mutes[i], err);
		if (rc != RC_OK)
			return rc;
		(*count)++;
	}
	return RC_OK;
}

enum rc mute_fits(const struct mute *mutes, unsigned count, double seconds, struct error *err)
{
	for (unsigned i = 0; i < count; i++) {
		if (mutes[i].from_s >= seconds)
			return error_set(err, RC_USAGE,
					 "mute: %s from %.3f s: the recording is %.3f s long",
					 mute_side(&mutes[i]), mutes[i].from_s, seconds);
	}
	return RC_OK;
}

json_t *mute_json(const struct mute *mutes, unsigned count)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(a,
				      json_pack("{s:s, s:f, s:f}", "side", mute_side(&mutes[i]),
						"from_s", mutes[i].from_s, "to_s", mutes[i].to_s));
	ASSERT(json_array_size(a) == count);
	return a;
}
