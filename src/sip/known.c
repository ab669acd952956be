/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* known.c: see known.h. */
#include "sip/known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/description.h"

_Static_assert(KNOWN_OTHERS >= OTHER_KINDS, "room for each kind once");

/* Better stop than know half of a call. */
static void *made(size_t size)
{
	void *p = calloc(1, size);
	ASSERT(p);
	return p;
}

/* ---- texts ------------------------------------------------------------------------------------ */

void known_texts(const struct known *k, const char *texts[KNOWN_TEXTS])
{
	const char *at = k->texts;
	for (unsigned i = 0; i < KNOWN_TEXTS; i++) {
		texts[i] = at ? at : "";
		if (at)
			at += strlen(at) + 1;
	}
}

const char *known_text(const struct known *k, enum known_text which)
{
	const char *texts[KNOWN_TEXTS];
	known_texts(k, texts);
	return texts[which];
}

static void forget_texts(struct known *k)
{
	const char *texts[KNOWN_TEXTS];

	if (!k->texts)
		return;
	known_texts(k, texts);
	const char *last = texts[KNOWN_TEXTS - 1];
	explicit_bzero(k->texts, (size_t)(last - k->texts) + strlen(last));
	free(k->texts);
}

void known_set_texts(struct known *k, const char *const texts[KNOWN_TEXTS])
{
	size_t lens[KNOWN_TEXTS], all = 0;
	for (unsigned i = 0; i < KNOWN_TEXTS; i++)
		all += lens[i] = strlen(texts[i]) + 1;
	char *block = made(all), *at = block;
	for (unsigned i = 0; i < KNOWN_TEXTS; i++) {
		memcpy(at, texts[i], lens[i]);
		at += lens[i];
	}
	forget_texts(k);
	k->texts = block;
}

void known_set_text(struct known *k, enum known_text which, const char *text)
{
	const char *texts[KNOWN_TEXTS];
	known_texts(k, texts);
	texts[which] = text;
	known_set_texts(k, texts);
}

/* ---- what few have ---------------------------------------------------------------------------- */

struct known_extras *known_extras(struct known *k)
{
	if (!k->extras)
		k->extras = made(sizeof *k->extras);
	return k->extras;
}

struct sdes_keys *known_keys(struct known *k)
{
	if (!k->keys)
		k->keys = made(sizeof *k->keys);
	return k->keys;
}

/* The place of a remark; behind the last: it is not there. */
static unsigned find_remark(const struct known_extras *x, const char *name)
{
	unsigned i = 0;
	while (i < x->coverage_count && strcmp(x->coverage[i], name) != 0)
		i++;
	return i;
}

bool known_remark(struct known *k, const char *name)
{
	struct known_extras *x = known_extras(k);
	if (find_remark(x, name) < x->coverage_count || x->coverage_count == COVERAGE_MAX)
		return false;
	x->coverage[x->coverage_count++] = name;
	return true;
}

bool known_unremark(struct known *k, const char *name)
{
	struct known_extras *x = k->extras;
	unsigned i = x ? find_remark(x, name) : 0;
	if (!x || i == x->coverage_count)
		return false;
	x->coverage_count--;
	memmove(&x->coverage[i], &x->coverage[i + 1],
		(x->coverage_count - i) * sizeof x->coverage[0]);
	return true;
}

bool known_other(struct known *k, uint8_t kind)
{
	struct known_extras *x = known_extras(k);
	if (memchr(x->others, kind, x->others_count) || x->others_count == KNOWN_OTHERS)
		return false;
	x->others[x->others_count++] = kind;
	return true;
}

/* ---- the record -------------------------------------------------------------------------------- */

static void tell_texts(const struct known *k, struct call_record *r)
{
	const struct {
		char *to;
		size_t room;
	} fields[KNOWN_TEXTS] = {
		[KNOWN_CALL_ID] = { r->sip_call_id, sizeof r->sip_call_id },
		[KNOWN_FROM] = { r->from, sizeof r->from },
		[KNOWN_TO] = { r->to, sizeof r->to },
		[KNOWN_FROM_NAME] = { r->from_name, sizeof r->from_name },
		[KNOWN_TO_NAME] = { r->to_name, sizeof r->to_name },
		[KNOWN_FROM_URI] = { r->from_uri, sizeof r->from_uri },
		[KNOWN_TO_URI] = { r->to_uri, sizeof r->to_uri },
		[KNOWN_DIVERTED_FROM] = { r->diverted_from, sizeof r->diverted_from },
		[KNOWN_REFERRED_BY] = { r->referred_by, sizeof r->referred_by },
	};
	const char *texts[KNOWN_TEXTS];
	known_texts(k, texts);
	for (unsigned i = 0; i < KNOWN_TEXTS; i++)
		memcpy(fields[i].to, texts[i], strnlen(texts[i], fields[i].room - 1));
}

static void tell_extras(const struct known_extras *x, struct call_record *r)
{
	size_t len = 0;
	r->holds_count = x->holds_count;
	for (unsigned i = 0; i < x->holds_count; i++) {
		r->holds[i].from_us = x->holds[i].from_us;
		r->holds[i].to_us = x->holds[i].to_us;
	}
	r->coverage_count = x->coverage_count;
	for (unsigned i = 0; i < x->coverage_count; i++)
		snprintf(r->coverage[i], sizeof r->coverage[i], "%s", x->coverage[i]);
	for (unsigned i = 0; i < x->others_count && len < sizeof r->other_media; i++)
		len += (size_t)snprintf(r->other_media + len, sizeof r->other_media - len, "%s%s",
					len > 0 ? "," : "", description_other_name(x->others[i]));
	r->dtmf_count = x->dtmf_count;
	memcpy(r->digits, x->digits, sizeof r->digits);
}

void known_tell(const struct known *k, struct call_record *r)
{
	r->id = k->id;
	r->conversation = k->conversation;
	r->state = (enum call_state)k->state;
	r->outcome = (enum call_outcome)k->outcome;
	r->ended_by = (enum call_ended_by)k->ended_by;
	r->direction = (enum call_direction)k->direction;
	r->sip_status = k->sip_status;
	r->ring_us = k->ring_us;
	r->answer_us = k->answer_us;
	tell_texts(k, r);
	if (k->extras)
		tell_extras(k->extras, r);
	if (k->keys) {
		r->sdes_count = k->keys->count;
		memcpy(r->sdes, k->keys->key, k->keys->count * sizeof r->sdes[0]);
	}
}

void known_clear(struct known *k)
{
	if (k->extras)
		explicit_bzero(k->extras, sizeof *k->extras); /* digits may be a card's */
	if (k->keys)
		explicit_bzero(k->keys, sizeof *k->keys);
	forget_texts(k);
	free(k->extras);
	free(k->keys);
	k->texts = NULL;
	k->extras = NULL;
	k->keys = NULL;
}
