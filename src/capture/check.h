/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* check.h: an interface's fitness as a mirror port: what was found, and how it is told.
 *
 * Private to this folder; apart so that the telling can be tested without an interface.
 */
#ifndef CALLSPAN_CAPTURE_CHECK_H
#define CALLSPAN_CAPTURE_CHECK_H

#include "base/rc.h"

struct check_facts {
	bool address;  /* an IP address: the host answers there */
	bool ipv6;     /* IPv6 is on: the host announces itself there */
	bool gro, lro; /* the kernel, the card: frames are glued together before we see them */
};

/* One line for each fact that is true, with the command that changes it; gives their number. */
int check_text(const char *interface, const struct check_facts *facts, char *text, size_t size);

#endif
