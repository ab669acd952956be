/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rules.c: see rules.h.
 *
 *   INVITE ─► facts: addresses, parties, domains ─► direction ─┬─ names a line never recorded ─► never
 *                                                              ├─ the first rule that matches
 *                                                              └─ record.calls
 */
#include "sip/rules.h"

#include <ctype.h>

#define URI_MOST     512 /* bytes of one that are read */
#define PARTIES_MOST 500 /* of one message: whoever names more could hide one among them */

struct facts {
	const struct incoming *in;
	char from[2][POLICY_NUMBER], to[2][POLICY_NUMBER]; /* as policy_number() gives them */
	const char *from_host, *to_host;
	enum call_direction direction;
};

/* ---- URIs and headers as they stand in a message --------------------------------------------- */

struct text {
	const char *base, *at, *end;
};

static struct text text_of(struct span s)
{
	return (struct text){ s.p, s.p, s.p + s.len };
}

/* Up to the empty line. */
static struct span head_of(const struct datagram *d)
{
	struct bytes b = bytes_over(d->payload, d->len);
	struct span line;
	const char *start = (const char *)d->payload;
	bool any = false;
	while (span_line(&b, &line)) {
		if (line.len == 0 && any)
			break;
		any |= line.len > 0;
	}
	return span_of(start, (size_t)((const char *)b.at - start));
}

/* What stands before a colon: the name of a scheme that carries a party? */
static bool is_scheme(const char *base, const char *colon, const char *name)
{
	size_t len = strlen(name);
	return (size_t)(colon - base) >= len && strncasecmp(colon - len, name, len) == 0 &&
	       ((size_t)(colon - base) == len || !isalnum((unsigned char)colon[-(long)len - 1]));
}

static bool ends_uri(char c)
{
	return (unsigned char)c <= ' ' || c == '<' || c == '>' || c == '"' || c == ',';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* With %XX decoded (RFC 3261, 19.1.2). */
static void copy_decoded(char *dst, size_t size, struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len && n < size - 1; i++) {
		char c = s.p[i];
		if (c == '%' && i + 2 < s.len && hex_value(s.p[i + 1]) >= 0 &&
		    hex_value(s.p[i + 2]) >= 0) {
			c = (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]));
			i += 2;
		}
		if (c)
			dst[n++] = c;
	}
	dst[n] = '\0';
}

static struct span cut_at(struct span s, const char *stops)
{
	size_t n = 0;
	while (n < s.len && !strchr(stops, s.p[n]))
		n++;
	return span_of(s.p, n);
}

/* The party of a URI without its scheme: a user part, a tel: number, or a host that can only be a number. */
static struct span party_of(struct span uri, bool tel)
{
	const char *at = uri.len ? memchr(uri.p, '@', uri.len) : NULL;
	if (tel)
		return cut_at(uri, ";?");
	if (at)
		return cut_at(span_of(uri.p, (size_t)(at - uri.p)), ";:");
	struct span host = cut_at(uri, ";:?");
	bool address = host.len && (memchr(host.p, '.', host.len) || host.p[0] == '[');
	return address ? span_of(host.p, 0) : host;
}

/* The next party that a sip:, sips: or tel: URI names. */
static bool next_party(struct text *t, char party[POLICY_NUMBER])
{
	const char *colon;
	while (t->at < t->end && (colon = memchr(t->at, ':', (size_t)(t->end - t->at)))) {
		bool tel = is_scheme(t->base, colon, "tel");
		const char *stop = colon + 1;
		t->at = stop;
		if (!tel && !is_scheme(t->base, colon, "sip") && !is_scheme(t->base, colon, "sips"))
			continue;
		const char *most = t->end - stop > URI_MOST ? stop + URI_MOST : t->end;
		while (stop < most && !ends_uri(*stop))
			stop++;
		struct span who = party_of(span_of(t->at, (size_t)(stop - t->at)), tel);
		if (who.len == 0)
			continue;
		copy_decoded(party, POLICY_NUMBER, who);
		return true;
	}
	return false;
}

/* The first value of a header that stands on one line. */
static struct span find_header(struct span head, const char *name)
{
	struct bytes b = bytes_over(head.p, head.len);
	struct span line;
	while (span_line(&b, &line)) {
		struct span key = span_until(&line, ':');
		if (span_is(span_trim(key), name))
			return span_trim(line);
	}
	return span_of(head.p, 0);
}

/* ---- lines never recorded --------------------------------------------------------------------- */

bool rules_is_never(const struct policy *p, const char *party)
{
	char number[POLICY_NUMBER];
	if (p->nevers_count == 0 || !*party)
		return false;
	(void)policy_number(party, number);
	for (uint32_t i = 0; i < p->nevers_count; i++)
		if (policy_number_matches(p->nevers[i], number))
			return true;
	return false;
}

/* `left`: parties that may still be looked at; with none left, one of them may be. */
static bool uri_never(const struct policy *p, struct span s, unsigned *left)
{
	char party[POLICY_NUMBER];
	struct text t = text_of(s);
	while (next_party(&t, party))
		if ((*left)-- == 0 || rules_is_never(p, party))
			return true;
	return false;
}

/* Headers whose URIs are nobody's who is on the call; a folded line belongs to the one before. */
static bool is_aside(struct span line, bool before)
{
	static const char *const names[] = { "Referred-By", "b", "Via", "v", "Call-ID", "i" };
	if (line.len && span_is_blank(line.p[0]))
		return before;
	struct span key = span_trim(span_until(&line, ':'));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (span_is(key, names[i]))
			return true;
	return false;
}

bool rules_name_never(const struct policy *p, const struct incoming *in)
{
	const struct sip_message *m = in->m;
	unsigned left = PARTIES_MOST;
	if (p->nevers_count == 0)
		return false;
	if (rules_is_never(p, m->from.user) || rules_is_never(p, m->to.user) ||
	    rules_is_never(p, m->from.name) || rules_is_never(p, m->to.name) ||
	    rules_is_never(p, m->asserted.user) || rules_is_never(p, m->asserted.name) ||
	    rules_is_never(p, m->target) || rules_is_never(p, m->diverted_from) ||
	    uri_never(p, m->refer_to, &left))
		return true;
	struct span head = head_of(in->d), line;
	struct bytes b = bytes_over(head.p, head.len);
	bool aside = false;
	while (span_line(&b, &line)) {
		aside = is_aside(line, aside);
		if (!aside && uri_never(p, line, &left))
			return true;
	}
	return false;
}

/* Digits in a row, as many as a number may have (ITU-T E.164: 15, and a prefix), that are such a line. */
static bool digits_never(const struct policy *p, struct span s)
{
	for (size_t i = 0; i < s.len;) {
		char number[32];
		size_t n = 0;
		while (i + n < s.len && n < sizeof number - 1 &&
		       isdigit((unsigned char)s.p[i + n])) {
			number[n] = s.p[i + n];
			n++;
		}
		number[n] = '\0';
		if (n >= 6 && rules_is_never(p, number))
			return true;
		i += n + 1;
	}
	return false;
}

bool rules_mention_never(const struct policy *p, const struct incoming *in)
{
	struct span whole = span_of(in->d->payload, in->d->len);
	unsigned left = PARTIES_MOST;
	return p->nevers_count > 0 &&
	       (rules_name_never(p, in) || uri_never(p, whole, &left) || digits_never(p, whole));
}

/* ---- direction --------------------------------------------------------------------------------- */

enum side { SIDE_UNKNOWN, SIDE_OURS, SIDE_OUTSIDE };

static bool in_network(const struct policy_network *net, const struct endpoint *e)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	if (memcmp(net->addr, e->addr, whole) != 0 || (net->bits < 96 && endpoint_is_v4(e)))
		return false;
	return rest == 0 || (net->addr[whole] ^ e->addr[whole]) >> (8 - rest) == 0;
}

/* The domain itself, or one below it. */
static bool in_domain(const char *domain, const char *host)
{
	size_t d = strlen(domain), h = strlen(host);
	return h >= d && strcasecmp(host + h - d, domain) == 0 &&
	       (h == d || host[h - d - 1] == '.');
}

/* Numbers tell best, then domains, then addresses: a telephone's call to the town passes our own exchange, but the number
 * is not ours. */
static enum side side_of(const struct policy *p, const char *number, const char *host,
			 const struct endpoint *at)
{
	struct endpoint e;
	for (uint32_t i = 0; i < p->numbers_count; i++)
		if (*number && policy_number_matches(p->numbers[i], number))
			return SIDE_OURS;
	if (p->numbers_count && *number && isdigit((unsigned char)*number) &&
	    number[strspn(number, "0123456789")] == '\0')
		return SIDE_OUTSIDE;
	if (p->domains_count && *host && !endpoint_parse_addr(&e, host, strlen(host), 0)) {
		for (uint32_t i = 0; i < p->domains_count; i++)
			if (in_domain(p->domains[i], host))
				return SIDE_OURS;
		return SIDE_OUTSIDE;
	}
	for (uint32_t i = 0; i < p->networks_count; i++)
		if (in_network(&p->networks[i], at))
			return SIDE_OURS;
	return p->networks_count ? SIDE_OUTSIDE : SIDE_UNKNOWN;
}

static enum call_direction direction_of(const struct policy *p, const struct facts *f)
{
	static const enum call_direction table[3][3] = {
		[SIDE_OURS] = { [SIDE_OURS] = DIRECTION_INTERNAL,
				[SIDE_OUTSIDE] = DIRECTION_OUTBOUND },
		[SIDE_OUTSIDE] = { [SIDE_OURS] = DIRECTION_INBOUND },
	};
	return table[side_of(p, f->from[0], f->from_host, &f->in->d->src)]
		    [side_of(p, f->to[0], f->to_host, &f->in->d->dst)];
}

/* ---- facts ---------------------------------------------------------------------------------------- */

static void number_of(const char *party, char out[POLICY_NUMBER])
{
	(void)policy_number(party, out);
}

/* [0] tells the direction; [1] is another name that the same party may have. */
static void find_facts(const struct policy *p, const struct incoming *in, struct facts *f)
{
	const struct sip_message *m = in->m;
	f->in = in;
	number_of(m->from.user, f->from[0]);
	number_of(m->asserted.user, f->from[1]);
	number_of(m->to.user, f->to[0]);
	number_of(m->target, f->to[1]);
	f->from_host = m->from.host;
	f->to_host = m->to.host;
	if (!isdigit((unsigned char)f->from[0][0]) && f->from[1][0]) {
		memcpy(f->from[0], f->from[1], sizeof f->from[0]);
		f->from_host = m->asserted.host;
	}
	f->direction = direction_of(p, f);
}

/* ---- conditions ------------------------------------------------------------------------------------ */

static bool party_matches(const char *pattern, const char party[2][POLICY_NUMBER])
{
	return policy_number_matches(pattern, party[0]) ||
	       (party[1][0] && policy_number_matches(pattern, party[1]));
}

static bool in_group(const struct policy *p, uint8_t group, const char party[2][POLICY_NUMBER])
{
	const struct policy_group *g = &p->groups[group];
	return policy_group_has(p, g, party[0]) ||
	       (party[1][0] && policy_group_has(p, g, party[1]));
}

static bool header_matches(const struct policy_node *n, const struct facts *f)
{
	static const char *const names[] = {
		[POLICY_HEADER_USER_AGENT] = "User-Agent",
		[POLICY_HEADER_ASSERTED] = "P-Asserted-Identity",
		[POLICY_HEADER_DIVERSION] = "Diversion",
	};
	const struct sip_message *m = f->in->m;
	struct span value;
	switch ((enum policy_header)n->which) {
	case POLICY_HEADER_FROM_DOMAIN: value = span_of(m->from.host, strlen(m->from.host)); break;
	case POLICY_HEADER_TO_DOMAIN: value = span_of(m->to.host, strlen(m->to.host)); break;
	case POLICY_HEADER_USER_AGENT:
	case POLICY_HEADER_ASSERTED:
	case POLICY_HEADER_DIVERSION:
	default: value = find_header(head_of(f->in->d), names[n->which]); break;
	}
	return value.len && policy_text_matches(n->pattern, value.p, value.len);
}

static bool leaf_is_true(const struct policy *p, const struct policy_node *n, const struct facts *f)
{
	switch ((enum policy_test)n->test) {
	case POLICY_TEST_ADDRESS:
		return in_network(&n->network, &f->in->d->src) ||
		       in_network(&n->network, &f->in->d->dst);
	case POLICY_TEST_FROM_ADDRESS: return in_network(&n->network, &f->in->d->src);
	case POLICY_TEST_TO_ADDRESS: return in_network(&n->network, &f->in->d->dst);
	case POLICY_TEST_DIRECTION: return n->which == f->direction;
	case POLICY_TEST_NUMBER:
		return party_matches(n->pattern, f->from) || party_matches(n->pattern, f->to);
	case POLICY_TEST_FROM: return party_matches(n->pattern, f->from);
	case POLICY_TEST_TO: return party_matches(n->pattern, f->to);
	case POLICY_TEST_GROUP:
		return in_group(p, n->which, f->from) || in_group(p, n->which, f->to);
	case POLICY_TEST_FROM_GROUP: return in_group(p, n->which, f->from);
	case POLICY_TEST_TO_GROUP: return in_group(p, n->which, f->to);
	case POLICY_TEST_HEADER: return header_matches(n, f);
	case POLICY_TEST_ALL:
	case POLICY_TEST_ANY:
	case POLICY_TEST_NOT: break;
	}
	assert_failed("a condition of its own", __FILE__, __LINE__);
}

/* At most 3 * POLICY_DEPTH deep, as the policy's reader lets none be deeper. */
static bool is_true(const struct policy *p, uint32_t at, const struct facts *f)
{
	const struct policy_node *n = &p->nodes[at];
	bool any = n->test == POLICY_TEST_ANY;
	if (n->test > POLICY_TEST_NOT)
		return leaf_is_true(p, n, f);
	if (n->test == POLICY_TEST_NOT)
		return !is_true(p, at + 1, f);
	for (uint32_t i = at + 1; i < n->end; i = p->nodes[i].end)
		if (is_true(p, i, f) == any)
			return any;
	return !any;
}

void rules_judge(const struct policy *p, const struct incoming *invite, struct rules_verdict *v)
{
	struct facts f;
	find_facts(p, invite, &f);
	v->direction = (uint8_t)f.direction;
	v->retention = p->classes[p->default_class].name;
	bool skip = p->calls == POLICY_CALLS_RULES ||
		    (p->calls == POLICY_CALLS_EXTERNAL && f.direction == DIRECTION_INTERNAL);
	v->action = skip ? POLICY_SKIP : POLICY_RECORD;
	if (rules_name_never(p, invite)) {
		v->action = POLICY_NEVER;
		return;
	}
	for (uint32_t i = 0; i < p->rules_count; i++) {
		if (!is_true(p, p->rules[i].when, &f))
			continue;
		v->action = p->rules[i].action;
		v->retention = p->classes[p->rules[i].class].name;
		return;
	}
}
