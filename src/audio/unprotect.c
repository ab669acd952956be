/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* unprotect.c: SRTP (RFC 3711, RFC 6188, RFC 7714) with keys from SDP (RFC 4568), by libsrtp2.
 *
 * Runs in the vault, at replay.  The packet is put together again as it was on the wire, and authenticated by each key of its
 * sender till one fits: first the one that fitted last, then the newest first.  What SDP does not say is
 * how often the sequence number had wrapped when recording began, nor whether a new key began to count anew: as long as a
 * key has never fitted, all likely counts are tried.
 *
 *     packet index = roll-over counter << 16 | sequence number
 *                    \\_ cycles of the recording's number + what had gone before
 */
#include <pthread.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio/audio.h"

#define RTP_HEADER    12
#define WRAPS_MAX     64  /* tried: at 50 packets a second, 23 hours of call */
#define SEARCHES      16  /* frames for which all wraps are tried, and then ... */
#define SEARCH_EVERY  256 /* ... for one in so many */
#define REPLAY_WINDOW 4096
#define TRAILER_MAX   (SRTP_MAX_TRAILER_LEN + 128)

/* ---- crypto-suites ------------------------------------------------------------------------------------- */

struct suite {
	const char *name;
	uint8_t key_len; /* master key and salt */
	void (*policy)(srtp_crypto_policy_t *p);
	void (*clear)(srtp_crypto_policy_t *p);  /* with UNENCRYPTED_SRTP */
	void (*unsure)(srtp_crypto_policy_t *p); /* with UNAUTHENTICATED_SRTP */
};

/* clang-format off */
static const struct suite suites[] = {
	{ "AES_CM_128_HMAC_SHA1_80", 30, srtp_crypto_policy_set_rtp_default,
	  srtp_crypto_policy_set_null_cipher_hmac_sha1_80, srtp_crypto_policy_set_aes_cm_128_null_auth },
	{ "AES_CM_128_HMAC_SHA1_32", 30, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
	  srtp_crypto_policy_set_null_cipher_hmac_sha1_80, srtp_crypto_policy_set_aes_cm_128_null_auth },
	{ "AES_192_CM_HMAC_SHA1_80", 38, srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80,
	  NULL, srtp_crypto_policy_set_aes_cm_192_null_auth },
	{ "AES_192_CM_HMAC_SHA1_32", 38, srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32,
	  NULL, srtp_crypto_policy_set_aes_cm_192_null_auth },
	{ "AES_256_CM_HMAC_SHA1_80", 46, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
	  NULL, srtp_crypto_policy_set_aes_cm_256_null_auth },
	{ "AES_256_CM_HMAC_SHA1_32", 46, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
	  NULL, srtp_crypto_policy_set_aes_cm_256_null_auth },
	{ "AEAD_AES_128_GCM", 28, srtp_crypto_policy_set_aes_gcm_128_16_auth,
	  srtp_crypto_policy_set_aes_gcm_128_16_auth, NULL },
	{ "AEAD_AES_256_GCM", 44, srtp_crypto_policy_set_aes_gcm_256_16_auth,
	  srtp_crypto_policy_set_aes_gcm_256_16_auth, NULL },
};
/* clang-format on */

/* SDP written before RFC 6188 has the bits behind, as in AES_CM_256. */
static const char *const spellings[][2] = {
	{ "AES_CM_256_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80" },
	{ "AES_CM_256_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_32" },
	{ "AES_CM_192_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_80" },
	{ "AES_CM_192_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_32" },
};

static const struct suite *suite_named(const char *name)
{
	for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
		if (strcasecmp(name, spellings[i][0]) == 0)
			name = spellings[i][1];
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		if (strcasecmp(name, suites[i].name) == 0)
			return &suites[i];
	return NULL;
}

/* A word among the session parameters. */
static bool has_word(const char *params, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = params; *at;) {
		at += strspn(at, " \t");
		size_t n = strcspn(at, " \t");
		if (n == len && strncasecmp(at, word, len) == 0)
			return true;
		at += n;
	}
	return false;
}

/* False: the key is of no use here.  Deriving keys anew (KDR) is what no library does. */
static bool key_policy(const struct sdes_key *k, srtp_crypto_policy_t *p)
{
	const struct suite *s = suite_named(k->suite);
	if (!s || k->key_len != s->key_len || strcasestr(k->params, "KDR="))
		return false;
	bool clear = has_word(k->params, "UNENCRYPTED_SRTP");
	bool unsure = has_word(k->params, "UNAUTHENTICATED_SRTP");
	if (clear && unsure) {
		srtp_crypto_policy_set_null_cipher_hmac_null(p);
		return true;
	}
	void (*set)(srtp_crypto_policy_t *) = clear ? s->clear : unsure ? s->unsure : s->policy;
	if (!set)
		return false;
	set(p);
	if (clear && s->key_len == 30 && strcasestr(s->name, "SHA1_32"))
		p->auth_tag_len = 4;
	if (clear && (s->key_len == 28 || s->key_len == 44))
		p->sec_serv = sec_serv_auth;
	return true;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

struct key {
	struct sdes_key sdes;
	srtp_crypto_policy_t policy;
	srtp_t session; /* owned; NULL: not begun, or the library would not */
	bool fits;      /* it has authenticated a frame; until then the session knows of none */
	uint32_t wraps; /* to be added to the recording's, modulo 2^32 */
	uint64_t frames_tried;
};

struct unprotect {
	struct key keys[SDES_MAX];
	uint32_t keys_count, last; /* the one that fitted last */
	uint32_t ssrc;
	uint8_t work[RTP_PACKET_MAX + TRAILER_MAX];
};

/* The library is begun once, by whoever comes first. */
static bool ready;

static void begin_library(void)
{
	ready = srtp_init() == srtp_err_status_ok;
}

static bool library_ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	return pthread_once(&once, begin_library) == 0 && ready;
}

static int newest_first(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	return x->sdes.from_us > y->sdes.from_us ? -1 : x->sdes.from_us < y->sdes.from_us;
}

struct unprotect *audio_unprotect_new(const struct stream_record *r, const struct sdes_key *keys,
				      uint32_t count)
{
	struct unprotect *u = calloc(1, sizeof *u);
	if (!u)
		return NULL;
	u->ssrc = r->ssrc;
	for (uint32_t i = 0; i < count && library_ready() && u->keys_count < SDES_MAX; i++) {
		struct key *k = &u->keys[u->keys_count];
		if (keys[i].party != r->track || !key_policy(&keys[i], &k->policy))
			continue;
		k->sdes = keys[i];
		u->keys_count++;
	}
	qsort(u->keys, u->keys_count, sizeof *u->keys, newest_first);
	return u;
}

void audio_unprotect_free(struct unprotect *u)
{
	if (!u)
		return;
	for (uint32_t i = 0; i < u->keys_count; i++)
		if (u->keys[i].session)
			srtp_dealloc(u->keys[i].session);
	explicit_bzero(u, sizeof *u);
	free(u);
}

static srtp_t session_new(struct unprotect *u, struct key *k)
{
	srtp_policy_t policy = { 0 };
	srtp_t session = NULL;
	policy.ssrc.type = ssrc_specific;
	policy.ssrc.value = u->ssrc;
	policy.rtp = k->policy;
	policy.rtcp = k->policy;
	policy.key = k->sdes.key;
	policy.window_size = REPLAY_WINDOW;
	return srtp_create(&session, &policy) == srtp_err_status_ok ? session : NULL;
}

/* ---- packets ------------------------------------------------------------------------------------------- */

static void put_high_first(uint8_t *to, uint32_t value, int bytes)
{
	for (; bytes > 0; value >>= 8)
		to[--bytes] = (uint8_t)value;
}

uint32_t audio_packet(const struct rtp_frame *f, uint32_t ssrc, uint8_t out[RTP_PACKET_MAX])
{
	const uint8_t *stored = f->has_extra ? f->extra : f->payload;
	uint32_t len = f->payload_len + (f->has_extra ? f->extra_len + f->padding_len : 0);
	ASSERT(len <= RTP_PACKET_MAX - RTP_HEADER);
	out[0] = f->has_extra ? f->first_octet : 0x80;
	out[1] = (uint8_t)((f->marker ? 0x80 : 0) | f->payload_type);
	put_high_first(out + 2, (uint32_t)f->sequence & 0xffff, 2);
	put_high_first(out + 4, f->timestamp, 4);
	put_high_first(out + 8, ssrc, 4);
	memcpy(out + RTP_HEADER, stored, len);
	return RTP_HEADER + len;
}

/* The identifier of the master key stands before the tag of HMAC, which does not cover it, and behind that of GCM (RFC 7714,
 * 8.2): it is taken out.  False: the packet has no room for it. */
static bool drop_mki(const struct key *k, uint8_t *packet, uint32_t *len)
{
	bool gcm = k->sdes.key_len == 28 || k->sdes.key_len == 44;
	uint32_t mki = k->sdes.mki_len, tag = gcm ? 0 : (uint32_t)k->policy.auth_tag_len;
	if (mki == 0)
		return true;
	if (*len < RTP_HEADER + mki + tag)
		return false;
	memmove(packet + *len - mki - tag, packet + *len - tag, tag);
	*len -= mki;
	return true;
}

static enum unprotect_verdict unprotect_with(struct unprotect *u, struct key *k,
					     const struct rtp_frame *f, uint32_t wraps,
					     uint8_t *out, uint32_t *len)
{
	uint32_t n = audio_packet(f, u->ssrc, u->work);
	if (!drop_mki(k, u->work, &n))
		return UNPROTECT_FAILED;
	int signed_len = (int)n;
	srtp_set_stream_roc(k->session, u->ssrc, (uint32_t)(f->sequence >> 16) - 1 + wraps);
	switch (srtp_unprotect(k->session, u->work, &signed_len)) {
	case srtp_err_status_ok: break;
	case srtp_err_status_replay_fail:
	case srtp_err_status_replay_old: return UNPROTECT_AGAIN;
	default: return UNPROTECT_FAILED;
	}
	*len = (uint32_t)signed_len;
	memcpy(out, u->work, *len);
	return UNPROTECT_OK;
}

/* A key that has never fitted: with each count of wraps. */
static enum unprotect_verdict first_fit(struct unprotect *u, struct key *k,
					const struct rtp_frame *f, uint8_t *out, uint32_t *len)
{
	bool search = k->frames_tried < SEARCHES || k->frames_tried % SEARCH_EVERY == 0;
	if (k->frames_tried++ == 0)
		k->session = session_new(u, k);
	uint32_t counted = (uint32_t)(f->sequence >> 16) - 1;
	for (uint32_t i = 0; k->session && i < (search ? WRAPS_MAX : 1); i++) {
		uint32_t wraps = i == 0 ? 0 : i - 1 - counted;
		if (unprotect_with(u, k, f, wraps, out, len) != UNPROTECT_OK)
			continue;
		k->fits = true;
		k->wraps = wraps;
		return UNPROTECT_OK;
	}
	return UNPROTECT_FAILED;
}

static enum unprotect_verdict fit(struct unprotect *u, uint32_t key, const struct rtp_frame *f,
				  uint8_t *out, uint32_t *len)
{
	struct key *k = &u->keys[key];
	return k->fits ? unprotect_with(u, k, f, k->wraps, out, len) : first_fit(u, k, f, out, len);
}

enum unprotect_verdict audio_unprotect(struct unprotect *u, const struct rtp_frame *f,
				       uint8_t out[RTP_PACKET_MAX], uint32_t *len)
{
	uint32_t stored = f->extra_len + f->payload_len + f->padding_len;
	enum unprotect_verdict v = UNPROTECT_FAILED;
	if (u->keys_count == 0 || f->wire_len > stored)
		return UNPROTECT_FAILED;
	if (u->keys[u->last].fits)
		v = fit(u, u->last, f, out, len);
	for (uint32_t i = 0; i < u->keys_count && v == UNPROTECT_FAILED; i++) {
		if (i == u->last && u->keys[i].fits)
			continue;
		v = fit(u, i, f, out, len);
		u->last = v == UNPROTECT_OK ? i : u->last;
	}
	return v;
}
