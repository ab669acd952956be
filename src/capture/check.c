/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* check.c: is this interface fit to be a mirror port?  At start; reads, never changes.
 *
 * A mirror port must be silent (no address, no IPv6) and must show frames as they crossed the
 * wire (no receive offload that glues them together).
 */
#include "capture/check.h"

#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"

static bool has_address(const char *interface, bool *loopback)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (strcmp(a->ifa_name, interface) != 0)
			continue;
		*loopback = *loopback || a->ifa_flags & IFF_LOOPBACK;
		int family = a->ifa_addr ? a->ifa_addr->sa_family : AF_UNSPEC;
		found = found || family == AF_INET || family == AF_INET6;
	}
	freeifaddrs(all);
	return found;
}

/* The kernel's own switch; absent where the kernel has no IPv6. */
static bool has_ipv6(const char *interface)
{
	char path[64 + IFNAMSIZ];

	(void)snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	bool enabled = fgetc(f) == '0';
	(void)fclose(f);
	return enabled;
}

/* One value of the card's driver; 0 when it has none. */
static uint32_t ethtool_value(int fd, const char *interface, uint32_t command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq request = { .ifr_data = (void *)&value };

	memcpy(request.ifr_name, interface, strlen(interface) + 1);
	return ioctl(fd, SIOCETHTOOL, &request) == 0 ? value.data : 0;
}

int check_text(const char *interface, const struct check_facts *facts, char *text, size_t size)
{
	char sysctl_name[IFNAMSIZ];
	size_t used = 0;
	int found = 0;

	(void)snprintf(sysctl_name, sizeof sysctl_name, "%s", interface);
	for (char *c = sysctl_name; *c; c++)
		if (*c == '.')
			*c = '/'; /* sysctl(8): a dot inside a name is written as a slash */

	const struct {
		bool is_so;
		const char *what, *command, *name, *rest;
	} lines[] = {
		{ facts->address, "has an address, and the host answers there",
		  "ip addr flush dev ", interface, "" },
		{ facts->ipv6, "speaks IPv6", "sysctl -w net.ipv6.conf.", sysctl_name,
		  ".disable_ipv6=1" },
		{ facts->gro, "glues frames together (GRO)", "ethtool -K ", interface, " gro off" },
		{ facts->lro, "glues frames together (LRO)", "ethtool -K ", interface, " lro off" },
	};

	if (size > 0)
		text[0] = '\0';
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		if (!lines[i].is_so)
			continue;
		found++;
		int n = snprintf(text + used, size - used, "%s %s: %s%s%s\n", interface,
				 lines[i].what, lines[i].command, lines[i].name, lines[i].rest);
		if (n > 0 && (size_t)n < size - used)
			used += (size_t)n;
		else if (used < size)
			text[used] = '\0'; /* whole lines only */
	}
	return found;
}

int capture_check_interface(const char *interface, char *text, size_t size)
{
	struct check_facts facts = { 0 };
	bool loopback = false;

	if (size > 0)
		text[0] = '\0';
	if (strlen(interface) >= IFNAMSIZ || strchr(interface, '/'))
		return 0;
	facts.address = has_address(interface, &loopback);
	if (loopback)
		return 0; /* no mirror port: nothing that should be taken from it */
	facts.ipv6 = has_ipv6(interface);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		facts.gro = ethtool_value(fd, interface, ETHTOOL_GGRO) != 0;
		facts.lro = ethtool_value(fd, interface, ETHTOOL_GFLAGS) & ETH_FLAG_LRO;
		(void)close(fd);
	}
	return check_text(interface, &facts, text, size);
}
