#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A full disk: recording stops with an alarm, goes on by itself, harms no finished recording."""

from harness import PATIENCE, Skip, Wrong, check, main, same, test, wait_until

import os
import time

from compare import check_audio, read_wav
from lab import LIVE_OFFSET_S, Wire, quiet
from scene import Scene

DISK_MIB = 24
ALARM = "disk-trouble"


def small_disk(bench):
    if os.geteuid() != 0:
        raise Skip("needs root")
    path = bench.path("disk")
    os.mkdir(path)
    try:
        quiet("mount", "-t", "tmpfs", "-o", "size=%dm" % DISK_MIB, "tmpfs", path)
    except Wrong as e:
        raise Skip("cannot mount a tmpfs: %s" % e)
    bench.cleanups.append(lambda: quiet("umount", "-l", path))
    return path


def fill(path, leave_bytes):
    """A file that takes all room but so many bytes; gives its path."""
    ballast = os.path.join(path, "ballast")
    st = os.statvfs(path)
    with open(ballast, "wb") as f:
        left = st.f_bavail * st.f_frsize - leave_bytes
        while left > 0:
            left -= f.write(bytes(min(left, 1 << 16)))
    return ballast


def play(wire, scene, name):
    scene.write(wire.bench.path(name))
    replay = wire.replay(wire.bench.path(name), name=name + ".replay")
    same(replay.p.wait(120), 0, "replay's exit status")


def calls_of(seed, user, calls, end):
    scene = Scene(seed)
    for n in range(calls):
        scene.call("%s%02d" % (user, n), "30%02d" % n).simple(at=0.02 * n, end=end)
    return scene


@test
def full_disk_stops_recording_until_there_is_room(bench):
    disk = small_disk(bench)
    wire, store = Wire(bench), bench.store("disk/store")
    recorder = wire.recorder(store)
    first = calls_of(bench.seed, "21", 5, 3.0)
    play(wire, first, "first.pcap")
    time.sleep(1.5)  # a group sync
    ballast = fill(disk, 300 * 1024)
    play(wire, calls_of(bench.seed + 1, "22", 20, 5.0), "second.pcap")
    wait_until(lambda: ALARM in recorder.said(), "no alarm was logged: " + ALARM, 20)
    check(recorder.alive(), "the recorder ended: %s", recorder.said()[-400:])
    os.unlink(ballast)
    time.sleep(3.0 * PATIENCE)
    third = calls_of(bench.seed + 2, "23", 5, 3.0)
    play(wire, third, "third.pcap")
    counters = recorder.finish()
    check(counters["disk-full-chunks"] > 0, "disk-full-chunks is 0")
    alarms = recorder.said().count(ALARM)
    check(alarms < 20, "the alarm was logged %d times", alarms)

    rows = {r["sip_call_id"]: r for r in store.calls()}
    for scene in (first, third):
        for call in scene.calls:
            check(call.call_id in rows, "a call is not listed")
            row = rows[call.call_id]
            same([s["complete"] for s in row["streams"]], [True, True], "complete")
            store.export(row["id"], bench.path("x.wav"))
            check_audio(call, read_wav(bench.path("x.wav")), LIVE_OFFSET_S)
    second = [s for r in rows.values() if r["from"].startswith("22") for s in r["streams"]]
    check(not all(s["complete"] for s in second), "no stream that lost chunks is marked so")
    store.verify()


@test
def disk_full_while_a_file_is_read(bench):
    """Faster than any alarm could be heeded: what is finished is whole."""
    disk = small_disk(bench)
    store = bench.store("disk/store")
    first = calls_of(bench.seed, "21", 5, 3.0)
    first.write(bench.path("first.pcap"))
    store.record(bench.path("first.pcap"))
    same(len(store.calls()), 5, "the calls before")
    calls_of(bench.seed + 1, "22", 40, 20.0).write(bench.path("big.pcap"))
    ballast = fill(disk, 2 << 20)
    counters = store.record(bench.path("big.pcap"), ok=(0, 1))
    check(counters["disk-full-chunks"] > 0, "disk-full-chunks is 0")
    check(ALARM in store.said.err, "no alarm was logged: %s", store.said.err[-300:])
    os.unlink(ballast)
    rows = {r["sip_call_id"]: r for r in store.calls()}
    for call in first.calls:
        store.export(rows[call.call_id]["id"], bench.path("x.wav"))
        check_audio(call, read_wav(bench.path("x.wav")))
    store.verify()


if __name__ == "__main__":
    main()
