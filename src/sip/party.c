/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* party.c: see party.h.  Signalling thread. */
#include "sip/party.h"

#include <stdio.h>

#include "sip/clean.h"

#define URI_TEXT 256

static bool is_anonymous(const struct sip_identity *id)
{
	return strcasecmp(id->user, "anonymous") == 0 || strcasecmp(id->name, "anonymous") == 0 ||
	       strcasecmp(id->host, "anonymous.invalid") == 0;
}

static void uri_text(char *dst, size_t size, const struct sip_identity *id)
{
	char text[sizeof id->scheme + sizeof id->user + sizeof id->host + 4];
	bool both = id->user[0] && id->host[0];
	snprintf(text, sizeof text, "%s%s%s%s%s", id->scheme, id->scheme[0] ? ":" : "", id->user,
		 both ? "@" : "", id->host);
	clean_text(dst, size, span_of(text, strlen(text)));
}

/* The caller, where someone vouches for who it is that does not say so.  In a response it would be the callee. */
static const struct sip_identity *asserted(const struct sip_message *invite)
{
	bool vouched = invite->request && is_anonymous(&invite->from) && invite->asserted.scheme[0];
	return vouched ? &invite->asserted : NULL;
}

/* `uri` has room for the text, which is borrowed from it. */
static void name_caller(const char *texts[KNOWN_TEXTS], char uri[URI_TEXT],
			const struct sip_identity *id)
{
	uri_text(uri, URI_TEXT, id);
	texts[KNOWN_FROM] = id->user;
	texts[KNOWN_FROM_NAME] = id->name;
	texts[KNOWN_FROM_URI] = uri;
}

bool party_assert(struct known *k, const struct sip_message *invite)
{
	const struct sip_identity *caller = asserted(invite);
	const char *texts[KNOWN_TEXTS];
	char uri[URI_TEXT];
	if (!caller)
		return false;
	known_texts(k, texts);
	const char *before = texts[KNOWN_FROM_URI];
	name_caller(texts, uri, caller);
	bool changed = strcmp(before, uri) != 0;
	known_set_texts(k, texts);
	return changed;
}

bool party_divert(struct known *k, const struct sip_message *invite)
{
	if (invite->diverted_from[0] == '\0' || known_text(k, KNOWN_DIVERTED_FROM)[0] != '\0')
		return false;
	known_set_text(k, KNOWN_DIVERTED_FROM, invite->diverted_from);
	return true;
}

void party_fill(struct known *k, const struct sip_message *invite)
{
	const struct sip_identity *caller = asserted(invite), *to = &invite->to;
	const char *texts[KNOWN_TEXTS];
	char from_uri[URI_TEXT], to_uri[URI_TEXT];
	known_texts(k, texts);
	name_caller(texts, from_uri, caller ? caller : &invite->from);
	uri_text(to_uri, sizeof to_uri, to);
	texts[KNOWN_CALL_ID] = invite->call_id;
	texts[KNOWN_TO] = to->user;
	texts[KNOWN_TO_NAME] = to->name;
	texts[KNOWN_TO_URI] = to_uri;
	texts[KNOWN_DIVERTED_FROM] = invite->diverted_from;
	known_set_texts(k, texts);
}
