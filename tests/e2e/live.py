#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Live: callspand at a mirror port, in real time.

First on a wire of our own with generated calls, compared sample by sample as files are; then on
the span lab with real telephones.  LONG=1 takes more calls.
"""

from harness import LONG, PATIENCE, Skip, Wrong, check, main, same, test

import array
import shutil

from compare import check_audio, check_live, goertzel, read_wav
from lab import LIVE_OFFSET_S, SpanLab, Wire
from scene import Scene


def record_live(bench, scene, *extra):
    """Play a scene on a wire and record it there; gives the store and the counters."""
    wire, store = Wire(bench), bench.store()
    frames = scene.write(bench.path("live.pcap"))
    before = wire.sent_by_tap()
    recorder = wire.recorder(store, *extra)
    replay = wire.replay(bench.path("live.pcap"))
    same(replay.p.wait(120), 0, "replay's exit status")
    counters = recorder.finish()
    check(recorder.seconds < 10 * PATIENCE, "took %.1f s to end", recorder.seconds)
    same(wire.sent_by_tap(), before, "frames sent on the capture interface")
    same(counters["kernel-drops"], 0, "kernel-drops")
    same(counters["frames"], frames, "frames")
    return store, counters


@test
def live_calls_are_recorded_exactly(bench):
    scene = Scene(bench.seed)
    for n in range(12):
        c = scene.call("20%02d" % n, "30%02d" % n, ptime=(20, 30, 10)[n % 3])
        c.simple(at=0.1 * n, end=3.0, loss=0.02, reorder=4, trail=0.3, ahead=0.2 * (n % 2))
    store, _ = record_live(bench, scene)
    check_live(bench, scene, store)
    store.verify()


@test
def live_with_two_capture_and_two_writer_threads(bench):
    scene = Scene(bench.seed)
    for n in range(16):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.05 * n, end=3.0, loss=0.02)
    store, _ = record_live(
        bench, scene, "--set", "capture.threads=2", "--set", "writer.threads=2"
    )
    check_live(bench, scene, store)
    same(len(store.segments()), 2, "the number of segments")
    store.verify()


@test
def live_audio_after_the_bye_is_not_kept(bench):
    scene = Scene(bench.seed)
    a, b = scene.party("2001", 0), scene.party("3001", 1)
    for n in range(3):
        c = scene.call(a, b, ssrc=0x1234ABCD)
        for sender in c.senders:
            sender.seq = 500 + 9000 * n
        c.simple(at=2.2 * n, ring=0.05, answer=0.35, end=2.0, trail=1.5)
    store, counters = record_live(bench, scene)
    check(counters["rtp-after-end"] > 0, "rtp-after-end is 0")
    check_live(bench, scene, store)


@test
def sigterm_ends_open_calls_cleanly(bench):
    scene = Scene(bench.seed)
    for n in range(5):
        c = scene.call("20%02d" % n, "30%02d" % n).begin(at=0.05 * n)
        c.talk_both(0.05 * n + 0.55, 60.0)
    scene.write(bench.path("live.pcap"))
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store)
    replay = wire.replay(bench.path("live.pcap"))
    try:
        replay.p.wait(5)
    except Exception:
        pass
    check(replay.alive(), "the replay ended early")
    recorder.finish()
    check(recorder.seconds < 10 * PATIENCE, "took %.1f s to end", recorder.seconds)
    rows = store.calls()
    same(len(rows), 5, "the number of calls")
    for row in rows:
        same((row["state"], row["outcome"]), ("ended", "answered"), "state and outcome")
        same(row["ended_by"], "capture-end", "ended_by")
        same(row["attested"], True, "attested")
        same(len(row["streams"]), 2, "the number of streams")
    store.verify()


@test
def a_running_recorders_calls_are_listed(bench):
    """The index follows while the segment is still being written."""
    scene = Scene(bench.seed)
    done = scene.call("2001", "3001").simple(end=1.5)
    going = scene.call("2002", "3002").begin()
    going.talk_both(0.55, 60.0)
    scene.write(bench.path("live.pcap"))
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store)
    replay = wire.replay(bench.path("live.pcap"))
    rows = {}
    for _ in range(40 * PATIENCE):
        rows = {r["sip_call_id"]: r for r in store.calls()}
        if rows.get(done.call_id, {}).get("state") == "ended":
            break
        try:
            replay.p.wait(0.5)
        except Exception:
            pass
    same(sorted(rows), sorted([done.call_id, going.call_id]), "the calls listed")
    same(rows[done.call_id]["state"], "ended", "the finished call's state")
    same(rows[going.call_id]["state"], "talking", "the other call's state")
    store.export(rows[done.call_id]["id"], bench.path("x.wav"))
    check_audio(done, read_wav(bench.path("x.wav")), LIVE_OFFSET_S)
    store.verify()
    check(recorder.alive(), "the recorder ended")
    recorder.finish()


# ---- the span lab --------------------------------------------------------------------------------


def tone(track, hz):
    """Amplitude and share of the energy of one frequency in the middle two seconds."""
    samples = array.array("h", track)
    middle = len(samples) // 2
    return goertzel(samples[max(0, middle - 8000) : middle + 8000], hz, 8000)


def telephone_call(lab, *how):
    """One call between the lab's telephones; they may need a second try on a busy machine."""
    for _ in range(3):
        said = lab("call", "baresip", *how)
        if "established" in said:
            return
    raise Wrong("the telephones did not talk: %s" % said.strip()[-300:])


def check_tones(bench, store, row):
    out = bench.path(row["id"] + ".wav")
    store.export(row["id"], out)
    for track, hz, name in zip(read_wav(out), (440, 1000), ("caller", "callee")):
        rms, share = tone(track, hz)
        check(share > 0.95, "%s's track: %d Hz is %.0f %% of it", name, hz, share * 100)
        check(abs(rms - 0.3536) < 0.05 * 0.3536, "%s's track: rms is %.4f", name, rms)


@test
def lab_telephones_tones_are_on_the_right_tracks(bench):
    if not shutil.which("baresip"):
        raise Skip("needs baresip")
    lab, store = SpanLab(bench), bench.store()
    before = lab.sent_by_tap()
    recorder = lab.recorder(store)
    calls = 10 if LONG else 1
    for n in range(calls):
        telephone_call(lab, "--sec", "4", "--hangup", "ab"[n % 2])
    counters = recorder.finish()
    same(lab.sent_by_tap(), before, "frames sent on the capture interface")
    same(counters["kernel-drops"], 0, "kernel-drops")
    rows = [r for r in store.calls() if r["outcome"] == "answered"]
    same(len(rows), calls, "the answered calls")
    for n, row in enumerate(rows):
        same((row["from"], row["to"]), ("a", "b"), "the parties")
        same(len(row["streams"]), 2, "the number of streams")
        same(row["ended_by"], ("caller", "callee")[n % 2], "ended_by")
        check_tones(bench, store, row)
    store.verify()


@test
def lab_mirror_that_copies_twice(bench):
    if not shutil.which("baresip"):
        raise Skip("needs baresip")
    lab, store = SpanLab(bench, "--span", "both"), bench.store()
    recorder = lab.recorder(store)
    telephone_call(lab, "--sec", "4")
    counters = recorder.finish()
    check(counters["rtp-duplicate"] > 100, "rtp-duplicate is %d", counters["rtp-duplicate"])
    rows = [r for r in store.calls() if r["outcome"] == "answered"]
    same(len(rows), 1, "the answered calls")
    same(len(rows[0]["streams"]), 2, "the number of streams")
    check_tones(bench, store, rows[0])


@test
def lab_sipp_twenty_calls_at_once(bench):
    if not shutil.which("sipp"):
        raise Skip("needs sipp")
    lab, store = SpanLab(bench), bench.store()
    recorder = lab.recorder(store)
    said = lab("call", "sipp", "--calls", "20", "--rate", "10", "--sec", "8")
    counters = recorder.finish()
    check("rc=0" in said, "sipp failed: %s", said.strip()[-300:])
    same(counters["kernel-drops"], 0, "kernel-drops")
    rows = store.calls()
    same(len(rows), 20, "the number of calls")
    for row in rows:
        same((row["outcome"], row["ended_by"]), ("answered", "caller"), "outcome and ended_by")
        audio = [s for s in row["streams"] if s["packets"] > 50]
        same(sorted(s["track"] for s in audio), ["callee", "caller"], "the tracks with audio")
        check(row["dtmf_count"] >= 3, "dtmf_count is %d", row["dtmf_count"])
    store.verify()


if __name__ == "__main__":
    main()
