/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* known.h: what is known of a call for its record, kept small.
 *
 * A record as it is told (struct call_record) takes nearly 4 KiB: room for the longest texts, and for what few calls have.
 * An open call keeps its texts in one allocation, as long as they are, and has the rest when there is something in it.
 * Signalling thread.
 *
 *   texts ──► | call id \0 | from \0 | to \0 | ...
 *   extras ─► holds, remarks, media not recorded, digits    (NULL: none)
 *   keys ───► media keys                                    (NULL: none; wiped)
 */
#ifndef CALLSPAN_SIP_KNOWN_H
#define CALLSPAN_SIP_KNOWN_H

#include "sip/sdes.h"
#include "store/store.h"

enum known_text {
	KNOWN_CALL_ID,
	KNOWN_FROM,
	KNOWN_TO,
	KNOWN_FROM_NAME,
	KNOWN_TO_NAME,
	KNOWN_FROM_URI,
	KNOWN_TO_URI,
	KNOWN_DIVERTED_FROM,
	KNOWN_REFERRED_BY,
	KNOWN_TEXTS
};

#define KNOWN_HOLDS  16
#define KNOWN_OTHERS 8

struct known_extras {
	uint8_t holds_count, coverage_count, others_count;
	uint8_t others
		[KNOWN_OTHERS]; /* kinds of media not recorded (description_other_name), as they came */
	struct {
		int64_t from_us, to_us;
	} holds[KNOWN_HOLDS];
	const char *coverage[COVERAGE_MAX]; /* static */
	uint32_t dtmf_count;
	char digits[2][DIGITS]; /* by enum track */
	struct call_record
		*shown; /* owned by judgement.c: what is told instead of all this; NULL: this */
	uint32_t digit_cseq[2]; /* of the newest INFO or NOTIFY with digits, likewise */
};

struct known {
	struct uuid id, conversation;
	uint8_t state;     /* enum call_state */
	uint8_t outcome;   /* enum call_outcome */
	uint8_t ended_by;  /* enum call_ended_by */
	uint8_t direction; /* enum call_direction */
	uint32_t sip_status;
	int64_t ring_us, answer_us;
	char *texts;                 /* owned */
	struct known_extras *extras; /* owned */
	struct sdes_keys *keys;      /* owned */
};

/* All texts (borrowed until they are set again), "" where there is none; one of them. */
void known_texts(const struct known *k, const char *texts[KNOWN_TEXTS]);
const char *known_text(const struct known *k, enum known_text which);
/* Keep these instead; they may be among the ones there are. */
void known_set_texts(struct known *k, const char *const texts[KNOWN_TEXTS]);
void known_set_text(struct known *k, enum known_text which, const char *text);

/* What may be NULL, made if it is. */
struct known_extras *known_extras(struct known *k);
struct sdes_keys *known_keys(struct known *k);

/* Name something in the coverage, once (static): true when it was not there yet and there was room.  Take it back: true when it
 * was there. */
bool known_remark(struct known *k, const char *name);
bool known_unremark(struct known *k, const char *name);

/* Note a kind of media that is not recorded (description_other_name), once: true when it is new. */
bool known_other(struct known *k, uint8_t kind);

/* Fill a record (of zeros) with it. */
void known_tell(const struct known *k, struct call_record *r);

/* Free, and wipe, what it owns. */
void known_clear(struct known *k);

#endif
