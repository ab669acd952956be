/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcapfile.h: frames of a plain pcap file, without a copy of each.
 *
 * libpcap reads each frame with two fread(3)s and gives its bytes until the next one only.  Here the file is read by large
 * pieces, in turn into two buffers, and frames point there:
 *
 *     header | record | record | rec        buffer A       frames of this burst and the one before
 *                                ord | ...  buffer B       what comes next
 *
 * What is a pcap file, little-endian and lies on a disk is read here; pipes, big-endian and other formats are libpcap's.
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
 *
 * On the thread that owns it.
 */
#ifndef CALLSPAN_CAPTURE_PCAPFILE_H
#define CALLSPAN_CAPTURE_PCAPFILE_H

#include "capture/kind.h"

struct pcapfile;

/* A reader of the file that is open at `fd` (borrowed), from where it stands.  NULL: it is none of ours, and nothing was
 * taken off it; or no memory. */
struct pcapfile *pcapfile_new(int fd, uint16_t *link_type);
void pcapfile_free(struct pcapfile *p);

/* A burst begins: the bytes of frames given before may go. */
void pcapfile_burst(struct pcapfile *p);

/* The next frame; its bytes stay until the burst after this one begins.  CAPTURE_FILE_LATER: this burst holds as much as
 * there is room for, ask in the next. */
enum capture_file_read pcapfile_next(struct pcapfile *p, struct frame *frame);

/* After CAPTURE_FILE_BROKEN: what is wrong, in words. */
const char *pcapfile_failure(const struct pcapfile *p);

/* Bytes taken so far. */
uint64_t pcapfile_done(const struct pcapfile *p);

#endif
