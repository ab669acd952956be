/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcap_file.h: packets in, a capture file out (libpcap's format 2.4, microseconds, LINKTYPE_RAW).  Private to
 * src/vault; on the vault's thread.  It is kept in memory until it is written, and wiped when it is freed.
 */
#ifndef CALLSPAN_VAULT_PCAP_FILE_H
#define CALLSPAN_VAULT_PCAP_FILE_H

#include "store/store.h"

#define PCAP_PIECES 2

/* A UDP datagram: its payload in pieces, one behind the other. */
struct pcap_packet {
	int64_t ts_us;
	struct endpoint src, dst;
	struct {
		const uint8_t *bytes; /* borrowed until return */
		size_t len;
	} pieces[PCAP_PIECES];
	uint32_t len;      /* of all pieces */
	uint32_t wire_len; /* > len: it was cut by the snap length */
};

struct pcap_file;
struct pcap_file *pcap_file_new(void);
void pcap_file_free(struct pcap_file *f);
/* Add a packet, at any time.  NULL: memory is short; else its payload as kept (borrowed until the next). */
const uint8_t *pcap_file_packet(struct pcap_file *f, const struct pcap_packet *x);
/* In order of time, those of the same microsecond as they were added.  The descriptor is not closed. */
enum rc pcap_file_write(struct pcap_file *f, int fd, struct error *err) MUST_USE;
size_t pcap_file_packets(const struct pcap_file *f);
/* After writing; 0: it has none. */
int64_t pcap_file_first_us(const struct pcap_file *f);
int64_t pcap_file_last_us(const struct pcap_file *f);

#endif
