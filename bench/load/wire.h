/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* wire.h: the heads of frames: Ethernet, IPv4, UDP, TCP, and what a mirror session puts around them.
 *
 *   plain     Ethernet ─ IPv4 ─ UDP ─ RTP
 *   VLAN      Ethernet with an 802.1Q tag ─ IPv4 ─ ...
 *   VXLAN     Ethernet ─ IPv4 ─ UDP 4789 ─ VXLAN ─ the plain frame          (RFC 7348)
 *   GRE       Ethernet ─ IPv4 ─ GRE (transparent Ethernet) ─ the plain frame (RFC 2784)
 *   ERSPAN    Ethernet ─ IPv4 ─ GRE with sequence ─ ERSPAN II ─ the plain frame
 */
#ifndef CALLSPAN_BENCH_LOAD_WIRE_H
#define CALLSPAN_BENCH_LOAD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_UDP_AT          42 /* Ethernet 14, IPv4 20, UDP 8: here RTP and SIP begin */
#define WIRE_TCP_AT          54
#define WIRE_MESSAGE_AT_MOST WIRE_TCP_AT
#define WIRE_RTP_HEAD        12
#define WIRE_TUNNEL_MOST     50

enum wire_tunnel { WIRE_PLAIN, WIRE_VLAN, WIRE_VXLAN, WIRE_GRE, WIRE_ERSPAN, WIRE_TUNNELS };
extern const char *const wire_tunnel_names[WIRE_TUNNELS]; /* "vxlan" */
extern const uint8_t wire_tunnel_room[WIRE_TUNNELS];      /* bytes that it adds */

struct wire_end {
	uint32_t address;
	uint16_t port;
};

/* Write the head before `len` bytes of payload at p[WIRE_UDP_AT], p[WIRE_TCP_AT]. */
void wire_udp(uint8_t *p, struct wire_end src, struct wire_end dst, size_t len);
void wire_tcp(uint8_t *p, struct wire_end src, struct wire_end dst, uint32_t sequence,
	      uint32_t acknowledged, size_t len);

/* A head of wire_udp()'s is to be before `len` bytes instead. */
void wire_udp_resize(uint8_t *p, size_t len);

/* The frame of `len` bytes stands at p + wire_tunnel_room[t]: put the tunnel around it, so that it begins at p.
 * `number` counts the frames.  Gives the whole length. */
size_t wire_tunnel(uint8_t *p, enum wire_tunnel t, size_t len, uint32_t number);

#endif
