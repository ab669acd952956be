/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* timekeeper.c: see timekeeper.h.  On the vault's thread. */
#include "vault/timekeeper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "base/clock.h"
#include "store/disposal.pb-c.h"
#include "vault/heads.h"

#define DAY_US  (INT64_C(86400) * 1000000)
#define STEP_US (TIMEKEEPER_STEP_DAYS * DAY_US)

static const char clock_key[] = "clock";

struct memory {
	int64_t us, newest_us; /* 0: nothing is remembered yet */
};

static struct memory remembered(struct vault *v)
{
	struct memory m = { 0 };
	uint8_t *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	if (index_get(v->index, INDEX_META, clock_key, sizeof clock_key - 1, &value, &len,
		      &ignored) != RC_OK)
		return m;
	Callspan__Disposal__ClockRow *row = callspan__disposal__clock_row__unpack(NULL, len, value);
	if (row)
		m = (struct memory){ row->us, row->newest_us };
	callspan__disposal__clock_row__free_unpacked(row, NULL);
	free(value);
	return m;
}

static void remember(struct index_batch *b, const struct memory *m)
{
	Callspan__Disposal__ClockRow row;
	uint8_t value[32];
	callspan__disposal__clock_row__init(&row);
	row.us = m->us;
	row.newest_us = m->newest_us;
	size_t len = callspan__disposal__clock_row__pack(&row, value);
	index_batch_put(b, INDEX_META, clock_key, sizeof clock_key - 1, value, len);
}

/* A time that is later by no more than a step is believed, and so is the first there is. */
static bool take_step(struct memory *m, int64_t us)
{
	if (m->us && (us <= m->us || us - m->us > STEP_US))
		return false;
	m->us = us;
	return true;
}

void timekeeper_note(struct vault *v, struct index_batch *b, bool told)
{
	struct memory m = remembered(v);
	int64_t now = vault_now_us(v);
	if (told)
		m = (struct memory){ .us = now };
	else if (!take_step(&m, now))
		return;
	remember(b, &m);
}

/* As time went by what was signed.  A clock that was set back by more than a step had been wrong. */
static void follow_mark(struct memory *m, int64_t us)
{
	if (m->us - us > STEP_US)
		m->us = us;
	else
		(void)take_step(m, us);
}

void timekeeper_recall(struct vault *v, struct index_batch *b)
{
	struct memory m = { 0 };
	struct audit_mark mark;
	struct error ignored;
	char *text = NULL, *rest, *line;
	rest = heads_read(v, &text, &ignored) == RC_OK ? text : NULL;
	while ((line = strsep(&rest, "\n"))) {
		if (!heads_fault(v, "anchor", line, &mark))
			follow_mark(&m, mark.time_us);
	}
	free(text);
	if (heads_get(v, &mark, &ignored) == RC_OK)
		follow_mark(&m, mark.time_us);
	if (m.us)
		remember(b, &m);
}

/* The newest that has been written.  What lies a step too far ahead, a clock that was wrong has left. */
static int64_t newest(const struct vault *v, const struct memory *m)
{
	const int64_t seen[] = { m->us, m->newest_us, v->head.time_us };
	int64_t us = 0;
	for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
		if (seen[i] > us && (!m->us || seen[i] - m->us <= STEP_US))
			us = seen[i];
	}
	return us;
}

void timekeeper_refused(struct vault *v, struct index_batch *b)
{
	struct memory m = remembered(v);
	m.newest_us = newest(v, &m);
	remember(b, &m);
}

enum rc timekeeper_behind(struct vault *v, int64_t *before_us, struct error *err)
{
	char then[CLOCK_TEXT], now_text[CLOCK_TEXT];
	struct memory m = remembered(v);
	struct error ignored;
	int64_t now = vault_now_us(v);
	*before_us = newest(v, &m);
	if (now >= *before_us)
		return RC_OK;
	bool sure = timekeeper_unsure(v, &ignored) == RC_OK;
	return error_set(
		err, RC_FAILED,
		"the clock (%s) is behind the newest audit entry or ingest (%s)%s; if it is "
		"right, and was ahead then, a controller may say --yes",
		clock_local(now * 1000, now_text), clock_local(*before_us * 1000, then),
		sure ? ": set it right" : " and not synchronised: have it synchronised first");
}

enum rc timekeeper_ahead(struct vault *v, struct error *err)
{
	char then[CLOCK_TEXT], now_text[CLOCK_TEXT];
	int64_t now = vault_now_us(v), before = remembered(v).us;
	if (!before || now - before <= STEP_US)
		return RC_OK;
	return error_set(err, RC_FAILED,
			 "the clock (%s) is more than %d days past the last ingest or purge (%s): "
			 "set it right, or say --yes if it is",
			 clock_local(now * 1000, now_text), TIMEKEEPER_STEP_DAYS,
			 clock_local(before * 1000, then));
}

enum rc timekeeper_unsure(const struct vault *v, struct error *err)
{
	struct timex t = { 0 };
	if (v->now_us || (adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC)))
		return RC_OK;
	return error_set(err, RC_FAILED,
			 "the machine says that its clock is not synchronised: see to that, or say "
			 "--yes if it is right");
}
