# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""At an interface: how many packets a second callspand takes without loss, and how many the bare loop does.

The wire is a veth in a network namespace of its own.  bench/generate sends at a stated rate; the same processors send
and listen, so the sender's own limit is told too.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from parts.common import as_table, dropped, say, verdict

LIVE = "live"
CALLS = 1000
FIRST_RATE = 50000
STEP = 1.5
HALVINGS = 3
TRIES = 2  # a rate counts as free of loss when it is in one of so many tries: others use this machine too


class Wire:
    """What is sent into `phones` comes out at `mirror`."""

    def __init__(self):
        self.name = f"callspan-bench-{os.getpid()}"

    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return "needs root"
        return None if shutil.which("ip") else "needs iproute2"

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            link = ["ip", "-n", self.name, "link"]
            subprocess.run([*link, "add", "mirror", "type", "veth", "peer", "name", "phones"], check=True)
            for end in ("mirror", "phones"):
                subprocess.run(self.inside("sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1"), check=True)
                subprocess.run([*link, "set", end, "arp", "off", "up"], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    def inside(self, *argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def send(self, place, *arguments):
        """Returns what the generator said that it sent."""
        argv = self.inside(place.program("bench/generate"), "--interface", "phones", *arguments)
        return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)


class Bare:
    """bench/floor_live at the mirror."""

    name = "bare loop"

    def __init__(self, place, wire):
        argv = wire.inside(place.program("bench/floor_live"), "mirror")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("bench/run: bench/floor_live does not listen")

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate()
        return json.loads(out)


class Callspand:
    """callspand at the mirror, with a new store."""

    name = "callspand"

    def __init__(self, place, wire, *extra):
        place.new_store()
        self.place = place
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(os.path.join(folder, "ready"))
            ready.settimeout(30)
            argv = wire.inside(place.program("callspand"), "--store", place.store, "-i", "mirror", "--counters", place.counters,
                               *extra)
            env = dict(os.environ, NOTIFY_SOCKET=os.path.join(folder, "ready"))
            self.said = tempfile.TemporaryFile("w+")
            self.process = subprocess.Popen(argv, env=env, stderr=self.said)
            while b"READY=1" not in ready.recv(4096):
                pass

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait() != 0:
            self.said.seek(0)
            raise SystemExit(f"bench/run: callspand -i: exit {self.process.returncode}\n{self.said.read()[-1000:]}")
        c = self.place.read_counters()
        c["cpu_s"] = sum(t["cpu_s"] for t in c["threads"].values())
        return c


class Search:
    """The highest rate at which one listener loses nothing."""

    def __init__(self, place, wire, listener, seconds):
        self.place, self.wire, self.listener, self.seconds = place, wire, listener, seconds
        self.best, self.lost_at, self.best_ns = 0, None, 0
        self.sender = 0  # the most that could be sent

    def once(self, rate):
        """One trial; True when nothing was lost, None when the sender did not come up to it."""
        audio_s = rate * self.seconds / (CALLS * 100)
        listener = self.listener(self.place, self.wire)
        try:
            sent = self.wire.send(self.place, "--rate", str(int(rate)), "--calls", str(CALLS), "--seconds", f"{audio_s:.3f}",
                                  "--ramp", f"{audio_s / 2:.3f}")
        finally:
            time.sleep(0.2)
            c = listener.finish()
        name = f"live, {self.listener.name} at {rate:,.0f}"
        got = c["frames"] + c["kernel-drops"] + sent["wire_dropped"]
        self.place.expect(name, "frames seen + dropped by the kernel + dropped on the wire", got, sent["packets"])
        self.place.expect(name, "frames sent", sent["sent"], sent["packets"])
        reached = sent["sent"] / sent["send_seconds"]
        self.sender = max(self.sender, reached)
        free = not c["kernel-drops"] and not sent["wire_dropped"]
        if free and self.listener is Callspand:
            self.place.check_counters(name, c, sent)
            free = not dropped(c) and not self.place.refused(name, c)
        say(f"  {name} packets/s: {reached:,.0f} sent, {c['kernel-drops']} dropped by the kernel, {sent['wire_dropped']} on the wire")
        if free and reached > self.best:
            self.best, self.best_ns = reached, 1e9 * c["cpu_s"] / sent["packets"]
        if reached < 0.95 * rate:
            return None if free else False
        return free

    def holds(self, rate):
        tries = []
        while len(tries) < TRIES and True not in tries:
            tries.append(self.once(rate))
        if True in tries:
            return True
        if None not in tries:
            self.lost_at = rate
        return False


def search(place, wire, seconds):
    """Climb in turn until each loses, or the sender can no more; then halve what is between."""
    both = [Search(place, wire, Bare, seconds), Search(place, wire, Callspand, seconds)]
    climbing, rate = list(both), FIRST_RATE
    while climbing:
        climbing = [s for s in climbing if s.holds(rate)]
        rate *= STEP
    for _ in range(1 if place.quick else HALVINGS):
        for s in both:
            if s.lost_at and s.lost_at > 1.05 * s.best > 0:
                s.holds((s.best * s.lost_at) ** 0.5)
    return both


def bench_live(place):
    why = Wire.missing()
    if why:
        return f"live: skipped: {why}"
    with Wire() as wire:
        bare, ours = search(place, wire, 1.5 if place.quick else 4)
    lines = [["at an interface, 1,000 calls", "packets/s without loss", "CPU ns / packet", "lost at"]]
    for s in (bare, ours):
        lines.append([s.listener.name, f"{s.best:,.0f}", f"{s.best_ns:.0f}",
                      f"{s.lost_at:,.0f}" if s.lost_at else "the sender can no more"])
    ratio = ours.best / bare.best if bare.best else 0
    judged = verdict("callspand without loss up to at least 0.9 of what the bare loop holds", f"{ratio:.2f}", ratio >= 0.9)
    if ratio < 0.9 and not ours.lost_at:
        judged = "        not judged: callspand lost nothing, but beside it the sender, on the same processors, could do no more"
    return as_table(lines) + f"\n\nthe most that could be sent: {bare.sender:,.0f} packets/s beside the bare loop, {ours.sender:,.0f} beside callspand\n" + judged


# ---- a soak ------------------------------------------------------------------------------------

SOAK_CALLS = 200
SOAK_CHURN = 50  # calls set up, and as many ended, a second
# Rings and tables have their size from the start, and pages of them are first touched as they are gone through: small ones,
# so that this is over soon.  Of an open segment the writer remembers each record: small ones too, so that many close.
SOAK_OPTIONS = ["--set", "memory.calls=2000", "--set", "memory.streams=4000", "--set", "writer.segment=32"]


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def bench_soak(place, minutes):
    """Calls that come and go for so long: nothing lost, and memory as large at the end as in the beginning."""
    why = Wire.missing()
    if why:
        return f"soak: skipped: {why}"
    life_s = SOAK_CALLS / SOAK_CHURN
    waves = max(2, round(minutes * 60 / life_s))
    bytes_needed = waves * life_s * SOAK_CALLS * 100 * 175 + (1 << 30)
    if shutil.disk_usage(place.dir).free < bytes_needed:
        raise SystemExit(f"bench/run: not enough room: the recordings take {bytes_needed / 1e9:.0f} GB; set BENCH_DIR")
    resident = []
    with Wire() as wire:
        ours = Callspand(place, wire, *SOAK_OPTIONS)
        sender = subprocess.Popen(
            wire.inside(place.program("bench/generate"), "--interface", "phones", "--calls", str(SOAK_CALLS), "--churn", str(SOAK_CHURN),
                        "--waves", str(waves), "--loss", "0.5", "--reorder", "0.5", "--codecs", "PCMU,G729,opus"),
            stdout=subprocess.PIPE, text=True)
        try:
            while sender.poll() is None and ours.process.poll() is None:
                resident.append(resident_kib(ours.process.pid))
                time.sleep(1)
            sent = json.loads(sender.stdout.read())
            time.sleep(0.5)
        finally:
            sender.kill()
            c = ours.finish()
    place.expect("soak", "dropped by the kernel", c["kernel-drops"], 0)
    place.expect("soak", "dropped on the wire", sent["wire_dropped"], 0)
    if not c["kernel-drops"] and not sent["wire_dropped"]:
        place.check_counters("soak", c, sent)
        place.expect("soak", "audio packets dropped", dropped(c), 0)
        if place.refused("soak", c):
            place.wrong.append("soak: calls were refused")
        else:
            place.check_recordings("soak", c, sent)
    text = (f"soak of {sent['capture_seconds'] / 60:.1f} minutes: {sent['calls']:,} calls, {sent['packets']:,} packets, "
            f"{c['cpu_s'] * 1e9 / sent['packets']:.0f} ns of CPU a packet\n")
    quarter = len(resident) // 4
    if quarter < 60:
        return text + "too short to say anything of memory: four minutes at least"
    early, late = max(resident[quarter:2 * quarter]) / 1024, max(resident[-quarter:]) / 1024
    flat = late <= 1.02 * early + 2
    if not flat:
        place.wrong.append(f"soak: memory grew from {early:.1f} to {late:.1f} MiB")
    return text + verdict("memory flat: the most in the second quarter and in the last", f"{early:.1f} and {late:.1f} MiB", flat)
