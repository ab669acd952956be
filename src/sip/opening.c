/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* opening.c: what a TCP connection carries, by the first bytes of a direction.
 *
 * Also asked of bytes in the middle of a connection: most segments that carry SIP begin with a start line.
 * Any thread; nothing is kept or allocated.
 */
#include "sip/framing.h"
#include "sip/sip.h"
#include "sip/span.h"
#include "sip/websocket.h"

#define HANDSHAKE_MOST 8192 /* bytes of an HTTP header, or of a TLS ClientHello */
#define WORD_MOST      64   /* bytes of a method, or of "SIP/2.0" */

/* RFC 3261, 25.1: token, and the slash of SIP/2.0. */
static bool is_word(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-.!%*_+`'~/", c));
}

/* A line without an end yet: text that may become a start line? */
static enum opening line_so_far(const uint8_t *p, uint32_t n)
{
	uint32_t word = 0;
	while (word < n && is_word(p[word]))
		word++;
	/* Methods are in capitals, all that are in use. */
	if (p[0] < 'A' || p[0] > 'Z' || word > WORD_MOST || (word < n && p[word] != ' '))
		return OPENING_NONE;
	for (uint32_t i = word; i < n; i++)
		if (p[i] < 0x20 && p[i] != '\t' && !(p[i] == '\r' && i + 1 == n))
			return OPENING_NONE;
	return n < START_LINE_MOST ? OPENING_MORE : OPENING_NONE;
}

/* ---- HTTP: RFC 6455, 4; RFC 7118, 3 ---------------------------------------------------------- */

static bool is_http(struct span line)
{
	return span_begins(line, "HTTP/1.1 101") ||
	       (span_begins(line, "GET ") && line.len > 9 &&
		span_is(span_of(line.p + line.len - 9, 9), " HTTP/1.1"));
}

/* Is `word` among words separated by commas? */
static bool lists(struct span value, const char *word)
{
	while (value.len > 0)
		if (span_is(span_trim(span_until(&value, ',')), word))
			return true;
	return false;
}

static enum opening handshake(const uint8_t *p, uint32_t n, uint32_t *skip)
{
	struct bytes text = bytes_over(p, n);
	struct span line;
	bool upgrade = false, sip = false;

	while (span_line(&text, &line)) {
		if (text.at[-1] != '\n')
			break;
		if (line.len == 0) {
			*skip = n - (uint32_t)bytes_left(&text);
			return upgrade && sip ? OPENING_HANDSHAKE : OPENING_NONE;
		}
		struct span value = line;
		struct span name = span_until(&value, ':');
		upgrade |= span_is(name, "Upgrade") && lists(value, "websocket");
		sip |= span_is(name, "Sec-WebSocket-Protocol") && lists(value, "sip");
	}
	return n < HANDSHAKE_MOST ? OPENING_MORE : OPENING_NONE;
}

/* ---- TLS: RFC 8446, 4.1.2 and 5.1; RFC 7301 ------------------------------------------------------ */

/* type (1), version 3.x (2), length (2) */
static bool is_tls(const uint8_t *p, uint32_t n)
{
	return n >= 3 && p[0] >= 20 && p[0] <= 23 && p[1] == 3 && p[2] <= 4;
}

static bool protocol_list_has_sip(struct bytes list)
{
	bytes_skip(&list, 2);
	while (bytes_left(&list) > 0) {
		size_t len = bytes_u8(&list);
		const uint8_t *name = bytes_take(&list, len);
		if (name && len >= 3 && memcmp(name, "sip", 3) == 0)
			return true;
	}
	return false;
}

/* Does a ClientHello offer a protocol sip...? */
static bool hello_offers_sip(struct bytes hello)
{
	bytes_skip(&hello, 5 + 4 + 2 + 32);    /* record, handshake, version, random */
	bytes_skip(&hello, bytes_u8(&hello));  /* session id */
	bytes_skip(&hello, bytes_u16(&hello)); /* cipher suites */
	bytes_skip(&hello, bytes_u8(&hello));  /* compression methods */
	bytes_skip(&hello, 2);                 /* length of the extensions */
	while (bytes_left(&hello) > 0) {
		uint16_t type = bytes_u16(&hello);
		size_t len = bytes_u16(&hello);
		const uint8_t *body = bytes_take(&hello, len);
		if (body && type == 16)
			return protocol_list_has_sip(bytes_over(body, len));
	}
	return false;
}

static enum opening client_hello(const uint8_t *p, uint32_t n)
{
	struct bytes head = bytes_over(p, n);
	bytes_skip(&head, 3);
	uint32_t record = bytes_u16(&head) + 5u;
	uint8_t type = bytes_u8(&head);
	if (head.failed)
		return OPENING_MORE;
	if (p[0] != 22 || type != 1)
		return OPENING_NONE;
	if (hello_offers_sip(bytes_over(p, n < record ? n : record)))
		return OPENING_TLS;
	return n < record && n < HANDSHAKE_MOST ? OPENING_MORE : OPENING_NONE;
}

/* ---- all of it ------------------------------------------------------------------------------------ */

enum opening opening_of(const uint8_t *p, uint32_t n, bool tls_port, uint32_t *skip)
{
	uint32_t blank = 0;
	*skip = 0;
	if (is_tls(p, n))
		return tls_port ? OPENING_TLS : client_hello(p, n);
	if (websocket_begins(p, n))
		return OPENING_WEBSOCKET;
	while (blank < n && (p[blank] == '\r' || p[blank] == '\n'))
		blank++;
	p += blank;
	n -= blank;
	if (n == 0 || (n < 3 && p[0] >= 20 && p[0] <= 23))
		return blank < START_LINE_MOST ? OPENING_MORE : OPENING_NONE;
	if (!is_word(p[0]))
		return OPENING_NONE;
	const uint8_t *lf = memchr(p, '\n', n);
	if (!lf)
		return line_so_far(p, n);
	struct bytes text = bytes_over(p, n);
	struct span line;
	span_line(&text, &line);
	if (line.len < START_LINE_MOST && sip_recognise(p, (uint32_t)(lf - p) + 1) != SIP_NOT)
		return OPENING_SIP;
	return blank == 0 && is_http(line) ? handshake(p, n, skip) : OPENING_NONE;
}

uint32_t opening_within(const uint8_t *p, uint32_t n)
{
	uint32_t at = 0;
	const uint8_t *lf;
	while (at < n && (lf = memchr(p + at, '\n', n - at))) {
		at = (uint32_t)(lf - p) + 1;
		if (at == n || p[at] < 'A' || p[at] > 'Z')
			continue;
		const uint8_t *end = memchr(p + at, '\n', n - at);
		if (end && sip_recognise(p + at, (uint32_t)(end - (p + at)) + 1) != SIP_NOT)
			return at;
	}
	return n;
}

bool sip_begins(const uint8_t *p, uint32_t len)
{
	uint32_t skip;
	if (len == 0 || (!is_word(p[0]) && p[0] < 0x80 && p[0] != '\r' && p[0] != '\n'))
		return false;
	enum opening o = opening_of(p, len, false, &skip);
	return o == OPENING_SIP || o == OPENING_WEBSOCKET || o == OPENING_HANDSHAKE;
}
