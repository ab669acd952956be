/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* kind.h: what every source of frames can do: capture files, a libpcap interface, DPDK.
 *
 * Private to this folder.  The functions are those of capture.h, which says what they do.  The last four may be missing.
 */
#ifndef CALLSPAN_CAPTURE_KIND_H
#define CALLSPAN_CAPTURE_KIND_H

#include "capture/capture.h"

struct capture_kind {
	int (*burst)(struct capture *, struct frame *, int max);
	void (*wait)(struct capture *, int timeout_ms);
	const char *(*failure)(const struct capture *);
	uint64_t (*kernel_drops)(struct capture *);
	void (*progress)(const struct capture *, uint64_t *done, uint64_t *total);
	void (*close)(struct capture *);
	bool (*away)(const struct capture *); /* NULL: it never is */
	void (*enter)(struct capture *);
	void (*leave)(struct capture *);
	void (*watch)(struct capture *);
	uint64_t (*outages)(const struct capture *);
};

/* The first member of each kind's own struct. */
struct capture {
	const struct capture_kind *kind;
};

/* ---- one handle on an interface (pcap.c) ---- */

/* What capture_open_live() opens, and opens again: this one ends for good, with -1, when its interface goes away; what
 * the kernel still held then has been read. */
enum rc capture_handle_open(struct capture **out, const struct capture_live *cfg,
			    struct error *err) MUST_USE;

/* ---- a filter of our own, for frames that no kernel filters (pcap.c) ---- */

struct capture_filter;

/* RC_USAGE: "NAME: filter: what is wrong". */
enum rc capture_filter_new(struct capture_filter **out, const char *name, uint16_t link_type,
			   const char *text, struct error *err) MUST_USE;
void capture_filter_free(struct capture_filter *f);
bool capture_filter_passes(const struct capture_filter *f, const struct frame *frame);

/* ---- one capture file (pcap.c) ---- */

struct capture_file;

enum rc capture_file_open(struct capture_file **out, const char *path, const char *filter,
			  struct error *err) MUST_USE;
void capture_file_close(struct capture_file *f);

enum capture_file_read {
	CAPTURE_FILE_FRAME,
	CAPTURE_FILE_END,
	CAPTURE_FILE_BROKEN,
	CAPTURE_FILE_LATER /* none more in this burst (capture_file_stays() only) */
};

/* Do a frame's bytes stay for the burst?  Else they are borrowed until the next read of this file. */
bool capture_file_stays(const struct capture_file *f);

/* A burst begins: what was given before may go. */
void capture_file_burst(struct capture_file *f);

/* The next frame. */
enum capture_file_read capture_file_next(struct capture_file *f, struct frame *frame);

/* After CAPTURE_FILE_BROKEN: "x.pcap: frame 812: truncated dump file; ...". */
void capture_file_failure(const struct capture_file *f, struct error *err);

/* Bytes read and bytes in all; 0 when it is no plain file. */
void capture_file_progress(const struct capture_file *f, uint64_t *done, uint64_t *total);

#endif
