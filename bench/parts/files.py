# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Capture files: callspand against the bare loop on the same file, run after run in turn."""
import json
import math
import os
from dataclasses import dataclass, field

from parts.common import Place, as_table, dropped, measured, memory_at_hand, median, say, verdict, warm


@dataclass
class Row:
    name: str
    calls: int  # at once
    seconds: float  # of each call
    waves: int  # calls one after the other on each line
    why: str
    extra: tuple = ()  # further arguments of bench/generate
    sent: dict = field(default_factory=dict)
    ours: list = field(default_factory=list)  # one Run a round
    floor: list = field(default_factory=list)

    @property
    def packets(self):
        """Of audio."""
        return self.calls * self.waves * self.seconds * 2 * 50

    @property
    def has_floor(self):
        """The floor knows neither tunnels nor TCP, and without audio there is nothing to append."""
        return not self.extra and self.seconds > 0


# `few` and `many` differ in nothing but how many calls are open at once, so their costs compare.  The two rows of
# 52,500 calls differ in nothing but how long calls are: their difference is what packets cost, without the calls.
ROWS = [
    Row("200", 200, 150, 1, "200 calls at once"),
    Row("1000", 1000, 30, 1, "1,000 calls at once: the issue's figure"),
    Row("10000", 10000, 3, 1, "10,000 calls set up and ended within 4 s"),
    Row("20000", 20000, 4, 1, "20,000 calls at once, 4 s each"),
    Row("20000+", 20000, 30, 1, "the same, 30 s each, as at 1,000: the issue's figure"),
    Row("52500", 52500, 1, 1, "a full 10 Gbit/s of calls, 1 s each"),
    Row("52500+", 52500, 8, 1, "the same, 8 s each"),
    Row("few", 200, 15, 10, "200 at once, 15 s each, ten times over"),
    Row("many", 10000, 15, 1, "10,000 at once, 15 s each"),
    Row("long", 200, 180, 1, "calls of 180 s: bytes written"),
    Row("rough", 1000, 10, 3, "1 % lost, 1 % overtaken, five codecs; VLAN, VXLAN, GRE and ERSPAN, 10 % of lines each",
        ("--loss", "1", "--reorder", "1", "--codecs", "PCMU,PCMA,G722,G729,opus",
         "--vlan", "10", "--vxlan", "10", "--gre", "10", "--erspan", "10")),
    Row("mixed", 1000, 30, 1, "10 % of lines in VXLAN, 10 % with signalling on TCP", ("--vxlan", "10", "--tcp", "10")),
    Row("sip", 2000, 0, 5, "10,000 calls without audio: signalling alone"),
]


class Bench(Place):
    def __init__(self, build, directory, quick):
        super().__init__(build, directory, quick)
        self.capture = os.path.join(directory, "bench.pcap")

    def generate(self, calls, seconds, waves, extra=()):
        return self.generate_to(self.capture, calls, seconds, waves, extra)

    def at_hand(self):
        """What both programs find: the capture in the page cache, and memory that only has to be taken."""
        warm(self.capture)
        memory_at_hand()

    def run_callspand(self):
        """One recording of the capture into a new store, left there."""
        self.new_store()
        self.at_hand()
        run, _ = measured([self.program("callspand"), "--store", self.store, "-r", self.capture,
                           "--counters", self.counters])
        run.counters = self.read_counters()
        return run

    def run_floor(self):
        output = os.path.join(self.dir, "floor.out")
        self.at_hand()
        run, out = measured([self.program("bench/floor"), self.capture, output])
        os.unlink(output)
        run.counters = json.loads(out)
        return run

    def check_floor(self, row, run):
        self.expect(row.name, "floor: audio packets", run.counters["rtp_packets"], row.sent["rtp_packets"])
        self.expect(row.name, "floor: bytes of audio", run.counters["audio_bytes"], row.sent["audio_bytes"])

    def measure(self, row, rounds):
        say(f"  {row.name}: {row.why}: generating")
        seconds = row.seconds / 10 if self.quick else row.seconds
        calls = row.calls // 10 if self.quick and row.calls > 10000 else row.calls
        row.sent = self.generate(calls, seconds, row.waves, row.extra)
        say(f"  {row.name}: {row.sent['packets']} packets, {row.sent['file_bytes'] >> 20} MiB; {rounds} rounds")
        for _ in range(rounds):
            row.ours.append(self.run_callspand())
            self.check_counters(row.name, row.ours[-1].counters, row.sent)
            if row.has_floor:
                row.floor.append(self.run_floor())
                self.check_floor(row, row.floor[-1])
        self.check_recordings(row.name, row.ours[-1].counters, row.sent)

    def base_rss_kib(self):
        """callspand with nearly nothing to do: programs, libraries and tables."""
        self.generate(1, 1, 1)
        return self.run_callspand().rss_kib


def bytes_needed(rows, quick):
    """The largest capture, its recording and the floor's output are there at the same time."""
    audio = max((row.packets for row in rows), default=0)
    return int(audio * (230 + 170 + 162) * (0.1 if quick else 1)) + (3 << 30)


# ---- what is printed ---------------------------------------------------------------------------

def figures(row, base_kib):
    cpu = median(row.ours, lambda r: r.cpu)
    floor_cpu = median(row.floor, lambda r: r.cpu) if row.floor else math.nan
    packets, open_streams = row.sent["packets"], 2 * row.sent["calls_at_once"]
    return {
        "rate": packets / cpu,
        "floor": packets / floor_cpu,
        "ratio": floor_cpu / cpu,
        "ns": 1e9 * cpu / packets,
        "user_ns": 1e9 * median(row.ours, lambda r: r.user) / packets,
        "system_ns": 1e9 * median(row.ours, lambda r: r.system) / packets,
        "wall": median(row.ours, lambda r: r.wall),
        "rss": median(row.ours, lambda r: r.rss_kib) / 1024,
        "kib": (median(row.ours, lambda r: r.rss_kib) - base_kib) / open_streams,
        "written": median(row.ours, lambda r: r.counters["bytes-written"]) / (row.sent["audio_bytes"] or math.nan),
        "messages": row.sent["sip_packets"] / cpu,
        "drops": max(dropped(r.counters) for r in row.ours),
    }


def table(rows, base_kib):
    lines = [["run", "calls at once", "calls", "packets", "packets / CPU-s", "floor: packets / CPU-s", "of floor",
              "ns / packet (user + system)", "packets / wall s", "max RSS MiB", "KiB / open stream",
              "bytes written / audio byte", "dropped"]]
    for row in rows:
        f = figures(row, base_kib)
        lines.append([row.name, f"{row.sent['calls_at_once']:,}", f"{row.sent['calls']:,}",
                      f"{row.sent['packets']:,}", f"{f['rate']:,.0f}", f"{f['floor']:,.0f}", f"{f['ratio']:.2f}",
                      f"{f['ns']:.0f} ({f['user_ns']:.0f} + {f['system_ns']:.0f})", f"{row.sent['packets'] / f['wall']:,.0f}",
                      f"{f['rss']:.0f}", f"{f['kib']:.1f}", f"{f['written']:.4f}", f"{f['drops']}"])
    return as_table([[cell.replace("nan", "-") for cell in line] for line in lines])


# ---- where the time goes -----------------------------------------------------------------------

READER = ["read", "decode", "media", "signalling", "timers"]
WRITER = ["seal", "slot", "write", "sync"]


def stage_ns(run, thread, name, packets):
    """ns a packet of one stage: sampled stages count the packets that they were sampled of."""
    stage = run.counters["threads"].get(thread, {}).get(name)
    if not stage:
        return 0
    return 1e9 * stage["s"] / (stage["items"] if stage["sampled"] else packets)


def stages(rows):
    """Threads' CPU time, and the stages' time by the processor's clock; medians."""
    lines = [["run", "reader: CPU ns / packet", *READER, "writer: CPU ns / packet", *WRITER]]
    for row in rows:
        packets, line = row.sent["packets"], [row.name]
        for thread, names in [("reader-0", READER), ("writer-0", WRITER)]:
            line.append(f"{1e9 * median(row.ours, lambda r: r.counters['threads'][thread]['cpu_s']) / packets:.0f}")
            line += [f"{median(row.ours, lambda r: stage_ns(r, thread, name, packets)):.1f}" for name in names]
        lines.append(line)
    return as_table(lines)


# ---- thresholds --------------------------------------------------------------------------------

def thresholds(rows, base_kib):
    f = {row.name: figures(row, base_kib) for row in rows}
    lines = []

    def judge(what, got, met):
        lines.append(verdict(what, got, met))

    for row in rows:
        if row.name not in ["1000", "20000", "20000+"]:
            continue
        at = f"at {row.calls:,} calls of {row.seconds:g} s"
        judge(f"at least 4 million packets per CPU-second {at}", f"{f[row.name]['rate'] / 1e6:.2f} million", f[row.name]["rate"] >= 4e6)
        judge(f"at least 0.6 of the floor {at}", f"{f[row.name]['ratio']:.2f}", f[row.name]["ratio"] >= 0.6)
    if "many" in f:
        judge("memory under 25 KiB per open stream at 10,000 calls", f"{f['many']['kib']:.1f} KiB",
              f["many"]["kib"] < 25)
    if "long" in f:
        judge("at most 1.04 bytes written per byte of audio at 180 s calls", f"{f['long']['written']:.4f}",
              f["long"]["written"] <= 1.04)
    if "many" in f and "few" in f:
        growth = f["many"]["ns"] / f["few"]["ns"]
        judge("cost per packet at 10,000 calls within 1.3 times that at 200, calls of 15 s",
              f"{growth:.2f} times", growth <= 1.3)
    if "sip" in f:
        lines.append(f"        SIP messages per CPU-second, six messages a call: {f['sip']['messages']:,.0f}")
    if "mixed" in f and "1000" in f:
        lines.append("        a packet of `mixed` costs %.2f times one of `1000`" % (f["mixed"]["ns"] / f["1000"]["ns"]))
    if {"200", "few", "many"} <= f.keys():
        call, few, many = apart(*[next(row for row in rows if row.name == n) for n in ["200", "few", "many"]])
        judge("the same without what a call itself costs",
              f"{many / few:.2f} times: {few:.0f} and {many:.0f} ns a packet, {call / 1000:.0f} us a call",
              many / few <= 1.3)
    by_name = {row.name: row for row in rows}
    for short, long in [("20000", "20000+"), ("52500", "52500+")]:
        if {short, long} <= f.keys():
            a = longer(by_name[short], by_name[long])
            call = (f[long]["ns"] - a) * by_name[long].sent["packets"] / by_name[long].sent["calls"]
            lines.append(f"        at {by_name[long].calls:,} calls: {a:.0f} ns a packet and {call / 1000:.0f} us a call, memory first touched included: "
                         f"calls of 180 s make that {a + call / 18000:.0f} ns a packet, {1e3 / (a + call / 18000):.2f} million packets per CPU-second")
    if {"200", "few", "52500", "52500+"} <= f.keys():
        _, few, _ = apart(by_name["200"], by_name["few"], by_name["few"])
        most = longer(by_name["52500"], by_name["52500+"])
        judge("a packet at 52,500 calls costs at most 1.25 times one at 200, without what a call itself costs",
              f"{most / few:.2f} times: {few:.0f} and {most:.0f} ns", most / few <= 1.25)
    return "\n".join(lines)


def longer(short, long):
    """ns a packet, from two runs of the same calls that differ in how long they talk."""
    cpu = [median(row.ours, lambda r: r.cpu) for row in (short, long)]
    return 1e9 * (cpu[1] - cpu[0]) / (long.sent["packets"] - short.sent["packets"])


def apart(base, few, many):
    """ns a call, ns a packet at few calls, and at many, from CPU = packets x a + calls x c: `base` and `few`
    give c and the first a, for they differ in how many calls their packets belong to."""
    (cpu_1, packets_1, calls_1), (cpu_2, packets_2, calls_2), (cpu_3, packets_3, calls_3) = [
        (1e9 * median(row.ours, lambda r: r.cpu), row.sent["packets"], row.sent["calls"])
        for row in [base, few, many]]
    call = (cpu_2 * packets_1 - cpu_1 * packets_2) / (calls_2 * packets_1 - calls_1 * packets_2)
    return call, (cpu_1 - call * calls_1) / packets_1, (cpu_3 - call * calls_3) / packets_3
