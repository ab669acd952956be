#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Recording assurance: `callspan coverage` on calls of which something is missing, and `status`."""

import json
import struct

from harness import Skip, check, main, one_line, program, run, same, test

import wire
from scene import Scene

DAY = "2026-01-05"


def coverage(store, *args):
    """The calls that are told of, by caller, and the summary."""
    lines = [json.loads(x) for x in store.callspan("coverage", "--json", *args).out.splitlines()]
    check(lines and "summary" in lines[-1], "the last line is no summary: %r", lines[-1:])
    return {c["from"]: c for c in lines[:-1]}, lines[-1]["summary"]


def recorded(bench, build):
    scene = Scene(bench.seed)
    build(scene)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    store.record(bench.path("x.pcap"))
    return store


def kinds(summary):
    return {k: n for k, n in summary["kinds"].items() if n}


@test
def calls_without_a_fault_give_the_verdict_whole(bench):
    store = recorded(bench, lambda s: [s.call("200%d" % n).simple(end=2.0) for n in range(3)])
    told, s = coverage(store)
    same(told, {}, "the calls told of")
    same((s["answered"], s["whole"], s["not_whole"], s["verdict"]), (3, 3, 0, "whole"), "the sum")
    same(kinds(s), {}, "the kinds")
    text = store.callspan("coverage").out
    check("All 3 answered calls were recorded whole." in text, "said %r", text)


def faulty(scene):
    scene.call("2001").simple(end=3.0)
    silent = scene.call("2002").begin()
    silent.bye(3.0)
    one = scene.call("2003").begin()
    one.talk(0, 0.7, 3.0)
    one.bye(3.0)
    scene.call("2004").simple(end=6.0, loss=0.2)
    scene.call("2005").begin().bye(0.9)
    busy = scene.call("2006")
    busy.invite(0.0)
    busy.ring(0.1)
    busy.refuse(1.0)


@test
def each_fault_has_its_name_and_its_count(bench):
    store = recorded(bench, faulty)
    told, s = coverage(store)
    same({k: c["coverage"] for k, c in told.items()},
         {"2002": ["no-audio"], "2003": ["one-side"], "2004": ["gaps"], "2005": ["no-audio"]},
         "the remarks")  # fmt: skip
    same({c["whole"] for c in told.values()}, {False}, "whole")
    check(10 < told["2004"]["loss_percent"] < 30, "%r lost", told["2004"]["loss_percent"])
    same(kinds(s), {"no-audio": 2, "one-side": 1, "gaps": 1}, "the kinds")
    same((s["calls"], s["answered"], s["whole"], s["not_whole"], s["verdict"]),
         (6, 5, 1, 4, "incomplete"), "the sum")  # fmt: skip
    rows = {r["from"]: r["coverage"] for r in store.calls()}
    same(rows, {"2001": [], "2002": ["no-audio"], "2003": ["one-side"], "2004": ["gaps"],
                "2005": ["no-audio"], "2006": []}, "coverage in calls --json")  # fmt: skip
    text = store.callspan("coverage").out
    check("4 of 5 answered calls were not recorded whole." in text, "said %r", text)
    check("2  no-audio" in text and "lost)" in text, "said %r", text)


@test
def the_threshold_for_gaps_is_a_choice(bench):
    store = recorded(bench, lambda s: s.call("2001").simple(end=6.0, loss=0.1))
    same(list(coverage(store)[0]), ["2001"], "told of at 1 %")
    same(list(coverage(store, "--gap", "50")[0]), [], "told of at 50 %")
    same(coverage(store, "--gap", "50%")[1]["verdict"], "whole", "the verdict at 50 %")
    for wrong in ("101", "-1", "much"):
        r = store.callspan("coverage", "--gap=" + wrong, ok=(2,))
        check("percentage" in one_line(r), "said %r", r.err)


@test
def only_calls_of_the_time_asked_for_are_judged(bench):
    def build(scene):
        for n in range(4):
            scene.call("200%d" % n).begin(at=60.0 * n).bye(60.0 * n + 3)

    store = recorded(bench, build)
    same(sorted(coverage(store)[0]), ["2000", "2001", "2002", "2003"], "all")
    since = DAY + "T09:01:30Z"
    same(sorted(coverage(store, "--since", since)[0]), ["2002", "2003"], "since")
    told, s = coverage(store, "--until", since)
    same((sorted(told), s["answered"]), (["2000", "2001"], 2), "until")
    same(coverage(store, "--since", "2030-01-01")[1]["verdict"], "nothing-answered", "later")


@test
def cut_packets_are_told(bench):
    scene = Scene(bench.seed)
    scene.call("2001").simple(end=3.0)
    scene.write(bench.path("x.pcap"), keep=lambda p: 14 + 28 + 100 if p[0] >> 6 == 2 else None)
    store = bench.store()
    store.record(bench.path("x.pcap"))
    told, s = coverage(store)
    same(told["2001"]["coverage"], ["truncated"], "coverage")
    same(s["verdict"], "incomplete", "the verdict")


def with_policy(bench, store, section, lines):
    """Append to the store's policy, or skip where this policy is not known."""
    with open(store.path + "/policy.yaml") as f:
        text = f.read()
    with open(store.path + "/policy.yaml", "w") as f:
        f.write(text.rstrip("\n") + "\n" + lines)
    r = run(program("callspand"), "--store", store.path, "--check", ok=(0, 1, 2))
    if r.code:
        raise Skip("the policy has no %s here: %s" % (section, r.err.strip()[-80:]))


@test
def an_excluded_call_tells_when_it_was_and_nothing_else(bench):
    scene = Scene(bench.seed)
    scene.call("2001", "3001").simple(end=3.0)
    scene.call("2002", "3002").simple(end=3.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    with_policy(bench, store, "record.never", "record:\n  never: [ \"3002\" ]\n")
    store.record(bench.path("x.pcap"))
    rows = store.calls()
    hidden = [r for r in rows if "excluded" in r["coverage"]]
    same(len(hidden), 1, "the number of excluded calls")
    for field in ("from", "to", "from_name", "to_name", "sip_call_id"):
        same(hidden[0][field], None, field)
    same(hidden[0]["streams"], [], "streams")
    same(hidden[0]["coverage"], ["excluded"], "coverage")
    check(hidden[0]["start"] and hidden[0]["end"], "the times are not there")
    told, s = coverage(store)
    same((s["excluded"], s["answered"], s["not_whole"], s["verdict"]), (1, 1, 0, "whole"), "the sum")
    check(None in told, "the excluded call is not told of")


@test
def the_digits_pressed_are_an_opening(bench):
    scene = Scene(bench.seed)
    call = scene.call("2001").begin()
    call.talk(0, 0.7, 5.0, dtmf=[(1.0, "4"), (2.0, "7"), (3.0, "#")])
    call.talk(1, 0.71, 5.0)
    call.bye(5.1)
    scene.write(bench.path("x.pcap"))
    plain = bench.store("plain")
    plain.record(bench.path("x.pcap"))
    row = plain.calls()[0]
    why = ("--purpose", "complaint", "--reference", "case 9")
    same(row["dtmf_count"], 3, "dtmf_count")
    r = plain.callspan("show", row["id"], "--digits", "--json", *why)
    same(json.loads(r.out)["digits"], [], "digits that were not kept")
    plain.callspan("show", row["id"], "--digits", ok=(2,))
    store = bench.store()
    with open(store.path + "/policy.yaml") as f:
        text = f.read()
    if "record:" in text:
        raise Skip("the policy has a section of its own")
    with_policy(bench, store, "record.dtmf", "record:\n  dtmf: keep\n")
    store.record(bench.path("x.pcap"))
    row = store.calls()[0]
    digits = json.loads(store.callspan("show", row["id"], "--digits", "--json", *why).out)["digits"]
    same([(d["track"], d["from"], d["digits"]) for d in digits], [("caller", "media", "47#")],
         "the digits")  # fmt: skip
    same(len(digits[0]["presses"]), 3, "the presses")
    check(digits[0]["presses"][0]["time"].startswith(DAY + "T09:00:01"), "the first is at %r",
          digits[0]["presses"][0]["time"])  # fmt: skip
    trail = store.callspan("audit", "list", "--json").out
    check('"digits"' in trail and "case 9" in trail, "the trail has no such entry")


@test
def status_tells_what_the_recorder_counted_in_words(bench):
    store = recorded(bench, faulty)
    text = store.callspan("status").out
    for words in ("frames read from the interface or capture file", "calls answered",
                  "The recorder read files from"):  # fmt: skip
        check(words in text, "%r is not in %r", words, text)
    j = json.loads(store.callspan("status", "--json").out)["capture"]
    same((j["running"], j["live"], j["counters"]["calls"]), (False, False, 6), "the status")
    check(j["packet_time"].startswith(DAY), "packet time is %r", j["packet_time"])


@test
def what_the_recorders_folder_says_of_itself_is_not_believed_further_than_numbers(bench):
    store = recorded(bench, lambda s: s.call("2001").simple(end=2.0))
    path = store.path + "/recorder/status.json"
    for text in ("", "{", "[]", '{"counters": 7}', '{"counters": {}, "started": "\\u001b[31m"}',
                 '{"counters": {"frames": "x", "evil": 5}, "running": "yes"}',
                 '{"counters": {}, "running": true, "interfaces": 3}',
                 '{"counters": {}, "running": true, "interfaces": [7, {"name": "evil"},'
                 ' {"name": "eth\\u001b1", "state": "down"}, {"name": "eth1", "state": "evil"},'
                 ' {"name": "%s", "state": "down"}]}' % ("evil" * 20)):  # fmt: skip
        with open(path, "w") as f:
            f.write(text)
        r = store.callspan("status")
        check("evil" not in r.out and "\x1b" not in r.out, "said %r", r.out)
        store.callspan("coverage")
    with open(path, "w") as f:
        json.dump({"counters": {"kernel-drops": 12}, "started": DAY + "T09:00:00Z"}, f)
    told, s = coverage(store)
    same((s["capture_lost"], s["verdict"]), (12, "incomplete"), "what the capture lost")
    check("12  frames the kernel or the network card dropped" in store.callspan("coverage").out, "it is not told")


@test
def a_capture_of_a_link_that_is_not_decoded_ends_with_its_name(bench):
    path = bench.path("user0.pcap")
    out = wire.Pcap(path, "raw")
    for n in range(20):
        out.frame(1767603600_000000 + n, bytes(60))
    out.close()
    with open(path, "r+b") as f:
        f.seek(20)
        f.write(struct.pack("<I", 147))
    store = bench.store()
    r = run(program("callspand"), "--store", store.path, "-r", path, ok=(1,))
    line = one_line(r)
    check("user0.pcap: link type 147 (USER0) is not decoded" in line, "said %r", line)


if __name__ == "__main__":
    main()
