/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan status: how the store stands, and what the recorder has counted, in words. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "cmd.h"

/* The parts of a packet's way, as counters.def is ordered: each begins with this counter. */
static const struct {
	enum counter first;
	const char *title;
} groups[] = {
	{ COUNT_FRAMES, "Capture" },
	{ COUNT_FRAGMENT_MERGED, "Fragments and TCP" },
	{ COUNT_TO_MEDIA, "What became of datagrams" },
	{ COUNT_RTP_STORED, "Media" },
	{ COUNT_PEN_RELEASED, "Media that waited for its call" },
	{ COUNT_SIP_MESSAGES, "Signalling" },
	{ COUNT_CHUNKS_WRITTEN, "Writing" },
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void print_group(const json_t *counters, size_t g)
{
	unsigned end = g + 1 < GROUPS ? (unsigned)groups[g + 1].first : COUNTER_COUNT;
	bool any = false;
	for (unsigned i = groups[g].first; i < end; i++) {
		json_int_t n = cmd_number(counters, counter_names[i]);
		if (!n)
			continue;
		if (!any)
			printf("\n%s\n", groups[g].title);
		printf("  %14" JSON_INTEGER_FORMAT "  %s\n", n, counter_prose[i]);
		any = true;
	}
}

/* Only what is wrong is worth a line; one interface that is up is what everybody expects. */
static void print_interfaces(const json_t *interfaces)
{
	const json_t *one;
	size_t i;
	json_array_foreach(interfaces, i, one)
	{
		char since[40];
		const char *state = cmd_text(one, "state");
		(void)cmd_local_time(one, "since", since);
		if (strcmp(state, "up") != 0)
			printf("Interface %s is AWAY (%s) since %s: nothing is recorded from it.\n",
			       cmd_text(one, "name"), state, since);
		else if (json_array_size(interfaces) > 1)
			printf("Interface %s is up since %s.\n", cmd_text(one, "name"), since);
	}
}

static void print_capture(const json_t *capture)
{
	char started[40], written[40], packet[40];
	const json_t *counters = json_object_get(capture, "counters");
	if (!json_is_object(capture)) {
		printf("\nThe recorder has told nothing of itself yet.\n");
		return;
	}
	bool running = json_is_true(json_object_get(capture, "running"));
	bool live = json_is_true(json_object_get(capture, "live"));
	(void)cmd_local_time(capture, "started", started);
	(void)cmd_local_time(capture, "written", written);
	(void)cmd_local_time(capture, "packet_time", packet);
	if (running)
		printf("\nThe recorder %s since %s; this was so at %s",
		       live ? "records" : "reads files", started, written);
	else
		printf("\nThe recorder %s from %s to %s", live ? "recorded" : "read files", started,
		       written);
	printf("%s%s.\n", *packet ? ", its newest packet is of " : "", packet);
	if (running)
		print_interfaces(json_object_get(capture, "interfaces"));
	for (size_t g = 0; g < GROUPS; g++)
		print_group(counters, g);
}

static void print_requests(const json_t *requests)
{
	char text[256] = "";
	size_t i, at = 0;
	const json_t *name;
	json_int_t overdue = cmd_number(requests, "overdue");
	json_array_foreach(json_object_get(requests, "overdue_requests"), i, name)
	{
		if (at < sizeof text)
			at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : ": ",
					       json_string_value(name));
	}
	cmd_print_line("requests open", "%" JSON_INTEGER_FORMAT, cmd_number(requests, "open"));
	if (overdue)
		cmd_print_line("requests OVERDUE", "%" JSON_INTEGER_FORMAT "%s", overdue, text);
}

/* One of them with each line, as a person copies it. */
static void print_missing(const json_t *status)
{
	size_t i;
	const json_t *name;
	json_int_t more = cmd_number(json_object_get(status, "segments"), "missing");
	json_array_foreach(json_object_get(status, "missing_segments"), i, name)
	{
		char *text = cmd_clean(json_string_value(name));
		printf("%s  %s\n", i ? "" : "\nSegments whose files are not there:\n", text);
		free(text);
		more--;
	}
	if (more > 0)
		printf("  and %" JSON_INTEGER_FORMAT " more (callspan verify)\n", more);
	if (i)
		printf("Put them back, or, what is lost for good, write off: callspan segment "
		       "write-off NAME --reason TEXT\n");
}

static bool print_status(void *ctx, const json_t *status)
{
	(void)ctx;
	json_t *card = json_copy((json_t *)(uintptr_t)status);
	json_object_del(card, "capture");
	json_object_del(card, "requests");
	json_object_del(card, "missing_segments");
	cmd_print_card(card);
	json_decref(card);
	print_requests(json_object_get(status, "requests"));
	print_missing(status);
	print_capture(json_object_get(status, "capture"));
	json_int_t without = cmd_number(json_object_get(status, "people"), "without_passphrase");
	if (without)
		printf("\nOf those who are to open recordings %" JSON_INTEGER_FORMAT
		       " cannot: no passphrase for it (callspan person list; person reset).\n",
		       without);
	if (json_is_true(json_object_get(status, "rotation_unfinished")))
		printf("\nThe exchange of keys is unfinished: run callspan key rotate again.\n");
	if (*cmd_text(status, "policy_fault"))
		printf("\nThe policy file was edited and is wrong; the one before stays in "
		       "force.\n");
	else if (json_is_true(json_object_get(status, "policy_edited")))
		printf("\nThe policy file was edited since the service read it: SIGHUP has it read "
		       "again.\n");
	if (json_is_false(json_object_get(status, "policy_applied")))
		printf("\nThe policy file was edited and is not applied: recordings are kept as "
		       "before until "
		       "callspan policy apply.\n");
	if (json_is_true(json_object_get(status, "unattended")))
		printf("\nThe audio key lies in the store unprotected: whoever may read "
		       "STORE/vault may "
		       "hear everything.\n");
	return true;
}

enum rc cmd_status(struct cli *c, int argc, char **argv)
{
	bool json = false;
	const struct word words[] = { { 0, "json", NULL, "one JSON object", NULL, &json } };
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	return rc == RC_OK ? cmd_ask(c, "status", NULL, NULL, json, print_status) : rc;
}
