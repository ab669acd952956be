/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* interface.c: an interface that may go away and come back.
 *
 *   handle open ──it fails, or the name is another device's now──► away ──tried each second──► handle open
 *
 * Around one libpcap handle (pcap.c), on the thread that reads it.  A device that is only down, or without a carrier, keeps
 * its handle: the kernel takes up again where it stopped, fanout and promiscuous mode included.  One that was removed
 * does not, even if the same name is back at once.
 */
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/kind.h"

#define LOOK_EVERY_NS NS_PER_S

struct interface {
	struct capture base;
	struct capture_live how;
	char *name, *filter;    /* owned: how's */
	struct capture *handle; /* owned; NULL while away */
	unsigned index;         /* of the device that is open; 0: none of the network's ("any") */
	int64_t look_ns;        /* monotonic: when to look, or to try, again */
	int64_t gone_ns;        /* monotonic */
	uint64_t drops;         /* of handles before this one */
	struct error why;       /* as logged last */
	_Atomic bool away;
};

static enum rc open_handle(struct interface *i, struct error *err)
{
	enum rc rc = capture_handle_open(&i->handle, &i->how, err);
	i->index = rc == RC_OK ? if_nametoindex(i->name) : 0;
	i->look_ns = clock_mono_ns() + LOOK_EVERY_NS;
	return rc;
}

static void lose(struct interface *i, const char *why)
{
	log_warning("capture-lost", "interface=%s why=\"%s\"", i->name, why);
	(void)error_set(&i->why, RC_FAILED, "%s", why);
	i->drops += capture_kernel_drops(i->handle);
	capture_close(i->handle);
	i->handle = NULL;
	i->gone_ns = clock_mono_ns();
	i->look_ns = i->gone_ns + LOOK_EVERY_NS;
	atomic_store_explicit(&i->away, true, memory_order_release);
}

static void try_again(struct interface *i)
{
	struct error why;

	if (open_handle(i, &why) == RC_OK) {
		int64_t ms = (clock_mono_ns() - i->gone_ns) / NS_PER_MS;
		log_info("capture-opened-again", "interface=%s away-ms=%lld", i->name,
			 (long long)ms);
		atomic_store_explicit(&i->away, false, memory_order_release);
		return;
	}
	/* Each reason once. */
	if (strcmp(why.text, i->why.text) != 0)
		log_warning("capture-not-opened", "interface=%s why=\"%s\"", i->name, why.text);
	i->why = why;
}

/* Nothing has come: is it because the handle is on a device that is no more? */
static void look(struct interface *i)
{
	i->look_ns = clock_mono_ns() + LOOK_EVERY_NS;
	if (i->index && if_nametoindex(i->name) != i->index)
		lose(i, "the name is another device's, or nobody's");
}

static int interface_burst(struct capture *c, struct frame *frames, int max)
{
	struct interface *i = (struct interface *)c;
	int n = i->handle ? capture_burst(i->handle, frames, max) : 0;

	if (LIKELY(n > 0))
		return n;
	if (n < 0)
		lose(i, capture_failure(i->handle));
	else if (clock_mono_ns() < i->look_ns)
		return 0;
	else if (i->handle)
		look(i);
	else
		try_again(i);
	return 0;
}

static void interface_wait(struct capture *c, int timeout_ms)
{
	const struct interface *i = (const struct interface *)c;

	if (i->handle)
		capture_wait(i->handle, timeout_ms);
	else
		clock_sleep_us((unsigned)timeout_ms * 1000);
}

static const char *interface_failure(const struct capture *c)
{
	(void)c;
	return NULL; /* it never ends by itself */
}

static uint64_t interface_kernel_drops(struct capture *c)
{
	const struct interface *i = (const struct interface *)c;

	return i->drops + (i->handle ? capture_kernel_drops(i->handle) : 0);
}

static void interface_progress(const struct capture *c, uint64_t *done, uint64_t *total)
{
	(void)c;
	*done = *total = 0;
}

static void interface_close(struct capture *c)
{
	struct interface *i = (struct interface *)c;

	capture_close(i->handle);
	free(i->name);
	free(i->filter);
	free(i);
}

static bool interface_away(const struct capture *c)
{
	const struct interface *i = (const struct interface *)c;

	return atomic_load_explicit(&i->away, memory_order_acquire);
}

static const struct capture_kind interface_kind = {
	.burst = interface_burst,
	.wait = interface_wait,
	.failure = interface_failure,
	.kernel_drops = interface_kernel_drops,
	.progress = interface_progress,
	.close = interface_close,
	.away = interface_away,
};

enum rc capture_open_live(struct capture **out, const struct capture_live *cfg, struct error *err)
{
	struct interface *i = calloc(1, sizeof *i);
	if (!i)
		return error_set(err, RC_FAILED, "out of memory");
	i->base.kind = &interface_kind;
	i->how = *cfg;
	i->how.interface = i->name = strdup(cfg->interface);
	i->how.filter = i->filter = strdup(cfg->filter ? cfg->filter : "");
	enum rc rc = RC_FAILED;
	if (!i->name || !i->filter)
		(void)error_set(err, rc, "out of memory");
	else
		rc = open_handle(i, err);
	if (rc != RC_OK) {
		interface_close(&i->base);
		return rc;
	}
	*out = &i->base;
	return RC_OK;
}

enum link_state capture_link_state(const char *interface)
{
	struct ifreq request = { 0 };
	size_t len = strlen(interface);

	if (len >= sizeof request.ifr_name)
		return LINK_MISSING;
	memcpy(request.ifr_name, interface, len + 1);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return LINK_UNKNOWN;
	bool there = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
	(void)close(fd);
	if (!there)
		return LINK_MISSING;
	if (!(request.ifr_flags & IFF_UP))
		return LINK_DOWN;
	return request.ifr_flags & IFF_RUNNING ? LINK_UP : LINK_NO_CARRIER;
}
