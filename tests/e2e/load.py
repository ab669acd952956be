#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The load source (bench/load), and the recorder under it: what was sent is what is accounted for.

The generator's figures are held against reader.py, which knows nothing of it.  Then callspand: on a wire with loss and
calls that come and go, and on a capture file with one writer thread and with several.
"""

from harness import Skip, check, main, program, read_counters, run, same, test, wait_until

import json
import os
import signal
import struct
import subprocess

import reader
from lab import Wire

# What bench/generate can do, all at once.
ROUGH = (
    "--loss", "2", "--reorder", "2", "--codecs", "PCMU,PCMA,G722,G729,opus", "--tcp", "20", "--vlan", "15",
    "--vxlan", "15", "--gre", "15", "--erspan", "15",
)  # fmt: skip
CODECS = {0: "PCMU", 8: "PCMA", 9: "G722", 18: "G729", 111: "opus"}


def generator():
    path = program("bench/generate")
    if not os.access(path, os.X_OK):
        raise Skip("needs bench/generate")
    return path


def generate(capture, *arguments):
    return json.loads(run(generator(), "--output", capture, *arguments).out)


def tunnel_of(frame):
    """Which of the generator's tunnels a frame came through, by its outermost heads."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x8100:
        return "vlan"
    if frame[23] == 47:
        return {0x6558: "gre", 0x88BE: "erspan"}[struct.unpack("!H", frame[36:38])[0]]
    return "vxlan" if frame[23] == 17 and frame[36:38] == b"\x12\xb5" else "plain"


def counted(frames_of):
    out = {}
    for name, size in frames_of:
        n, total = out.get(name, (0, 0))
        out[name] = (n + 1, total + size)
    return out


def check_figures(capture, sent):
    """Everything that the generator says of a capture, counted again."""
    frames = [data for _, _, data in reader.frames(capture)]
    same(sent["packets"], len(frames), "packets")
    same(sent["frame_bytes"], sum(map(len, frames)), "frame_bytes")
    same(sent["file_bytes"], os.path.getsize(capture), "file_bytes")
    tunnels = counted((tunnel_of(f), 0) for f in frames)
    same(sent["tunnels"], {name: n for name, (n, _) in tunnels.items()}, "frames by tunnel")
    times = [us for us, _, _ in reader.frames(capture)]
    same(times, sorted(times), "the order of times")

    streams = reader.streams(capture)
    packets = [p for stream in streams.values() for p in stream]
    same(sent["streams"], len(streams), "streams")
    same(sent["rtp_packets"], len(packets), "rtp_packets")
    same(sent["audio_bytes"], sum(len(p.payload) for p in packets), "audio_bytes")
    codecs = counted((CODECS[p.pt], len(p.payload)) for p in packets)
    told = {name: (c["packets"], c["bytes"]) for name, c in sent["codecs"].items()}
    same(told, codecs, "audio by codec")
    lost = overtaken = 0
    for stream in streams.values():
        ordered = reader.in_order(stream)
        lost += max(ordered) - min(ordered) + 1 - len(ordered)
        same(len(ordered), len(stream), "distinct packets of a stream")
        newest = None
        for p in stream:
            behind = newest is not None and (p.seq - newest) & 0xFFFF > 0x8000
            overtaken += behind
            newest = newest if behind else p.seq
    same(sent["lost"], lost, "lost")
    same(sent["reordered"], overtaken, "reordered")
    same(len({p.payload for p in packets}), len(packets), "distinct payloads")

    # SIP is text: what is in UDP is counted datagram by datagram, in TCP by what stands in the frames.
    udp = sum(d.dst[1] == 5060 and b"\r\nCSeq: " in d.payload for d in reader.Decoder(capture).datagrams())
    same(sent["sip_packets"] - sent["sip_tcp_packets"], udp, "SIP messages in UDP")
    same(sent["sip_packets"], sum(b"\r\nCSeq: " in f for f in frames), "SIP messages")
    same(sent["calls"], sum(b"\r\nCSeq: 1 ACK" in f for f in frames), "calls")


@test
def figures_of_the_load_are_exact(bench):
    capture = bench.path("load.pcap")
    sent = generate(capture, "--calls", "30", "--seconds", "2", "--waves", "3", *ROUGH, "--seed", str(bench.seed))
    same(sent["calls"], 90, "the calls asked for")
    for what in ("lost", "reordered", "sip_tcp_packets"):
        check(sent[what] > 0, "%s is 0", what)
    same(len(sent["tunnels"]), 5, "the kinds of tunnels")
    check_figures(capture, sent)


@test
def a_pipe_carries_what_a_file_has(bench):
    arguments = ("--calls", "20", "--seconds", "1", *ROUGH)
    capture = bench.path("load.pcap")
    sent = generate(capture, *arguments)
    with open(bench.path("piped.pcap"), "wb") as f:
        said = subprocess.run([generator(), "--output", "-", *arguments], stdout=f, stderr=subprocess.PIPE, check=True).stderr
    with open(capture, "rb") as one, open(bench.path("piped.pcap"), "rb") as other:
        check(one.read() == other.read(), "the captures differ")
    fleeting = ("seconds", "ns_a_packet")
    told = json.loads(said)
    for figures in (sent, told):
        for name in fleeting:
            figures.pop(name)
    same(told, sent, "what is said of the pipe")


@test
def calls_are_set_up_at_the_rate_asked_for(bench):
    """40 lines and 20 calls a second: each call takes its 2 s, and another begins just then."""
    capture = bench.path("load.pcap")
    sent = generate(capture, "--calls", "40", "--churn", "20", "--waves", "5")
    invites = [us for us, _, f in reader.frames(capture) if b"\r\nCSeq: 1 INVITE" in f and f[42:48] == b"INVITE"]
    same(len(invites), 200, "INVITEs")
    gaps = {b - a for a, b in zip(invites, invites[1:])}
    same(gaps, {50000}, "us from INVITE to INVITE")
    check_figures(capture, sent)


def check_accounting(counters, sent):
    """sent = recorded + counted drops, kind by kind."""
    same(counters["kernel-drops"], 0, "kernel-drops")
    same(counters["frames"], sent["packets"], "frames")
    same(counters["frame-bytes"], sent["frame_bytes"], "frame-bytes")
    same(counters["sip-messages"], sent["sip_packets"], "sip-messages")
    same(counters["calls-ended"], sent["calls"], "calls-ended")
    same(counters["streams"], sent["streams"], "streams")
    same(counters["rtp-stored"], sent["rtp_packets"], "rtp-stored")
    same(counters["rtp-reordered"], sent["reordered"], "rtp-reordered")
    same(counters["chunk-bytes"], sent["audio_bytes"], "chunk-bytes")


def check_listed(store, sent):
    streams = [s for row in store.calls() for s in row["streams"]]
    same(len(streams), sent["streams"], "streams listed")
    same(sum(s["packets"] for s in streams), sent["rtp_packets"], "packets listed")
    same(sum(s["bytes"] for s in streams), sent["audio_bytes"], "bytes listed")
    same(sum(s["lost"] for s in streams), sent["lost"], "packets listed as lost")


@test
def accounting_on_a_wire_is_exact_with_loss_and_churn(bench):
    generator()
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store, "--set", "capture.threads=2", "--set", "writer.threads=2")
    said = run(
        "ip", "netns", "exec", wire.netns, generator(), "--interface", wire.source, "--calls", "100", "--churn", "50",
        "--waves", "4", *ROUGH, timeout=120,
    ).out  # fmt: skip
    sent = json.loads(said)
    check_sent(sent)
    wait_until(lambda: seen_by(store) >= sent["packets"], "%d frames were not seen" % sent["packets"])
    check_accounting(recorder.finish(), sent)
    check_listed(store, sent)
    store.verify()


def check_sent(sent):
    same((sent["sent"], sent["wire_dropped"]), (sent["packets"], 0), "frames sent, and dropped on the wire")


def seen_by(store):
    """Frames that the running recorder has counted: what was sent last may still be on its way through the kernel."""
    with open(os.path.join(store.path, "recorder", "status.json")) as f:
        return json.load(f)["counters"]["frames"]


@test
def what_waits_in_the_kernel_at_the_end_is_recorded(bench):
    """The recorder does not run while it is sent to, and is asked to end before it does again.  The kernel closes its blocks for
    their age, nearly empty: there are enough of them."""
    generator()
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store, "--set", "capture.threads=2")
    recorder.p.send_signal(signal.SIGSTOP)
    said = run("ip", "netns", "exec", wire.netns, generator(), "--interface", wire.source, "--calls", "50", "--seconds", "5", timeout=120)
    recorder.p.send_signal(signal.SIGTERM)
    recorder.p.send_signal(signal.SIGCONT)
    sent = json.loads(said.out)
    check_sent(sent)
    check_accounting(recorder.finish(), sent)
    check_listed(store, sent)


FLEETING = ("id", "conversation", "recorder", "retention")


def recording(bench, name, capture, *extra):
    """What comes of a capture: the calls as listed, and every export of each, by Call-ID."""
    store = bench.store(name)
    store.record(capture, extra=extra)
    calls, exports = {}, {}
    for row in store.calls():
        key = row["sip_call_id"]
        calls[key] = {k: v for k, v in row.items() if k not in FLEETING}
        for kind in ("wav", "pcap"):
            out = bench.path("%s.%s" % (name, kind))
            store.export(row["id"], out, "--format", kind)
            with open(out, "rb") as f:
                exports[key, kind] = f.read()
            os.unlink(out)
    store.verify()
    return store, calls, exports


@test
def one_and_many_writers_record_the_same(bench):
    capture = bench.path("load.pcap")
    sent = generate(capture, "--calls", "10", "--seconds", "3", "--waves", "2", "--loss", "2", "--reorder", "2", "--codecs", "PCMU,PCMA,G722")
    one, calls, exports = recording(bench, "one", capture)
    many, calls_many, exports_many = recording(bench, "many", capture, "--set", "writer.threads=4")
    same(len(calls), sent["calls"], "calls")
    check(len(many.segments()) > len(one.segments()), "there were not several writers")
    for key, call in calls.items():
        same(calls_many[key], call, "the call as listed")
    for key, data in exports.items():
        check(exports_many[key] == data, "the %s of a call differs", key[1])


@test
def threads_tell_where_their_time_went(bench):
    capture, counters = bench.path("load.pcap"), bench.path("counters")
    generate(capture, "--calls", "20", "--seconds", "5")
    store = bench.store()
    run(program("callspand"), "--store", store.path, "-r", capture, "--counters", counters)
    told = read_counters(counters)
    same(sorted(told["threads"]), ["reader-0", "writer-0"], "the threads")
    for thread in told["threads"].values():
        check(thread["cpu_s"] > 0, "a thread took no CPU time")
    # Two streams of each call are open at once, and each second they close a chunk.
    check(40 <= told["memory"]["chunk-buffers-most"] <= told["chunks-written"], "chunk buffers")
    writer = told["threads"]["writer-0"]
    same(writer["seal"]["items"], told["chunks-written"] + told["records-written"], "what was sealed")
    same(writer["slot"]["items"], told["calls"], "slots")
    same(told["threads"]["reader-0"]["signalling"]["items"], told["sip-messages"], "messages")


@test
def options_of_the_load_that_are_wrong_are_refused(bench):
    for wrong in (
        ("--nowhere", "--output", bench.path("x")), ("--nowhere", "--codecs", "PCMU,ILBC"), ("--nowhere", "--vlan", "60", "--gre", "60"),
        ("--nowhere", "--calls", "60000", "--waves", "100000"), ("--nowhere", "--codecs", "G729", "--ptime", "25"),
        ("--nowhere", "--calls", "10", "--churn", "100"), ("--nowhere", "--loss", "x"),
    ):  # fmt: skip
        r = run(generator(), *wrong, ok=(2,))
        check(r.err and not r.out, "%s: said %r", wrong, r.err)
    check("no-such" in run(generator(), "--interface", "no-such", ok=(1,)).err, "the interface is not named")


if __name__ == "__main__":
    main()
