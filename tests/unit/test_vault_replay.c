/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_replay.c: audio comes out only for one who may, for a purpose, with the entry written first; and
 * then it is what was recorded. */
#include "vault_help.h"

#include <sys/wait.h>

#define FRAMES     50
#define WAV_HEADER 44

static const char ask_export[] =
	"{'request':'export','id':'%s','fd':%d,'purpose':'complaint','reference':'C-1'%s}";

static char id[UUID_TEXT];
static int fd;

static void make_with(void **state, const char *policy, const char *passphrase)
{
	static struct test_vault t;
	struct test_call c;
	test_vault_make(&t, policy, passphrase);
	test_record(&t, 1, &c);
	test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "mia", ROLE_MANAGER);
	uuid_text(&c.r.id, id);
	fd = open(t.path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	*state = &t;
}

static int make_lab(void **state)
{
	make_with(state, "lab", NULL);
	return 0;
}

static int make_sealed(void **state)
{
	make_with(state, "lab", PASSPHRASE);
	return 0;
}

static int make_strict(void **state)
{
	make_with(state, "30-day", NULL);
	return 0;
}

static int drop(void **state)
{
	close(fd);
	test_vault_remove(*state);
	return 0;
}

static void nothing_came_out(void)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* ITU-T G.711, mu-law. */
static int16_t mu_law(uint8_t code)
{
	int u = ~code & 0xff;
	int magnitude = ((((u & 0x0f) << 3) + 0x84) << ((u & 0x70) >> 4)) - 0x84;
	return (int16_t)(u & 0x80 ? -magnitude : magnitude);
}

static int16_t sample_at(const uint8_t *wav, uint32_t i, unsigned track)
{
	const uint8_t *p = wav + WAV_HEADER + 4 * i + 2 * track;
	return (int16_t)(p[0] | p[1] << 8);
}

static void expect_audio(uint32_t frames)
{
	size_t len = WAV_HEADER + (size_t)4 * frames * FRAME_SAMPLES;
	struct stat st;
	uint8_t *wav = malloc(len);
	assert_non_null(wav);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, len);
	assert_int_equal(pread(fd, wav, len, 0), len);
	for (uint32_t i = 0; i < frames * FRAME_SAMPLES; i++) {
		for (unsigned track = 0; track < 2; track++)
			assert_int_equal(sample_at(wav, i, track),
					 mu_law(test_sample(0, track, i)));
	}
	free(wav);
}

static void export_is_exact_and_told_to_the_trail(void **state)
{
	struct test_vault *t = *state;
	enum rc rc = test_ask(t, ask_export, id, fd, "");
	if (rc != RC_OK)
		fail_msg("export: %s", t->err.text);
	expect_audio(FRAMES);
	const json_t *o = test_reply(t, 0);
	char sha256[65];
	snprintf(sha256, sizeof sha256, "%s", test_text(o, "sha256"));
	assert_int_equal(strlen(sha256), 64);
	assert_int_equal(test_number(o, "bytes"), WAV_HEADER + 4 * FRAMES * FRAME_SAMPLES);
	assert_true(json_real_value(json_object_get(o, "seconds")) == 1.0);
	assert_int_equal(test_audited(t, "export", "granted"), 1);
	char policy[32];
	snprintf(policy, sizeof policy, "policy=%.16s", t->v->policy.hash);
	const json_t *granted = test_reply(t, json_array_size(t->replies) - 2);
	assert_string_equal(test_text(granted, "outcome"), "granted");
	assert_non_null(strstr(test_text(granted, "detail"), policy));
	assert_int_equal(test_audited(t, "export", "done"), 1);
	const json_t *last = test_reply(t, json_array_size(t->replies) - 1);
	assert_string_equal(test_text(last, "call"), id);
	assert_string_equal(test_text(last, "purpose"), "complaint");
	assert_string_equal(test_text(last, "reference"), "C-1");
	assert_string_equal(test_text(last, "person"), "alice");
	assert_non_null(strstr(test_text(last, "detail"), sha256));
}

static void frames_after_the_end_of_the_call_stay_out(void **state)
{
	struct test_vault *t = *state;
	struct store_writer *w = test_recorder(t);
	struct test_call c;
	char own[UUID_TEXT];
	test_call_begin(&c, w, 0);
	for (unsigned track = 0; track < 2; track++) {
		test_audio_chunk(w, &c, track, 0, 0, 25);
		test_audio_chunk(w, &c, track, 1, 25, 25);
		test_stream(w, &c, track, 50);
	}
	test_call_end(w, &c, c.r.answer_us + 39 * 20000);
	test_finish(t, w);
	assert_int_equal(test_ask(t, ask_export, uuid_text(&c.r.id, own), fd, ""), RC_OK);
	expect_audio(40);
}

static void recording_without_any_stream_record_is_decoded_by_its_chunks(void **state)
{
	struct test_vault *t = *state;
	int out[2], status;
	char own[UUID_TEXT];
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) { /* a recorder that dies half a second into the call */
		struct test_call c;
		struct store_writer *w = test_recorder(t);
		test_call_begin(&c, w, 0);
		for (unsigned track = 0; track < 2; track++)
			test_audio_chunk(w, &c, track, 0, 0, 25);
		store_writer_tick(w, NS_PER_S, HOUR_NS);
		store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
		uuid_text(&c.r.id, own);
		_exit(write(out[1], own, sizeof own) == sizeof own ? 0 : 1);
	}
	close(out[1]);
	assert_int_equal(read(out[0], own, sizeof own), sizeof own);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(out[0]);
	enum rc rc = test_ask(t, ask_export, own, fd, "");
	if (rc != RC_OK)
		fail_msg("export: %s", t->err.text);
	expect_audio(25);
}

static void one_track_is_mono_and_at_skips(void **state)
{
	struct test_vault *t = *state;
	struct stat st;
	char text[300];
	assert_int_equal(test_ask(t, ask_export, id, fd, ",'track':'callee'"), RC_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, WAV_HEADER + 2 * FRAMES * FRAME_SAMPLES);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	snprintf(text, sizeof text,
		 "{'request':'replay','id':'%s','fd':%d,'purpose':'training','reference':'r','at':"
		 "0.5}",
		 id, fd);
	assert_int_equal(test_ask(t, "%s", text), RC_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, WAV_HEADER + 2 * FRAMES * FRAME_SAMPLES);
	snprintf(strstr(text, "0.5"), 8, "'0:09'}");
	assert_int_equal(test_ask(t, "%s", text), RC_USAGE);
}

static void call_without_audio_is_one_line(void **state)
{
	struct test_vault *t = *state;
	struct store_writer *w = test_recorder(t);
	struct test_call c;
	char own[UUID_TEXT];
	test_call_begin(&c, w, 3);
	test_call_end(w, &c, c.r.answer_us + 1);
	test_finish(t, w);
	assert_int_equal(test_ask(t, ask_export, uuid_text(&c.r.id, own), fd, ""), RC_FAILED);
	assert_non_null(strstr(t->err.text, "nothing to hear"));
	nothing_came_out();
}

static void wrong_words_are_answered_with_the_choices(void **state)
{
	static const struct {
		const char *members, *says;
	} asked[] = {
		{ "'purpose':'complaint','reference':'x'", "id" },
		{ "'id':'00000000-0000','purpose':'complaint','reference':'x'",
		  "no such recording" },
		{ "'id':'ID','reference':'x'", "complaint, quality-sample" },
		{ "'id':'ID','purpose':'fun','reference':'x'", "complaint, quality-sample" },
		{ "'id':'ID','purpose':'complaint'", "reference" },
		{ "'id':'ID','purpose':'complaint','reference':''", "reference" },
		{ "'id':'ID','purpose':'complaint','reference':'x','format':'mp3'", "wav, flac" },
		{ "'id':'ID','purpose':'complaint','reference':'x','track':'x'", "caller, callee" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		char members[256];
		const char *at = strstr(asked[i].members, "ID");
		if (at)
			snprintf(members, sizeof members, "%.*s%s%s", (int)(at - asked[i].members),
				 asked[i].members, id, at + 2);
		else
			snprintf(members, sizeof members, "%s", asked[i].members);
		enum rc rc = test_ask(t, "{'request':'export','fd':%d,%s}", fd, members);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", members, (int)rc, t->err.text);
	}
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", NULL), 0);
}

static void purpose_outside_the_policy_is_refused_and_audited(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t,
				  "{'request':'export','id':'%s','fd':%d,'purpose':"
				  "'process-improvement','reference':'x'}",
				  id, fd),
			 RC_REFUSED);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "refused"), 1);
	const json_t *last = test_reply(t, json_array_size(t->replies) - 1);
	assert_string_equal(test_text(last, "purpose"), "process-improvement");
	assert_string_equal(test_text(last, "call"), id);
}

static void purpose_of_another_role_is_refused_and_audited(void **state)
{
	struct test_vault *t = *state;
	t->v->policy.purpose_roles[policy_purpose("complaint")] = ROLE_MANAGER | ROLE_STAFF;
	assert_int_equal(test_ask(t, ask_export, id, fd, ""), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "complaint"));
	assert_non_null(strstr(t->err.text, "(controller)"));
	nothing_came_out();
	assert_int_equal(test_ask_as(t, "mia", ask_export, id, fd, ""), RC_OK);
	assert_int_equal(test_audited(t, "export", "refused"), 1);
	assert_int_equal(test_audited(t, "export", "granted"), 1);
}

static void policy_that_forbids_plain_copies_refuses_files(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, ask_export, id, fd, ""), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "unprotected"));
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "refused"), 1);
	assert_int_equal(test_audited(t, "export", "granted"), 0);
}

static void staff_may_not_open_a_recording(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask_as(t, "stan", ask_export, id, fd, ""), RC_REFUSED);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "refused"), 1);
}

static void sealed_audio_opens_with_the_passphrase_alone(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	assert_false(test_find(t, "vault/secret", "audio.key", path));
	assert_int_equal(test_ask(t, ask_export, id, fd, ""), RC_AGAIN);
	assert_string_equal(t->err.text, "passphrase needed");
	assert_int_equal(test_audited(t, "export", NULL), 0);
	assert_int_equal(test_ask(t, ask_export, id, fd, ",'passphrase':'wrong'"), RC_REFUSED);
	assert_int_equal(
		test_ask_as(t, "mia", ask_export, id, fd, ",'passphrase':'" PASSPHRASE "'"),
		RC_REFUSED);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "refused"), 2);
	assert_int_equal(test_ask(t, ask_export, id, fd, ",'passphrase':'" PASSPHRASE "'"), RC_OK);
	expect_audio(FRAMES);
}

static void altered_chunk_is_damage_not_a_gap(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	size_t len;
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	uint8_t *bytes = read_file(path, &len);
	bytes[8000] ^= 1;
	write_file(path, bytes, len);
	free(bytes);
	assert_int_equal(test_ask(t, ask_export, id, fd, ""), RC_DAMAGED);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "damaged"), 1);
}

static void destroyed_recording_gives_nothing(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_int_equal(segment_destroy_slot(path, 0, &t->err), RC_OK);
	assert_int_equal(test_ask(t, ask_export, id, fd, ""), RC_FAILED);
	assert_non_null(strstr(t->err.text, "destroyed"));
	nothing_came_out();
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "slot 0: destroyed without a disposal record"));
	assert_int_equal(test_ask(t, "{'request':'verify','id':'%s'}", id), RC_DAMAGED);
	assert_true(json_is_false(json_object_get(test_reply(t, 1), "ok")));
}

int main(void)
{
#define TEST(f, made) cmocka_unit_test_setup_teardown(f, made, drop)
	const struct CMUnitTest tests[] = {
		TEST(export_is_exact_and_told_to_the_trail, make_lab),
		TEST(frames_after_the_end_of_the_call_stay_out, make_lab),
		TEST(recording_without_any_stream_record_is_decoded_by_its_chunks, make_lab),
		TEST(one_track_is_mono_and_at_skips, make_lab),
		TEST(call_without_audio_is_one_line, make_lab),
		TEST(wrong_words_are_answered_with_the_choices, make_lab),
		TEST(purpose_outside_the_policy_is_refused_and_audited, make_strict),
		TEST(purpose_of_another_role_is_refused_and_audited, make_lab),
		TEST(policy_that_forbids_plain_copies_refuses_files, make_strict),
		TEST(staff_may_not_open_a_recording, make_lab),
		TEST(sealed_audio_opens_with_the_passphrase_alone, make_sealed),
		TEST(altered_chunk_is_damage_not_a_gap, make_lab),
		TEST(destroyed_recording_gives_nothing, make_lab),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
