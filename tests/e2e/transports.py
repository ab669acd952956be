#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Calls that cross the wire in pieces: IP fragments, SIP over TCP and WebSocket.

Each scene is what tests/gen makes of a call over UDP, carried otherwise; the recording must be the
same: listed, and sample-exact.  The floods take 2 s of packet time, LONG=1 the full 30.
"""

from harness import LONG, check, main, program, read_counters, run, same, test, tests_of

import random
import sys

import wire
from compare import STATISTICS, check_audio, check_scene, check_streams, read_wav
from lab import LIVE_OFFSET_S, Wire
from scene import COPY_US, Scene

SEGMENT_US = 150  # between the pieces of a message; the last stands where the message stood


def is_sip(payload):
    return payload[0] < 0x80


class Carrier:
    """What becomes of each datagram: (us, src, dst, payload) -> [(us, IP packet)]."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def first(self, us):
        return []

    def carry(self, us, src, dst, payload):
        return [(us, wire.udp(src, dst, payload))]

    def spread(self, us, packets, shuffle=False, twice=False):
        if shuffle:
            self.random.shuffle(packets)
        out = [(us - SEGMENT_US * n, p) for n, p in enumerate(reversed(packets))]
        return out + [(t + COPY_US, p) for t, p in out if twice]


class Fragmented(Carrier):
    def __init__(self, seed, mtu=576, shuffle=False, twice=False, media=False, tunnel=False):
        super().__init__(seed)
        self.mtu, self.shuffle, self.twice, self.media = mtu, shuffle, twice, media
        self.tunnel, self.ident = tunnel, 0

    def carry(self, us, src, dst, payload):
        if not is_sip(payload) and not self.media:
            return super().carry(us, src, dst, payload)
        packet = wire.udp(src, dst, payload)
        if self.tunnel:
            packet = wire.vxlan(packet, ("10.99.0.1", 50000), ("10.99.0.2", 4789))
        if len(packet) <= self.mtu:
            return [(us, packet)]
        self.ident += 1
        parts = wire.fragments(packet, self.mtu, self.ident)
        return self.spread(us, parts, self.shuffle, self.twice)


class Tcp(Carrier):
    """Each direction of each pair of SIP endpoints is one TCP connection's."""

    def __init__(self, seed, size=1460, shuffle=False, twice=False, middle=False, joined=0):
        super().__init__(seed)
        self.size, self.shuffle, self.twice = size, shuffle, twice
        self.middle, self.joined = middle, joined
        self.at = {}

    def opening(self, way):
        """What the direction begins with."""
        return b""

    def wrap(self, way, payload):
        return payload

    def begin(self, us, src, dst):
        out = []
        for n, way in enumerate(((src, dst), (dst, src))):
            self.at[way] = self.random.getrandbits(32)
            if not self.middle:
                flags = wire.SYN | (wire.ACK if n else 0)
                out.append((us - 90000 + n, wire.tcp(*way, self.at[way], flags=flags)))
                self.at[way] += 1
            text = self.opening(way)
            if self.middle:
                text = b"a=the end of a message\r\n\r\n"
            out += self.segments(us - 80000 + n * 20000, *way, text)
        return out

    def segments(self, us, src, dst, text):
        parts = []
        for at in range(0, len(text), self.size):
            part = text[at : at + self.size]
            parts.append(wire.tcp(src, dst, self.at[src, dst] + at, part, wire.ACK | wire.PSH))
        self.at[src, dst] += len(text)
        return self.spread(us, parts, self.shuffle, self.twice)

    def carry(self, us, src, dst, payload):
        if not is_sip(payload):
            return super().carry(us, src, dst, payload)
        out = [] if (src, dst) in self.at else self.begin(us, src, dst)
        return out + self.segments(us, src, dst, self.wrap((src, dst), payload))


class WebSocket(Tcp):
    def __init__(self, seed, frame=100000, **more):
        super().__init__(seed, **more)
        self.frame, self.client = frame, set()

    def opening(self, way):
        head = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
        if (way[1], way[0]) in self.client:
            return b"HTTP/1.1 101 Switching Protocols\r\n" + head
        self.client.add(way)
        return b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\n" + head

    def wrap(self, way, payload):
        mask = self.random.randbytes(4) if way in self.client else None
        out, parts = b"", range(0, len(payload), self.frame)
        for at in parts:
            last = at + self.frame >= len(payload)
            out += wire.websocket(payload[at : at + self.frame], 0 if at else 1, last, mask)
            if not last:
                out += wire.websocket(b"still there", 9, True, mask)
        return out


def write(scene, path, carrier, others=()):
    """Write the scene as it is carried, and other (us, IP packet) among it; gives the frames."""
    frames = list(others)
    for us, src, dst, payload in scene.datagrams():
        frames += carrier.carry(us, src, dst, payload)
    frames.sort(key=lambda f: f[0])
    out = wire.Pcap(path)
    for us, packet in frames:
        out.frame(us, wire.link("ether", packet))
    out.close()
    return len(frames)


# Name: carrier, then what it is told; `v6` is the scene's.
CARRIED = {
    "fragments": (Fragmented, {}),
    "fragments_v6": (Fragmented, dict(v6=True, mtu=400)),
    "fragments_out_of_order_and_twice": (Fragmented, dict(mtu=200, shuffle=True, twice=True)),
    "fragments_out_of_order_v6": (Fragmented, dict(mtu=200, shuffle=True, v6=True)),
    "media_in_fragments": (Fragmented, dict(mtu=100, media=True)),
    "media_in_fragments_v6": (Fragmented, dict(mtu=128, media=True, v6=True)),
    "tunnel_in_fragments": (Fragmented, dict(mtu=150, media=True, tunnel=True)),
    "tcp": (Tcp, {}),
    "tcp_v6": (Tcp, dict(v6=True)),
    "tcp_of_1_byte": (Tcp, dict(size=1)),
    "tcp_of_7_bytes": (Tcp, dict(size=7)),
    "tcp_out_of_order_and_twice": (Tcp, dict(size=100, shuffle=True, twice=True)),
    "tcp_from_the_middle": (Tcp, dict(middle=True)),
    "tcp_from_the_middle_in_parts": (Tcp, dict(middle=True, size=300)),
    "websocket": (WebSocket, {}),
    "websocket_in_frames": (WebSocket, dict(frame=50, size=200)),
    "websocket_out_of_order": (WebSocket, dict(frame=333, size=90, shuffle=True, twice=True)),
    "websocket_from_the_middle": (WebSocket, dict(middle=True)),
}


def carried(bench, name):
    make, how = CARRIED[name[len("transport_") :]]
    how = dict(how)
    scene = Scene(bench.seed, v6=how.pop("v6", False))
    for n in range(3):
        c = scene.call("20%02d" % n, "30%02d" % n)
        c.simple(at=1.0 + 0.3 * n, end=3.0)
    frames = write(scene, bench.path("x.pcap"), make(bench.seed, **how))
    store = bench.store()
    counters = store.record(bench.path("x.pcap"))
    same(counters["frames"], frames, "frames")
    same(counters["tcp-evicted"] + counters["fragment-evicted"], 0, "pieces evicted")
    same(counters["fragments-held"] + counters["segments-held"], 0, "pieces held at the end")
    check_scene(bench, scene, store)
    store.verify()


tests_of(["transport_%s" % name for name in CARRIED], carried)


@test
def one_lost_fragment_or_segment_costs_only_its_message(bench):
    """The 180 of each call is never whole: the rest is as it was."""
    for n, make in enumerate((Fragmented, Tcp)):
        scene = Scene(bench.seed)
        scene.call().simple(end=3.0)
        carrier = make(bench.seed, **(dict(mtu=200) if n == 0 else dict(size=150)))
        plain, lost = carrier.carry, []

        def carry(us, src, dst, payload):
            out = plain(us, src, dst, payload)
            if payload.startswith(b"SIP/2.0 180"):
                lost.append(out.pop(1))
            return out

        carrier.carry = carry
        write(scene, bench.path("x.pcap"), carrier)
        check(lost, "nothing was lost")
        store = bench.store("store%d" % n)
        store.record(bench.path("x.pcap"))
        rows = store.calls()
        same([(r["outcome"], r["ended_by"]) for r in rows], [("answered", "caller")], "the call")
        same(len(rows[0]["streams"]), 2, "the number of streams")
        same([s["lost"] for s in rows[0]["streams"]], [0, 0], "packets lost")


@test
def bulk_tcp_is_passed_over(bench):
    scene = Scene(bench.seed)
    for n in range(3):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.2 + 0.2 * n, end=3.0)
    r, bulk = random.Random(bench.seed), []
    for flow in range(20):
        src, dst = ("10.7.0.%d" % flow, 33000 + flow), ("10.8.0.1", 80)
        us, at = scene.us(0.01 * flow), r.getrandbits(32)
        bulk.append((us, wire.tcp(src, dst, at, flags=wire.SYN)))
        bulk.append((us + 5, wire.tcp(src, dst, at + 1, b"POST /x HTTP/1.1\r\n\r\n")))
        for n in range(200):
            part = r.randbytes(1000)
            bulk.append((us + 900 * n + 10, wire.tcp(src, dst, at + 21 + 1000 * n, part)))
    write(scene, bench.path("x.pcap"), Tcp(bench.seed), bulk)
    store = bench.store()
    counters = store.record(bench.path("x.pcap"))
    same(counters["tcp-not-sip"], 20 * 201, "tcp-not-sip")
    same(counters["tcp-flows"], 6, "tcp-flows")
    check_scene(bench, scene, store)


def flood(scene, seconds, per_second=20000):
    """Half-open fragments and half-open TCP connections, so many of each a second."""
    r, out = random.Random(scene.seed), []
    for n in range(int(seconds * per_second)):
        us = scene.us(n / per_second)
        ip = "172.%d.%d.%d" % (16 + r.getrandbits(4), r.getrandbits(8), r.getrandbits(8))
        src = (ip, n % 65536)
        dst = ("10.200.0.1", 5060)
        packet = wire.udp(src, dst, b"INVITE sip:x SIP/2.0\r\n" + bytes(50))
        out.append((us, wire.fragments(packet, 68, n)[0]))
        at = r.getrandbits(32)
        out.append((us, wire.tcp(src, dst, at, flags=wire.SYN)))
        text = b"INVITE sip:x SIP/2.0\r\nl: 9"
        out.append((us + 20, wire.tcp(src, dst, at + 1 + n % 2 * 80, text)))
    return out


# A process between: what a child takes before it becomes the recorder is its parent's size.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def record_measured(bench, store, capture, *extra):
    """The counters, and the most memory (KiB) that recording took."""
    peak, out = bench.path("peak"), bench.path("flood.json")
    run(
        sys.executable, "-c", MEASURE, peak, program("callspand"), "--store", store.path,
        "--counters", out, "-r", capture, *extra, timeout=900,
    )  # fmt: skip
    with open(peak) as f:
        return read_counters(out), int(f.read())


@test
def flood_of_half_open_pieces_costs_no_call_and_no_memory(bench):
    """The good calls come in fragments and in segments, out of order; each scene is recorded twice."""
    seconds = 30 if LONG else 2
    small = ("--set", "memory.fragments=4", "--set", "memory.tcp=8")

    def scenes():
        for n, make in enumerate((Fragmented, Tcp)):
            scene = Scene(bench.seed + n)
            for i in range(4 * seconds if LONG else 6):
                c = scene.call("20%03d" % i, "30%03d" % i)
                c.simple(at=0.3 + 0.1 * i, end=1.6, ring=0.05, answer=0.4)
            how = dict(mtu=300, shuffle=True) if n == 0 else dict(size=200, shuffle=True)
            yield scene, make(bench.seed, **how)

    peaks = {}
    for flooded in (False, True):
        for n, (scene, carrier) in enumerate(scenes()):
            others = flood(scene, seconds) if flooded else ()
            write(scene, bench.path("x.pcap"), carrier, others)
            store = bench.store("store%d%d" % (flooded, n))
            counters, peaks[flooded, n] = record_measured(
                bench, store, bench.path("x.pcap"), *small
            )
            same(counters["sip-truncated"], 0, "messages cut")
            check_scene(bench, scene, store)
            check(bool(counters["fragment-evicted"]) == flooded, "nothing was evicted")
            check(bool(counters["tcp-flows-evicted"]) == flooded, "nothing was evicted")
    for n in range(2):
        more = peaks[True, n] - peaks[False, n]
        check(more < 16 * 1024, "took %d KiB more than without a flood", more)


def check_live(bench, scene, store):
    rows = {r["sip_call_id"]: r for r in store.calls()}
    same(len(rows), len(scene.calls), "the number of calls")
    for n, call in enumerate(scene.calls):
        row = rows[call.call_id]
        for field in ("from", "to", "outcome", "ended_by", "sip_status"):
            same(row[field], call.truth()[field], field)
        check_streams(call, row, STATISTICS)
        out = bench.path("%d.wav" % n)
        store.export(row["id"], out)
        check_audio(call, read_wav(out), LIVE_OFFSET_S)


def live(bench, name):
    """The same from an interface, with one capture thread and with two."""
    scene = Scene(bench.seed)
    for n in range(4):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.3 + 0.2 * n, end=2.0, trail=0.3)
    carrier = {
        "fragments": Fragmented(bench.seed, mtu=200, shuffle=True),
        "media_in_fragments": Fragmented(bench.seed, mtu=100, media=True),
        "tcp": Tcp(bench.seed, size=100, shuffle=True, twice=True),
        "websocket": WebSocket(bench.seed, size=300),
    }[name[len("live_") :]]
    frames = write(scene, bench.path("x.pcap"), carrier)
    for threads in (1, 2):
        network, store = Wire(bench), bench.store("store%d" % threads)
        recorder = network.recorder(store, "--set", "capture.threads=%d" % threads)
        replay = network.replay(bench.path("x.pcap"))
        same(replay.p.wait(120), 0, "replay's exit status")
        counters = recorder.finish()
        same(counters["frames"], frames, "frames")
        same(counters["tcp-ring-drop"] + counters["fragment-ring-drop"], 0, "pieces dropped")
        check_live(bench, scene, store)


LIVE = ("fragments", "media_in_fragments", "tcp", "websocket")
tests_of(["live_%s" % name for name in LIVE], live)

if __name__ == "__main__":
    main()
