/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_quality.c: the E-model's figures, and what is measured of a track. */
#include "audio_help.h"

static struct stream_record stream(const char *codec, uint64_t packets, uint64_t lost,
				   uint64_t runs)
{
	struct stream_record r = stream_of(codec, 0, 8000);
	r.packets = packets;
	r.bytes = 160 * packets;
	r.lost = lost;
	r.loss_runs = runs;
	return r;
}

static double mos(const char *codec, uint64_t packets, uint64_t lost, uint64_t runs)
{
	struct stream_record r = stream(codec, packets, lost, runs);
	return audio_mos(&r);
}

static void near(double got, double expected)
{
	if (!(fabs(got - expected) < 0.005))
		fail_msg("%f, should be %f", got, expected);
}

/* R by hand: 93.2 - Ie - (95 - Ie) Ppl / (Ppl / BurstR + Bpl). */
static void mean_opinion_follows_the_e_model(void **ctx)
{
	(void)ctx;
	near(mos("PCMU", 1000, 0, 0), 4.409); /* R = 93.2 */
	near(mos("pcma", 1000, 0, 0), 4.409);
	near(mos("G729", 1000, 0, 0), 4.104);    /* 82.2 */
	near(mos("G729", 950, 50, 50), 3.340);   /* 82.2 - 84 * 5 / 24 = 64.7 */
	near(mos("PCMU", 900, 100, 100), 3.411); /* 93.2 - 95 * 10 / 35.1 = 66.13 */
	near(mos("GSM", 1000, 0, 0), 3.743);     /* 73.2 */
}

static void loss_that_comes_at_once_is_worse(void **ctx)
{
	(void)ctx;
	assert_true(mos("PCMU", 900, 100, 10) < mos("PCMU", 900, 100, 90));
	assert_true(mos("PCMU", 900, 100, 90) < mos("PCMU", 990, 10, 10));
	assert_in_range((int)(100.0 * mos("PCMU", 1, 100000, 1)), 100, 125);
}

static void codec_without_a_model_has_no_score(void **ctx)
{
	(void)ctx;
	assert_true(isnan(mos("opus", 1000, 0, 0)));
	assert_true(isnan(mos("", 1000, 0, 0)));
	assert_true(isnan(mos("PCMU", 0, 0, 0)));
	assert_true(isnan(mos("G726-32", 990, 10, 10))); /* no Bpl is published */
	struct stream_record r = stream("AMR", 1000, 0, 0);
	r.ptime_ms = 20;
	r.bytes = 32 * r.packets;
	near(audio_mos(&r), 4.292); /* 12.2 kbit/s: 88.2 */
	r.bytes = 20 * r.packets;
	assert_true(isnan(audio_mos(&r)));
	r.ptime_ms = 40; /* two frames of a lower rate are as long as one of the highest */
	r.bytes = 40 * r.packets;
	assert_true(isnan(audio_mos(&r)));
	r.ptime_ms = 0;
	assert_true(isnan(audio_mos(&r)));
	r = stream("G723", 1000, 0, 0);
	r.ptime_ms = 30;
	r.bytes = 24 * r.packets;
	near(audio_mos(&r), 3.954); /* 78.2 */
	r.bytes = 20 * r.packets;   /* 5.3 kbit/s */
	assert_true(isnan(audio_mos(&r)));
}

static void silence_clipping_and_level_are_measured(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("L16", 96, 8000);
	r.channels = 1;
	struct timeline *t = timeline_new();
	int n = timeline_stream(t, &r);
	for (uint32_t i = 0; i < 100; i++) {
		uint8_t payload[320];
		int16_t pcm[160] = { 0 };
		if (i >= 25)
			for (int k = 0; k < 160; k++) /* a square wave at half the range */
				pcm[k] = k % 20 < 10 ? 16384 : -16384;
		if (i == 50)
			pcm[0] = pcm[1] = pcm[2] = 32767, pcm[10] = -32768;
		for (int k = 0; k < 160; k++) {
			payload[2 * k] = (uint8_t)((uint16_t)pcm[k] >> 8);
			payload[2 * k + 1] = (uint8_t)pcm[k];
		}
		struct packet p = { i, i * 160, 96, false, 0, 0, 0, i * 20000, payload, 320 };
		record_packet(t, n, &p);
	}
	struct heard h = render(t);
	near(h.summary.silent[0], 0.25);
	near(h.summary.silent[1], 1.0);
	assert_int_equal(h.summary.clipped[0], 3);
	assert_int_equal(h.summary.clipped[1], 0);
	assert_true(fabs(h.summary.level_dbfs[0] + 6.02) < 0.05);
	assert_true(isinf(h.summary.level_dbfs[1]));
	heard_free(&h);
	timeline_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mean_opinion_follows_the_e_model),
		cmocka_unit_test(loss_that_comes_at_once_is_worse),
		cmocka_unit_test(codec_without_a_model_has_no_score),
		cmocka_unit_test(silence_clipping_and_level_are_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
