/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* digits.c: see digits.h.
 *
 *   INFO application/dtmf-relay   Signal=5 CR LF Duration=160
 *   INFO application/dtmf         5
 *   NOTIFY Event: kpml            <kpml-response version="1.0" code="200" digits="5"/>
 */
#include "sip/digits.h"

/* Keys by number, as some write them: 10 is the star (RFC 4733, table 3). */
static const char keys[] = "0123456789*#ABCD";

/* A digit as its character, or 0. */
static char key_of(struct span text)
{
	uint32_t n;
	struct span number = text = span_trim(text);
	if (text.len == 1) {
		char c = text.p[0] >= 'a' && text.p[0] <= 'd' ? (char)(text.p[0] & ~0x20)
							      : text.p[0];
		return c != '\0' && strchr(keys, c) ? c : '\0';
	}
	bool whole = span_number(&number, sizeof keys - 2, &n) && number.len == 0;
	return whole ? keys[n] : '\0';
}

static void note(struct call *c, enum track by, char key)
{
	struct known_extras *x = known_extras(&c->known);
	char *kept = x->digits[by];
	size_t len = strlen(kept);
	x->dtmf_count++;
	c->changed = true;
	if (c->dtmf == DTMF_KEEP && len + 1 < DIGITS) {
		kept[len] = key;
		kept[len + 1] = '\0';
	}
}

/* The first line that is a digit alone, or "Signal=" one. */
static void read_info(struct call *c, const struct sip_message *m, enum track by)
{
	struct bytes text = bytes_over(m->body, m->body_len);
	struct span line;
	while (span_line(&text, &line)) {
		struct span value = line;
		char key = key_of(line);
		if (span_is(span_trim(span_until(&value, '=')), "Signal"))
			key = key_of(value);
		if (key == '\0')
			continue;
		note(c, by, key);
		return;
	}
}

static void read_kpml(struct call *c, const struct sip_message *m, enum track by)
{
	static const char attribute[] = "digits=\"";
	const char *end = (const char *)m->body + m->body_len;
	const char *at = m->body_len > 0
				 ? memmem(m->body, m->body_len, attribute, sizeof attribute - 1)
				 : NULL;
	if (!at)
		return;
	for (at += sizeof attribute - 1; at < end && *at != '"'; at++) {
		char key = key_of(span_of(at, 1));
		if (key == '\0')
			return;
		note(c, by, key);
	}
}

void digits_message(struct call *c, const struct incoming *in, enum track by)
{
	const struct sip_message *m = in->m;
	uint32_t before = c->known.extras ? c->known.extras->digit_cseq[by] : 0;
	bool info = m->method == METHOD_INFO;
	struct span event = m->event;
	bool digit = info ? strcmp(m->content_type, "application/dtmf-relay") == 0 ||
				     strcmp(m->content_type, "application/dtmf") == 0
			  : span_is(span_trim(span_until(&event, ';')), "kpml");
	/* A proxy's copy has the same CSeq; numbers of both methods ascend together. */
	if (!digit || c->dtmf == DTMF_OFF || m->cseq <= before)
		return;
	known_extras(&c->known)->digit_cseq[by] = m->cseq;
	if (info)
		read_info(c, m, by);
	else
		read_kpml(c, m, by);
}
