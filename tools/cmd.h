/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd.h: what the commands of callspan share: words on the line, requests, output.
 *
 * One thread.  A command reads its words (cmd_words.c), sends one request to the vault (cmd_vault.c) and prints the
 * reply: JSON as it comes, or a table or a card for people (cmd_table.c, cmd_output.c).
 * Everything printed for people is cleaned first: names in a call come from strangers.
 */
#ifndef CALLSPAN_TOOLS_CMD_H
#define CALLSPAN_TOOLS_CMD_H

#include <jansson.h>
#include <stdio.h>

#include "base/options.h"
#include "base/rc.h"
#include "vault/vault.h"

struct command;

struct cli {
	const struct command *command;
	struct options options;
	const char *store_given;  /* --store, or NULL */
	const char *config_given; /* --config, or NULL */
	char store[STORE_PATH];   /* by cmd_find_store() */
	bool no_output;           /* standard output was closed when we were started */
	volatile int stop;        /* set by SIGINT and SIGTERM while something plays */
	json_t *repeated; /* by cmd_words(): what an option was given that may come again; or NULL */
	struct error err; /* one line for the person, when a command fails */
};

struct command {
	const char *name;
	const char *synopsis; /* after the name */
	const char *prose;    /* one line, for callspan --help */
	enum rc (*run)(struct cli *c, int argc, char **argv);
};

enum rc cmd_init(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_calls(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_show(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_replay(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_export(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_hold(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_backup(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_restore(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_request(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_sample(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_review(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_coverage(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_status(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_reindex(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_verify(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_purge(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_erase(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_segment(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_audit(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_people(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_verify_export(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_key(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_serve(struct cli *c, int argc, char **argv) MUST_USE;
enum rc cmd_policy(struct cli *c, int argc, char **argv) MUST_USE;

/* ---- cmd_words.c: options and arguments --------------------------------------------------- */

/* One option: a flag, or one that takes a value.  The help text comes from the same rows. */
struct word {
	char letter;          /* 0: only the long name */
	const char *name;     /* long name, without dashes */
	const char *argument; /* what its value is called; NULL: a flag */
	const char *prose;
	const char *
		*value; /* one of these two; neither: it may come again, and c->repeated has all */
	bool *flag;
};
#define WORDS(rows) (rows), sizeof(rows) / sizeof((rows)[0])

/* Read a command's words after its name.  Arguments that are no options go to `arguments` (at most `most`, their number
 * to *count).  --store and --config are understood everywhere.  RC_END: help was printed; RC_USAGE names the choices. */
enum rc cmd_words(struct cli *c, const struct word *words, size_t words_count, int argc,
		  char **argv, const char **arguments, int most, int *count) MUST_USE;
/* Read the words before the command's name; *at becomes its place in argv. */
enum rc cmd_global_words(struct cli *c, const struct word *words, size_t words_count, int argc,
			 char **argv, int *at) MUST_USE;
void cmd_print_words(FILE *to, const struct word *words, size_t words_count);
/* Which of a table's rows, each of which begins with its name, a command's first word (NULL: there is none) names: *at.
 * RC_USAGE tells the nearest, or all there are. */
enum rc cmd_choose(struct cli *c, const char *command, const char *word, const void *rows,
		   size_t row_size, size_t count, size_t *at) MUST_USE;
#define CHOICES(rows) (rows), sizeof((rows)[0]), sizeof(rows) / sizeof((rows)[0])

/* A time as people write it -> Unix microseconds, put into the request under `member`. */
enum rc cmd_put_time(struct cli *c, json_t *request, const char *member, const char *text) MUST_USE;
/* A text, when there is one. */
void cmd_put_text(json_t *request, const char *member, const char *text);
/* A number >= 0. */
enum rc cmd_put_number(struct cli *c, json_t *request, const char *member,
		       const char *text) MUST_USE;

/* ---- cmd_vault.c: requests ----------------------------------------------------------------- */

/* Which store: --store, else the configuration file's, else CALLSPAN_STORE, else the usual place. */
enum rc cmd_find_store(struct cli *c) MUST_USE;

json_t *cmd_new_request(const char *name);
/* Send the request (borrowed): to the service that holds the store, else to the vault, opened for it here.  Errors stand in
 * c->err. */
enum rc cmd_send(struct cli *c, const json_t *request, vault_reply reply, void *ctx) MUST_USE;
/* The same for a request that opens audio: with the passphrase of a file, or asked for on the terminal when the vault
 * answers that one is needed (RC_AGAIN). */
enum rc cmd_send_opening(struct cli *c, json_t *request, const char *passphrase_file,
			 vault_reply reply, void *ctx) MUST_USE;

/* A request of one member at the most, a text (both may be NULL), and its reply as one JSON object or as `print` has it. */
enum rc cmd_ask(struct cli *c, const char *name, const char *member, const char *text, bool json,
		vault_reply print) MUST_USE;
/* A request whose replies are rows: a JSON object each, or a table; where there is none, `nothing` is said. */
struct listing {
	const struct column *columns;
	size_t columns_count;
	vault_reply add_row; /* its ctx is the table */
};
enum rc cmd_list(struct cli *c, const json_t *request, bool json, const struct listing *l,
		 const char *nothing) MUST_USE;

/* cmd_http.c: the same, to a service.  RC_NOT_FOUND: there is none. */
enum rc cmd_http_send(struct cli *c, const json_t *request, vault_reply reply, void *ctx) MUST_USE;

#define PASSPHRASE_MAX 1024
/* First line of a file. */
enum rc cmd_passphrase_file(const char *path, char out[PASSPHRASE_MAX], struct error *err) MUST_USE;
/* From the terminal, unseen. */
enum rc cmd_passphrase_ask(const char *prompt, char out[PASSPHRASE_MAX],
			   struct error *err) MUST_USE;
/* One that is to be set: long enough? */
enum rc cmd_passphrase_check(const char *passphrase, struct error *err) MUST_USE;
/* A new one from the terminal, twice. */
enum rc cmd_passphrase_new(const char *prompt, char out[PASSPHRASE_MAX],
			   struct error *err) MUST_USE;
/* A small file of text: a certificate, a key.  Owned by the caller. */
enum rc cmd_read_text(const char *path, char **text, struct error *err) MUST_USE;
/* Who asks: the effective user, or who became root by sudo. */
const char *cmd_person(void);

/* ---- cmd_media.c: what replay and export share ------------------------------------------------- */

struct opening {
	const char *id, *purpose, *reference, *track, *passphrase_file, *at, *format;
	const char *to;                   /* file, "-", or NULL: the sound device */
	const char *password, *recipient; /* texts, not files; NULL: none */
	json_t *mutes;                    /* borrowed; NULL: none */
	bool conceal;
	vault_reply told; /* what is told of a file that is no recording; NULL: it is one */
};
/* Have the vault write a recording to o->to, which comes into being whole or not at all; its manifest beside it when it
 * is plain. */
/* Have the vault write a recording (or what else it writes to a descriptor) to o->to, which comes into being whole or not
 * at all. */
enum rc cmd_write_recording(struct cli *c, json_t *request, const struct opening *o) MUST_USE;
void cmd_put_opening(json_t *request, const struct opening *o);
/* cmd_init.c: who will write STORE/recorder; (uid_t)-1: whoever makes it. */
enum rc cmd_init_recorder(struct cli *c, uid_t *uid) MUST_USE;
/* cmd_replay.c: have it played, until it ends or somebody stops it. */
enum rc cmd_replay_play(struct cli *c, json_t *request, const struct opening *o) MUST_USE;

/* ---- cmd_protect.c: under what it leaves -------------------------------------------------------- */

struct protect {
	char password[PASSPHRASE_MAX];
	bool made;         /* here, and nobody has seen it yet */
	char *certificate; /* owned; NULL: none */
};
/* Fill in o->password or o->recipient, which `p` keeps.  Both files may be NULL; "-": make a password. */
enum rc cmd_protect(struct protect *p, struct opening *o, const char *password_file,
		    const char *recipient_file, struct error *err) MUST_USE;
void cmd_protect_tell(const struct protect *p); /* the password that was made */
void cmd_protect_forget(struct protect *p);

/* ---- cmd_draft.c: files that come into being whole or not at all --------------------------------- */

struct draft {
	char path[STORE_PATH];
	int fd; /* to write to; -1: kept or dropped */
	bool nameless;
	char self[40];
	char name[STORE_PATH + 16];      /* until it has its own */
	const char *volatile unfinished; /* `name`, when it is to be removed */
};
/* What stands there now may be replaced only if it is a file. */
enum rc cmd_draft_check(const char *path, struct error *err) MUST_USE;
/* Begin one, for its owner only.  At most two are open at a time. */
enum rc cmd_draft_open(struct draft *d, const char *path, struct error *err) MUST_USE;
enum rc cmd_draft_sync(const struct draft *d, struct error *err) MUST_USE;
/* Synced, it gets its name. */
enum rc cmd_draft_keep(struct draft *d, struct error *err) MUST_USE;
/* Give it up; does nothing when it was kept. */
void cmd_draft_drop(struct draft *d);

/* ---- cmd_output.c: printing ------------------------------------------------------------------- */

/* Reply callbacks: one JSON object a line; stop when nobody reads any more. */
bool cmd_print_json(void *ctx, const json_t *object);
/* Labels and values of an object, as far as it goes. */
void cmd_print_card(const json_t *object);
/* Labelled line of a card. */
void cmd_print_line(const char *label, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text fit for a terminal: no control characters, no changes of direction, valid UTF-8.  Owned by the caller. */
char *cmd_clean(const char *text);
/* A member's text, "" when it is null or absent. */
const char *cmd_text(const json_t *object, const char *member);
json_int_t cmd_number(const json_t *object, const char *member);
/* "2026-11-21 10:30:00" local time of an RFC 3339 member; "" when null. */
const char *cmd_local_time(const json_t *object, const char *member, char buf[40]);
/* "1:05" or "1:01:05". */
const char *cmd_minutes(double seconds, char buf[24]);
/* "3.2 MiB". */
const char *cmd_bytes(json_int_t bytes, char buf[24]);
/* So many characters of an id that no two neighbours in an array of calls look the same. */
int cmd_id_length(const json_t *calls);
bool cmd_colours(void); /* standard output is a terminal that may show them */
/* Flush standard output.  RC_FAILED when something could not be written; RC_END when nobody reads it. */
enum rc cmd_finish_output(struct error *err) MUST_USE;

/* ---- cmd_table.c: aligned columns -------------------------------------------------------------- */

struct column {
	const char *title;
	bool right;  /* aligned */
	bool shrink; /* may be cut when the terminal is narrow */
};
struct table;
struct table *cmd_table_new(const struct column *columns, size_t count); /* columns borrowed */
/* Add the next cell (cleaned, copied); colour: an SGR code as "31", or NULL. */
void cmd_table_cell(struct table *t, const char *text, const char *colour);
void cmd_table_number(struct table *t, json_int_t number, const char *colour);
void cmd_table_print(const struct table *t, FILE *to);
size_t cmd_table_rows(const struct table *t);
void cmd_table_free(struct table *t);
size_t cmd_width(const char *text); /* columns on a terminal */

#endif
