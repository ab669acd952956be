# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A DPDK ring in process: what the recorder takes without a card, and where its time goes.

Flat out, bench/ring's load waits for room in the ring, so nothing is lost and the rate is the recorder's.  In real time a full
ring loses frames, as a card does: counted, and judged at 10 Gbit/s (`--only line`, which takes 42 GB).
"""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from parts.common import as_table, dropped, say, verdict
from parts.files import stage_ns

RING = "ring"
STAGES = ["read", "decode", "media", "signalling", "timers"]
WRITER = ["seal", "slot", "write", "sync"]
LINE = "line"
# Calls at once, seconds to set them up within, seconds of each: all are open together for a while.  Some 2,000 calls a
# second by the wall clock, flat out, is what one signalling thread follows.
SHAPES = [(200, 1, 150), (2000, 1, 15), (20000, 5, 6), (52500, 13, 15)]
LINE_SHAPE = (52500, 26, 46)  # 20 s of 5.25 million packets/s


@dataclass
class RingRun:
    sent: dict
    counters: dict


def record(place, name, calls, ramp, seconds, *extra):
    """One run: accounted for to the packet, whatever was dropped."""
    place.new_store()
    argv = [place.program("bench/ring"), "--store", place.store, "--counters", place.counters, "--calls", str(calls),
            "--ramp", str(ramp), "--seconds", str(seconds), *extra]
    out = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    run = RingRun(json.loads(out), place.read_counters())
    sent, c = run.sent, run.counters
    place.expect(name, "frames read + dropped by the port + by the full ring", c["frames"] + c["kernel-drops"] + sent["ring_dropped"], sent["packets"])
    if c["frames"] == sent["packets"]:
        place.check_counters(name, c, sent)
    return run


def line_of(run, lost):
    sent, c = run.sent, run.counters
    n, threads = sent["packets"], c["threads"]
    cpu = lambda role: 1e9 * sum(t["cpu_s"] for name, t in threads.items() if name.startswith(role)) / n  # noqa: E731
    stage = lambda thread, name: f"{stage_ns(run, thread, name, n):.1f}"  # noqa: E731
    return [f"{sent['calls_at_once']:,}", f"{n:,}", f"{n / sent['send_seconds']:,.0f}", f"{1e9 * sent['load_cpu_s'] / n:.0f}",
            f"{cpu('capture'):.0f}", *(stage("capture-0", s) for s in STAGES), f"{cpu('signalling'):.0f}", f"{cpu('writer'):.0f}",
            *(stage("writer-0", s) for s in WRITER), f"{lost:,}"]


def bench_ring(place):
    if not os.access(place.program("bench/ring"), os.X_OK):
        return "ring: skipped: built without DPDK"
    lines = [["calls at once", "packets", "packets / wall s", "load: CPU ns / packet", "capture: CPU ns / packet", *STAGES,
              "signalling: CPU ns / packet", "writer: CPU ns / packet", *WRITER, "lost"]]
    for calls, ramp, seconds in SHAPES:
        if place.quick:
            calls, seconds = calls // 10, min(seconds, 5)
        name = f"ring, {calls:,} calls"
        say(f"  {name} of {seconds} s, as fast as they are taken")
        run = record(place, name, calls, ramp, seconds, "--rate", "0")
        place.expect(name, "dropped by the full ring", run.sent["ring_dropped"], 0)
        lines.append(line_of(run, lost_of(place, name, run)))
    return "a DPDK ring, filled in process; ns a packet by thread and stage:\n\n" + as_table(lines)


def lost_of(place, name, run):
    """What was sent and not recorded: audio, and messages."""
    c = run.counters
    return run.sent["ring_dropped"] + c["kernel-drops"] + dropped(c) + place.refused(name, c)


def bench_line(place):
    """10 Gbit/s in real time."""
    calls, ramp, seconds = LINE_SHAPE
    if not os.access(place.program("bench/ring"), os.X_OK):
        return "ring: skipped: built without DPDK"
    if shutil.disk_usage(place.dir).free < calls * seconds * 100 * 175 + (1 << 30):
        return "no room for 52,500 calls of 46 s; set BENCH_DIR"
    run = record(place, "line rate", calls, ramp, seconds)
    lost = lost_of(place, "line rate", run)
    return verdict("52,500 calls in real time, 5.25 million packets/s for 20 s: nothing lost", f"{lost:,} of {run.sent['packets']:,} packets", lost == 0)
