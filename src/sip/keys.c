/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* keys.c: see keys.h. */
#include "sip/keys.h"

#include <stdlib.h>

#include "sip/calls.h"

#define KEYS_MOST 8 /* of one party in one exchange */

struct stated_key {
	uint8_t index; /* m= line */
	uint8_t leg;
	struct sdes_offer offer;
};

struct stated_keys {
	uint8_t count;
	struct stated_key key[KEYS_MOST];
};

static void note(struct call *c, const struct exchange *x, enum track party,
		 const struct stated_key *k)
{
	switch (sdes_note(known_keys(&c->known), party, k->leg, &k->offer.key,
			  us_of(x->start_ns))) {
	case SDES_NOTED: c->changed = true; break;
	case SDES_KNOWN: break;
	case SDES_TOO_MANY:
		calls_remark(c, "srtp-no-key"); /* what it protects stays closed */
		break;
	}
}

static bool same_statement(const struct stated_key *a, const struct stated_key *b)
{
	const struct sdes_key *k = &a->offer.key, *l = &b->offer.key;

	return a->index == b->index && a->leg == b->leg && a->offer.tag == b->offer.tag &&
	       k->key_len == l->key_len && k->mki_len == l->mki_len &&
	       memcmp(k->key, l->key, sizeof k->key) == 0 && strcmp(k->suite, l->suite) == 0 &&
	       strcmp(k->params, l->params) == 0;
}

static void state_key(struct stated_keys *all, const struct stated_key *k)
{
	for (unsigned i = 0; i < all->count; i++)
		if (same_statement(&all->key[i], k))
			return;
	if (all->count < KEYS_MOST)
		all->key[all->count++] = *k;
}

/* The offer's key that an answer chose: by its tag, or where that fits none, by its suite. */
static const struct stated_key *chosen(const struct stated_keys *offers,
				       const struct stated_key *answer)
{
	const struct stated_key *by_suite = NULL;
	for (unsigned i = 0; i < offers->count; i++) {
		const struct stated_key *o = &offers->key[i];
		bool same = strcmp(o->offer.key.suite, answer->offer.key.suite) == 0;
		if (o->index != answer->index)
			continue;
		if (o->offer.tag == answer->offer.tag && same)
			return o;
		if (same && !by_suite)
			by_suite = o;
	}
	return by_suite;
}

static void settle(struct call *c, struct exchange *x)
{
	if (!x->keys)
		return;
	const struct stated_keys *offers = &x->keys[x->offerer];
	const struct stated_keys *answers = &x->keys[track_other(x->offerer)];
	if (offers->count == 0)
		return;
	for (unsigned i = 0; i < answers->count; i++) {
		const struct stated_key *o = chosen(offers, &answers->key[i]);
		note(c, x, track_other(x->offerer), &answers->key[i]);
		if (o)
			note(c, x, x->offerer, o);
	}
}

void keys_describe(struct call *c, struct exchange *x, enum track party, uint8_t leg,
		   const struct description *d)
{
	struct stated_key k;
	memset(&k, 0, sizeof k);
	for (unsigned i = 0; i < d->audio_count; i++) {
		const struct description_audio *a = &d->audio[i];
		for (unsigned n = 0; n < a->crypto.count; n++) {
			if (!x->keys)
				x->keys = calloc(2, sizeof *x->keys);
			if (!x->keys)
				return;
			k.index = a->index;
			k.leg = leg;
			k.offer = a->crypto.offer[n];
			state_key(&x->keys[party], &k);
		}
	}
	explicit_bzero(&k, sizeof k);
	settle(c, x);
}

void keys_accept(struct call *c, struct exchange *x)
{
	for (unsigned party = 0; x->keys && party < 2; party++) {
		const struct stated_keys *own = &x->keys[party];
		if (x->named[!party])
			continue;
		for (unsigned i = 0; i < own->count; i++)
			note(c, x, (enum track)party, &own->key[i]);
	}
}

void keys_choose_leg(struct call *c, uint8_t leg)
{
	struct sdes_keys *keys = c->known.keys;
	for (unsigned i = keys ? keys->count : 0; i > 0; i--) {
		uint8_t of = keys->leg[i - 1];
		if (keys->key[i - 1].party == TRACK_CALLEE && of != leg && of != NO_LEG)
			sdes_drop(keys, i - 1);
	}
}

void keys_free(struct exchange *x)
{
	if (x->keys)
		explicit_bzero(x->keys, 2 * sizeof *x->keys);
	free(x->keys);
	x->keys = NULL;
}
