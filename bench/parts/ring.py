# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A DPDK ring in process: what the recorder takes without a card, and where its time goes.

Flat out, bench/ring's load waits for room in the ring, so nothing is lost and the rate is the recorder's.  In real time a full
ring loses frames, as a card does: counted, and judged at 10 Gbit/s.
"""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from parts.common import as_table, say, verdict
from parts.files import stage_ns

RING = "ring"
STAGES = ["read", "decode", "media", "signalling", "timers"]
WRITER = ["seal", "slot", "write", "sync"]
SHAPES = [(200, 150), (2000, 15), (20000, 4), (52500, 4)]  # calls at once, seconds
LINE_RATE = (52500, 20)


@dataclass
class RingRun:
    sent: dict
    counters: dict


def record(place, name, calls, seconds, *extra):
    """One run: accounted for to the packet, whatever was dropped."""
    place.new_store()
    argv = [place.program("bench/ring"), "--store", place.store, "--counters", place.counters, "--calls", str(calls),
            "--seconds", str(seconds), *extra]
    out = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    run = RingRun(json.loads(out), place.read_counters())
    sent, c = run.sent, run.counters
    place.expect(name, "frames read + dropped by the port + by the full ring", c["frames"] + c["kernel-drops"] + sent["ring_dropped"], sent["packets"])
    if c["frames"] == sent["packets"]:
        place.check_counters(name, c, sent)
    return run


def line_of(run):
    sent, c = run.sent, run.counters
    n, threads = sent["packets"], c["threads"]
    cpu = lambda role: 1e9 * sum(t["cpu_s"] for name, t in threads.items() if name.startswith(role)) / n  # noqa: E731
    stage = lambda thread, name: f"{stage_ns(run, thread, name, n):.1f}"  # noqa: E731
    return [f"{sent['calls_at_once']:,}", f"{n:,}", f"{n / sent['send_seconds']:,.0f}", f"{1e9 * sent['load_cpu_s'] / n:.0f}",
            f"{cpu('capture'):.0f}", *(stage("capture-0", s) for s in STAGES), f"{cpu('signalling'):.0f}", f"{cpu('writer'):.0f}",
            *(stage("writer-0", s) for s in WRITER)]


def bench_ring(place):
    if not os.access(place.program("bench/ring"), os.X_OK):
        return "ring: skipped: built without DPDK"
    lines = [["calls at once", "packets", "packets / wall s, none lost", "load: CPU ns / packet", "capture: CPU ns / packet", *STAGES,
              "signalling: CPU ns / packet", "writer: CPU ns / packet", *WRITER]]
    for calls, seconds in SHAPES:
        if place.quick:
            calls, seconds = calls // 10, min(seconds, 5)
        say(f"  ring: {calls:,} calls of {seconds} s, as fast as they are taken")
        run = record(place, f"ring, {calls:,} calls", calls, seconds, "--rate", "0")
        place.expect(f"ring, {calls:,} calls", "dropped by the full ring", run.sent["ring_dropped"], 0)
        lines.append(line_of(run))
    text = "a DPDK ring, filled in process; ns a packet by thread and stage:\n\n" + as_table(lines)
    calls, seconds = LINE_RATE
    if place.quick:
        return text
    if shutil.disk_usage(place.dir).free < calls * seconds * 100 * 175 + (1 << 30):
        return text + "\nnot enough room for 20 s of 10 Gbit/s"
    run = record(place, "ring, line rate", calls, seconds)
    lost = run.sent["ring_dropped"] + run.counters["kernel-drops"]
    return text + "\n\n" + verdict("52,500 calls in real time, 20 s each: nothing dropped", f"{lost:,} of {run.sent['packets']:,} packets", lost == 0)
