/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* message.c: SIP by libosip2, which is known to this file alone.  Signalling thread.
 *
 *   datagram ─ reduce.c ─► start line, wanted headers ─► copy ─► libosip2 ─► struct sip_message
 *                    └───► body, raw texts ──────────────────────────────────►┘
 *
 * libosip2 5.3 refuses a whole message for one unbalanced quote in any header, or for a body
 * shorter than its Content-Length, and crashes callers that trust it to have found every header.
 * So it sees only headers that we use, never a body, and the start line in its plainest form.
 * It keeps parameters in lists that it walks to append to, so what has countless ones is cut (without_end).
 * When it refuses that, it is tried again with less: without display names, then the required
 * headers alone.
 */
#include "sip/message.h"

#include <osipparser2/osip_parser.h>
#include <osipparser2/osip_port.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sip/clean.h"
#include "sip/reduce.h"

/* What libosip2 is given, each time less. */
enum attempt { ATTEMPT_ALL, ATTEMPT_NAMELESS, ATTEMPT_REQUIRED, ATTEMPTS };

/* Bytes of the copy beyond the values themselves: names and line ends of all headers. */
#define COPY_EXTRA 512

#define PARTS_MOST 128 /* parameters of one header */

struct message_parser {
	uint32_t max_bytes;
	char *room; /* owned: values of the reduced message */
	char *copy; /* owned: what libosip2 reads */
	size_t copy_len;
};

/* ---- libosip2, quiet ----------------------------------------------------------------- */

static void say_nothing(const char *file, int line, osip_trace_level_t level, const char *fmt,
			va_list args)
{
	(void)file, (void)line, (void)level, (void)fmt, (void)args;
}

/* Its trace goes to standard output unless it is given another place, even with every level
 * disabled. */
static void start_library(void)
{
	osip_trace_initialize_func(TRACE_LEVEL0, say_nothing);
	for (int level = TRACE_LEVEL0; level < END_TRACE_LEVEL; level++)
		osip_trace_disable_level((osip_trace_level_t)level);
	ASSERT(parser_init() == OSIP_SUCCESS);
}

struct message_parser *message_parser_new(uint32_t max_bytes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	ASSERT(pthread_once(&once, start_library) == 0);

	struct message_parser *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->max_bytes = max_bytes;
	p->room = malloc((size_t)max_bytes + 1);
	p->copy = malloc((size_t)max_bytes + COPY_EXTRA);
	if (!p->room || !p->copy) {
		message_parser_free(p);
		return NULL;
	}
	return p;
}

void message_parser_free(struct message_parser *p)
{
	if (!p)
		return;
	free(p->room);
	free(p->copy);
	free(p);
}

/* ---- the copy ------------------------------------------------------------------------ */

static void copy_add(struct message_parser *p, struct span s)
{
	ASSERT(p->copy_len + s.len < (size_t)p->max_bytes + COPY_EXTRA);
	if (s.len)
		memcpy(p->copy + p->copy_len, s.p, s.len);
	p->copy_len += s.len;
	p->copy[p->copy_len] = '\0';
}

static void copy_text(struct message_parser *p, const char *text)
{
	copy_add(p, span_of(text, strlen(text)));
}

/* Up to so many parameters: the time that libosip2 takes grows with their square, seconds for a message of 64 KiB. */
static struct span without_end(struct span value)
{
	unsigned parts = 0;
	for (size_t i = 0; i < value.len; i++)
		if ((value.p[i] == ';' || value.p[i] == '&') && ++parts > PARTS_MOST)
			return span_of(value.p, i);
	return value;
}

/* From the last '<' on: an identity without its display name. */
static struct span without_name(struct span value)
{
	for (size_t i = value.len; i > 0; i--)
		if (value.p[i - 1] == '<')
			return span_of(value.p + i - 1, value.len - i + 1);
	return value;
}

/* The start line as plain as can be.  The reason phrase is nobody's business; nor is the
 * Request-URI of a message that was refused with it. */
static bool copy_start(struct message_parser *p, struct span start, enum attempt attempt,
		       struct sip_message *out)
{
	struct span rest = start;
	struct span first = span_word(&rest);
	struct span second = span_word(&rest);
	if (span_is(first, "SIP/2.0")) {
		out->request = false;
		if (second.len != 3 || !span_number(&second, 699, &out->status) ||
		    out->status < 100)
			return false;
		char line[32];
		snprintf(line, sizeof line, "SIP/2.0 %u -\r\n", out->status);
		copy_text(p, line);
		return true;
	}
	out->request = true;
	out->status = 0;
	out->method = method_find(first);
	if (first.len == 0 || second.len == 0)
		return false;
	copy_add(p, first);
	copy_text(p, " ");
	if (attempt == ATTEMPT_REQUIRED)
		copy_text(p, "sip:callee");
	else
		copy_add(p, without_end(second));
	copy_text(p, " SIP/2.0\r\n");
	return true;
}

/* False when the start line or a required header is missing. */
static bool copy_message(struct message_parser *p, const struct reduced *r, enum attempt attempt,
			 struct sip_message *out)
{
	p->copy_len = 0;
	if (!copy_start(p, r->start, attempt, out))
		return false;
	for (int h = 0; h < HEADER_COUNT; h++) {
		const struct header_rule *rule = &header_rules[h];
		struct span value = r->value[h][0];
		if (value.len == 0 && rule->use == HEADER_REQUIRED)
			return false;
		if (value.len == 0 || rule->use == HEADER_TEXT ||
		    (attempt == ATTEMPT_REQUIRED && rule->use == HEADER_OPTIONAL))
			continue;
		if (attempt != ATTEMPT_ALL && (h == HEADER_FROM || h == HEADER_TO))
			value = without_name(value);
		copy_text(p, rule->name);
		copy_text(p, ": ");
		copy_add(p, without_end(value));
		copy_text(p, "\r\n");
	}
	copy_text(p, "\r\n");
	return true;
}

/* ---- fields ---------------------------------------------------------------------------- */

static struct span text_of(const char *s)
{
	return span_of(s ? s : "", s ? strlen(s) : 0);
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
}

static bool is_telephone(osip_uri_t *uri)
{
	osip_uri_param_t *user = NULL;
	char name[] = "user";
	osip_uri_param_get_byname(&uri->url_params, name, &user);
	return user && span_is(text_of(user->gvalue), "phone");
}

static void read_identity(struct sip_identity *id, const osip_from_t *from)
{
	memset(id, 0, sizeof *id);
	clean_name(id->name, sizeof id->name, text_of(from->displayname));
	osip_uri_t *uri = from->url;
	if (!uri)
		return;
	struct span scheme = text_of(uri->scheme);
	struct span user = text_of(uri->username);
	if (span_is(scheme, "tel")) {
		snprintf(id->scheme, sizeof id->scheme, "tel");
		clean_number(id->user, sizeof id->user, text_of(uri->string));
	} else if (span_is(scheme, "sip") || span_is(scheme, "sips")) {
		snprintf(id->scheme, sizeof id->scheme, "%s", scheme.len == 3 ? "sip" : "sips");
		clean_user(id->user, sizeof id->user, user);
		clean_text(id->host, sizeof id->host, text_of(uri->host));
		/* user=phone: the user part is a telephone number as in a tel: URI. */
		if (is_telephone(uri))
			clean_number(id->user, sizeof id->user, text_of(id->user));
	}
}

static void read_parameter(char *dst, size_t size, const osip_list_t *list, const char *name)
{
	for (int i = 0; i < osip_list_size(list); i++) {
		const osip_generic_param_t *param = osip_list_get(list, i);
		if (param && param->gname && span_is(text_of(param->gname), name)) {
			clean_name(dst, size, text_of(param->gvalue));
			return;
		}
	}
}

/* The next of several identities: commas inside quotes and angle brackets part nothing. */
static struct span next_identity(struct span *list)
{
	bool quoted = false, angled = false;
	for (size_t i = 0; i < list->len; i++) {
		char c = list->p[i];
		if (c == '"' && !angled)
			quoted = !quoted;
		else if (c == '\\' && quoted)
			i++;
		else if (c == '<' && !quoted)
			angled = true;
		else if (c == '>' && !quoted)
			angled = false;
		else if (c == ',' && !quoted && !angled) {
			struct span one = span_of(list->p, i);
			*list = span_of(list->p + i + 1, list->len - i - 1);
			return span_trim(one);
		}
	}
	struct span one = *list;
	*list = span_of(list->p + list->len, 0);
	return span_trim(one);
}

static bool read_one_asserted(struct sip_identity *id, struct span value)
{
	char text[512];
	osip_from_t *from = NULL;
	if (value.len == 0 || value.len >= sizeof text || osip_from_init(&from) != OSIP_SUCCESS)
		return false;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	if (osip_from_parse(from, text) == OSIP_SUCCESS)
		read_identity(id, from);
	osip_from_free(from);
	return id->scheme[0] != '\0';
}

/* RFC 3325, 9.1: one or two identities, in one header or two. */
static void read_asserted(struct sip_identity *id, const struct reduced *r)
{
	for (int i = 0; i < r->times[HEADER_P_ASSERTED_IDENTITY]; i++) {
		struct span list = r->value[HEADER_P_ASSERTED_IDENTITY][i];
		while (list.len > 0)
			if (read_one_asserted(id, next_identity(&list)))
				return;
	}
	id->scheme[0] = '\0';
}

static void read_content_type(struct sip_message *out, const osip_content_type_t *type)
{
	char text[sizeof out->content_type];
	snprintf(text, sizeof text, "%s/%s", type->type ? type->type : "",
		 type->subtype ? type->subtype : "");
	clean_text(out->content_type, sizeof out->content_type, text_of(text));
	lower(out->content_type);
	read_parameter(out->boundary, sizeof out->boundary, &type->gen_params, "boundary");
}

/* False when something that every message must have is not there. */
static bool read_fields(struct sip_message *out, const osip_message_t *sip)
{
	if (!sip->from || !sip->to || !sip->cseq || !sip->cseq->number || !sip->cseq->method)
		return false;
	struct span number = text_of(sip->cseq->number);
	if (!span_number(&number, UINT32_MAX, &out->cseq) || number.len > 0)
		return false;
	enum method method = method_find(text_of(sip->cseq->method));
	if (out->request && method != out->method)
		return false; /* RFC 3261, 8.1.1.5: nobody would take it */
	out->method = method;
	read_identity(&out->from, sip->from);
	read_identity(&out->to, sip->to);
	read_parameter(out->from_tag, sizeof out->from_tag, &sip->from->gen_params, "tag");
	read_parameter(out->to_tag, sizeof out->to_tag, &sip->to->gen_params, "tag");
	const osip_via_t *via = osip_list_get(&sip->vias, 0);
	if (via)
		read_parameter(out->branch, sizeof out->branch, &via->via_params, "branch");
	if (sip->content_type)
		read_content_type(out, sip->content_type);
	return true;
}

/* RFC 7044: the entry before the last was retargeted to it.  It was a diversion when they are different users: proxies also
 * list a registered contact behind its address of record. */
static void read_history(struct sip_message *out, const struct reduced *r)
{
	char before[sizeof out->diverted_from] = "", last[sizeof out->diverted_from] = "";
	for (int i = 0; i < r->times[HEADER_HISTORY_INFO]; i++) {
		struct span list = r->value[HEADER_HISTORY_INFO][i];
		while (list.len > 0) {
			char user[sizeof last];
			clean_uri_user(user, sizeof user, next_identity(&list));
			if (user[0] == '\0' || strcmp(user, last) == 0)
				continue;
			memcpy(before, last, sizeof before);
			memcpy(last, user, sizeof last);
		}
	}
	memcpy(out->diverted_from, before, sizeof before);
}

/* RFC 5806, 3: the newest diversion stands first. */
static void read_diversion(struct sip_message *out, const struct reduced *r)
{
	struct span list = r->value[HEADER_DIVERSION][0];
	if (list.len > 0)
		clean_uri_user(out->diverted_from, sizeof out->diverted_from, next_identity(&list));
	else
		read_history(out, r);
}

static void read_texts(struct sip_message *out, const struct reduced *r)
{
	clean_text(out->call_id, sizeof out->call_id, r->value[HEADER_CALL_ID][0]);
	out->call_id_whole = r->value[HEADER_CALL_ID][0];
	out->refer_to = r->value[HEADER_REFER_TO][0];
	out->referred_by = r->value[HEADER_REFERRED_BY][0];
	out->replaces = r->value[HEADER_REPLACES][0];
	out->join = r->value[HEADER_JOIN][0];
	out->session_id = r->value[HEADER_SESSION_ID][0];
	out->event = r->value[HEADER_EVENT][0];
	out->body = r->body;
	out->body_len = r->body_len;
	if (!out->request)
		return;
	struct span rest = r->start;
	(void)span_word(&rest);
	clean_uri_user(out->target, sizeof out->target, span_word(&rest));
	read_diversion(out, r);
}

/* ---- parsing ----------------------------------------------------------------------------- */

static bool parse_with(struct message_parser *p, const struct reduced *r, enum attempt attempt,
		       struct sip_message *out)
{
	memset(out, 0, sizeof *out);
	if (!copy_message(p, r, attempt, out))
		return false;
	osip_message_t *sip = NULL;
	if (osip_message_init(&sip) != OSIP_SUCCESS)
		return false;
	bool good = osip_message_parse(sip, p->copy, p->copy_len) == OSIP_SUCCESS &&
		    read_fields(out, sip);
	osip_message_free(sip);
	return good;
}

enum message_verdict message_parse(struct message_parser *p, const uint8_t *bytes, uint32_t len,
				   struct sip_message *out)
{
	struct reduced r;
	int attempt = ATTEMPT_ALL;

	ASSERT(len <= p->max_bytes);
	if (len == 0 || !reduce_message(&r, p->room, bytes, len))
		return MESSAGE_EMPTY;
	while (!parse_with(p, &r, (enum attempt)attempt, out))
		if (++attempt == ATTEMPTS)
			return MESSAGE_MALFORMED;
	read_texts(out, &r);
	read_asserted(&out->asserted, &r);
	out->essence = span_of(p->copy, p->copy_len);
	return attempt == ATTEMPT_ALL ? MESSAGE_PARSED : MESSAGE_REPAIRED;
}
