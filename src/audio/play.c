/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* play.c: the sound device, by alsa-lib.
 *
 * Runs in the caller's thread and blocks it.  `stop` is looked at ten times a second; what the device still
 * holds is then thrown away.
 */
#include <alsa/asoundlib.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mixdown.h"

#define LATENCY_US 200000

/* The library prints on standard error unless told not to: the error's text is the one line. */
__attribute__((format(printf, 5, 6))) static void
quiet(const char *file, int line, const char *function, int err, const char *fmt, ...)
{
	(void)file;
	(void)line;
	(void)function;
	(void)err;
	(void)fmt;
}

/* One block to the device; an underrun is recovered from. */
static int play_block(snd_pcm_t *device, const int16_t *from, size_t frames, int channels)
{
	while (frames > 0) {
		snd_pcm_sframes_t n = snd_pcm_writei(device, from, frames);
		if (n < 0)
			n = snd_pcm_recover(device, (int)n, 1);
		if (n < 0)
			return (int)n;
		from += n * channels;
		frames -= (size_t)n;
	}
	return 0;
}

static bool stopped(const volatile int *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); /* another thread may set it */
}

static int play_all(snd_pcm_t *device, struct mixdown *m, uint32_t rate, const volatile int *stop)
{
	size_t block = rate / 10 < MIXDOWN_FRAMES ? rate / 10 : MIXDOWN_FRAMES;
	int failed = 0;
	for (size_t n; !failed && !stopped(stop) && (n = mixdown_next(m, block)) > 0;)
		failed = play_block(device, m->out, n, m->tracks);
	if (failed || stopped(stop))
		snd_pcm_drop(device);
	else
		snd_pcm_drain(device);
	return failed;
}

enum rc audio_play(const struct timeline *t, const struct audio_summary *s, int tracks,
		   enum track track, uint64_t from, const volatile int *stop, struct error *err)
{
	snd_lib_error_set_handler(quiet);
	snd_pcm_t *device;
	int failed = snd_pcm_open(&device, "default", SND_PCM_STREAM_PLAYBACK, 0);
	if (failed)
		return error_set(err, RC_FAILED, "no sound device (%s): write a file with -o",
				 snd_strerror(failed));
	struct mixdown *m = calloc(1, sizeof *m);
	failed = snd_pcm_set_params(device, SND_PCM_FORMAT_S16, SND_PCM_ACCESS_RW_INTERLEAVED,
				    (unsigned)tracks, s->rate, 1, LATENCY_US);
	if (m && !failed) {
		mixdown_start(m, t, s, tracks, track, from);
		failed = play_all(device, m, s->rate, stop);
		explicit_bzero(m, sizeof *m);
	}
	free(m);
	snd_pcm_close(device);
	if (!m)
		return error_set(err, RC_FAILED, "memory is short");
	return failed ? error_set(err, RC_FAILED, "the sound device failed: %s",
				  snd_strerror(failed))
		      : RC_OK;
}
