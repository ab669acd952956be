/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recognise.c: is this datagram SIP, and does it matter to a dialog?
 *
 * Runs on capture threads, for every datagram that is no known media.  Most are told apart
 * by their first byte: RTP and RTCP begin with 0x80-0xbf, STUN with 0-3.  It allocates
 * nothing and reads no further than the first line, or to the CSeq of what may be of a dialog.
 */
#include "sip/method.h"
#include "sip/sip.h"

#define KEEPALIVE_MOST 64 /* CR and LF alone, and no more than this (RFC 5626, 3.5.1) */
#define METHOD_MOST    64
#define CSEQ_WITHIN    2048 /* bytes searched for the CSeq */

/* RFC 3261, 25.1: token. */
static bool is_token(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-.!%*_+`'~", c));
}

/* The first line is whole text: no control character in it, as DNS and others have. */
static bool is_text(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.p[i] < 0x20 && s.p[i] != '\t')
			return false;
	return true;
}

static enum sip_kind request_kind(struct span line, bool cut)
{
	struct span rest = line;
	struct span name = span_until(&rest, ' ');
	bool capital = false;
	if (name.len == 0 || name.len > METHOD_MOST || rest.len == 0)
		return SIP_NOT;
	for (size_t i = 0; i < name.len; i++) {
		if (!is_token(name.p[i]))
			return SIP_NOT;
		capital |= name.p[i] >= 'A' && name.p[i] <= 'Z';
	}
	if (!capital || !is_text(line))
		return SIP_NOT;
	enum method m = method_find(name);
	rest = span_trim(rest);
	if (rest.len > 8 && span_is(span_of(rest.p + rest.len - 8, 8), " SIP/2.0"))
		return method_kind(m);
	/* The snap length may have cut the line before its version. */
	bool uri = span_begins(rest, "sip:") || span_begins(rest, "sips:") ||
		   span_begins(rest, "tel:");
	return cut && uri && m != METHOD_OTHER ? method_kind(m) : SIP_NOT;
}

/* The header's CSeq, which every message must have (RFC 3261, 8.1.1 and 8.2.6.2). */
static bool find_cseq(struct bytes text, struct span *value)
{
	struct span line;
	while (span_line(&text, &line) && line.len > 0) {
		*value = line;
		struct span name = span_until(value, ':');
		if (span_is(span_trim(name), "CSeq"))
			return true;
	}
	return false;
}

/* What a response answers stands in its CSeq.  Unknown: it may matter. */
static enum sip_kind response_kind(struct span cseq)
{
	uint32_t number;
	cseq = span_trim(cseq);
	if (!span_number(&cseq, UINT32_MAX, &number))
		return SIP_DIALOG;
	enum method m = method_find(span_word(&cseq));
	return m == METHOD_OTHER ? SIP_DIALOG : method_kind(m);
}

static bool is_status_line(struct span line)
{
	struct span rest = line;
	uint32_t status;
	if (!span_is(span_until(&rest, ' '), "SIP/2.0"))
		return false;
	struct span code = span_word(&rest);
	return code.len == 3 && span_number(&code, 699, &status) && code.len == 0 && status >= 100;
}

enum sip_kind sip_recognise(const uint8_t *p, uint32_t len)
{
	uint32_t skip = 0;
	while (skip < len && skip < KEEPALIVE_MOST && (p[skip] == '\r' || p[skip] == '\n'))
		skip++;
	if (skip == len)
		return len > 0 ? SIP_REST : SIP_NOT;
	if (!is_token((char)p[skip]))
		return SIP_NOT;
	size_t within = len - skip < CSEQ_WITHIN ? len - skip : CSEQ_WITHIN;
	struct bytes text = bytes_over(p + skip, within);
	struct span line;
	bool cut = !memchr(p + skip, '\n', within);
	if (!span_line(&text, &line))
		return SIP_NOT;
	bool response = is_status_line(line);
	enum sip_kind kind = response ? SIP_DIALOG : request_kind(line, cut);
	if (kind != SIP_DIALOG)
		return kind;
	/* Garbage that begins like a call has no CSeq: it shall not stand in the way of calls. */
	struct span cseq;
	if (!find_cseq(text, &cseq))
		return within == len - skip ? SIP_REST : SIP_DIALOG;
	return response ? response_kind(cseq) : SIP_DIALOG;
}
