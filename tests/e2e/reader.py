# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Captures read a second time, by nothing of ours: files, links, tunnels, fragments, RTP, SRTP.

It shares no line with the programs under test, so that what they say of a capture can be held
against it.  Plain and slow; it gives what is well formed and passes over everything else.
"""

import collections
import hashlib
import ipaddress
import struct
import subprocess

Datagram = collections.namedtuple("Datagram", "us src dst payload")
Rtp = collections.namedtuple("Rtp", "us seq ts pt ssrc payload")


# ---- files -----------------------------------------------------------------------------------


def frames(path):
    """(Unix microseconds, link type, bytes) of every frame of a pcap or pcapng file."""
    with open(path, "rb") as f:
        data = f.read()
    magic = data[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        yield from _pcapng(data)
        return
    orders = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<"}
    order = orders.get(magic, ">")
    ns = magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        sec, part, kept, _ = struct.unpack(order + "IIII", data[at : at + 16])
        at += 16
        yield sec * 1000000 + (part // 1000 if ns else part), link, data[at : at + kept]
        at += kept


def _pcapng(data):
    at, order, interfaces = 0, "<", []
    while at + 12 <= len(data):
        kind = data[at : at + 4]
        if kind == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        total = struct.unpack(order + "I", data[at + 4 : at + 8])[0]
        if total < 12 or at + total > len(data):
            return
        body, number = data[at + 8 : at + total - 4], struct.unpack(order + "I", kind)[0]
        if number == 1:
            link = struct.unpack(order + "H", body[:2])[0]
            interfaces.append((link, _resolution(body[8:], order)))
        elif number == 6:
            index, high, low, kept = struct.unpack(order + "IIII", body[:16])
            link, ticks = interfaces[index]
            yield (high << 32 | low) * 1000000 // ticks, link, body[20 : 20 + kept]
        at += total


def _resolution(options, order):
    """Ticks a second of an interface: option if_tsresol, 9."""
    while len(options) >= 4:
        code, n = struct.unpack(order + "HH", options[:4])
        if code == 9:
            return 2 ** (options[4] & 127) if options[4] & 128 else 10 ** options[4]
        options = options[4 + n + -n % 4 :]
    return 1000000


# ---- from a frame to its datagrams ------------------------------------------------------------

TAGS = (0x8100, 0x88A8, 0x9100)
MPLS, PPPOE, TEB = (0x8847, 0x8848), 0x8864, 0x6558


class Decoder:
    """Datagrams of one capture, fragments put together."""

    def __init__(self, path):
        self.path, self.parts = path, {}

    def datagrams(self):
        for self.us, link, data in frames(self.path):
            try:
                yield from self._link(link, data)
            except (struct.error, IndexError):
                pass

    def _link(self, link, d):
        if link == 1:
            yield from self._ether(d)
        elif link in (0, 108, 12, 14, 101, 228, 229):
            yield from self._ip(d[4:] if link in (0, 108) else d)
        elif link == 113:
            yield from self._type(struct.unpack("!H", d[14:16])[0], d[16:])
        elif link == 276:
            yield from self._type(struct.unpack("!H", d[:2])[0], d[20:])
        elif link in (9, 50):
            yield from self._ppp(d[2:] if d[:2] == b"\xff\x03" else d)

    def _ether(self, d):
        yield from self._type(struct.unpack("!H", d[12:14])[0], d[14:])

    def _ppp(self, d):
        if d[:1] == b"\x21":
            d = b"\0" + d
        if struct.unpack("!H", d[:2])[0] in (0x21, 0x57):
            yield from self._ip(d[2:])

    def _type(self, ethertype, d):
        while ethertype in TAGS:
            ethertype, d = struct.unpack("!H", d[2:4])[0], d[4:]
        if ethertype in (0x0800, 0x86DD):
            yield from self._ip(d)
        elif ethertype in MPLS:
            while not d[2] & 1:
                d = d[4:]
            d = d[4:]
            if d[0] >> 4 in (4, 6):
                yield from self._ip(d)
            else:
                yield from self._ether(d[4:] if d[0] >> 4 == 0 else d)
        elif ethertype == PPPOE:
            yield from self._ppp(d[6:])
        elif ethertype == TEB:
            yield from self._ether(d)

    def _ip(self, d):
        if d[0] >> 4 == 4:
            size, total = (d[0] & 15) * 4, struct.unpack("!H", d[2:4])[0]
            ident, where = struct.unpack("!HH", d[4:8])
            src, dst, body = d[12:16], d[16:20], d[size : total or len(d)]
            if where & 0x3FFF:
                key = (src, dst, ident, d[9])
                body = self._fragment(key, (where & 0x1FFF) * 8, where & 0x2000, body)
            yield from self._transport(d[9], src, dst, body)
        elif d[0] >> 4 == 6:
            size, following = struct.unpack("!H", d[4:6])[0], d[6]
            src, dst, body = d[8:24], d[24:40], d[40 : 40 + size]
            while following in (0, 43, 44, 60) and body:
                following, body = self._extension(following, src, dst, body)
            yield from self._transport(following, src, dst, body)

    def _extension(self, kind, src, dst, body):
        if kind != 44:
            return body[0], body[8 + body[1] * 8 :]
        where, ident = struct.unpack("!HI", body[2:8])
        return body[0], self._fragment((src, dst, ident), where & ~7, where & 1, body[8:])

    def _fragment(self, key, offset, more, body):
        """The whole datagram when this was its last missing part, else nothing."""
        parts = self.parts.setdefault(key, {})
        parts.setdefault(offset, (body, more))
        out = b""
        while len(out) in parts:
            body, more = parts[len(out)]
            out += body
            if not more:
                del self.parts[key]
                return out
        return b""

    def _transport(self, protocol, src, dst, d):
        if not d:
            return
        if protocol in (4, 41):
            yield from self._ip(d)
        elif protocol == 47:
            yield from self._gre(d)
        elif protocol == 17:
            sport, dport, size = struct.unpack("!HHH", d[:6])
            payload = d[8:size] if size >= 8 else d[8:]
            yield Datagram(self.us, (src, sport), (dst, dport), payload)
            yield from self._tunnel(dport, payload)

    def _gre(self, d):
        flags, ethertype = struct.unpack("!HH", d[:4])
        at = 4 + 4 * bool(flags & 0x8000) + 4 * bool(flags & 0x2000) + 4 * bool(flags & 0x1000)
        if ethertype == 0x88BE:  # ERSPAN I has no sequence number and no header; II has 8 bytes
            yield from self._ether(d[at + 8 :] if flags & 0x1000 else d[at:])
        elif ethertype == 0x22EB:  # ERSPAN III
            yield from self._ether(d[at + 12 + 8 * (d[at + 11] & 1) :])
        else:
            yield from self._type(ethertype, d[at:])

    def _tunnel(self, port, d):
        if port in (4789, 8472) and d[:1] == b"\x08":
            yield from self._ether(d[8:])
        elif port == 6081:
            yield from self._type(struct.unpack("!H", d[2:4])[0], d[8 + (d[0] & 63) * 4 :])
        elif port == 2152 and d[0] >> 5 == 1 and d[1] == 255:
            at = 12 if d[0] & 7 else 8
            while d[0] & 4 and d[at - 1]:
                at += d[at] * 4
            yield from self._ip(d[at:])


def endpoint(address):
    ip, port = ipaddress.ip_address(address[0]), address[1]
    return ("[%s]:%d" if ip.version == 6 else "%s:%d") % (ip, port)


# ---- RTP --------------------------------------------------------------------------------------


def rtp(us, d):
    """RFC 3550, 5.1; None for what is not RTP."""
    if len(d) < 12 or d[0] >> 6 != 2 or 192 <= d[1] <= 223:
        return None
    second, seq, ts, ssrc = struct.unpack("!BHII", d[1:12])
    at = 12 + 4 * (d[0] & 15)
    if d[0] & 16 and at + 4 <= len(d):
        at += 4 + 4 * struct.unpack("!H", d[at + 2 : at + 4])[0]
    end = len(d) - (d[-1] if d[0] & 32 else 0)
    return Rtp(us, seq, ts, second & 127, ssrc, d[at:end])


def streams(path):
    """{(source, destination, SSRC): [Rtp]} as they came, copies and all."""
    out = collections.defaultdict(list)
    for d in Decoder(path).datagrams():
        packet = rtp(d.us, d.payload)
        if packet:
            out[(endpoint(d.src), endpoint(d.dst), packet.ssrc)].append(packet)
    return out


def in_order(packets):
    """{extended sequence number: Rtp}, the first copy of each."""
    out, newest = {}, None
    for p in packets:
        if newest is None:
            newest = 0x10000 + p.seq
        extended = newest + ((p.seq - newest + 0x8000) & 0xFFFF) - 0x8000
        newest = max(newest, extended)
        out.setdefault(extended, p)
    return dict(sorted(out.items()))


def audio_types(packets, events=()):
    """Payload types that a stream's payload is hashed of: G.711 if any, else the most frequent."""
    count = collections.Counter(p.pt for p in packets if p.pt not in events)
    return {0, 8} & set(count) or {pt for pt, _ in count.most_common(1)}


def sha1(packets):
    return hashlib.sha1(b"".join(p.payload for p in packets)).hexdigest()


# ---- SRTP with a key (RFC 3711; AES_CM_128) -----------------------------------------------------


def aes_blocks(key, blocks):
    """AES-128 of each 16-byte block, by the openssl program."""
    command = ("openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key.hex())
    return subprocess.run(command, input=b"".join(blocks), stdout=subprocess.PIPE).stdout


def derived(key, salt, label):
    """RFC 3711, 4.3.1, without a key derivation rate."""
    return aes_blocks(key, [((salt ^ label << 48) << 16).to_bytes(16, "big")])


def srtp_open(master, ordered, tag=10):
    """Decrypted payloads of {extended sequence number: Rtp}; `master` is key and salt."""
    key, salt = master[:16], int.from_bytes(master[16:30], "big")
    session_key = derived(key, salt, 0)
    session_salt = int.from_bytes(derived(key, salt, 2)[:14], "big")
    blocks, sizes = [], []
    for extended, p in ordered.items():
        iv = session_salt << 16 ^ p.ssrc << 64 ^ (extended - 0x10000) << 16
        size = len(p.payload) - tag
        blocks += [(iv + n).to_bytes(16, "big") for n in range((size + 15) // 16)]
        sizes.append(size)
    stream, at, out = aes_blocks(session_key, blocks), 0, []
    for p, size in zip(ordered.values(), sizes):
        mask = stream[at : at + size]
        at += (size + 15) // 16 * 16
        out.append(p._replace(payload=bytes(a ^ b for a, b in zip(p.payload, mask))))
    return out
