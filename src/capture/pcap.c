/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcap.c: everything we ask of libpcap: reading one capture file, listening on one interface.
 *
 * A handle belongs to the thread that reads it.  An interface is opened for reading only:
 * nothing here, or in libpcap as we use it, sends a frame.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/kind.h"
#include "capture/pcapfile.h"
#include "capture/pcapng.h"
#include "capture/staging.h"

#define FILE_BUFFER (1 << 17) /* stays in the second-level cache between read(2) and libpcap */

/* ---- frames and filters, of either source -------------------------------------------- */

/* Time stamps of a capture file are whatever somebody wrote: seconds of a pcap file are 32
 * bits, of which libpcap makes a signed number; pcapng's may be anything. */
static int64_t packet_time(const struct timeval *tv, int64_t unit_ns)
{
	int64_t s = tv->tv_sec, ns = (int64_t)tv->tv_usec;

	if (UNLIKELY(s < 0))
		s = s >= INT32_MIN ? s + (INT64_C(1) << 32) : 0;
	if (UNLIKELY(s > INT64_MAX / NS_PER_S - 1))
		s = INT64_MAX / NS_PER_S - 1;
	if (UNLIKELY(ns < 0 || ns >= NS_PER_S / unit_ns))
		ns = NS_PER_S / unit_ns - 1;
	return s * NS_PER_S + ns * unit_ns;
}

static void fill_frame(struct frame *f, const struct pcap_pkthdr *h, const uint8_t *bytes,
		       int64_t unit_ns, uint16_t link_type)
{
	f->ts_ns = packet_time(&h->ts, unit_ns);
	f->bytes = bytes;
	f->len = h->caplen < STAGING_FRAME ? h->caplen : STAGING_FRAME;
	f->wire_len = h->len > h->caplen ? h->len : h->caplen;
	f->link_type = link_type;
	f->interface_no = 0;
}

static enum rc compile_filter(pcap_t *p, const char *name, const char *filter,
			      struct bpf_program *program, struct error *err)
{
	if (pcap_compile(p, program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0)
		return RC_OK;
	return error_set(err, RC_USAGE, "%s: filter: %s", name, pcap_geterr(p));
}

struct capture_filter {
	struct bpf_program program;
};

enum rc capture_filter_new(struct capture_filter **out, const char *name, uint16_t link_type,
			   const char *text, struct error *err)
{
	pcap_t *dead = pcap_open_dead(link_type, STAGING_FRAME);
	struct capture_filter *f = calloc(1, sizeof *f);
	enum rc rc = dead && f ? compile_filter(dead, name, text, &f->program, err)
			       : error_set(err, RC_FAILED, "%s: filter: out of memory", name);

	if (dead)
		pcap_close(dead);
	if (rc != RC_OK) {
		free(f);
		return rc;
	}
	*out = f;
	return RC_OK;
}

void capture_filter_free(struct capture_filter *f)
{
	if (!f)
		return;
	pcap_freecode(&f->program);
	free(f);
}

bool capture_filter_passes(const struct capture_filter *f, const struct frame *frame)
{
	struct pcap_pkthdr h = { .caplen = frame->len, .len = frame->wire_len };
	return pcap_offline_filter(&f->program, &h, frame->bytes) != 0;
}

/* ---- a capture file ------------------------------------------------------------------ */

/* A filter is compiled for a link type; the interfaces of a pcapng file may have several. */
#define FILTERS_MOST 8
struct filter {
	uint16_t link_type;
	struct bpf_program program;
};

struct capture_file {
	/* One of three reads it.  libpcap owns the stream too; else it is ours to close. */
	pcap_t *pcap;          /* owned */
	struct pcapng *ng;     /* owned */
	struct pcapfile *file; /* owned */
	FILE *stream;
	char *buffer; /* owned: the stream's */
	char *path;   /* owned */
	char *filter; /* owned; NULL: everything */
	struct filter filters[FILTERS_MOST];
	unsigned filters_count;
	struct error why; /* a filter does not fit a link type met later */
	uint16_t link_type;
	uint64_t frames; /* read, with those that the filter left out */
	uint64_t size;   /* of a plain file, else 0 */
};

/* A stream of our own on the file or on standard input, with a large buffer. */
static enum rc open_stream(struct capture_file *f, const char *path, struct error *err)
{
	struct stat st;
	int fd = -1;

	if (strcmp(path, "-") == 0) {
		fd = dup(STDIN_FILENO);
		f->stream = fd < 0 ? NULL : fdopen(fd, "rb");
	} else {
		f->stream = fopen(path, "rbe");
	}
	if (!f->stream) {
		int e = errno;
		if (fd >= 0)
			(void)close(fd);
		return error_errno(err, RC_FAILED, e, "%s", f->path);
	}
	if (fstat(fileno(f->stream), &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return error_errno(err, RC_FAILED, EISDIR, "%s", f->path);
		f->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	}
	f->buffer = malloc(FILE_BUFFER);
	if (f->buffer)
		(void)setvbuf(f->stream, f->buffer, _IOFBF, FILE_BUFFER);
	/* libpcap reads each frame with two fread(3)s: one thread owns the stream, so no lock for each. */
	(void)__fsetlocking(f->stream, FSETLOCKING_BYCALLER);
	return RC_OK;
}

static enum rc open_pcapng(struct capture_file *f, struct error *err)
{
	f->ng = pcapng_new(f->stream);
	if (!f->ng)
		return error_set(err, RC_FAILED, "%s: out of memory", f->path);
	switch (pcapng_begin(f->ng, &f->link_type)) {
	case CAPTURE_FILE_FRAME: return RC_OK;
	case CAPTURE_FILE_END:
		return error_set(err, RC_FAILED, "%s: no interface is described", f->path);
	default: return error_set(err, RC_FAILED, "%s: %s", f->path, pcapng_failure(f->ng));
	}
}

/* The plain file is read our fast way, pcapng because libpcap refuses some of it; all else is libpcap's. */
static enum rc open_format(struct capture_file *f, struct error *err)
{
	char reason[PCAP_ERRBUF_SIZE];

	if (f->size && (f->file = pcapfile_new(fileno(f->stream), &f->link_type)))
		return RC_OK;
	if (pcapng_is(f->stream))
		return open_pcapng(f, err);
	f->pcap = pcap_fopen_offline_with_tstamp_precision(f->stream, PCAP_TSTAMP_PRECISION_NANO,
							   reason);
	if (!f->pcap)
		return error_set(err, RC_FAILED, "%s: %s", f->path, reason);
	f->link_type = (uint16_t)pcap_datalink(f->pcap);
	return RC_OK;
}

/* Compile the filter for one link type more. */
static enum rc add_filter(struct capture_file *f, uint16_t link_type, struct error *err)
{
	pcap_t *dead = pcap_open_dead(link_type, STAGING_FRAME);

	if (!f->filter || !dead || f->filters_count == FILTERS_MOST) {
		if (dead)
			pcap_close(dead);
		return error_set(err, RC_FAILED, "%s: no filter for link type %u", f->path,
				 link_type);
	}
	struct filter *to = &f->filters[f->filters_count];
	enum rc rc = compile_filter(dead, f->path, f->filter, &to->program, err);
	pcap_close(dead);
	if (rc != RC_OK)
		return rc;
	to->link_type = link_type;
	f->filters_count++;
	return RC_OK;
}

enum rc capture_file_open(struct capture_file **out, const char *path, const char *filter,
			  struct error *err)
{
	enum rc rc = RC_FAILED;
	struct capture_file *f = calloc(1, sizeof *f);

	if (!f)
		return error_set(err, rc, "%s: out of memory", path);
	f->path = strdup(strcmp(path, "-") == 0 ? "standard input" : path);
	if (!f->path) {
		(void)error_set(err, rc, "%s: out of memory", path);
		goto fail;
	}
	rc = open_stream(f, path, err);
	if (rc != RC_OK)
		goto fail;
	rc = open_format(f, err);
	if (rc != RC_OK)
		goto fail;
	if (filter && *filter) {
		f->filter = strdup(filter);
		rc = add_filter(f, f->link_type, err);
		if (rc != RC_OK)
			goto fail;
	}
	*out = f;
	return RC_OK;
fail:
	capture_file_close(f);
	return rc;
}

void capture_file_close(struct capture_file *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->filters_count; i++)
		pcap_freecode(&f->filters[i].program);
	free(f->filter);
	pcapng_free(f->ng);
	pcapfile_free(f->file);
	if (f->pcap)
		pcap_close(f->pcap);
	else if (f->stream)
		(void)fclose(f->stream);
	free(f->buffer);
	free(f->path);
	free(f);
}

bool capture_file_stays(const struct capture_file *f)
{
	return f->file != NULL;
}

void capture_file_burst(struct capture_file *f)
{
	if (f->file)
		pcapfile_burst(f->file);
}

/* What is wrong with the file, in the words of who reads it. */
static const char *reader_failure(const struct capture_file *f)
{
	if (f->file)
		return pcapfile_failure(f->file);
	return f->ng ? pcapng_failure(f->ng) : pcap_geterr(f->pcap);
}

/* The next frame, whatever it is. */
static inline enum capture_file_read next_frame(struct capture_file *f, struct frame *frame)
{
	struct pcap_pkthdr *h;
	const u_char *bytes;

	if (LIKELY(f->file != NULL))
		return pcapfile_next(f->file, frame);
	if (f->ng)
		return pcapng_next(f->ng, frame);
	int got = pcap_next_ex(f->pcap, &h, &bytes);
	if (UNLIKELY(got != 1))
		return got == PCAP_ERROR_BREAK ? CAPTURE_FILE_END : CAPTURE_FILE_BROKEN;
	fill_frame(frame, h, bytes, 1, f->link_type);
	return CAPTURE_FILE_FRAME;
}

/* The filter for a link type, or NULL with `why`. */
static struct filter *filter_for(struct capture_file *f, uint16_t link_type)
{
	for (unsigned i = 0; i < f->filters_count; i++)
		if (f->filters[i].link_type == link_type)
			return &f->filters[i];
	if (add_filter(f, link_type, &f->why) != RC_OK)
		return NULL;
	return &f->filters[f->filters_count - 1];
}

enum capture_file_read capture_file_next(struct capture_file *f, struct frame *frame)
{
	enum capture_file_read r;

	while (LIKELY((r = next_frame(f, frame)) == CAPTURE_FILE_FRAME)) {
		f->frames++;
		if (LIKELY(!f->filter))
			return r;
		/* Filtered here, not by libpcap, so that a failure names the true frame. */
		struct filter *filter = filter_for(f, frame->link_type);
		struct pcap_pkthdr h = { .caplen = frame->len, .len = frame->wire_len };
		if (UNLIKELY(!filter))
			return CAPTURE_FILE_BROKEN;
		if (pcap_offline_filter(&filter->program, &h, frame->bytes) != 0)
			return r;
	}
	return r;
}

void capture_file_failure(const struct capture_file *f, struct error *err)
{
	if (f->why.text[0])
		*err = f->why;
	else
		(void)error_set(err, RC_FAILED, "%s: frame %ju: %s", f->path,
				(uintmax_t)f->frames + 1, reader_failure(f));
}

void capture_file_progress(const struct capture_file *f, uint64_t *done, uint64_t *total)
{
	off_t at = f->file ? (off_t)pcapfile_done(f->file) : ftello(f->stream);

	*done = at > 0 ? (uint64_t)at : 0;
	*total = f->size;
}

/* ---- an interface -------------------------------------------------------------------- */

/* How long the kernel holds a block of frames (256 KiB) that is not full.  It closes one each time, however little came, so this
 * is also for how long a thread may be kept from running at a small rate: 256 blocks in 64 MiB, 10 s. */
#define BLOCK_TIMEOUT_MS 40

struct live {
	struct capture base;
	pcap_t *pcap; /* owned */
	struct staging staging;
	int64_t unit_ns; /* of the time stamps' fraction */
	uint16_t link_type;
	int fd;                /* to poll; libpcap's */
	bool counts_interface; /* this handle counts what the interface itself dropped */
	uint64_t drops;
	uint32_t seen_drops, seen_interface_drops; /* libpcap's last figures: 32 bits, they wrap */
	int64_t opened_ns, joined_ns;              /* wall clock, of a handle in a fanout group */
	struct frame *frames;                      /* borrowed: the burst that is being filled */
	int filled;
	int64_t failed_ns; /* monotonic; 0: it has not */
	struct error failure;
};

static void on_frame(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct live *l = (struct live *)(void *)user;
	struct frame *f = &l->frames[l->filled];

	fill_frame(f, h, bytes, l->unit_ns, l->link_type);
	if (UNLIKELY(f->ts_ns < l->joined_ns && f->ts_ns >= l->opened_ns))
		return; /* of the others: see join_fanout() */
	l->filled++;
	staging_keep(&l->staging, f);
}

static int live_burst(struct capture *c, struct frame *frames, int max)
{
	struct live *l = (struct live *)c;

	staging_restart(&l->staging);
	l->frames = frames;
	l->filled = 0;
	int got = pcap_dispatch(l->pcap, max, on_frame, (u_char *)l);
	if (LIKELY(got >= 0 || l->filled > 0))
		return l->filled;
	int64_t now = clock_mono_ns();
	if (!l->failed_ns) {
		l->failed_ns = now;
		(void)error_set(&l->failure, RC_FAILED, "%s", pcap_geterr(l->pcap));
	}
	/* The kernel still holds a block of the last frames, for as long as it waits for more. */
	return now - l->failed_ns < 3 * BLOCK_TIMEOUT_MS * NS_PER_MS ? 0 : -1;
}

static void live_wait(struct capture *c, int timeout_ms)
{
	const struct live *l = (const struct live *)c;
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	(void)poll(&p, 1, timeout_ms); /* whatever it says: the next burst looks */
}

static const char *live_failure(const struct capture *c)
{
	const struct live *l = (const struct live *)c;

	return l->failed_ns ? l->failure.text : NULL;
}

/* A figure that went back is of an interface whose own count began anew, or which has gone. */
static uint32_t advanced(uint32_t now, uint32_t seen)
{
	return now - seen <= INT32_MAX ? now - seen : 0;
}

static uint64_t live_kernel_drops(struct capture *c)
{
	struct live *l = (struct live *)c;
	struct pcap_stat now;

	if (pcap_stats(l->pcap, &now) != 0)
		return l->drops;
	l->drops += advanced(now.ps_drop, l->seen_drops);
	l->seen_drops = now.ps_drop;
	if (l->counts_interface)
		l->drops += advanced(now.ps_ifdrop, l->seen_interface_drops);
	l->seen_interface_drops = now.ps_ifdrop;
	return l->drops;
}

static void live_progress(const struct capture *c, uint64_t *done, uint64_t *total)
{
	(void)c;
	*done = *total = 0;
}

static void live_close(struct capture *c)
{
	struct live *l = (struct live *)c;

	if (l->pcap)
		pcap_close(l->pcap);
	staging_clear(&l->staging);
	free(l);
}

static const struct capture_kind live_kind = {
	.burst = live_burst,
	.wait = live_wait,
	.failure = live_failure,
	.kernel_drops = live_kernel_drops,
	.progress = live_progress,
	.close = live_close,
};

/* What is asked before the handle is activated.  These fail only for a handle that is active
 * already, or for values out of range. */
static bool configure(pcap_t *p, const struct capture_live *cfg)
{
	bool ok = pcap_set_snaplen(p, cfg->snaplen) == 0 && pcap_set_promisc(p, 1) == 0 &&
		  pcap_set_buffer_size(p, cfg->buffer_mib << 20) == 0 &&
		  /* not immediate: blocks of frames (TPACKET_V3), a wake-up a block */
		  pcap_set_immediate_mode(p, 0) == 0 && pcap_set_timeout(p, BLOCK_TIMEOUT_MS) == 0;

	(void)pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO); /* asked again later */
	return ok;
}

/* "eth7: No such device exists (...)": libpcap's two lines of a failure as one. */
static enum rc activate_failed(const char *interface, pcap_t *p, int status, struct error *err)
{
	const char *detail = pcap_geterr(p), *text = pcap_statustostr(status);

	if (status == PCAP_ERROR)
		return error_set(err, RC_FAILED, "%s: %s", interface, detail);
	if (!*detail)
		return error_set(err, RC_FAILED, "%s: %s", interface, text);
	return error_set(err, RC_FAILED, "%s: %s (%s)", interface, text, detail);
}

/* Share the interface's frames among the handles of one group, all of a flow to the same one, and all IP fragments
 * between two hosts, which carry no ports to hash.  The kernel could put them together
 * (PACKET_FANOUT_FLAG_DEFRAG); we do, by one stated rule, and count.
 *
 * Until it has joined, a handle is given every frame of the interface: those that came before are
 * left to the handles that were in the group already, so that no frame is read twice. */
static enum rc join_fanout(struct live *l, const struct capture_live *cfg, struct error *err)
{
	unsigned kind = PACKET_FANOUT_HASH;
	unsigned arg = (unsigned)cfg->fanout_group | kind << 16;

	l->counts_interface = !cfg->another_counts;
	if (cfg->fanout_group < 0)
		return RC_OK;
	if (cfg->fanout_group > UINT16_MAX)
		return error_set(err, RC_FAILED, "%s: no such fanout group", cfg->interface);
	if (setsockopt(pcap_fileno(l->pcap), SOL_PACKET, PACKET_FANOUT, &arg, sizeof arg) != 0)
		return error_errno(err, RC_FAILED, errno, "%s: PACKET_FANOUT", cfg->interface);
	l->joined_ns = clock_real_ns();
	return RC_OK;
}

static enum rc set_up(struct live *l, const struct capture_live *cfg, struct error *err)
{
	char reason[PCAP_ERRBUF_SIZE];
	struct bpf_program program;

	if (pcap_setnonblock(l->pcap, 1, reason) != 0)
		return error_set(err, RC_FAILED, "%s: %s", cfg->interface, reason);
	l->fd = pcap_get_selectable_fd(l->pcap);
	if (l->fd < 0)
		return error_set(err, RC_FAILED, "%s: cannot be polled", cfg->interface);
	/* What a mirror port gives comes in; what this host may send there is not recorded. */
	(void)pcap_setdirection(l->pcap, PCAP_D_IN);
	l->link_type = (uint16_t)pcap_datalink(l->pcap);
	l->unit_ns =
		pcap_get_tstamp_precision(l->pcap) == PCAP_TSTAMP_PRECISION_NANO ? 1 : NS_PER_US;
	if (cfg->filter && *cfg->filter) {
		enum rc rc = compile_filter(l->pcap, cfg->interface, cfg->filter, &program, err);
		if (rc != RC_OK)
			return rc;
		int set = pcap_setfilter(l->pcap, &program);
		pcap_freecode(&program);
		if (set != 0)
			return error_set(err, RC_FAILED, "%s: filter: %s", cfg->interface,
					 pcap_geterr(l->pcap));
	}
	return join_fanout(l, cfg, err);
}

enum rc capture_handle_open(struct capture **out, const struct capture_live *cfg, struct error *err)
{
	char reason[PCAP_ERRBUF_SIZE];
	enum rc rc = RC_FAILED;
	struct live *l = calloc(1, sizeof *l);

	if (!l || !staging_init(&l->staging)) {
		free(l);
		return error_set(err, rc, "out of memory");
	}
	l->base.kind = &live_kind;
	l->pcap = pcap_create(cfg->interface, reason);
	if (!l->pcap) {
		(void)error_set(err, rc, "%s: %s", cfg->interface, reason);
		goto fail;
	}
	if (!configure(l->pcap, cfg)) {
		(void)error_set(err, rc, "%s: buffer or snap length out of range", cfg->interface);
		goto fail;
	}
	l->opened_ns = clock_real_ns();
	int status = pcap_activate(l->pcap);
	if (status < 0) {
		rc = activate_failed(cfg->interface, l->pcap, status, err);
		goto fail;
	}
	rc = set_up(l, cfg, err);
	if (rc != RC_OK)
		goto fail;
	*out = &l->base;
	return RC_OK;
fail:
	live_close(&l->base);
	return rc;
}

const char *capture_link_name(uint16_t link_type, char buf[LINK_NAME])
{
	const char *name = pcap_datalink_val_to_name(link_type);
	if (link_type >= DLT_USER0 && link_type <= DLT_USER15)
		snprintf(buf, LINK_NAME, "USER%d", link_type - DLT_USER0);
	else
		snprintf(buf, LINK_NAME, "%s", name ? name : "unknown");
	return buf;
}
