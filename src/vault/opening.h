/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* opening.h: the one way to a recording's audio.  Private to src/vault.
 *
 *   words right? -> role -> such a recording? -> purpose allowed by the policy? -> may it leave unprotected?
 *     -> the audio secret (the person's passphrase) -> audit entry, synced -> only now a chunk is unsealed
 *
 * A recording is all or nothing: a record altered, missing or out of the order in which it was taken in is damage,
 * not a gap.  While it is read, others have their turn now and then; where one of them has destroyed it, nothing of it leaves.
 */
#ifndef CALLSPAN_VAULT_OPENING_H
#define CALLSPAN_VAULT_OPENING_H

#include "audio/audio.h"
#include "vault/parts.h"

enum opening_format { FORMAT_WAV, FORMAT_FLAC, FORMAT_OPUS, FORMAT_PCAP };
/* How a file leaves the store: handover.h. */
enum opening_leaves { LEAVES_PLAIN, LEAVES_ZIP, LEAVES_CMS };

/* A stretch of which nothing is heard, in seconds of the recording. */
struct mute {
	unsigned tracks; /* bits 1 << track */
	double from_s, to_s;
};
#define MUTES 256

/* What was asked, words checked. */
struct opening {
	const char *action, *id, *reference, *purpose_name;
	int purpose;
	enum opening_format format;
	bool conceal;
	int track; /* -1: both */
	double at_s;
	bool play;
	int fd; /* -1: none */
	enum opening_leaves leaves;
	const char *password, *recipient; /* borrowed; NULL unless it leaves so */
	char recipient_sha256[65];        /* of the certificate, hex */
	struct mute mutes[MUTES];
	unsigned mutes_count;
};

/* A recording while it is open; borrowed by those who use it. */
struct opened {
	const struct request *q;
	const struct opening *o;
	struct call *
		call; /* owned by opening_run(); at the end with the media keys and digits of its records */
	struct segment *segment; /* owned by opening_run(), while chunks are read */
	struct call_keys keys;
	struct { /* the audit entry that grants it */
		uint64_t number;
		int64_t time_us;
		uint8_t hash[32];
		char policy[32], policy_hash[65]; /* the one in force then */
	} entry;
};

struct opening_use {
	void *ctx;
	/* One unsealed chunk of stream `s`, in order of the file; frames later than until_us (0: none) are not
	 * part of the call.  `body` is wiped after return. */
	enum rc (*chunk)(void *ctx, const struct stream_record *s, int64_t until_us,
			 const uint8_t *body, size_t len, struct error *err);
	/* A SIP message of the call; NULL: not wanted.  `m` is wiped after return. */
	enum rc (*signalling)(void *ctx, const struct signalling_record *m, struct error *err);
	/* All chunks were there and whole: hand out what came of them.  Where it has stepped out (turn.h): opening_check(). */
	enum rc (*finish)(void *ctx, const struct opened *x, struct error *err);
};

/* Read id, purpose and reference, and for what goes to a device or file (`target`) where to. */
enum rc opening_read(const struct request *q, const char *action, bool target, struct opening *o,
		     struct error *err) MUST_USE;

/* Everything after words and role.  `detail` goes into the audit entry. */
enum rc opening_run(const struct request *q, const struct opening *o, const char *detail,
		    const struct opening_use *use, struct error *err) MUST_USE;

/* One more audit entry of an opening. */
enum rc opening_audit(const struct opened *x, const char *outcome, const char *detail,
		      struct error *err) MUST_USE;

/* After others had their turn: is the recording still there, and may the asker still know of it?  RC_FAILED, RC_REFUSED. */
enum rc opening_check(const struct opened *x, struct error *err) MUST_USE;

/* Names by index, for the audit's detail. */
const char *opening_format_name(enum opening_format f);
const char *opening_track_name(int track);
const char *opening_leaves_name(enum opening_leaves l);

/* ---- mute.c: what is taken out of a recording ------------------------------------------------------------------ */

/* From a request's list of "SIDE:FROM-TO"; RC_USAGE names the one that is wrong. */
enum rc mute_read(const json_t *texts, struct mute mutes[MUTES], unsigned *count,
		  struct error *err) MUST_USE;
/* Does each begin within a recording of that length?  RC_USAGE otherwise. */
enum rc mute_fits(const struct mute *mutes, unsigned count, double seconds,
		  struct error *err) MUST_USE;
json_t *mute_json(const struct mute *mutes, unsigned count);
const char *mute_side(const struct mute *m);

/* ---- req_pcap.c ----------------------------------------------------------------------------------------------- */

/* Export what was captured as a capture file. */
enum rc pcap_export(const struct request *q, const struct opening *o, struct error *err) MUST_USE;

#endif
