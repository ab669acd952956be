/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* script.h: the messages of a call, and when each is due. */
#ifndef CALLSPAN_BENCH_LOAD_SCRIPT_H
#define CALLSPAN_BENCH_LOAD_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_STEPS   6
#define SCRIPT_TALK    3    /* after this step, the ACK, audio begins */
#define SCRIPT_TALK_MS 110  /* from INVITE to ACK */
#define SCRIPT_END_MS  30   /* from the end of the audio to the last message */
#define SCRIPT_MOST    1400 /* bytes of a message */

enum script_side { CALLER, CALLEE };

/* When: from the INVITE on, or from the end of the audio on. */
struct script_step {
	bool after_media;
	uint32_t offset_ms;
	enum script_side from;
	const char *request, *status; /* one of them */
	const char *method;
	unsigned cseq;
	bool sdp;
};
extern const struct script_step script_steps[SCRIPT_STEPS];

/* What a message says of its call. */
struct script_call {
	uint32_t line, call; /* `call` is of this call alone */
	uint64_t tag;        /* differs from seed to seed */
	uint32_t address[2];
	uint16_t port[2]; /* of the audio */
	bool tcp;
	const char *rtpmap; /* "PCMU/8000" */
	unsigned payload_type, ptime_ms;
};

/* Write the message of a step; gives its length, at most SCRIPT_MOST. */
size_t script_write(const struct script_call *c, unsigned step, char *to);

#endif
