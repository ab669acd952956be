/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* store.h: recordings on disk, from both sides.
 *
 * Writing: a `store_writer` takes calls, chunks and records, seals them and appends them to segments
 * under STORE/recorder.  It holds public keys and the recorder's signing key, and for each open call
 * the two keys it made for it; no key ever leaves it but sealed.
 * Reading: a `segment` gives a segment's records; `call_keys` opened from a slot decrypt them.
 * docs/segment-format.md is the format; records' bodies are protobuf messages of call.proto.
 */
#ifndef CALLSPAN_STORE_H
#define CALLSPAN_STORE_H

#include "base/counters.h"
#include "base/net.h"
#include "base/rc.h"
#include "base/uuid.h"
#include "store/index.h"
#include "store/policy.h"

struct work;

/* ---- layout of a store -------------------------------------------------------------- */

/* STORE/recorder/           the recorder's user: open segments and what it needs
 *   vault.pub                two X25519 public keys: audio, metadata (64 bytes, hex, two lines)
 *   sign.key, sign.pub       the recorder's Ed25519 key (hex), its public half; recorder id = first 8 bytes of
 *                            SHA-256 of the public half, hex
 *   NAME.seg, NAME.keys      segments; NAME = YYYYMMDDTHH-CLASS-SEGMENTID
 * STORE/vault/              the vault's user; out of the recorder's reach
 *   segments/                closed segments, moved here
 *   index/                   RocksDB
 *   secret/ people/ ...      keys
 * STORE/policy.yaml         the policy in force
 * STORE/VERSION             "callspan store 1\n" */
#define STORE_VERSION_LINE "callspan store 1\n"
#define STORE_PATH         4096

struct sign_pair;

/* RC_OK when `store` is a store of this version; else RC_FAILED and one line: no such store, not a
 * store, or made by a newer version. */
enum rc store_check_version(const char *store, struct error *err) MUST_USE;
/* Make STORE/recorder (0700) with vault.pub, sign.key (0600) and sign.pub, all synced.  STORE exists.
 * RC_FAILED when one of them exists already. */
enum rc store_recorder_init(const char *store, const uint8_t audio_public[32],
			    const uint8_t metadata_public[32], const struct sign_pair *sign,
			    struct error *err) MUST_USE;
enum rc store_read_vault_public(const char *store, uint8_t audio_public[32],
				uint8_t metadata_public[32], struct error *err) MUST_USE;
/* Replace vault.pub, synced; it is the folder's owner's again. */
enum rc store_renew_vault_public(const char *store, const uint8_t audio[32],
				 const uint8_t metadata[32], struct error *err) MUST_USE;
enum rc store_read_sign_public(const char *store, uint8_t sign_public[32],
			       struct error *err) MUST_USE;
/* The recorder's id: 16 hex digits of its public signing key's SHA-256. */
#define RECORDER_ID 17
void store_recorder_id(const uint8_t sign_public[32], char id[RECORDER_ID]);
/* Take the recorder's lock (STORE/recorder/lock): two callspands never share a store.  Gives a
 * descriptor to keep open while recording; RC_FAILED with one line when another holds it. */
enum rc store_recorder_lock(const char *store, int *fd, struct error *err) MUST_USE;

/* ---- what a recording holds: messages ------------------------------------------------ */

enum call_state { CALL_TRYING, CALL_RINGING, CALL_TALKING, CALL_ENDED };
enum call_outcome {
	OUTCOME_NONE,
	OUTCOME_ANSWERED,
	OUTCOME_CANCELLED,
	OUTCOME_FAILED,
	OUTCOME_UNANSWERED
};
enum call_ended_by {
	ENDED_BY_NONE,
	ENDED_BY_CALLER,
	ENDED_BY_CALLEE,
	ENDED_BY_TIMEOUT,
	ENDED_BY_CAPTURE_END
};
enum call_direction {
	DIRECTION_UNKNOWN,
	DIRECTION_INBOUND,
	DIRECTION_OUTBOUND,
	DIRECTION_INTERNAL
};
enum track { TRACK_CALLER = 0, TRACK_CALLEE = 1 };

/* Names as the command line's contract spells them; "" or NULL for NONE. */
const char *call_state_name(enum call_state s);
const char *call_outcome_name(enum call_outcome o);
const char *call_ended_by_name(enum call_ended_by e);
const char *call_direction_name(enum call_direction d);
const char *track_name(enum track t);

#define COVERAGE_MAX 16

#define SDES_MAX 8
#define SDES_KEY 46 /* bytes: the longest master key and salt (AES_256_CM, RFC 6188) */
#define DIGITS   64

/* A media key that SDP carried in clear (RFC 4568): of what `party` sends. */
struct sdes_key {
	int64_t from_us; /* when it was offered or answered */
	uint8_t party;   /* enum track */
	uint8_t key_len; /* master key and salt together */
	uint8_t mki_len; /* bytes of MKI in each packet, 0: none */
	uint8_t key[SDES_KEY];
	char suite[32];  /* "AES_CM_128_HMAC_SHA1_80", ... (RFC 4568, RFC 6188, RFC 7714) */
	char params[64]; /* session parameters, as written */
};

/* A call as signalling knows it.  Sent whole at every change; the newest counts.
 * Times are Unix microseconds of packet time, 0 when it did not happen. */
struct call_record {
	struct uuid id, conversation;
	char sip_call_id[256];
	char from[128], to[128];           /* number or user part */
	char from_name[128], to_name[128]; /* display names, UTF-8 or empty */
	char from_uri[256], to_uri[256];
	enum call_state state;
	enum call_outcome outcome;
	enum call_ended_by ended_by;
	enum call_direction direction;
	uint32_t sip_status; /* final status of the INVITE, 0: none */
	int64_t start_us, ring_us, answer_us, end_us;
	int64_t until_us;    /* nothing later is decoded; 0 while open */
	uint32_t dtmf_count; /* from signalling (INFO); streams count their own */
	char policy[65];     /* hex SHA-256 of the policy file */
	char recorder[17];   /* recorder id */
	bool imported;       /* read from a capture file */
	int64_t imported_us; /* wall clock at import, else 0 */
	bool retain_from_call;
	uint32_t holds_count;
	struct {
		int64_t from_us, to_us;
	} holds[16]; /* time on hold; to_us 0: still */
	uint32_t coverage_count;
	char coverage[COVERAGE_MAX][24]; /* "truncated", "codec-unknown", "srtp-no-key", ... */
	char diverted_from[128];         /* number or user part of Diversion or History-Info */
	char referred_by[128];           /* who transferred it here, number or user part */
	char other_media[64];            /* media lines not recorded: "video,message" */
	uint32_t sdes_count;
	struct sdes_key sdes[SDES_MAX];
	char digits[2][DIGITS]; /* in signalling, of caller and callee, where they are kept */
};

/* A SIP message of a call, where the policy keeps them. */
struct signalling_record {
	int64_t ts_us;
	struct endpoint src, dst;
	uint8_t transport; /* 17 UDP, 6 TCP */
	uint32_t len;
	const uint8_t *bytes; /* borrowed */
};

/* A stream's statistics: sent with its first chunk, about every 30 s, and at its end; the newest counts. */
struct stream_record {
	uint64_t call;   /* call number (below); not stored */
	uint16_t stream; /* stream number, unique in the call */
	uint8_t track;   /* enum track */
	uint8_t foreign; /* 1: from a foreign source, muted by default */
	uint32_t ssrc;
	struct endpoint src, dst;
	char codec[32]; /* the SDP's encoding name; "" when no SDP names it */
	char fmtp[64];  /* its format parameters, as the receiving party's SDP has them */
	uint8_t payload_types[8];
	uint32_t payload_types_count;
	uint32_t clock_rate; /* Hz */
	uint32_t channels;
	uint32_t ptime_ms; /* most usual time step; 0 unknown */
	uint64_t packets;  /* distinct RTP audio packets */
	uint64_t bytes;    /* audio payload bytes of those */
	uint64_t lost, late, duplicates, reordered;
	uint64_t events;          /* distinct telephone-events */
	uint64_t cut;             /* frames cut after the call's end, not in `packets` */
	uint64_t dropped;         /* frames received and not stored (no buffer, disk, oversize) */
	uint64_t truncated;       /* frames cut by the snap length */
	double jitter_ms;         /* RFC 3550 interarrival jitter at the end of the stream */
	int64_t start_us, end_us; /* first and last frame */
	int64_t until_us;         /* frames later than this are not part of the call; 0: all are */
	bool complete;            /* no frame dropped, none truncated */
	uint8_t protection;       /* enum protection */
	uint64_t relay_copies;    /* packets seen again on another flow of the call */
	uint64_t noise;           /* comfort noise packets (RFC 3389), of `packets` */
	uint64_t loss_runs;       /* gaps: runs of sequence numbers that never came */
	uint64_t loss_longest;    /* packets in the longest */
	/* from RTCP (RFC 3550, 6.4); 0: none seen */
	uint64_t sender_packets; /* what the sender says it sent, newest report */
	uint64_t reports;        /* reception reports about this stream */
	uint32_t remote_lost;    /* what the receiver says it lost, newest report */
	double remote_jitter_ms;
};

/* What is known of how a stream's payload is protected. */
enum protection {
	PROTECTION_NONE,
	PROTECTION_SDES,   /* SRTP, its key is in the call record */
	PROTECTION_NO_KEY, /* SRTP, keyed out of sight */
	PROTECTION_DTLS,   /* SRTP keyed by DTLS (RFC 5764) */
	PROTECTION_ZRTP    /* SRTP keyed by ZRTP (RFC 6189) */
};
#define PROTECTIONS 5
const char *protection_name(enum protection p);

/* ---- writing -------------------------------------------------------------------------- */

/* Record types; also the first byte of the nonce. */
enum record_type {
	RECORD_SLOT = 1,  /* plain: a call's id and the hash of its slot */
	RECORD_CHUNK = 2, /* sealed with the audio key */
	RECORD_CALL = 3,  /* sealed with the metadata key, as the next two */
	RECORD_STREAM = 4,
	RECORD_SIGNALLING = 5,
	RECORD_ATTEST = 6, /* plain, signed */
	RECORD_PAD = 7,    /* plain zeros up to a multiple of 4096 */
	RECORD_FOOTER = 8  /* plain: the table of records */
};

#define CHUNK_PAYLOAD 8192 /* bytes of frames a chunk holds */
#define CHUNK_TABLE   1024 /* bytes of frame records a chunk holds */
#define CHUNK_HEADER  40

/* A chunk on its way from a stream to a writer: the message and the audio in one pool buffer.
 * `body` is laid out as docs/segment-format.md says of a chunk body: header, table of
 * frame records, then the frames' bytes.  While the chunk is open, its parts lie apart (header, table, payload
 * each at its fixed place); rtp's chunk_close() has nothing to move: the writer gets three pieces. */
struct chunk {
	uint64_t call;    /* call number */
	uint64_t counter; /* of this stream, from 0, never reused */
	uint16_t stream;
	uint8_t track;
	uint8_t thread; /* capture thread that owns the buffer */
	uint32_t frames;
	uint32_t table_len;
	uint32_t payload_len;
	uint8_t header[CHUNK_HEADER];
	uint8_t table[CHUNK_TABLE];
	uint8_t payload[CHUNK_PAYLOAD];
};
#define CHUNK_BUFFER 9344 /* bytes of memory that a chunk takes: whole cache lines */
_Static_assert((sizeof(struct chunk) + 63) / 64 * 64 == CHUNK_BUFFER, "as a pool rounds it");

/* A call begins: the writer makes its keys, its slot and chooses its segment. */
struct store_open {
	uint64_t call; /* given by signalling, never used twice while a recorder runs */
	struct uuid id;
	int64_t start_us;   /* packet time: its hour names the segment */
	char retention[32]; /* retention class, [a-z0-9-] */
};

struct store_writer;
struct store_writer_config {
	const char *store;         /* borrowed for the call: STORE */
	unsigned writer_no;        /* several writers never share a segment */
	size_t segment_bytes;      /* a segment this large takes no new call */
	int64_t sync_ns;           /* group sync interval, wall clock */
	unsigned done_needed;      /* store_writer_done() calls that end a call: threads + 1 */
	struct counters *counters; /* borrowed */
	struct work *work;         /* borrowed: where the time goes; NULL: nobody asks */
};

/* Reads vault.pub and sign.key of STORE/recorder.  RC_FAILED with one line when the store is
 * missing, of another version, or lacks its keys. */
enum rc store_writer_new(struct store_writer **out, const struct store_writer_config *cfg,
			 struct error *err) MUST_USE;
/* Attest, footer and sync everything, then free.  RC_FAILED when something could not be written. */
enum rc store_writer_finish(struct store_writer *w, struct error *err) MUST_USE;

/* Each of these takes what it needs and borrows nothing after return.  Not enough disk is not an error of
 * theirs: chunks are dropped and counted, records wait. */
void store_writer_open(struct store_writer *w, const struct store_open *o);
void store_writer_chunk(struct store_writer *w, const struct chunk *c);
void store_writer_call(struct store_writer *w, uint64_t call, const struct call_record *r);
void store_writer_stream(struct store_writer *w, const struct stream_record *r);
/* A SIP message of the call, sealed as RECORD_SIGNALLING with the metadata key. */
void store_writer_signalling(struct store_writer *w, uint64_t call,
			     const struct signalling_record *r);
/* One of the threads that may send for this call sends no more.  The last one closes it. */
void store_writer_done(struct store_writer *w, uint64_t call);
/* Call often (at least every 200 ms): flushes to the kernel, group syncs when due, closes segments
 * whose hour has passed in packet time and whose calls have all ended, retries a full disk. */
void store_writer_tick(struct store_writer *w, int64_t mono_ns, int64_t packet_ns);
/* The recorder's id: 16 hex digits. */
const char *store_writer_recorder(const struct store_writer *w);
/* True when a call of this number is open (the recorder drains signalling's ring first when not). */
bool store_writer_knows(const struct store_writer *w, uint64_t call);

/* ---- records as bytes (protobuf, call.proto) ------------------------------------------ */

#define RECORD_BODY_MAX 16384
/* Bytes written to buf (RECORD_BODY_MAX is always enough). */
size_t call_record_pack(const struct call_record *r, uint8_t *buf);
size_t stream_record_pack(const struct stream_record *r, uint8_t *buf);
/* The head of a signalling record; the message's bytes follow it in the sealed body.  Unpacked `bytes` are borrowed
 * from buf. */
#define SIGNALLING_HEAD 64
size_t signalling_record_pack_head(const struct signalling_record *r, uint8_t buf[SIGNALLING_HEAD]);
bool signalling_record_unpack(struct signalling_record *r, const uint8_t *buf, size_t len);
bool call_record_unpack(struct call_record *r, const uint8_t *buf, size_t len);
bool stream_record_unpack(struct stream_record *r, const uint8_t *buf, size_t len);

/* ---- keys ------------------------------------------------------------------------------- */

#define KEY_BYTES  32
#define SLOTS_AT   4096 /* where they begin in a slot file */
#define SLOT_BYTES 256
/* Where its two sealed boxes begin. */
#define SLOT_AUDIO_AT    24
#define SLOT_METADATA_AT 140
bool slot_is_destroyed(const uint8_t slot[SLOT_BYTES]);

struct call_keys {
	uint8_t audio[KEY_BYTES], metadata[KEY_BYTES];
	bool has_audio, has_metadata;
};

/* An X25519 pair for sealing, an Ed25519 pair for signing. */
struct seal_pair {
	uint8_t public_key[32], secret_key[32];
	bool has_before; /* while keys are exchanged: the pair that opens what is not sealed anew yet */
	uint8_t before_public[32], before_secret[32];
};
struct sign_pair {
	uint8_t public_key[32], secret_key[64];
};
void seal_pair_new(struct seal_pair *p);
void sign_pair_new(struct sign_pair *p);
bool seal_pair_fits(const struct seal_pair *p); /* the halves are one another's */

/* Sealed boxes (libsodium): out has len + 48 bytes. */
#define SEAL_OVERHEAD 48
void seal_to(uint8_t *out, const uint8_t *in, size_t len, const uint8_t public_key[32]);
/* Two boxes of equal length for two keys, each as of seal_to(), made at three quarters of the cost: they share the pair that
 * is made for them, and with it their first 32 bytes. */
struct seal_box {
	uint8_t *out;
	const uint8_t *in, *public_key;
};
void seal_to_both(const struct seal_box *a, const struct seal_box *b, size_t len);
bool seal_open(uint8_t *out, const uint8_t *in, size_t len, const struct seal_pair *pair);

/* A secret under a passphrase: Argon2id (libsodium's MODERATE: 256 MiB, 3 passes; the parameters stand in
 * the box) and XChaCha20-Poly1305: u32 passes, u32 KiB, salt (16), nonce (24), ciphertext, tag (16).
 * out has PASSPHRASE_BOX(len) bytes. */
#define PASSPHRASE_BOX(len) ((len) + 64)
enum rc passphrase_seal(uint8_t *out, const uint8_t *in, size_t len, const char *passphrase,
			struct error *err) MUST_USE;
/* RC_REFUSED when the passphrase is wrong. */
enum rc passphrase_open(uint8_t *out, const uint8_t *in, size_t boxed_len, const char *passphrase,
			struct error *err) MUST_USE;

/* AES-256-GCM with a 32-byte key and a 12-byte nonce, for sealed index rows. out: len + 16. */
void gcm_seal(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[32],
	      const uint8_t nonce[12], const void *aad, size_t aad_len);
bool gcm_open(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[32],
	      const uint8_t nonce[12], const void *aad, size_t aad_len);
void sign_bytes(uint8_t sig[64], const void *data, size_t len, const struct sign_pair *pair);
bool sign_verify(const uint8_t sig[64], const void *data, size_t len, const uint8_t public_key[32]);
/* A public signing key as others read it: SubjectPublicKeyInfo in PEM (RFC 8410), three lines. */
#define SIGN_PEM 128
void sign_public_pem(const uint8_t public_key[32], char pem[SIGN_PEM]);
/* Base64 with padding (RFC 4648, 4). */
#define BASE64_TEXT(len) (((len) + 2) / 3 * 4 + 1)
void base64_encode(char *out, const uint8_t *bytes, size_t len);
#define BASE64_BYTES 256 /* that are read at the most */
bool base64_decode(uint8_t *out, size_t len,
		   const char *text); /* exactly `len` bytes, one way to write them */
void digest_sha256(uint8_t out[32], const void *data, size_t len);
void digest_sha1(uint8_t out[20], const void *data,
		 size_t len); /* to compare with others' tools; proves nothing */
void hmac_sha256(uint8_t out[32], const uint8_t key[32], const void *data, size_t len);
/* SHA-256 over bytes that come piece by piece. */
struct digest;
struct digest *digest_new(void); /* NULL: memory is short */
void digest_free(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
/* Gives the hash and begins anew. */
void digest_take(struct digest *d, uint8_t out[32]);
void random_bytes(void *out, size_t len);
void forget_bytes(void *p, size_t len); /* not optimised away */

/* ---- for others' tools (src/store/pem.c, envelope.c) ------------------------------------ */

/* An Ed25519 public key as others read it. */
#define PEM_BASE64 61
struct pem_key {
	char base64[PEM_BASE64]; /* its SubjectPublicKeyInfo (RFC 8410) in one line */
	char pem[SIGN_PEM];
	char fingerprint[65]; /* SHA-256 of `pem`, hex */
};
void pem_describe(struct pem_key *out, const uint8_t key[32]);
/* False: not such a key.  Of a text with several the first. */
bool pem_read_key(const char *text, uint8_t key[32]);
bool pem_read_base64(const char *text, uint8_t key[32]);

/* Is this (PEM) a certificate to which something can be sealed at that time?  Gives the SHA-256 of it in hex; RC_USAGE
 * with one line says why not.  Nothing is said of whose it is. */
enum rc envelope_check(const char *certificate, int64_t now_us, char fingerprint[65],
		       struct error *err) MUST_USE;
/* All of `from` (seekable) into `to`, as CMS AuthEnvelopedData (DER) for the holder of the certificate.  The descriptors are not
 * closed. */
enum rc envelope_seal(const char *certificate, int from, int to, struct error *err) MUST_USE;

/* ---- reading segments ------------------------------------------------------------------ */

/* One record of a segment.  `body` is borrowed from the segment. */
struct segment_record {
	uint64_t offset; /* of its header in the file */
	uint32_t type;   /* enum record_type */
	uint8_t track;
	uint16_t stream;
	uint32_t slot; /* which slot of the .keys file holds its call's keys */
	uint64_t counter;
	const uint8_t *body;
	uint32_t body_len;
	bool attested; /* an attest seen by segment_verify() covers it */
};

struct segment;

/* Map a segment and its slot file.  RC_DAMAGED when its header is not one of ours. */
enum rc segment_open(struct segment **out, const char *seg_path, struct error *err) MUST_USE;
void segment_close(struct segment *s);
const char *segment_name(const struct segment *s);
struct uuid segment_id(const struct segment *s);
/* Retention class of its calls. */
const char *segment_class(const struct segment *s);
/* The vault wrote it anew, and it is the vault's key that signs it. */
bool segment_is_rewritten(const struct segment *s);
/* True when the segment's writer still has it open (its lock is held). */
bool segment_is_live(const struct segment *s);

/* The record at *offset; advances it.  Start with segment_first().  RC_END at the valid end, which is the first
 * record that is not whole (torn by a crash) or the footer's end. */
uint64_t segment_first(const struct segment *s);
enum rc segment_next(struct segment *s, uint64_t *offset, struct segment_record *r) MUST_USE;

/* The next record of one call (its RECORD_SLOT too), in file order.  Start with *cursor = 0.  Uses the footer's table when
 * there is one, else looks at every header.  RC_END at the end, RC_DAMAGED when the table is wrong. */
enum rc segment_call_next(struct segment *s, uint32_t slot, uint64_t *cursor,
			  struct segment_record *r) MUST_USE;

/* What a RECORD_SLOT says; it stays when the slot is destroyed.  False: it is not one. */
bool segment_slot_record(const struct segment_record *r, struct uuid *call, int64_t *start_us);

struct slot {
	struct uuid call; /* nil: never used, or destroyed */
	bool destroyed;
	int64_t start_us;
	uint32_t number;
};
uint32_t segment_slots(const struct segment *s);
/* What slot `n` says in clear. */
enum rc segment_slot(struct segment *s, uint32_t n, struct slot *out, struct error *err) MUST_USE;
/* Open slot n's keys with whichever secrets are given (NULL: without it).  RC_DAMAGED when a given secret does not open it or
 * it names another call, RC_NOT_FOUND when it was destroyed. */
enum rc segment_keys(struct segment *s, uint32_t n, const struct seal_pair *audio,
		     const struct seal_pair *metadata, struct call_keys *out,
		     struct error *err) MUST_USE;
/* The metadata key of one slot, by the slot file (NAME.keys) alone: for a look at who spoke, where the segment is not
 * wanted.  RC_NOT_FOUND: no such file, or the slot was destroyed. */
enum rc segment_peek_key(const char *keys_path, uint32_t n, const struct seal_pair *metadata,
			 struct call_keys *out, struct error *err) MUST_USE;
/* ---- destroying (vault only) ----------------------------------------------------------- */

/* A slot that is to be destroyed, and whose it is (nil: whoever's). */
struct slot_end {
	uint32_t number;
	struct uuid call;
	bool destroyed; /* out: it is overwritten, on the disk, and was read back */
	bool foreign;   /* out: it is another's, or not there: left alone */
};
/* Overwrite slots in place (sorted by number), sync once, read back.  Done again, it does the same.  `was` (may be NULL)
 * has room for n slots and gets what they held.  RC_NOT_FOUND: there is no slot file; RC_DAMAGED: some slots are not there
 * or another call's; they are left alone, the others are destroyed. */
enum rc segment_destroy_slots(const char *seg_path, struct slot_end *slots, size_t n, uint8_t *was,
			      struct error *err) MUST_USE;
/* One slot, whoever's it is.  RC_NOT_FOUND: there is none of that number. */
enum rc segment_destroy_slot(const char *seg_path, uint32_t n, struct error *err) MUST_USE;
/* All slots from number n to the end of the file. */
enum rc segment_destroy_from(const char *seg_path, uint32_t n, struct error *err) MUST_USE;

/* What became of a segment that was written anew without its destroyed calls. */
struct segment_rewritten {
	uint64_t bytes, records;
	uint8_t last_attest[32]; /* SHA-256 of its body */
	uint32_t slots;
	uint64_t *first,
		*last; /* owned: offsets by slot of a call's first and last record; 0: none */
};
/* Write NAME.seg.new beside NAME.seg: the slot records of `s`, and all records of calls whose slot is not destroyed, byte for
 * byte, attested with the vault's key; synced.  `s` must have passed segment_verify(). */
enum rc segment_rewrite(struct segment *s, const char *seg_path, const struct sign_pair *sign,
			int64_t now_us, struct segment_rewritten *out, struct error *err) MUST_USE;
/* Put it in the place of NAME.seg: the slot file's head, then the name.  Done again, it does what is left to do. */
enum rc segment_rewrite_finish(const char *seg_path, const struct sign_pair *sign,
			       struct error *err) MUST_USE;
void segment_rewrite_free(struct segment_rewritten *r);

/* Seal in place what the pairs before opened to the pairs now (vault only; reseal.c).  Killed and done again, it goes on. */
struct reseal {
	struct seal_pair audio, metadata;
	const struct sign_pair *vault; /* signs NAME.reseal */
	unsigned *steps;               /* NULL, or of a test: RC_AGAIN after so many writes */
	uint64_t sealed, closed;       /* out, added up: slots sealed anew; that nothing opened */
};
enum rc segment_reseal(const char *seg_path, struct reseal *how, struct error *err) MUST_USE;
/* Have segment_verify() know of it. */
void segment_trust(struct segment *s, const char *seg_path, const uint8_t vault_public[32]);

/* Decrypt a sealed record's body into out (body_len - 16 bytes).  False: it was altered. */
bool segment_unseal(const struct segment *s, const struct segment_record *r,
		    const struct call_keys *keys, uint8_t *out);

/* What a walk over a whole segment found. */
struct segment_report {
	uint64_t records, chunks, attests;
	uint64_t valid_end;    /* bytes */
	uint64_t attested_end; /* bytes covered by a good attest */
	uint64_t file_bytes;
	uint32_t slots;
	bool footer; /* closed cleanly */
	bool damaged;
	char what[256]; /* the first damage found: names the offset and the record */
};

/* Check everything that can be checked without secrets: CRCs, attest chain and signatures by `sign_public`
 * (the enrolled recorder's key; of a rewritten segment the vault's), slots against RECORD_SLOT hashes, counters, the head noted in the slot
 * file, footer.  RC_DAMAGED with report->what filled when anything is wrong; a torn tail after a crash is
 * not damage. */
enum rc segment_verify(struct segment *s, const uint8_t sign_public[32],
		       struct segment_report *report) MUST_USE;

/* How far a segment that is still being written was found good: behind an attest.  All zero: not looked at yet. */
struct segment_mark {
	uint64_t end, attests; /* offset behind it; how many there were by then */
	uint32_t slots;
	uint8_t newest[32]; /* SHA-256 of its record */
};
/* Check what has come since `mark`, and move it to the newest good attest: what was checked is not read again.  For a live
 * segment; once it is closed, segment_verify() looks at all of it (a footer here has it done at once).  `report` counts what
 * is new. */
enum rc segment_verify_on(struct segment *s, const uint8_t sign_public[32],
			  struct segment_mark *mark, struct segment_report *report) MUST_USE;

#endif
