/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* span.h: text that came from the wire, as borrowed pointer and length.
 *
 * Nothing here assumes a terminating NUL, and nothing looks past the end.  SIP and SDP are
 * both lines of words: these few functions are all their readers need.
 */
#ifndef CALLSPAN_SIP_SPAN_H
#define CALLSPAN_SIP_SPAN_H

#include <string.h>
#include <strings.h>

#include "base/bytes.h"

struct span {
	const char *p; /* borrowed */
	size_t len;
};

static inline struct span span_of(const void *p, size_t len)
{
	return (struct span){ p, len };
}

static inline bool span_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next line without its end (CR LF, LF, or the end of the text); false when none is left. */
static inline bool span_line(struct bytes *text, struct span *line)
{
	size_t left = bytes_left(text);
	if (left == 0)
		return false;
	const uint8_t *start = text->at;
	const uint8_t *lf = memchr(start, '\n', left);
	size_t len = lf ? (size_t)(lf - start) : left;
	bytes_skip(text, lf ? len + 1 : len);
	if (len > 0 && start[len - 1] == '\r')
		len--;
	*line = span_of(start, len);
	return true;
}

/* Without blanks at either end. */
static inline struct span span_trim(struct span s)
{
	while (s.len > 0 && span_is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && span_is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* Cut `*s` at the first `c`: what stands before it, leaving what follows (all of it, and
 * nothing, when there is no `c`). */
static inline struct span span_until(struct span *s, char c)
{
	struct span head = *s;
	const char *at = s->len ? memchr(s->p, c, s->len) : NULL;
	if (at) {
		head.len = (size_t)(at - s->p);
		s->p = at + 1;
		s->len -= head.len + 1;
	} else {
		s->p += s->len;
		s->len = 0;
	}
	return head;
}

/* Take the next word, blanks before it skipped. */
static inline struct span span_word(struct span *s)
{
	*s = span_trim(*s);
	struct span word = { s->p, 0 };
	while (word.len < s->len && !span_is_blank(s->p[word.len]))
		word.len++;
	s->p += word.len;
	s->len -= word.len;
	return word;
}

/* ASCII letters of either case are alike, as SIP's and SDP's names are. */
static inline bool span_is(struct span s, const char *name)
{
	return strlen(name) == s.len && (s.len == 0 || strncasecmp(s.p, name, s.len) == 0);
}

static inline bool span_begins(struct span s, const char *name)
{
	size_t len = strlen(name);
	return s.len >= len && strncasecmp(s.p, name, len) == 0;
}

/* Take the digits at the front: false when there are none or they exceed `max`. */
static inline bool span_number(struct span *s, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;
	size_t n = 0;
	while (n < s->len && s->p[n] >= '0' && s->p[n] <= '9') {
		v = v * 10 + (uint64_t)(s->p[n] - '0');
		if (v > max)
			return false;
		n++;
	}
	s->p += n;
	s->len -= n;
	*out = (uint32_t)v;
	return n > 0;
}

#endif
