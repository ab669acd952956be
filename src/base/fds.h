/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fds.h: descriptors 0, 1 and 2 are never a file of ours.
 *
 * A program that is started with one of them closed gets that number for the next file it opens, and what it then
 * prints goes into that file.  Called first thing in main(), on its thread; takes no other descriptor.
 */
#ifndef CALLSPAN_BASE_FDS_H
#define CALLSPAN_BASE_FDS_H

/* Occupy those of 0, 1 and 2 that are closed, so that they still fail as closed ones do: 0 cannot be read, 1 and 2
 * cannot be written.  Returns 1 << n for each n that was closed.  Ends the program where this cannot be done. */
unsigned fds_fill(void);

#endif
