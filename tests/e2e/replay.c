/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* replay.c: sends capture files, each on its interface, at the speed they were captured.
 *
 *   replay INTERFACE FILE [INTERFACE FILE ...]
 *
 * Several files have one clock, that of their time stamps.  Frames that are due go out together, every millisecond.  Ten times a second it prints a line
 * "<Unix microseconds> <frames sent>", so that a test knows what was on the wire at which time.
 * It is part of the tests only: callspan itself never sends a frame.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64

struct frame {
	int64_t due_us; /* as captured; then after the first of all */
	int fd;         /* of its interface */
	size_t no;      /* as read */
	size_t len;
	unsigned char *bytes; /* owned */
};

static struct frame *frames;
static size_t frames_count;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "replay: %s\n", what);
	exit(1);
}

static int64_t now_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void keep(int fd, const struct pcap_pkthdr *h, const unsigned char *bytes)
{
	static size_t room;
	int64_t us = (int64_t)h->ts.tv_sec * 1000000 + h->ts.tv_usec;

	if (frames_count == room) {
		room = room ? room * 2 : 4096;
		frames = realloc(frames, room * sizeof *frames);
		if (!frames)
			fail("not enough memory");
	}
	struct frame f = { us, fd, frames_count, h->caplen, malloc(h->caplen) };
	if (!f.bytes)
		fail("not enough memory");
	memcpy(f.bytes, bytes, h->caplen);
	frames[frames_count++] = f;
}

static void read_file(const char *path, int fd)
{
	char text[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	const unsigned char *bytes;
	pcap_t *p = pcap_open_offline(path, text);

	if (!p)
		fail(text);
	while (pcap_next_ex(p, &h, &bytes) == 1)
		keep(fd, h, bytes);
	pcap_close(p);
}

/* In order of time; what is as old stays in the order in which it was read. */
static int by_time(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;
	if (x->due_us != y->due_us)
		return x->due_us < y->due_us ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

static void merge(void)
{
	if (!frames_count)
		fail("no frames");
	qsort(frames, frames_count, sizeof *frames, by_time);
	for (size_t i = frames_count; i-- > 0;)
		frames[i].due_us -= frames[0].due_us;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = 0, /* hears nothing */
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int room = 8 << 20;

	if (fd < 0 || !to.sll_ifindex || bind(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail("cannot send on that interface");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	return fd;
}

/* Send what is due from frame `next` on, of one interface, at most a batch; gives how many. */
static size_t send_due(size_t next, int64_t elapsed_us)
{
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	unsigned n = 0;

	memset(messages, 0, sizeof messages);
	int fd = frames[next].fd;
	for (; n < BATCH && next + n < frames_count && frames[next + n].due_us <= elapsed_us &&
	       frames[next + n].fd == fd;
	     n++) {
		parts[n] = (struct iovec){ frames[next + n].bytes, frames[next + n].len };
		messages[n].msg_hdr.msg_iov = &parts[n];
		messages[n].msg_hdr.msg_iovlen = 1;
	}
	if (!n)
		return 0;
	int sent = sendmmsg(fd, messages, n, 0);
	if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		fail(strerror(errno));
	return sent < 0 ? 0 : (size_t)sent;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc % 2 == 0)
		fail("usage: replay INTERFACE FILE [INTERFACE FILE ...]");
	for (int i = 1; i < argc; i += 2)
		read_file(argv[i + 1], open_interface(argv[i]));
	merge();
	setvbuf(stdout, NULL, _IOLBF, 0);

	int64_t started_us = now_us(CLOCK_MONOTONIC), told_us = 0;
	size_t next = 0;
	while (next < frames_count) {
		int64_t elapsed_us = now_us(CLOCK_MONOTONIC) - started_us;
		size_t n, batches = 0;
		do {
			n = send_due(next, elapsed_us);
			next += n;
		} while (n > 0 && next < frames_count && ++batches < 64);
		if (elapsed_us - told_us >= 100000) {
			told_us = elapsed_us;
			printf("%lld %zu\n", (long long)now_us(CLOCK_REALTIME), next);
		}
		if (n == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	printf("%lld %zu\n", (long long)now_us(CLOCK_REALTIME), next);
	return 0;
}
