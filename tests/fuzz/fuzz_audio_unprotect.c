/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_audio_unprotect.c: keys from a hostile SDP, frames from a hostile sender.
 *
 * The input is {u8 suite, u8 key length, u8 MKI length, u8 parameters}, then {u16 number, u8 extra, u8 padding, u16 length, bytes}
 * again and again.  A second key, of no authentication, lets what it likes through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/audio.h"
#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const suites[] = { "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32",
				      "AES_192_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80",
				      "AEAD_AES_128_GCM",        "AEAD_AES_256_GCM",
				      "F8_128_HMAC_SHA1_80",     "" };
static const char *const params[] = { "", "UNENCRYPTED_SRTP", "UNAUTHENTICATED_SRTP",
				      "UNENCRYPTED_SRTP UNAUTHENTICATED_SRTP" };

static void one_frame(struct unprotect *u, struct bytes *in, uint8_t *out)
{
	struct rtp_frame f = { .has_extra = true };
	f.sequence = 65536 + (uint64_t)bytes_u16_le(in) * 97;
	f.extra_len = bytes_u8(in);
	f.padding_len = bytes_u8(in);
	uint32_t len = bytes_u16_le(in);
	len = len < bytes_left(in) ? len : (uint32_t)bytes_left(in);
	f.extra = bytes_take(in, len);
	f.first_octet = len ? f.extra[0] : 0x80;
	f.extra_len = f.extra_len < len ? f.extra_len : len;
	f.padding_len = f.padding_len < len - f.extra_len ? f.padding_len : len - f.extra_len;
	f.payload = f.extra + f.extra_len;
	f.payload_len = len - f.extra_len - f.padding_len;
	f.wire_len = len;
	uint32_t got = 0;
	if (audio_unprotect(u, &f, out, &got) == UNPROTECT_OK)
		ASSERT(got <= 12 + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[RTP_PACKET_MAX];
	static const uint8_t lengths[] = { 30, 38, 46, 28, 44 };
	struct bytes in = bytes_over(data, size);
	struct sdes_key keys[2] = { { .from_us = 1 }, { .key_len = 30 } };
	snprintf(keys[0].suite, sizeof keys[0].suite, "%s", suites[bytes_u8(&in) % 8]);
	uint8_t length = bytes_u8(&in);
	keys[0].key_len = length < 200 ? lengths[length % 5] : length % (SDES_KEY + 1);
	keys[0].mki_len = bytes_u8(&in) % 129;
	uint8_t words = bytes_u8(&in);
	snprintf(keys[0].params, sizeof keys[0].params, "%s", params[words % 4]);
	snprintf(keys[1].suite, sizeof keys[1].suite, "%s", suites[0]);
	snprintf(keys[1].params, sizeof keys[1].params, "%s", params[3]);
	struct stream_record r = { .ssrc = 1 };
	struct unprotect *u = audio_unprotect_new(&r, keys, words & 4 ? 2 : 1);
	while (u && bytes_left(&in) > 6)
		one_frame(u, &in, out);
	audio_unprotect_free(u);
	return 0;
}
