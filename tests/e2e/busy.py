#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A machine with other work: threads of the recorder do not run when they should.

The same law as ever, with files, at an interface and in a DPDK ring: each frame is recorded or a counted drop, no call is said
to have ended otherwise than it did, no stream is lost.  In one half of the tests threads are kept from running at
random, one by one; in the other stress-ng takes the processors.  LONG=1: for minutes.
"""

from harness import BUILD, LONG, ROOT, SANITIZED, Process, Skip, check, main, program, run, same, tests_of

import json
import os
import shutil
import signal
import sys

from lab import Wire
from threads import hold_at_random, need_ptrace

sys.path.append(os.path.join(ROOT, "bench"))
from parts.common import Place  # noqa: E402

ROUGH = ("--loss", "1", "--reorder", "1", "--codecs", "PCMU,PCMA,G729", "--tcp", "20", "--vlan", "10", "--vxlan", "10")
WAVES = 60 if LONG else 3
HELD_S = 4.0 if LONG else 0.8  # a thread, at the most: a call's media waits so long for what is said of it


def built(name, why):
    if not os.access(program(name), os.X_OK):
        raise Skip(why)
    return program(name)


def account(bench, counters, sent):
    """Of a run with the store `store`: bench/run's own law."""
    place = Place(BUILD, bench.dir, True)
    same(counters["frames"] + counters["kernel-drops"], sent["packets"], "frames seen + dropped by the kernel")
    if not counters["kernel-drops"]:
        place.check_counters("busy", counters, sent)
        if not place.refused("busy", counters):
            place.check_recordings("busy", counters, sent)
    check(not place.wrong, "%s", place.wrong)


def counters_of(bench):
    with open(bench.path("callspand.counters")) as f:
        return json.load(f)


def live(bench, meanwhile):
    generate = built("bench/generate", "needs bench/generate")
    wire, store = Wire(bench), bench.store()
    recorder = wire.recorder(store, "--set", "capture.threads=2", "--set", "writer.threads=2")
    load = Process(
        bench, "ip", "netns", "exec", wire.netns, generate, "--interface", wire.source, "--calls", "100", "--churn", "50",
        "--waves", str(WAVES), *ROUGH, "--seed", str(bench.seed), name="load",
    )  # fmt: skip
    meanwhile(recorder.p.pid, load.alive)
    load.ended(600)
    sent = json.loads(load.said())
    same((sent["sent"], sent["wire_dropped"]), (sent["packets"], 0), "frames sent, and dropped on the wire")
    account(bench, recorder.finish(timeout=120), sent)
    store.verify()


def file(bench, meanwhile):
    generate = built("bench/generate", "needs bench/generate")
    store, capture = bench.store(), bench.path("load.pcap")
    said = run(generate, "--output", capture, "--calls", "200", "--seconds", "3", "--waves", str(WAVES), *ROUGH, "--seed", str(bench.seed))
    p = Process(
        bench, program("callspand"), "--store", store.path, "-r", capture, "--counters", bench.path("callspand.counters"),
        "--set", "writer.threads=2",
    )  # fmt: skip
    meanwhile(p.p.pid, p.alive)
    p.ended(600)
    account(bench, counters_of(bench), json.loads(said.out))
    store.verify()


def ring(bench, meanwhile):
    """The load waits for room in the ring, so that what is lost is lost in the recorder."""
    store = bench.store()
    p = Process(
        bench, built("bench/ring", "needs bench/ring, and that DPDK"), "--store", store.path, "--counters", bench.path("callspand.counters"),
        "--threads", "2", "--writers", "2", "--calls", "200", "--seconds", "1" if SANITIZED else "3", "--waves", str(WAVES), "--rate", "0",
        "--seed", str(bench.seed),
    )  # fmt: skip
    meanwhile(p.p.pid, p.alive)
    p.ended(600)
    sent = json.loads(p.said().splitlines()[-1])
    same((sent["sent"], sent["ring_dropped"]), (sent["packets"], 0), "frames that the ring took, and not")
    account(bench, counters_of(bench), sent)
    store.verify()


KINDS = {"live": live, "file": file, "ring": ring}


def held(bench, name):
    need_ptrace(bench)
    KINDS[name.split("_")[0]](bench, lambda pid, going: hold_at_random(pid, bench.random, going, HELD_S))


def beside_stress(bench, name):
    if not shutil.which("stress-ng"):
        raise Skip("needs stress-ng")
    stress = Process(
        bench, "stress-ng", "--temp-path", bench.dir, "--cpu", "4", "--switch", "2", "--vm", "1", "--vm-bytes", "64M",
        "--hdd", "1", "--hdd-bytes", "64M", "--quiet", name="stress",
    )  # fmt: skip

    def end():
        if stress.alive():
            stress.p.send_signal(signal.SIGTERM)  # its children with it
            stress.p.wait()

    bench.cleanups.append(end)
    KINDS[name.split("_")[0]](bench, lambda pid, going: check(stress.alive(), "stress-ng says %s", stress.said()))


tests_of([kind + "_with_threads_held_at_random_is_accounted_for" for kind in KINDS], held)
tests_of([kind + "_beside_stress_is_accounted_for" for kind in KINDS], beside_stress)


if __name__ == "__main__":
    main()
