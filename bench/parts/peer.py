# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The same capture by other tools of Debian: what each does with a packet differs, so each row says what.

None of them seals or attests; what they keep, they keep in clear.  A tool that is not installed is named and left out.
"""
import os
import re
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from typing import Callable

from parts.common import as_table, measured, say


@dataclass
class Peer:
    name: str
    does: str
    argv: Callable  # capture, directory -> arguments
    count: Callable  # standard output, directory -> audio packets that it says it saw, or None


def count_tshark(out, _):
    """The sum of the column Pkts: after two times, two addresses and ports, SSRC and payload."""
    rows = [re.split(r"\s+", line.strip()) for line in out.splitlines() if " 0x" in line]
    return sum(int(row[8]) for row in rows)


def made(directory):
    return os.path.join(directory, "peer.pcap")


PEERS = [
    Peer("tshark", "finds RTP streams by their SDP, counts packets, loss and jitter; keeps nothing",
         lambda capture, d: ["tshark", "-n", "-q", "-z", "rtp,streams", "-r", capture], count_tshark),
    Peer("sngrep", "follows dialogs, copies their SIP and RTP into a capture file",
         lambda capture, d: ["sngrep", "-F", "-N", "-q", "-r", "-l", "100000", "-I", capture, "-O", made(d)], lambda out, d: None),
    Peer("tcpdump", "copies every frame, knows nothing of calls",
         lambda capture, d: ["tcpdump", "-n", "-r", capture, "-w", made(d)], lambda out, d: None),
]


# A tool that is never run, and why.
LEFT_OUT = {
    "rtpengine-recording": "takes packets only from the kernel module of rtpengine's own proxy (/proc/rtpengine), reads no capture: left out",
}


def bench_peer(bench, rounds):
    """Each takes turns with callspand on one capture; `bench` is a files.Bench."""
    calls, seconds = (100, 5) if bench.quick else (1000, 10)
    sent = bench.generate(calls, seconds, 1)
    say(f"  peers: {sent['packets']:,} packets of {calls:,} calls; {rounds} rounds")
    cpu, walls, there = {"callspand": []}, {"callspand": []}, []
    for peer in PEERS:
        if shutil.which(peer.name):
            there.append(peer)
            cpu[peer.name], walls[peer.name] = [], []
        else:
            say(f"  {peer.name}: not installed, left out")
    for _ in range(rounds):
        run = bench.run_callspand()
        bench.check_counters("peers, callspand", run.counters, sent)
        cpu["callspand"].append(run.cpu)
        walls["callspand"].append(run.wall)
        for peer in there:
            run, out = measured(peer.argv(bench.capture, bench.dir))
            cpu[peer.name].append(run.cpu)
            walls[peer.name].append(run.wall)
            seen = peer.count(out, bench.dir)
            if seen is not None:
                bench.expect(f"peers, {peer.name}", "audio packets", seen, sent["rtp_packets"])
            if os.path.exists(made(bench.dir)):
                os.unlink(made(bench.dir))
    ours = statistics.median(cpu["callspand"])
    lines = [["tool", "packets / CPU-s", "packets / wall s", "callspand does so many times as many / CPU-s", "what it does"]]
    does = {p.name: p.does for p in there}
    does["callspand"] = "records: follows calls, keeps the audio, seals, attests, syncs"
    for name in ["callspand", *does.keys() - {"callspand"}]:
        its = statistics.median(cpu[name])
        lines.append([name, f"{sent['packets'] / its:,.0f}", f"{sent['packets'] / statistics.median(walls[name]):,.0f}",
                      f"{its / ours:.2f}", does[name]])
    return as_table(lines) + "\n\n" + "\n".join(f"{name}: {why}" for name, why in LEFT_OUT.items())
