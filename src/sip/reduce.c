/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reduce.c: see reduce.h.  Signalling thread; allocates nothing, keeps nothing. */
#include "sip/reduce.h"

/* clang-format off */
const struct header_rule header_rules[HEADER_COUNT] = {
	[HEADER_VIA]                 = { "Via",                 'v', 1, HEADER_OPTIONAL },
	[HEADER_FROM]                = { "From",                'f', 1, HEADER_REQUIRED },
	[HEADER_TO]                  = { "To",                  't', 1, HEADER_REQUIRED },
	[HEADER_CALL_ID]             = { "Call-ID",             'i', 1, HEADER_REQUIRED },
	[HEADER_CSEQ]                = { "CSeq",                 0,  1, HEADER_REQUIRED },
	[HEADER_CONTENT_TYPE]        = { "Content-Type",        'c', 1, HEADER_OPTIONAL },
	[HEADER_CONTENT_LENGTH]      = { "Content-Length",      'l', 1, HEADER_TEXT },
	[HEADER_P_ASSERTED_IDENTITY] = { "P-Asserted-Identity",  0,  2, HEADER_TEXT },
	[HEADER_REFER_TO]            = { "Refer-To",            'r', 1, HEADER_TEXT },
	[HEADER_REFERRED_BY]         = { "Referred-By",         'b', 1, HEADER_TEXT },
	[HEADER_REPLACES]            = { "Replaces",             0,  1, HEADER_TEXT },
	[HEADER_JOIN]                = { "Join",                 0,  1, HEADER_TEXT },
	[HEADER_SESSION_ID]          = { "Session-ID",           0,  1, HEADER_TEXT },
	[HEADER_EVENT]               = { "Event",               'o', 1, HEADER_TEXT },
	[HEADER_DIVERSION]           = { "Diversion",            0,  1, HEADER_TEXT },
	[HEADER_HISTORY_INFO]        = { "History-Info",         0,  4, HEADER_TEXT },
};
/* clang-format on */

/* Where values are put together: never more bytes than the message has. */
struct room {
	char *at;
};

static enum header header_find(struct span name)
{
	for (int h = 0; h < HEADER_COUNT; h++) {
		const struct header_rule *rule = &header_rules[h];
		if (name.len == 1 && rule->compact && (name.p[0] | 0x20) == rule->compact)
			return (enum header)h;
		if (span_is(name, rule->name))
			return (enum header)h;
	}
	return HEADER_COUNT;
}

/* Copy one line into the room: no control character survives (a NUL would end it early). */
static struct span keep(struct room *room, struct span s)
{
	char *start = room->at;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = (uint8_t)s.p[i];
		*room->at++ = c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	return span_of(start, s.len);
}

/* A line that begins with a blank goes on with the header before it (RFC 3261, 7.3.1).  The
 * value being put together is the last thing in the room, so it just grows. */
static void unfold(struct room *room, struct span *value, struct span line)
{
	line = span_trim(line);
	if (line.len == 0)
		return;
	bool first = value->len == 0;
	if (first)
		value->p = room->at;
	else
		*room->at++ = ' ';
	(void)keep(room, line);
	value->len = (size_t)(room->at - value->p);
}

/* The value's place in `out` when the table wants this header once more, else NULL. */
static struct span *wanted(struct reduced *out, struct span name)
{
	enum header h = header_find(span_trim(name));
	if (h == HEADER_COUNT || out->times[h] >= header_rules[h].times)
		return NULL;
	return &out->value[h][out->times[h]++];
}

static void read_headers(struct reduced *out, struct room *room, struct bytes *text)
{
	struct span line, *open = NULL;
	while (span_line(text, &line) && line.len > 0) {
		if (span_is_blank(line.p[0])) {
			if (open)
				unfold(room, open, line);
			continue;
		}
		struct span value = line;
		struct span name = span_until(&value, ':');
		open = wanted(out, name);
		if (open)
			*open = keep(room, span_trim(value));
	}
}

bool reduce_message(struct reduced *out, char *room_bytes, const uint8_t *p, uint32_t len)
{
	struct bytes text = bytes_over(p, len);
	struct room room = { room_bytes };
	struct span line;

	memset(out, 0, sizeof *out);
	for (int h = 0; h < HEADER_COUNT; h++)
		for (int i = 0; i < HEADER_TIMES; i++)
			out->value[h][i] = span_of("", 0);
	do {
		if (!span_line(&text, &line))
			return false;
	} while (line.len == 0);
	out->start = keep(&room, span_trim(line));
	read_headers(out, &room, &text);

	out->body = text.at;
	out->body_len = (uint32_t)bytes_left(&text);
	struct span length = out->value[HEADER_CONTENT_LENGTH][0];
	uint32_t stated;
	if (span_number(&length, UINT32_MAX, &stated) && stated < out->body_len)
		out->body_len = stated;
	return true;
}

struct span reduce_find(const uint8_t *p, uint32_t len, const char *name)
{
	struct bytes text = bytes_over(p, len);
	struct span line;
	bool started = false;
	while (span_line(&text, &line)) {
		if (line.len == 0 && started)
			break;
		started |= line.len > 0;
		struct span value = line;
		if (span_is(span_trim(span_until(&value, ':')), name))
			return span_trim(value);
	}
	return span_of("", 0);
}
