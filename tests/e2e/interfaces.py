#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Several interfaces, several threads on each, and interfaces that go away and come back.

Two wires in a namespace of their own are the two legs of a tap, or two mirror ports.
"""

from harness import (
    PATIENCE, Skip, check, main, one_line, program, run, same, test, wait_until,
)  # fmt: skip

import json
import os
import pwd
import subprocess

import wire
from compare import STATISTICS, check_audio, check_streams, read_wav
from lab import LIVE_OFFSET_S, Process, Wire, replay_program
from scene import Scene

NET_RAW = 1 << 13


class Tap(Wire):
    """Two wires: what is sent into phones0 comes at mirror0, what into phones1 at mirror1."""

    tap, source = "mirror0", "phones0"
    legs = ("mirror0", "mirror1")

    def __init__(self, bench):
        super().__init__(bench)
        self.connect("mirror1", "phones1")

    def recorder(self, store, *extra, on=None, **more):
        return super().recorder(store, *extra, on=self.legs if on is None else on, **more)

    def replay(self, *captures, on=("phones0", "phones1"), name="replay"):
        pairs = [a for pair in zip(on, captures) for a in pair]
        return Process(
            self.bench, "ip", "netns", "exec", self.netns, replay_program(), *pairs, name=name
        )

    def play(self, *captures, **more):
        same(self.replay(*captures, **more).p.wait(120 * PATIENCE), 0, "replay's exit status")


def packets_of(n, src, dst, payload, mtu):
    """The nth datagram, SIP in fragments of at most `mtu` bytes, the last first."""
    packet = wire.udp(src, dst, payload)
    if not mtu or payload[0] >= 0x80 or len(packet) <= mtu:
        return [packet]
    return wire.fragments(packet, mtu, n)[::-1]


def write(path, datagrams, mtu):
    """A capture of (us, src, dst, payload); gives the number of frames."""
    out, frames = wire.Pcap(path, "ether"), 0
    for n, (us, src, dst, payload) in enumerate(datagrams):
        for packet in packets_of(n, src, dst, payload, mtu):
            out.frame(us, wire.link("ether", packet))
            frames += 1
    out.close()
    return frames


def split(bench, scene, which, mtu=None, name="leg"):
    """A capture for each value of which(us, src, dst, payload): 0 or 1.  Gives paths, frames of both."""
    parts = [[], []]
    for d in scene.datagrams():
        parts[which(*d)].append(d)
    paths = [bench.path("%s%d.pcap" % (name, n)) for n in (0, 1)]
    return paths, sum(write(path, part, mtu) for path, part in zip(paths, parts))


def check_calls(bench, calls, store, statistics=STATISTICS):
    """These calls, as a live recording has them; other calls are not looked at."""
    rows = {r["sip_call_id"]: r for r in store.calls()}
    for n, call in enumerate(calls):
        check(call.call_id in rows, "call %d is not listed", n)
        row = rows[call.call_id]
        for field in ("from", "to", "outcome", "ended_by", "sip_status"):
            same(row[field], call.truth()[field], field)
        if statistics is not None:
            check_streams(call, row, statistics)
        check_export(bench, call, store, row)
    return rows


def check_export(bench, call, store, row):
    out = bench.path("x.wav")
    if os.path.exists(out):
        os.unlink(out)
    store.export(row["id"], out)
    check_audio(call, read_wav(out), LIVE_OFFSET_S)


def hashes(store):
    """{(Call-ID, SSRC): hash of its payloads}"""
    out = {}
    for row in store.calls():
        for s in store.payload_hashes(row["id"])["streams"]:
            out[row["sip_call_id"], s["ssrc"]] = s["payload_sha1"]
    return out


def callers_leg(us, src, dst, payload):
    """A tap in a full duplex line: what one side sends on one leg, what the other sends on the other."""
    return 0 if src[0].startswith("10.1.") else 1


# ---- several at once -----------------------------------------------------------------------------


def scene_of(bench, calls=8):
    scene = Scene(bench.seed)
    for n in range(calls):
        c = scene.call("20%02d" % n, "30%02d" % n, ptime=(20, 30, 10)[n % 3])
        c.simple(at=0.1 * n, end=3.0, loss=0.02, reorder=4, trail=0.3, ahead=0.2 * (n % 2))
    return scene


def record_legs(bench, scene, store, *extra):
    """The INVITE comes on one leg, its answer on the other, each voice on its own."""
    tap = Tap(bench)
    paths, frames = split(bench, scene, callers_leg)
    recorder = tap.recorder(store, *extra)
    tap.play(*paths)
    counters = recorder.finish()
    same(counters["frames"], frames, "frames")
    same(counters["kernel-drops"], 0, "kernel-drops")
    same(counters["interface-lost"], 0, "interface-lost")
    store.verify()


@test
def two_legs_of_a_tap_give_what_one_wire_gives(bench):
    scene = scene_of(bench)
    whole, legs, many = bench.store("whole"), bench.store("legs"), bench.store("many")
    scene.write(bench.path("x.pcap"))
    tap = Tap(bench)
    recorder = tap.recorder(whole, on=("mirror0",), name="whole")
    tap.play(bench.path("x.pcap"))
    recorder.finish()
    record_legs(bench, scene, legs)
    record_legs(bench, scene, many, "--set", "capture.threads=2", "--set", "writer.threads=2")
    expected = hashes(whole)
    same(len(expected), 2 * len(scene.calls), "the streams of one wire")
    for store in (whole, legs, many):
        same(len(store.calls()), len(scene.calls), "the number of calls")
        check_calls(bench, scene.calls, store)
        same(hashes(store), expected, "the hashes of payloads")


@test
def interfaces_may_stand_in_the_configuration(bench):
    scene, store, tap = scene_of(bench, 2), bench.store(), Tap(bench)
    paths, frames = split(bench, scene, callers_leg)
    recorder = tap.recorder(store, "--set", "capture.interface=mirror0, mirror1", on=())
    tap.play(*paths)
    same(recorder.finish()["frames"], frames, "frames")
    check_calls(bench, scene.calls, store)


@test
def three_threads_share_fragments_and_streams(bench):
    """SIP in fragments, media whole: each datagram is put together, each flow is one stream."""
    scene = Scene(bench.seed)
    for n in range(12):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.1 * n, end=3.0, loss=0.02, trail=0.2)
    store, tap = bench.store(), Tap(bench)
    paths, frames = split(bench, scene, callers_leg, mtu=200)
    recorder = tap.recorder(store, "--set", "capture.threads=3")
    tap.play(*paths)
    counters = recorder.finish()
    same(counters["frames"], frames, "frames")
    check(counters["fragment-merged"] > 100, "only %d fragments", counters["fragment-merged"])
    same(counters["fragment-merged"], counters["decode-fragment"], "fragments put together")
    same(len(store.calls()), len(scene.calls), "the number of calls")
    check_calls(bench, scene.calls, store)


@test
def what_both_interfaces_show_is_heard_once(bench):
    scene, store, tap = scene_of(bench, 4), bench.store(), Tap(bench)
    frames = scene.write(bench.path("x.pcap"))
    recorder = tap.recorder(store)
    tap.play(bench.path("x.pcap"), bench.path("x.pcap"))
    counters = recorder.finish()
    same(counters["frames"], 2 * frames, "frames")
    check(counters["sip-retransmitted"] > 0, "no message was seen twice")
    rows = check_calls(bench, scene.calls, store, statistics=None)
    same(len(rows), len(scene.calls), "the number of calls")
    for call in scene.calls:
        # Kept twice, by the thread of each interface; joined when it is heard.
        ssrcs = sorted(s["ssrc"] for s in rows[call.call_id]["streams"])
        same(ssrcs, sorted(2 * ["0x%08x" % s.ssrc for s in call.senders]), "the streams")


@test
def media_may_move_to_the_other_interface(bench):
    """As when a bundle of lines loses one of them."""
    scene, store, tap = Scene(bench.seed), bench.store(), Tap(bench)
    for n in range(4):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.1 * n, end=4.0)
    moved = scene.us(2.0)
    paths, frames = split(bench, scene, lambda us, *_: us >= moved)
    recorder = tap.recorder(store)
    tap.play(*paths)
    same(recorder.finish()["frames"], frames, "frames")
    rows = check_calls(bench, scene.calls, store, statistics=None)
    same(len(rows), len(scene.calls), "the number of calls")
    for call in scene.calls:
        packets = sum(s["packets"] for s in rows[call.call_id]["streams"])
        truth = sum(s.truth(call.until_us, 1)["packets"] for s in call.streams.values())
        same(packets, truth, "packets")


# ---- interfaces that go and come -----------------------------------------------------------------


def wait_for_alarm(recorder, words, times=1):
    """An alarm is one line an interface and time, however many threads it has."""
    wait_until(lambda: recorder.said().count("error " + words) >= times, "%r was not said" % words)
    same(recorder.said().count("error " + words), times, "lines of %r" % words)


def states(store):
    capture = json.loads(store.callspan("status", "--json").out)["capture"]
    return {i["name"]: i["state"] for i in capture["interfaces"]}


def wait_for_state(store, name, state):
    wait_until(lambda: states(store)[name] == state, "%s did not become %s" % (name, state))


def scene_of_one(bench, n, **how):
    """A scene of one call, of the nth pair of telephones."""
    scene = Scene(bench.seed + n)
    caller, callee = scene.party("20%02d" % n, 0, n), scene.party("30%02d" % n, 1, n)
    scene.call(caller, callee).simple(**how)
    return scene


def a_call(bench, n, name, end=1.5):
    scene = scene_of_one(bench, n, end=end, loss=0.02)
    scene.write(bench.path(name))
    return scene.calls[0]


def go_and_come(bench, threads, away, back, state):
    """mirror1 goes while a call is under way at mirror0, and another one at mirror1 itself."""
    tap, store = Tap(bench), bench.store()
    going = a_call(bench, 1, "going.pcap", end=12.0)
    before, after = a_call(bench, 2, "before.pcap"), a_call(bench, 3, "after.pcap")
    broken = scene_of_one(bench, 4, end=4.0)
    call, cut = broken.calls[0], broken.us(2.0)
    halves, _ = split(bench, broken, lambda us, *_: us >= cut, name="half")

    recorder = tap.recorder(store, "--set", "capture.threads=%d" % threads)
    elsewhere = tap.replay(bench.path("going.pcap"), name="elsewhere")
    tap.play(bench.path("before.pcap"), on=("phones1",))
    tap.play(halves[0], on=("phones1",))
    away(tap)
    wait_for_alarm(recorder, "interface-away interface=mirror1 state=" + state)
    wait_for_state(store, "mirror1", state)
    same(states(store)["mirror0"], "up", "the other interface")
    check("mirror1 is AWAY (%s)" % state in store.callspan("status").out, "status does not tell")
    back(tap)
    wait_for_alarm(recorder, "interface-back interface=mirror1")
    same(states(store), {"mirror0": "up", "mirror1": "up"}, "the interfaces")
    tap.play(halves[1], on=("phones1",))
    tap.play(bench.path("after.pcap"), on=("phones1",))
    same(elsewhere.p.wait(120 * PATIENCE), 0, "replay's exit status")
    counters = recorder.finish()
    same(tap.sent_by_tap(), 0, "frames sent on the capture interface")
    same((counters["interface-lost"], counters["interface-back"]), (1, 1), "counted alarms")
    same(len(store.calls()), 4, "the number of calls")
    check_calls(bench, [going, before, after], store)
    # The call that was cut: what was on the wire while the interface was there.
    row = [r for r in store.calls() if r["sip_call_id"] == call.call_id][0]
    same((row["outcome"], row["ended_by"]), ("answered", "caller"), "the call that was cut")
    truth = sum(s.truth(call.until_us, 1)["packets"] for s in call.streams.values())
    same(sum(s["packets"] for s in row["streams"]), truth, "its packets")
    store.verify()


def remove(tap):
    tap.link("del", "mirror1")


def make(tap):
    tap.connect("mirror1", "phones1")


@test
def an_interface_is_removed_and_made_again(bench):
    go_and_come(bench, 1, remove, make, "missing")


@test
def an_interface_of_three_threads_is_removed_and_made_again(bench):
    go_and_come(bench, 3, remove, make, "missing")


@test
def an_interface_is_taken_down_and_up(bench):
    go_and_come(
        bench, 2, lambda tap: tap.link("set", "mirror1", "down"),
        lambda tap: tap.link("set", "mirror1", "up"), "down",
    )  # fmt: skip


@test
def a_line_is_pulled_and_put_back(bench):
    go_and_come(
        bench, 1, lambda tap: tap.link("set", "phones1", "down"),
        lambda tap: tap.link("set", "phones1", "up"), "no-carrier",
    )  # fmt: skip


@test
def the_only_interface_is_waited_for(bench):
    """Again and again, also by a name that is another device's at once."""
    tap, store = Tap(bench), bench.store()
    recorder = tap.recorder(store, on=("mirror1",))
    calls = []
    for n in range(3):
        calls.append(a_call(bench, n, "x.pcap"))
        tap.play(bench.path("x.pcap"), on=("phones1",))
        remove(tap)
        if n == 0:
            wait_for_alarm(recorder, "interface-away interface=mirror1", n + 1)
        make(tap)
        wait_for_alarm(recorder, "interface-back interface=mirror1", n + 1)
        wait_for_alarm(recorder, "interface-away interface=mirror1", n + 1)
    calls.append(a_call(bench, 3, "x.pcap"))
    tap.play(bench.path("x.pcap"), on=("phones1",))
    check(recorder.alive(), "the recorder ended")
    counters = recorder.finish()
    same((counters["interface-lost"], counters["interface-back"]), (3, 3), "counted alarms")
    same(len(store.calls()), 4, "the number of calls")
    check_calls(bench, calls, store)
    coverage = store.callspan("coverage", ok=(0, 1)).out
    check("an interface went away" in coverage, "coverage does not tell: %s", coverage[-400:])


@test
def a_recorder_ends_while_its_interface_is_away(bench):
    tap, store = Tap(bench), bench.store()
    recorder = tap.recorder(store, "--set", "capture.threads=2")
    call = a_call(bench, 1, "x.pcap")
    tap.play(bench.path("x.pcap"), on=("phones1",))
    remove(tap)
    wait_for_alarm(recorder, "interface-away interface=mirror1")
    recorder.finish()
    check(recorder.seconds < 10 * PATIENCE, "took %.1f s to end", recorder.seconds)
    check_calls(bench, [call], store)


# ---- who may open it again -----------------------------------------------------------------------

USER = "nobody"


def give_recorder_away(store):
    """As `init` run by root leaves it for a user of its own."""
    who = pwd.getpwnam(USER)
    os.chmod(store.bench.dir, 0o777)
    os.chmod(store.path, 0o711)
    for folder, _, names in os.walk(os.path.join(store.path, "recorder")):
        for path in [folder] + [os.path.join(folder, n) for n in names]:
            os.chown(path, who.pw_uid, who.pw_gid)
    return who.pw_uid


def status_of(pid):
    """What the kernel says of each thread: [{field: text}]."""
    out = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            out.append(dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line))
    return out


def check_capabilities(pid, uid, effective):
    for thread in status_of(pid):
        same(thread["Uid"].split(), 4 * [str(uid)], "the user")
        same(thread["Groups"].split(), [], "further groups")
        for field, bits in (
            ("CapEff", effective), ("CapPrm", effective), ("CapInh", 0), ("CapAmb", 0),
        ):  # fmt: skip
            same(int(thread[field], 16), bits, field)


def away_and_back(tap, recorder):
    remove(tap)
    wait_for_alarm(recorder, "interface-away interface=mirror1 state=missing")
    make(tap)
    wait_for_alarm(recorder, "interface-back interface=mirror1")


@test
def root_given_away_keeps_cap_net_raw_alone(bench):
    tap, store = Tap(bench), bench.store()
    uid = give_recorder_away(store)
    recorder = tap.recorder(store, "--set", "capture.threads=2")
    check_capabilities(recorder.p.pid, uid, NET_RAW)
    away_and_back(tap, recorder)
    check_capabilities(recorder.p.pid, uid, NET_RAW)
    call = a_call(bench, 1, "x.pcap")
    tap.play(bench.path("x.pcap"), on=("phones1",))
    recorder.finish()
    check_calls(bench, [call], store)


@test
def a_user_with_more_capabilities_keeps_no_more(bench):
    """As under systemd's User= and AmbientCapabilities=."""
    tap, store = Tap(bench), bench.store()
    uid = give_recorder_away(store)
    caps = "+net_raw,+net_admin,+sys_nice"
    recorder = tap.recorder(
        store,
        prefix=("setpriv", "--reuid", USER, "--clear-groups", "--inh-caps", caps, "--ambient-caps", caps),
    )  # fmt: skip
    check_capabilities(recorder.p.pid, uid, NET_RAW)
    away_and_back(tap, recorder)
    recorder.finish()


@test
def reading_a_file_keeps_no_capability(bench):
    store = bench.store()
    uid = give_recorder_away(store)
    a_call(bench, 1, "x.pcap")
    p = subprocess.Popen(
        (program("callspand"), "--store", store.path, "-r", "-"), stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    bench.cleanups.append(p.kill)
    with open(bench.path("x.pcap"), "rb") as f:
        p.stdin.write(f.read())
        p.stdin.flush()
    given = lambda: all(t["Uid"].split() == 4 * [str(uid)] for t in status_of(p.pid))  # noqa: E731
    wait_until(given, "root was not given away")
    check_capabilities(p.pid, uid, 0)
    p.stdin.close()
    same(p.wait(60 * PATIENCE), 0, "callspand's exit status")


# ---- processors ----------------------------------------------------------------------------------


@test
def threads_are_pinned_in_turn(bench):
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("needs two CPUs")
    a, b = (str(n) for n in sorted(os.sched_getaffinity(0))[:2])
    tap, store = Tap(bench), bench.store()
    recorder = tap.recorder(
        store, "--set", "capture.threads=2", "--set", "capture.cpus=%s,%s,%s" % (a, b, b),
        "--set", "writer.threads=2", "--set", "writer.cpus=" + a,
    )  # fmt: skip

    def pinned():
        allowed = [t["Cpus_allowed_list"] for t in status_of(recorder.p.pid)]
        return allowed.count(a), allowed.count(b)

    # Capture threads a b b a, writers a a; the main and the signalling thread wherever.  It is ready a little before all run.
    wait_until(lambda: pinned() == (4, 2), "threads of each CPU were not as told", 20)
    recorder.finish()


# ---- what is wrong is said in one line -----------------------------------------------------------


def refused(bench, store, code, *args, netns=None):
    inside = ("ip", "netns", "exec", netns) if netns else ()
    return one_line(
        run(*inside, program("callspand"), "--store", store.path, *args, ok=(code,), timeout=20)
    )


@test
def interfaces_that_are_not_there_at_start(bench):
    tap, store = Tap(bench), bench.store()
    line = refused(bench, store, 1, "-i", "mirror0", "-i", "nosuch0", netns=tap.netns)
    check(line.startswith("callspand: nosuch0: "), "said %r", line)
    tap.link("set", "mirror1", "down")
    line = refused(bench, store, 1, "-i", "mirror0,mirror1", netns=tap.netns)
    check(line.startswith("callspand: mirror1: "), "said %r", line)


@test
def wrong_lists_of_interfaces(bench):
    store = bench.store()
    for args, words in (
        (("-i", "eth0", "-i", "eth0"), "capture.interface: eth0 is given twice"),
        (("-i", "eth0,,eth1"), 'capture.interface: "" is no interface\'s name'),
        (("-i", "eth0,"), 'capture.interface: "" is no interface\'s name'),
        (("-i", 'a"b'), "is no interface's name"),
        (("-i", ",".join("e%d" % n for n in range(17))), "more than 16 interfaces"),
        (("-i", "a,b,c", "--set", "capture.threads=22"), "are more than 64"),
        (("-i", "x" * 2000), "capture.interface: longer than"),
        (("-i", "a", "-r", "b.pcap"), "one of them"),
    ):
        line = refused(bench, store, 2, *args)
        check(words in line, "%r: said %r", args, line)


@test
def wrong_lists_of_cpus(bench):
    store = bench.store()
    beyond = os.cpu_count()
    while os.path.exists("/sys/devices/system/cpu/cpu%d" % beyond):
        beyond += 1
    lists = ("two", "1-", "-1", "3-2", "0,,1", "0,", "1024", "99999999999999999999", "0 1", "0-")
    for option in ("capture.cpus", "writer.cpus"):
        for text in lists:
            line = refused(bench, store, 2, "-i", "lo", "--set", "%s=%s" % (option, text))
            check(option + ": " in line and "is not a list of CPUs" in line, "said %r", line)
        for extra in (("-i", "lo"), ("--check",)):
            line = refused(bench, store, 2, *extra, "--set", "%s=0,%d" % (option, beyond))
            check("%s: there is no CPU %d" % (option, beyond) in line, "said %r", line)


if __name__ == "__main__":
    main()
