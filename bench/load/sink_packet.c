/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sink_packet.c: frames out of an interface, at a stated pace.
 *
 * A burst is one sendmmsg(2), past the queueing discipline; what the kernel does not take is offered
 * again.  A veth that drops a frame on its way to the other end says so only in its own counter: `wire_dropped`.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net.h"
#include "load/sink.h"

#define SEND_BYTES (8 << 20)

struct packet {
	struct sink sink;
	int fd;
	char interface[IF_NAMESIZE];
	struct pace pace;
	uint64_t sent, again, dropped_before;
	struct mmsghdr messages[LOAD_BURST];
	struct iovec parts[LOAD_BURST];
};

/* What the interface itself says it dropped on sending (/proc/net/dev, 12th figure). */
static uint64_t interface_drops(const char *interface)
{
	char line[512];
	uint64_t drops = 0;
	FILE *f = fopen("/proc/net/dev", "re");
	size_t len = strlen(interface);
	while (f && fgets(line, sizeof line, f)) {
		char *at = line + strspn(line, " ");
		if (strncmp(at, interface, len) != 0 || at[len] != ':')
			continue;
		at += len + 1;
		for (int i = 0; i < 12; i++)
			drops = strtoull(at, &at, 10);
	}
	if (f)
		(void)fclose(f);
	return drops;
}

static enum rc burst(struct sink *s, const struct load_frame *frames, unsigned n, struct error *err)
{
	struct packet *p = (struct packet *)s;
	pace_wait(&p->pace, frames[n - 1].at_ns, p->sent);
	for (unsigned i = 0; i < n; i++)
		p->parts[i] = (struct iovec){ frames[i].bytes, frames[i].len };
	for (unsigned done = 0; done < n;) {
		int sent = sendmmsg(p->fd, p->messages + done, n - done, 0);
		if (sent > 0) {
			done += (unsigned)sent;
		} else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR) {
			p->again++;
		} else {
			return error_errno(err, RC_FAILED, errno, "%s", p->interface);
		}
	}
	p->sent += n;
	return RC_OK;
}

static enum rc finish(struct sink *s, FILE *figures, struct error *err)
{
	struct packet *p = (struct packet *)s;
	(void)err;
	fprintf(figures,
		", \"sent\": %" PRIu64 ", \"send_seconds\": %.6f, \"send_again\": %" PRIu64
		", \"late_ms\": %.3f, \"wire_dropped\": %" PRIu64,
		p->sent, pace_seconds(&p->pace), p->again,
		(double)p->pace.latest_ns / (double)NS_PER_MS,
		interface_drops(p->interface) - p->dropped_before);
	return RC_OK;
}

static void close_packet(struct sink *s)
{
	struct packet *p = (struct packet *)s;
	if (p->fd >= 0)
		(void)close(p->fd);
	free(p);
}

static enum rc open_socket(struct packet *p, struct error *err)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = 0, /* hears nothing */
				  .sll_ifindex = (int)if_nametoindex(p->interface) };
	int room = SEND_BYTES, on = 1;

	if (!to.sll_ifindex)
		return error_errno(err, RC_FAILED, errno, "%s", p->interface);
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&to, sizeof to) != 0)
		return error_errno(err, RC_FAILED, errno, "%s: cannot send", p->interface);
	(void)setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	(void)setsockopt(p->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
	return RC_OK;
}

enum rc sink_packet_open(struct sink **out, const char *interface, const struct pace *pace,
			 struct error *err)
{
	struct packet *p = calloc(1, sizeof *p);
	if (!p)
		return error_set(err, RC_FAILED, "not enough memory");
	p->sink = (struct sink){ burst, finish, close_packet };
	p->fd = -1;
	p->pace = *pace;
	snprintf(p->interface, sizeof p->interface, "%s", interface);
	for (unsigned i = 0; i < LOAD_BURST; i++) {
		p->messages[i].msg_hdr.msg_iov = &p->parts[i];
		p->messages[i].msg_hdr.msg_iovlen = 1;
	}
	enum rc rc = open_socket(p, err);
	if (rc != RC_OK) {
		close_packet(&p->sink);
		return rc;
	}
	pace_prepare();
	p->dropped_before = interface_drops(interface);
	*out = &p->sink;
	return RC_OK;
}
