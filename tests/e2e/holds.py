#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Holds: recordings kept past their time, by the programs."""

import json
import os
import subprocess
import time

from harness import LONG, ROOT, Skip, check, main, one_line, program, run, same, test

from scene import Scene

CUSTOMER = "4930901820415"
WHY = ("--reason", "a complaint", "--reference", "C-17")


def capture(bench, name, parties, start_us=None, **more):
    """A capture of one call from each of these, a second apart."""
    scene = Scene(bench.seed, **({"start_us": start_us} if start_us else {}))
    for n, (caller, callee) in enumerate(parties):
        scene.call(caller, callee, **more).simple(at=1.0 * n, end=1.0 * n + 0.6)
    scene.write(bench.path(name))
    return bench.path(name)


def recorded(bench, parties):
    store = bench.store()
    store.record(capture(bench, "first.pcap", parties))
    return store


def held(store):
    """Which holds keep each call, by its caller."""
    return {c["from"]: c["retention"]["holds"] for c in store.calls()}


def hold(store, *args, **more):
    r = store.callspan("hold", *args, "--json", **more)
    return [json.loads(line) for line in r.out.splitlines()]


def actions(store):
    r = store.callspan("audit", "list", "--json")
    return [(e["action"], e["outcome"]) for e in map(json.loads, r.out.splitlines())]


@test
def given_calls_are_held_shown_and_let_go(bench):
    store = recorded(bench, [("2001", "3001"), ("2002", "3001"), ("2003", "3001")])
    ids = {c["from"]: c["id"] for c in store.calls()}
    said = store.callspan("hold", "add", *WHY, ids["2001"], ids["2003"][:23]).out
    same(said, "H-1 holds 2 recordings.\n", "what hold add says")
    same(held(store), {"2001": ["H-1"], "2002": [], "2003": ["H-1"]}, "what is held")
    store.callspan("hold", "add", "--reason", "another", "--reference", "C-18", ids["2003"])
    card = store.callspan("show", ids["2003"]).out
    check("H-1, H-2: it is kept beyond its time until released" in card, "show says %r", card)
    table = store.callspan("hold", "list").out.splitlines()
    same(len(table), 3, "lines of hold list")
    check("C-17" in table[1] and "given calls" in table[1], "the list says %r", table)
    same(hold(store, "show", "H-2")[0]["held_calls"], [ids["2003"]], "calls of H-2")
    said = store.callspan("hold", "release", "H-1", "--reason", "settled").out
    check(said.startswith("H-1 is released: 2 recordings"), "hold release says %r", said)
    same(held(store), {"2001": [], "2002": [], "2003": ["H-2"]}, "what is still held")
    same([h["hold"] for h in hold(store, "list")], ["H-2"], "holds")
    same([h["state"] for h in hold(store, "list", "--all")], ["released", "active"], "all holds")
    same(json.loads(store.callspan("status", "--json").out)["holds"],
         {"active": 1, "release_asked": 0, "calls_past_their_time": 0}, "status")  # fmt: skip
    same([a for a in actions(store) if a[0].startswith("h")],
         [("hold-add", "done"), ("held", "done"), ("held", "done"), ("hold-add", "done"),
          ("held", "done"), ("hold-release", "done")], "the trail")  # fmt: skip
    store.callspan("audit", "verify")


@test
def standing_hold_catches_calls_that_are_recorded_later(bench):
    store = recorded(bench, [(CUSTOMER, "3001"), ("2002", "3001")])
    hold(store, "add", *WHY, "--party", "030 901820415", "--standing")
    same(held(store), {CUSTOMER: ["H-1"], "2002": []}, "what is held at first")
    more = capture(bench, "more.pcap", [("3009", CUSTOMER), ("2004", "3001")],
                   start_us=1767690000_000000)  # fmt: skip
    store.record(more)
    same(held(store), {CUSTOMER: ["H-1"], "2002": [], "3009": ["H-1"], "2004": []},
         "what is held then")  # fmt: skip
    one = hold(store, "show", "H-1")[0]
    same((one["calls"], one["party"], one["standing"]), (2, "030 901820415", True), "the hold")


@test
def hold_outlives_a_lost_index_and_catches_on(bench):
    store = recorded(bench, [(CUSTOMER, "3001"), ("2002", "3001")])
    hold(store, "add", *WHY, "--party", CUSTOMER, "--standing")
    os.unlink(os.path.join(store.path, "vault", "index", "CURRENT"))
    store.callspan("calls", ok=(4,))
    store.callspan("reindex")
    same(held(store), {CUSTOMER: ["H-1"], "2002": []}, "what is held")
    store.record(capture(bench, "more.pcap", [("3009", CUSTOMER)], start_us=1767690000_000000))
    same(held(store)["3009"], ["H-1"], "what is caught")


@test
def number_of_a_hold_is_nowhere_in_clear_and_gone_when_it_ends(bench):
    store = recorded(bench, [("2001", "3001"), ("2002", "3001")])
    number = "020 7946 0123"
    hold(store, "add", *WHY, "--party", number, "--standing")
    keys = os.path.join(store.path, "vault", "matters.keys")
    with open(keys, "rb") as f:
        key = f.read()[:32]
    forms = [b"2079460123", number.encode(), b"79460123"]
    forms += [f.hex().encode() for f in forms]
    for path, data in store.everything():
        for form in forms:
            check(form not in data, "%s tells the number", path)
    hold(store, "release", "H-1")
    for path, data in store.everything():
        check(key not in data and key.hex().encode() not in data, "%s holds the key", path)
    same(hold(store, "list", "--all")[0]["party"], None, "the party of the ended hold")


REFUSED = [
    (2, "no recording of this party", ["add", *WHY, "--party", "99887766"]),
    (2, "ffffffff: no such recording", ["add", *WHY, "ffffffff"]),
    (2, "not a time", ["add", *WHY, "--party", "2001", "--since", "yesterday"]),
    (2, "before since", ["add", *WHY, "--party", "2001", "--since", "2026-02-02", "--until",
                         "2026-01-01"]),
    (2, "in the past", ["add", *WHY, "--party", "2001", "--standing", "--until", "2020-01-01"]),
    (2, "what is to be held", ["add", *WHY]),
    (2, "reason must be stated", ["add", "--reference", "C-1", "--party", "2001"]),
    (2, "reference must be stated", ["add", "--reason", "x", "--party", "2001"]),
    (2, "names the party", ["add", "--reason", "of 2001", "--reference", "C-1", "--party", "2001"]),
    (2, "no hold H-9", ["release", "H-9"]),
    (2, "H-12", ["release", "C-17"]),
    (2, "which hold", ["release"]),
    (2, "for hold add", ["release", "H-1", "--party", "2001"]),
    (2, "for hold release", ["add", *WHY, "--party", "2001", "--confirm"]),
    (2, "takes no --all", ["show", "H-1", "--all"]),
    (2, "one word too many", ["show", "H-1", "H-2"]),
    (2, "did you mean release", ["relase", "H-1"]),
    (2, "there are add, release", []),
    (1, "has not been asked for", ["release", "H-1", "--confirm"]),
    (1, "has not been asked for", ["release", "H-1", "--cancel"]),
]  # fmt: skip


@test
def bad_input_is_one_line_and_changes_nothing(bench):
    store = recorded(bench, [("2001", "3001"), ("2002", "3001")])
    hold(store, "add", *WHY, "--party", "2001")
    before = hold(store, "list", "--all")
    for code, says, args in REFUSED:
        line = one_line(store.callspan("hold", *args, ok=(code,)))
        check(says in line, "hold %s says %r", " ".join(args), line)
    same(hold(store, "list", "--all"), before, "the holds")
    store.callspan("hold", "release", "H-1")
    line = one_line(store.callspan("hold", "release", "H-1", ok=(1,)))
    check("H-1 was released by " in line, "the second release says %r", line)
    check(("hold-release", "failed") in actions(store), "the second release is not in the trail")


@test
def killed_release_is_finished_by_whoever_comes_next(bench):
    store = recorded(bench, [("2001", "30%02d" % n) for n in range(30)])
    for n in range(1, 60 if LONG else 12):
        name = "H-%d" % n
        hold(store, "add", *WHY, "--party", "2001")
        p = subprocess.Popen(
            [program("callspan"), "--store", store.path, "hold", "release", name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(bench.random.uniform(0.0, 0.06))
        p.kill()
        p.wait()
        state = {h["hold"]: h["state"] for h in hold(store, "list", "--all")}[name]
        check(state in ("active", "released"), "%s is %s", name, state)
        kept = {tuple(c["retention"]["holds"]) for c in store.calls()}
        same(kept, {(name,)} if state == "active" else {()}, "what holds the calls")
        if state == "active":
            hold(store, "release", name)
    store.callspan("audit", "verify")


def two_persons(bench):
    """A store whose policy wants two persons for a release, and three persons with passphrases."""
    if os.geteuid() != 0:
        raise Skip("needs root, to be several persons")
    policy, own = bench.path("two.yaml"), {}
    with open(os.path.join(ROOT, "conf", "policies", "lab.yaml")) as f, open(policy, "w") as to:
        to.write(f.read() + "two-persons: [ hold-release ]\n")
    for name in ("alice", "mia", "max"):
        own[name] = bench.path(name + ".txt")
        with open(own[name], "w") as f:
            f.write("the passphrase of %s\n" % name)
    store = bench.store(policy=policy, arguments=(
        "--controller", "alice", "--passphrase-file", own["alice"]))  # fmt: skip
    store.record(capture(bench, "x.pcap", [("2001", "3001")]))
    for name in ("mia", "max"):
        store.callspan(
            "person", "add", name, "--role", "manager", "--passphrase-file", own[name],
            "--my-passphrase-file", own["alice"], env={"SUDO_USER": "alice"},
        )  # fmt: skip
    return store, own


@test
def release_takes_two_persons_where_the_policy_wants_them(bench):
    store, own = two_persons(bench)
    mia, max_ = {"SUDO_USER": "mia"}, {"SUDO_USER": "max"}
    hold(store, "add", *WHY, "--party", "2001", env=mia)
    said = store.callspan("hold", "release", "H-1", "--reason", "settled", env=mia).out
    check("--confirm" in said, "asking for the release says %r", said)
    confirm = ("hold", "release", "H-1", "--confirm", "--passphrase-file")
    for who, args, code, says in (
        (mia, ("hold", "release", "H-1"), 1, "asked by you"),
        (mia, (*confirm, own["mia"]), 3, "asked by you"),
        (max_, ("hold", "release", "H-1"), 1, "asked by mia"),
        (max_, ("hold", "release", "H-1", "--confirm"), 3, "passphrase needed"),
        (max_, (*confirm, own["mia"]), 3, "passphrase"),
    ):
        line = one_line(store.callspan(*args, ok=(code,), env=who))
        check(says in line, "%s says %r", " ".join(args[:4]), line)
        same(hold(store, "list", env=mia)[0]["state"], "release-asked", "the hold")
    store.callspan("hold", "release", "H-1", "--cancel", env=max_)
    same(hold(store, "list", env=mia)[0]["state"], "active", "the hold, taken back")
    store.callspan("hold", "release", "H-1", env=max_)
    store.callspan(*confirm, own["mia"], env=mia)
    one = hold(store, "list", "--all", env=mia)[0]
    same((one["state"], one["release_asked_by"], one["released_by"]), ("released", "max", "mia"),
         "the hold")  # fmt: skip
    trail = store.callspan("audit", "list", "--json", env={"SUDO_USER": "alice"}).out
    told = [json.loads(x) for x in trail.splitlines()]
    same([(e["person"], e["outcome"]) for e in told if e["action"] == "hold-release"],
         [("mia", "asked"), ("mia", "failed"), ("mia", "refused"), ("max", "failed"),
          ("max", "refused"), ("max", "asked"), ("mia", "done")], "the trail")  # fmt: skip


@test
def operator_sees_that_there_are_holds_and_no_more(bench):
    """Root is no person of this store, so it runs the system."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    store = bench.store(arguments=("--unattended", "--controller", "alice"))
    store.record(capture(bench, "x.pcap", [("2001", "3001")]))
    line = one_line(store.callspan("hold", "add", *WHY, "--party", "2001", ok=(3,)))
    check("does not allow" in line, "said %r", line)
    same(hold(store, "list", env={"SUDO_USER": ""}), [], "holds")
    run(program("callspan"), "--store", store.path, "hold", "add", *WHY, "--party", "2001",
        env={"SUDO_USER": "alice"})  # fmt: skip
    one = hold(store, "list", env={"SUDO_USER": ""})[0]
    same((one["hold"], one["calls"], one["party"], one["reason"], one["reference"], one["by"]),
         ("H-1", 1, None, None, None, None), "what an operator sees")  # fmt: skip


main()
