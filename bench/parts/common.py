# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What all parts of the benchmark share: running programs, and the law that every packet is accounted for."""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

POLICY = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "conf", "policies", "lab.yaml")

# Where a packet of audio can go besides into a chunk.  The captures give no cause for those of NEVER.
DROPS = ["rtp-refused", "rtp-no-buffer", "rtp-stream-limit", "rtp-oversize", "pen-expired", "pen-full", "pen-old", "pen-held"]
NEVER = ["to-nobody", "rtp-event", "rtp-event-stored", "rtp-relay-copy", "rtp-excluded", "rtp-duplicate", "rtp-malformed", "rtp-after-end", "rtp-before-start",
         "rtcp", "rtcp-encrypted", "rtcp-malformed", "media-stun", "media-dtls", "media-zrtp", "media-other", "decode-malformed", "decode-other", "sip-malformed", "sip-stray"]
# Messages that signalling, and calls that a writer, did not keep up with.
REFUSED = ["signalling-ring-drop", "sip-call-limit"]
# Stored first, and lost afterwards.
LOST_LATER = ["frames-in-dropped-chunks", "rtp-cut"]



@dataclass
class Run:
    cpu: float
    user: float
    system: float
    wall: float
    rss_kib: int
    counters: dict


def say(text):
    print(text, file=sys.stderr, flush=True)


def measured(argv):
    """Run to the end; its resources and its standard output."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.monotonic()
        child = subprocess.Popen(argv, stdout=out, stderr=err)
        _, status, use = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            raise SystemExit(f"bench/run: {' '.join(argv)}: exit {child.returncode}\n{err.read()}")
        return Run(use.ru_utime + use.ru_stime, use.ru_utime, use.ru_stime, wall, use.ru_maxrss, {}), out.read()


# Touch so many MiB and give them back.
TOUCH = """
import contextlib, mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
with contextlib.suppress(OSError):
    memory.madvise(mmap.MADV_HUGEPAGE)
for at in range(0, len(memory), mmap.PAGESIZE):
    memory[at] = 1
"""
MEMORY_MIB = 3072  # more than any run touches at once


def memory_at_hand():
    """The host of a virtual machine takes back what is free, and then a page costs its first user 8 us, not 0.2."""
    with open("/proc/meminfo") as f:
        free = next(int(line.split()[1]) >> 10 for line in f if line.startswith("MemFree:"))
    subprocess.run([sys.executable, "-c", TOUCH, str(min(MEMORY_MIB, max(1, free // 2)))], check=True)


def warm(path):
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 22):
            pass


def machine():
    model = platform.machine()
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"


def median(runs, get):
    return statistics.median(get(r) for r in runs)


def verdict(what, got, met):
    return f"{'met   ' if met else 'MISSED'}  {what}: {got}"


def as_table(lines):
    """Rows of text as a Markdown table, numbers to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = ["| " + " | ".join(cell.rjust(w) for cell, w in zip(line, widths)) + " |" for line in lines]
    out.insert(1, "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
    return "\n".join(out)


class Place:
    """A directory to work in, and the programs of a build."""

    def __init__(self, build, directory, quick):
        self.build, self.dir, self.quick = os.path.abspath(build), directory, quick
        self.store = os.path.join(directory, "store")
        self.counters = os.path.join(directory, "counters.json")
        self.wrong = []  # where the accounting is not exact

    def program(self, name):
        return os.path.join(self.build, name)

    def new_store(self):
        shutil.rmtree(self.store, ignore_errors=True)
        subprocess.run([self.program("callspan"), "--store", self.store, "init", "--policy", POLICY,
                        "--unattended", "--allow-cow"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def generate_to(self, capture, calls, seconds, waves, extra=()):
        """A capture file; what is in it."""
        out = subprocess.run([self.program("bench/generate"), "--output", capture, "--calls", str(calls),
                              "--seconds", str(seconds), "--waves", str(waves), *extra],
                             check=True, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(out)

    def read_counters(self):
        with open(self.counters) as f:
            return json.load(f)

    # ---- sent = recorded + counted drops ---------------------------------------------------

    def expect(self, run, what, got, wanted):
        if got != wanted:
            self.wrong.append(f"{run}: {what}: {got}, expected {wanted}")

    @staticmethod
    def refused(name, c):
        """Calls that were not followed, or not to their end, because signalling or a writer did not keep up: counted drops too."""
        counted = {n: c[n] for n in REFUSED if c[n]}
        if counted:
            say(f"  {name}: signalling was refused, and counted: {counted}")
        return sum(counted.values())

    def check_counters(self, name, c, sent):
        """Of a run in which every frame reached callspand."""
        drops = dropped(c)
        recorded = c["rtp-stored"] - sum(c[n] for n in LOST_LATER)
        if drops:
            say(f"  {name}: dropped and counted: { {n: c[n] for n in DROPS + LOST_LATER if c.get(n)} }")
        self.expect(name, "frames read", c["frames"], sent["packets"])
        self.expect(name, "SIP messages + dropped", c["sip-messages"] + c["signalling-ring-drop"], sent["sip_packets"])
        if self.refused(name, c):
            # Its audio then belongs to nobody, or to a call that nobody has seen begin or end.
            elsewhere = sum(c[n] for n in NEVER if n.startswith(("rtp-", "to-")))
            self.expect(name, "audio packets recorded + dropped + of no call", recorded + drops + elsewhere, sent["rtp_packets"])
            return
        self.expect(name, "audio packets recorded + dropped", recorded + drops, sent["rtp_packets"])
        for what in ["calls", "calls-answered", "calls-ended"]:
            self.expect(name, what, c[what], sent["calls"])
        if sent["rtp_packets"]:
            self.expect(name, "streams", c["streams"], sent["streams"])
        for what in NEVER:
            self.expect(name, what, c[what], 0)
        self.expect(name, "packets overtaken", c["rtp-reordered"], sent["reordered"])
        if not drops:
            self.expect(name, "bytes of audio in chunks", c["chunk-bytes"], sent["audio_bytes"])

    def check_recordings(self, name, c, sent):
        """What the recordings themselves say, read back by the vault.  Line by line: what this process once had in memory
        would count as that of the programs it starts."""
        calls = streams = packets = lost = 0
        argv = [self.program("callspan"), "--store", self.store, "calls", "--limit", "0", "--json"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listing:
            for line in listing.stdout:
                of_call = json.loads(line)["streams"]
                calls += 1
                streams += len(of_call)
                packets += sum(s["packets"] for s in of_call)
                lost += sum(s["lost"] for s in of_call)
        self.expect(name, "exit status of callspan calls", listing.returncode, 0)
        self.expect(name, "calls listed", calls, sent["calls"])
        if sent["rtp_packets"]:
            self.expect(name, "streams listed", streams, sent["streams"])
        self.expect(name, "packets listed + dropped", packets + dropped(c), sent["rtp_packets"])
        if not dropped(c):
            self.expect(name, "packets that the recordings miss", lost, sent["lost"])


def dropped(c):
    return sum(c.get(name, 0) for name in DROPS + LOST_LATER)
