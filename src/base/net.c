/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* net.c: endpoints as text and back.  Any thread; nothing is resolved, no name is looked up.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <stdio.h>

const char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT])
{
	char addr[INET6_ADDRSTRLEN];

	if (endpoint_is_v4(e)) {
		(void)snprintf(buf, ENDPOINT_TEXT, "%u.%u.%u.%u:%u", e->addr[12], e->addr[13],
			       e->addr[14], e->addr[15], e->port);
		return buf;
	}
	ASSERT(inet_ntop(AF_INET6, e->addr, addr, sizeof addr));
	(void)snprintf(buf, ENDPOINT_TEXT, "[%s]:%u", addr, e->port);
	return buf;
}

bool endpoint_parse_addr(struct endpoint *e, const char *text, size_t len, uint16_t port)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	/* inet_pton() stops at a NUL: one inside the text would let garbage follow it. */
	if (len == 0 || len >= sizeof copy || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';

	if (inet_pton(AF_INET, copy, addr) == 1) {
		endpoint_set_v4(e, addr, port);
		return true;
	}
	if (inet_pton(AF_INET6, copy, addr) == 1) {
		endpoint_set_v6(e, addr, port);
		return true;
	}
	return false;
}

bool endpoint_is_any(const struct endpoint *e)
{
	static const uint8_t zero[16];

	if (endpoint_is_v4(e))
		return memcmp(e->addr + 12, zero, 4) == 0;
	return memcmp(e->addr, zero, sizeof zero) == 0;
}
