/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sources.c: opening the interfaces, and telling when one goes away and comes back. */
#include "recorder/sources.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_EVERY_NS NS_PER_S

static const char *const state_names[] = { [SOURCE_UP] = "up",
					   [SOURCE_NO_CARRIER] = "no-carrier",
					   [SOURCE_DOWN] = "down",
					   [SOURCE_MISSING] = "missing",
					   [SOURCE_REOPENING] = "reopening" };

const char *sources_state(const struct source *s)
{
	return state_names[s->state];
}

/* ---- set-up ---------------------------------------------------------------------------------------- */

/* A name goes into logs and into the status as it is. */
static bool is_name(const char *name, size_t len)
{
	bool plain = len > 0 && len < SOURCE_NAME;
	for (size_t i = 0; i < len && plain; i++)
		plain = name[i] > ' ' && name[i] < 0x7f && name[i] != '"' && name[i] != '\\';
	return plain;
}

static enum rc add(struct sources *s, const char *name, size_t len, struct error *err)
{
	if (!is_name(name, len))
		return error_set(err, RC_USAGE,
				 "capture.interface: \"%.*s\" is no interface's name",
				 (int)(len < SOURCE_NAME ? len : SOURCE_NAME), name);
	if (s->count == SOURCES_MOST)
		return error_set(err, RC_USAGE, "capture.interface: more than %d interfaces",
				 SOURCES_MOST);
	struct source *new = &s->at[s->count];
	memcpy(new->name, name, len);
	for (unsigned i = 0; i < s->count; i++)
		if (strcmp(s->at[i].name, new->name) == 0)
			return error_set(err, RC_USAGE, "capture.interface: %s is given twice",
					 new->name);
	s->count++;
	return RC_OK;
}

enum rc sources_init(struct sources *s, const struct options *o, struct error *err)
{
	memset(s, 0, sizeof *s);
	s->threads_each = (unsigned)o->capture_threads;
	if (!*o->interface)
		return RC_OK;
	for (const char *at = o->interface;; at++) {
		at += strspn(at, " ");
		size_t len = strcspn(at, ","), name = len;
		while (name > 0 && at[name - 1] == ' ')
			name--;
		enum rc rc = add(s, at, name, err);
		if (rc != RC_OK)
			return rc;
		at += len;
		if (!*at)
			break;
	}
	if (s->count * s->threads_each > SOURCES_THREADS_MOST)
		return error_set(err, RC_USAGE,
				 "capture.threads: %u for each of %u interfaces are more than %d",
				 s->threads_each, s->count, SOURCES_THREADS_MOST);
	return RC_OK;
}

static void warn_of_interface(const char *interface)
{
	char text[1024], *rest = text, *line;
	if (capture_check_interface(interface, text, sizeof text) == 0)
		return;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_warning("interface-not-quiet", "interface=%s run=\"%s\"", interface,
				    line);
}

/* Groups are numbered for the whole system: those of two recorders should not meet. */
static int fanout_group(const struct sources *s, unsigned interface)
{
	if (s->threads_each == 1)
		return -1;
	return (int)(((unsigned)getpid() * SOURCES_MOST + interface) & UINT16_MAX);
}

enum rc sources_open(struct sources *s, const struct options *o, struct capture **captures,
		     struct error *err)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct source *source = &s->at[i];
		struct capture_live live = {
			.interface = source->name,
			.filter = o->filter,
			.buffer_mib = (int)o->capture_buffer_mib,
			.snaplen = (int)o->snaplen,
			.fanout_group = fanout_group(s, i),
		};
		for (unsigned k = 0; k < s->threads_each; k++) {
			live.another_counts = k > 0;
			struct capture **to = &captures[i * s->threads_each + k];
			enum rc rc = capture_open_live(to, &live, err);
			if (rc != RC_OK)
				return rc;
		}
		source->device = capture_link_state(source->name) < LINK_MISSING;
		source->since_ns = clock_real_ns();
		warn_of_interface(source->name);
	}
	return RC_OK;
}

/* ---- the watch ------------------------------------------------------------------------------------- */

static enum source_state state_of(const struct source *s)
{
	static const enum source_state of_link[] = { [LINK_UP] = SOURCE_UP,
						     [LINK_NO_CARRIER] = SOURCE_NO_CARRIER,
						     [LINK_DOWN] = SOURCE_DOWN,
						     [LINK_MISSING] = SOURCE_MISSING,
						     [LINK_UNKNOWN] = SOURCE_MISSING };
	enum source_state state = s->device ? of_link[capture_link_state(s->name)] : SOURCE_UP;

	return state == SOURCE_UP && s->away ? SOURCE_REOPENING : state;
}

/* The end of an alarm is told at the alarm's own level: whoever hears of the one hears of the other. */
static void change(struct sources *s, struct source *source, enum source_state state)
{
	int64_t now = clock_real_ns(), ms = (now - source->since_ns) / NS_PER_MS;

	if (state == SOURCE_UP) {
		count(&s->counters, COUNT_INTERFACE_BACK);
		log_error("interface-back", "interface=%s was=%s after-ms=%lld", source->name,
			  sources_state(source), (long long)ms);
	} else if (source->state == SOURCE_UP) {
		count(&s->counters, COUNT_INTERFACE_LOST);
		log_error("interface-away",
			  "interface=%s state=%s hint=\"nothing is recorded from it until it is "
			  "back\"",
			  source->name, state_names[state]);
	}
	/* From one bad state to the next it is the same alarm, and the same time of it. */
	if (state == SOURCE_UP || source->state == SOURCE_UP)
		source->since_ns = now;
	source->state = state;
}

bool sources_watch(struct sources *s, struct capture *const *captures)
{
	bool look = clock_mono_ns() >= s->look_ns, changed = false;

	if (look)
		s->look_ns = clock_mono_ns() + LOOK_EVERY_NS;
	for (unsigned i = 0; i < s->count; i++) {
		struct source *source = &s->at[i];
		bool away = false;
		for (unsigned k = 0; k < s->threads_each; k++)
			away |= capture_away(captures[i * s->threads_each + k]);
		if (!look && away == source->away)
			continue;
		source->away = away;
		enum source_state state = state_of(source);
		if (state == source->state)
			continue;
		change(s, source, state);
		changed = true;
	}
	return changed;
}
