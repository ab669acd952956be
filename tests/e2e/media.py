#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What networks do to media: the cases of tests/gen/media_cases.py, recorded and held against their
truth; mirrors that change what they copy; strangers; media without signalling and after the end.
"""

import json
import struct

from harness import LONG, check, main, same, test, tests_of

import wire
from compare import check_audio, check_call, check_scene, read_wav
from media_cases import CASES
from scene import Scene


def record(bench, scene, name="store"):
    store = bench.store(name)
    scene.write(bench.path(name + ".pcap"))
    return store, store.record(bench.path(name + ".pcap"))


def record_case(bench, name):
    for n in range(5 if LONG else 1):
        scene = CASES[name](bench.seed + n)
        store, counters = record(bench, scene, "store%d" % n)
        same(counters["calls"], len(scene.calls), "calls")
        check_scene(bench, scene, store)
        for counter, value in scene.counters.items():
            same(counters[counter], value, counter)


tests_of(["media_" + name for name in CASES], lambda b, name: record_case(b, name[6:]))


def shown(store):
    return json.loads(store.callspan("show", store.calls()[0]["id"], "--json").out)


@test
def reports_tell_what_the_sender_sent(bench):
    for name in ("reports_on_the_next_port", "reports_on_the_port_of_rtp"):
        store, _ = record(bench, CASES[name](bench.seed), name)
        same([q["sender_packets"] for q in shown(store)["quality"]], [150, 150], name)


@test
def a_stream_tells_how_often_it_was_seen_again(bench):
    scene = CASES["relay_on_both_sides"](bench.seed)
    store, _ = record(bench, scene)
    copies = [q["relay_copies"] for q in shown(store)["quality"]]
    same(sum(copies), scene.counters["rtp-relay-copy"], "relay_copies of both streams")


# ---- mirrors that copy ingress and egress ------------------------------------------------------------


def hop(packet):
    """The packet after one more router: TTL or hop limit less one, checksum right again."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    head = bytearray(packet[:20])
    head[8] -= 1
    head[10:12] = b"\0\0"
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = struct.pack("!H", 0xFFFF ^ total)
    return bytes(head) + packet[20:]


MIRRORS = {
    "the_copy_has_a_lower_ttl": lambda p: wire.link("ether", hop(p)),
    "the_copy_has_a_vlan_tag": lambda p: wire.link("ether", p, (42,)),
    "the_copy_has_another_vlan_and_ttl": lambda p: wire.link("ether", hop(p), (7, 42)),
}


def mirror(bench, name):
    for v6 in (False, True):
        scene = Scene(bench.seed, v6=v6, copies=2)
        scene.call().simple(end=3.0, loss=0.05, reorder=4)
        path = bench.path("copies.pcap")
        out, seen = wire.Pcap(path), set()
        for us, src, dst, payload in scene.datagrams():
            packet = wire.udp(src, dst, payload)
            again = (src, dst, payload) in seen
            seen.add((src, dst, payload))
            out.frame(us, MIRRORS[name](packet) if again else wire.link("ether", packet))
        out.close()
        store = bench.store("store6" if v6 else "store4")
        store.record(path)
        check_scene(bench, scene, store)


tests_of(MIRRORS, mirror)


# ---- strangers ---------------------------------------------------------------------------------------


def inject(scene, call, start, end, to=1):
    """Somebody else's voice, sent to a party's endpoint; gives how many packets."""
    other = Scene(scene.seed + 1)
    voice = other.call().talk(0, start, end, src=("10.66.0.6", 6666), dst=call.parties[to].media)
    for us, data in voice.datagrams():
        scene.send(us, voice.src, voice.dst, data)
    return len(voice.packets)


@test
def injected_audio_is_kept_apart_and_not_heard(bench):
    scene = Scene(bench.seed)
    call = scene.call().simple(end=5.0)
    injected = inject(scene, call, 2.0, 4.0)
    store, counters = record(bench, scene)
    row = shown(store)
    foreign = {q["ssrc"] for q in row["quality"] if q["foreign"]}
    packets = [s["packets"] for s in row["streams"] if s["ssrc"] in foreign]
    same(packets, [injected], "packets of foreign streams")
    same(len(row["streams"]), 3, "streams")
    same(counters["streams-foreign"], 1, "streams-foreign")
    check("foreign-media" in row["coverage"], "coverage is %s", row["coverage"])
    store.export(row["id"], bench.path("x.wav"))
    check_audio(call, read_wav(bench.path("x.wav")))


@test
def audio_long_after_the_end_is_remarked(bench):
    for trail, calls in ((3.0, 0), (8.0, 1)):
        scene = Scene(bench.seed)
        scene.call().simple(end=2.0, trail=trail)
        store, counters = record(bench, scene, "store%d" % calls)
        same(counters["media-after-bye"], calls, "media-after-bye")
        same(store.calls()[0]["coverage"], ["media-after-bye"] * calls, "coverage")
        check_scene(bench, scene, store)


# ---- no signalling -----------------------------------------------------------------------------------


@test
def media_that_no_signalling_explains_is_a_call_without_parties(bench):
    scene = Scene(bench.seed)
    call = scene.call()
    call.talk_both(0.0, 5.0)
    store, counters = record(bench, scene)
    check(counters["orphans"] >= 1, "no orphan was found")
    rows = store.calls()
    same(len(rows), 1, "calls")
    check("no-signalling" in rows[0]["coverage"], "coverage is %s", rows[0]["coverage"])
    same((rows[0]["from"], rows[0]["to"]), (None, None), "parties")
    packets = {len(s.packets) for s in call.streams.values()}
    same({s["packets"] for s in rows[0]["streams"]}, packets, "packets of both streams")
    store.export(rows[0]["id"], bench.path("x.wav"))
    tracks = read_wav(bench.path("x.wav"))
    # Who called whom nobody knows.
    caller_first = rows[0]["streams"][0]["src"].startswith(call.parties[0].media[0])
    if (rows[0]["streams"][0]["track"] == "caller") != caller_first:
        tracks.reverse()
    check_audio(call, tracks)


@test
def a_call_that_is_explained_later_is_its_own(bench):
    """The recorder's first sight is in mid-call; the next call on the same endpoints is signalled."""
    scene = Scene(bench.seed)
    first, second = scene.call(), None
    first.talk_both(0.0, 3.0)
    second = scene.call(*first.parties)
    second.simple(at=5.0)
    scene.calls.remove(first)
    for s in first.streams.values():
        for us, data in s.datagrams():
            scene.send(us, s.src, s.dst, data)
    store, counters = record(bench, scene)
    rows = {r["sip_call_id"]: r for r in store.calls()}
    same(len(rows), 2, "calls")
    check_call(second, rows[second.call_id])
    store.export(rows[second.call_id]["id"], bench.path("x.wav"))
    check_audio(second, read_wav(bench.path("x.wav")))


if __name__ == "__main__":
    main()
