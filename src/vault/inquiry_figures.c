/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_figures.c: how far a request has come, and the day it is due.  On the vault's thread.
 *
 * Of a request that is open its calls are counted each time; of one that has ended the figures stand in its row.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vault/inquiry.h"

#define US_PER_S INT64_C(1000000)

typedef Callspan__Inquiry__InquiryGround ground_message;

/* ---- figures ----------------------------------------------------------------------------------------------- */

void inquiry_figures_free(inquiry_figures *f)
{
	if (f)
		callspan__inquiry__inquiry_figures__free_unpacked(f, NULL);
}

static void add_ground(inquiry_figures *f, const char *ground)
{
	for (size_t i = 0; i < f->n_grounds; i++) {
		if (strcmp(f->grounds[i]->ground, ground) == 0) {
			f->grounds[i]->calls++;
			return;
		}
	}
	ground_message *g = calloc(1, sizeof *g);
	ground_message **more =
		reallocarray(f->grounds, f->n_grounds + 1, sizeof(ground_message *));
	ASSERT(g && more);
	callspan__inquiry__inquiry_ground__init(g);
	inquiry_set(&g->ground, ground);
	g->calls = 1;
	f->grounds = more;
	f->grounds[f->n_grounds++] = g;
}

struct counting {
	struct vault *v;
	inquiry_figures *f;
	enum rc rc;
	struct error *err;
};

static bool count_call(void *ctx, const struct uuid *id, const inquiry_call *c)
{
	struct counting *n = ctx;
	inquiry_figures *f = n->f;
	uint8_t *row;
	size_t len;
	n->rc = index_get(n->v->index, INDEX_CALLS, id->b, sizeof id->b, &row, &len, n->err);
	if (n->rc == RC_OK)
		free(row);
	else if (n->rc != RC_NOT_FOUND)
		return false;
	f->gone += n->rc == RC_NOT_FOUND;
	f->calls++;
	f->assessed += c->decision != INQUIRY_UNDECIDED;
	f->released += c->decision == INQUIRY_RELEASE;
	f->redacted += c->decision == INQUIRY_REDACT;
	f->withheld += c->decision == INQUIRY_WITHHOLD;
	f->given += c->given != INQUIRY_NOT_GIVEN;
	/* What is gone can be neither assessed nor given any more. */
	f->open += n->rc == RC_OK && c->decision == INQUIRY_UNDECIDED;
	f->owed += n->rc == RC_OK && c->given == INQUIRY_NOT_GIVEN &&
		   (c->decision == INQUIRY_RELEASE || c->decision == INQUIRY_REDACT);
	if (c->decision == INQUIRY_WITHHOLD)
		add_ground(f, c->ground);
	n->rc = RC_OK;
	return true;
}

static inquiry_figures *copy_of(const inquiry_figures *f)
{
	size_t len = callspan__inquiry__inquiry_figures__get_packed_size(f);
	uint8_t *bytes = malloc(len + 1);
	ASSERT(bytes);
	callspan__inquiry__inquiry_figures__pack(f, bytes);
	inquiry_figures *copy = callspan__inquiry__inquiry_figures__unpack(NULL, len, bytes);
	free(bytes);
	ASSERT(copy);
	return copy;
}

enum rc inquiry_count(struct vault *v, const inquiry_row *r, inquiry_figures **f, struct error *err)
{
	if (r->figures) {
		*f = copy_of(r->figures);
		return RC_OK;
	}
	*f = calloc(1, sizeof **f);
	ASSERT(*f);
	callspan__inquiry__inquiry_figures__init(*f);
	struct counting n = { .v = v, .f = *f, .rc = RC_OK, .err = err };
	enum rc rc = inquiry_calls(v, r, count_call, &n, err);
	if (rc == RC_OK)
		rc = n.rc;
	if (rc == RC_OK)
		return rc;
	inquiry_figures_free(*f);
	*f = NULL;
	return rc;
}

bool inquiry_has_step(const inquiry_row *r, enum inquiry_event event)
{
	for (size_t i = 0; i < r->n_steps; i++) {
		if (r->steps[i]->event == (uint32_t)event)
			return true;
	}
	return false;
}

const char *inquiry_progress(const inquiry_row *r, const inquiry_figures *f)
{
	bool all = f->calls && !f->open;
	switch ((enum inquiry_state)r->state) {
	case INQUIRY_CLOSED: return "closed";
	case INQUIRY_REFUSED: return "refused";
	case INQUIRY_AUTHORISED: return f->given && !f->owed ? "fulfilled" : "authorised";
	case INQUIRY_OPEN:
	case INQUIRY_NEW: break;
	}
	if (all)
		return "assessed";
	return inquiry_has_step(r, INQUIRY_DO_IDENTIFY) ? "identified" : "opened";
}

/* ---- days -------------------------------------------------------------------------------------------------- */

static int64_t midnight(int64_t us, int days_on)
{
	time_t t = (time_t)(us / US_PER_S);
	struct tm tm;
	if (!localtime_r(&t, &tm))
		return us;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday += days_on;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * US_PER_S;
}

int64_t inquiry_day(int64_t us)
{
	return midnight(us, 0);
}

int64_t inquiry_due(int64_t day_us, uint32_t months)
{
	time_t t = (time_t)(day_us / US_PER_S);
	struct tm day, last;
	if (!localtime_r(&t, &day))
		return day_us;
	last = (struct tm){ .tm_year = day.tm_year,
			    .tm_mon = day.tm_mon + (int)months + 1,
			    .tm_mday = 0,
			    .tm_isdst = -1 };
	(void)mktime(&last); /* the last day of the month that is meant */
	if (day.tm_mday < last.tm_mday)
		last.tm_mday = day.tm_mday;
	last.tm_hour = last.tm_min = last.tm_sec = 0;
	last.tm_isdst = -1;
	return (int64_t)mktime(&last) * US_PER_S;
}

bool inquiry_overdue(const struct vault *v, const inquiry_row *r, const inquiry_figures *f)
{
	bool running = r->state == INQUIRY_OPEN ||
		       (r->state == INQUIRY_AUTHORISED && (f->owed || !f->given));
	return running && vault_now_us(v) >= midnight(r->due_us, 1);
}
