/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a SIP message: recognised or not, parsed or not, nothing breaks; what is given is
 * bounded, clean UTF-8 text, and its body lies inside the message. */
#include "sip/clean.h"
#include "sip/message.h"
#include "sip/reduce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cleaning twice changes nothing: the text is clean. */
static void check_text(const char *text, size_t room)
{
	char again[512];
	ASSERT(memchr(text, '\0', room) != NULL);
	clean_text(again, sizeof again, span_of(text, strlen(text)));
	ASSERT(strcmp(again, text) == 0);
}

/* Two spellings of one party are told apart no further the second time. */
static void check_same(const char *user)
{
	char once[CLEAN_SAME], twice[CLEAN_SAME];
	clean_same(once, user);
	clean_same(twice, once);
	ASSERT(strcmp(once, twice) == 0);
}

static void check_identity(const struct sip_identity *id)
{
	check_text(id->scheme, sizeof id->scheme);
	check_text(id->user, sizeof id->user);
	check_text(id->host, sizeof id->host);
	check_text(id->name, sizeof id->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message_parser *parser;
	static struct sip_message m;
	if (!parser)
		parser = message_parser_new(65535);
	if (!parser || size > 65535)
		return 0;
	(void)sip_recognise(data, (uint32_t)size);
	enum message_verdict v = message_parse(parser, data, (uint32_t)size, &m);
	if (v == MESSAGE_MALFORMED || v == MESSAGE_EMPTY)
		return 0;
	ASSERT(m.request ? m.status == 0 : m.status >= 100 && m.status < 700);
	ASSERT(m.body >= data && m.body + m.body_len <= data + size);
	ASSERT(m.call_id_whole.len > 0);
	check_identity(&m.from);
	check_identity(&m.to);
	check_identity(&m.asserted);
	check_text(m.call_id, sizeof m.call_id);
	check_text(m.from_tag, sizeof m.from_tag);
	check_text(m.to_tag, sizeof m.to_tag);
	check_text(m.branch, sizeof m.branch);
	check_text(m.content_type, sizeof m.content_type);
	check_text(m.boundary, sizeof m.boundary);
	check_text(m.target, sizeof m.target);
	check_text(m.diverted_from, sizeof m.diverted_from);
	check_same(m.target);
	struct span found = reduce_find(data, (uint32_t)size, "Subject");
	ASSERT(found.len <= size);
	return 0;
}
