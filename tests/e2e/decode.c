/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode.c: what the decoder makes of each frame of a capture file.
 *
 *   decode FILE
 *
 * One line a frame, "<number> <what> <source> <port> <destination> <port> <bytes>"; of what has no
 * ports they are 0, of what has no addresses there is only the number and what it is.
 * Addresses as inet_ntop() writes them.  Fragments are not put together.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "capture/capture.h"

static const char *const names[] = { "udp", "other", "fragment", "tcp", "malformed", "unknown" };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "decode: %s\n", what);
	exit(1);
}

static void print_endpoint(const struct endpoint *e)
{
	char text[INET6_ADDRSTRLEN];

	if (endpoint_is_v4(e))
		inet_ntop(AF_INET, e->addr + 12, text, sizeof text);
	else
		inet_ntop(AF_INET6, e->addr, text, sizeof text);
	printf(" %s %u", text, e->port);
}

static void print_frame(const struct decoder *dec, const struct frame *f, unsigned long number)
{
	static struct counters counters;
	struct datagram d;
	struct piece p;
	enum decode_verdict v = decode_frame(dec, f, &d, &p, &counters);

	printf("%lu %s", number, names[v]);
	if (v == DECODE_UDP || v == DECODE_TCP || v == DECODE_FRAGMENT) {
		bool udp = v == DECODE_UDP;
		print_endpoint(udp ? &d.src : &p.src);
		print_endpoint(udp ? &d.dst : &p.dst);
		printf(" %u", udp ? d.wire_len : p.wire_len);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	static struct options options;
	struct decoder decoder;
	struct capture *c;
	struct error err;
	struct frame frames[CAPTURE_BURST];
	unsigned long number = 0;

	if (argc != 2)
		fail("usage: decode FILE");
	options_default(&options);
	if (decoder_init(&decoder, &options, &err) != RC_OK)
		fail(err.text);
	const char *path = argv[1];
	if (capture_open_files(&c, &path, 1, NULL, &err) != RC_OK)
		fail(err.text);
	for (int n; (n = capture_burst(c, frames, CAPTURE_BURST)) > 0;)
		for (int i = 0; i < n; i++)
			print_frame(&decoder, &frames[i], ++number);
	if (capture_failure(c))
		fail(capture_failure(c));
	capture_close(c);
	return 0;
}
