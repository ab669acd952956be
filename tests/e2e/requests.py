#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Requests of persons and authorities: from the letter to the copy or the hearing, and what is left of them."""

from harness import LONG, Skip, check, main, one_line, program, run, same, test

import json
import os
import random
import shutil
import subprocess
import time
import wave

from scene import Scene

PARTY = "+441632960777"
OTHER = "+441632960888"
NAME = "Quirina Zyxwert"
ALSA = """pcm.!default {
	type file
	slave.pcm { type null }
	file "%s"
	format "raw"
}
"""


def three_calls(bench, name="x.pcap", at=0.0):
    """Two calls of the party, one of somebody else."""
    scene = Scene(seed=bench.seed)
    scene.call(PARTY, "3001").simple(at=at, end=at + 1.5)
    scene.call("2002", "01632960777").simple(at=at + 2, end=at + 3.5)
    scene.call(OTHER, "3003").simple(at=at + 4, end=at + 5.0)
    scene.write(bench.path(name))
    return bench.path(name)


def with_calls(bench, **more):
    store = bench.store(**more)
    store.record(three_calls(bench))
    return store


def person(store, name, role):
    with open(os.path.join(store.path, "vault", "people", name), "w") as f:
        f.write("callspan person 1\nrole %s\n" % role)


def today():
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))


def request(store, *args, **more):
    return store.callspan("request", *args, **more)


def opened(store, kind="subject-access", received=None, party=PARTY):
    r = request(
        store, "open", "--kind", kind, "--party", party, "--received", received or today(),
        "--reference", "L-17", "--requester", NAME, "--note", "came by pigeon", "--json",
    )  # fmt: skip
    return json.loads(r.out)


def show(store, name="R-1"):
    return json.loads(request(store, "show", name, "--json").out)


def authorised(store, name="R-1"):
    calls = [c["id"] for c in show(store, name)["recordings"]]
    request(store, "verify-identity", name, "--how", "saw her passport")
    request(store, "assess", name, *calls, "--release")
    request(store, "authorise", name)
    return calls


def samples(path):
    with wave.open(path) as w:
        return w.readframes(w.getnframes())


def audit(store):
    return [json.loads(x) for x in store.callspan("audit", "list", "--json").out.splitlines()]


@test
def request_goes_from_letter_to_copy(bench):
    store = with_calls(bench)
    o = opened(store)
    same((o["inquiry"], o["state"], o["calls"]["found"]), ("R-1", "opened", 2), "the request")
    ids = authorised(store)
    same(show(store)["state"], "authorised", "its state")
    request(store, "fulfil", "R-1", "--export", bench.path("out"))
    names = sorted(n for n in os.listdir(bench.path("out")) if not n.endswith(".manifest"))
    same(names, ["R-1-01.wav", "R-1-02.wav"], "the files")
    for n, call in enumerate(ids, 1):
        store.export(call, bench.path("plain.wav"))
        given = bench.path("out/R-1-%02d.wav" % n)
        check(samples(given) == samples(bench.path("plain.wav")), "%s is another call", given)
        same(os.stat(given).st_mode & 0o777, 0o600, "its mode")
    entries = audit(store)
    for call in ids:
        mine = [e for e in entries if e["call"] == call and e["reference"] == "R-1"]
        told = [(e["action"], e["outcome"]) for e in mine]
        same(
            told,
            [("request-assess", "done"), ("export", "granted"), ("export", "done"),
             ("request-fulfil", "done")],
            "the trail of a call",
        )  # fmt: skip
        same(mine[1]["purpose"], "subject-access", "the purpose")
    same(show(store)["state"], "fulfilled", "its state")
    request(store, "close", "R-1")
    store.callspan("audit", "verify")


@test
def call_is_heard_on_the_premises(bench):
    store = with_calls(bench)
    opened(store, kind="authority")
    calls = authorised(store)
    with open(bench.path("asound.conf"), "w") as f:
        f.write(ALSA % bench.path("heard.raw"))
    env = {"ALSA_CONFIG_PATH": bench.path("asound.conf")}
    request(store, "fulfil", "R-1", "--listen", calls[0], env=env)
    store.export(calls[0], bench.path("plain.wav"))
    with open(bench.path("heard.raw"), "rb") as f:
        heard = f.read()
    plain = samples(bench.path("plain.wav"))
    check(len(plain) > 10000 and heard[: len(plain)] == plain, "another call was heard")
    given = {c["id"]: c["given"] for c in show(store)["recordings"]}
    same(given, {calls[0]: "heard", calls[1]: None}, "what was given")
    last = [e for e in audit(store) if e["action"] == "replay"]
    same([e["purpose"] for e in last], ["crime-prevention"] * 2, "the purpose")


@test
def closed_request_leaves_nobody_in_any_file(bench):
    store = with_calls(bench)
    opened(store)
    authorised(store)
    request(store, "assess", "R-1", show(store)["recordings"][0]["id"], "--withhold", "other",
            "--note", "speaks of Bodil")  # fmt: skip
    request(store, "authorise", "R-1")
    secrets = [PARTY[-9:], NAME.split()[0], NAME.split()[1], "pigeon", "passport", "Bodil"]
    r = request(store, "close", "R-1", "--reason", "Zyxwert moved away", ok=(2,))
    check("stays on record" in one_line(r), "%s", r.said())
    request(store, "close", "R-1", "--reason", "moved away")
    for path, data in store.everything():
        for secret in secrets:
            check(secret.encode() not in data, "%s holds %r", path, secret)
    o = show(store)
    same((o["state"], o["party"], o["requester"], o["note"]), ("closed", None, None, None), "it")
    same(o["recordings"], [], "its calls")
    same(o["calls"]["grounds"], {"other": 1}, "the grounds")
    same([s["step"] for s in o["steps"]],
         ["open", "verify-identity", "authorise", "authorise", "close"], "the steps")  # fmt: skip
    same(o["reference"], "L-17", "the reference")


@test
def close_that_is_killed_is_closed_once_more(bench):
    rng = random.Random(bench.seed)
    store = with_calls(bench)
    rounds = 200 if LONG else 25
    for n in range(1, rounds + 1):
        name = "R-%d" % n
        opened(store, kind="authority")
        authorised(store, name)
        p = subprocess.Popen(
            [program("callspan"), "--store", store.path, "request", "close", name, "--reason", "x"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(rng.uniform(0, 0.03))
        p.kill()
        p.wait()
        o = show(store, name)
        check(o["state"] in ("authorised", "closed"), "%s is %s", name, o["state"])
        if o["state"] == "authorised":
            request(store, "close", name, "--reason", "x")
        o = show(store, name)
        same((o["state"], o["party"], o["recordings"]), ("closed", None, []), name)
    store.callspan("audit", "verify")
    with open(os.path.join(store.path, "vault", "matters.keys"), "rb") as f:
        keys = f.read()
    same(keys.count(b"callspan: this key is destroyed\n"), 2 * rounds, "destroyed keys")
    for path, data in store.everything():
        check(NAME.encode() not in data, "%s holds the name", path)


@test
def wrong_steps_are_one_line_and_change_nothing(bench):
    store = with_calls(bench)
    opened(store)
    before = show(store)
    other = [c["id"] for c in store.calls("--party", OTHER)][0]
    call = before["recordings"][0]["id"]
    for args, code, words in (
        (("open", "--kind", "letter", "--party", "1", "--received", today(), "--reference", "x"), 2,
         "subject-access, authority"),
        (("open", "--kind", "authority", "--party", "1", "--received", "2026-02-30",
          "--reference", "x"), 2, "not a time"),
        (("open", "--kind", "authority", "--party", "1", "--received", "2261-01-01",
          "--reference", "x"), 2, "not come yet"),
        (("authorise", "R-1"), 1, "identity"),
        (("authorise", "R-9"), 2, "no request R-9"),
        (("authorise", "x"), 2, "as R-7"),
        (("fulfil", "R-1", "--export", bench.path("out")), 0, ""),
        (("fulfil", "R-1", "--listen", call), 1, "not authorised yet"),
        (("close", "R-1"), 1, "not authorised yet"),
        (("assess", "R-1", call), 2, "--release"),
        (("assess", "R-1", call, "--withhold", "mood"), 2, "third-party"),
        (("assess", "R-1", call, "--redact", "caller:5-2"), 2, "ends before it begins"),
        (("assess", "R-1", other, "--release"), 2, "not one of R-1"),
        (("assess", "R-1"), 2, "one or more calls"),
        (("refuse", "R-1", "--ground", "withdrawn"), 2, "reason"),
        (("refuse", "R-1", "--ground", "tired", "--reason", "x"), 2, "withdrawn"),
        (("asses", "R-1"), 2, "did you mean assess"),
    ):  # fmt: skip
        r = request(store, *args, ok=(code,))
        check(words in one_line(r) if code else True, "%r: %s", args, r.said())
    check(show(store) == before, "the request changed")
    same(os.listdir(bench.path("out")), [], "files")
    request(store, "refuse", "R-1", "--ground", "withdrawn", "--reason", "changed their mind")
    r = request(store, "assess", "R-1", call, "--release", ok=(1,))
    check("was refused: nothing more" in one_line(r), "%s", r.said())


@test
def only_a_controller_answers_an_authority(bench):
    store = with_calls(bench)
    person(store, "mia", "manager")
    person(store, "oscar", "operator")
    mia, oscar = {"SUDO_USER": "mia"}, {"SUDO_USER": "oscar"}
    opened(store, kind="authority")
    calls = [c["id"] for c in show(store)["recordings"]]
    request(store, "assess", "R-1", *calls, "--release", env=mia)
    one_line(request(store, "authorise", "R-1", env=mia, ok=(3,)))
    one_line(request(store, "list", env=oscar, ok=(3,)))
    request(store, "authorise", "R-1")
    refused = [e for e in audit(store) if e["outcome"] == "refused"]
    same([(e["person"], e["action"], e["reference"]) for e in refused],
         [("mia", "request-authorise", "R-1"), ("oscar", "request-list", None)],
         "what was refused")  # fmt: skip


@test
def policy_decides_what_leaves(bench):
    """Under a profile that lets nothing leave unprotected, a request is heard and not copied plainly."""
    store = with_calls(bench, policy="12-month")
    person(store, "mia", "manager")
    opened(store, kind="authority")
    calls = [c["id"] for c in show(store)["recordings"]]
    request(store, "assess", "R-1", *calls, "--release", env={"SUDO_USER": "mia"})
    request(store, "authorise", "R-1")
    r = request(store, "fulfil", "R-1", "--export", bench.path("out"), ok=(3,))
    check("unprotected" in one_line(r), "%s", r.said())
    same(os.listdir(bench.path("out")), [], "files")


@test
def copies_are_protected_and_without_what_was_redacted(bench):
    """All of a request under one password, under a profile that lets nothing leave unprotected."""
    if not shutil.which("7zz"):
        raise Skip("there is no 7zz (package 7zip)")
    store = with_calls(bench, policy="12-month")
    person(store, "mia", "manager")
    opened(store)
    calls = [c["id"] for c in show(store)["recordings"]]
    request(store, "verify-identity", "R-1", "--how", "saw her passport")
    mia = {"SUDO_USER": "mia"}
    request(store, "assess", "R-1", calls[0], "--redact", "callee:0.25-0:00.5,both:0.6-0.7", env=mia)
    request(store, "assess", "R-1", calls[1], "--release", env=mia)
    request(store, "authorise", "R-1")
    r = request(store, "fulfil", "R-1", "--export", bench.path("out"), "--password-file", "-")
    same(sorted(os.listdir(bench.path("out"))), ["R-1-01.zip", "R-1-02.zip"], "the files")
    password = [x.split()[1] for x in r.err.splitlines() if x.startswith("Password: ")]
    same(len(password), 1, "the passwords shown")
    for n, call in enumerate(calls, 1):
        name = "R-1-%02d.zip" % n
        run("7zz", "x", "-y", "-p" + password[0], "-o" + bench.path("%d" % n), bench.path("out/" + name))
        with open(bench.path("%d/manifest.txt" % n)) as f:
            manifest = json.loads(f.readline())
        same(manifest["recording"]["id"], call, "the recording")
        same(manifest["opened"]["reference"], "R-1", "the reference")
        same(len(manifest["file"]["mute"]), 2 if n == 1 else 0, "the stretches muted")
    data = samples(bench.path("1/recording.wav"))
    right = [data[i + 2 : i + 4] for i in range(0, len(data), 4)]
    check(not any(any(x) for x in right[2000:4000]), "what was redacted is heard")
    check(any(any(x) for x in right[:2000]), "nothing is heard")
    same(show(store)["state"], "fulfilled", "its state")


@test
def overdue_requests_are_told_by_status(bench):
    store = with_calls(bench)
    opened(store, received="2026-01-31")
    opened(store)
    status = json.loads(store.callspan("status", "--json").out)["requests"]
    same(status, {"open": 2, "overdue": 1, "overdue_requests": ["R-1"]}, "status")
    check("R-1" in store.callspan("status").out, "status does not name it")
    listed = request(store, "list", "--overdue", "--json").out.splitlines()
    same([json.loads(x)["due"] for x in listed], ["2026-02-28"], "what is overdue")
    request(store, "extend", "R-1", "--reason", "many calls")
    same(show(store)["due"], "2026-04-30", "the new day")
    one_line(request(store, "extend", "R-1", "--reason", "more", ok=(1,)))


@test
def later_calls_are_added_when_asked_for(bench):
    store = with_calls(bench)
    opened(store)
    authorised(store)
    store.record(three_calls(bench, "later.pcap", at=600.0))
    same(show(store)["calls"]["found"], 2, "calls")
    request(store, "refresh", "R-1")
    o = show(store)
    same((o["calls"]["found"], o["calls"]["assessed"], o["state"]), (4, 2, "identified"), "it")


main()
