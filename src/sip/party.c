/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* party.c: see party.h.  Signalling thread. */
#include "sip/party.h"

#include <stdio.h>

#include "sip/clean.h"

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

static void fill_caller(struct call_record *r, const struct sip_identity *id)
{
	snprintf(r->from, sizeof r->from, "%s", id->user);
	snprintf(r->from_name, sizeof r->from_name, "%s", id->name);
	uri_text(r->from_uri, sizeof r->from_uri, id);
}

bool party_assert(struct call_record *r, const struct sip_message *invite)
{
	/* In a response it is the callee's. */
	if (!invite->request || !is_anonymous(&invite->from) || invite->asserted.scheme[0] == '\0')
		return false;
	char before[sizeof r->from_uri];
	memcpy(before, r->from_uri, sizeof before);
	fill_caller(r, &invite->asserted);
	return strcmp(before, r->from_uri) != 0;
}

bool party_divert(struct call_record *r, const struct sip_message *invite)
{
	if (r->diverted_from[0] != '\0' || invite->diverted_from[0] == '\0')
		return false;
	snprintf(r->diverted_from, sizeof r->diverted_from, "%s", invite->diverted_from);
	return true;
}

void party_fill(struct call_record *r, const struct sip_message *invite)
{
	const struct sip_identity *to = &invite->to;
	fill_caller(r, &invite->from);
	(void)party_assert(r, invite);
	snprintf(r->to, sizeof r->to, "%s", to->user);
	snprintf(r->to_name, sizeof r->to_name, "%s", to->name);
	uri_text(r->to_uri, sizeof r->to_uri, to);
	(void)party_divert(r, invite);
}
