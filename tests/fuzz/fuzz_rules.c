/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_rules.c: any SIP messages under a policy with every kind of condition: what the sink is told never names a line
 * that is never recorded, and media of an excluded call is never expected to be kept.
 *
 * A NUL ends a message. */
#include <stdio.h>
#include <string.h>

#include "sip/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy_text[] =
	"policy: p\npurposes: []\nexport: { plain: refuse }\n"
	"retention: { default: short, classes: { short: { days: 7 }, long: { days: 90 } } }\n"
	"own: { networks: [ 10.0.0.0/8 ], domains: [ lab ], numbers: [ \"2???\", \"+4420*\" ] }\n"
	"groups: { sales: [ \"20?\", \"+44*7\" ], night: [ desk ] }\n"
	"record:\n"
	"  calls: external\n"
	"  dtmf: keep\n"
	"  signalling: on\n"
	"  never: [ \"+441632960999\", \"77??\", doctor ]\n"
	"  rules:\n"
	"    - { when: { header: { name: user-agent, matches: \"*a*b?c*\" } }, do: never }\n"
	"    - { when: { header: { name: diversion, matches: \"*5*\" } }, do: record, class: long "
	"}\n"
	"    - { when: { any: [ { from: \"1*2\" }, { to: [ \"3*\", \"?4*\" ] } ], not: { "
	"direction: "
	"inbound } }, do: skip }\n"
	"    - { when: { from-group: [ sales, night ], not: { to-group: sales } }, do: record }\n"
	"    - { when: { group: night }, do: never }\n"
	"    - { when: { number: \"*9*9*\", address: 10.0.0.0/31 }, do: record }\n";

static const struct policy *the_policy(void)
{
	static struct policy p;
	struct error err;
	if (!p.classes_count)
		ASSERT(policy_parse(&p, policy_text, sizeof policy_text - 1, "p", &err) == RC_OK);
	return &p;
}

#define CALLS 8
struct sink {
	uint64_t written[CALLS]; /* calls that the sink was told of, by number's low half */
	uint64_t excluded[CALLS];
	const struct datagram *d;
};

static void on_open(void *ctx, const struct store_open *o)
{
	struct sink *k = ctx;
	ASSERT(!(o->call & CALL_UNWRITTEN) && (uint32_t)o->call < CALLS);
	k->written[(uint32_t)o->call] = o->call;
	k->excluded[(uint32_t)o->call] = 0;
	ASSERT(strcmp(o->retention, "short") == 0 || strcmp(o->retention, "long") == 0);
}

static void on_expect(void *ctx, const struct media_expect *e)
{
	const struct sink *k = ctx;
	uint32_t i = (uint32_t)e->call;
	ASSERT(i < CALLS);
	ASSERT(e->discard || (!(e->call & CALL_UNWRITTEN) && k->excluded[i] != e->call));
}

static void on_forget(void *ctx, const struct media_forget *f)
{
	(void)ctx;
	(void)f;
}

static void on_record(void *ctx, uint64_t call, const struct call_record *r)
{
	struct sink *k = ctx;
	const struct policy *p = the_policy();
	uint32_t i = (uint32_t)call;
	ASSERT(i < CALLS && k->written[i] == call);
	ASSERT(!rules_is_never(p, r->from) && !rules_is_never(p, r->to));
	ASSERT(!rules_is_never(p, r->from_name) && !rules_is_never(p, r->to_name));
	ASSERT(!rules_is_never(p, r->diverted_from) && !rules_is_never(p, r->referred_by));
	for (uint32_t n = 0; n < r->coverage_count; n++) {
		bool whole = strcmp(r->coverage[n], "excluded") == 0;
		if (whole)
			ASSERT(!r->from[0] && !r->to[0] && !r->sip_call_id[0] && !r->sdes_count);
		if (whole || strcmp(r->coverage[n], "excluded-part") == 0)
			k->excluded[i] = call;
	}
}

static void on_done(void *ctx, uint64_t call)
{
	struct sink *k = ctx;
	ASSERT(k->written[(uint32_t)call] == call);
	k->written[(uint32_t)call] = 0;
}

static void on_message(void *ctx, uint64_t call, const struct signalling_record *m)
{
	const struct sink *k = ctx;
	ASSERT(k->written[(uint32_t)call] == call && k->excluded[(uint32_t)call] != call);
	ASSERT(m->len == k->d->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct counters counters;
	struct sink sink = { 0 };
	struct signalling_config cfg = {
		.max_calls = CALLS,
		.media_threads = 1,
		.call_timeout_ns = 100 * NS_PER_S,
		.bye_timeout_ns = 32 * NS_PER_S,
		.max_message = 4096,
		.policy = the_policy(),
		.recorder = "",
		.sink = { &sink, on_open, on_expect, on_forget, on_record, on_done, on_message },
		.counters = &counters,
	};
	struct signalling *s = signalling_new(&cfg);
	int64_t now = 1000 * NS_PER_S;
	ASSERT(s);
	while (size > 0) {
		const uint8_t *end = memchr(data, '\0', size);
		size_t len = end ? (size_t)(end - data) : size;
		struct datagram d = { .ts_ns = now += NS_PER_S / 2,
				      .payload = data,
				      .len = (uint32_t)len,
				      .wire_len = (uint32_t)len };
		ASSERT(endpoint_parse_addr(&d.src, "10.0.0.1", 8, 5060));
		ASSERT(endpoint_parse_addr(&d.dst, "192.0.2.1", 9, 5060));
		sink.d = &d;
		signalling_message(s, &d);
		if (end)
			len++;
		data += len;
		size -= len;
	}
	signalling_finish(s, now);
	signalling_free(s);
	return 0;
}
