/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan: everything but recording: list, hear, export, verify.
 *
 *   callspan [--store DIR | --config FILE] COMMAND ...
 *
 * One row a command; what a command does stands in its own file, cmd_NAME.c.  Exit status: 0 done,
 * 1 failed, 2 wrong usage, 3 refused, 4 damage or tampering found.
 */
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/nearest.h"
#include "base/version.h"
#include "cmd.h"

/* clang-format off */
static const struct command commands[] = {
	{ "init",    "[--policy NAME|FILE] [--controller USER] [--passphrase-file F | --unattended] [--allow-cow]",
	  "Make a store: keys, index, policy.", cmd_init },
	{ "calls",   "[--party N] [--since T] [--until T] [--state S] [--outcome O] [--direction D] [--conversation ID] "
	  "[--min-duration S] [--max-duration S] [--codec C] [--min-mos X] [--max-mos X] [--class C] [--held] [--limit N] "
	  "[--before PLACE] [--json]",
	  "List calls.", cmd_calls },
	{ "show",    "ID [--json] [--digits|--payload-sha1 --purpose P --reference R]",
	  "Show one call.", cmd_show },
	{ "replay",  "ID --purpose P --reference R [--at T] [--track caller|callee] [--conceal] [--mute SIDE:FROM-TO] [-o FILE|-]",
	  "Hear a recording on the sound device, or write it as WAV.", cmd_replay },
	{ "export",  "ID -o FILE --purpose P --reference R [--format wav|flac|opus|pcap] [--track caller|callee] [--conceal] [--mute SIDE:FROM-TO] [--password-file F|- | --recipient CERT]",
	  "Write a recording to a file, plain or protected.", cmd_export },
	{ "verify-export", "FILE [--key PUBLIC.PEM] [--password-file F] [--json]",
	  "Check that a file is what was handed over.", cmd_verify_export },
	{ "hold",    "add --reason TEXT --reference REF (ID... | --party N [--since T] [--until T] [--standing] | --conversation ID) | release H-N [--reason TEXT] [--confirm | --cancel] | list [--all] | show H-N [--json]",
	  "Keep recordings past their time while a matter is open, and let them go.", cmd_hold },
	{ "backup",  "DIR | list | forget DIR --reason TEXT [--passphrase-file F] [--allow-cow] [--json]",
	  "Copy the store to a folder, which forgets what the store forgets.", cmd_backup },
	{ "restore", "DIR [--passphrase-file F] [--aside] [--disposals FILE] [--yes] [--allow-cow]",
	  "Make the store from a backup.", cmd_restore },
	{ "request", "open|verify-identity|extend|refresh|assess|authorise|fulfil|close|refuse|list|show [R-N] [CALL ...] [--kind K] [--party N] ...",
	  "Deal with a person's or an authority's request for recordings.", cmd_request },
	{ "sample",  "--count N [--since T] [--until T] [--group NAME] [--min-duration S] [--per-person] [--seed N] [--purpose P] [--eligible] | list | show S-N [--json]",
	  "Draw calls to listen to, without bias, and see which were drawn.", cmd_sample },
	{ "review",  "add ID --score 1..5 --note TEXT [--sample S-N] [--for PERSON [--days N]] [--passphrase-file F] | list [--call ID] [--person P] | show V-N [--json]",
	  "Say how a call was handled, and give it to the person concerned to hear.", cmd_review },
	{ "coverage", "[--since T] [--until T] [--gap PERCENT] [--json]",
	  "Tell which answered calls were recorded whole, and what is missing of the others.", cmd_coverage },
	{ "status",  "[--json]",
	  "Show how the store stands.", cmd_status },
	{ "reindex", "[--json]",
	  "Build the index anew from the segments.", cmd_reindex },
	{ "verify",  "[ID] [--json]",
	  "Check that recordings are what the recorder wrote.", cmd_verify },
	{ "purge",   "[--dry-run] [--verify] [--yes] [--json]",
	  "Destroy the recordings whose time is up.", cmd_purge },
	{ "erase",   "ID --reason TEXT | --confirm [--passphrase-file F] | --cancel [--json]",
	  "Destroy one recording ahead of its time.", cmd_erase },
	{ "segment", "write-off NAME --reason TEXT [--yes] [--json]",
	  "Give up a segment whose files are lost for good.", cmd_segment },
	{ "audit",   "list [--since T] [--until T] [--person NAME] [--action A] [--call ID] [--limit N] [--before N] | "
	  "verify [--head HEAD | --head-file FILE] | anchor | export -o FILE|-  [--json]",
	  "Show who opened what, when and why; check that this record is whole; hand it on.", cmd_audit },
	{ "person",  "add|list|role|disable|enable|passphrase|reset [USER] [--role R] [--scope S] [--passphrase-file F] [--json]",
	  "Say who may use the store, and as what; change a passphrase.", cmd_people },
	{ "key",     "export-public [-o FILE] [--json] | rotate [--passphrase-file F] [--json]",
	  "Give the store's public keys, for those who check what was handed over; exchange the vault's keys.", cmd_key },
	{ "serve",   "",
	  "Hold the store and answer everybody's commands: the service.", cmd_serve },
	{ "policy",  "show|check [FILE]|apply [FILE] [--dry-run] [--yes] [--json]",
	  "Show the policy; check another; put it in force.", cmd_policy },
};
/* clang-format on */
#define COMMANDS (sizeof commands / sizeof commands[0])

static int fail(const struct cli *c, enum rc rc)
{
	char *text = cmd_clean(c->err.text);
	fprintf(stderr, "callspan: %s\n", *text ? text : "failed");
	free(text);
	return rc <= RC_DAMAGED ? (int)rc : RC_FAILED;
}

static void print_usage(FILE *to, const struct word *words, size_t words_count)
{
	fprintf(to, "usage: callspan [--store DIR | --config FILE] COMMAND ...\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-13s %s\n", commands[i].name, commands[i].prose);
	fprintf(to, "\n");
	cmd_print_words(to, words, words_count);
	fprintf(to, "\ncallspan COMMAND --help tells a command's options.\n");
}

static enum rc find_command(struct cli *c, const char *name)
{
	const char *names[COMMANDS];
	char text[400] = "";
	size_t at = 0;
	for (size_t i = 0; i < COMMANDS; i++) {
		names[i] = commands[i].name;
		at += (size_t)snprintf(text + at, sizeof text - at, " %s", names[i]);
		if (name && strcmp(name, names[i]) == 0) {
			c->command = &commands[i];
			return RC_OK;
		}
	}
	const char *near = name ? nearest_of(name, names, COMMANDS) : NULL;
	if (!name)
		return error_set(&c->err, RC_USAGE, "which command? There are:%s", text);
	if (near)
		return error_set(&c->err, RC_USAGE, "no command %.60s: did you mean %s?", name,
				 near);
	return error_set(&c->err, RC_USAGE, "no command %.60s; there are:%s", name, text);
}

static enum rc run(struct cli *c, int argc, char **argv)
{
	struct error why;
	enum rc rc = c->command->run(c, argc, argv);
	enum rc written = cmd_finish_output(&why);
	/* Nobody reads what is left: end as any filter does. */
	if (written == RC_END) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (rc == RC_OK && written == RC_FAILED) {
		c->err = why;
		rc = RC_FAILED;
	}
	return rc;
}

/* jansson's memory holds numbers, names and passphrases. */
static void wipe_and_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void set_up(void)
{
	static const struct rlimit none = { 0, 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	json_set_alloc_funcs(malloc, wipe_and_free);
	signal(SIGPIPE, SIG_IGN); /* ends in an orderly way: see run() */
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is a full disk: write(2) says so */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
	static struct cli c;
	bool help = false, version = false;
	const struct word words[] = {
		{ 0, "store", "DIR",
		  "the store to use (default: CALLSPAN_STORE, else /var/lib/callspan)",
		  &c.store_given, NULL },
		{ 0, "config", "FILE", "a configuration file that names the store", &c.config_given,
		  NULL },
		{ 0, "help", NULL, "show this text", NULL, &help },
		{ 0, "version", NULL, "show the version", NULL, &version },
	};
	int at;
	c.no_output = fds_fill() & 1u << STDOUT_FILENO;
	set_up();
	enum rc rc = cmd_global_words(&c, WORDS(words), argc, argv, &at);
	if (rc != RC_OK)
		return fail(&c, rc);
	if (version)
		printf("callspan %s\n", CALLSPAN_VERSION);
	else if (help)
		print_usage(stdout, WORDS(words));
	if (version || help)
		return cmd_finish_output(&c.err) == RC_FAILED ? fail(&c, RC_FAILED) : 0;
	rc = find_command(&c, at < argc ? argv[at] : NULL);
	if (rc == RC_OK)
		rc = run(&c, argc - at, argv + at);
	json_decref(c.repeated);
	return rc == RC_OK || rc == RC_END ? 0 : fail(&c, rc);
}
