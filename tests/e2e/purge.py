#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Destroying: nothing is left of it, on the raw disk too; cut short anywhere, the next run ends it as if nothing had been.

LONG=1: 200 kills of a purge by the clock, 200 by its calls of the kernel, 200 of an erasure; else 10.
"""

from harness import LONG, PATIENCE, Process, Skip, Wrong, check, main, one_line, program, same, test

import base64
import json
import os
import shutil
import signal
import subprocess
import time

from expiring import capture, policy_file
from lab import quiet

KILLS = 200 if LONG else 10
SHORT, LASTING = 30, 24  # calls of either class
ERASED = 20  # of the lasting: so little lives then that their segment is written anew
BOX = 116
SLOTS_AT, SLOT, BOXES_AT = 4096, 256, (24, 140)


def recorded(bench, name="store", short=SHORT, lasting=LASTING, seconds=0.6):
    """A store of such calls, taken into the vault."""
    store = bench.store(name, policy=policy_file(bench))
    store.record(capture(bench, "x.pcap", bench.seed, short, lasting, seconds), extra=("--retain-from", "call"))
    same(len(store.calls()), short + lasting, "the calls")
    return store


def ids_to(store, prefix):
    return sorted(c["id"] for c in store.calls() if c["to"].startswith(prefix))


def boxes_of(store):
    """The sealed boxes of all slots, by call."""
    out = {}
    for seg in store.segments():
        with open(seg[:-4] + ".keys", "rb") as f:
            data = f.read()
        for at in range(SLOTS_AT, len(data) - SLOT + 1, SLOT):
            slot = data[at : at + SLOT]
            hexed = slot[:16].hex()
            call = "-".join((hexed[:8], hexed[8:12], hexed[12:16], hexed[16:20], hexed[20:]))
            out[call] = [slot[b : b + BOX] for b in BOXES_AT]
    return out


def purge(store, *args, ok=(0,)):
    r = store.callspan("purge", "--yes", "--json", *args, ok=ok)
    return json.loads(r.out.splitlines()[-1]) if r.out.strip() else None


def disposals(store):
    """{id: what its line says but for when}; each once."""
    path = os.path.join(store.path, "vault", "disposals")
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        lines = f.read().splitlines()
    out = {}
    for line in lines:
        words = line.split(" ")
        same(len(words), 11, "the words of a disposal")
        check(words[0] not in out, "a recording is disposed of twice")
        out[words[0]] = tuple(words[1:6] + words[7:])
    return out


def state_of(store):
    """All that a purge leaves, but for times of its own."""
    calls = sorted(store.calls(), key=lambda c: c["id"])
    store.verify()
    store.callspan("audit", "verify")
    segments = sorted(os.path.basename(p) for p in store.segments())
    keys = sorted(n for n in os.listdir(os.path.join(store.path, "vault", "segments")))
    check(not [n for n in keys if n.endswith(".new")], "a half made segment was left: %r", keys)
    return calls, disposals(store), segments, keys


def one_line_of_error(r):
    """What the person is told; the alarm in the log beside it is another line."""
    lines = [x for x in r.err.splitlines() if x.startswith("callspan: ")]
    same(len(lines), 1, "the lines said")
    return lines[0]


# ---- nothing is left -----------------------------------------------------------------------------


@test
def purge_destroys_what_is_due_and_nothing_else(bench):
    store = recorded(bench)
    due, lasting = ids_to(store, "30"), ids_to(store, "77")
    before = {c: store.payload_hashes(c) for c in lasting[:3]}
    boxes = boxes_of(store)
    dry = json.loads(store.callspan("purge", "--dry-run", "--json").out)
    same((dry["due"], dry["total"]), (SHORT, SHORT + LASTING), "due and total")
    same(sorted(c["id"] for c in store.calls()), sorted(due + lasting), "the calls after a dry run")
    r = store.callspan("purge", "--verify", "--yes")
    check("none is left" in r.out, "purge --verify said %r", r.out)
    same(sorted(c["id"] for c in store.calls()), lasting, "the calls that live")
    same(sorted(disposals(store)), due, "the disposals")
    for path, data in store.everything():
        for call in due:
            for box in boxes[call]:
                check(box not in data, "%s still has a destroyed key", path)
    same({c: store.payload_hashes(c) for c in before}, before, "what lives")
    store.verify()
    said = one_line(store.callspan("show", due[0], ok=(1,)))
    check("was destroyed on" in said and "its time was up" in said, "show said %r", said)
    again = purge(store)
    same((again["destroyed"], again["segments_removed"]), (0, 0), "what a second purge did")
    status = json.loads(store.callspan("status", "--json").out)["purge"]
    same((status["destroyed_total"], status["due"]), (SHORT, 0), "what status tells")


@test
def unsure_clock_and_large_share_want_a_yes(bench):
    store = recorded(bench, short=6, lasting=2)
    before = store.calls()
    said = one_line_of_error(store.callspan("purge", ok=(1,)))
    check("--yes" in said, "purge said %r", said)
    same(store.calls(), before, "the calls")
    log = [json.loads(x) for x in store.callspan("audit", "list", "--json").out.splitlines()]
    check([e for e in log if e["action"] == "purge" and e["outcome"] == "refused"], "no entry")


@test
def report_is_verified_with_public_tools(bench):
    store = recorded(bench, short=4, lasting=1)
    report = purge(store)["report"]
    with open(report, "rb") as f:
        line, signature, rest = f.read().split(b"\n")
    same(rest, b"", "what follows the signature")
    with open(os.path.join(store.path, "vault", "secret", "heads.key")) as f:
        public = bytes.fromhex([x.split()[1] for x in f if x.startswith("public ")][0])
    der = bytes.fromhex("302a300506032b6570032100") + public
    for name, data in (("line", line), ("sig", base64.b64decode(signature)), ("pub", der)):
        with open(bench.path(name), "wb") as f:
            f.write(data)

    def good():
        return subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
             bench.path("pub"), "-rawin", "-in", bench.path("line"), "-sigfile",
             bench.path("sig")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).returncode == 0  # fmt: skip

    check(good(), "openssl does not verify the report")
    with open(bench.path("line"), "wb") as f:
        f.write(line.replace(b'"destroyed":4', b'"destroyed":3'))
    check(not good(), "openssl verifies an altered report")
    same(json.loads(line)["destroyed"], 4, "destroyed")


@test
def nothing_is_left_on_the_raw_disk(bench):
    if os.geteuid() != 0:
        raise Skip("needs root")
    image, folder = bench.path("image"), bench.path("disk")
    os.mkdir(folder)
    with open(image, "wb") as f:
        f.truncate(192 << 20)
    try:
        quiet("mkfs.ext4", "-q", "-F", image)
        quiet("mount", "-o", "loop", image, folder)
    except (Wrong, OSError) as e:
        raise Skip("cannot mount an image: %s" % e)
    mounted = [True]
    bench.cleanups.append(lambda: mounted[0] and quiet("umount", "-l", folder))
    store = recorded(bench, "disk/store")
    due, lasting = ids_to(store, "30"), ids_to(store, "77")
    for call in lasting[:ERASED]:
        store.callspan("erase", call, "--reason", "a test")
    gone, alive = due + lasting[:ERASED], lasting[ERASED:]
    boxes = boxes_of(store)
    boxes = {c: b for c, b in boxes.items() if c in due or c in alive}
    os.sync()
    with open(image, "rb") as f:
        raw = f.read()
    check(all(b in raw for c in due for b in boxes[c]), "the image does not hold the keys before")
    del raw
    same(purge(store)["segments_rewritten"], 1, "segments written anew")
    store.verify()
    quiet("umount", folder)
    mounted[0] = False
    with open(image, "rb") as f:
        raw = f.read()
    left = sum(b in raw for c in due for b in boxes[c])
    same(left, 0, "destroyed keys on the raw disk")
    check(all(b in raw for c in alive for b in boxes[c]), "a living key is gone")
    same(len(gone) + len(alive), SHORT + LASTING, "calls in all")


# ---- files that are lost ---------------------------------------------------------------------------


@test
def lost_segment_is_written_off_and_purges_go_on(bench):
    """Each purge says what to do; then it is on record, and done with."""
    store = recorded(bench, short=6, lasting=2)
    due = ids_to(store, "30")
    lost = [seg for seg in store.segments() if "-short-" in os.path.basename(seg)]
    same(len(lost), 1, "the segments of what is due")
    name = os.path.basename(lost[0])[:-4]
    copies = bench.path("copies")
    os.mkdir(copies)
    for path in (lost[0], lost[0][:-4] + ".keys"):
        shutil.move(path, copies)
    for _ in range(2):
        said = one_line_of_error(store.callspan("purge", "--yes", ok=(1,)))
        check(name in said and "callspan segment write-off" in said, "purge said %r", said)
    check(name in store.callspan("status").out, "status does not name it")
    check(name in store.verify(ok=(4,)).out, "verify does not name it")
    said = one_line(store.callspan("reindex", ok=(1,)))
    check("callspan segment write-off" in said, "reindex said %r", said)
    hold = ("hold", "add", due[0], "--reason", "a case", "--reference", "C-1")
    store.callspan(*hold)
    write_off = ("segment", "write-off", name, "--reason", "disk 2 failed")
    said = one_line(store.callspan(*write_off, ok=(3,)))
    check("1 of them kept by H-1" in said, "write-off said %r", said)
    same(len(store.calls()), 8, "the calls after a refusal")
    r = store.callspan(*write_off, "--yes")
    check("Written off: 6 recordings" in r.out, "write-off said %r", r.out)
    store.callspan("purge", "--yes")
    store.verify()
    store.callspan("reindex")
    store.callspan("key", "rotate")
    same({line[5:] for line in disposals(store).values()},
         {("lost", name, str(n), "absent") for n in range(6)}, "the disposals")  # fmt: skip
    said = one_line(store.callspan("show", due[0], ok=(1,)))
    check("its files were lost" in said, "show said %r", said)
    # What turns up later is destroyed.
    for f in os.listdir(copies):
        shutil.move(os.path.join(copies, f), os.path.dirname(lost[0]))
    purge(store)
    check(not os.path.exists(lost[0]), "the copy is still there")
    same(sorted(disposals(store)), due, "the disposals")
    same(len(store.calls()), 2, "the calls")
    store.verify()
    store.callspan("audit", "verify")


# ---- cut short -----------------------------------------------------------------------------------


class Master:
    """A store in which all is ready for a purge that removes one segment and writes another anew."""

    def __init__(self, bench):
        self.bench = bench
        self.store = recorded(bench, "master")
        self.lasting = ids_to(self.store, "77")
        for call in self.lasting[:ERASED]:
            self.store.callspan("erase", call, "--reason", "a test")
        self.living = {c: self.store.payload_hashes(c) for c in self.lasting[ERASED:]}
        quiet_store = self.copy("undisturbed")
        started = time.monotonic()
        done = purge(quiet_store)
        self.seconds = time.monotonic() - started
        same(done["destroyed"], SHORT, "destroyed")
        same((done["segments_removed"], done["segments_rewritten"]), (1, 1), "segments")
        self.wanted = state_of(quiet_store)

    def copy(self, name):
        to = self.bench.store(name, init=False)
        shutil.rmtree(to.path, ignore_errors=True)
        shutil.copytree(self.store.path, to.path)
        return to

    def killed(self, store, args, after):
        """Start a command and kill it then; true when it was still at work."""
        p = Process(self.bench, program("callspan"), "--store", store.path, *args, name="killed")
        time.sleep(after)
        busy = p.alive()
        p.p.send_signal(signal.SIGKILL)
        p.p.wait()
        return busy


def same_as_undisturbed(master, store, when, play=False):
    """The next purge ends what was cut short; then the store goes."""
    listed = {c["id"] for c in store.calls()}
    check(not listed & set(disposals(store)), "a destroyed call is listed (%s)", when)
    store.verify()
    purge(store)
    got = state_of(store)
    for what, a, b in zip(("calls", "disposals", "segments", "files"), got, master.wanted):
        same(a, b, "the %s after %s" % (what, when))
    for call, wanted in master.living.items() if play else ():
        same(store.payload_hashes(call), wanted, "what lives")
    shutil.rmtree(store.path)


@test
def purge_killed_anywhere_is_finished_by_the_next(bench):
    master, caught = Master(bench), 0
    for n in range(KILLS):
        store = master.copy("copy")
        for _ in range(bench.random.choice((1, 1, 2))):
            after = bench.random.uniform(0, 1.1 * master.seconds)
            caught += master.killed(store, ("purge", "--yes"), after)
        # Whatever it left, nobody is served what is destroyed, and no living call is touched.
        same_as_undisturbed(master, store, "kill %d" % n, play=n % 10 == 0)
    check(caught >= KILLS // 3, "only %d of %d kills met a purge at work", caught, KILLS)


# What changes a disk: a process dies before one of these, or between two, and no other moment leaves anything else.
WRITES = ("openat", "write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "fallocate", "rename", "renameat",
          "renameat2", "unlink", "unlinkat", "mkdir")  # fmt: skip


def traced(store, log, *options):
    """A purge under strace; gives how it ended, and what its first thread asked of the kernel."""
    # LeakSanitizer cannot look while another process traces.
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    p = subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", "trace=" + ",".join(WRITES), *options,
         program("callspan"), "--store", store.path, "purge", "--yes"],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # fmt: skip
    with open(log) as f:
        lines = f.read().splitlines()
    first = lines[0].split()[0] if lines else None
    return p, [line.split(None, 1)[1].split("(")[0] for line in lines if line.split()[0] == first and "(" in line]


@test
def purge_killed_before_any_call_of_the_kernel_is_finished_by_the_next(bench):
    if not shutil.which("strace"):
        raise Skip("needs strace")
    master, log, rewriting = Master(bench), bench.path("trace"), 0
    p, calls = traced(master.copy("copy"), log)
    same(p.returncode, 0, "a purge under strace: " + p.stderr[-300:])
    for n in range(KILLS):
        store = master.copy("copy")
        at = bench.random.randrange(1, len(calls) + 1)
        # strace counts by name; the last of the names up to there is the moment.
        name = calls[at - 1]
        when = calls[:at].count(name)
        p, _ = traced(store, log, "-e", "inject=%s:signal=KILL:when=%d" % (name, when))
        check(p.returncode != 0, "kill %d did not meet the purge (%s %d)", n, name, when)
        rewriting += any(f.endswith((".new", ".tmp")) for f in os.listdir(os.path.join(store.path, "vault", "segments")))
        same_as_undisturbed(master, store, "kill %d (%s %d)" % (n, name, when))
    print("# %d kills at %d calls of the kernel, %d in the middle of a segment's rewriting" % (KILLS, len(calls), rewriting))


@test
def erasure_killed_anywhere_is_all_or_nothing(bench):
    store = recorded(bench, short=2, lasting=KILLS + 4, seconds=0.3)
    started = time.monotonic()
    lasting = ids_to(store, "77")
    store.callspan("erase", lasting[0], "--reason", "a test")
    seconds = time.monotonic() - started
    gone = {lasting[0]}
    for call in lasting[1 : KILLS + 1]:
        Master.killed(type("", (), {"bench": bench}), store,
                      ("erase", call, "--reason", "a test"), bench.random.uniform(0, seconds))  # fmt: skip
        listed = {c["id"] for c in store.calls()}
        destroyed = set(disposals(store))
        check((call in listed) != (call in destroyed), "a call is neither or both")
        if call in destroyed:
            gone.add(call)
        same(destroyed, gone, "what is destroyed")
        store.verify()
    store.callspan("audit", "verify")


@test
def full_disk_in_the_middle_of_a_purge(bench):
    if os.geteuid() != 0:
        raise Skip("needs root")
    disk = bench.path("disk")
    os.mkdir(disk)
    try:
        quiet("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk)
    except Wrong as e:
        raise Skip("cannot mount a tmpfs: %s" % e)
    bench.cleanups.append(lambda: quiet("umount", "-l", disk))
    master = Master(bench)
    refused = 0
    for leave in (0, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288):
        store = bench.store("disk/store", init=False)
        shutil.rmtree(store.path, ignore_errors=True)
        shutil.copytree(master.store.path, store.path)
        ballast = os.path.join(disk, "ballast")
        st = os.statvfs(disk)
        with open(ballast, "wb") as f:
            left = max(0, st.f_bavail * st.f_frsize - leave)
            while left > 0:
                left -= f.write(bytes(min(left, 1 << 16)))
        r = store.callspan("purge", "--yes", ok=(0, 1, 4))
        if r.code:
            refused += 1
            said = [x for x in r.err.splitlines() if x.startswith("callspan: ")]
            same(len(said), 1, "the lines said when %d bytes were left" % leave)
        os.unlink(ballast)
        purge(store)
        got = state_of(store)
        for what, a, b in zip(("calls", "disposals", "segments", "files"), got, master.wanted):
            same(a, b, "the %s after a disk with %d bytes left" % (what, leave))
    check(refused >= 2, "the disk was never full")


@test
def purge_beside_a_recorder(bench):
    """What is due goes while more is recorded, out of open segments too; nothing is lost or double."""
    store = bench.store(policy=policy_file(bench))
    path = capture(bench, "big.pcap", bench.seed, short=300, lasting=60, seconds=3.0)
    recorder = Process(
        bench, program("callspand"), "--store", store.path, "-r", path, "--retain-from", "call",
        name="callspand",
    )  # fmt: skip
    deadline = time.monotonic() + 120 * PATIENCE
    while recorder.alive() and time.monotonic() < deadline:
        store.callspan("purge", "--yes")
    same(recorder.p.wait(), 0, "the recorder's exit status")
    purge(store)
    same(len(ids_to(store, "77")), 60, "the lasting calls")
    same(len(store.calls()), 60, "the calls")
    same(len(disposals(store)), 300, "the disposals")
    store.verify()


if __name__ == "__main__":
    main()
