# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What an open stream takes beside its open chunk, at 52,500 calls at once.

Rings, hash tables and buffers have their size whatever the calls, and are touched as a run goes on; so runs with half as many
calls and with all of them are compared, part by part:

    media        open streams, flows, expectations: callspand says how much, beside its chunk buffers (--counters, "memory")
    signalling   the heap: where files are read its thread is the main one.  As the kernel has it (/proc/PID/smaps)
    writer       what other threads have allocated, that is its calls (arenas of 64 MiB), as the kernel has it

Told apart: ended, what media keeps for 30 s of a stream whose call has ended, which is no open one any more; and all, by how much
everything that is resident grew beside the chunk buffers: with the parts also what is kept of segments, keys, and tables as they are touched.
"""
import os
import subprocess
import time
from dataclasses import dataclass

from parts.common import as_table, say, verdict, warm

MEMORY = "memory"
HALF, MOST = 26250, 52500  # calls at once
SECONDS = 2
LOOK_S = 0.1
ARENA = 64 << 20  # glibc's: where a thread's allocations begin
PARTS = ["media", "signalling", "writer"]


@dataclass
class Held:
    kib: dict  # by part, and "all"; when all was most
    chunks_kib: float
    streams: int


def part_of(line):
    """Of a mapping's first line: "begin-end rwxp offset device inode [name]"."""
    words = line.split()
    if words[-1] == "[heap]":
        return "signalling"
    return "writer" if len(words) == 5 and int(words[0].split("-")[0], 16) % ARENA == 0 else None


def look(pid):
    kib, part = {"all": 0, "signalling": 0, "writer": 0}, None
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            words = line.split()
            if not words[0].endswith(":"):
                part = part_of(line)
            elif words[0] == "Rss:":
                kib["all"] += int(words[1])
                if part:
                    kib[part] += int(words[1])
    return kib


def watch(child):
    most = {"all": 0}
    while child.poll() is None:
        try:
            now = look(child.pid)
        except ProcessLookupError:
            break
        if now["all"] > most["all"]:
            most = now
        time.sleep(LOOK_S)
    return most


def held(place, calls):
    name, capture = f"memory, {calls:,} calls at once", os.path.join(place.dir, "memory.pcap")
    say(f"  {name}: generating")
    sent = place.generate_to(capture, calls, SECONDS, 1)
    warm(capture)
    place.new_store()
    say(f"  {name}: recording")
    argv = [place.program("callspand"), "--store", place.store, "-r", capture, "--counters", place.counters]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kib = watch(child)
    if child.wait() != 0:
        raise SystemExit(f"bench/run: {' '.join(argv)}: exit {child.returncode}")
    counters = place.read_counters()
    place.check_counters(name, counters, sent)
    os.unlink(capture)
    memory = counters["memory"]
    kib["media"] = memory["media-bytes-most"] / 1024
    kib["ended"] = memory["ended-bytes-most"] / 1024
    return Held(kib, memory["chunk-buffers-most"] * memory["chunk-buffer-bytes"] / 1024, sent["streams"])


def bench_memory(place):
    half, most = (held(place, calls // 10 if place.quick else calls) for calls in (HALF, MOST))
    streams = most.streams - half.streams
    a_stream = {part: 1024 * (most.kib[part] - half.kib[part]) / streams for part in [*PARTS, "ended", "all"]}
    a_stream["all"] -= 1024 * (most.chunks_kib - half.chunks_kib) / streams
    together = sum(a_stream[part] for part in PARTS)
    lines = [["streams at once", "MiB", "of that chunk buffers", *PARTS, "ended"]]
    for run in half, most:
        kib = [run.kib["all"], run.chunks_kib, *(run.kib[part] for part in [*PARTS, "ended"])]
        lines.append([f"{run.streams:,}", *(f"{n / 1024:.0f}" for n in kib)])
    text = "memory of open streams, MiB:\n\n" + as_table(lines)
    if place.quick:
        return text
    return "\n".join([text, "", "bytes a stream, by the difference: " + ", ".join(f"{part} {n:.0f}" for part, n in a_stream.items()), "",
                      verdict("media under 1 KiB a stream beside its open chunk", f"{a_stream['media']:.0f} bytes", a_stream["media"] < 1024),
                      verdict("media, signalling and writer together under 1 KiB", f"{together:.0f} bytes", together < 1024)])
