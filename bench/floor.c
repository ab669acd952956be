/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* floor.c: the bare loop that callspand is measured against.
 *
 *   floor CAPTURE OUTPUT
 *
 * What any recorder that encrypts must do, and nothing else: read (libpcap), parse Ethernet,
 * IPv4, UDP and RTP, look the flow up, append the payload to the stream's buffer, seal each full
 * 4 KiB with AES-256-GCM under the stream's key, write, sync.  No signalling, no sequence numbers,
 * no times, no metadata: what it writes could not be played.  One process, one thread, and no
 * trick: one packet after the other.  It prints what it did and what that cost as JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pcap/pcap.h>

#include "base/bytes.h"
#include "base/rc.h"

#define CHUNK_BYTES 4096
#define BLOCK_BYTES (1 << 20)
#define TAG_BYTES   16
#define KEY_LEN     32
#define NONCE_LEN   12
#define SLOTS       (1u << 18) /* of the flow table: at most half are used */

struct flow_key {
	uint32_t src, dst;
	uint32_t ports;
	uint32_t ssrc;
};

struct stream {
	uint8_t key[KEY_LEN];
	uint64_t chunks; /* the nonce */
	uint32_t used;
	uint8_t buffer[CHUNK_BYTES];
};

struct slot {
	struct flow_key key;
	struct stream *stream; /* NULL: free */
};

struct bare {
	struct slot *slots;
	uint32_t streams;
	uint64_t packets, rtp, audio_bytes, written;
	EVP_CIPHER_CTX *cipher;
	int fd;
	uint32_t block_used;
	uint8_t block[BLOCK_BYTES + CHUNK_BYTES + TAG_BYTES];
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "floor: %s: %s\n", what, why);
	exit(RC_FAILED);
}

static void write_block(struct bare *b, uint32_t n)
{
	for (uint32_t done = 0; done < n;) {
		ssize_t w = write(b->fd, b->block + done, n - done);
		if (w < 0)
			die("output", strerror(errno));
		done += (uint32_t)w;
	}
	b->written += n;
	b->block_used -= n;
	memmove(b->block, b->block + n, b->block_used);
}

static void seal(struct bare *b, struct stream *s)
{
	uint8_t nonce[NONCE_LEN] = { 0 }, *out = b->block + b->block_used;
	int n = 0, rest = 0;
	put_u64_le(nonce + 4, s->chunks++);
	if (EVP_EncryptInit_ex(b->cipher, NULL, NULL, s->key, nonce) != 1 ||
	    EVP_EncryptUpdate(b->cipher, out, &n, s->buffer, (int)s->used) != 1 ||
	    EVP_EncryptFinal_ex(b->cipher, out + n, &rest) != 1 ||
	    EVP_CIPHER_CTX_ctrl(b->cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + n) != 1)
		die("AES-256-GCM", "failed");
	b->block_used += s->used + TAG_BYTES;
	s->used = 0;
	if (b->block_used >= BLOCK_BYTES)
		write_block(b, BLOCK_BYTES);
}

static uint32_t flow_hash(const struct flow_key *k)
{
	uint64_t h = ((uint64_t)k->src << 32 | k->dst) * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 29 ^ ((uint64_t)k->ports << 32 | k->ssrc)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 40);
}

static struct stream *flow_find(struct bare *b, const struct flow_key *k)
{
	uint32_t at = flow_hash(k) & (SLOTS - 1);
	while (b->slots[at].stream) {
		if (memcmp(&b->slots[at].key, k, sizeof *k) == 0)
			return b->slots[at].stream;
		at = (at + 1) & (SLOTS - 1);
	}
	struct stream *s = malloc(sizeof *s);
	if (!s || ++b->streams > SLOTS / 2 || RAND_bytes(s->key, KEY_LEN) != 1)
		die("streams", "no room for another");
	s->chunks = 0;
	s->used = 0;
	b->slots[at] = (struct slot){ *k, s };
	return s;
}

static void append(struct bare *b, struct stream *s, const uint8_t *p, uint32_t len)
{
	if (s->used + len > CHUNK_BYTES)
		seal(b, s);
	memcpy(s->buffer + s->used, p, len);
	s->used += len;
}

/* Ethernet, IPv4 without options, UDP, RTP without CSRC or extension: what bench/generate makes. */
static void packet(u_char *ctx, const struct pcap_pkthdr *h, const u_char *frame)
{
	struct bare *b = (void *)ctx;
	struct bytes in = bytes_over(frame, h->caplen);
	struct flow_key k;
	b->packets++;
	bytes_skip(&in, 12);
	uint16_t ether_type = bytes_u16(&in);
	uint8_t version = bytes_u8(&in);
	bytes_skip(&in, 8);
	uint8_t protocol = bytes_u8(&in);
	bytes_skip(&in, 2);
	k.src = bytes_u32(&in);
	k.dst = bytes_u32(&in);
	k.ports = bytes_u32(&in);
	uint32_t udp_len = bytes_u16(&in);
	bytes_skip(&in, 2);
	uint16_t first = bytes_u16(&in);
	bytes_skip(&in, 6);
	k.ssrc = bytes_u32(&in);
	if (in.failed || ether_type != 0x0800 || version != 0x45 || protocol != 17 ||
	    first >> 8 != 0x80 || udp_len < 20)
		return;
	uint32_t len = udp_len - 20;
	const uint8_t *payload = bytes_take(&in, len);
	if (!payload || len > CHUNK_BYTES)
		return;
	b->rtp++;
	b->audio_bytes += len;
	append(b, flow_find(b, &k), payload, len);
}

static void finish(struct bare *b)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (b->slots[i].stream && b->slots[i].stream->used > 0)
			seal(b, b->slots[i].stream);
		free(b->slots[i].stream);
	}
	write_block(b, b->block_used);
	if (fdatasync(b->fd) < 0 || close(b->fd) < 0)
		die("output", strerror(errno));
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double wall_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_result(const struct bare *b, double wall)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	double cpu = seconds(u.ru_utime) + seconds(u.ru_stime);
	printf("{\"packets\": %" PRIu64 ", \"rtp_packets\": %" PRIu64 ", \"audio_bytes\": %" PRIu64
	       ", \"streams\": %" PRIu32 ", \"bytes_written\": %" PRIu64
	       ", \"user_s\": %.6f, \"system_s\": %.6f, \"cpu_s\": %.6f, \"wall_s\": %.6f"
	       ", \"packets_per_cpu_s\": %.0f}\n",
	       b->packets, b->rtp, b->audio_bytes, b->streams, b->written, seconds(u.ru_utime),
	       seconds(u.ru_stime), cpu, wall, (double)b->packets / cpu);
}

int main(int argc, char **argv)
{
	static struct bare b;
	char why[PCAP_ERRBUF_SIZE];
	double began = wall_seconds();
	if (argc != 3) {
		fputs("usage: floor CAPTURE OUTPUT\n", stderr);
		return RC_USAGE;
	}
	pcap_t *in = pcap_open_offline(argv[1], why);
	if (!in)
		die("capture", why);
	b.fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (b.fd < 0)
		die(argv[2], strerror(errno));
	b.slots = calloc(SLOTS, sizeof *b.slots);
	b.cipher = EVP_CIPHER_CTX_new();
	if (!b.slots || !b.cipher ||
	    EVP_EncryptInit_ex(b.cipher, EVP_aes_256_gcm(), NULL, NULL, NULL) != 1)
		die("start", "memory is short");
	if (pcap_loop(in, -1, packet, (u_char *)&b) < 0)
		die("capture", pcap_geterr(in));
	pcap_close(in);
	finish(&b);
	EVP_CIPHER_CTX_free(b.cipher);
	free(b.slots);
	print_result(&b, wall_seconds() - began);
	return RC_OK;
}
