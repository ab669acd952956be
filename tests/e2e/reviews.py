#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Samples, reviews, and calls given to staff to hear, by the programs."""

import hashlib
import json
import os
import subprocess

from harness import Skip, check, main, one_line, same, test

from scene import Scene

NOTE = "friendly, but the caller had to ask for a name"


def recorded(bench, policy="lab"):
    """Nine answered calls from three telephones, and one that nobody took."""
    if os.geteuid() != 0:
        raise Skip("needs root, to be several persons")
    scene = Scene(bench.seed)
    for n in range(9):
        scene.call("200%d" % (n % 3), "30%02d" % n).simple(at=0.2 * n, end=0.2 * n + 1.0 + n % 2)
    busy = scene.call("2009", "3009")
    busy.invite(0.0)
    busy.ring(0.1)
    busy.refuse(1.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store(policy=policy, arguments=("--unattended", "--controller", "alice"))
    store.record(bench.path("x.pcap"))
    for name, role in (("mia", "manager"), ("stan", "staff"), ("stella", "staff")):
        ask(store, "alice", "person", "add", name, "--role", role)
    return store


def ask(store, person, *args, **more):
    return store.callspan(*args, env={"SUDO_USER": person, **more.pop("env", {})}, **more)


def told(store, person, *args):
    return [json.loads(x) for x in ask(store, person, *args, "--json").out.splitlines()]


def calls(store):
    return told(store, "alice", "calls", "--limit", "0")


def ids(sample):
    return [c["id"] for c in sample["calls"]]


@test
def sample_is_drawn_on_record_and_can_be_drawn_again(bench):
    store = recorded(bench)
    one = told(store, "mia", "sample", "--count", "4")[0]
    same((one["sample"], one["eligible"], len(one["calls"])), ("S-1", 9, 4), "the sample")
    check("2009" not in {c["from"] for c in one["calls"]}, "an unanswered call was drawn")
    again = told(store, "alice", "sample", "--count", "4", "--seed", str(one["seed"]))[0]
    same(ids(again), ids(one), "the same draw")
    same(told(store, "mia", "sample", "show", "S-1")[0]["calls"], one["calls"], "sample show")
    same([s["by"] for s in told(store, "mia", "sample", "list")], ["mia", "alice"], "sample list")
    # a stranger's draw, by the public tools that docs/vault.md shows
    eligible = ask(store, "mia", "sample", "--count", "4", "--eligible").out
    same(len(eligible.splitlines()), 9, "the list of who could be drawn")
    script = """while read id; do
        echo "$(printf '%%s %%s' %d $id | sha256sum | cut -c1-64) $id"
        done | sort | head -n 4 | cut -d' ' -f2""" % one["seed"]
    drawn = subprocess.run(["sh", "-c", script], input=eligible, capture_output=True, text=True)
    same(drawn.stdout.split(), ids(one), "the stranger's draw")
    by_hash = sorted(eligible.split(), key=lambda i: hashlib.sha256(
        ("%d %s" % (one["seed"], i)).encode()).hexdigest())  # fmt: skip
    same(by_hash[:4], ids(one), "the draw by its definition")
    ask(store, "alice", "audit", "verify")


@test
def sample_of_each_line_and_by_length(bench):
    store = recorded(bench)
    long = told(store, "mia", "sample", "--count", "9", "--min-duration", "2")[0]
    lengths = {c["id"]: c["duration_ms"] for c in calls(store) if c["outcome"] == "answered"}
    same(set(ids(long)), {i for i, ms in lengths.items() if ms >= 2000}, "calls of 2 s or more")
    line = one_line(ask(store, "mia", "sample", "--count", "1", "--per-person", ok=(1,)))
    check("none fits" in line, "without own numbers, --per-person says %r", line)
    policy = os.path.join(store.path, "policy.yaml")
    with open(policy, "a") as f:
        f.write("own:\n  numbers: [ '200?' ]\n")
    each = told(store, "mia", "sample", "--count", "1", "--per-person")[0]
    same(sorted(c["from"] for c in each["calls"]), ["2000", "2001", "2002"], "own lines")


@test
def policy_says_what_a_sample_may_be_for(bench):
    store = recorded(bench, policy="12-month")
    line = one_line(ask(store, "mia", "sample", "--count", "2", ok=(3,)))
    check("training, process-improvement" in line, "the refusal says %r", line)
    one = told(store, "mia", "sample", "--count", "2", "--purpose", "training")[0]
    same((one["purpose"], len(one["calls"])), ("training", 2), "the sample")


def sound(bench):
    """A sound device that writes into a file."""
    conf, out = bench.path("asound.conf"), bench.path("played")
    with open(conf, "w") as f:
        f.write('pcm.null { type null }\npcm.default { type file slave.pcm "null" file "%s" '
                'format "raw" }\n' % out)  # fmt: skip
    return {"ALSA_CONFIG_PATH": conf}, out


@test
def staff_hear_what_they_were_given_and_take_nothing_along(bench):
    store = recorded(bench, policy="30-day")
    env, played = sound(bench)
    a, b = [c["id"] for c in calls(store) if c["outcome"] == "answered"][:2]
    line = one_line(ask(store, "stan", "replay", a, ok=(2,), env=env))
    check("no such recording" in line, "before it was given: %r", line)
    said = ask(store, "mia", "review", "add", a, "--score", "4", "--note", NOTE, "--for", "stan",
               "--days", "3").out  # fmt: skip
    check("V-1" in said and "stan" in said, "review add says %r", said)
    ask(store, "stan", "replay", a, env=env)
    check(os.path.getsize(played) > 8000, "nothing was played")
    card = ask(store, "stan", "show", a).out
    check("2000" not in card.splitlines()[1], "staff see the number: %r", card)
    for person, args, code in (
        ("stan", ["replay", b], 2),
        ("stella", ["replay", a], 2),
        ("stan", ["replay", a, "-o", bench.path("x.wav")], 3),
        ("stan", ["replay", a, "--purpose", "complaint", "--reference", "r"], 3),
        ("stan", ["export", a, "-o", bench.path("x.wav"), "--purpose", "training",
                  "--reference", "r"], 3),
        ("stan", ["calls"], 3),
        ("stan", ["sample", "--count", "1"], 3),
        ("stan", ["review", "add", a, "--score", "5", "--note", "x"], 3),
    ):  # fmt: skip
        one_line(ask(store, person, *args, ok=(code,), env=env))
    check(not os.path.exists(bench.path("x.wav")), "a file was written")
    same([r["note"] for r in told(store, "stan", "review", "list")], [NOTE], "staff's own reviews")
    same(told(store, "stella", "review", "list"), [], "another's reviews")
    trail = told(store, "alice", "audit", "list")
    heard = [e for e in trail if e["person"] == "stan" and e["outcome"] == "done"]
    same([(e["action"], e["call"], e["purpose"]) for e in heard], [("replay", a, "training")],
         "what staff have heard")  # fmt: skip


def passphrase(bench, name):
    path = bench.path(name + ".txt")
    with open(path, "w") as f:
        f.write("the passphrase of %s\n" % name)
    return path


@test
def given_call_opens_with_the_passphrase_of_its_hearer(bench):
    if os.geteuid() != 0:
        raise Skip("needs root, to be several persons")
    env, played = sound(bench)
    scene = Scene(bench.seed)
    for n in range(2):
        scene.call("200%d" % n, "3001").simple(at=0.2 * n, end=1.5)
    scene.write(bench.path("x.pcap"))
    own = {name: passphrase(bench, name) for name in ("alice", "stan", "stella")}
    store = bench.store(policy="30-day", arguments=(
        "--controller", "alice", "--passphrase-file", own["alice"]))  # fmt: skip
    store.record(bench.path("x.pcap"))
    for name in ("stan", "stella"):
        ask(store, "alice", "person", "add", name, "--role", "staff", "--passphrase-file",
            own[name])  # fmt: skip
    a, b = (c["id"] for c in calls(store))
    give = ("review", "add", a, "--score", "4", "--note", NOTE, "--for", "stan")
    line = one_line(ask(store, "alice", *give, ok=(3,)))
    check("passphrase needed" in line, "giving without a passphrase says %r", line)
    ask(store, "alice", *give, "--passphrase-file", own["alice"])
    for person, call, with_, code in (
        ("stan", a, None, 3),
        ("stan", a, "stella", 3),
        ("stan", b, "stan", 2),
        ("stella", a, "stella", 2),
    ):
        more = ("--passphrase-file", own[with_]) if with_ else ()
        one_line(ask(store, person, "replay", call, *more, ok=(code,), env=env))
        check(not os.path.exists(played) or not os.path.getsize(played), "it was heard")
    ask(store, "stan", "replay", a, "--passphrase-file", own["stan"], env=env)
    check(os.path.getsize(played) > 8000, "nothing was heard")
    ask(store, "alice", "audit", "verify")


@test
def note_is_nowhere_in_clear(bench):
    store = recorded(bench)
    a = calls(store)[0]["id"]
    ask(store, "mia", "review", "add", a, "--score", "2", "--note", NOTE)
    same(told(store, "mia", "review", "show", "V-1")[0]["note"], NOTE, "the note")
    forms = [NOTE.encode(), NOTE[:12].encode(), NOTE[:12].encode().hex().encode()]
    for path, data in store.everything():
        for form in forms:
            check(form not in data, "%s tells the note", path)


REFUSED = [
    (2, "how many", ["sample"]),
    (2, "number is wanted", ["sample", "--count", "few"]),
    (2, "1 to 1000", ["sample", "--count", "1001"]),
    (2, "not a time", ["sample", "--count", "1", "--since", "soon"]),
    (2, "names no groups", ["sample", "--count", "1", "--group", "desk"]),
    (2, "whole number", ["sample", "--count", "1", "--seed", "x"]),
    (2, "another purpose", ["sample", "--count", "1", "--purpose", "complaint"]),
    (2, "no sample S-7", ["sample", "show", "S-7"]),
    (2, "which sample", ["sample", "show"]),
    (2, "draws nothing", ["sample", "list", "--count", "1"]),
    (2, "there are sample", ["sample", "draw"]),
    (1, "none fits", ["sample", "--count", "1", "--min-duration", "3600"]),
    (2, "which recording", ["review", "add"]),
    (2, "no such recording", ["review", "add", "ffffffff", "--score", "1", "--note", "x"]),
    (2, "1 to 5", ["review", "add", "ffffffff", "--score", "6", "--note", "x"]),
    (2, "note must be", ["review", "add", "ffffffff", "--score", "5"]),
    (2, "for whom", ["review", "add", "ffffffff", "--score", "5", "--note", "x", "--days", "2"]),
    (2, "no review V-3", ["review", "show", "V-3"]),
    (2, "for review add", ["review", "list", "--score", "5"]),
    (2, "for review list", ["review", "show", "V-1", "--call", "ffffffff"]),
    (2, "did you mean list", ["review", "lst"]),
]  # fmt: skip


@test
def bad_input_is_one_line_and_changes_nothing(bench):
    store = recorded(bench)
    for code, says, args in REFUSED:
        line = one_line(ask(store, "mia", *args, ok=(code,)))
        check(says in line, "%s says %r", " ".join(args), line)
    same(told(store, "mia", "sample", "list"), [], "samples")
    same(told(store, "mia", "review", "list"), [], "reviews")


main()
