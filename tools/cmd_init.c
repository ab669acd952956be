/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan init: make a store: keys, index, policy. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define POLICY_USUAL "30-day"
#ifndef CALLSPAN_POLICY_DIR
#define CALLSPAN_POLICY_DIR "/usr/local/share/callspan/policies"
#endif

/* Where the shipped profiles lie: as told, installed, or in the tree that this program was built in. */
static const char *policy_dir(char path[STORE_PATH])
{
	static const char *const beside[] = { "../share/callspan/policies", "../../conf/policies" };
	const char *told = getenv("CALLSPAN_POLICIES");
	char exe[STORE_PATH - 64];
	if (told && *told)
		return told;
	if (access(CALLSPAN_POLICY_DIR, R_OK) == 0)
		return CALLSPAN_POLICY_DIR;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	exe[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(exe, '/');
	for (size_t i = 0; slash && i < 2; i++) {
		slash[0] = '\0';
		snprintf(path, STORE_PATH, "%s/%s", exe, beside[i]);
		if (access(path, R_OK) == 0)
			return path;
	}
	return CALLSPAN_POLICY_DIR;
}

static enum rc get_passphrase(struct cli *c, const char *file, char passphrase[PASSPHRASE_MAX])
{
	if (file) {
		enum rc rc = cmd_passphrase_file(file, passphrase, &c->err);
		return rc == RC_OK ? cmd_passphrase_check(passphrase, &c->err) : rc;
	}
	if (!isatty(STDIN_FILENO))
		return error_set(
			&c->err, RC_USAGE,
			"no terminal to ask for a passphrase: give --passphrase-file F, or "
			"--unattended to keep the audio key unprotected in the store");
	return cmd_passphrase_new("New passphrase, to hear recordings: ", passphrase, &c->err);
}

/* Who will write STORE/recorder: the user that the recorder becomes, if root makes the store; else (uid_t)-1. */
enum rc cmd_init_recorder(struct cli *c, uid_t *uid)
{
	const char *user = c->options.user;
	const struct passwd *pw = *user ? getpwnam(user) : NULL;
	if (*user && !pw)
		return error_set(&c->err, RC_USAGE, "user: there is no user '%s'", user);
	*uid = pw && geteuid() == 0 ? pw->pw_uid : (uid_t)-1;
	return RC_OK;
}

enum rc cmd_init(struct cli *c, int argc, char **argv)
{
	char passphrase[PASSPHRASE_MAX] = "", policies[STORE_PATH], person[256];
	const char *policy = POLICY_USUAL, *controller = NULL, *file = NULL;
	bool unattended = false, allow_cow = false;
	uid_t recorder_uid = (uid_t)-1;
	const struct word words[] = {
		{ 0, "policy", "NAME|FILE", "30-day (default), 12-month, lab, or a policy file",
		  &policy, NULL },
		{ 0, "controller", "USER", "the store's first controller (default: you)",
		  &controller, NULL },
		{ 0, "passphrase-file", "F", "the controller's passphrase, in the first line",
		  &file, NULL },
		{ 0, "unattended", NULL, "no passphrase: keep the audio key in the store", NULL,
		  &unattended },
		{ 0, "allow-cow", NULL, "although the file system copies on write", NULL,
		  &allow_cow },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc == RC_OK && unattended && file)
		rc = error_set(&c->err, RC_USAGE,
			       "--passphrase-file and --unattended exclude each other");
	if (rc == RC_OK)
		rc = cmd_find_store(c);
	if (rc == RC_OK)
		rc = cmd_init_recorder(c, &recorder_uid);
	if (rc == RC_OK && !unattended)
		rc = get_passphrase(c, file, passphrase);
	if (rc == RC_OK) {
		snprintf(person, sizeof person, "%s", controller ? controller : cmd_person());
		struct vault_init init = { .store = c->store,
					   .policy = policy,
					   .policy_dir = policy_dir(policies),
					   .controller = person,
					   .passphrase = unattended ? NULL : passphrase,
					   .allow_cow = allow_cow,
					   .recorder_uid = recorder_uid };
		rc = vault_init(&init, &c->err);
	}
	explicit_bzero(passphrase, sizeof passphrase);
	if (rc == RC_OK)
		printf("%s: policy %s, controller %s\n", c->store, policy, person);
	return rc;
}
