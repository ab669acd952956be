/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_codecs.c: what each codec's own encoder said is heard again, packet by packet.
 *
 * Tones are encoded, recorded and rendered.  The figures in dB are the tone's power over that of everything else; they are
 * stated a little below what was measured.
 */
#include "codec_help.h"

#include <dlfcn.h>
#include <opencore-amrnb/interf_enc.h>
#include <spandsp.h>
#include <speex/speex.h>

#include "audio/codecs.h"

/* ---- waveform codecs ------------------------------------------------------------------------------ */

static void g722_is_heard_at_its_own_rate(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("G722", 9, 8000);
	struct said s = begin(&r, 160);
	g722_encode_state_t *e = g722_encode_init(NULL, 64000, 0);
	int16_t pcm[320 * PACKETS];
	tone(pcm, 320 * PACKETS, HZ, 16000);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t payload[160];
		assert_int_equal(g722_encode(e, payload, pcm + 320 * i, 320), 160);
		said_type(&s, 9, payload, sizeof payload);
	}
	g722_encode_free(e);
	struct heard h = hear_tone(&s, 16000, 54.0);
	done(&s, &h);
}

static void g726_is_heard_in_both_packings_and_all_rates(void **ctx)
{
	(void)ctx;
	static const double at_least_db[] = { 0, 0, 21.0, 34.0, 43.0, 48.0 };
	int16_t pcm[160 * PACKETS];
	tone(pcm, 160 * PACKETS, HZ, 8000);
	for (int bits = 2; bits <= 5; bits++) {
		for (int aal2 = 0; aal2 < 2; aal2++) {
			char name[24];
			snprintf(name, sizeof name, "%sG726-%d", aal2 ? "AAL2-" : "", 8 * bits);
			struct stream_record r = stream_of(name, DYNAMIC, 8000);
			struct said s = begin(&r, 160);
			g726_state_t *e = g726_init(NULL, 8000 * bits, G726_ENCODING_LINEAR,
						    aal2 ? G726_PACKING_LEFT : G726_PACKING_RIGHT);
			for (int i = 0; i < PACKETS; i++) {
				uint8_t payload[160];
				int n = g726_encode(e, payload, pcm + 160 * i, 160);
				assert_int_equal(n, 20 * bits);
				said(&s, payload, (size_t)n);
			}
			g726_free(e);
			struct heard h = hear_tone(&s, 8000, at_least_db[bits]);
			done(&s, &h);
		}
	}
}

/* Phones that pack G.726 in the one way and say the other. */
static void g726_is_heard_as_it_is_packed_whatever_sdp_says(void **ctx)
{
	(void)ctx;
	static const double hz[] = { 200.0, 440.0, 1000.0, 1700.0 };
	for (int bits = 3; bits <= 5; bits++) {
		for (int i = 0; i < 8; i++) {
			int16_t pcm[160 * PACKETS];
			char name[24];
			bool aal2 = i % 2;
			tone(pcm, 160 * PACKETS, hz[i / 2], 8000);
			snprintf(name, sizeof name, "%sG726-%d", aal2 ? "AAL2-" : "", 8 * bits);
			struct stream_record r = stream_of(name, DYNAMIC, 8000);
			struct said s = begin(&r, 160);
			g726_state_t *e = g726_init(NULL, 8000 * bits, G726_ENCODING_LINEAR,
						    aal2 ? G726_PACKING_RIGHT : G726_PACKING_LEFT);
			for (int k = 0; k < PACKETS; k++) {
				uint8_t payload[160];
				int n = g726_encode(e, payload, pcm + 160 * k, 160);
				said(&s, payload, (size_t)n);
			}
			g726_free(e);
			struct heard h = render(s.timeline);
			double db = tone_over_rest_db(h.track[0] + 1600, 160 * PACKETS - 1600,
						      hz[i / 2], 8000);
			print_message("#   %s, %.0f Hz: %.1f dB\n", name, hz[i / 2], db);
			assert_true(db > 15.0);
			done(&s, &h);
		}
	}
}

static void gsm_is_heard(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("GSM", 3, 8000);
	struct said s = begin(&r, 160);
	gsm0610_state_t *e = gsm0610_init(NULL, GSM0610_PACKING_VOIP);
	int16_t pcm[160 * PACKETS];
	tone(pcm, 160 * PACKETS, HZ, 8000);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t payload[33];
		assert_int_equal(gsm0610_encode(e, payload, pcm + 160 * i, 160), 33);
		said_type(&s, 3, payload, sizeof payload);
	}
	gsm0610_free(e);
	struct heard h = hear_tone(&s, 8000, 28.0);
	done(&s, &h);
}

/* Left and right are heard as one, each with half its power. */
static void l16_is_exact_and_stereo_is_mixed(void **ctx)
{
	(void)ctx;
	for (uint32_t channels = 1; channels <= 2; channels++) {
		struct stream_record r = stream_of("L16", DYNAMIC, 16000);
		r.channels = channels;
		struct said s = begin(&r, 320);
		int16_t pcm[320 * PACKETS];
		tone(pcm, 320 * PACKETS, HZ, 16000);
		for (int i = 0; i < PACKETS; i++) {
			uint8_t payload[4 * 320], *to = payload;
			for (int k = 0; k < 320; k++) {
				for (uint32_t c = 0; c < channels; c++) {
					int value = pcm[320 * i + k] +
						    (channels == 2 ? (c ? 100 : -100) : 0);
					*to++ = (uint8_t)((unsigned)value >> 8);
					*to++ = (uint8_t)value;
				}
			}
			said(&s, payload, (size_t)(to - payload));
		}
		struct heard h = hear_tone(&s, 16000, 80.0);
		assert_memory_equal(h.track[0], pcm, sizeof pcm);
		done(&s, &h);
	}
}

/* ---- Opus ----------------------------------------------------------------------------------------- */

static void opus_is_heard_mono_and_stereo(void **ctx)
{
	(void)ctx;
	for (int channels = 1; channels <= 2; channels++) {
		struct stream_record r = stream_of("opus", DYNAMIC, 48000);
		r.channels = 2; /* as RFC 7587 wants it said, whatever is sent */
		struct said s = begin(&r, 960);
		int16_t mono[960 * PACKETS], *pcm = calloc(960 * PACKETS, 4);
		assert_non_null(pcm);
		tone(mono, 960 * PACKETS, HZ, 48000);
		for (int i = 0; i < 960 * PACKETS * channels; i++)
			pcm[i] = mono[i / channels];
		opus_says(&s, opus_sender(channels, 48000), pcm, channels, PACKETS);
		struct heard h = hear_tone(&s, 48000, 25.0);
		done(&s, &h);
		free(pcm);
	}
}

static void several_opus_frames_come_in_one_packet(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("opus", DYNAMIC, 48000);
	struct said s = begin(&r, 960 * 3);
	OpusEncoder *e = opus_sender(1, 32000);
	OpusRepacketizer *all = opus_repacketizer_create();
	int16_t pcm[960];
	for (int i = 0; i < 30; i++) {
		uint8_t frames[3][400], payload[1300];
		opus_repacketizer_init(all);
		for (int k = 0; k < 3; k++) {
			tone(pcm, 960, 50.0 * 8, 48000); /* whole periods: goes on smoothly */
			int n = opus_encode(e, pcm, 960, frames[k], sizeof frames[k]);
			assert_int_equal(opus_repacketizer_cat(all, frames[k], n), OPUS_OK);
		}
		int n = opus_repacketizer_out(all, payload, sizeof payload);
		assert_true(n > 0);
		struct packet p = { (uint64_t)i, (uint32_t)i * 2880, DYNAMIC, false,      0, 0,
				    0,           i * 60000,          payload, (uint16_t)n };
		record_packet(s.timeline, s.stream, &p);
	}
	opus_repacketizer_destroy(all);
	opus_encoder_destroy(e);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.samples, 30 * 2880);
	assert_true(tone_over_rest_db(h.track[0] + 9600, 30 * 2880 - 9600, 400.0, 48000) > 20.0);
	done(&s, &h);
}

/* A frame was lost; with in-band FEC the next packet has a copy, and without there is silence. */
static void lost_opus_frame_is_heard_from_the_next_packet(void **ctx)
{
	(void)ctx;
	for (int fec = 0; fec < 2; fec++) {
		struct stream_record r = stream_of("opus", DYNAMIC, 48000);
		struct said s = begin(&r, 960);
		s.lost_from = 50;
		s.lost_to = 51;
		int16_t pcm[960 * PACKETS];
		tone(pcm, 960 * PACKETS, HZ, 48000);
		OpusEncoder *e = opus_sender(1, 20000);
		opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(fec));
		opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(fec ? 30 : 0));
		opus_encoder_ctl(e, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
		opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
		opus_says(&s, e, pcm, 1, PACKETS);
		struct heard h = render(s.timeline);
		double power = 0.0;
		for (int i = 0; i < 960; i++)
			power += pow(h.track[0][50 * 960 + i], 2) / 960;
		assert_int_equal(h.summary.recovered[0], fec);
		assert_int_equal(h.summary.gaps_samples[0], 960);
		if (fec)
			assert_true(power > 4000.0 * 4000.0);
		else
			assert_true(power == 0.0);
		done(&s, &h);
	}
}

/* ---- Speex ---------------------------------------------------------------------------------------- */

static void speex_is_heard_in_every_band(void **ctx)
{
	(void)ctx;
	static const int modes[] = { SPEEX_MODEID_NB, SPEEX_MODEID_WB, SPEEX_MODEID_UWB };
	for (uint32_t band = 0; band < 3; band++) {
		uint32_t rate = 8000u << band, frame = rate / 50;
		struct stream_record r = stream_of("speex", DYNAMIC, rate);
		struct said s = begin(&r, frame);
		void *e = speex_encoder_init(speex_lib_get_mode(modes[band]));
		int quality = 8;
		speex_encoder_ctl(e, SPEEX_SET_QUALITY, &quality);
		int16_t pcm[640 * PACKETS];
		tone(pcm, frame * PACKETS, HZ, rate);
		for (uint32_t i = 0; i < PACKETS; i++) {
			SpeexBits bits;
			char payload[400];
			speex_bits_init(&bits);
			speex_encode_int(e, pcm + i * frame, &bits);
			int n = speex_bits_write(&bits, payload, sizeof payload);
			speex_bits_destroy(&bits);
			said(&s, (const uint8_t *)payload, (size_t)n);
		}
		speex_encoder_destroy(e);
		struct heard h = hear_tone(&s, rate, 23.0);
		done(&s, &h);
	}
}

static void two_speex_frames_in_a_packet_are_both_heard(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("SPEEX", DYNAMIC, 8000);
	struct said s = begin(&r, 320);
	void *e = speex_encoder_init(speex_lib_get_mode(SPEEX_MODEID_NB));
	int16_t pcm[160];
	tone(pcm, 160, 400.0, 8000);
	for (uint64_t i = 0; i < 40; i++) {
		SpeexBits bits;
		char payload[400];
		speex_bits_init(&bits);
		speex_encode_int(e, pcm, &bits);
		speex_encode_int(e, pcm, &bits);
		int n = speex_bits_write(&bits, payload, sizeof payload);
		speex_bits_destroy(&bits);
		struct packet p = { i,
				    (uint32_t)i * 320,
				    DYNAMIC,
				    false,
				    0,
				    0,
				    0,
				    (int64_t)i * 40000,
				    (const uint8_t *)payload,
				    (uint16_t)n };
		record_packet(s.timeline, s.stream, &p);
	}
	speex_encoder_destroy(e);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.samples, 40 * 320);
	assert_int_equal(h.summary.gaps_samples[0], 0);
	assert_true(tone_over_rest_db(h.track[0] + 1600, 40 * 320 - 1600, 400.0, 8000) > 8.0);
	done(&s, &h);
}

/* ---- AMR ------------------------------------------------------------------------------------------ */

static void put_bits(uint8_t *to, size_t *at, unsigned value, unsigned bits)
{
	while (bits-- > 0) {
		if (value >> bits & 1)
			to[*at / 8] |= (uint8_t)(0x80 >> *at % 8);
		++*at;
	}
}

/* RFC 4867: `stored` is a frame as in a file, its head an octet. */
static size_t pack_amr(uint8_t *payload, const uint8_t *stored, size_t bits, bool aligned)
{
	size_t at = 0;
	memset(payload, 0, 64);
	put_bits(payload, &at, 15, aligned ? 4 : 4);
	if (aligned)
		put_bits(payload, &at, 0, 4);
	put_bits(payload, &at, stored[0] >> 2 & 0x1f, 6);
	if (aligned)
		put_bits(payload, &at, 0, 2);
	for (size_t i = 0; i < bits; i++)
		put_bits(payload, &at, stored[1 + i / 8] >> (7 - i % 8) & 1, 1);
	return (at + 7) / 8;
}

static void amr_tone(const char *fmtp, enum Mode mode, size_t bits, bool aligned)
{
	struct stream_record r = stream_of("AMR", DYNAMIC, 8000);
	snprintf(r.fmtp, sizeof r.fmtp, "%s", fmtp);
	struct said s = begin(&r, 160);
	void *e = Encoder_Interface_init(0);
	int16_t pcm[160 * PACKETS];
	tone(pcm, 160 * PACKETS, HZ, 8000);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t stored[64] = { 0 }, payload[64];
		Encoder_Interface_Encode(e, mode, pcm + 160 * i, stored, 0);
		said(&s, payload, pack_amr(payload, stored, bits, aligned));
	}
	Encoder_Interface_exit(e);
	struct heard h = hear_tone(&s, 8000, 20.0);
	done(&s, &h);
}

static void amr_is_heard_in_both_packings_whatever_sdp_says(void **ctx)
{
	(void)ctx;
	for (int aligned = 0; aligned < 2; aligned++) {
		amr_tone("", MR122, 244, aligned);
		amr_tone("octet-align=1", MR122, 244, aligned);
		amr_tone("mode-set=0,2; octet-align=0", MR475, 95, aligned);
		amr_tone("", MR795, 159, aligned);
	}
}

/* The encoder is a library of its own, that only this test needs. */
static void amr_wb_is_heard_in_both_packings(void **ctx)
{
	(void)ctx;
	static const size_t bits[] = { 132, 177, 253, 285, 317, 365, 397, 461, 477 };
	void *library = dlopen("libvo-amrwbenc.so.0", RTLD_NOW);
	if (!library)
		skip();
	void *(*init)(void) = NULL;
	int (*encode_frame)(void *, int, const int16_t *, uint8_t *, int) = NULL;
	void (*finish)(void *) = NULL;
	*(void **)&init = dlsym(library, "E_IF_init");
	*(void **)&encode_frame = dlsym(library, "E_IF_encode");
	*(void **)&finish = dlsym(library, "E_IF_exit");
	assert_true(init && encode_frame && finish);
	for (int mode = 0; mode < 9; mode++) {
		struct stream_record r = stream_of("AMR-WB", DYNAMIC, 16000);
		struct said s = begin(&r, 320);
		void *e = init();
		int16_t pcm[320 * PACKETS];
		tone(pcm, 320 * PACKETS, HZ, 16000);
		for (int i = 0; i < PACKETS; i++) {
			uint8_t stored[64] = { 0 }, payload[64];
			encode_frame(e, mode, pcm + 320 * i, stored, 0);
			said(&s, payload, pack_amr(payload, stored, bits[mode], mode % 2));
		}
		finish(e);
		struct heard h = hear_tone(&s, 16000, 15.0);
		done(&s, &h);
	}
	dlclose(library);
}

static void amr_payload_of_another_length_is_no_frame(void **ctx)
{
	(void)ctx;
	struct codec_format f = {
		.clock_rate = 8000, .sampling_rate = 8000, .channels = 1, .votes = { 1, 0 }
	};
	uint8_t payload[200] = { 0 };
	size_t at = 4;
	put_bits(payload, &at, 7 << 1 | 1, 6);
	for (size_t len = 0; len < sizeof payload; len++)
		assert_int_equal(codec_amr_ops.measure(&f, payload, len), len == 32 ? 160 : 0);
	memset(payload, 0xff, sizeof payload); /* one entry after the other, without end */
	for (size_t len = 0; len < sizeof payload; len++)
		assert_int_equal(codec_amr_ops.measure(&f, payload, len), 0);
}

/* ---- G.729, in builds that have it ------------------------------------------------------------------ */

#ifdef WITH_BCG729
#include <bcg729/encoder.h>

/* Two frames of 10 ms a packet; the last may be a description of silence (annex B), of two octets. */
static void g729_is_heard(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("G729", 18, 8000);
	struct said s = begin(&r, 160);
	bcg729EncoderChannelContextStruct *e = initBcg729EncoderChannel(0);
	int16_t pcm[160 * PACKETS];
	tone(pcm, 160 * PACKETS, HZ, 8000);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t payload[20], len[2];
		bcg729Encoder(e, pcm + 160 * i, payload, &len[0]);
		bcg729Encoder(e, pcm + 160 * i + 80, payload + 10, &len[1]);
		assert_true(len[0] == 10 && len[1] == 10);
		said_type(&s, 18, payload, i < PACKETS - 1 ? 20 : 12);
	}
	closeBcg729EncoderChannel(e);
	struct heard h = hear_tone(&s, 8000, 10.0);
	done(&s, &h);
	struct codec_format f = codec_format_of(codec_of(&r, 18), &r, 18);
	for (size_t len = 0; len < 40; len++)
		assert_int_equal(codec_g729_ops.measure(&f, NULL, len), len % 10 == 0 ? 8 * len
									: len % 10 == 2
										? 8 * len + 64
										: 0);
}
#else
static void g729_is_heard(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("G729", 18, 8000);
	assert_false(audio_decodes(&r));
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g722_is_heard_at_its_own_rate),
		cmocka_unit_test(g726_is_heard_in_both_packings_and_all_rates),
		cmocka_unit_test(g726_is_heard_as_it_is_packed_whatever_sdp_says),
		cmocka_unit_test(gsm_is_heard),
		cmocka_unit_test(l16_is_exact_and_stereo_is_mixed),
		cmocka_unit_test(opus_is_heard_mono_and_stereo),
		cmocka_unit_test(several_opus_frames_come_in_one_packet),
		cmocka_unit_test(lost_opus_frame_is_heard_from_the_next_packet),
		cmocka_unit_test(speex_is_heard_in_every_band),
		cmocka_unit_test(two_speex_frames_in_a_packet_are_both_heard),
		cmocka_unit_test(amr_is_heard_in_both_packings_whatever_sdp_says),
		cmocka_unit_test(amr_wb_is_heard_in_both_packings),
		cmocka_unit_test(amr_payload_of_another_length_is_no_frame),
		cmocka_unit_test(g729_is_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
