/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* capture.c: the public functions, each handed to the kind of source it is about.
 *
 * Read files.c for capture files, interface.c and pcap.c for interfaces, dpdk.c for DPDK.
 */
#include "capture/kind.h"

void capture_close(struct capture *c)
{
	if (c)
		c->kind->close(c);
}

void capture_enter(struct capture *c)
{
	if (c->kind->enter)
		c->kind->enter(c);
}

void capture_leave(struct capture *c)
{
	if (c->kind->leave)
		c->kind->leave(c);
}

void capture_watch(struct capture *c)
{
	if (c->kind->watch)
		c->kind->watch(c);
}

uint64_t capture_outages(const struct capture *c)
{
	return c->kind->outages ? c->kind->outages(c) : 0;
}

int capture_burst(struct capture *c, struct frame *frames, int max)
{
	ASSERT(max > 0 && max <= CAPTURE_BURST);
	return c->kind->burst(c, frames, max);
}

bool capture_away(const struct capture *c)
{
	return c->kind->away && c->kind->away(c);
}

void capture_wait(struct capture *c, int timeout_ms)
{
	c->kind->wait(c, timeout_ms);
}

const char *capture_failure(const struct capture *c)
{
	return c->kind->failure(c);
}

uint64_t capture_kernel_drops(struct capture *c)
{
	return c->kind->kernel_drops(c);
}

void capture_progress(const struct capture *c, uint64_t *done, uint64_t *total)
{
	c->kind->progress(c, done, total);
}
