/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* names.c: what calls' states and the like are called, as the command line's contract spells
 * them. Any thread; a value outside its table (a record of a newer recorder) has the empty name.
 */
#include "store/store.h"

static const char *const state_names[] = {
	[CALL_TRYING] = "trying",
	[CALL_RINGING] = "ringing",
	[CALL_TALKING] = "talking",
	[CALL_ENDED] = "ended",
};

static const char *const outcome_names[] = {
	[OUTCOME_NONE] = "",
	[OUTCOME_ANSWERED] = "answered",
	[OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_FAILED] = "failed",
	[OUTCOME_UNANSWERED] = "unanswered",
};

static const char *const ended_by_names[] = {
	[ENDED_BY_NONE] = "",
	[ENDED_BY_CALLER] = "caller",
	[ENDED_BY_CALLEE] = "callee",
	[ENDED_BY_TIMEOUT] = "timeout",
	[ENDED_BY_CAPTURE_END] = "capture-end",
};

static const char *const direction_names[] = {
	[DIRECTION_UNKNOWN] = "unknown",
	[DIRECTION_INBOUND] = "inbound",
	[DIRECTION_OUTBOUND] = "outbound",
	[DIRECTION_INTERNAL] = "internal",
};

static const char *const track_names[] = {
	[TRACK_CALLER] = "caller",
	[TRACK_CALLEE] = "callee",
};

static const char *name_in(const char *const *names, size_t count, unsigned value)
{
	return value < count ? names[value] : "";
}

#define NAME_IN(names, value) name_in(names, sizeof(names) / sizeof(names)[0], (unsigned)(value))

const char *call_state_name(enum call_state s)
{
	return NAME_IN(state_names, s);
}

const char *call_outcome_name(enum call_outcome o)
{
	return NAME_IN(outcome_names, o);
}

const char *call_ended_by_name(enum call_ended_by e)
{
	return NAME_IN(ended_by_names, e);
}

const char *call_direction_name(enum call_direction d)
{
	return NAME_IN(direction_names, d);
}

const char *track_name(enum track t)
{
	return NAME_IN(track_names, t);
}

const char *protection_name(enum protection p)
{
	static const char *const names[PROTECTIONS] = {
		[PROTECTION_NONE] = "none",          [PROTECTION_SDES] = "srtp-sdes",
		[PROTECTION_NO_KEY] = "srtp-no-key", [PROTECTION_DTLS] = "dtls-srtp",
		[PROTECTION_ZRTP] = "zrtp",
	};
	return names[p];
}
