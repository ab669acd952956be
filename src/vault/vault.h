/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* vault.h: the vault: what may be asked of recordings, and by whom.
 *
 * One library, one request interface: a request is a JSON object with a member "request" that names a row
 * of the table in requests.c; the reply is a stream of JSON objects and a verdict.  The command line calls it
 * in process where no service runs; else vault_serve() carries the same objects over a socket (docs/http.md).  Before a
 * request is answered, what recorders have written is ingested and closed segments are taken over.
 *
 * Requests (members besides "request"; * required) and what they reply:
 *   calls   party since until state outcome conversation limit direction codec class held min_duration max_duration
 *           min_mos max_mos before page
 *                                                                  one object per call, the contract's fields, newest last;
 *                                                                  limit: the newest so many (default 50, 0: all); party: a
 *                                                                  number, its last 9, 6 or 4 digits, a user part, or with
 *                                                                  since a pattern (* ?); durations in seconds, mos: of the
 *                                                                  voice that sounds worst; page: then one object more,
 *                                                                  {"next": what `before` takes for the calls before these,
 *                                                                  or null}
 *   show    id*                                                    one object, with more fields
 *   replay  id* purpose* reference* at track conceal mute passphrase play|fd
 *                                                                  audio to the device or as WAV to fd; then the same as export
 *   export  id* purpose* reference* format track conceal mute password|recipient passphrase fd*
 *                                                                  the file's bytes go to descriptor fd; then
 *                                                                  {"seconds","zero_us","rate","bytes","sha256","undecoded",
 *                                                                  "protection","recipient","manifest",
 *                                                                  "voices":[one object a track: how it sounds]},
 *                                                                  of a pcap with "packets" and "messages" instead of "rate",
 *                                                                  "undecoded" and "voices".  Plain into a pipe or device: bytes,
 *                                                                  sha256 and manifest are null
 *   verify-export  manifest*                                       {"entry":n,"audit":"found"}: signed by this vault, and so says
 *                                                                  its trail ("lost": that entry went with a damaged index)
 *   public-keys                                                    {"vault":{"pem","fingerprint"},"recorder":{...,"id"}}
 *   digits  id* purpose* reference* passphrase                     {"digits":[{"track","digits","from","presses":[{"time","digit",
 *                                                                  "duration_ms"}]}]}: from "signalling" (no presses) or "media"
 *   coverage since until gap                                       one object per answered (or remarked) call that is not whole or
 *                                                                  has a remark, oldest first: {"id","start","answer","end",
 *                                                                  "duration_ms","from","to","coverage","whole","loss_percent"};
 *                                                                  then {"summary":{...,"kinds","capture","verdict"}}
 *   fingerprint  id* purpose* reference* passphrase              {"streams":[{"track","ssrc","src","dst","payload_type","packets",
 *                                                                "payload_sha1"}]}: what was recorded, as a hash of each stream
 *   hold-add reason* reference* ids|party|conversation since until standing
 *                                                                  one hold: {"hold":"H-12","state","kind","standing","party",
 *                                                                  "since","until","conversation","reason","reference","calls",
 *                                                                  "by","added","release_asked_by","release_asked",
 *                                                                  "released_by","released","release_reason"}; ids is an array,
 *                                                                  since, until and standing are of a party's calls
 *   hold-release  hold* reason confirm passphrase                  the hold: "released", or "release-asked" where the policy
 *                                                                  wants two persons; the second confirms, with a passphrase
 *   hold-cancel-release  hold*                                     the hold, active again
 *   hold-list  all                                                 one object per hold that has not ended, oldest first
 *   hold-show  hold*                                               the hold, and "held_calls": [ids]
 *   backup  to* passphrase allow_cow                               the folder `to` (a full path) is made, or brought up to date: {"id",
 *                                                                  "path","made","tried","away","first","segments","copied","kept",
 *                                                                  "removed","bytes","unknown": segments there that are not
 *                                                                  here, and whose recordings nobody has destroyed; they stay}; a new
 *                                                                  one takes a passphrase
 *   backup-list                                                    one object a registered backup, with "reachable", and "pending" and
 *                                                                  "pending_matters": what it has not followed
 *   backup-forget  to* reason*                                     (nothing)
 *   request-open  kind* party* received* reference* since until requester note
 *   request-verify-identity  inquiry* how*        request-extend  inquiry* reason*        request-refresh  inquiry*
 *   request-assess  inquiry* id* decision* redact ground note      request-authorise  inquiry* passphrase
 *   request-close  inquiry* reason                                 request-refuse  inquiry* ground* reason*
 *                                                                  the request ("R-7") as it is then: {"inquiry","kind","state",
 *                                                                  "reference","received","due","overdue","extended","identified",
 *                                                                  "refusal","calls":{...},"party","requester","note","since","until"}
 *   request-fulfil  inquiry* id* play|fd format passphrase         as replay or export; kind sets the purpose, inquiry is the reference
 *   request-list  open overdue                                     one such object a request, oldest first
 *   request-show  inquiry*                                         the same with "steps", "recordings", "unseen" and "passphrase"
 *   sample count* since until group min_duration per_person seed purpose eligible
 *                                                                  one sample: {"sample":"S-3","by","drawn","purpose","count",
 *                                                                  "per_person","since","until","group","min_duration_s","seed",
 *                                                                  "eligible","lines","drawn_calls","calls":[{"id","present",
 *                                                                  "start","duration_ms","from","to","reviews"}]}; with eligible
 *                                                                  {"id"} for each call that could be drawn, and no draw
 *   sample-list                                                    one object per sample, without "calls"
 *   sample-show  sample*                                           the sample
 *   review-add  id* score* note* sample for days passphrase        one review: {"review":"V-9","call","score","by","added",
 *                                                                  "sample","for","until","may_hear","note"}; for: a member of
 *                                                                  staff who may hear the call for so many days (14)
 *   review-list  call person                                       one object per review, oldest first; staff: those for them
 *   review-show  review*                                           the review
 *   policy-show                                                    {"policy","hash","applied","retention":{"policy","hash",
 *                                                                  "classes":[{"class","days","months","default"}],"time_zone"},
 *                                                                  "retention_edited","grace_days","purposes":[{"purpose",
 *                                                                  "roles"}],"two_persons","plain_export",
 *                                                                  "max_share_percent","record":{...},"edited","fault"}: the
 *                                                                  periods that were applied, and those of the file (null: they
 *                                                                  are); is the file another than was read, was it wrong
 *   policy-check text                                              {"policy","from","to","applied","longer","shorter","same",
 *                                                                  "expired","held","unknown_class","recorder_running"}: what
 *                                                                  that policy (absent: policy.yaml as it was edited) makes of
 *                                                                  the lives of ended recordings
 *   policy-apply text hash dry_run yes                             the same, done; RC_FAILED and nothing changed when it shortens
 *                                                                  any without `yes`, or is not the policy of that hash
 *   status                                                         one object
 *   reindex                                                        {"calls":n,"segments":n}
 *   purge   dry_run verify yes                                     {"due","total_before","destroyed","absent","failed","held","bytes",
 *                                                                  "bytes_freed","segments_removed","segments_rewritten","until",
 *                                                                  "oldest","newest","by_class","stages_ms","report","searched",
 *                                                                  "traces"}; of a dry run {"dry_run","due","held","total","bytes",
 *                                                                  "until","by_class","would_refuse"}; RC_FAILED: a guard refuses
 *   erase   id* reason|confirm|cancel passphrase                   {"id","state": "erased", "asked" or "cancelled"}
 *   segment-write-off  segment* reason* yes                        {"segment","recordings","kept","unknown"}: one whose files are
 *                                                                  lost; RC_REFUSED: something keeps recordings of it, or no
 *                                                                  segment is there at all, and not `yes`
 *   verify  id                                                     one object per segment: {"segment","ok","what","state",...}, and
 *                                                                  when id one more: {"call","ok","what","attested","digest",...};
 *                                                                  RC_DAMAGED when any is not ok
 *   audit-list since until limit before person action call         one object per entry, oldest first; limit: the newest so many;
 *                                                                  before: of those with a smaller number; person, action:
 *                                                                  exactly this one ("": the system); call: an id or its beginning
 *   audit-verify head | heads line                                   {"entries","head","key","anchored","unanchored","missing",...}:
 *                                                                  the newest entry that the head given (or else the newest anchor)
 *                                                                  covers, and how many came after it; so many of the first
 *                                                                  entries were lost with a damaged index.  head: "NUMBER HASH" or
 *                                                                  "HASH"; heads: lines of a file of anchors, line: the number of the
 *                                                                  first.  RC_DAMAGED names the first fault
 *   audit-anchor                                                   signs the head; the same object
 *   audit-export  fd*                                              the trail for public tools (docs/audit.md) goes to fd; then
 *                                                                  {"entries","anchors","head","bytes","sha256"}
 *   person-add        person* role* scope new_passphrase passphrase  one object, as person-list has it
 *   person-role       person* role* scope new_passphrase passphrase  likewise; without scope everything is seen
 *   person-disable    person*                                        likewise
 *   person-enable     person*                                        likewise
 *   person-passphrase new_passphrase passphrase                      likewise: one's own, with the old one
 *   person-reset      person* new_passphrase passphrase              likewise: new_passphrase is theirs, passphrase the asker's
 *   person-list                                                      one object each: {"person","role","scope","disabled",
 *                                                                    "passphrase","audio","since","added_by","changed"}
 *   key-rotate        passphrase                                     {"resumed","segments","slots","unopened","damaged","people",
 *                                                                    "lost"}
 * Staff may ask for replay (to the device; purpose and reference may be left out), show, review-list and review-show, of what
 * was given to them.
 * `text` is a policy file's, at most 64 KiB; `dry_run` and `yes` are true or absent.
 * `at` is a number of seconds from the start, or "[[H:]M:]S"; `play` and `conceal` are true or absent; format wav, flac, opus
 * or pcap; `gap` is a percentage; track caller or callee; `mute` a list of "SIDE:FROM-TO" with times as in `at`, SIDE caller, callee
 * or both.  With `password` a ZIP (AES-256) goes to fd, with `recipient` (a certificate, PEM) a CMS envelope of a ZIP: the recording with
 * its manifest.  Of a plain file the manifest is in the reply: docs/disclosure.md.
 * `kind` is subject-access or authority; `decision` release, redact (with `redact`: ["SIDE:FROM-TO", ...]) or withhold (with
 * `ground`); `open` and `overdue` true or absent: docs/requests.md.
 * A member that a request does not know, or of another type, is RC_USAGE; a null one is absent.
 * RC_AGAIN, with the text "passphrase needed": nothing was opened and nothing audited; ask again with a passphrase.
 * With "new passphrase needed" it is new_passphrase that is wanted.  `scope` is "group:NAME,line:PATTERN,...".
 * Times are RFC 3339 strings or Unix microseconds (integers); ids full UUIDs or unique prefixes of >= 8 characters.
 */
#ifndef CALLSPAN_VAULT_H
#define CALLSPAN_VAULT_H

#include <jansson.h>
#include <sys/types.h>

#include "base/rc.h"
#include "store/store.h"

struct vault_init {
	const char *store;
	const char *policy;     /* a shipped profile's name or a file */
	const char *policy_dir; /* where profiles lie */
	const char *controller; /* Unix user name */
	const char *passphrase; /* NULL: unattended */
	bool allow_cow;         /* keys on a copy-on-write file system */
	uid_t recorder_uid;     /* owner of STORE/recorder; (uid_t)-1: whoever runs this */
};
/* Make a store.  RC_FAILED when it exists; nothing is left behind on failure. */
enum rc vault_init(const struct vault_init *cfg, struct error *err) MUST_USE;

struct vault_restore {
	const char *store;
	const char *backup;     /* folder of the backup */
	const char *passphrase; /* the backup's */
	const char *disposals;  /* a file of disposals that are to be carried out too; NULL: none */
	const char *person;     /* who does it: Unix user name */
	uid_t recorder_uid; /* owner of a STORE/recorder that is made; (uid_t)-1: whoever runs this */
	bool aside;         /* what is in its way gets another name */
	bool yes;           /* the purge goes past its guards */
	bool allow_cow;
	int64_t (*now_us)(void *ctx); /* as vault_set_clock(); NULL: the machine's */
	void *now_ctx;
};
struct vault_restored {
	int64_t made_us;          /* when the backup was made */
	uint64_t segments, bytes; /* copied */
	uint64_t disposals;       /* lines that the backup did not have */
	uint64_t purged;          /* recordings whose time had come meanwhile */
	uint64_t entries;         /* of the audit trail it goes on from */
	bool reindexed;
};
/* Make a store from a backup.  Nobody else opens it before all of it is done; cut short, it is done again.  RC_AGAIN, with
 * "passphrase needed"; RC_REFUSED: the passphrase is another. */
enum rc vault_restore(const struct vault_restore *cfg, struct vault_restored *out,
		      struct error *err) MUST_USE;

struct vault;
/* Opens index and secrets, waiting up to wait_ms for another process (RC_AGAIN: it is still in use). One line for: no store,
 * newer version, keys missing. */
enum rc vault_open(struct vault **out, const char *store, int wait_ms, struct error *err) MUST_USE;
void vault_close(struct vault *v);
struct vault_settings {
	const char *
		head_file; /* where anchors of the audit trail go too: a full path; NULL or "": nowhere */
	size_t cache_bytes; /* of the index, kept in memory; 0: little, as one request needs */
};
/* What a configuration says of the vault; copied.  RC_USAGE names what is wrong. */
enum rc vault_configure(struct vault *v, const struct vault_settings *s,
			struct error *err) MUST_USE;
/* Have the vault go by another clock (Unix microseconds) than the machine's. */
void vault_set_clock(struct vault *v, int64_t (*now_us)(void *ctx), void *ctx);

struct vault_caller {
	const char *person; /* Unix user name (SO_PEERCRED or the effective user's) */
	uid_t uid;
	const volatile int
		*stop; /* NULL, or borrowed: when it becomes true, what is playing ends */
	/* NULL, or called with the reply's ctx between pages of a long reply, while nobody else is kept waiting: it may
	 * block until the caller has taken what was given. */
	void (*rest)(void *ctx);
};

/* Called for each object of the reply (borrowed).  Return false to stop. */
typedef bool (*vault_reply)(void *ctx, const json_t *object);

enum rc vault_request(struct vault *v, const struct vault_caller *who, const json_t *request,
		      vault_reply reply, void *ctx, struct error *err) MUST_USE;

/* A file that was handed over, and whether it is still that; no store is needed. */
struct vault_inspect {
	/* A ZIP, or a file with its manifest beside it (PATH.manifest, manifest.txt). */
	const char *path;
	const char *password; /* of the ZIP, or NULL */
	const char *key;      /* the vault's public key, PEM; NULL: that in the manifest */
};
/* RC_DAMAGED with one line: it is not.  RC_AGAIN: the ZIP wants a password; RC_REFUSED: another one.  *out, owned by the
 * caller: {"kind":"file"|"zip","bytes","sha256","fingerprint" of the key that signed,"manifest":{...},"text" of it}. */
enum rc vault_inspect(const struct vault_inspect *in, json_t **out, struct error *err) MUST_USE;
/* The service: hold the store, and answer requests at a socket until *stop. */
#define VAULT_SOCKET "callspan.sock" /* in the store */
struct vault_serve {
	const char *store;
	const char *socket; /* its path; "": VAULT_SOCKET in the store */
	struct vault_settings settings;
	const volatile int *stop; /* set by a signal, which ends the waiting for callers */
	volatile int *reload;     /* the same, to have the policy read again; set back to 0 */
};
/* RC_OK: it was stopped.  RC_FAILED with one line: another service answers there, the store is in use or not to be opened. */
enum rc vault_serve(const struct vault_serve *cfg, struct error *err) MUST_USE;

/* What a name in a call's `coverage` means, for people. */
const char *vault_remark_prose(const char *name);

#endif
