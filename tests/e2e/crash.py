#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""kill -9 in the middle of many live calls: what was recorded two seconds ago is there, and whole.

LONG=1: 200 concurrent calls, 50 times, all of them exported after each fifth kill; else fewer calls, twice.
"""

from harness import LONG, SANITIZED, check, main, same, test

import signal
import time

from compare import CODECS, TRACKS, find, read_wav
from g711 import decode
from lab import Wire, progress
from scene import Scene

CALLS = 200 if LONG else 20 if SANITIZED else 60
TIMES = 50 if LONG else 2
TALK_S = 14.0
LOST_S = 2.0  # what a kill may cost
EXPORTS = 30 if LONG else 5
ALL_EVERY = 5 if LONG else TIMES


def many_calls(seed):
    """CALLS calls that begin within half a second and go on; every tenth ends early."""
    scene = Scene(seed)
    for n in range(CALLS):
        at = 0.5 * n / CALLS
        call = scene.call("2%03d" % n, "3%03d" % n).begin(at, ring=0.05, answer=0.2)
        end = at + (4.0 if n % 10 == 0 else TALK_S)
        call.talk_both(at + 0.25, end)
        call.bye(end + 0.0047)
    return scene


def sent_by(replay, unix_us):
    """How many frames were certainly on the wire at that time."""
    return max([n for us, n in progress(replay) if us <= unix_us] or [0])


def check_kept(scene, call, tracks, until_us):
    """Each frame sent until then is in the export, in its place among those of its stream."""
    for stream in call.streams.values():
        where = "%s's stream" % TRACKS[stream.side]
        run = [p for p in stream.packets if p.us <= until_us]
        if not run:
            continue
        codec = CODECS[run[0].pt]
        base = find(tracks[stream.side], decode(codec, run[0].payload))
        check(base >= 0, "%s: its first frame is not there", where)
        for p in run:
            pcm = decode(codec, p.payload)
            at = 2 * (base + p.ts - run[0].ts)
            check(
                tracks[stream.side][at : at + len(pcm)] == pcm,
                "%s: frame %d is missing, sent %.2f s before the last that must be there",
                where, p.seq - run[0].seq, (until_us - p.us) / 1e6,
            )  # fmt: skip


def kill_once(bench, n, scene, times, capture):
    wire, store = Wire(bench), bench.store("store%d" % n)
    recorder = wire.recorder(store, name="callspand%d" % n)
    replay = wire.replay(capture, name="replay%d" % n)
    deadline = time.monotonic() + bench.random.uniform(4.0, TALK_S - 2.0)
    while time.monotonic() < deadline and replay.alive():
        time.sleep(0.02)
    recorder.p.send_signal(signal.SIGKILL)
    killed_us = time.time_ns() // 1000
    recorder.p.wait()
    # While the calls go on, the recorder is started again, and then ended.
    again = wire.recorder(store, name="again%d" % n)
    time.sleep(1.0)
    again.finish()
    replay.kill()

    sent = sent_by(replay, killed_us - int(LOST_S * 1e6))
    check(sent > 0, "nothing was sent")
    until_us = times[sent - 1]
    begun = [c for c in scene.calls if c.start_us <= until_us]
    r = store.verify(ok=(0, 4))
    same(r.code, 0, "verify's exit status (%s)" % (r.out + r.err)[-300:])
    rows = {}
    for row in store.calls():
        rows.setdefault(row["sip_call_id"], []).append(row)
    missing = [c.call_id for c in begun if c.call_id not in rows]
    check(not missing, "%d of %d calls are not listed", len(missing), len(begun))
    exports = len(begun) if n % ALL_EVERY == ALL_EVERY - 1 else EXPORTS
    for call in bench.random.sample(begun, min(exports, len(begun))):
        first = min(rows[call.call_id], key=lambda row: row["start"])
        out = bench.path("x.wav")
        store.export(first["id"], out)
        check_kept(scene, call, read_wav(out), until_us)


@test
def kill_9_costs_at_most_two_seconds(bench):
    scene = many_calls(bench.seed)
    capture = bench.path("many.pcap")
    scene.write(capture)
    times = [d[0] for d in scene.datagrams()]
    for n in range(TIMES):
        kill_once(bench, n, scene, times, capture)


if __name__ == "__main__":
    main()
