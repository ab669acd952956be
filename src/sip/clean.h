/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* clean.h: text from the wire made fit to be kept and shown.
 *
 * Every text that leaves signalling (names, numbers, URIs, Call-IDs) goes through one of these:
 * it is bounded, whole UTF-8, and free of control characters, so it cannot break a line of
 * output, a header or a terminal.  What is not fit becomes U+FFFD.
 */
#ifndef CALLSPAN_SIP_CLEAN_H
#define CALLSPAN_SIP_CLEAN_H

#include "sip/span.h"

/* Copy into dst (size > 0, always terminated); too long a text is cut at a character. */
void clean_text(char *dst, size_t size, struct span s);

/* A display name: quotes around it and backslash escapes inside go (RFC 3261, 25.1). */
void clean_name(char *dst, size_t size, struct span s);

/* A user part (its %-escapes decoded already): parameters after ';' go (RFC 3261, 19.1.6). */
void clean_user(char *dst, size_t size, struct span s);

/* A telephone number: visual separators and parameters go (RFC 3966, 5.1.1). */
void clean_number(char *dst, size_t size, struct span s);

/* The user part of a URI, or of a name-addr around one; the number of a tel: URI; "" without one.  %-escapes are
 * decoded. */
void clean_uri_user(char *dst, size_t size, struct span uri);

/* Decode %-escapes (RFC 3261, 19.1.2) into `room` of `size` bytes, cut to what fits. */
struct span clean_unescape(char *room, size_t size, struct span s);

/* What two spellings of one party have in common: the last nine digits of a telephone number (national and
 * international forms end alike), any other user part in lower case, cut to what fits.  Of what it gives it gives the same. */
#define CLEAN_SAME 64
void clean_same(char dst[CLEAN_SAME], const char *user);

#endif
