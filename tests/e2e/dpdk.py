#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Recording through DPDK, on its virtual devices: no card, and no huge pages, are needed.

A device that reads a capture file (net_pcap) gives its frames as fast as they are taken, stamped with the time of that moment; so
those captures have less than 100 packets a flow, all of which may wait for their call.
"""

from harness import (
    BUILD, PATIENCE, ROOT, Skip, check, main, one_line, program, run, same, test,
    wait_until,
)  # fmt: skip

import glob
import json
import os
import socket
import types

from compare import check_live
from lab import Recorder, Wire, need_namespaces, quiet
from scene import Scene

EAL = "--no-huge -m 128 --no-pci "
PCAPS = os.path.join(ROOT, "tests", "pcaps")
# Made anew at each recording, or dependent on when it is done.
FLEETING = {
    "id", "conversation", "policy", "recorder", "retention", "imported", "start", "ring", "answer",
    "end", "duration_ms", "attested",
}  # fmt: skip
OF_STREAM = (
    "track", "ssrc", "src", "dst", "codec", "payload_types", "clock_rate", "ptime_ms", "packets", "bytes",
    "lost", "late", "duplicates", "reordered", "stored", "complete",
)  # fmt: skip


def need_dpdk(bench):
    store = bench.store("probe")
    said = run(
        program("callspand"), "--store", store.path, "--check", "--dpdk", "--no-huge", ok=(0, 1)
    )
    if "built without DPDK" in said.err:
        raise Skip("built without DPDK")


def recorder(bench, store, arguments, *extra, netns=None, name="callspand"):
    return Recorder(bench, store, netns, ("--dpdk", arguments), *extra, name=name)


def finish(recorder, frames=None):
    """End it; gives its counters.  All that it ever said was said to the log."""
    counters = recorder.finish()
    for line in recorder.said().splitlines():
        check(line.split()[0] in ("info", "warning", "error"), "printed %r", line)
    if frames is not None:
        same(counters["frames"], frames, "frames")
    same(counters["kernel-drops"], 0, "kernel-drops")
    return counters


def wait_for_frames(store, frames):
    """callspand tells how it stands every 10 s."""
    path = os.path.join(store.path, "recorder", "status.json")

    def all_read():
        if not os.path.exists(path):
            return False
        with open(path) as f:
            return json.load(f)["counters"]["frames"] >= frames

    wait_until(all_read, "%d frames were not read" % frames)


def outcome(store):
    """What came of each call: everything but times, with the hashes of the payloads."""
    out = []
    for row in sorted(store.calls(), key=lambda row: row["sip_call_id"]):
        call = {k: v for k, v in row.items() if k not in FLEETING}
        call["streams"] = sorted(
            ({k: s[k] for k in OF_STREAM} for s in row["streams"]),
            key=lambda s: (s["src"], s["ssrc"]),
        )
        hashes = store.payload_hashes(row["id"])["streams"]
        call["payloads"] = sorted((s["ssrc"], s["packets"], s["payload_sha1"]) for s in hashes)
        out.append(call)
    return out


def same_outcome(store, files, name):
    got, wanted = outcome(store), outcome(files)
    check(wanted, name + ": there is no call in the files")
    same([c["sip_call_id"] for c in got], [c["sip_call_id"] for c in wanted], name + ": the calls")
    for a, b in zip(got, wanted):
        for field in b:
            same(a[field], b[field], "%s: %s" % (name, field))


def same_as_files(bench, runs):
    """runs: {name: (captures, EAL arguments, more)}, all recorded at the same time."""
    going = {}
    for name, (captures, arguments, *extra) in runs.items():
        files = bench.store(name + "-files")
        counters = files.record(*captures)
        store = bench.store(name)
        r = recorder(bench, store, EAL + arguments, *extra, name=name + "-rec")
        going[name] = (files, counters, store, r)
    for name, (files, counters, store, r) in going.items():
        wait_for_frames(store, counters["frames"])
        got = finish(r, counters["frames"])
        same(got["frame-bytes"], counters["frame-bytes"], name + ": frame-bytes")
        same_outcome(store, files, name)
        store.verify()


def two_scenes(bench, end=1.5):
    """Calls for two wires, of other parties each.  Nothing is overtaken: frames of one burst and the BYE among them have the same
    microsecond, so a voice that came after the BYE would not be known to."""
    out = []
    for k in range(2):
        scene = Scene(bench.seed + k)
        for n in range(3):
            a = scene.party("2%d0%d" % (k, n), 0, n=100 * k + 2 * n + 1)
            b = scene.party("3%d0%d" % (k, n), 1, n=100 * k + 2 * n + 2)
            scene.call(a, b).simple(at=0.1 * n, end=end, loss=0.02)
        out.append(scene)
    return out


# ---- capture files through net_pcap --------------------------------------------------------------


@test
def bundled_captures_give_what_reading_the_file_gives(bench):
    need_dpdk(bench)
    runs = {}
    for name in ("all-endings", "media-moved-nanoseconds"):
        path = os.path.join(PCAPS, name + ".pcap")
        runs[name] = ((path,), "--vdev net_pcap0,rx_pcap=" + path)
    same_as_files(bench, runs)


@test
def ports_and_queues_are_shared_among_threads(bench):
    need_dpdk(bench)
    a, b = bench.path("a.pcap"), bench.path("b c.pcap")
    for scene, path in zip(two_scenes(bench), (a, b)):
        scene.write(path)
    ports = "--vdev net_pcap0,rx_pcap=%s --vdev 'net_pcap1,rx_pcap=%s'" % (a, b)
    queues = "--vdev 'net_pcap0,rx_pcap=%s,rx_pcap=%s'" % (a, b)
    two = ("--set", "capture.threads=2", "--set", "writer.threads=2")
    same_as_files(
        bench,
        {
            "two-ports-two-threads": ((a, b), ports, *two),
            "two-ports-one-thread": ((a, b), ports),
            "two-queues-two-threads": ((a, b), queues, *two),
        },
    )


@test
def jumbo_frames_come_whole(bench):
    need_dpdk(bench)
    scene = Scene(bench.seed)
    scene.call().simple(end=1.5)
    a, b = scene.party("2009", 0, n=50), scene.party("3009", 1, n=51)
    text = (
        "OPTIONS sip:x@10.2.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.9;branch=z9hG4bK1\r\nFrom: <sip:y@z>;tag=1\r\n"
        "To: <sip:x@z>\r\nCall-ID: jumbo\r\nCSeq: 1 OPTIONS\r\nX-Pad: %s\r\nContent-Length: 0\r\n\r\n"
    )
    for n, size in enumerate((1900, 2100, 4000, 8900)):
        scene.send(scene.us(0.2 + n / 10), (a.ip, 5060), (b.ip, 5060), (text % ("x" * size)).encode())
    scene.write(bench.path("x.pcap"))
    path = bench.path("x.pcap")
    same_as_files(bench, {"jumbo": ((path,), "--vdev net_pcap0,rx_pcap=" + path)})


@test
def a_filter_works_as_for_files(bench):
    need_dpdk(bench)
    path = bench.path("x.pcap")
    scene = Scene(bench.seed)
    scene.call().simple(end=1.5)
    scene.write(path)
    extra = ("--filter", "udp port 5060")
    counters = bench.store("files").record(path, extra=extra)
    check(0 < counters["frames"] < 20, "the filter leaves %d frames", counters["frames"])
    store = bench.store()
    r = recorder(bench, store, EAL + "--vdev net_pcap0,rx_pcap=" + path, *extra)
    wait_for_frames(store, counters["frames"])
    got = finish(r, counters["frames"])
    same(got["rtp-stored"], 0, "rtp-stored")
    same(got["sip-messages"], counters["sip-messages"], "sip-messages")


@test
def configuration_chooses_dpdk_too(bench):
    need_dpdk(bench)
    store, path = bench.store(), os.path.join(PCAPS, "all-endings.pcap")
    config = bench.path("callspan.yaml")
    with open(config, "w") as f:
        f.write("store: %s\ncapture:\n  dpdk: %s--vdev net_pcap0,rx_pcap=%s\n" % (store.path, EAL, path))
    r = Recorder(bench, store, None, ("--config", config))
    wait_for_frames(store, 296)
    finish(r, 296)
    same(len(store.calls()), 5, "the number of calls")


@test
def huge_pages_are_used_where_there_are_some(bench):
    need_dpdk(bench)
    with open("/proc/meminfo") as f:
        free = [int(line.split()[1]) for line in f if line.startswith("HugePages_Free")]
    if os.geteuid() != 0 or not free or free[0] < 40:
        raise Skip("no huge pages are free")
    store, path = bench.store(), os.path.join(PCAPS, "all-endings.pcap")
    r = recorder(bench, store, "--no-pci --vdev net_pcap0,rx_pcap=" + path)
    with open("/proc/%d/status" % r.p.pid) as f:
        pages = [int(line.split()[1]) for line in f if line.startswith("HugetlbPages")]
    check(pages and pages[0] > 0, "no huge page is in use")
    wait_for_frames(store, 296)
    finish(r, 296)
    same(len(store.calls()), 5, "the number of calls")


# ---- the process ---------------------------------------------------------------------------------


def threads_of(r):
    """{name of a thread: [its status as a dictionary]}"""
    out = {}
    for path in glob.glob("/proc/%d/task/*/status" % r.p.pid):
        with open(path) as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        out.setdefault(status["Name"], []).append(status)
    return out


@test
def each_capture_thread_has_a_processor_of_its_own(bench):
    need_dpdk(bench)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Skip("needs two processors")
    path = os.path.join(PCAPS, "all-endings.pcap")
    store = bench.store()
    r = recorder(bench, store, EAL + "-l %d,%d --vdev net_pcap0,rx_pcap=%s" % (cpus[0], cpus[1], path))
    wait_until(lambda: "capture-0" in threads_of(r), "no thread is called capture-0")
    threads = threads_of(r)
    same([t["Cpus_allowed_list"] for t in threads["capture-0"]], [str(cpus[1])], "capture-0's")
    for t in threads["callspand"]:
        allowed = t["Cpus_allowed_list"]
        check(allowed != str(cpus[1]), "another thread is bound to the capture thread's processor")
    finish(r)


NOBODY = 65534


def give_to_nobody(bench, store):
    """The recorder's part of a store to another user, who may also write the counters."""
    for folder in (bench.dir, store.path):
        os.chmod(folder, 0o711)
    for folder, _, names in os.walk(os.path.join(store.path, "recorder")):
        for full in [folder] + [os.path.join(folder, n) for n in names]:
            os.chown(full, NOBODY, NOBODY)
    counters = bench.path("callspand.counters")
    open(counters, "w").close()
    os.chown(counters, NOBODY, NOBODY)


@test
def root_is_given_away_and_recording_goes_on(bench):
    need_dpdk(bench)
    if os.geteuid() != 0:
        raise Skip("needs root")
    path = os.path.join(PCAPS, "all-endings.pcap")
    files, store = bench.store("files"), bench.store()
    frames = files.record(path)["frames"]
    give_to_nobody(bench, store)
    r = recorder(bench, store, EAL + "--vdev net_pcap0,rx_pcap=" + path)
    wait_for_frames(store, frames)
    for name, threads in threads_of(r).items():
        for t in threads:
            same(t["Uid"].split(), [str(NOBODY)] * 4, name + "'s user")
            same(int(t["CapEff"], 16), 0, name + "'s capabilities")
    finish(r, frames)
    same_outcome(store, files, "root gone")


# ---- interfaces ----------------------------------------------------------------------------------


@test
def an_interface_is_recorded_with_two_queues_and_sent_nothing(bench):
    need_dpdk(bench)
    wire, store = Wire(bench), bench.store()
    scene = Scene(bench.seed)
    for n in range(12):
        c = scene.call("20%02d" % n, "30%02d" % n, ptime=(20, 30, 10)[n % 3])
        c.simple(at=0.1 * n, end=3.0, loss=0.02, reorder=4, trail=0.3)
    frames = scene.write(bench.path("live.pcap"))
    before = wire.sent_by_tap()
    vdev = "--vdev net_af_packet0,iface=%s,qpairs=2" % wire.tap
    r = recorder(
        bench, store, EAL + vdev, "--set", "capture.threads=2", netns=wire.netns
    )
    same(wire.replay(bench.path("live.pcap")).p.wait(120), 0, "replay's exit status")
    counters = finish(r, frames)
    same(wire.sent_by_tap(), before, "frames sent on the capture interface")
    same(counters["capture-outages"], 0, "capture-outages")
    check_live(bench, scene, store)
    store.verify()


@test
def an_interface_is_recorded_through_af_xdp(bench):
    need_dpdk(bench)
    need_namespaces()
    if "asan" in os.path.basename(BUILD):
        raise Skip("libxdp loses 80 bytes at its end, which is a finding")
    try:
        socket.socket(44, socket.SOCK_RAW).close()  # AF_XDP
    except OSError as e:
        raise Skip("this kernel has no AF_XDP: %s" % e)
    wire, store = Wire(bench), bench.store()
    scene = Scene(bench.seed)
    for n in range(4):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=0.1 * n, end=2.0, loss=0.02, reorder=4)
    frames = scene.write(bench.path("live.pcap"))
    before = wire.sent_by_tap()
    r = recorder(bench, store, EAL + "--vdev net_af_xdp0,iface=%s" % wire.tap, netns=wire.netns)
    same(wire.replay(bench.path("live.pcap")).p.wait(120), 0, "replay's exit status")
    finish(r, frames)
    same(wire.sent_by_tap(), before, "frames sent on the capture interface")
    check_live(bench, scene, store)
    store.verify()


@test
def a_port_that_is_lost_is_told_counted_and_found_again(bench):
    """Meanwhile the other port is recorded, by the same thread."""
    need_dpdk(bench)
    wire, store = Wire(bench), bench.store()
    wire.connect("mirror2", "phones2")
    first, second = two_scenes(bench, end=6.0)[0], two_scenes(bench, end=2.0)[1]
    frames = first.write(bench.path("first.pcap")) + second.write(bench.path("second.pcap"))
    vdevs = "--vdev net_af_packet0,iface=mirror --vdev net_af_packet1,iface=mirror2"
    r = recorder(bench, store, EAL + vdevs, netns=wire.netns)
    replay = wire.replay(bench.path("first.pcap"), "first")
    quiet("ip", "-n", wire.netns, "link", "del", "mirror2")
    r.wait_for("port-still-lost")
    check("port-lost port=1 device=net_af_packet1" in r.said(), "said %s", r.said())
    wire.connect("mirror2", "phones2")
    r.wait_for("port-back")
    again = wire.replay(bench.path("second.pcap"), "second", source="phones2")
    for p in (replay, again):
        same(p.p.wait(120), 0, "replay's exit status")
    counters = finish(r, frames)
    same(counters["capture-outages"], 1, "capture-outages")
    check_live(bench, types.SimpleNamespace(calls=first.calls + second.calls), store)
    store.verify()


@test
def a_link_that_is_lost_is_told_and_counted(bench):
    need_dpdk(bench)
    wire, store = Wire(bench), bench.store()
    r = recorder(bench, store, EAL + "--vdev net_af_packet0,iface=mirror", netns=wire.netns)
    for n in range(2):
        quiet("ip", "-n", wire.netns, "link", "set", "phones", "down")
        wait_until(lambda: r.said().count("link-lost") == n + 1, "link-lost was never said")
        quiet("ip", "-n", wire.netns, "link", "set", "phones", "up")
        wait_until(lambda: r.said().count("link-up") == n + 1, "link-up was never said")
    scene = Scene(bench.seed)
    scene.call().simple(end=2.0)
    frames = scene.write(bench.path("x.pcap"))
    same(wire.replay(bench.path("x.pcap")).p.wait(120), 0, "replay's exit status")
    counters = finish(r, frames)
    same(counters["capture-outages"], 2, "capture-outages")
    check_live(bench, scene, store)


@test
def without_any_port_left_it_ends_when_root_is_gone(bench):
    """Whoever started it can start it again, as root."""
    need_dpdk(bench)
    wire, store = Wire(bench), bench.store()
    give_to_nobody(bench, store)
    r = recorder(bench, store, EAL + "--vdev net_af_packet0,iface=mirror", netns=wire.netns)
    quiet("ip", "-n", wire.netns, "link", "del", "mirror")
    same(r.p.wait(60 * PATIENCE), 1, "its exit status")
    check("callspand: DPDK: no port is left" in r.said(), "said %s", r.said())


# ---- bad input -----------------------------------------------------------------------------------


def refused(bench, store, arguments, code, words, *extra):
    r = run(
        program("callspand"), "--store", store.path, "--dpdk", arguments, *extra, ok=(code,), timeout=30
    )
    line = one_line(r)
    for word in words:
        check(word in line, "%r does not say %r", line, word)
    check(line.startswith("callspand: "), "%r is not ours", line)
    same(r.out, "", "what is printed on standard output")


@test
def bad_arguments_get_one_line_that_says_what_to_change(bench):
    need_dpdk(bench)
    store = bench.store()
    good = os.path.join(PCAPS, "all-endings.pcap")
    pcap = EAL + "--vdev net_pcap0,rx_pcap=" + good
    many = ("--set", "capture.threads=4")
    for arguments, code, words, *extra in (
        ("", 2, ["--dpdk takes EAL arguments"]),
        ("  ", 2, ["--dpdk takes EAL arguments"]),
        ("--vdev 'net_null0", 2, ["capture.dpdk: ", "quote"]),
        ("-h", 2, ["-h is not taken"]),
        (EAL + "--proc-type=secondary", 2, ["--proc-type=secondary is not taken"]),
        (EAL + "--frob", 1, ["unrecognized option '--frob'", "docs/dpdk.md"]),
        (pcap + " stray", 2, ["'stray' is no EAL argument"]),
        (EAL + "-l 0-4000", 1, ["lcore", "-l"]),
        (EAL, 1, ["there is no port", "vfio-pci", "--vdev"]),
        (EAL + "--vdev net_frob0", 1, ["net_frob0", "no driver has that name"]),
        (EAL + "--vdev net_pcap0,rx_pcap=/none.pcap", 1, ["net_pcap0", "/none.pcap", "No such file"]),
        (pcap + " --vdev net_af_packet0,iface=none0", 1, ["net_af_packet0", "No such device"]),
        ("--no-huge -a 0000:99:00.0", 1, ["0000:99:00.0"]),
        ("--no-huge --no-pci -m 8 --vdev net_pcap0,rx_pcap=" + good, 1, ["port 0 (net_pcap0)", "-m", "huge pages"]),
        (pcap, 1, ["port 0 has 1 receive queue, 4 were asked for: capture.threads 1"], *many),
        (
            "%s --vdev net_pcap1,rx_pcap=%s" % (pcap, good), 1,
            ["port 0 has 1 receive queue, 2 were asked for: capture.threads 2"], *many,
        ),
        (pcap, 2, ["DPDK: filter: "], "--filter", "udp prot"),
        (pcap, 2, ["one of them"], "-i", "lo"),
        (pcap, 2, ["one of them"], "-r", good),
        (pcap, 2, ["capture.descriptors", "out of bounds"], "--set", "capture.descriptors=7"),
        ("--vdev \"", 2, ["quote"], "--check"),
    ):  # fmt: skip
        refused(bench, store, arguments, code, words, *extra)
    same(store.calls(), [], "the calls")


@test
def too_few_huge_pages_get_one_line_that_says_how_to_reserve_them(bench):
    need_dpdk(bench)
    with open("/proc/meminfo") as f:
        some = [line for line in f if line.startswith("HugePages_Total") and line.split()[1] != "0"]
    if some:
        raise Skip("this machine has huge pages")
    refused(bench, bench.store(), "--no-pci", 1, ["huge pages", "dpdk-hugepages.py", "--no-huge"])


@test
def interface_and_dpdk_in_one_configuration_are_refused(bench):
    store, config = bench.store(), bench.path("callspan.yaml")
    with open(config, "w") as f:
        f.write("store: %s\ncapture:\n  interface: lo\n  dpdk: --no-huge\n" % store.path)
    line = one_line(run(program("callspand"), "--config", config, ok=(2,)))
    check("capture.interface and capture.dpdk" in line, "says %r", line)


@test
def a_build_without_dpdk_says_so(bench):
    """What stands in for it, in a program of its own."""
    with open(bench.path("x.c"), "w") as f:
        f.write(
            '#include <stdio.h>\n#include "capture/capture.h"\nint main(void)\n{\n'
            "	struct error e;\n	struct capture_dpdk cfg = { .arguments = \"x\" };\n"
            "	struct capture *c;\n	int rc = (int)capture_open_dpdk(&c, 1, &cfg, &e);\n"
            "	puts(e.text);\n	return rc;\n}\n"
        )
    src = os.path.join(ROOT, "src")
    run(
        "cc", "-std=c17", "-D_GNU_SOURCE", "-I" + src, "-o", bench.path("x"), bench.path("x.c"),
        src + "/capture/dpdk_none.c", src + "/base/rc.c",
    )  # fmt: skip
    said = run(bench.path("x"), ok=(1,)).out
    check("built without DPDK: install libdpdk-dev and build it again" in said, "says %r", said)


if __name__ == "__main__":
    main()
