/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* capture.h: frames in, UDP datagrams out.
 *
 * Two halves.  A `capture` is a source of frames: one or more capture files merged in
 * time order, a live interface (libpcap, TPACKET_V3), or ports of network cards (DPDK).  decode_frame() turns one frame into one
 * UDP datagram.  Both run on the thread that owns them; nothing is ever sent.
 */
#ifndef CALLSPAN_CAPTURE_H
#define CALLSPAN_CAPTURE_H

#include "base/counters.h"
#include "base/net.h"
#include "base/options.h"
#include "base/rc.h"

#define CAPTURE_BURST 64 /* frames at most that one burst gives */

struct capture;

/* Open capture files (pcap or pcapng, any byte order and time resolution; "-" is standard input); frames come
 * merged in time order, files given first win ties.  A file that cannot be opened is
 * RC_FAILED at once, with its name.  `filter` may be NULL or "". */
enum rc capture_open_files(struct capture **out, const char *const *paths, size_t n,
			   const char *filter, struct error *err) MUST_USE;

struct capture_live {
	const char *interface; /* borrowed for the call */
	const char *filter;    /* NULL or "": everything */
	int buffer_mib;
	int snaplen;
	int fanout_group;    /* -1: alone; else the PACKET_FANOUT_HASH group of several handles */
	bool another_counts; /* another handle counts what the interface itself dropped */
};

/* Open an interface: promiscuous, non-blocking, nanosecond time stamps where offered.  One that is not there is
 * RC_FAILED.  One that goes away later, or fails, ends nothing: bursts are empty then, and each second it is tried to
 * open it anew, as it was (this needs CAP_NET_RAW still). */
enum rc capture_open_live(struct capture **out, const struct capture_live *cfg,
			  struct error *err) MUST_USE;

struct capture_dpdk {
	const char *arguments; /* EAL's, blanks between them; borrowed for the call */
	const char *filter;    /* NULL or "": everything */
	int descriptors;       /* of each receive queue */
	int snaplen;
};

/* Open all ports that DPDK has with these arguments, promiscuous, and share their receive queues out among `threads`
 * captures, each to be read by one thread.  DPDK itself is begun once a process: where the program has done that before, its
 * ports are taken as they are, and the arguments ignored; a frame may then bear its time (rte_mbuf_dyn_rx_timestamp_register(),
 * Unix ns).  All captures are closed on the thread that opened them. */
enum rc capture_open_dpdk(struct capture **out, unsigned threads, const struct capture_dpdk *cfg,
			  struct error *err) MUST_USE;
/* Could these arguments be read, and is DPDK built in?  Opens nothing. */
enum rc capture_check_dpdk(const char *arguments, struct error *err) MUST_USE;

void capture_close(struct capture *c);

/* Live, on the thread that reads: before its first burst, and after its last. */
void capture_enter(struct capture *c);
void capture_leave(struct capture *c);

/* Live, on the main thread, many times a second: see to what captures opened together stand on (any one of them): links, ports
 * that went away or came back. */
void capture_watch(struct capture *c);

/* Give up to `max` (<= CAPTURE_BURST) frames, borrowed until the next call on this capture.
 * 0: none now (live).  -1: no more will come: end of all files, or a failure; then
 * capture_failure() says which. */
int capture_burst(struct capture *c, struct frame *frames, int max);

/* Has the interface gone, and not been opened again yet?  From any thread. */
bool capture_away(const struct capture *c);

/* Wait until frames may be there, at most `timeout_ms`.  Live only; files return at once. */
void capture_wait(struct capture *c, int timeout_ms);

/* After -1: NULL for a clean end; else one line that says which file broke and where ("x.pcap: frame 812: truncated
 * dump file").  A file that breaks ends alone; the other files go on. */
const char *capture_failure(const struct capture *c);

/* Live, on the thread that reads: frames the kernel or the card dropped since open (monotonic).  Files: 0. */
uint64_t capture_kernel_drops(struct capture *c);

/* Live: times since open that a port or its link was lost (monotonic). */
uint64_t capture_outages(const struct capture *c);

/* Files: bytes consumed and bytes in all (0 when unknown, e.g. a pipe), for a progress bar. */
void capture_progress(const struct capture *c, uint64_t *done, uint64_t *total);

/* What libpcap calls a frame's link type ("EN10MB", "USER0"), "unknown" when it knows none; returns buf. */
#define LINK_NAME 32
const char *capture_link_name(uint16_t link_type, char buf[LINK_NAME]);

/* What is wrong with an interface as a mirror port: addresses, IPv6, GRO, LRO (VLAN offload does
 * no harm: libpcap puts the tags back).  Writes one line for each thing found, with the `ip`,
 * `sysctl` or `ethtool` command to run; returns their number.  Reads, never changes. */
int capture_check_interface(const char *interface, char *text, size_t size);

/* How a device of the network is, for who watches it.  UNKNOWN: the kernel could not be asked. */
enum link_state { LINK_UP, LINK_NO_CARRIER, LINK_DOWN, LINK_MISSING, LINK_UNKNOWN };
enum link_state capture_link_state(const char *interface);

enum decode_verdict {
	DECODE_UDP,       /* *out is filled */
	DECODE_OTHER,     /* well formed, nothing for us (ARP, ICMP, ...) */
	DECODE_FRAGMENT,  /* an IP fragment: *piece is filled */
	DECODE_TCP,       /* a TCP segment: *piece is filled */
	DECODE_MALFORMED, /* headers that contradict themselves or end early */
	DECODE_LINK_UNKNOWN
};

/* Which UDP ports are tunnels'; read once from the options, then only read. */
#define DECODER_PORTS 64
struct decoder {
	uint64_t filter[16]; /* a bit for the low ten bits of each port */
	unsigned ports_count;
	uint16_t ports[DECODER_PORTS];
	uint8_t layers[DECODER_PORTS]; /* what is behind that port */
};

/* RC_USAGE when a list of ports (`capture.*-ports`) is not one, or holds too many.  A decoder of
 * zeros takes every UDP datagram as it is. */
enum rc decoder_init(struct decoder *dec, const struct options *o, struct error *err) MUST_USE;

/* Decode one frame, through whatever tunnels it came (at most so many layers), to a UDP datagram, or to a piece of
 * something larger.  Counts FRAMES, FRAME_BYTES, DECODE_* and DATAGRAMS in `c`; out's and piece's bytes are the
 * frame's.  UDP length, not frame length, ends the payload (Ethernet pads). */
enum decode_verdict decode_frame(const struct decoder *dec, const struct frame *f,
				 struct datagram *out, struct piece *piece, struct counters *c);

/* The same for an IP payload that was put together from fragments: `whole` is a fragment with offset 0 and nothing more
 * to come.  Counts DECODE_* and DATAGRAMS, no frame. */
enum decode_verdict decode_payload(const struct decoder *dec, const struct piece *whole,
				   struct datagram *out, struct piece *piece, struct counters *c);

#endif
