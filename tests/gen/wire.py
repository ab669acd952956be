# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""From UDP payloads to capture files: every byte order, link and layer the tests need.

Nothing here knows what a call is.  An endpoint is a tuple (address text, port); IPv6 is
recognised by the colon.  Times are integers: Unix microseconds.
"""

import ipaddress
import struct

LINKTYPES = {"null": 0, "ether": 1, "raw": 101, "sll": 113, "sll2": 276}
MAC_A, MAC_B = bytes.fromhex("020000770001"), bytes.fromhex("020000770002")


# ---- layers, from the inside out ---------------------------------------------------------


def rtp(pt, seq, ts, ssrc, payload, marker=False, csrc=(), extension=None, padding=0):
    """RFC 3550, 5.1.  `extension` is (profile, bytes of a multiple of 4)."""
    first = 0x80 | bool(padding) << 5 | (extension is not None) << 4 | len(csrc)
    head = struct.pack("!BBHII", first, marker << 7 | pt, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc)
    head += b"".join(struct.pack("!I", c) for c in csrc)
    if extension is not None:
        head += struct.pack("!HH", extension[0], len(extension[1]) // 4) + extension[1]
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    return head + payload + tail


def rtcp_sender_report(ssrc, ts, packets, octets):
    """RFC 3550, 6.4.1, without report blocks."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 0, ts & 0xFFFFFFFF, packets, octets)


def telephone_event(event, duration, end=False, volume=10):
    """RFC 4733, 2.3.  duration in timestamp units."""
    return struct.pack("!BBH", event, end << 7 | volume, duration)


def _ones_complement(data):
    # 2^16 = 1 (mod 65535), so the sum of the 16-bit words is the number itself modulo 65535.
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big")
    rest = total % 0xFFFF
    return 0xFFFF if total and not rest else rest


def udp(src, dst, payload):
    """An IPv4 or IPv6 packet that carries one UDP datagram."""
    length = 8 + len(payload)
    head = struct.pack("!HHHH", src[1], dst[1], length, 0)
    a, b = _address(src[0]), _address(dst[0])
    pseudo = a + b + struct.pack("!HH", 17, length)
    checksum = 0xFFFF ^ _ones_complement(pseudo + head + payload) or 0xFFFF
    datagram = head[:6] + struct.pack("!H", checksum) + payload
    if len(a) == 16:
        return struct.pack("!IHBB", 0x60000000, length, 17, 64) + a + b + datagram
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0) + a + b
    checksum = 0xFFFF ^ _ones_complement(ip)
    return ip[:10] + struct.pack("!H", checksum) + ip[12:] + datagram


def fragments(packet, mtu, ident):
    """An IP packet in fragments of at most `mtu` bytes (RFC 791, 3.2; RFC 8200, 4.5)."""
    v6 = packet[0] >> 4 == 6
    head, body = packet[: 40 if v6 else 20], packet[40 if v6 else 20 :]
    step = (mtu - (48 if v6 else 20)) // 8 * 8
    out = []
    for at in range(0, len(body), step):
        part, more = body[at : at + step], at + step < len(body)
        if v6:
            extra = struct.pack("!BBHI", head[6], 0, at | more, ident)
            length = struct.pack("!H", len(extra) + len(part))
            out.append(head[:4] + length + bytes([44]) + head[7:] + extra + part)
            continue
        where = struct.pack("!HHH", 20 + len(part), ident & 0xFFFF, more << 13 | at // 8)
        ip = head[:2] + where + head[8:10] + b"\0\0" + head[12:]
        checksum = 0xFFFF ^ _ones_complement(ip)
        out.append(ip[:10] + struct.pack("!H", checksum) + ip[12:] + part)
    return out


SYN, RST, PSH, ACK, FIN = 2, 4, 8, 16, 1


def tcp(src, dst, seq, payload=b"", flags=ACK):
    """An IPv4 or IPv6 packet that carries one TCP segment (RFC 9293, 3.1)."""
    packet = udp(src, dst, bytes(12) + payload)
    size = 40 if packet[0] >> 4 == 6 else 20
    a, b = _address(src[0]), _address(dst[0])
    ports, order = (src[1], dst[1]), (seq & 0xFFFFFFFF, 0)
    head = struct.pack("!HHIIBBHHH", *ports, *order, 5 << 4, flags, 65535, 0, 0)
    pseudo = a + b + struct.pack("!HH", 6, len(head) + len(payload))
    checksum = 0xFFFF ^ _ones_complement(pseudo + head + payload)
    segment = head[:16] + struct.pack("!H", checksum) + head[18:] + payload
    if size == 40:
        return packet[:6] + bytes([6]) + packet[7:40] + segment
    ip = packet[:9] + bytes([6]) + b"\0\0" + packet[12:20]
    return ip[:10] + struct.pack("!H", 0xFFFF ^ _ones_complement(ip)) + ip[12:] + segment


def websocket(payload, opcode=1, final=True, mask=None):
    """One WebSocket frame (RFC 6455, 5.2); `mask`: 4 bytes, as a client sends."""
    n, bit = len(payload), 0x80 if mask else 0
    head = bytes([final << 7 | opcode])
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += struct.pack("!BH", bit | 126, n)
    else:
        head += struct.pack("!BQ", bit | 127, n)
    if mask:
        payload = bytes(c ^ mask[i % 4] for i, c in enumerate(payload))
    return head + (mask or b"") + payload


def vxlan(packet, src, dst):
    """An IP packet in an Ethernet frame in VXLAN (RFC 7348, 5)."""
    return udp(src, dst, struct.pack("!II", 0x08000000, 77 << 8) + link("ether", packet))


_packed = {}


def _address(text):
    if text not in _packed:
        _packed[text] = ipaddress.ip_address(text).packed
    return _packed[text]


def link(kind, packet, vlan=()):
    """Put a link header before an IP packet.  `vlan`: tags, outermost first (Ethernet only)."""
    v6 = packet[0] >> 4 == 6
    ethertype = b"\x86\xdd" if v6 else b"\x08\x00"
    if kind == "ether":
        tags = b"".join(
            struct.pack("!HH", 0x88A8 if i + 1 < len(vlan) else 0x8100, tag)
            for i, tag in enumerate(vlan)
        )
        frame = MAC_B + MAC_A + tags + ethertype + packet
        return frame + bytes(max(0, 60 - len(frame)))
    if kind == "sll":
        return struct.pack("!HHH", 0, 1, 6) + MAC_A + b"\0\0" + ethertype + packet
    if kind == "sll2":
        return ethertype + struct.pack("!HIHBB", 0, 1, 1, 0, 6) + MAC_A + b"\0\0" + packet
    if kind == "null":
        return struct.pack("<I", 30 if v6 else 2) + packet
    return packet


# ---- capture files -------------------------------------------------------------------------


class Pcap:
    """A classic capture file: microseconds or nanoseconds, either byte order."""

    def __init__(self, path, linktype="ether", ns=False, big=False, snaplen=65535):
        self.file = open(path, "wb")
        self.order = ">" if big else "<"
        self.scale = 1000 if ns else 1
        self.snaplen = snaplen
        magic = 0xA1B23C4D if ns else 0xA1B2C3D4
        number = LINKTYPES[linktype]
        self.file.write(struct.pack(self.order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, number))

    def frame(self, us, data, keep=None):
        kept = data[: keep or self.snaplen]
        head = struct.pack(
            self.order + "IIII", us // 1000000, us % 1000000 * self.scale, len(kept), len(data)
        )
        self.file.write(head + kept)

    def close(self):
        self.file.close()


class Pcapng:
    """The least of a pcapng file: section header, one interface, enhanced packets."""

    def __init__(self, path, linktype="ether", ns=False, big=False, snaplen=65535):
        self.file = open(path, "wb")
        self.order = ">" if big else "<"
        self.scale = 1000 if ns else 1
        self.snaplen = snaplen
        self._block(0x0A0D0D0A, struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        resolution = struct.pack(self.order + "HHB3xHH", 9, 1, 9 if ns else 6, 0, 0)
        number = LINKTYPES[linktype]
        self._block(1, struct.pack(self.order + "HHI", number, 0, snaplen) + resolution)

    def _block(self, kind, body):
        total = 12 + len(body)
        head = struct.pack(self.order + "II", kind, total)
        self.file.write(head + body + struct.pack(self.order + "I", total))

    def frame(self, us, data, keep=None):
        kept = data[: keep or self.snaplen]
        stamp = us * self.scale
        head = struct.pack(
            self.order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(kept), len(data)
        )
        self._block(6, head + kept + bytes(-len(kept) % 4))

    def close(self):
        self.file.close()
