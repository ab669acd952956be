/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* wire.c: heads, byte by byte. */
#include "load/wire.h"

#include <string.h>

#include "base/bytes.h"

#define IP_AT      14
#define PROTO_TCP  6
#define PROTO_UDP  17
#define PROTO_GRE  47
#define TCP_PSH    0x08
#define TCP_ACK    0x10
#define VXLAN_PORT 4789
#define VLAN_ID    100
#define ERSPAN_ID  7

const char *const wire_tunnel_names[WIRE_TUNNELS] = { "plain", "vlan", "vxlan", "gre", "erspan" };
const uint8_t wire_tunnel_room[WIRE_TUNNELS] = {
	[WIRE_VLAN] = 4, [WIRE_VXLAN] = 50, [WIRE_GRE] = 38, [WIRE_ERSPAN] = 50
};

/* The two ends of the mirror session. */
static const struct wire_end mirror_from = { 0x0aff0001, 49152 };
static const struct wire_end mirror_to = { 0x0aff0002, VXLAN_PORT };

static void put_ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;
	put_u16(ip + 10, 0);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put_u16(ip + 10, (uint16_t)~sum);
}

/* Ethernet and IPv4, before `len` bytes of `protocol`; gives where those begin. */
static uint8_t *put_ip_head(uint8_t *p, uint32_t src, uint32_t dst, uint8_t protocol, size_t len)
{
	static const uint8_t ethernet[IP_AT] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0 };
	memcpy(p, ethernet, sizeof ethernet);
	uint8_t *ip = p + IP_AT;
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[1] = 0xb8; /* DSCP EF */
	put_u16(ip + 2, (uint16_t)(20 + len));
	put_u16(ip + 6, 0x4000); /* don't fragment: then the identification may be 0, RFC 6864 */
	ip[8] = 64;
	ip[9] = protocol;
	put_u32(ip + 12, src);
	put_u32(ip + 16, dst);
	put_ip_checksum(ip);
	return ip + 20;
}

void wire_udp(uint8_t *p, struct wire_end src, struct wire_end dst, size_t len)
{
	uint8_t *udp = put_ip_head(p, src.address, dst.address, PROTO_UDP, 8 + len);
	put_u16(udp, src.port);
	put_u16(udp + 2, dst.port);
	put_u16(udp + 4, (uint16_t)(8 + len));
	put_u16(udp + 6, 0); /* checksum: none, RFC 768 */
}

void wire_udp_resize(uint8_t *p, size_t len)
{
	put_u16(p + IP_AT + 2, (uint16_t)(28 + len));
	put_u16(p + WIRE_UDP_AT - 4, (uint16_t)(8 + len));
	put_ip_checksum(p + IP_AT);
}

void wire_tcp(uint8_t *p, struct wire_end src, struct wire_end dst, uint32_t sequence,
	      uint32_t acknowledged, size_t len)
{
	uint8_t *tcp = put_ip_head(p, src.address, dst.address, PROTO_TCP, 20 + len);
	memset(tcp, 0, 20);
	put_u16(tcp, src.port);
	put_u16(tcp + 2, dst.port);
	put_u32(tcp + 4, sequence);
	put_u32(tcp + 8, acknowledged);
	tcp[12] = 5 << 4;
	tcp[13] = TCP_ACK | TCP_PSH;
	put_u16(tcp + 14, 65535);
}

static void put_vxlan(uint8_t *p, size_t len)
{
	wire_udp(p, mirror_from, mirror_to, 8 + len);
	uint8_t *vxlan = p + WIRE_UDP_AT;
	memset(vxlan, 0, 8);
	vxlan[0] = 0x08; /* the VNI is valid */
	vxlan[6] = 77;
}

/* draft-foschiano-erspan: GRE with a sequence number, then version, VLAN, session, index. */
static void put_erspan(uint8_t *p, size_t len, uint32_t number)
{
	uint8_t *gre = put_ip_head(p, mirror_from.address, mirror_to.address, PROTO_GRE, 16 + len);
	put_u32(gre, UINT32_C(0x100088be));
	put_u32(gre + 4, number);
	put_u32(gre + 8, UINT32_C(1) << 28 | VLAN_ID << 16 | ERSPAN_ID);
	put_u32(gre + 12, 0);
}

size_t wire_tunnel(uint8_t *p, enum wire_tunnel t, size_t len, uint32_t number)
{
	switch (t) {
	case WIRE_VLAN:
		memmove(p, p + 4, 12);
		put_u32(p + 12, UINT32_C(0x81000000) | VLAN_ID);
		break;
	case WIRE_VXLAN: put_vxlan(p, len); break;
	case WIRE_GRE:
		put_u32(put_ip_head(p, mirror_from.address, mirror_to.address, PROTO_GRE, 4 + len),
			0x6558);
		break;
	case WIRE_ERSPAN: put_erspan(p, len, number); break;
	default: break;
	}
	return wire_tunnel_room[t] + len;
}
