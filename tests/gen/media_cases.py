# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What networks do to media: relays, NAT, strangers, groups, keys and reports on the ports of media.

A case is a function from a seed to a Scene, as in cases.py; `scene.counters` is what the recorder
must have counted besides.  tests/e2e/media.py records each.
"""

import wire
from scene import Scene

CASES = {}
PROXY = ("10.9.0.1", 5060)
RELAY = "10.9.0.2"
HOP_US = 300  # through a relay


def case(f):
    def made(seed):
        s = Scene(seed)
        s.counters = {}
        f(s)
        return s

    CASES[f.__name__] = made
    return f


# ---- a proxy that carries one Call-ID twice, and a relay that carries its media ----------------------


def side_of_proxy(scene, call, relay_of):
    """Each message goes to the proxy, and from it with the relay's address in its SDP."""
    messages, scene.sent = scene.sent, []
    for us, src, dst, payload in messages:
        side = 0 if src == call.parties[0].sip else 1
        scene.send(us, src, PROXY, payload)
        head, _, body = payload.partition(b"\r\n\r\n")
        ip, port = call.parties[side].media
        body = body.replace(ip.encode(), RELAY.encode())
        body = body.replace(b"m=audio %d" % port, b"m=audio %d" % relay_of[side][1])
        lines = [x for x in head.split(b"\r\n") if not x.startswith(b"Content-Length")]
        lines.insert(1, b"Via: SIP/2.0/UDP 10.9.0.1;branch=z9hG4bKproxy%d" % (us % 10**9))
        if payload.startswith(b"SIP/2.0"):  # towards the one who asked, its own Via only
            lines.pop(1)
            lines_a = head.split(b"\r\n")
            via = b"Via: SIP/2.0/UDP 10.9.0.1;branch=z9hG4bKp%d" % (us % 10**9)
            scene.sent[-1] = (us, src, PROXY, b"\r\n".join(lines_a[:1] + [via] + lines_a[1:])
                              + b"\r\n\r\n" + payload.partition(b"\r\n\r\n")[2])  # fmt: skip
        lines.append(b"Content-Length: %d" % len(body))
        scene.send(us + 1000, PROXY, dst, b"\r\n".join(lines) + b"\r\n\r\n" + body)


def relayed(s, far_first=False, stops=None, copies_lost=0):
    """Both voices on both sides of a relay.  stops: when the near flows end, while the far go on."""
    c = s.call()
    relay_of = [(RELAY, 30000), (RELAY, 30002)]  # who stands for the caller, for the callee
    c.begin()
    c.bye(4.0047)
    side_of_proxy(s, c, relay_of)
    n = 0
    for side in (0, 1):
        near = c.talk(side, 0.6 + 0.0131 * side, 4.0, dst=relay_of[1 - side])
        far = (relay_of[side], c.parties[1 - side].media)
        near.datagrams = lambda: iter(())  # sent here instead
        for i, p in enumerate(near.packets):
            data = wire.rtp(p.pt, p.seq, p.ts, near.ssrc, p.payload, p.marker)
            at = p.us + (-HOP_US if far_first else HOP_US)
            on_near = stops is None or p.us < s.us(stops)
            on_far = not (copies_lost and i % copies_lost == 1)
            if on_near:
                s.send(p.us, near.src, near.dst, data)
            if on_far:
                s.send(at, *far, data)
            if not on_near or far_first:
                p.arrivals = [at]
            n += on_near and on_far
    s.counters["rtp-relay-copy"] = n


@case
def relay_on_both_sides(s):
    relayed(s)


@case
def relay_whose_far_side_comes_first(s):
    relayed(s, far_first=True)


@case
def relay_whose_near_side_stops(s):
    relayed(s, stops=2.2)


@case
def relay_that_loses_packets(s):
    relayed(s, copies_lost=7)


# ---- who speaks ------------------------------------------------------------------------------------


@case
def nat_binds_anew(s):
    """The caller is behind NAT, and comes from another port after a while; one number is lost."""
    c = s.call(shown="192.168.7.7").begin()
    ip, port = c.parties[0].media
    c.talk(0, 0.55, 2.0)
    c.talk(0, 2.0, 4.0, src=(ip, port + 1000))
    c.talk(1, 0.56, 4.0)
    c.bye(4.0047)
    s.counters["streams-foreign"] = 0


@case
def page_to_a_multicast_group(s):
    """One way, to a group that others may speak to as well."""
    callee = s.party("3001", 1)
    callee.media = ("239.1.2.3", 6000)
    c = s.call(s.party("2001", 0), callee).begin()
    c.talk(0, 0.55, 4.0)
    c.bye(4.0047)
    s.counters["streams-foreign"] = 0


@case
def one_source_to_two_calls(s):
    """Music for two who wait: one SSRC, the same packets, two calls."""
    music = ("10.7.0.1", 7000)
    first = s.call("2001", "3001").begin()
    second = s.call("2002", "3002").begin(at=0.2)
    packets = first.talk(1, 1.0, 4.0, src=music)
    other = second.talk(1, 1.0, 1.0, sender=first.senders[1], src=music)
    other.packets = packets.packets
    first.bye(4.0047)
    second.bye(4.0047)
    s.counters["rtp-relay-copy"] = 0


# ---- reports, keys, and what else shares the ports ---------------------------------------------------


def reports(s, muxed):
    c = s.call().simple(end=4.0)
    for side in (0, 1):
        (src, port), (dst, to) = c.parties[side].media, c.parties[1 - side].media
        for n in range(4):
            data = wire.rtcp_sender_report(c.senders[side].ssrc, 8000 * n, 50 * n, 8000 * n)
            ends = ((src, port), (dst, to)) if muxed else ((src, port + 1), (dst, to + 1))
            s.send(s.us(1.0 + 0.7 * n + 0.01 * side), *ends, data)
    s.counters.update({"rtcp": 8, "to-nobody": 0, "rtcp-malformed": 0})


@case
def reports_on_the_next_port(s):
    reports(s, False)


@case
def reports_on_the_port_of_rtp(s):
    reports(s, True)


@case
def stun_dtls_and_zrtp_among_the_audio(s):
    c = s.call().simple(end=4.0)
    ends = c.parties[0].media, c.parties[1].media
    hello = {
        "media-stun": bytes([0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]) + bytes(12),
        "media-dtls": bytes([22, 0xFE, 0xFD]) + bytes(40),
        "media-zrtp": bytes([16, 0, 0, 1]) + b"ZRTP" + bytes(24),
        "media-other": bytes(2),
    }
    for n, (name, data) in enumerate(hello.items()):
        for again in range(3):
            s.send(s.us(1.0 + 0.1 * n + 0.5 * again), *ends, data)
        s.counters[name] = 3
