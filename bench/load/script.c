/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* script.c: a call's messages as text. */
#include "load/script.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/rc.h"

const struct script_step script_steps[SCRIPT_STEPS] = {
	{ false, 0, CALLER, "INVITE", NULL, "INVITE", 1, true },
	{ false, 40, CALLEE, NULL, "180 Ringing", "INVITE", 1, false },
	{ false, 100, CALLEE, NULL, "200 OK", "INVITE", 1, true },
	{ false, SCRIPT_TALK_MS, CALLER, "ACK", NULL, "ACK", 1, false },
	{ true, 20, CALLER, "BYE", NULL, "BYE", 2, false },
	{ true, SCRIPT_END_MS, CALLEE, NULL, "200 OK", "BYE", 2, false },
};

struct text {
	char *at, *end;
};

static void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->at, (size_t)(t->end - t->at), fmt, ap);
	va_end(ap);
	ASSERT(n >= 0 && n < t->end - t->at);
	t->at += n;
}

static const char *dotted(uint32_t a, char buf[16])
{
	snprintf(buf, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	return buf;
}

static void text_sdp(struct text *t, const struct script_call *c, const char *host, uint16_t port)
{
	text_add(t,
		 "v=0\r\no=- %u 1 IN IP4 %s\r\ns=call\r\nc=IN IP4 %s\r\nt=0 0\r\n"
		 "m=audio %u RTP/AVP %u\r\na=rtpmap:%u %s\r\na=ptime:%u\r\na=sendrecv\r\n",
		 port, host, host, port, c->payload_type, c->payload_type, c->rtpmap, c->ptime_ms);
}

size_t script_write(const struct script_call *c, unsigned step, char *to)
{
	const struct script_step *s = &script_steps[step];
	char host[2][16], body[512];
	struct text t = { to, to + SCRIPT_MOST }, b = { body, body + sizeof body };
	dotted(c->address[CALLER], host[CALLER]);
	dotted(c->address[CALLEE], host[CALLEE]);

	if (s->request)
		text_add(&t, "%s sip:0049%09u@%s SIP/2.0\r\n", s->request, 500000000 + c->call,
			 host[CALLEE]);
	else
		text_add(&t, "SIP/2.0 %s\r\n", s->status);
	text_add(&t, "Via: SIP/2.0/%s %s:5060;branch=z9hG4bK%08x%s\r\n", c->tcp ? "TCP" : "UDP",
		 host[CALLER], c->call, s->method);
	if (s->request)
		text_add(&t, "Max-Forwards: 70\r\n");
	text_add(&t, "From: \"Line %u\" <sip:0030%09u@%s>;tag=a%08x\r\n", c->line,
		 100000000 + c->call, host[CALLER], c->call);
	text_add(&t, "To: <sip:0049%09u@%s>", 500000000 + c->call, host[CALLEE]);
	if (step > 0)
		text_add(&t, ";tag=b%08x", c->call);
	text_add(&t, "\r\nCall-ID: %016" PRIx64 "-%08x@%s\r\nCSeq: %u %s\r\n", c->tag, c->call,
		 host[CALLER], s->cseq, s->method);
	text_add(&t, "Contact: <sip:%s:5060>\r\n", host[s->from]);
	if (s->sdp) {
		text_sdp(&b, c, host[s->from], c->port[s->from]);
		text_add(&t, "Content-Type: application/sdp\r\n");
	}
	text_add(&t, "Content-Length: %zu\r\n\r\n", (size_t)(b.at - body));
	text_add(&t, "%.*s", (int)(b.at - body), body);
	return (size_t)(t.at - to);
}
