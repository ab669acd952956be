# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A DPDK ring in process: what the recorder takes without a card, and where its time goes.

Flat out, bench/ring's load waits for room in the ring, so nothing is lost and the rate is the recorder's.  In real time a full
ring loses frames, as a card does (`--only line`): 10 Gbit/s of calls first, which takes 42 GB, and where that is too much, how many calls
are recorded without loss: with a ring as long as a
card's, and with one that outlasts the pauses of a machine with other work.  The capture thread then has a processor to itself; the load
shares the others with the rest.
"""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from parts.common import DROPS, REFUSED, as_table, dropped, say, verdict
from parts.files import stage_ns

RING = "ring"
STAGES = ["read", "decode", "media", "signalling", "timers"]
WRITER = ["seal", "slot", "write", "sync"]
LINE = "line"
# Calls at once, seconds to set them up within, seconds of each, and writers: all calls are open together for a while.  Flat out they are
# set up faster than their times say.
SHAPES = [(200, 1, 150, 1), (2000, 1, 15, 1), (20000, 10, 15, 1), (52500, 26, 28, 1), (52500, 26, 28, 2)]
LINE_CALLS = 52500
SET_UP = 2000  # calls a second
PLATEAU = 20  # seconds with all calls open: at 52,500 calls 5.25 million packets/s
SEARCH_PLATEAU = 5
FIRST_CALLS = 5000
STEP = 1.5
HALVINGS = 3
TRIES = 2  # so many calls count as free of loss when one of so many tries was: others use this machine too
LATE = 0.05  # of the time: it was not real time
AUDIO_MIB = 4096
CARD_RING, LONG_RING = 4096, 1 << 18  # frames


@dataclass
class RingRun:
    sent: dict
    counters: dict


def record(place, name, calls, ramp, seconds, *extra, processors=None):
    """One run: accounted for to the packet, whatever was dropped."""
    place.new_store()
    keep_to = (lambda: os.sched_setaffinity(0, processors)) if processors else None
    argv = [place.program("bench/ring"), "--store", place.store, "--counters", place.counters, "--calls", str(calls),
            "--ramp", str(ramp), "--seconds", str(seconds), *extra]
    out = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=keep_to).stdout
    run = RingRun(json.loads(out), place.read_counters())
    sent, c = run.sent, run.counters
    place.expect(name, "frames read + dropped by the port + by the full ring", c["frames"] + c["kernel-drops"] + sent["ring_dropped"], sent["packets"])
    if c["frames"] == sent["packets"]:
        place.check_counters(name, c, sent)
    return run


def of_writers(n):
    return "1 writer" if n == 1 else f"{n} writers"


HEAD = ["calls at once", "packets", "packets / wall s", "load: CPU ns / packet", "capture: CPU ns / packet", *STAGES,
        "signalling: CPU ns / packet", "writer: CPU ns / packet", *WRITER, "lost"]


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
    lines = [["writers", *HEAD]]
    for calls, ramp, seconds, writers in SHAPES:
        if place.quick:
            calls, seconds = calls // 10, min(seconds, 5)
        name = f"ring, {calls:,} calls, {of_writers(writers)}"
        say(f"  {name} of {seconds} s, as fast as they are taken")
        run = record(place, name, calls, ramp, seconds, "--rate", "0", "--writers", str(writers), "--set", f"memory.audio={AUDIO_MIB}")
        place.expect(name, "dropped by the full ring", run.sent["ring_dropped"], 0)
        lines.append([str(writers), *line_of(run, lost_of(place, name, run))])
    return "a DPDK ring, filled in process; ns a packet by thread and stage:\n\n" + as_table(lines)


def lost_of(place, name, run):
    """What was sent and not recorded: audio, and messages."""
    c = run.counters
    return run.sent["ring_dropped"] + c["kernel-drops"] + dropped(c) + place.refused(name, c)


# ---- in real time --------------------------------------------------------------------------------


class Search:
    """The most calls at once that are recorded without loss in real time."""

    def __init__(self, place, ring):
        self.place, self.ring = place, ring
        self.best, self.best_run, self.lost_at, self.lost = 0, None, 0, ""

    def once(self, calls, plateau):
        """One trial: was nothing lost, and did the load have the processor that it needs?"""
        ramp = max(1, calls // SET_UP)
        name = f"ring of {self.ring:,} frames in real time, {calls:,} calls"
        capture, *others = sorted(os.sched_getaffinity(0))
        run = record(self.place, name, calls, ramp, ramp + plateau, "--ring", str(self.ring), "--set", f"memory.audio={AUDIO_MIB}",
                     *(["--set", f"capture.cpus={capture}"] if others else []), processors=set(others))
        lost = lost_of(self.place, name, run)
        late = run.sent["put_off_seconds"] / run.sent["send_seconds"]
        reason = {n: v for n, v in [("ring", run.sent["ring_dropped"]), *((n, run.counters[n]) for n in DROPS + REFUSED)] if v}
        text = f"{lost:,} of {run.sent['packets']:,} packets lost {reason or ''}" + (f"; the load was late for {late:.0%} of the time" if late >= LATE else "")
        say(f"  {name}: {text}")
        free = not lost and late < LATE
        if free and calls > self.best:
            self.best, self.best_run = calls, run
        if not free:
            self.lost = text
        return free

    def holds(self, calls):
        if any(self.once(calls, SEARCH_PLATEAU) for _ in range(TRIES)):
            return True
        self.lost_at = calls
        return False

    def climb(self):
        calls = FIRST_CALLS
        while calls < LINE_CALLS and self.holds(calls):
            calls = int(calls * STEP)
        for _ in range(HALVINGS):
            if self.best and self.lost_at > 1.05 * self.best:
                self.holds((self.best + self.lost_at) // 2)


def bench_line(place):
    """10 Gbit/s in real time; and where something of it is lost, how many calls are not too many."""
    if not os.access(place.program("bench/ring"), os.X_OK):
        return "ring: skipped: built without DPDK"
    if shutil.disk_usage(place.dir).free < LINE_CALLS * (LINE_CALLS / SET_UP + PLATEAU) * 100 * 175 + (1 << 30):
        return "no room for 52,500 calls of 46 s; set BENCH_DIR"
    lines, texts = [["frames in the ring", *HEAD]], []
    for frames in (CARD_RING, LONG_RING):
        s = Search(place, frames)
        met = s.once(LINE_CALLS, PLATEAU)
        texts.append(verdict(f"52,500 calls in real time, 5.25 million packets/s for {PLATEAU} s, a ring of {frames:,} frames: nothing lost", s.lost or "0", met))
        if not met:
            s.lost_at = LINE_CALLS
            s.climb()
        if s.best:
            lines.append([f"{frames:,}", *line_of(s.best_run, 0)])
            texts.append(f"        the most without loss: {s.best:,} calls, {s.best * 100:,} packets/s" + (f"; at {s.lost_at:,} calls: {s.lost}" if s.lost_at else ""))
    return "a DPDK ring in real time: the most calls without loss; ns a packet by thread and stage:\n\n" + as_table(lines) + "\n\n" + "\n".join(texts)
