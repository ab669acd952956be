/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* method.c: see method.h.  Constant tables, for any thread. */
#include "sip/method.h"

static const struct {
	const char *name;
	enum sip_kind kind;
} methods[] = {
	[METHOD_INVITE] = { "INVITE", SIP_DIALOG },     /* RFC 3261 */
	[METHOD_ACK] = { "ACK", SIP_DIALOG },           /* RFC 3261 */
	[METHOD_BYE] = { "BYE", SIP_DIALOG },           /* RFC 3261 */
	[METHOD_CANCEL] = { "CANCEL", SIP_DIALOG },     /* RFC 3261 */
	[METHOD_PRACK] = { "PRACK", SIP_DIALOG },       /* RFC 3262 */
	[METHOD_UPDATE] = { "UPDATE", SIP_DIALOG },     /* RFC 3311 */
	[METHOD_REFER] = { "REFER", SIP_DIALOG },       /* RFC 3515 */
	[METHOD_INFO] = { "INFO", SIP_REST },           /* RFC 6086 */
	[METHOD_REGISTER] = { "REGISTER", SIP_REST },   /* RFC 3261 */
	[METHOD_OPTIONS] = { "OPTIONS", SIP_REST },     /* RFC 3261 */
	[METHOD_SUBSCRIBE] = { "SUBSCRIBE", SIP_REST }, /* RFC 6665 */
	[METHOD_NOTIFY] = { "NOTIFY", SIP_REST },       /* RFC 6665 */
	[METHOD_PUBLISH] = { "PUBLISH", SIP_REST },     /* RFC 3903 */
	[METHOD_MESSAGE] = { "MESSAGE", SIP_REST },     /* RFC 3428 */
};
#define METHODS (sizeof methods / sizeof *methods)
_Static_assert(METHODS == METHOD_OTHER, "one row a method");

enum method method_find(struct span name)
{
	for (size_t i = 0; i < METHODS; i++)
		if (strlen(methods[i].name) == name.len &&
		    memcmp(methods[i].name, name.p, name.len) == 0)
			return (enum method)i;
	return METHOD_OTHER;
}

enum sip_kind method_kind(enum method m)
{
	return m < METHOD_OTHER ? methods[m].kind : SIP_REST;
}
