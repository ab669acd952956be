#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""`export --format pcap`: the call as it crossed the wire, packet for packet.

What comes out is held against what the scene put on the wire, read by tshark where it is installed,
and recorded again.
"""

import collections
import ipaddress
import json
import os
import shutil
import struct
import subprocess

from harness import Skip, check, main, one_line, program, run, same, test, tests_of

import stream
import wire
from scene import Scene

Packet = collections.namedtuple("Packet", "us src dst payload wire_len")


def udp_sum(data):
    """The ones' complement sum of RFC 1071, 0xffff when header and checksum agree."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def read_pcap(path):
    """Every UDP datagram of an exported file, its headers checked."""
    with open(path, "rb") as f:
        data = f.read()
    head = struct.unpack("<IHHiIII", data[:24])
    same((head[0], head[1], head[2], head[6]), (0xA1B2C3D4, 2, 4, 101), "the file's header")
    at, out = 24, []
    while at < len(data):
        s, us, kept, length = struct.unpack("<IIII", data[at : at + 16])
        ip = data[at + 16 : at + 16 + kept]
        same(len(ip), kept, "a packet's length")
        at += 16 + kept
        if ip[0] >> 4 == 4:
            same(udp_sum(ip[:20]), 0xFFFF, "the sum of an IPv4 header")
            same(struct.unpack("!H", ip[2:4])[0], length, "the IPv4 length")
            a, b, head_len = ip[12:16], ip[16:20], 20
        else:
            same(struct.unpack("!H", ip[4:6])[0], length - 40, "the IPv6 length")
            a, b, head_len = ip[8:24], ip[24:40], 40
        udp = ip[head_len:]
        sport, dport, udp_len, check_sum = struct.unpack("!HHHH", udp[:8])
        same(udp_len, length - head_len, "the UDP length")
        if kept == length:
            same(udp_sum(a + b + struct.pack("!HH", 17, udp_len) + udp), 0xFFFF, "the UDP sum")
        else:
            same(check_sum, 0, "the UDP checksum of a packet that was cut")
        src = (str(ipaddress.ip_address(a)), sport)
        dst = (str(ipaddress.ip_address(b)), dport)
        out.append(Packet(s * 1000000 + us, src, dst, udp[8:], udp_len - 8))
    return out


def is_rtp(payload):
    return len(payload) >= 12 and payload[0] >> 6 == 2 and not 72 <= payload[1] & 127 <= 76


def on_the_wire(scene, call, audio_only=True):
    """The RTP of a call before its end, each sequence number once, as (us, src, dst, bytes)."""
    seen, out = set(), []
    for us, src, dst, payload in scene.datagrams():
        if not is_rtp(payload) or us > call.until_us:
            continue
        if audio_only and payload[1] & 127 == stream.EVENT_TYPE:
            continue
        key = (src, dst, payload[8:12], payload[2:4])
        if key not in seen:
            seen.add(key)
            out.append((us, src, dst, payload))
    return sorted(out)


def export(bench, store, row, *args, name="out.pcap", **more):
    path = bench.path(name)
    store.export(row["id"], path, "--format", "pcap", *args, **more)
    return read_pcap(path)


def check_export(bench, scene, store, call):
    row = next(r for r in store.calls() if r["sip_call_id"] == call.call_id)
    got = [p for p in export(bench, store, row) if is_rtp(p.payload)]
    same(got, sorted(got, key=lambda p: p.us), "the order of the packets")
    expected = on_the_wire(scene, call)
    same(len(got), len(expected), "the number of RTP packets")
    same(sorted((p.us, p.src, p.dst, p.payload) for p in got), expected, "the RTP packets")
    return row


CALLS = {
    "ipv4": (dict(), dict()),
    "ipv6": (dict(v6=True), dict()),
    "lossy_path": (dict(), dict(loss=0.05, reorder=2, jitter_ms=15)),
    "mirrored_twice": (dict(copies=2), dict(loss=0.02)),
}


def export_call(bench, name):
    scene_args, talk = CALLS[name[12:]]
    scene = Scene(bench.seed, **scene_args)
    call = scene.call().simple(end=4.0, **talk)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    check_export(bench, scene, store, call)


tests_of(["pcap_export_%s" % name for name in CALLS], export_call)


@test
def headers_with_sources_extensions_and_padding_come_back_bit_for_bit(bench):
    scene = Scene(bench.seed)
    call = scene.call().begin()
    a, b = call.parties
    packets = []
    for n in range(100):
        payload = bytes(scene.random.randrange(256) for _ in range(160))
        data = wire.rtp(
            0, 65500 + n, 160 * n, 0x1234, payload, marker=n % 7 == 0,
            csrc=(1, 2, 3)[: n % 4], extension=(0xBEDE, bytes(4 * (n % 3))) if n % 3 else None,
            padding=n % 5,
        )  # fmt: skip
        packets.append((scene.us(0.7 + 0.02 * n), a.media, b.media, data))
        scene.send(*packets[-1])
    call.bye(3.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    got = export(bench, store, store.calls()[0])
    same([tuple(p[:4]) for p in got if is_rtp(p.payload)], packets, "the RTP packets")


@test
def packets_cut_by_the_snap_length_keep_their_length(bench):
    scene = Scene(bench.seed)
    call = scene.call().simple(end=2.0)
    scene.write(bench.path("x.pcap"), keep=lambda p: 14 + 28 + 100 if is_rtp(p) else None)
    store = bench.store()
    store.record(bench.path("x.pcap"))
    got = [p for p in export(bench, store, store.calls()[0]) if is_rtp(p.payload)]
    check(got, "there is no RTP")
    full = {(us, src): data for us, src, _, data in on_the_wire(scene, call)}
    for p in got:
        same(p.payload, full[p.us, p.src][:100], "a packet that was cut")
        same(p.wire_len, 172, "its length on the wire")


@test
def one_track_is_one_voice(bench):
    scene = Scene(bench.seed)
    call = scene.call().simple(end=2.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    row = store.calls()[0]
    for side, name in enumerate(("caller", "callee")):
        got = export(bench, store, row, "--track", name, name=name + ".pcap")
        sources = {p.src for p in got if is_rtp(p.payload)}
        same(sources, {call.parties[side].media}, "who is heard on " + name)


@test
def a_pipe_takes_it_and_the_ending_names_the_format(bench):
    scene = Scene(bench.seed)
    scene.call().simple(end=2.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    row = store.calls()[0]
    store.export(row["id"], bench.path("by-ending.pcap"))
    same(os.stat(bench.path("by-ending.pcap")).st_mode & 0o777, 0o600, "the file's mode")
    with open(bench.path("by-ending.pcap"), "rb") as f:
        whole = f.read()
    piped = subprocess.run(
        [program("callspan"), "--store", store.path, "export", row["id"], "-o", "-", "--format",
         "pcap", "--purpose", "complaint", "--reference", "r"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    same(piped.stdout, whole, "what a pipe gets")


# ---- codecs that nobody can decode ----------------------------------------------------------------


def unheard(bench):
    """A call in a codec that has no decoder anywhere."""
    scene = Scene(bench.seed)
    call = scene.call()
    usual = call.sdp

    def sdp(side, *args, **more):
        text = usual(side, *args, **more)
        return text.replace(" 0 101", " 99 101").replace("rtpmap:0 PCMU/8000", "rtpmap:99 XYZ/8000")

    call.sdp = sdp
    call.begin()
    packets = []
    for n in range(100):
        for side in (0, 1):
            data = wire.rtp(99, n, 160 * n, 77 + side, bytes([n, side]) * 30)
            us = scene.us(0.7 + 0.02 * n + 0.003 * side)
            src, dst = call.parties[side].media, call.parties[1 - side].media
            packets.append((us, src, dst, data))
            scene.send(*packets[-1])
    call.bye(3.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    return store, store.calls()[0], packets


@test
def what_cannot_be_decoded_is_kept_named_and_exported_as_it_was(bench):
    store, row, packets = unheard(bench)
    check("codec-unknown" in row["coverage"], "coverage is %r", row["coverage"])
    for command in (("export",), ("replay",)):
        r = store.callspan(
            *command, row["id"], "-o", bench.path("x.wav"), "--purpose", "complaint",
            "--reference", "r", ok=(1,),
        )  # fmt: skip
        line = one_line(r)
        check("XYZ" in line and "--format pcap" in line, "said %r", line)
    got = export(bench, store, row)
    same([tuple(p[:4]) for p in got if is_rtp(p.payload)], packets, "the RTP packets")


# ---- rights ---------------------------------------------------------------------------------------


@test
def it_takes_a_purpose_and_leaves_its_entries(bench):
    store, row, _ = unheard(bench)
    r = store.callspan("export", row["id"], "-o", bench.path("y.pcap"), ok=(2,))
    check("purpose" in r.err, "said %r", r.err)
    export(bench, store, row)
    trail = store.callspan("audit", "list", "--json").out
    check('"export"' in trail and "format=pcap" in trail, "the trail has no such entry")
    strict = bench.store("strict", policy="30-day")
    strict.record(bench.path("x.pcap"))
    strict.export(
        strict.calls()[0]["id"], bench.path("z.pcap"), "--format", "pcap", ok=(3,),
        purpose="complaint",
    )  # fmt: skip
    check(not os.path.exists(bench.path("z.pcap")), "a refused export left a file")


# ---- with the signalling --------------------------------------------------------------------------


def keeps_signalling(bench, store):
    """Change the store's policy so that it keeps SIP messages; skips where that is not known."""
    path = os.path.join(store.path, "policy.yaml")
    with open(path) as f:
        text = f.read()
    lines = [x for x in text.splitlines() if not x.strip().startswith("signalling:")]
    if "record:" in lines:
        lines.insert(lines.index("record:") + 1, "  signalling: on")
    else:
        lines += ["record:", "  signalling: on"]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    r = run(program("callspand"), "--store", store.path, "--check", ok=(0, 1, 2))
    if r.code:
        raise Skip("the policy has no record.signalling")


@test
def signalling_kept_makes_a_file_that_records_the_same_call_again(bench):
    scene = Scene(bench.seed)
    call = scene.call(scene.party("2001", 0, name="Ada"), scene.party("3001", 1))
    call.simple(end=3.0, loss=0.03)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    keeps_signalling(bench, store)
    store.record(bench.path("x.pcap"))
    row = check_export(bench, scene, store, call)
    got = export(bench, store, row)
    sip = [tuple(p[:4]) for p in got if not is_rtp(p.payload)]
    sent = [d for d in scene.datagrams() if not is_rtp(d[3])]
    same([d[3].split(b"\r\n")[0] for d in sip], [d[3].split(b"\r\n")[0] for d in sent], "the SIP")
    check(sip == sent, "the SIP messages are not what was sent")
    store.verify()
    store.callspan("reindex")
    same(store.calls(), [row], "the call after reindex")
    same(json.loads(store.callspan("show", row["id"], "--json").out)["messages"], len(sent), "messages")
    again = bench.store("again")
    again.record(bench.path("out.pcap"))
    second = again.calls()[0]
    alike = ("sip_call_id", "from", "to", "from_name", "state", "outcome", "ended_by", "sip_status",
             "start", "ring", "answer", "end", "duration_ms", "coverage")  # fmt: skip
    for field in alike:
        same(second[field], row[field], field)
    same(
        again.payload_hashes(second["id"]), store.payload_hashes(row["id"]), "the payloads"
    )


# ---- with somebody else's eyes --------------------------------------------------------------------


@test
def tshark_reads_it_as_rtp(bench):
    if not shutil.which("tshark"):
        raise Skip("there is no tshark")
    scene = Scene(bench.seed)
    call = scene.call().simple(end=3.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    export(bench, store, store.calls()[0])
    r = run(
        "tshark", "-r", bench.path("out.pcap"), "-o", "rtp.heuristic_rtp:TRUE",
        "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
        "--enable-heuristic", "rtp_udp", "-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.seq",
        "-e", "udp.checksum.status", "-e", "ip.checksum.status",
    )  # fmt: skip
    lines = [x.split("\t") for x in r.out.splitlines()]
    same(len(lines), len(on_the_wire(scene, call)), "the packets that tshark reads")
    same({tuple(x[2:]) for x in lines}, {("1", "1")}, "checksums, as tshark sees them")
    ssrcs = {x[0] for x in lines}
    same(ssrcs, {"0x%08x" % s.ssrc for s in call.senders}, "the SSRCs that tshark reads")


if __name__ == "__main__":
    main()
