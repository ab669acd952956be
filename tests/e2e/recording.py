#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The matrix of tests/gen/cases.py, recorded, listed, exported and held against its truth.

`make check` takes each case once, LONG=1 with five seeds.
"""

import json
import os
import wave

from harness import LONG, Skip, check, main, program, run, same, test, tests_of

import segment
from cases import CASES
from compare import check_audio, check_scene, read_wav
from scene import Scene


def check_nonces(store):
    """No (key, nonce) pair twice: a key is a slot of one segment."""
    for path in store.segments():
        with open(path, "rb") as f:
            data = f.read()
        nonces = [r.nonce() for r in segment.records(data) if r.type in segment.SEALED]
        check(nonces, "%s has no sealed records", os.path.basename(path))
        same(len(set(nonces)), len(nonces), "the number of distinct nonces")


def record_case(bench, name):
    for n in range(5 if LONG else 1):
        scene = CASES[name](bench.seed + n)
        store = bench.store("store%d" % n)
        capture = bench.path("case%d.pcap" % n)
        frames = scene.write(capture)
        counters = store.record(capture)
        same(counters["frames"], frames, "frames")
        same(counters["calls"], len(scene.calls), "calls")
        check_scene(bench, scene, store)
        check_nonces(store)
        store.verify()


tests_of(["recording_%s" % name for name in CASES], lambda b, name: record_case(b, name[10:]))


# ---- the same call in every kind of file ---------------------------------------------------------

FILES = {
    "pcap_big_endian": dict(big=True),
    "pcap_nanoseconds": dict(ns=True),
    "pcap_nanoseconds_big_endian": dict(ns=True, big=True),
    "pcapng": dict(ng=True),
    "pcapng_big_endian_nanoseconds": dict(ng=True, big=True, ns=True),
    "vlan": dict(vlan=(42,)),
    "vlan_in_vlan": dict(vlan=(100, 42)),
    "linux_cooked": dict(link="sll"),
    "linux_cooked_v2": dict(link="sll2"),
    "raw_ip": dict(link="raw"),
    "loopback": dict(link="null"),
}


def record_file(bench, name):
    for v6 in (False, True):
        scene = Scene(bench.seed, v6=v6)
        scene.call().simple(end=2.0, loss=0.05)
        store = bench.store("store6" if v6 else "store4")
        capture = bench.path("file.pcap")
        scene.write(capture, **FILES[name[5:]])
        store.record(capture)
        check_scene(bench, scene, store)


tests_of(["file_%s" % name for name in FILES], record_file)


def split(scene, path_a, path_b, odd):
    """Write a scene to two files: datagrams for which odd(...) is true go to the second."""
    everything = scene.datagrams()
    for path, wanted in ((path_a, False), (path_b, True)):
        part = Scene(scene.seed)
        part.sent = [d for d in everything if odd(*d) == wanted]
        part.write(path)


@test
def two_files_are_merged_in_order_of_time(bench):
    """Signalling and media mirrored by different ports, in one file each."""
    scene = CASES["twenty_calls_at_once"](bench.seed)
    a, b = bench.path("sip.pcap"), bench.path("rtp.pcap")
    split(scene, a, b, lambda us, src, dst, payload: src[1] != 5060)
    for n, order in enumerate(((a, b), (b, a))):
        store = bench.store("store%d" % n)
        store.record(*order)
        check_scene(bench, scene, store)


@test
def one_after_the_other_into_one_store(bench):
    store = bench.store()
    for n in range(3):
        scene = Scene(bench.seed + n)
        scene.call("2%03d" % n).simple(end=1.5)
        scene.write(bench.path("x.pcap"))
        store.record(bench.path("x.pcap"))
        rows = {r["sip_call_id"]: r for r in store.calls()}
        same(len(rows), n + 1, "the number of calls")
        store.export(rows[scene.calls[0].call_id]["id"], bench.path("%d.wav" % n))
        check_audio(scene.calls[0], read_wav(bench.path("%d.wav" % n)))


@test
def standard_input_is_a_capture_file(bench):
    scene = Scene(bench.seed)
    scene.call().simple(end=1.5)
    scene.write(bench.path("x.pcap"))
    with open(bench.path("x.pcap"), "rb") as f:
        data = f.read()
    store = bench.store()
    run(program("callspand"), "--store", store.path, "-r", "-", stdin=data)
    check_scene(bench, scene, store)


@test
def filter_keeps_other_hosts_out(bench):
    scene = Scene(bench.seed)
    kept = scene.call("2001", "3001").simple(end=1.5)
    scene.call("2002", "3002").simple(end=1.5)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"), extra=("--filter", "host " + kept.parties[0].ip))
    rows = store.calls()
    same([r["sip_call_id"] for r in rows], [kept.call_id], "the calls recorded")


# ---- what comes out ------------------------------------------------------------------------------


def recorded(bench, **simple):
    """A store with one call, and the call's row."""
    scene = Scene(bench.seed)
    caller, callee = scene.party("2001", 0, name="Ada Lovelace"), scene.party("3001", 1, name="Bob")
    scene.call(caller, callee).simple(**simple)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    return store, store.calls()[0]


@test
def display_names_are_listed(bench):
    store, row = recorded(bench)
    same((row["from_name"], row["to_name"]), ("Ada Lovelace", "Bob"), "the names")


@test
def calls_are_found_by_party_and_time(bench):
    scene = Scene(bench.seed)
    for n in range(4):
        scene.call("49301234500%d" % n, "300%d" % n).simple(at=60.0 * n, end=1.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))

    def found(*args):
        return sorted(r["from"][-1] for r in store.calls(*args))

    same(found(), ["0", "1", "2", "3"], "all")
    same(found("--party", "493012345002"), ["2"], "by the full number")
    same(found("--party", "345002"), ["2"], "by its last six digits")
    same(found("--party", "3003"), ["3"], "by the callee")
    same(found("--party", "999999"), [], "by a number nobody has")
    same(found("--since", "2026-01-05T09:01:30Z"), ["2", "3"], "since")
    same(found("--until", "2026-01-05T09:01:30Z"), ["0", "1"], "until")
    same(found("--outcome", "answered"), ["0", "1", "2", "3"], "answered")
    same(found("--outcome", "cancelled"), [], "cancelled")


@test
def show_gives_one_object(bench):
    store, row = recorded(bench)
    shown = json.loads(store.callspan("show", row["id"], "--json").out)
    for field in row:
        same(shown[field], row[field], field)


@test
def export_of_one_track_is_that_track(bench):
    store, row = recorded(bench)
    store.export(row["id"], bench.path("both.wav"))
    both = read_wav(bench.path("both.wav"))
    for side, name in enumerate(("caller", "callee")):
        out = bench.path(name + ".wav")
        store.export(row["id"], out, "--track", name)
        with wave.open(out) as w:
            same(w.getnchannels(), 1, "channels")
            same(w.readframes(w.getnframes()), both[side], name)
        same(os.stat(out).st_mode & 0o777, 0o600, "the file's mode")


@test
def export_as_flac_is_the_same_samples(bench):
    store, row = recorded(bench)
    store.export(row["id"], bench.path("x.flac"), "--format", "flac")
    store.export(row["id"], bench.path("x.wav"))
    try:
        run("flac", "--silent", "-d", bench.path("x.flac"), "-o", bench.path("back.wav"))
    except FileNotFoundError:
        raise Skip("there is no flac program")
    same(read_wav(bench.path("back.wav")), read_wav(bench.path("x.wav")), "the FLAC's samples")


@test
def replay_writes_what_export_writes(bench):
    store, row = recorded(bench)
    store.export(row["id"], bench.path("x.wav"))
    store.callspan(
        "replay", row["id"], "--purpose", "training", "--reference", "r", "-o", bench.path("r.wav")
    )
    same(read_wav(bench.path("r.wav")), read_wav(bench.path("x.wav")), "the replay")


@test
def reindex_finds_the_same_calls(bench):
    scene = CASES["twenty_calls_at_once"](bench.seed)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    before = store.calls()
    store.callspan("reindex")
    same(store.calls(), before, "the list of calls after reindex")
    check_scene(bench, scene, store)


@test
def audit_says_who_heard_what_and_why(bench):
    store, row = recorded(bench)
    store.export(row["id"], bench.path("x.wav"), purpose="complaint", reference="Case 4711")
    r = store.callspan("audit", "list", "--json")
    entries = [json.loads(line) for line in r.out.splitlines()]
    text = [json.dumps(e) for e in entries]
    words = ("export", row["id"], "complaint", "Case 4711")
    check(any(all(w in t for w in words) for t in text), "no entry has %s: %s", words, text[-1:])
    store.callspan("audit", "verify")


if __name__ == "__main__":
    main()
