/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_reference.c: where the standard is exact to the bit, so are we: every sample as another implementation has it.
 *
 * The others are sox (G.711, GSM) and ffmpeg (G.722), when they are on the machine.
 */
#include "audio_help.h"

#include <spandsp.h>
#include <unistd.h>

#define DYNAMIC 96
#define BYTES   ((size_t)19800) /* whole frames of everything */

static bool have(const char *program)
{
	char command[100];
	snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
	return system(command) == 0;
}

/* Run a command with `in` as the file $IN; its output, at most `room` bytes.  Returns how many, 0 when it fails. */
static size_t through(const char *command, const uint8_t *in, size_t len, void *out, size_t room)
{
	char path[] = "/tmp/callspan-reference-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, in, len), len);
	close(fd);
	assert_int_equal(setenv("IN", path, 1), 0);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	size_t got = fread(out, 1, room, p);
	bool ok = pclose(p) == 0;
	unlink(path);
	return ok ? got : 0;
}

/* Our samples of a payload type's bytes, sent in packets of `packet` bytes that last `step` ticks. */
static struct heard ours(const struct stream_record *r, uint8_t type, const uint8_t *bytes,
			 size_t len, uint16_t packet, uint32_t step)
{
	struct timeline *t = timeline_new();
	int stream = timeline_stream(t, r);
	for (size_t i = 0; i * packet < len; i++) {
		struct packet p = { .number = i,
				    .timestamp = (uint32_t)i * step,
				    .payload_type = type,
				    .arrival_us = (int64_t)i * step * 1000000 / r->clock_rate,
				    .bytes = bytes + i * packet,
				    .len = packet };
		record_packet(t, stream, &p);
	}
	struct heard h = render(t);
	timeline_free(t);
	return h;
}

static void compare(const char *codec, uint8_t type, const uint8_t *bytes, uint16_t packet,
		    uint32_t step, const char *command)
{
	static int16_t theirs[20 * BYTES];
	struct stream_record r = stream_of(codec, type, 8000);
	size_t len = BYTES - BYTES % packet;
	struct heard h = ours(&r, type, bytes, len, packet, step);
	size_t got = through(command, bytes, len, theirs, sizeof theirs) / sizeof *theirs;
	assert_int_equal(got, h.summary.samples);
	assert_memory_equal(theirs, h.track[0], got * sizeof *theirs);
	heard_free(&h);
}

static uint8_t *any_bytes(void)
{
	static uint8_t bytes[BYTES];
	state = 88172645463325252u;
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = i < 256 ? (uint8_t)i : (uint8_t)chance(256);
	return bytes;
}

static void g711_is_as_sox_has_it(void **ctx)
{
	(void)ctx;
	if (!have("sox"))
		skip();
	compare("PCMU", 0, any_bytes(), 160, 160,
		"sox -t raw -e mu-law -b 8 -r 8000 -c 1 $IN -t s16 -");
	compare("PCMA", 8, any_bytes(), 160, 160,
		"sox -t raw -e a-law -b 8 -r 8000 -c 1 $IN -t s16 -");
}

static void g722_is_as_ffmpeg_has_it(void **ctx)
{
	(void)ctx;
	if (!have("ffmpeg"))
		skip();
	compare("G722", 9, any_bytes(), 165, 165, "ffmpeg -v error -f g722 -i $IN -f s16le -");
}

/* sox decodes by libgsm, from which all others descend. */
static void gsm_is_as_sox_has_it(void **ctx)
{
	(void)ctx;
	if (!have("sox"))
		skip();
	gsm0610_state_t *e = gsm0610_init(NULL, GSM0610_PACKING_VOIP);
	static uint8_t bytes[BYTES];
	static int16_t pcm[BYTES / 33 * 160];
	state = 88172645463325252u;
	tone(pcm, sizeof pcm / sizeof *pcm, 300.0, 8000);
	for (size_t i = 0; i < sizeof pcm / sizeof *pcm; i++)
		pcm[i] = (int16_t)(pcm[i] + (int)chance(20000) - 10000);
	assert_int_equal(gsm0610_encode(e, bytes, pcm, sizeof pcm / sizeof *pcm), BYTES);
	gsm0610_free(e);
	compare("GSM", 3, bytes, 33, 160, "sox -t gsm $IN -t s16 -");
}

/* Of G.726 there is no other implementation here that is exact to the bit: libsndfile's and ffmpeg's differ from each other, too.
 * All the same they say the same thing, in either packing. */
static void g726_is_nearly_as_ffmpeg_has_it(void **ctx)
{
	(void)ctx;
	if (!have("ffmpeg"))
		skip();
	static int16_t pcm[16000], theirs[16000];
	tone(pcm, 16000, 440.0, 8000);
	for (unsigned bits = 2; bits <= 4; bits++) {
		for (int aal2 = 0; aal2 < 2; aal2++) {
			uint8_t bytes[16000];
			char name[24], command[200];
			g726_state_t *e = g726_init(NULL, 8000 * (int)bits, G726_ENCODING_LINEAR,
						    aal2 ? G726_PACKING_LEFT : G726_PACKING_RIGHT);
			int n = g726_encode(e, bytes, pcm, 16000);
			g726_free(e);
			snprintf(name, sizeof name, "%sG726-%u", aal2 ? "AAL2-" : "", 8 * bits);
			snprintf(command, sizeof command,
				 "ffmpeg -v error -f %s -code_size %u -i $IN -f s16le -",
				 aal2 ? "g726" : "g726le", bits);
			struct stream_record r = stream_of(name, DYNAMIC, 8000);
			struct heard h =
				ours(&r, DYNAMIC, bytes, (size_t)n, (uint16_t)(20 * bits), 160);
			assert_int_equal(through(command, bytes, (size_t)n, theirs, sizeof theirs),
					 sizeof theirs);
			double power = 0.0, apart = 0.0;
			for (int i = 0; i < 16000; i++) {
				power += pow(theirs[i], 2);
				apart += pow(theirs[i] - h.track[0][i], 2);
			}
			double db = 10.0 * log10(power / (apart + 1e-9));
			print_message("#   %s: %.1f dB\n", name, db);
			assert_true(db > 20.0);
			heard_free(&h);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g711_is_as_sox_has_it),
		cmocka_unit_test(g722_is_as_ffmpeg_has_it),
		cmocka_unit_test(gsm_is_as_sox_has_it),
		cmocka_unit_test(g726_is_nearly_as_ffmpeg_has_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
