/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan replay: hear a recording, on the sound device or as a WAV file. */
#include <signal.h>
#include <unistd.h>

#include "cmd.h"

#define STOP_S 2 /* a device that does not let go is left by force */

static struct cli *playing;

static void on_stop(int signo)
{
	(void)signo;
	playing->stop = 1;
	alarm(STOP_S);
}

static bool ignore_reply(void *ctx, const json_t *object)
{
	(void)ctx;
	(void)object;
	return true;
}

enum rc cmd_replay_play(struct cli *c, json_t *request, const struct opening *o)
{
	struct sigaction stop = { .sa_handler = on_stop };
	json_object_set_new(request, "play", json_true());
	playing = c;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	enum rc rc = cmd_send_opening(c, request, o->passphrase_file, ignore_reply, NULL);
	alarm(0);
	return rc;
}

enum rc cmd_replay(struct cli *c, int argc, char **argv)
{
	struct opening o = { 0 };
	const struct word words[] = {
		{ 0, "purpose", "P", "what it is opened for: one that the policy allows",
		  &o.purpose, NULL },
		{ 0, "reference", "R", "the case or ticket it is opened for", &o.reference, NULL },
		{ 0, "at", "T", "begin so far into it: seconds, M:SS or H:MM:SS", &o.at, NULL },
		{ 0, "track", "caller|callee", "one voice only", &o.track, NULL },
		{ 'o', "output", "FILE|-", "write WAV there and play nothing", &o.to, NULL },
		{ 0, "conceal", NULL, "fill gaps as a telephone would, instead of with silence",
		  NULL, &o.conceal },
		{ 0, "mute", "SIDE:FROM-TO",
		  "hear nothing of caller, callee or both then; may come again", NULL, NULL },
		{ 0, "passphrase-file", "F", "your passphrase, in the first line",
		  &o.passphrase_file, NULL },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &o.id, 1, NULL);
	if (rc != RC_OK)
		return rc;
	o.mutes = c->repeated;
	json_t *request = cmd_new_request("replay");
	cmd_put_opening(request, &o);
	rc = o.to ? cmd_write_recording(c, request, &o) : cmd_replay_play(c, request, &o);
	json_decref(request);
	return rc;
}
