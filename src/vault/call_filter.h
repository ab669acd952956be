/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* call_filter.h: which calls a request for calls is about.  Private to src/vault.
 *
 * Nothing here finds calls: req_calls.c walks the index, by party, by conversation or by time, and asks of each
 * candidate whether it fits.  What the row says in clear is asked first; who spoke last, for that must be opened.
 */
#ifndef CALLSPAN_VAULT_CALL_FILTER_H
#define CALLSPAN_VAULT_CALL_FILTER_H

#include "vault/parts.h"

/* A call's place in a list: by its start, and by its id where two began at once. */
struct call_place {
	int64_t start_us;
	struct uuid id;
};
#define CALL_PLACE_TEXT 49
void call_place_text(const struct call_place *p, char text[CALL_PLACE_TEXT]);

struct call_filter {
	const char *party; /* NULL: any */
	bool pattern;      /* it has * or ? in it: */
	char party_like[POLICY_PATTERN];
	int64_t since_us, until_us;
	int state, outcome, direction; /* -1: any */
	const char *codec, *class;     /* NULL: any */
	double min_s, max_s;           /* of its duration; NAN: any */
	double min_mos, max_mos;       /* of the voice that sounds worst; NAN: any */
	bool held;                     /* only what something holds */
	struct uuid conversation;
	bool by_conversation;
	size_t limit; /* 0: all */
	bool has_before;
	struct call_place before; /* older than this one */
	bool page;                /* tell where the next page begins */
};

enum rc call_filter_read(const struct request *q, struct call_filter *f,
			 struct error *err) MUST_USE;
/* All calls of a conversation. */
struct call_filter call_filter_conversation(const struct uuid *conversation);
/* May open the call's sealed part. */
bool call_filter_fits(const struct call_filter *f, struct vault *v, struct call *c);

#endif
