/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_export.c: what leaves the store is protected where the policy wants it, bears a manifest that any change of either
 * shows, and is silent where somebody was to be muted. */
#include "vault_help.h"

#include "vault/manifest.h"

#define FRAMES   50
#define SAMPLES  (FRAMES * FRAME_SAMPLES)
#define PASSWORD "open sesame, please"
#define NOW_US   (INT64_C(1893456000) * 1000000) /* 2030, when the certificate below is valid */

static const char ask_export[] =
	"{'request':'export','id':'%s','fd':%d,'purpose':'complaint','reference':'C-1'%s}";

/* Of nobody; its key was thrown away. */
static const char certificate[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBizCCATKgAwIBAgIUUDKf62zIl+XQiywM67LOrMM9y5YwCgYIKoZIzj0EAwIw\n"
	"FDESMBAGA1UEAwwJcmVjaXBpZW50MCAXDTI2MTEyODAzMTM0M1oYDzIxMjYxMTA0\n"
	"MDMxMzQzWjAUMRIwEAYDVQQDDAlyZWNpcGllbnQwWTATBgcqhkjOPQIBBggqhkjO\n"
	"PQMBBwNCAATC4z5+Dm+01MrKlUvWDpyXQJWKTz6a/B/TESkePW9B7XOMWpcs/51B\n"
	"K6RXMOnYEx4u9BN9XOUF1p/Mmgy5tA7Ko2AwXjAdBgNVHQ4EFgQUev+U7duI0zDf\n"
	"ZOHllWwOvQbL7XcwHwYDVR0jBBgwFoAUev+U7duI0zDfZOHllWwOvQbL7XcwDwYD\n"
	"VR0TAQH/BAUwAwEB/zALBgNVHQ8EBAMCAwgwCgYIKoZIzj0EAwIDRwAwRAIgWCei\n"
	"rPuVshBPM1Xd8uGCe3N83JO9jipv9Lqsps1nxeMCIBnp3QGKouQ/zg9RRTuBnEkq\n"
	"3FqDYL72w9u6w+zO4kx+\n"
	"-----END CERTIFICATE-----\n";
static const char certificate_sha256[] =
	"a5a6a21d67a90ebeea4e8c926073e0e2185a3a4979d4c558efb8a0f32d062102";

static char id[UUID_TEXT], file[128], beside[160];
static int fd;

static int64_t fixed_us(void *ctx)
{
	(void)ctx;
	return NOW_US;
}

static void make_with(void **state, const char *policy)
{
	static struct test_vault t;
	static struct test_call c;
	test_vault_make(&t, policy, NULL);
	vault_set_clock(t.v, fixed_us, NULL);
	test_record(&t, 1, &c);
	test_person(&t, "stan", ROLE_STAFF);
	uuid_text(&c.r.id, id);
	snprintf(file, sizeof file, "%s/handed", t.path);
	snprintf(beside, sizeof beside, "%s.manifest", file);
	fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	*state = &t;
}

static int make_lab(void **state)
{
	make_with(state, "lab");
	return 0;
}

static int make_strict(void **state)
{
	make_with(state, "30-day");
	return 0;
}

static int drop(void **state)
{
	close(fd);
	test_vault_remove(*state);
	return 0;
}

static void empty_file(void)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static void nothing_came_out(void)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* Ask for an export; what is more than usual as JSON with single quotes. */
static enum rc export_as(struct test_vault *t, const char *person, const char *more)
{
	empty_file();
	return test_ask_as(t, person, ask_export, id, fd, more);
}

static void export_well(struct test_vault *t, const char *more)
{
	if (export_as(t, "alice", more) != RC_OK)
		fail_msg("export: %s", t->err.text);
}

/* The same to the holder of a certificate, which is long for a format string. */
static enum rc export_to(struct test_vault *t, const char *pem)
{
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_t *request =
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "request", "export", "id", id, "fd", fd,
			  "purpose", "complaint", "reference", "C-1", "recipient", pem);
	assert_non_null(request);
	empty_file();
	json_decref(t->replies);
	t->replies = json_array();
	enum rc rc = vault_request(t->v, &who, request, test_collect, t, &t->err);
	json_decref(request);
	return rc;
}

/* A plain export's manifest, owned by the caller. */
static char *manifest_of(struct test_vault *t, const char *more)
{
	export_well(t, more);
	char *text = strdup(test_text(test_reply(t, 0), "manifest"));
	assert_non_null(text);
	return text;
}

static enum rc read_manifest(const char *text, size_t len, const uint8_t *by)
{
	struct error err;
	uint8_t key[32];
	json_t *m = NULL;
	enum rc rc = manifest_read(text, len, by, &m, key, &err);
	assert_true((rc == RC_OK) == (m != NULL));
	json_decref(m);
	return rc;
}

static json_t *parse(const char *manifest)
{
	json_t *m = json_loadb(manifest, strcspn(manifest, "\n"), 0, NULL);
	assert_non_null(m);
	return m;
}

/* Sign other words than the vault did. */
static char *sign_again(const json_t *m, const struct sign_pair *by)
{
	uint8_t sig[64];
	char spelled[BASE64_TEXT(64)], *line = json_dumps(m, JSON_COMPACT), *text;
	sign_bytes(sig, line, strlen(line), by);
	base64_encode(spelled, sig, sizeof sig);
	assert_true(asprintf(&text, "%s\n%s\n", line, spelled) > 0);
	free(line);
	return text;
}

static const json_t *entry_of(struct test_vault *t, const char *outcome)
{
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	for (size_t i = json_array_size(t->replies); i-- > 0;) {
		const json_t *o = test_reply(t, i);
		const char *what = json_string_value(json_object_get(o, "outcome"));
		if (what && strcmp(what, outcome) == 0)
			return o;
	}
	fail_msg("no entry is %s", outcome);
	return NULL;
}

/* ---- manifests --------------------------------------------------------------------------------------- */

static void manifest_says_what_it_is_whence_and_why(void **state)
{
	struct test_vault *t = *state;
	char *text = manifest_of(t, ",'track':'callee','mute':['both:0.2-0:00.3']");
	json_t *m = parse(text);
	const json_t *told = test_reply(t, 0);
	assert_string_equal(manifest_text(m, "file.sha256"), test_text(told, "sha256"));
	assert_int_equal(json_integer_value(manifest_at(m, "file.bytes")),
			 test_number(told, "bytes"));
	assert_string_equal(manifest_text(m, "file.track"), "callee");
	assert_string_equal(manifest_text(m, "file.format"), "wav");
	char *mute = json_dumps(manifest_at(m, "file.mute"), JSON_COMPACT | JSON_REAL_PRECISION(6));
	assert_string_equal(mute, "[{\"side\":\"both\",\"from_s\":0.2,\"to_s\":0.3}]");
	free(mute);
	assert_string_equal(manifest_text(m, "recording.id"), id);
	assert_string_equal(manifest_text(m, "recording.from"), "+441632960000");
	assert_string_equal(manifest_text(m, "recording.to"), "2000");
	assert_int_equal(json_array_size(manifest_at(m, "recording.streams")), 2);
	assert_null(manifest_at(m, "recording.retention"));
	assert_string_equal(manifest_text(m, "opened.by"), "alice");
	assert_string_equal(manifest_text(m, "opened.role"), "controller");
	assert_string_equal(manifest_text(m, "opened.purpose"), "complaint");
	assert_string_equal(manifest_text(m, "opened.reference"), "C-1");
	assert_string_equal(manifest_text(m, "opened.at"), "2030-01-01T00:00:00.000000Z");
	assert_string_equal(manifest_text(m, "opened.policy_hash"), t->v->policy.hash);
	assert_string_equal(manifest_text(m, "opened.protection"), "plain");
	const json_t *granted = entry_of(t, "granted");
	assert_int_equal(json_integer_value(manifest_at(m, "audit.entry")),
			 test_number(granted, "number"));
	/* the trail has this hash at this number */
	assert_int_equal(test_ask(t, "{'request':'audit-verify','head':'%lld %s'}",
				  (long long)json_integer_value(manifest_at(m, "audit.entry")),
				  manifest_text(m, "audit.hash")),
			 RC_OK);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", id), RC_OK);
	const json_t *shown = test_reply(t, 0);
	assert_string_equal(manifest_text(m, "original.digest"), test_text(shown, "digest"));
	assert_string_equal(manifest_text(m, "original.segment"), test_text(shown, "segment"));
	assert_true(json_is_true(manifest_at(m, "original.attested")));
	assert_int_equal(strlen(manifest_text(m, "original.last_attest")), 64);
	assert_int_equal(read_manifest(text, strlen(text), t->v->keys.heads.public_key), RC_OK);
	json_decref(m);
	free(text);
}

static void every_altered_bit_of_a_manifest_is_found(void **state)
{
	struct test_vault *t = *state;
	char *text = manifest_of(t, "");
	size_t len = strlen(text);
	assert_int_equal(read_manifest(text, len, NULL), RC_OK);
	for (size_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] ^= (char)(1 << bit);
			if (read_manifest(text, len, NULL) != RC_DAMAGED)
				fail_msg("bit %d of byte %zu is not missed", bit, i);
			text[i] ^= (char)(1 << bit);
		}
	}
	for (size_t i = 0; i < len; i++)
		assert_int_equal(read_manifest(text, i, NULL), RC_DAMAGED);
	char *longer;
	assert_true(asprintf(&longer, "%s\n", text) > 0);
	assert_int_equal(read_manifest(longer, len + 1, NULL), RC_DAMAGED);
	free(longer);
	free(text);
}

static void manifest_of_another_key_is_not_this_vaults(void **state)
{
	struct test_vault *t = *state;
	struct sign_pair other;
	struct pem_key key;
	char *text = manifest_of(t, "");
	json_t *m = parse(text);
	sign_pair_new(&other);
	pem_describe(&key, other.public_key);
	json_object_set_new(m, "vault_key", json_string(key.base64));
	char *forged = sign_again(m, &other);
	assert_int_equal(read_manifest(forged, strlen(forged), NULL), RC_OK);
	assert_int_equal(read_manifest(forged, strlen(forged), t->v->keys.heads.public_key),
			 RC_DAMAGED);
	free(forged);
	/* Its own key, and another's signature. */
	pem_describe(&key, t->v->keys.heads.public_key);
	json_object_set_new(m, "vault_key", json_string(key.base64));
	forged = sign_again(m, &other);
	assert_int_equal(read_manifest(forged, strlen(forged), NULL), RC_DAMAGED);
	free(forged);
	json_decref(m);
	free(text);
}

static enum rc ask_of(struct test_vault *t, const char *manifest)
{
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_t *request = json_pack("{s:s, s:s}", "request", "verify-export", "manifest", manifest);
	json_decref(t->replies);
	t->replies = json_array();
	enum rc rc = vault_request(t->v, &who, request, test_collect, t, &t->err);
	json_decref(request);
	return rc;
}

static void the_trail_must_say_what_the_manifest_says(void **state)
{
	static const struct {
		const char *part, *name, *value;
	} lies[] = {
		{ "recording", "id", "01970000-0000-7000-8000-000000000000" },
		{ "opened", "by", "bob" },
		{ "opened", "role", "manager" },
		{ "opened", "action", "replay" },
		{ "opened", "purpose", "training" },
		{ "opened", "reference", "C-2" },
		{ "opened", "at", "2030-01-01T00:00:00.000001Z" },
		{ "audit", "hash", "00" },
	};
	struct test_vault *t = *state;
	char *text = manifest_of(t, "");
	if (ask_of(t, text) != RC_OK)
		fail_msg("verify-export: %s", t->err.text);
	assert_string_equal(test_text(test_reply(t, 0), "audit"), "found");
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		json_t *m = parse(text);
		json_object_set_new(json_object_get(m, lies[i].part), lies[i].name,
				    json_string(lies[i].value));
		char *lie = sign_again(m, &t->v->keys.heads);
		if (ask_of(t, lie) != RC_DAMAGED)
			fail_msg("another %s.%s is believed", lies[i].part, lies[i].name);
		free(lie);
		json_decref(m);
	}
	for (int step = -1; step <= 1000; step += 1001 - (step > 0)) {
		json_t *m = parse(text), *audit = json_object_get(m, "audit");
		json_object_set_new(audit, "entry",
				    json_integer(test_number(audit, "entry") + step));
		char *lie = sign_again(m, &t->v->keys.heads);
		assert_int_equal(ask_of(t, lie), RC_DAMAGED);
		free(lie);
		json_decref(m);
	}
	free(text);
}

static void public_keys_are_those_that_sign(void **state)
{
	struct test_vault *t = *state;
	uint8_t key[32];
	assert_int_equal(test_ask(t, "{'request':'public-keys'}"), RC_OK);
	const json_t *vault = json_object_get(test_reply(t, 0), "vault");
	const json_t *recorder = json_object_get(test_reply(t, 0), "recorder");
	assert_true(pem_read_key(test_text(vault, "pem"), key));
	assert_memory_equal(key, t->v->keys.heads.public_key, 32);
	assert_true(pem_read_key(test_text(recorder, "pem"), key));
	assert_memory_equal(key, t->v->keys.recorder_public, 32);
}

/* ---- files that are shown again ------------------------------------------------------------------------ */

static enum rc inspect(const char *password, const char *key, struct error *err)
{
	const struct vault_inspect in = { .path = file, .password = password, .key = key };
	json_t *out = NULL;
	enum rc rc = vault_inspect(&in, &out, err);
	json_decref(out);
	return rc;
}

static void plain_file_and_its_manifest_are_held_against_each_other(void **state)
{
	struct test_vault *t = *state;
	struct error err;
	struct pem_key key, other;
	size_t len;
	char *text = manifest_of(t, "");
	assert_int_equal(inspect(NULL, NULL, &err), RC_FAILED); /* no manifest beside it */
	write_file(beside, (uint8_t *)text, strlen(text));
	pem_describe(&key, t->v->keys.heads.public_key);
	pem_describe(&other, t->v->keys.recorder_public);
	assert_int_equal(inspect(NULL, NULL, &err), RC_OK);
	assert_int_equal(inspect(NULL, key.pem, &err), RC_OK);
	assert_int_equal(inspect(NULL, other.pem, &err), RC_DAMAGED);
	assert_non_null(strstr(err.text, key.fingerprint));
	assert_int_equal(inspect(NULL, "not a key", &err), RC_USAGE);
	uint8_t *bytes = read_file(file, &len);
	for (size_t i = 4; i < len; i += 1 + i / 7) { /* its first bytes say what it is */
		bytes[i] ^= 1;
		write_file(file, bytes, len);
		assert_int_equal(inspect(NULL, NULL, &err), RC_DAMAGED);
		bytes[i] ^= 1;
	}
	write_file(file, bytes, len - 1);
	assert_int_equal(inspect(NULL, NULL, &err), RC_DAMAGED);
	write_file(file, bytes, len);
	assert_int_equal(inspect(NULL, NULL, &err), RC_OK);
	free(bytes);
	free(text);
}

static void zip_opens_with_its_password_alone(void **state)
{
	struct test_vault *t = *state;
	struct error err;
	export_well(t, ",'password':'" PASSWORD "'");
	const json_t *told = test_reply(t, 0);
	assert_string_equal(test_text(told, "protection"), "zip");
	assert_true(json_is_null(json_object_get(told, "manifest")));
	assert_int_equal(inspect(PASSWORD, NULL, &err), RC_OK);
	assert_int_equal(inspect(NULL, NULL, &err), RC_AGAIN);
	assert_int_equal(inspect("another password", NULL, &err), RC_REFUSED);
}

/* The SHA-256 of the recording in it; "" when it is not whole. */
static enum rc content_of(char sha256[65])
{
	struct error err;
	const struct vault_inspect in = { .path = file, .password = PASSWORD };
	json_t *out = NULL;
	enum rc rc = vault_inspect(&in, &out, &err);
	snprintf(sha256, 65, "%s", rc == RC_OK ? test_text(out, "sha256") : "");
	json_decref(out);
	return rc;
}

/* Not everything in a ZIP matters (versions, attributes); what is taken for good must be what it was. */
static void altered_zip_is_never_taken_for_another_recording(void **state)
{
	struct test_vault *t = *state;
	size_t len, found = 0;
	char whole[65], sha256[65];
	export_well(t, ",'password':'" PASSWORD "'");
	assert_int_equal(content_of(whole), RC_OK);
	uint8_t *bytes = read_file(file, &len);
	for (size_t i = 0; i < len; i += 1 + len / 700) {
		bytes[i] ^= (uint8_t)(1 << i % 8);
		write_file(file, bytes, len);
		enum rc rc = content_of(sha256);
		found += rc == RC_DAMAGED;
		if (rc == RC_OK)
			assert_string_equal(sha256, whole);
		bytes[i] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(found > 350);
	for (size_t cut = 1; cut < len; cut += len / 50) {
		write_file(file, bytes, len - cut);
		assert_int_not_equal(content_of(sha256), RC_OK);
	}
	free(bytes);
}

/* ---- protection ------------------------------------------------------------------------------------------ */

static void strict_policy_lets_protected_copies_leave_and_no_others(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(export_as(t, "alice", ""), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "--password-file or --recipient"));
	nothing_came_out();
	assert_int_equal(test_ask(t,
				  "{'request':'replay','id':'%s','fd':%d,'purpose':'complaint',"
				  "'reference':'C-1'}",
				  id, fd),
			 RC_REFUSED);
	nothing_came_out();
	export_well(t, ",'password':'" PASSWORD "'");
	char sha256[65], inside[65], content[80];
	snprintf(sha256, sizeof sha256, "%s", test_text(test_reply(t, 0), "sha256"));
	const json_t *granted = entry_of(t, "granted");
	assert_non_null(strstr(test_text(granted, "detail"), "protection=zip"));
	assert_int_equal(content_of(inside), RC_OK);
	snprintf(content, sizeof content, "content=%s", inside);
	const char *detail = test_text(entry_of(t, "done"), "detail");
	assert_non_null(strstr(detail, sha256));
	assert_non_null(strstr(detail, "protection=zip"));
	assert_non_null(strstr(detail, content));
	assert_int_equal(test_audited(t, "export", "refused"), 1);
	assert_int_equal(test_audited(t, "replay", "refused"), 1);
}

static bool holds(const uint8_t *bytes, size_t len, const char *text)
{
	return memmem(bytes, len, text, strlen(text)) != NULL;
}

static void protected_file_names_nobody(void **state)
{
	struct test_vault *t = *state;
	size_t len;
	export_well(t, ",'password':'" PASSWORD "'");
	uint8_t *bytes = read_file(file, &len);
	assert_true(holds(bytes, len, "recording.wav") && holds(bytes, len, "manifest.txt"));
	assert_false(holds(bytes, len, id));
	assert_false(holds(bytes, len, "441632960000"));
	assert_false(holds(bytes, len, "RIFF"));
	assert_false(holds(bytes, len, PASSWORD));
	free(bytes);
}

static void envelope_is_sealed_to_the_certificate_on_record(void **state)
{
	struct test_vault *t = *state;
	struct error err;
	size_t len;
	if (export_to(t, certificate) != RC_OK)
		fail_msg("export: %s", t->err.text);
	const json_t *told = test_reply(t, 0);
	assert_string_equal(test_text(told, "protection"), "cms");
	assert_string_equal(test_text(told, "recipient"), certificate_sha256);
	uint8_t *bytes = read_file(file, &len);
	assert_int_equal(len, test_number(told, "bytes"));
	assert_int_equal(bytes[0], 0x30);
	assert_false(holds(bytes, len, "recording.wav"));
	free(bytes);
	assert_int_equal(inspect(NULL, NULL, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "openssl cms"));
	assert_non_null(strstr(test_text(entry_of(t, "granted"), "detail"), certificate_sha256));
	assert_non_null(strstr(test_text(entry_of(t, "done"), "detail"), certificate_sha256));
}

static void packets_leave_protected_too(void **state)
{
	struct test_vault *t = *state;
	struct error err;
	export_well(t, ",'format':'pcap','password':'" PASSWORD "'");
	const struct vault_inspect in = { .path = file, .password = PASSWORD };
	json_t *out;
	if (vault_inspect(&in, &out, &err) != RC_OK)
		fail_msg("%s", err.text);
	const json_t *m = json_object_get(out, "manifest");
	assert_string_equal(manifest_text(m, "file.format"), "pcap");
	assert_int_equal(json_integer_value(manifest_at(m, "file.packets")), 2 * FRAMES);
	json_decref(out);
}

static void who_may_not_export_may_not_protected_either(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(export_as(t, "stan", ",'password':'" PASSWORD "'"), RC_REFUSED);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "refused"), 1);
}

static void disk_that_is_full_is_told_and_audited(void **state)
{
	struct test_vault *t = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(test_ask(t, ask_export, id, full, ",'password':'" PASSWORD "'"),
			 RC_FAILED);
	assert_non_null(strstr(t->err.text, "No space left"));
	close(full);
	assert_int_equal(test_audited(t, "export", "failed"), 1);
	assert_int_equal(test_audited(t, "export", "done"), 0);
}

static void wrong_words_are_one_line_and_open_nothing(void **state)
{
	static const struct {
		const char *more, *says;
	} asked[] = {
		{ ",'password':'short'", "12 to 99 characters" },
		{ ",'password':''", "12 to 99 characters" },
		{ ",'password':'gr\\u00fcn gr\\u00fcn gr\\u00fcn'", "ASCII" },
		{ ",'recipient':'Dear sender'", "not a certificate" },
		{ ",'password':'" PASSWORD "','recipient':'x'", "either" },
		{ ",'mute':'caller:1-2'", "a list" },
		{ ",'mute':[3]", "a list" },
		{ ",'mute':['']", "SIDE:FROM-TO" },
		{ ",'mute':['caller']", "SIDE:FROM-TO" },
		{ ",'mute':['third:1-2']", "\"third:1-2\"" },
		{ ",'mute':['caller:0-1','caller:1']", "\"caller:1\"" },
		{ ",'mute':['caller:1-1']", "ends before it begins" },
		{ ",'mute':['caller:0:09-8']", "ends before it begins" },
		{ ",'mute':['caller:1:75-90']", "not two times" },
		{ ",'mute':['caller:1:2:3:4-90']", "not two times" },
		{ ",'mute':['caller:-1-2']", "not two times" },
		{ ",'mute':['caller:0x1-2']", "not two times" },
		{ ",'mute':['caller:1e0-2']", "not two times" },
		{ ",'mute':['caller:1.-2']", "not two times" },
		{ ",'mute':['caller:1.5:00-200']", "not two times" },
		{ ",'mute':['caller:1-2 ']", "not two times" },
		{ ",'mute':['caller:1-1234567890']", "not two times" },
		{ ",'format':'pcap','mute':['caller:0-1']", "cannot be muted" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = export_as(t, "alice", asked[i].more);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", asked[i].more, (int)rc, t->err.text);
	}
	assert_int_equal(test_ask(t,
				  "{'request':'replay','id':'%s','play':true,'purpose':'complaint',"
				  "'reference':'x','mute':['both']}",
				  id),
			 RC_USAGE);
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", NULL), 0);
	/* Of one more than there may be, none is looked at. */
	char many[257 * 15] = "";
	for (unsigned i = 0; i < 257; i++)
		strcat(many, i ? ",\"both:0-1\"" : "\"both:0-1\"");
	json_error_t where;
	char *text;
	assert_true(asprintf(&text, "[%s]", many) > 0);
	json_t *list = json_loads(text, 0, &where);
	struct mute mutes[MUTES];
	unsigned count;
	assert_int_equal(mute_read(list, mutes, &count, &t->err), RC_USAGE);
	json_array_remove(list, 0);
	assert_int_equal(mute_read(list, mutes, &count, &t->err), RC_OK);
	assert_int_equal(count, MUTES);
	json_decref(list);
	free(text);
}

/* ---- muting ------------------------------------------------------------------------------------------------ */

static int16_t sample_at(const uint8_t *wav, size_t header, uint32_t i, unsigned track)
{
	const uint8_t *p = wav + header + 4 * i + 2 * track;
	return (int16_t)(p[0] | p[1] << 8);
}

static size_t data_at(const uint8_t *wav, size_t len)
{
	size_t at = 12;
	while (memcmp(wav + at, "data", 4) != 0) {
		struct bytes b = bytes_over(wav + at + 4, 4);
		at += 8 + (size_t)bytes_u32_le(&b);
		assert_true(at + 8 < len);
	}
	return at + 8;
}

static void muted_stretch_is_zero_and_the_rest_is_exact(void **state)
{
	struct test_vault *t = *state;
	size_t len, muted_len;
	export_well(t, "");
	uint8_t *plain = read_file(file, &len);
	export_well(t, ",'mute':['caller:0.25-0:00.5','both:0.9-99','callee:0-0:00:00.01']");
	uint8_t *muted = read_file(file, &muted_len);
	size_t a = data_at(plain, len), b = data_at(muted, muted_len);
	assert_true(b > a); /* cue points */
	assert_true(holds(muted, b, "muted caller") && holds(muted, b, "unmuted callee"));
	uint32_t zeroed = 0;
	for (uint32_t i = 0; i < SAMPLES; i++) {
		bool out[2] = { (i >= 2000 && i < 4000) || i >= 7200, i < 80 || i >= 7200 };
		for (unsigned k = 0; k < 2; k++) {
			int16_t was = sample_at(plain, a, i, k);
			assert_int_equal(sample_at(muted, b, i, k), out[k] ? 0 : was);
			zeroed += out[k] && was != 0;
		}
	}
	assert_true(zeroed > 3000); /* there was something to take out */
	free(muted);
	free(plain);
}

static void mute_past_the_end_is_an_error_and_nothing_comes_out(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(export_as(t, "alice", ",'mute':['both:0-0.1','callee:1-2']"), RC_USAGE);
	assert_non_null(strstr(t->err.text, "1.000 s long"));
	nothing_came_out();
	assert_int_equal(test_audited(t, "export", "failed"), 1);
}

static void protected_copy_is_muted_as_the_plain_one(void **state)
{
	struct test_vault *t = *state;
	char sha256[65], inside[65];
	export_well(t, ",'mute':['caller:0.25-0:00.5']");
	snprintf(sha256, sizeof sha256, "%s", test_text(test_reply(t, 0), "sha256"));
	export_well(t, ",'mute':['caller:0.25-0:00.5'],'password':'" PASSWORD "'");
	assert_int_equal(content_of(inside), RC_OK);
	assert_string_equal(inside, sha256);
}

int main(void)
{
#define TEST(f, made) cmocka_unit_test_setup_teardown(f, made, drop)
	const struct CMUnitTest tests[] = {
		TEST(manifest_says_what_it_is_whence_and_why, make_lab),
		TEST(every_altered_bit_of_a_manifest_is_found, make_lab),
		TEST(manifest_of_another_key_is_not_this_vaults, make_lab),
		TEST(the_trail_must_say_what_the_manifest_says, make_lab),
		TEST(public_keys_are_those_that_sign, make_strict),
		TEST(plain_file_and_its_manifest_are_held_against_each_other, make_lab),
		TEST(zip_opens_with_its_password_alone, make_strict),
		TEST(altered_zip_is_never_taken_for_another_recording, make_strict),
		TEST(strict_policy_lets_protected_copies_leave_and_no_others, make_strict),
		TEST(protected_file_names_nobody, make_strict),
		TEST(envelope_is_sealed_to_the_certificate_on_record, make_strict),
		TEST(packets_leave_protected_too, make_strict),
		TEST(who_may_not_export_may_not_protected_either, make_strict),
		TEST(disk_that_is_full_is_told_and_audited, make_strict),
		TEST(wrong_words_are_one_line_and_open_nothing, make_lab),
		TEST(muted_stretch_is_zero_and_the_rest_is_exact, make_lab),
		TEST(mute_past_the_end_is_an_error_and_nothing_comes_out, make_lab),
		TEST(protected_copy_is_muted_as_the_plain_one, make_lab),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
