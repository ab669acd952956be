/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan restore: a store from a backup. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd.h"

static void print_restored(const struct cli *c, const struct vault_restored *r)
{
	char when[CLOCK_TEXT], size[24];
	printf("%s: as of %s: %llu segments (%s), audit trail up to entry %llu%s\n", c->store,
	       clock_local(r->made_us * 1000, when), (unsigned long long)r->segments,
	       cmd_bytes((json_int_t)r->bytes, size), (unsigned long long)r->entries,
	       r->reindexed ? "; the index was made anew" : "");
	if (r->disposals)
		printf("%llu recordings that were destroyed after it was made are destroyed here "
		       "too.\n",
		       (unsigned long long)r->disposals);
	if (r->purged)
		printf("%llu recordings whose time has come since were purged.\n",
		       (unsigned long long)r->purged);
}

static enum rc ask(struct cli *c, const char *file, char passphrase[PASSPHRASE_MAX])
{
	if (file)
		return cmd_passphrase_file(file, passphrase, &c->err);
	if (!isatty(STDIN_FILENO))
		return error_set(&c->err, RC_REFUSED,
				 "passphrase needed: give --passphrase-file, there is no terminal "
				 "to ask on");
	return cmd_passphrase_ask("The backup's passphrase: ", passphrase, &c->err);
}

enum rc cmd_restore(struct cli *c, int argc, char **argv)
{
	char passphrase[PASSPHRASE_MAX] = "", person[256];
	const char *file = NULL;
	struct vault_restored restored;
	struct vault_restore cfg = { .backup = NULL };
	const struct word words[] = {
		{ 0, "passphrase-file", "F", "the backup's passphrase, in the first line", &file,
		  NULL },
		{ 0, "aside", NULL, "give what is in its way in the store another name", NULL,
		  &cfg.aside },
		{ 0, "disposals", "FILE", "carry out these disposals too", &cfg.disposals, NULL },
		{ 0, "yes", NULL, "purge what has expired, whatever the purge's guards say", NULL,
		  &cfg.yes },
		{ 0, "allow-cow", NULL, "although the file system copies on write", NULL,
		  &cfg.allow_cow },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &cfg.backup, 1, NULL);
	if (rc == RC_OK && !cfg.backup)
		rc = error_set(&c->err, RC_USAGE,
			       "restore from where? A backup's folder is wanted");
	if (rc == RC_OK)
		rc = cmd_find_store(c);
	if (rc == RC_OK)
		rc = cmd_init_recorder(c, &cfg.recorder_uid);
	if (rc == RC_OK)
		rc = ask(c, file, passphrase);
	if (rc != RC_OK)
		return rc;
	snprintf(person, sizeof person, "%s", cmd_person());
	cfg.store = c->store;
	cfg.person = person;
	cfg.passphrase = passphrase;
	rc = vault_restore(&cfg, &restored, &c->err);
	explicit_bzero(passphrase, sizeof passphrase);
	if (rc == RC_OK)
		print_restored(c, &restored);
	return rc == RC_AGAIN ? RC_REFUSED : rc;
}
