/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_file.c: files are whole and the same whether they go to a disk or through a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sndfile.h>

#include "audio/audio.h"
#include "base/bytes.h"

#define FRAMES  500
#define SAMPLES (FRAMES * 160)

/* Two streams of 10 s; the callee's begins one second later. */
static struct timeline *recording(struct audio_summary *summary)
{
	struct timeline *t = timeline_new();
	static uint8_t body[40 + FRAMES * 4 + SAMPLES];
	for (int track = 0; track < 2; track++) {
		struct stream_record r = { .track = (uint8_t)track, .codec = "PCMU" };
		memset(body, 0, sizeof body);
		body[0] = 1;
		put_u16_le(body + 2, 160);
		put_u32_le(body + 4, FRAMES);
		put_u32_le(body + 8, FRAMES * 4);
		put_u32_le(body + 12, 160);
		put_u64_le(body + 16, 65536);
		put_u64_le(body + 24, UINT64_C(17100000000000000) + (unsigned)track * 1000000u);
		for (size_t i = 1; i < FRAMES; i++) {
			put_u16_le(body + 40 + 4 * i + 1, 20000 & 0xffff);
			body[40 + 4 * i + 3] = 20000 >> 16;
		}
		for (size_t i = 0; i < SAMPLES; i++)
			body[40 + FRAMES * 4 + i] =
				(uint8_t)(i * 7 + i / 256 * 31 + (unsigned)track);
		assert_int_equal(timeline_chunk(t, timeline_stream(t, &r), body, sizeof body),
				 RC_OK);
	}
	assert_int_equal(timeline_render(t, summary, NULL), RC_OK);
	assert_int_equal(summary->samples, SAMPLES + 8000);
	return t;
}

static FILE *written(const struct timeline *t, const struct audio_summary *s, enum audio_format f,
		     int tracks, uint64_t from)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(audio_write(t, s, fileno(file), f, tracks, TRACK_CALLEE, from, NULL),
			 RC_OK);
	return file;
}

static void check_samples(FILE *file, const struct timeline *t, const struct audio_summary *s,
			  int tracks, uint64_t from)
{
	SF_INFO info = { 0 };
	rewind(file);
	SNDFILE *sound = sf_open_fd(dup(fileno(file)), SFM_READ, &info, 1);
	if (!sound)
		fail_msg("%s", sf_strerror(NULL));
	assert_int_equal(info.samplerate, 8000);
	assert_int_equal(info.channels, tracks);
	assert_int_equal(info.frames, s->samples - from);
	int16_t *in = calloc((size_t)info.frames * 2, sizeof *in), *track[2];
	assert_non_null(in);
	assert_int_equal(sf_readf_short(sound, in, info.frames), info.frames);
	for (int k = 0; k < 2; k++) {
		track[k] = calloc((size_t)info.frames, sizeof(int16_t));
		assert_non_null(track[k]);
		timeline_samples(t, (enum track)k, from, (size_t)info.frames, track[k]);
	}
	for (sf_count_t i = 0; i < info.frames; i++) {
		if (tracks == 1) {
			assert_int_equal(in[i], track[TRACK_CALLEE][i]);
			continue;
		}
		assert_int_equal(in[2 * i], track[TRACK_CALLER][i]);
		assert_int_equal(in[2 * i + 1], track[TRACK_CALLEE][i]);
	}
	free(track[0]);
	free(track[1]);
	free(in);
	sf_close(sound);
}

static void written_file_holds_every_sample(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct timeline *t = recording(&s);
	for (int f = AUDIO_WAV; f <= AUDIO_FLAC; f++) {
		for (int tracks = 1; tracks <= 2; tracks++) {
			for (uint64_t from = 0; from < s.samples; from += 12345) {
				FILE *file = written(t, &s, (enum audio_format)f, tracks, from);
				check_samples(file, t, &s, tracks, from);
				fclose(file);
			}
		}
	}
	timeline_free(t);
}

static void wav_header_tells_the_true_sizes(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct timeline *t = recording(&s);
	FILE *file = written(t, &s, AUDIO_WAV, 2, 0);
	uint8_t head[44];
	rewind(file);
	assert_int_equal(fread(head, 1, 44, file), 44);
	struct bytes b = bytes_over(head + 4, 4);
	assert_int_equal(bytes_u32_le(&b), 36 + s.samples * 4);
	b = bytes_over(head + 40, 4);
	assert_memory_equal(head + 36, "data", 4);
	assert_int_equal(bytes_u32_le(&b), s.samples * 4);
	struct stat st;
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_int_equal(st.st_size, 44 + s.samples * 4);
	fclose(file);
	timeline_free(t);
}

struct drain {
	int fd;
	uint8_t *bytes;
	size_t len;
};

static void *drain(void *ctx)
{
	struct drain *d = ctx;
	d->bytes = malloc(1 << 20);
	for (ssize_t n; d->bytes && (n = read(d->fd, d->bytes + d->len, (1 << 20) - d->len)) > 0;)
		d->len += (size_t)n;
	return NULL;
}

static void pipe_gets_the_same_bytes_as_a_file(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct timeline *t = recording(&s);
	for (int f = AUDIO_WAV; f <= AUDIO_FLAC; f++) {
		int ends[2];
		pthread_t reader;
		assert_int_equal(pipe(ends), 0);
		struct drain d = { .fd = ends[0] };
		assert_int_equal(pthread_create(&reader, NULL, drain, &d), 0);
		assert_int_equal(
			audio_write(t, &s, ends[1], (enum audio_format)f, 2, TRACK_CALLER, 0, NULL),
			RC_OK);
		close(ends[1]);
		pthread_join(reader, NULL);
		close(ends[0]);
		FILE *file = written(t, &s, (enum audio_format)f, 2, 0);
		uint8_t *bytes = malloc(1 << 20);
		assert_non_null(bytes);
		rewind(file);
		size_t len = fread(bytes, 1, 1 << 20, file);
		assert_int_equal(len, d.len);
		assert_memory_equal(bytes, d.bytes, len);
		free(bytes);
		free(d.bytes);
		fclose(file);
	}
	timeline_free(t);
}

static void full_disk_is_told(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct error err = { "" };
	struct timeline *t = recording(&s);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(audio_write(t, &s, fd, AUDIO_WAV, 2, TRACK_CALLER, 0, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "No space"));
	assert_int_equal(audio_write(t, &s, fd, AUDIO_FLAC, 2, TRACK_CALLER, 0, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "No space"));
	close(fd);
	timeline_free(t);
}

static void wav_that_its_header_cannot_tell_is_refused(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct error err = { "" };
	struct timeline *t = recording(&s);
	s.samples = UINT64_C(1) << 31;
	assert_int_equal(audio_write(t, &s, -1, AUDIO_WAV, 2, TRACK_CALLER, 0, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "flac"));
	timeline_free(t);
}

/* ---- the sound device ----------------------------------------------------------------------- */

/* Have alsa-lib's default device write into a file. */
static void device_writes_to(const char *config, const char *played)
{
	FILE *f = fopen(config, "w");
	assert_non_null(f);
	fprintf(f,
		"pcm.null { type null }\n"
		"pcm.default { type file slave.pcm \"null\" file \"%s\" format \"raw\" }\n",
		played);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(setenv("ALSA_CONFIG_PATH", config, 1), 0);
}

static void device_gets_every_sample(void **ctx)
{
	(void)ctx;
	char dir[] = "/tmp/callspan-audio-XXXXXX", config[64], played[64];
	assert_non_null(mkdtemp(dir));
	snprintf(config, sizeof config, "%s/asound.conf", dir);
	snprintf(played, sizeof played, "%s/played", dir);
	device_writes_to(config, played);
	struct audio_summary s;
	struct timeline *t = recording(&s);
	struct error err = { "" };
	volatile int stop = 0;
	assert_int_equal(audio_play(t, &s, 1, TRACK_CALLEE, 4000, &stop, &err), RC_OK);
	FILE *f = fopen(played, "r");
	int16_t *in = calloc(s.samples, 2), *track = calloc(s.samples, 2);
	assert_true(f && in && track);
	assert_int_equal(fread(in, 2, s.samples, f), s.samples - 4000);
	timeline_samples(t, TRACK_CALLEE, 4000, s.samples - 4000, track);
	assert_memory_equal(in, track, 2 * (s.samples - 4000));
	fclose(f);
	unlink(played);

	stop = 1; /* asked to stop, it plays nothing */
	assert_int_equal(audio_play(t, &s, 2, TRACK_CALLER, 0, &stop, &err), RC_OK);
	struct stat st;
	assert_true(stat(played, &st) != 0 || st.st_size == 0);

	unlink(played);
	unlink(config);
	rmdir(dir);
	free(in);
	free(track);
	timeline_free(t);
}

/* ---- cue points and Opus --------------------------------------------------------------------------- */

static size_t chunk_at(const uint8_t *file, size_t len, const char *id)
{
	for (size_t at = 12; at + 8 <= len;) {
		struct bytes b = bytes_over(file + at + 4, 4);
		if (memcmp(file + at, id, 4) == 0)
			return at;
		at += 8 + (size_t)bytes_u32_le(&b);
	}
	return 0;
}

static void marks_are_cue_points_of_a_wav_file(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct timeline *t = recording(&s);
	for (int i = 0; i < 40; i++) {
		char label[40];
		snprintf(label, sizeof label, "hold %d of a person, whoever", i);
		timeline_mark(t, s.zero_us + (39 - i) * 100000, label);
	}
	timeline_mark(t, s.zero_us - 1000000, "before");
	timeline_mark(t, s.zero_us + 3600 * INT64_C(1000000), "behind");
	assert_int_equal(timeline_render(t, &s, NULL), RC_OK);
	FILE *file = written(t, &s, AUDIO_WAV, 2, 800);
	check_samples(file, t, &s, 2, 800);
	uint8_t head[8192];
	assert_int_equal(pread(fileno(file), head, sizeof head, 0), sizeof head);
	size_t cue = chunk_at(head, sizeof head, "cue "),
	       list = chunk_at(head, sizeof head, "LIST");
	assert_true(cue && list && chunk_at(head, sizeof head, "data"));
	struct bytes b = bytes_over(head + cue + 8, 4 + 39 * 24);
	assert_int_equal(bytes_u32_le(&b), 39); /* of 40, one lies before sample 800 */
	for (uint32_t i = 0; i < 39; i++) {
		assert_int_equal(bytes_u32_le(&b), i + 1);
		assert_int_equal(bytes_u32_le(&b), i * 800);
		assert_memory_equal(bytes_take(&b, 4), "data", 4);
		bytes_u32_le(&b);
		bytes_u32_le(&b);
		assert_int_equal(bytes_u32_le(&b), i * 800);
	}
	assert_memory_equal(head + list + 8, "adtllabl", 8);
	assert_string_equal((char *)head + list + 24, "hold 38 of a person, whoever");
	fclose(file);
	timeline_free(t);
}

/* A loss of three packets is marked where it is heard. */
static void loss_is_marked(void **ctx)
{
	(void)ctx;
	struct timeline *t = timeline_new();
	struct stream_record r = { .codec = "PCMU" };
	int stream = timeline_stream(t, &r);
	uint8_t body[44 + 160] = { 1 };
	memset(body + 44, 0x90, 160);
	put_u16_le(body + 2, 160);
	put_u32_le(body + 4, 1);
	put_u32_le(body + 8, 4);
	for (uint32_t i = 0; i < 100; i++) {
		put_u64_le(body + 16, 65536 + i);
		put_u64_le(body + 24, UINT64_C(17100000000000000) + i * 20000);
		put_u32_le(body + 32, i * 160);
		if (i < 50 || i >= 53)
			assert_int_equal(timeline_chunk(t, stream, body, sizeof body), RC_OK);
	}
	struct audio_summary s;
	assert_int_equal(timeline_render(t, &s, NULL), RC_OK);
	FILE *file = written(t, &s, AUDIO_WAV, 1, 0);
	uint8_t head[256];
	assert_int_equal(pread(fileno(file), head, sizeof head, 0), sizeof head);
	size_t cue = chunk_at(head, sizeof head, "cue "),
	       list = chunk_at(head, sizeof head, "LIST");
	struct bytes b = bytes_over(head + cue + 8, 12);
	assert_int_equal(bytes_u32_le(&b), 1);
	assert_int_equal(bytes_u32_le(&b), 1);
	assert_int_equal(bytes_u32_le(&b), 50 * 160);
	assert_string_equal((char *)head + list + 24, "caller: 3 lost");
	fclose(file);
	timeline_free(t);
}

/* What is taken out is zero to the sample, everything else is what it was, and the file says where. */
static void silenced_parts_are_zero_and_nothing_else_changes(void **ctx)
{
	(void)ctx;
	static const struct {
		unsigned tracks;
		double from_s, to_s;
		uint64_t from, to; /* samples */
	} parts[] = {
		{ 1, 0.1, 0.3, 800, 2400 },      { 2, 0.25, 0.26, 2000, 2080 },
		{ 3, 1.00001, 1.1, 8000, 8800 }, { 1, 2.0, 2.09999, 16000, 16800 },
		{ 3, 3.9, 1e9, 31200, 100000 },  { 2, 1e8, 1e9, 0, 0 },
	};
	struct audio_summary s, again;
	struct timeline *t = recording(&s);
	static int16_t before[2][100000], after[100000];
	size_t count = sizeof parts / sizeof parts[0];
	assert_in_range(s.samples, 40000, 100000);
	for (unsigned k = 0; k < 2; k++)
		timeline_samples(t, (enum track)k, 0, 100000, before[k]);
	for (size_t i = 0; i < count; i++)
		timeline_silence(t, parts[i].tracks, parts[i].from_s, parts[i].to_s);
	assert_int_equal(timeline_render(t, &again, NULL), RC_OK);
	assert_int_equal(again.samples, s.samples);
	for (unsigned k = 0; k < 2; k++) {
		timeline_samples(t, (enum track)k, 0, 100000, after);
		for (uint64_t n = 0; n < s.samples; n++) {
			bool out = false;
			for (size_t i = 0; i < count; i++)
				out = out || (parts[i].tracks & 1u << k && n >= parts[i].from &&
					      n < parts[i].to);
			assert_int_equal(after[n], out ? 0 : before[k][n]);
		}
	}
	assert_true(again.silent[0] > s.silent[0]);
	FILE *file = written(t, &again, AUDIO_WAV, 2, 0);
	uint8_t head[2048];
	assert_int_equal(pread(fileno(file), head, sizeof head, 0), sizeof head);
	size_t cue = chunk_at(head, sizeof head, "cue "),
	       list = chunk_at(head, sizeof head, "LIST");
	struct bytes b = bytes_over(head + cue + 8, 4);
	assert_int_equal(bytes_u32_le(&b), 9); /* the fifth has no end, the last is past it all */
	assert_string_equal((char *)head + list + 24, "muted caller");
	fclose(file);
	timeline_free(t);
}

/* However much is lost, the file says where something was taken out. */
static void marks_of_silence_go_before_those_of_losses(void **ctx)
{
	(void)ctx;
	struct timeline *t = timeline_new();
	struct stream_record r = { .codec = "PCMU" };
	int stream = timeline_stream(t, &r);
	uint8_t body[44 + 160] = { 1 };
	put_u16_le(body + 2, 160);
	put_u32_le(body + 4, 1);
	put_u32_le(body + 8, 4);
	for (uint32_t i = 0; i < 4000; i += 2) {
		put_u64_le(body + 16, 65536 + i);
		put_u64_le(body + 24, UINT64_C(17100000000000000) + i * 20000);
		put_u32_le(body + 32, i * 160);
		assert_int_equal(timeline_chunk(t, stream, body, sizeof body), RC_OK);
	}
	for (unsigned i = 0; i < 256; i++)
		timeline_silence(t, 1, 70 + i * 0.01, 70.005 + i * 0.01);
	struct audio_summary s;
	assert_int_equal(timeline_render(t, &s, NULL), RC_OK);
	FILE *file = written(t, &s, AUDIO_WAV, 1, 0);
	static uint8_t head[65536];
	assert_int_equal(pread(fileno(file), head, sizeof head, 0), sizeof head);
	size_t list = chunk_at(head, sizeof head, "LIST"), muted = 0;
	assert_true(list && chunk_at(head, sizeof head, "data"));
	for (size_t at = list; at + 12 < sizeof head; at++)
		muted += memcmp(head + at, "muted caller", 12) == 0;
	assert_int_equal(muted, 512);
	fclose(file);
	timeline_free(t);
}

/* Opus loses something, and nothing of the time. */
static void opus_is_written_at_a_rate_that_it_has(void **ctx)
{
	(void)ctx;
	static const uint32_t rates[][2] = { { 8000, 8000 }, { 11025, 12000 }, { 44100, 48000 } };
	for (size_t i = 0; i < 3; i++) {
		struct stream_record r = { .codec = "L16",
					   .clock_rate = rates[i][0],
					   .channels = 1,
					   .payload_types = { 96 },
					   .payload_types_count = 1 };
		struct timeline *t = timeline_new();
		int stream = timeline_stream(t, &r);
		static uint8_t body[44 + 60000] = { 1, 96 };
		put_u16_le(body + 2, 60000);
		put_u32_le(body + 4, 1);
		put_u32_le(body + 8, 4);
		put_u64_le(body + 16, 65536);
		put_u64_le(body + 24, UINT64_C(17100000000000000));
		for (int k = 0; k < 30000; k++) {
			int value = (k / 10) % 2 ? 6000 : -6000;
			body[44 + 2 * k] = (uint8_t)((unsigned)value >> 8);
			body[45 + 2 * k] = (uint8_t)value;
		}
		assert_int_equal(timeline_chunk(t, stream, body, sizeof body), RC_OK);
		struct audio_summary s;
		assert_int_equal(timeline_render(t, &s, NULL), RC_OK);
		assert_int_equal(s.rate, rates[i][0]);
		FILE *file = written(t, &s, AUDIO_OPUS, 2, 0);
		SF_INFO info = { 0 };
		rewind(file);
		SNDFILE *sound = sf_open_fd(dup(fileno(file)), SFM_READ, &info, 1);
		assert_non_null(sound);
		assert_int_equal(info.format & SF_FORMAT_SUBMASK, SF_FORMAT_OPUS);
		assert_int_equal(info.samplerate, rates[i][1]);
		assert_in_range(info.frames * rates[i][0] / rates[i][1], 29900, 30100);
		int16_t *in = calloc((size_t)info.frames * 2, sizeof *in);
		assert_int_equal(sf_readf_short(sound, in, info.frames), info.frames);
		double power[2] = { 0.0, 0.0 };
		for (sf_count_t k = 0; k < 2 * info.frames; k++)
			power[k % 2] += (double)in[k] * in[k] / (double)info.frames;
		assert_true(power[0] > 4000.0 * 4000.0 && power[1] < 400.0 * 400.0);
		free(in);
		sf_close(sound);
		fclose(file);
		timeline_free(t);
	}
}

static void no_sound_device_is_told_in_one_line(void **ctx)
{
	(void)ctx;
	struct audio_summary s;
	struct timeline *t = recording(&s);
	struct error err = { "" };
	assert_int_equal(setenv("ALSA_CONFIG_PATH", "/dev/null", 1), 0);
	assert_int_equal(audio_play(t, &s, 2, TRACK_CALLER, 0, NULL, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "no sound device"));
	timeline_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_file_holds_every_sample),
		cmocka_unit_test(wav_header_tells_the_true_sizes),
		cmocka_unit_test(pipe_gets_the_same_bytes_as_a_file),
		cmocka_unit_test(full_disk_is_told),
		cmocka_unit_test(wav_that_its_header_cannot_tell_is_refused),
		cmocka_unit_test(marks_are_cue_points_of_a_wav_file),
		cmocka_unit_test(silenced_parts_are_zero_and_nothing_else_changes),
		cmocka_unit_test(marks_of_silence_go_before_those_of_losses),
		cmocka_unit_test(loss_is_marked),
		cmocka_unit_test(opus_is_written_at_a_rate_that_it_has),
		cmocka_unit_test(no_sound_device_is_told_in_one_line),
		cmocka_unit_test(device_gets_every_sample),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
