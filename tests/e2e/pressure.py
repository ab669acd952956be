#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Pressure: a disk that stalls, and floods of signalling.

Live, on a wire of our own.  Nothing is lost within what the chunk buffers cover; beyond it new calls lose audio
first, and every frame is recorded or counted, stream by stream.  What is compared are packets, never times: a disk
stalls until enough of them have been sent.
"""

from harness import (
    BUILD, ROOT, SANITIZED, Process, Skip, check, main, program, run, same, test, wait_until,
)  # fmt: skip

import os
import re
import shutil
import subprocess

from compare import check_streams
from lab import Wire, progress, quiet
from scene import Scene
import wire as frames

BUFFER = 9344  # bytes of a chunk buffer
MIB = 16  # memory.audio in these tests: the least there may be
BUFFERS = (MIB << 20) // BUFFER
RESERVE = -(-BUFFERS // 8)


def covers(calls):
    """Seconds of a stalled disk within which nothing is lost (docs/design.md)."""
    return (BUFFERS - RESERVE) / (2 * calls) - 2


class Disk:
    """Stalls from stall() to go_on().  `reached`: a write waits."""

    def __init__(self, bench):
        self.path = bench.path("stall")
        bench.cleanups.append(self.go_on)

    def stall(self):
        with open(self.path, "w"):
            pass

    def wait_reached(self):
        wait_until(lambda: os.path.exists(self.path + ".reached"), "no write came to the disk")

    def go_on(self):
        for path in (self.path, self.path + ".reached"):
            if os.path.exists(path):
                os.unlink(path)


class HookedDisk(Disk):
    """The writer of a test build: tests/e2e/stall.c."""

    def __init__(self, bench):
        super().__init__(bench)
        self.folder = bench.dir
        self.recorder = dict(
            binary=program("e2e/callspand-stall"), prefix=("env", "CALLSPAN_STALL=" + self.path)
        )
        if not os.path.exists(program("e2e/callspand-stall")):
            raise Skip("e2e/callspand-stall is not built (make check builds it)")


def stallfs_program():
    """Build tests/e2e/stallfs.c beside the programs, once."""
    out, source = os.path.join(BUILD, "e2e", "stallfs"), os.path.join(ROOT, "tests/e2e/stallfs.c")
    flags = subprocess.run(
        ("pkg-config", "--cflags", "--libs", "fuse3"), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    if flags.returncode:
        raise Skip("needs libfuse3-dev")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = "%s.%d" % (out, os.getpid())
        run("cc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-o", part, source, *flags.stdout.split())
        os.rename(part, out)
    return out


class MountedDisk(Disk):
    """A FUSE mount: the recorder is the one that people use."""

    recorder = {}

    def __init__(self, bench):
        super().__init__(bench)
        if not os.path.exists("/dev/fuse"):
            raise Skip("there is no /dev/fuse")
        if os.geteuid() != 0 and not shutil.which("fusermount3"):
            raise Skip("needs root or fusermount3")
        self.folder = bench.path("mounted")
        below = bench.path("below")
        os.mkdir(self.folder)
        os.mkdir(below)
        fs = Process(bench, stallfs_program(), below, self.path, self.folder, name="stallfs")
        bench.cleanups.append(self.unmount)
        wait_until(lambda: os.path.ismount(self.folder) or not fs.alive(), "it is not mounted")
        if not fs.alive():
            raise Skip("cannot mount by FUSE here: " + fs.said().strip()[-200:])

    def unmount(self):
        self.go_on()
        if os.path.ismount(self.folder):
            quiet("umount", "-l", self.folder)


# ---- what was sent is recorded, or counted ------------------------------------------------------


def recorded(store, row):
    """Frames in the recording, by SSRC."""
    return {s["ssrc"]: s["packets"] for s in store.payload_hashes(row["id"])["streams"]}


def account(scene, store, counters, opened=lambda call: True):
    """sent = recorded + counted drops, stream by stream.  Gives each call's (row, dropped).  Recordings are opened, and
    their frames counted, of those calls that `opened` says; it takes a while."""
    rows = {r["sip_call_id"]: r for r in store.calls()}
    same(len(rows), len(scene.calls), "the number of calls")
    out = []
    for call in scene.calls:
        row = rows[call.call_id]
        for field in ("from", "to", "outcome", "ended_by", "sip_status"):
            same(row[field], call.truth()[field], field)
        check_streams(call, row, ("packets", "bytes", "lost", "duplicates"))
        frames = recorded(store, row) if opened(call) else None
        dropped = 0
        for s in row["streams"]:
            if frames is not None:
                same(frames.get(s["ssrc"], 0), s["packets"] - s["dropped"], "frames recorded")
            same(s["complete"], s["dropped"] == 0, "complete")
            same(s["stored"], s["dropped"] < s["packets"], "stored")
            dropped += s["dropped"]
        same("dropped" in row["coverage"], dropped > 0, "coverage says dropped")
        out.append((row, dropped))
    lost = counters["rtp-refused"] + counters["rtp-no-buffer"]
    same(sum(d for _, d in out), lost, "frames dropped of all streams")
    same(counters["chunk-ring-drop"] + counters["kernel-drops"], 0, "other drops")
    same(counters["disk-full-chunks"] + counters["disk-full-records"], 0, "drops at the writer")
    store.verify()
    return out


def talk(scene, calls, end, at=0.0, user="20"):
    for n in range(calls):
        scene.call("%s%03d" % (user, n), "30%03d" % n).simple(at=at + 0.005 * n, end=end)


def start(bench, disk, wire):
    store = bench.store(os.path.relpath(os.path.join(disk.folder, "store"), bench.dir))
    return store, wire.recorder(store, "--set", "memory.audio=%d" % MIB, **disk.recorder)


# ---- a disk that stalls -------------------------------------------------------------------------


@test
def log_says_what_the_buffers_cover(bench):
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store)
    said = re.search(r'audio-buffers mib=1024 covers="([0-9.]+) s of a stalled disk at 10,000 calls, '
                     r'([0-9.]+) s of those running"', recorder.said())  # fmt: skip
    check(said, "it does not: %s", recorder.said()[:300])
    buffers = (1024 << 20) // BUFFER
    same(said.group(1), "%.1f" % ((buffers - -(-buffers // 8)) / 20000 - 2), "the time covered")
    same(said.group(2), "%.1f" % (buffers / 20000 - 2), "the time covered of running calls")
    recorder.finish()


@test
def disk_that_takes_nothing_from_the_start_costs_no_frame_within_the_buffers(bench):
    """Set-up, keys, records and all: nothing is on the disk until the calls are over."""
    wire, disk = Wire(bench), HookedDisk(bench)
    store, recorder = start(bench, disk, wire)
    scene = Scene(bench.seed)
    talk(scene, 80, 4.5)
    check(covers(80) > 5, "the test is wrong")
    scene.write(bench.path("live.pcap"))
    disk.stall()
    same(wire.replay(bench.path("live.pcap")).p.wait(300), 0, "replay's exit status")
    disk.wait_reached()
    disk.go_on()
    counters = recorder.finish()
    for _, dropped in account(scene, store, counters):
        same(dropped, 0, "frames dropped")
    check("audio-dropped" not in recorder.said(), "an alarm was given")


@test
def new_calls_lose_audio_and_running_ones_are_heard(bench):
    """Short calls, of one chunk a voice, take all buffers but the reserve; only calls that run may have of that."""
    wire, disk = Wire(bench), HookedDisk(bench)
    store, recorder = start(bench, disk, wire)
    scene = Scene(bench.seed)
    for n in range(20):
        call = scene.call("10%03d" % n, "30%03d" % n).begin(at=0.005 * n)
        call.talk_both(0.6 + 0.005 * n, 0.75 + 0.005 * n)
        call.talk_both(6.0, 6.5)
        call.bye(6.6, 0)
    crowd = (BUFFERS - RESERVE) // 2 - 20
    for n in range(crowd + 10):
        user = "20" if n < crowd - 20 else "50"  # of the last ones some may be refused
        scene.call("%s%03d" % (user, n), "31%03d" % n).simple(
            at=1.0 + 0.003 * n, ring=0.02, answer=0.05, end=0.25
        )
    talk(scene, 10, 1.0, at=4.5, user="40")
    scene.write(bench.path("live.pcap"))
    disk.stall()
    same(wire.replay(bench.path("live.pcap")).p.wait(300), 0, "replay's exit status")
    disk.wait_reached()
    disk.go_on()
    counters = recorder.finish()
    few = lambda call: call.parties[0].user[:2] != "20"  # noqa: E731
    for row, dropped in account(scene, store, counters, few):
        if row["from"].startswith("40"):
            same(dropped, sum(s["packets"] for s in row["streams"]), "frames of a new call dropped")
        elif not row["from"].startswith("50"):
            same(dropped, 0, "frames of a running call dropped")
    same(counters["rtp-no-buffer"], 0, "rtp-no-buffer")


@test
def every_frame_beyond_the_buffers_is_accounted_for(bench):
    """150 calls take all buffers in the end; ten calls begin too late to have any."""
    wire, disk = Wire(bench), HookedDisk(bench)
    store, recorder = start(bench, disk, wire)
    scene = Scene(bench.seed)
    talk(scene, 150, 7.5)
    # Closed by then: a chunk for each 51 frames at the least; and one is open.
    running = 300 * ((6.5 - 0.65 - 0.75) * 50 / 51 + 1)
    check(running > BUFFERS - RESERVE, "the test is wrong: %d buffers", running)
    talk(scene, 10, 2.0, at=6.5, user="40")
    scene.write(bench.path("live.pcap"))
    disk.stall()
    same(wire.replay(bench.path("live.pcap")).p.wait(300), 0, "replay's exit status")
    disk.wait_reached()
    recorder.wait_for("audio-dropped")
    disk.go_on()
    counters = recorder.finish()
    refused = 0
    calls = account(scene, store, counters, lambda call: call.parties[0].user[-1] in "05")
    for row, dropped in calls:
        if row["from"].startswith("40"):
            same(dropped, sum(s["packets"] for s in row["streams"]), "frames of a new call dropped")
            check("no-audio" in row["coverage"], "coverage is %r", row["coverage"])
            refused += dropped
    same(counters["rtp-refused"], refused, "rtp-refused")
    check(counters["rtp-no-buffer"] > 0, "the buffers never ran out")
    running = [(row, d) for row, d in calls if row["from"].startswith("20")]
    for row, dropped in running:
        check(dropped < sum(s["packets"] for s in row["streams"]), "a running call was refused")
    shown = store.callspan("show", max(running, key=lambda pair: pair[1])[0]["id"]).out
    check(re.search(r"\d+ dropped", shown), "show does not tell: %s", shown)


def stall_in_the_middle(bench, disk):
    wire = Wire(bench)
    store, recorder = start(bench, disk, wire)
    scene = Scene(bench.seed)
    calls, seconds = 60, 3
    check(covers(calls) > 2 * seconds, "the test is wrong")
    talk(scene, calls, 8.0)
    talk(scene, 5, 3.0, at=3.0, user="40")  # they begin meanwhile
    scene.write(bench.path("live.pcap"))
    replay = wire.replay(bench.path("live.pcap"))
    sent = lambda: (progress(replay) or [(0, 0)])[-1][1]  # noqa: E731
    wait_until(lambda: sent() > calls * 100 * 1.5, "the replay does not go on")
    disk.stall()
    disk.wait_reached()
    until = sent() + calls * 100 * seconds
    wait_until(lambda: sent() >= until or not replay.alive(), "the replay does not go on")
    disk.go_on()
    same(replay.p.wait(300), 0, "replay's exit status")
    counters = recorder.finish()
    for _, dropped in account(scene, store, counters):
        same(dropped, 0, "frames dropped")


@test
def three_seconds_of_a_stalled_writer_cost_no_frame(bench):
    stall_in_the_middle(bench, HookedDisk(bench))


@test
def three_seconds_of_a_stalled_file_system_cost_no_frame(bench):
    stall_in_the_middle(bench, MountedDisk(bench))


@test
def two_thousand_calls_a_second_cost_none_while_the_disk_stalls(bench):
    """All their SIP is on one thread; their keys wait for the writer, and it for the disk."""
    generate, calls = program("bench/generate"), 880 * 7
    if not os.path.exists(generate):
        raise Skip("bench/generate is not built (make check builds it)")
    wire, disk = Wire(bench), HookedDisk(bench)
    store, recorder = start(bench, disk, wire)
    run(
        generate, "--output", bench.path("live.pcap"), "--calls", "880", "--waves", "7",
        "--seconds", "0", "--ramp", "1",
    )  # fmt: skip
    disk.stall()
    same(wire.replay(bench.path("live.pcap")).p.wait(300), 0, "replay's exit status")
    disk.wait_reached()
    disk.go_on()
    counters = recorder.finish(timeout=60)
    for name in ("calls", "calls-answered", "calls-ended"):
        same(counters[name], calls, name)
    for name in ("signalling-ring-drop", "sip-call-limit", "sip-stray", "disk-full-records"):
        same(counters[name], 0, name)
    rows = store.calls()
    same(len(rows), calls, "the number of calls")
    for row in rows:
        same((row["outcome"], row["ended_by"]), ("answered", "caller"), "how a call went")


# ---- floods -------------------------------------------------------------------------------------

FLOOD = 20000 if SANITIZED else 90000  # messages


def flood(bench, path):
    """REGISTER, OPTIONS, and what begins like a call and is none, from many telephones, as fast as it goes."""
    out = frames.Pcap(path)
    register = (
        "%s sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.%d.%d;branch=z9hG4bK%08x\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:%d@pbx.example>;tag=%x\r\nTo: <sip:%d@pbx.example>\r\n"
        "Call-ID: flood-%08x\r\nCSeq: 1 %s\r\nContact: <sip:%d@10.9.1.1>\r\nExpires: 60\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    for n in range(FLOOD):
        src = ("10.9.%d.%d" % (n // 250 % 250, n % 250 + 1), 5060)
        method = ("REGISTER", "OPTIONS", "INVITE")[n % 3]
        if method == "INVITE":
            text = b"INVITE sip:x@y SIP/2.0\r\n" + bench.random.randbytes(200)
        else:
            a, b = n // 250 % 250, n % 250
            text = (register % (method, a, b, n, n, n, n, n, method, n)).encode()
        out.frame(0, frames.link("ether", frames.udp(src, ("10.8.0.1", 5060), text)))
    out.close()


@test
def flood_of_signalling_costs_no_frame_and_no_call(bench):
    """All of it fits in the kernel's buffer, so that this is about callspan, not about this machine."""
    wire, store = Wire(bench), bench.store()
    scene = Scene(bench.seed)
    talk(scene, 50, 4.0)
    talk(scene, 50, 2.0, at=1.0, user="40")
    sent = scene.write(bench.path("live.pcap"))
    flood(bench, bench.path("flood.pcap"))
    recorder = wire.recorder(store, "--set", "capture.buffer=256")
    replay = wire.replay(bench.path("live.pcap"))
    wait_until(lambda: progress(replay), "the replay does not begin")
    flooding = wire.replay(bench.path("flood.pcap"), name="flood")
    same(flooding.p.wait(300), 0, "the flood's exit status")
    same(replay.p.wait(300), 0, "replay's exit status")
    counters = recorder.finish()
    same(counters["frames"], sent + FLOOD, "frames")
    for _, dropped in account(scene, store, counters):
        same(dropped, 0, "frames dropped")
    same(counters["sip-stray"], 0, "messages of no known call")
    same(counters["calls"], len(scene.calls), "calls")
    print("# flood: %d of %d messages dropped by signalling" % (
        counters["signalling-ring-drop"], FLOOD))  # fmt: skip


if __name__ == "__main__":
    main()
