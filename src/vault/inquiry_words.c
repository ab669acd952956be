/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_words.c: what people write into a request, and that what stays of it names nobody.
 *
 * References and reasons outlive the request, in its row and in the audit trail; the rest is sealed.  On the vault's thread.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vault/inquiry.h"

#define NUMBER_TAIL 6 /* digits that give a number away */
#define LEAST       3 /* letters of a name that do */

enum rc inquiry_take_text(const struct request *q, const char *member, size_t most,
			  const char *what, const char **out, struct error *err)
{
	*out = requests_text(q, member);
	if (*out && !(*out)[strspn(*out, " \t\r\n")])
		*out = NULL;
	if (!*out)
		return what ? error_set(err, RC_USAGE, "%s", what) : RC_OK;
	if (strlen(*out) > most)
		return error_set(err, RC_USAGE, "%s: longer than %zu bytes", member, most);
	return RC_OK;
}

enum rc inquiry_take_word(const struct request *q, const char *member, const char *const *words,
			  size_t count, const char **out, struct error *err)
{
	char choices[256];
	const char *text = requests_text(q, member);
	for (size_t i = 0; text && i < count; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = words[i];
			return RC_OK;
		}
	}
	return error_set(err, RC_USAGE, "%s %s; the choices are: %s", text ? "no such" : "which",
			 member, requests_choices(words, count, choices, sizeof choices));
}

/* Letters in lower case and digits, without what stands between them; owned. */
static char *squeezed(const char *text)
{
	char *out = malloc(strlen(text) + 1), *to = out;
	ASSERT(out);
	for (const char *p = text; *p; p++) {
		if (!strchr(" \t\r\n-.,()/+", *p))
			*to++ = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	}
	*to = '\0';
	return out;
}

static bool holds_name(const char *flat, const char *name)
{
	char *wanted = squeezed(name);
	bool found = strlen(wanted) >= LEAST && strstr(flat, wanted);
	free(wanted);
	return found;
}

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Does a word stand in a text, as a word? */
static bool holds_word(const char *text, const char *word, size_t len)
{
	for (const char *at = text; *at; at++) {
		if ((at == text || !in_word(at[-1])) && strncasecmp(at, word, len) == 0 &&
		    !in_word(at[len]))
			return true;
	}
	return false;
}

/* One of the words that people write with a capital: Doe of "Jane Doe". */
static bool holds_part(const char *text, const char *name)
{
	for (const char *at = name; *at;) {
		size_t len = 0;
		while (in_word(at[len]))
			len++;
		bool capital = isupper((unsigned char)*at) || (unsigned char)*at >= 0x80;
		if (capital && len >= LEAST && holds_word(text, at, len))
			return true;
		at += len ? len : 1;
	}
	return false;
}

static bool holds_party(const char *flat, const char *party)
{
	char plain[PARTY_TEXT];
	if (!party_plain(party, plain))
		return holds_name(flat, plain);
	size_t len = strlen(plain);
	return len >= 4 && strstr(flat, plain + (len > NUMBER_TAIL ? len - NUMBER_TAIL : 0));
}

/* An authority is no person: its name may stay. */
enum rc inquiry_check_kept(const inquiry_row *r, const inquiry_person *who, const char *text,
			   const char *member, struct error *err)
{
	char *flat = squeezed(text);
	bool named = holds_party(flat, who->party);
	if (r->kind == INQUIRY_SUBJECT_ACCESS)
		named = named || holds_name(flat, who->requester) ||
			holds_part(text, who->requester);
	free(flat);
	if (named)
		return error_set(err, RC_USAGE,
				 "%s: it stays on record, so it may not name the person: leave "
				 "number and name out",
				 member);
	return RC_OK;
}

enum rc inquiry_take_reason(struct inquiry_doing *d, bool wanted, struct error *err)
{
	enum rc rc = inquiry_take_text(d->q, "reason", INQUIRY_TEXT,
				       wanted ? "why? A reason is wanted (--reason)" : NULL,
				       &d->reason, err);
	if (rc != RC_OK || !d->reason)
		return rc;
	inquiry_person *who = inquiry_who(d->q->v, d->row);
	if (who)
		rc = inquiry_check_kept(d->row, who, d->reason, "reason", err);
	inquiry_who_free(who);
	return rc;
}
