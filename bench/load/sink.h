/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sink.h: where a load's frames go: a capture file, an interface.
 *
 * A sink takes every frame that it is given, or the program ends with what went wrong: it never drops one.
 */
#ifndef CALLSPAN_BENCH_LOAD_SINK_H
#define CALLSPAN_BENCH_LOAD_SINK_H

#include <stdio.h>

#include "load/load.h"
#include "load/pace.h"

struct sink {
	/* Take `n` frames, in order.  Their bytes are the caller's again afterwards. */
	enum rc (*burst)(struct sink *s, const struct load_frame *frames, unsigned n,
			 struct error *err);
	/* No more will come: finish what is there, and print what this sink counted as `, "name": value`. */
	enum rc (*finish)(struct sink *s, FILE *figures, struct error *err);
	void (*close)(struct sink *s);
};

/* A capture file (pcap); "-" is standard output. */
enum rc sink_file_open(struct sink **out, const char *path, bool nanoseconds,
		       struct error *err) MUST_USE;

/* An interface, by AF_PACKET. */
enum rc sink_packet_open(struct sink **out, const char *interface, const struct pace *pace,
			 struct error *err) MUST_USE;

#endif
