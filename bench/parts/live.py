# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""At an interface: how many packets a second callspand takes without loss, and how many the bare loop does.

The wire is a veth in a network namespace of its own.  bench/generate sends at a stated rate from the first processor, where
the kernel also hands its frames over; whoever listens has all others, and nothing else of this machine comes first.
Listened to by AF_PACKET, and by DPDK's net_af_xdp: each time callspand and a bare loop, in turn.

By AF_PACKET neither loses a frame of all that one processor can send.  So each is also stopped for two thirds of the time, as
by other work of a higher priority: then the kernel's ring must last, and what it held must be read in the rest.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from parts.common import as_table, dropped, say, verdict

LIVE = "live"
CALLS = 1000
FIRST_RATE = 50000
STEP = 1.5
HALVINGS = 3
TRIES = 5  # a rate counts as free of loss when it is in one of so many tries: others use this machine too
FIRST_IN_LINE = -20  # of sender and listener: nice(2)
STOPPED_S, RUNS_S = 0.8, 0.4
AF_XDP = 44
EAL = "--no-huge -m 128 --no-pci -l {cpu} --vdev net_af_xdp0,iface=mirror"


def processors():
    """The sender's, and those of who listens."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[:1], cpus[1:] or cpus


def at(cpus):
    """For a process that is being started."""

    def prepare():
        os.sched_setaffinity(0, cpus)
        os.nice(FIRST_IN_LINE - os.nice(0))

    return prepare


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
        p = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=at(processors()[0]))
        return json.loads(p.stdout)


class Bare:
    """bench/floor_live at the mirror."""

    name, records = "bare TPACKET_V3 loop", False

    @staticmethod
    def command():
        return "bench/floor_live", "mirror"

    def __init__(self, place, wire):
        program, argument = self.command()
        argv = wire.inside(place.program(program), argument)
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, preexec_fn=at(processors()[1]))
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"bench/run: {program} does not listen")

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate()
        return json.loads(out)


class Callspand:
    """callspand at the mirror, with a new store."""

    name, records = "callspand", True
    source = ("-i", "mirror")

    def __init__(self, place, wire, *extra, first=True):
        place.new_store()
        self.place = place
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(os.path.join(folder, "ready"))
            ready.settimeout(30)
            argv = wire.inside(place.program("callspand"), "--store", place.store, *self.source, "--counters", place.counters,
                               *extra)
            env = dict(os.environ, NOTIFY_SOCKET=os.path.join(folder, "ready"))
            self.said = tempfile.TemporaryFile("w+")
            self.process = subprocess.Popen(argv, env=env, stderr=self.said, preexec_fn=at(processors()[1]) if first else None)
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


def eal():
    return EAL.format(cpu=processors()[1][0])


class BareDpdk(Bare):
    """bench/floor_dpdk at the mirror."""

    name = "bare rte_eth_rx_burst loop"

    @staticmethod
    def command():
        return "bench/floor_dpdk", eal()


class CallspandDpdk(Callspand):
    name = "callspand --dpdk"

    @property
    def source(self):
        return ("--dpdk", eal())


@contextlib.contextmanager
def stopped_mostly(process):
    over = threading.Event()

    def stop_and_go():
        with contextlib.suppress(OSError):  # on time, before sender and listener; this thread alone
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        while not over.wait(RUNS_S):
            process.send_signal(signal.SIGSTOP)
            over.wait(STOPPED_S)
            process.send_signal(signal.SIGCONT)

    clock = threading.Thread(target=stop_and_go)
    clock.start()
    try:
        yield
    finally:
        over.set()
        clock.join()


class Search:
    """The highest rate at which one listener loses nothing."""

    def __init__(self, place, wire, listener, stops, seconds):
        self.place, self.wire, self.listener, self.stops, self.seconds = place, wire, listener, stops, seconds
        self.best, self.lost_at, self.lost, self.best_ns = 0, None, None, 0
        self.most = 0  # that could be sent, where that was less than the rate asked for

    def once(self, rate):
        """One trial; True when nothing was lost, None when the sender did not come up to it."""
        audio_s = min(rate, self.most or rate) * self.seconds / (CALLS * 100)
        listener = self.listener(self.place, self.wire)
        try:
            with stopped_mostly(listener.process) if self.stops else contextlib.nullcontext():
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
        free = not c["kernel-drops"] and not sent["wire_dropped"]
        if free and self.listener.records:
            self.place.check_counters(name, c, sent)
            free = not dropped(c) and not self.place.refused(name, c)
        say(f"  {name} packets/s: {reached:,.0f} sent, {c['kernel-drops']} dropped by the kernel, {sent['wire_dropped']} on the wire")
        if not free:
            self.lost = reached
        if free and reached > self.best:
            self.best, self.best_ns = reached, 1e9 * c["cpu_s"] / sent["packets"]
        if reached < 0.95 * rate:
            self.most = max(self.most, reached)
            return None if free else False
        return free

    def holds(self, rate):
        tries = []
        while len(tries) < TRIES and True not in tries:
            tries.append(self.once(rate))
        if True in tries:
            return True
        if None not in tries:
            self.lost_at = self.lost
        return False


def search(place, wire, kinds, stops, seconds):
    """Climb in turn until each loses, or the sender can no more; then halve what is between, or try the sender's most again."""
    both = [Search(place, wire, kind, stops, seconds) for kind in kinds]
    climbing, rate = list(both), FIRST_RATE
    while climbing:
        climbing = [s for s in climbing if s.holds(rate)]
        rate *= STEP
    for _ in range(1 if place.quick else HALVINGS):
        for s in both:
            if not s.lost_at:
                s.once(rate)
            elif s.lost_at > 1.05 * s.best > 0:
                s.holds((s.best * s.lost_at) ** 0.5)
    return both


def bench_wire(place, kinds, seconds, stops=False):
    with Wire() as wire:
        bare, ours = search(place, wire, kinds, stops, seconds)
    how = ", stopped for two thirds of the time" if stops else ""
    lines = [["at an interface, 1,000 calls" + how, "packets/s without loss", "CPU ns / packet", "lost at"]]
    for s in (bare, ours):
        lines.append([s.listener.name, f"{s.best:,.0f}", f"{s.best_ns:.0f}",
                      f"{s.lost_at:,.0f}" if s.lost_at else "not at the most that can be sent"])
    ratio = ours.best / bare.best if bare.best else 0
    judged = verdict(f"{ours.listener.name} without loss up to at least 0.9 of what the {bare.listener.name} holds{how}", f"{ratio:.2f}", ratio >= 0.9)
    if ratio < 0.9 and not ours.lost_at:
        judged = f"        not judged: nothing was lost, but beside {ours.listener.name} less could be sent: {ratio:.2f}"
    return as_table(lines) + "\n\n" + judged


def bench_live(place, brief=False):
    """All three searches; brief: the two by AF_PACKET, with shorter trials."""
    why = Wire.missing()
    if why:
        return f"live: skipped: {why}"
    seconds = 1.5 if place.quick else 2.4 if brief else 4
    texts = [bench_wire(place, (Bare, Callspand), seconds), bench_wire(place, (Bare, Callspand), seconds, stops=True)]
    if brief:
        texts.append("net_af_xdp: by --all or --only live")
    elif not os.access(place.program("bench/floor_dpdk"), os.X_OK):
        texts.append("net_af_xdp: skipped: built without DPDK")
    elif not has_af_xdp():
        texts.append("net_af_xdp: skipped: this kernel has no AF_XDP")
    else:
        texts.append(bench_wire(place, (BareDpdk, CallspandDpdk), seconds))
    return "\n\n".join(texts)


def has_af_xdp():
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
        return True
    except OSError:
        return False


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
        ours = Callspand(place, wire, *SOAK_OPTIONS, first=False)
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
    at_times = [resident[i * (len(resident) - 1) // 10] / 1024 for i in range(11)]
    text += "MiB resident, each tenth of it: " + ", ".join(f"{mib:.1f}" for mib in at_times) + "\n"
    early, late = max(resident[quarter:2 * quarter]) / 1024, max(resident[-quarter:]) / 1024
    flat = late <= 1.02 * early + 2
    if not flat:
        place.wrong.append(f"soak: memory grew from {early:.1f} to {late:.1f} MiB")
    return text + verdict("memory flat: the most in the second quarter and in the last", f"{early:.1f} and {late:.1f} MiB", flat)
