/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold_net.c: calls that holds catch as they are taken in.  See hold.h.
 *
 * The tie goes into the batch that brings the call's row, so there is no moment at which a purge could see one
 * without the other.  Catching too much keeps a recording too long; catching too little destroys it: where a number
 * cannot be known any more, its keyed hash decides.
 */
#include "vault/hold.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/access.h"
#include "vault/holds.h"
#include "vault/ledger.h"

struct mesh {
	struct hold h;
	char party[PARTY_TEXT]; /* "": not known */
	struct request by;      /* who made it, where their scope bounds it; else by.v is NULL */
};

struct hold_net {
	struct vault *v;
	struct mesh *meshes; /* owned */
	size_t count;
};

/* ---- which holds -------------------------------------------------------------------------------------------- */

/* A manager's hold takes what they may know of; one who was disabled since loses no recording by it. */
static void find_maker(struct vault *v, struct mesh *m)
{
	struct error ignored;
	struct person *p = &m->by.person;
	if (people_load(v->store, m->h.by, p, &ignored) != RC_OK || p->role != ROLE_MANAGER)
		return;
	p->disabled = false;
	m->by.v = v;
}

static bool add_mesh(void *ctx, const struct hold *h)
{
	struct hold_net *n = ctx;
	struct error why;
	bool catches = h->kind == HOLD_PARTY ? h->standing : h->kind == HOLD_CONVERSATION;
	if (!catches || (h->state != HOLD_ACTIVE && h->state != HOLD_ASKED))
		return true;
	n->meshes = realloc(n->meshes, (n->count + 1) * sizeof *n->meshes);
	ASSERT(n->meshes);
	struct mesh *m = &n->meshes[n->count++];
	*m = (struct mesh){ .h = *h };
	find_maker(n->v, m);
	if (hold_party(n->v, h, m->party, &why) != RC_OK)
		log_error("hold-party", "what=\"%s\"", why.text);
	return true;
}

enum rc hold_net_open(struct vault *v, struct hold_net **out, struct error *err)
{
	struct hold_net *n = calloc(1, sizeof *n);
	ASSERT(n);
	n->v = v;
	enum rc rc = hold_walk(v, false, add_mesh, n, err);
	if (rc == RC_OK)
		*out = n;
	else
		hold_net_free(n);
	return rc;
}

void hold_net_free(struct hold_net *n)
{
	if (!n)
		return;
	if (n->meshes)
		forget_bytes(n->meshes, n->count * sizeof *n->meshes);
	free(n->meshes);
	free(n);
}

bool hold_net_empty(const struct hold_net *n)
{
	return n->count == 0;
}

/* ---- which calls --------------------------------------------------------------------------------------------- */

static bool has_party(const struct mesh *m, const struct call *c)
{
	bool hit = false;
	for (unsigned i = 0; i < m->h.party_keys_count && !hit; i++) {
		for (unsigned k = 0; k < c->parties_count && !hit; k++)
			hit = memcmp(m->h.party_keys[i], c->parties[k], PARTY_KEY) == 0;
	}
	if (!hit || !*m->party || !c->opened)
		return hit;
	return party_matches(m->party, c->r.from) || party_matches(m->party, c->r.to);
}

static bool has_conversation(const struct hold *h, const struct uuid *conversation)
{
	for (unsigned i = 0; i < h->conversations_count; i++) {
		if (uuid_equal(&h->conversations[i], conversation))
			return true;
	}
	return false;
}

static bool belongs(const struct mesh *m, struct call *c)
{
	bool meant = m->h.kind == HOLD_CONVERSATION
			     ? has_conversation(&m->h, &c->r.conversation)
			     : has_party(m, c) && c->r.start_us >= m->h.since_us &&
				       (!m->h.until_us || c->r.start_us <= m->h.until_us);
	return meant && (!m->by.v || access_sees(&m->by, c));
}

void hold_tie(struct vault *v, struct index_batch *b, const struct hold *h,
	      const struct person *who, const struct uuid *call)
{
	char name[HOLD_NAME];
	audit_note(v, b,
		   &(struct audit_entry){ .person = who ? who->name : NULL,
					  .role = who ? people_role_name(who->role) : NULL,
					  .action = "held",
					  .call = call,
					  .reference = h->reference,
					  .outcome = "done",
					  .detail = hold_name(h, name) });
	holds_tie(v, b, &h->id, call);
}

void hold_net_catch(struct hold_net *n, struct index_batch *b, struct call *c)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct mesh *m = &n->meshes[i];
		if (belongs(m, c) && !holds_tied(n->v, &m->h.id, &c->r.id))
			hold_tie(n->v, b, &m->h, NULL, &c->r.id);
	}
}

/* ---- conversations that become one ---------------------------------------------------------------------------- */

/* What is there already of the conversation that a held one has become part of. */
static enum rc tie_members(struct hold_net *n, struct index_batch *b, const struct mesh *m,
			   const struct uuid *conversation, struct error *err)
{
	struct hold_picks p = { 0 };
	enum rc rc = hold_pick_conversation(n->v, m->by.v ? &m->by : NULL, conversation, &p, err);
	for (size_t i = 0; i < p.count && rc == RC_OK; i++) {
		if (!holds_tied(n->v, &m->h.id, &p.ids[i]))
			hold_tie(n->v, b, &m->h, NULL, &p.ids[i]);
	}
	hold_picks_free(&p);
	return rc;
}

enum rc hold_net_follow(struct hold_net *n, struct index_batch *b, const struct call *c,
			struct error *err)
{
	enum rc rc = RC_OK;
	if (!c->filed.filed || uuid_equal(&c->filed.conversation, &c->r.conversation))
		return RC_OK;
	for (size_t i = 0; i < n->count && rc == RC_OK; i++) {
		struct mesh *m = &n->meshes[i];
		if (!has_conversation(&m->h, &c->filed.conversation) ||
		    has_conversation(&m->h, &c->r.conversation) ||
		    m->h.conversations_count == HOLD_CONVERSATIONS)
			continue;
		m->h.conversations[m->h.conversations_count++] = c->r.conversation;
		hold_put(n->v, b, &m->h);
		rc = tie_members(n, b, m, &c->r.conversation, err);
	}
	return rc;
}
