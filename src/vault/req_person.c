/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_person.c: who is listed, as what; passphrases, and what is sealed under them.
 *
 *   words right? -> may it be? -> passphrases at hand? (RC_AGAIN) -> the audio secret -> audit entry, synced -> the file
 *
 * In a store with passphrases only who can open the audio secret can give it: adding a controller or manager, raising
 * someone to one, or giving one a new passphrase takes the asker's own passphrase.  Nobody can take from the store its last
 * controller, or the last who opens audio.
 */
#include <string.h>

#include "vault/unlock.h"

/* One change of one person. */
struct change {
	const struct request *q;
	const char *action;
	const char *new_passphrase;
	struct person p; /* as it is to be */
	enum role was;
	struct seal_pair audio;
	uint8_t public_key[32],
		box[PASSPHRASE_BOX(32)]; /* the pair that is new, or under a new passphrase */
	char detail[256];
};

static bool attended(const struct request *q)
{
	return !q->v->keys.has_audio;
}

static bool opens_audio(enum role role)
{
	return role & ROLES_OPEN_AUDIO;
}

/* ---- words --------------------------------------------------------------------------------------------------- */

static void begin(struct change *c, const struct request *q, const char *action)
{
	*c = (struct change){ .q = q,
			      .action = action,
			      .new_passphrase = requests_text(q, "new_passphrase") };
}

static enum rc read_name(const struct request *q, const char **name, struct error *err)
{
	*name = requests_text(q, "person");
	if (*name && people_name_valid(*name))
		return RC_OK;
	return error_set(err, RC_USAGE, "%s",
			 *name ? "a person is named as a Unix user is" : "which person?");
}

static enum rc load(struct change *c, struct error *err)
{
	const char *name;
	enum rc rc = read_name(c->q, &name, err);
	if (rc == RC_OK)
		rc = people_load(c->q->v->store, name, &c->p, err);
	return rc == RC_NOT_FOUND ? error_set(err, RC_USAGE, "%s is not listed", name) : rc;
}

static enum rc read_role(const struct request *q, enum role *role, struct error *err)
{
	char choices[128];
	const char *name = requests_text(q, "role");
	*role = name ? people_role_named(name) : ROLE_NONE;
	if (*role != ROLE_NONE)
		return RC_OK;
	return error_set(
		err, RC_USAGE, "%s; the choices are: %s", name ? "no such role" : "which role?",
		requests_choices(people_role_names, PEOPLE_ROLES, choices, sizeof choices));
}

/* A slip of the pen is found here; a group that goes later leaves its managers nothing to see. */
static enum rc check_groups(const struct policy *p, const char *scope, struct error *err)
{
	char value[POLICY_PATTERN], choices[400];
	const char *names[POLICY_GROUPS];
	for (uint32_t g = 0; g < p->groups_count; g++)
		names[g] = p->groups[g].name;
	for (char kind; (kind = people_scope_next(&scope, value));) {
		bool known = kind != 'g';
		for (uint32_t g = 0; g < p->groups_count && !known; g++)
			known = strcmp(names[g], value) == 0;
		if (!known)
			return error_set(
				err, RC_USAGE, "the policy has no group %s; the choices are: %s",
				value,
				requests_choices(names, p->groups_count, choices, sizeof choices));
	}
	return RC_OK;
}

static enum rc read_scope(struct change *c, struct error *err)
{
	const char *text = requests_text(c->q, "scope");
	c->p.scope[0] = '\0';
	if (!text)
		return RC_OK;
	if (c->p.role != ROLE_MANAGER)
		return error_set(err, RC_USAGE, "only a manager's view can be limited by a scope");
	enum rc rc = people_scope_read(text, c->p.scope, err);
	return rc == RC_OK ? check_groups(&c->q->v->policy, c->p.scope, err) : rc;
}

static enum rc check_new(const char *passphrase, struct error *err)
{
	size_t characters = 0;
	for (const char *p = passphrase; p && *p; p++)
		characters += ((unsigned char)*p & 0xc0) != 0x80;
	if (passphrase && characters < PASSPHRASE_LEAST)
		return error_set(err, RC_USAGE, "a passphrase has at least %d characters",
				 PASSPHRASE_LEAST);
	return RC_OK;
}

static enum rc need_new(const struct change *c, struct error *err)
{
	if (!c->new_passphrase)
		return error_set(err, RC_AGAIN, "new passphrase needed");
	return check_new(c->new_passphrase, err);
}

/* ---- what may not be ------------------------------------------------------------------------------------------- */

/* Those who would be left if this one could do nothing any more. */
static enum rc check_others(const struct change *c, bool controller, bool audio, struct error *err)
{
	struct person *all = NULL;
	size_t count = 0;
	bool controllers = false, holders = false;
	enum rc rc = people_all(c->q->v->store, &all, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (all[i].disabled || strcmp(all[i].name, c->p.name) == 0)
			continue;
		controllers |= all[i].role == ROLE_CONTROLLER;
		holders |= all[i].has_audio;
	}
	people_free(all, count);
	if (controller && !controllers)
		return error_set(err, RC_REFUSED, "%s is the last controller of this store",
				 c->p.name);
	if (audio && attended(c->q) && !holders)
		return error_set(err, RC_REFUSED, "%s is the last whose passphrase opens audio",
				 c->p.name);
	return RC_OK;
}

/* Who shall open audio is settled when an exchange of keys begins. */
static enum rc check_settled(const struct change *c, struct error *err)
{
	if (c->q->v->keys.rotation == ROTATION_NONE)
		return RC_OK;
	return error_set(err, RC_FAILED,
			 "the exchange of keys is unfinished: run callspan key rotate first");
}

/* The audio secret, by the asker's own passphrase. */
static enum rc open_audio(struct change *c, struct error *err)
{
	enum rc rc = check_settled(c, err);
	c->audio = c->q->v->keys.audio;
	return rc == RC_OK ? unlock_audio(c->q, &c->audio, err) : rc;
}

/* ---- audit, then the file -------------------------------------------------------------------------------------- */

static enum rc note(const struct change *c, const char *outcome, const char *detail,
		    struct error *err)
{
	return audit_write(c->q->v,
			   &(struct audit_entry){ .person = c->q->person.name,
						  .role = people_role_name(c->q->person.role),
						  .action = c->action,
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

/* Groups by name; of lines only how many: a number stands in no audit entry. */
static void describe(struct change *c, const char *more)
{
	char value[POLICY_PATTERN];
	const char *at = c->p.scope;
	unsigned lines = 0;
	size_t n = (size_t)snprintf(c->detail, sizeof c->detail, "person=%s role=%s%s", c->p.name,
				    people_role_name(c->p.role), more);
	for (char kind; (kind = people_scope_next(&at, value)) && n < sizeof c->detail;) {
		lines += kind == 'l';
		if (kind == 'g')
			n += (size_t)snprintf(c->detail + n, sizeof c->detail - n, " group=%s",
					      value);
	}
	if (lines && n < sizeof c->detail)
		snprintf(c->detail + n, sizeof c->detail - n, " lines=%u", lines);
}

typedef enum rc (*write_person)(const char *store, const struct person *p, struct error *err);

static json_t *person_json(const struct person *p)
{
	return json_pack("{s:s, s:s, s:o, s:b, s:b, s:b, s:o, s:o, s:o}", "person", p->name, "role",
			 people_role_name(p->role), "scope", call_json_text(p->scope), "disabled",
			 (int)p->disabled, "passphrase", (int)p->has_box, "audio",
			 (int)p->has_audio, "since", call_json_time(p->since_us), "added_by",
			 call_json_text(p->added_by), "changed", call_json_time(p->changed_us));
}

static enum rc carry_out(struct change *c, write_person write, struct error *err)
{
	struct error second;
	enum rc rc = note(c, "granted", c->detail, err);
	if (rc != RC_OK)
		return rc;
	c->p.changed_us = vault_now_us(c->q->v);
	rc = write(c->q->v->store, &c->p, err);
	if (rc != RC_OK &&
	    note(c, rc == RC_DAMAGED ? "damaged" : "failed", err->text, &second) != RC_OK)
		*err = second;
	if (rc == RC_OK)
		requests_reply(c->q, person_json(&c->p));
	return rc;
}

static enum rc end(struct change *c, enum rc rc)
{
	forget_bytes(&c->p, sizeof c->p);
	forget_bytes(&c->audio, sizeof c->audio);
	return rc;
}

/* ---- new passphrases ----------------------------------------------------------------------------------------------- */

/* Check, and have what is to be new sealed under the new passphrase.  Others have their turn meanwhile, so it is checked again:
 * all that it read may be otherwise. */
static enum rc prepare(struct change *c, enum rc (*check)(struct change *c, struct error *err),
		       struct error *err)
{
	struct seal_pair fresh;
	enum rc rc = check(c, err);
	if (rc != RC_OK || !c->new_passphrase)
		return rc;
	seal_pair_new(&fresh);
	memcpy(c->public_key, fresh.public_key, sizeof c->public_key);
	rc = unlock_seal(c->q, c->box, fresh.secret_key, c->new_passphrase, err);
	forget_bytes(&fresh, sizeof fresh);
	return rc == RC_OK ? check(c, err) : rc;
}

/* The new pair is theirs, with the audio secret if that is. */
static void take_new(struct change *c)
{
	bool audio = attended(c->q) && opens_audio(c->p.role);
	if (c->new_passphrase)
		people_take_box(&c->p, c->public_key, c->box, audio ? &c->audio : NULL);
}

/* ---- adding, and another role ------------------------------------------------------------------------------------ */

static enum rc check_add(struct change *c, struct error *err)
{
	const char *name;
	struct person known;
	enum rc rc = read_name(c->q, &name, err);
	if (rc == RC_OK)
		rc = read_role(c->q, &c->p.role, err);
	if (rc == RC_OK)
		rc = read_scope(c, err);
	if (rc == RC_OK)
		rc = check_new(c->new_passphrase, err);
	if (rc != RC_OK)
		return rc;
	rc = people_load(c->q->v->store, name, &known, err);
	forget_bytes(&known, sizeof known);
	if (rc == RC_OK)
		return error_set(err, RC_FAILED,
				 "%s is listed already: callspan person role gives another role",
				 name);
	snprintf(c->p.name, sizeof c->p.name, "%s", name);
	if (rc != RC_NOT_FOUND || !attended(c->q) || !opens_audio(c->p.role))
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	rc = need_new(c, err);
	return rc == RC_OK ? open_audio(c, err) : rc;
}

enum rc req_person_add(const struct request *q, struct error *err)
{
	struct change c;
	begin(&c, q, "person-add");
	enum rc rc = prepare(&c, check_add, err);
	if (rc != RC_OK)
		return end(&c, rc);
	take_new(&c);
	c.p.since_us = vault_now_us(q->v);
	snprintf(c.p.added_by, sizeof c.p.added_by, "%s", q->person.name);
	describe(&c, "");
	return end(&c, carry_out(&c, people_save, err));
}

/* What of the audio secret the new role gives or takes. */
static enum rc check_audio_change(struct change *c, struct error *err)
{
	bool gains = attended(c->q) && opens_audio(c->p.role) && !c->p.has_audio;
	bool loses = !opens_audio(c->p.role) && c->p.has_audio;
	enum rc rc = RC_OK;
	if (!c->p.disabled)
		rc = check_others(c, c->was == ROLE_CONTROLLER && c->p.role != c->was, loses, err);
	if (rc == RC_OK && c->new_passphrase && (c->p.has_box || !gains))
		rc = error_set(err, RC_USAGE,
			       "no new passphrase is wanted here: callspan person reset gives one");
	if (rc == RC_OK && gains && !c->p.has_box)
		rc = need_new(c, err);
	if (rc == RC_OK && gains)
		rc = open_audio(c, err);
	if (loses) {
		c->p.has_audio = c->p.has_next = false;
		forget_bytes(c->p.audio, sizeof c->p.audio);
		forget_bytes(c->p.next, sizeof c->p.next);
	}
	return rc;
}

static enum rc check_role_change(struct change *c, struct error *err)
{
	enum rc rc = load(c, err);
	c->was = c->p.role;
	if (rc == RC_OK)
		rc = read_role(c->q, &c->p.role, err);
	if (rc == RC_OK)
		rc = read_scope(c, err);
	return rc == RC_OK ? check_audio_change(c, err) : rc;
}

static void give_role(struct change *c)
{
	bool gains = attended(c->q) && opens_audio(c->p.role) && !c->p.has_audio;
	if (gains && c->p.has_box)
		people_give_audio(&c->p, &c->audio);
	else if (gains)
		take_new(c);
}

enum rc req_person_role(const struct request *q, struct error *err)
{
	struct change c;
	char was[32];
	begin(&c, q, "person-role");
	enum rc rc = prepare(&c, check_role_change, err);
	if (rc != RC_OK)
		return end(&c, rc);
	give_role(&c);
	snprintf(was, sizeof was, " was=%s", people_role_name(c.was));
	describe(&c, was);
	return end(&c, carry_out(&c, people_replace, err));
}

/* ---- leaving, and coming back -------------------------------------------------------------------------------------- */

static enum rc set_disabled(const struct request *q, const char *action, bool disabled,
			    struct error *err)
{
	struct change c;
	begin(&c, q, action);
	enum rc rc = load(&c, err);
	if (rc == RC_OK && c.p.disabled == disabled)
		rc = error_set(err, RC_FAILED, "%s is %s already", c.p.name,
			       disabled ? "disabled" : "enabled");
	if (rc == RC_OK && disabled)
		rc = check_others(&c, c.p.role == ROLE_CONTROLLER, c.p.has_audio, err);
	if (rc == RC_OK && !disabled && c.p.has_audio)
		rc = check_settled(&c, err);
	if (rc != RC_OK)
		return end(&c, rc);
	c.p.disabled = disabled;
	describe(&c, "");
	return end(&c, carry_out(&c, people_replace, err));
}

enum rc req_person_disable(const struct request *q, struct error *err)
{
	return set_disabled(q, "person-disable", true, err);
}

enum rc req_person_enable(const struct request *q, struct error *err)
{
	return set_disabled(q, "person-enable", false, err);
}

/* ---- passphrases ----------------------------------------------------------------------------------------------------- */

/* Who runs the system without being listed (root) has no file to keep one in. */
static enum rc check_passphrase_change(struct change *c, struct seal_pair *own, struct error *err)
{
	enum rc rc = people_load(c->q->v->store, c->q->person.name, &c->p, err);
	const char *old = requests_text(c->q, "passphrase");
	if (rc == RC_NOT_FOUND)
		rc = error_set(err, RC_REFUSED, "you are not listed as a person of this store");
	if (rc == RC_OK && c->p.has_box && !unlock_tried(c->q))
		rc = error_set(err, RC_AGAIN, "passphrase needed");
	if (rc == RC_OK)
		rc = need_new(c, err);
	if (rc == RC_OK && c->p.has_box && strcmp(old, c->new_passphrase) == 0)
		rc = error_set(err, RC_USAGE, "the new passphrase is the old one");
	if (rc == RC_OK && c->p.has_box)
		rc = unlock_own(c->q, own, err);
	else if (rc == RC_OK)
		seal_pair_new(own);
	return rc;
}

/* Their pair, or a first one, under the new passphrase, into the person as they are listed after that. */
static enum rc change_passphrase(struct change *c, const struct seal_pair *own, struct error *err)
{
	struct person before = c->p;
	enum rc rc = unlock_seal(c->q, c->box, own->secret_key, c->new_passphrase, err);
	if (rc == RC_OK)
		rc = people_load(c->q->v->store, before.name, &c->p, err);
	if (rc == RC_OK && !people_same_keys(&c->p, &before))
		rc = error_set(err, RC_FAILED, "your passphrase was changed meanwhile: try again");
	if (rc == RC_OK) {
		memcpy(c->p.public_key, own->public_key, sizeof c->p.public_key);
		memcpy(c->p.box, c->box, sizeof c->p.box);
		c->p.has_box = true;
	}
	forget_bytes(&before, sizeof before);
	return rc;
}

enum rc req_person_passphrase(const struct request *q, struct error *err)
{
	struct change c;
	struct seal_pair own = { .has_before = false };
	begin(&c, q, "person-passphrase");
	enum rc rc = check_passphrase_change(&c, &own, err);
	bool first = !c.p.has_box;
	if (rc == RC_OK)
		rc = change_passphrase(&c, &own, err);
	forget_bytes(&own, sizeof own);
	if (rc != RC_OK)
		return end(&c, rc);
	describe(&c, first ? " first" : "");
	return end(&c, carry_out(&c, people_replace, err));
}

static enum rc check_reset(struct change *c, struct error *err)
{
	enum rc rc = load(c, err);
	if (rc == RC_OK)
		rc = need_new(c, err);
	if (rc == RC_OK && attended(c->q) && opens_audio(c->p.role))
		rc = open_audio(c, err);
	return rc;
}

enum rc req_person_reset(const struct request *q, struct error *err)
{
	struct change c;
	begin(&c, q, "person-reset");
	enum rc rc = prepare(&c, check_reset, err);
	if (rc != RC_OK)
		return end(&c, rc);
	take_new(&c);
	describe(&c, "");
	return end(&c, carry_out(&c, people_replace, err));
}

/* ---- the list ---------------------------------------------------------------------------------------------------------- */

enum rc req_person_list(const struct request *q, struct error *err)
{
	struct person *all = NULL;
	size_t count = 0;
	bool more = true;
	enum rc rc = people_all(q->v->store, &all, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && more; i++)
		more = requests_reply(q, person_json(&all[i]));
	people_free(all, count);
	return RC_OK;
}
