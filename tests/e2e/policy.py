#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What the policy says is recorded: rules, lines that are never recorded, digits, messages, reload; and for how long
that is kept: checking, applying, showing a policy."""

from harness import (
    LONG, ROOT, Process, check, main, one_line, program, run, same, test, wait_until,
)  # fmt: skip

import collections
import datetime
import json
import os
import pty
import signal
import subprocess
import time

import segment
from compare import check_audio, check_call, read_wav
from lab import Wire
from scene import Scene

DOCTOR = "+441632960999"
CALLER, CALLEE = "+4930901820415", "+4989636487210"
NAME = "Doctor Quodlibet"
TIMES = "start ring answer end".split()


def policy_file(bench, more, name="policy.yaml"):
    """The lab profile with more in it."""
    path = bench.path(name)
    with open(os.path.join(ROOT, "conf", "policies", "lab.yaml")) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text + more)
    return path


def edit(path, old, new):
    with open(path) as f:
        text = f.read()
    check(old in text, "%r is not in %s", old, path)
    with open(path, "w") as f:
        f.write(text.replace(old, new))


def store_with(bench, more, name="store"):
    return bench.store(name, policy=policy_file(bench, more))


def record(bench, store, scene, *extra):
    scene.write(bench.path("x.pcap"))
    return store.record(bench.path("x.pcap"), extra=extra)


def by_call_id(store):
    return {r["sip_call_id"]: r for r in store.calls()}


def record_types(store):
    """How many records of each type its segments hold."""
    out = collections.Counter()
    for path in store.segments():
        with open(path, "rb") as f:
            out.update(r.type for r in segment.records(f.read()))
    return {name: out[number] for name, number in segment.TYPES.items()}


# ---- lines never recorded ------------------------------------------------------------------------


def doctor(scene, side=1):
    return scene.party(DOCTOR, side, name=NAME)


def plain_call(scene, at):
    return scene.call(CALLER, doctor(scene)).simple(at=at, end=2.0)


def call_by_the_doctor(scene, at):
    return scene.call(doctor(scene, 0), CALLEE).simple(at=at, end=2.0, by=1)


def early_media(scene, at):
    c = scene.call(CALLER, doctor(scene))
    c.invite(at)
    c.ring(at + 0.1, status=183, sdp=True)
    c.talk(1, at + 0.15, at + 2.0)
    c.answer(at + 1.0)
    c.talk(0, at + 1.05, at + 2.0)
    c.bye(at + 2.0)
    return c


def moved_by_a_re_invite(scene, at):
    c = scene.call(CALLER, doctor(scene)).begin(at=at)
    c.talk_both(at + 0.55, at + 1.0)
    c.parties[0].media = (c.parties[0].ip, c.parties[0].media[1] + 1000)
    c.reinvite(at + 1.0)
    c.talk_both(at + 1.15, at + 2.5)
    c.bye(at + 2.5)
    return c


def media_ahead_of_the_invite(scene, at):
    c = scene.call(CALLER, doctor(scene))
    c.talk(1, at - 0.5, at)
    return c.simple(at=at, end=1.5, ahead=0.4)


NEVER = [
    plain_call, call_by_the_doctor, early_media, moved_by_a_re_invite, media_ahead_of_the_invite,
]  # fmt: skip


def secrets_of(call):
    for party in call.parties:
        yield party.user.lstrip("+")[-9:]
        yield party.uri
        yield party.ip
        if party.name:
            yield party.name
    yield call.call_id
    yield from call.tags


def told(store):
    """Everything that the command line tells of the store's calls."""
    out = [store.callspan("calls", "--json", "--limit", "0").out]
    for row in store.calls():
        for form in ((), ("--json",)):
            out.append(store.callspan("show", row["id"], *form).out)
    for more in (("status",), ("status", "--json"), ("audit", "list", "--json")):
        out.append(store.callspan(*more).out)
    return "\n".join(out)


def check_untold(store, secrets):
    text = told(store)
    for secret in secrets:
        check(secret not in text, "%r is told: %s", secret, text[:2000])
    for path, data in store.everything():
        if os.path.basename(path) in ("policy.yaml", "policy.applied"):
            continue
        for secret in secrets:
            check(secret.encode() not in data, "%r stands in %s", secret, path)


def check_excluded(row):
    same(row["coverage"], ["excluded"], "coverage")
    same(row["streams"], [], "streams")
    for field in ("sip_call_id", "from", "to", "from_name", "to_name", "sip_status", "ended_by"):
        check(not row[field], "%s of an excluded call is %r", field, row[field])
    same(row["dtmf_count"], 0, "dtmf_count")
    same(row["conversation"], row["id"], "conversation")


@test
def a_line_never_recorded_leaves_times_and_nothing_else(bench):
    scene = Scene(bench.seed)
    for n, kind in enumerate(NEVER):
        kind(scene, at=1.0 + 4.0 * n)
    store = store_with(bench, 'record: { never: ["%s"], signalling: on, dtmf: keep }\n' % DOCTOR)
    counters = record(bench, store, scene)
    rows = store.calls()
    same(len(rows), len(NEVER), "the number of calls")
    for row, call in zip(rows, scene.calls):
        check_excluded(row)
        for field in TIMES:
            check(row[field], "an excluded call has no time of %s", field)
    same(counters["calls-excluded"], len(NEVER), "calls-excluded")
    same(counters["rtp-stored"], 0, "rtp-stored")
    same(counters["chunks"], 0, "chunks")
    check(counters["rtp-excluded"] > 100, "rtp-excluded is %d", counters["rtp-excluded"])
    types = record_types(store)
    same((types["chunk"], types["stream"], types["signalling"]), (0, 0, 0), "records")
    check_untold(store, {s for call in scene.calls for s in secrets_of(call)})
    store.verify()


@test
def a_transfer_to_such_a_line_keeps_what_came_before(bench):
    """A calls B; B transfers to the doctor: A's call to the doctor is excluded, and whatever an exchange
    puts through in the first call is not recorded from the REFER on."""
    scene = Scene(bench.seed)
    first = scene.call("2001", "3001").begin(at=0)
    first.talk_both(0.55, 2.0)
    first.request(2.0, 1, "REFER", headers=["Refer-To: <sip:%s@lab>" % DOCTOR])
    first.reply(2.02, 202, "REFER")
    second = scene.call(first.parties[0], doctor(scene))
    second.simple(at=2.2, end=2.0)
    first.reinvite(2.5, 1)
    late = first.talk(1, 2.7, 4.0)
    first.bye(4.0)
    store = store_with(bench, 'record: { never: ["%s"], signalling: on }\n' % DOCTOR)
    counters = record(bench, store, scene)
    rows = by_call_id(store)
    check_excluded(rows.pop(None, None) or rows.pop("", None))
    row = rows.pop(first.call_id)
    same((row["from"], row["to"]), ("2001", "3001"), "the parties of the first call")
    same(row["coverage"], ["excluded-part"], "coverage of the first call")
    for s in row["streams"]:
        sent = [p for p in late.packets if p.us <= scene.us(2.0)]
        check(s["packets"] <= len(sent) + 2, "%d packets are kept", s["packets"])
        check(s["packets"] > 50, "only %d packets are kept", s["packets"])
    same(counters["calls-excluded"], 2, "calls-excluded")
    check_untold(store, {DOCTOR[-9:], NAME})


@test
def media_that_nobody_explains_may_be_such_a_lines(bench):
    """A recorder that begins in mid-call sees no INVITE: with a line never to be recorded it takes no chance."""
    scene = Scene(bench.seed)
    plain_call(scene, at=0)
    scene.sent = [d for d in scene.sent if d[1][1] != 5060]
    for n, (more, calls) in enumerate((
        ("", True),
        ("record: { orphans: off }\n", False),
        ('record: { never: ["%s"] }\n' % DOCTOR, False),
        ('record: { never: ["%s"], orphans: on }\n' % DOCTOR, True),
    )):  # fmt: skip
        store = store_with(bench, more, "store%d" % n)
        counters = record(bench, store, scene)
        rows = store.calls()
        same(bool(rows), calls, "calls without signalling are recorded, %r" % more)
        same(counters["rtp-stored"] > 0, calls, "audio without signalling is stored, %r" % more)


# ---- rules ---------------------------------------------------------------------------------------

OWN = 'own: { networks: [10.1.0.0/16], numbers: ["2???", "+44207946*"] }\n'


@test
def calls_that_are_not_recorded_are_counted_and_not_listed(bench):
    scene = Scene(bench.seed)
    inside = scene.call("2001", "2002").simple(end=2.0)
    outside = scene.call("2003", "07700900123").simple(at=0.2, end=2.0)
    incoming = scene.call("07700900124", "+442079460001").simple(at=0.4, end=2.0)
    store = store_with(bench, OWN + "record: { calls: external, signalling: on }\n")
    counters = record(bench, store, scene)
    rows = by_call_id(store)
    same(sorted(rows), sorted([outside.call_id, incoming.call_id]), "the calls listed")
    same(rows[outside.call_id]["direction"], "outbound", "direction")
    same(rows[incoming.call_id]["direction"], "inbound", "direction")
    same((counters["calls"], counters["calls-not-recorded"]), (3, 1), "calls, calls-not-recorded")
    packets = sum(len(s.packets) for s in inside.streams.values())
    check(counters["rtp-excluded"] > packets / 2, "rtp-excluded is %d", counters["rtp-excluded"])
    for call in (outside, incoming):
        check_call(call, rows[call.call_id])
        store.export(rows[call.call_id]["id"], bench.path("x.wav"))
        check_audio(call, read_wav(bench.path("x.wav")))


@test
def a_rule_chooses_the_retention_class(bench):
    scene = Scene(bench.seed)
    for n, user in enumerate(("3001", "4001", "5001")):
        scene.call("2001", user).simple(at=0.2 * n, end=1.5)
    path = policy_file(bench, """record:
  rules:
    - { when: { to: "4*" }, do: record, class: long }
    - { when: { any: [ { to: "5*" }, { from: "5*" } ], not: { from: "9*" } }, do: skip }
""")  # fmt: skip
    edit(path, "{ days: 30 }", "{ days: 30 }\n    long: { months: 24 }")
    store = bench.store(policy=path)
    record(bench, store, scene)
    rows = {r["to"]: r for r in store.calls()}
    same(sorted(rows), ["3001", "4001"], "the parties called")
    same(rows["3001"]["retention"]["class"], "standard", "class")
    same(rows["4001"]["retention"]["class"], "long", "class")
    check(
        rows["4001"]["retention"]["expires"] > rows["3001"]["retention"]["expires"],
        "expire at %r", [r["retention"] for r in rows.values()],
    )  # fmt: skip
    same(len(store.segments()), 2, "the number of segments")
    store.callspan("reindex")
    again = {r["to"]: r["retention"]["class"] for r in store.calls()}
    same(again, {"3001": "standard", "4001": "long"}, "classes after reindex")


@test
def a_group_chooses_the_retention_class(bench):
    scene = Scene(bench.seed)
    for n, (a, b) in enumerate((("2001", "3001"), ("3002", "2002"), ("3003", "3004"), ("desk", "3005"))):
        scene.call(a, b).simple(at=0.2 * n, end=1.5)
    path = policy_file(bench, """record:
  rules:
    - { when: { from-group: sales }, do: record, class: long }
    - { when: { group: [ sales, front ] }, do: record, class: short }
groups: { sales: [ "2???" ], front: [ desk, "100" ] }
""")  # fmt: skip
    edit(path, "{ days: 30 }", "{ days: 30 }\n    long: { months: 24 }\n    short: { days: 3 }")
    store = bench.store(policy=path)
    record(bench, store, scene)
    rows = {r["from"]: r["retention"]["class"] for r in store.calls()}
    same(rows, {"2001": "long", "3002": "short", "3003": "standard", "desk": "short"}, "classes")


@test
def one_side_of_an_exchange_is_recorded(bench):
    """The mirror shows both legs of a call through an exchange: a rule by addresses leaves one out."""
    scene = Scene(bench.seed)
    exchange_in, exchange_out = scene.party("3001", 1, n=50), scene.party("2001", 1, n=50)
    legs = [
        scene.call(scene.party("2001", 0), exchange_in).simple(end=1.5),
        scene.call(exchange_out, scene.party("3001", 0)).simple(at=0.03, end=1.45),
    ]
    rule = "record: { rules: [ { when: { from-address: %s }, do: skip } ] }\n" % exchange_out.ip
    store = store_with(bench, rule)
    record(bench, store, scene)
    same(list(by_call_id(store)), [legs[0].call_id], "the calls listed")


# ---- digits and messages --------------------------------------------------------------------------


def dtmf_scene(bench):
    scene = Scene(bench.seed)
    c = scene.call()
    c.simple(end=3.0, dtmf=[(1.2, "7"), (1.8, "3")])
    return scene


@test
def digits_are_stored_only_where_the_policy_keeps_them(bench):
    for keep in ("off", "count", "keep"):
        store = store_with(bench, "record: { dtmf: %s }\n" % keep, "store-" + keep)
        counters = record(bench, store, dtmf_scene(bench))
        stored, counted = counters["rtp-event-stored"], counters["rtp-event"]
        check((stored > 0) == (keep == "keep"), "%s: rtp-event-stored is %d", keep, stored)
        check((counted > 0) == (keep != "keep"), "%s: rtp-event is %d", keep, counted)


@test
def sip_messages_are_kept_where_the_policy_says_so(bench):
    scene = Scene(bench.seed)
    scene.call().simple(end=1.5)
    sent = len(scene.sent)
    for keep, kept in (("off", 0), ("on", sent)):
        store = store_with(bench, "record: { signalling: %s }\n" % keep, "store-" + keep)
        record(bench, store, scene)
        same(record_types(store)["signalling"], kept, "signalling records, %s" % keep)
        same(len(store.calls()), 1, "the number of calls")
        store.verify()


# ---- the file -------------------------------------------------------------------------------------


def set_policy(store, path):
    with open(path) as f:
        text = f.read()
    with open(os.path.join(store.path, "policy.yaml"), "w") as f:
        f.write(text)


@test
def a_wrong_policy_is_told_with_its_place(bench):
    wrong = policy_file(bench, "record:\n  dtmf: sometimes\n", "wrong.yaml")
    line = sum(1 for _ in open(wrong))
    said = one_line(bench_init(bench, wrong))
    check(":%d:9: unknown value; the choices are: off, count, keep" % line in said, "%s", said)
    store = bench.store()
    set_policy(store, wrong)
    r = run(program("callspand"), "--store", store.path, "--check", ok=(2,))
    check(":%d:9: " % line in one_line(r), "%s", r.err)


def bench_init(bench, policy):
    store = bench.store("refused", init=False)
    return store.callspan("init", "--policy", policy, "--unattended", ok=(2,))


@test
def sighup_puts_another_policy_in_force_for_calls_that_begin_then(bench):
    wire, store = Wire(bench), bench.store()
    scenes = [Scene(bench.seed + n) for n in range(3)]
    for n, scene in enumerate(scenes):
        scene.call("200%d" % n, "3001").simple(end=1.0)
        scene.write(bench.path("%d.pcap" % n))
    recorder = wire.recorder(store)

    def play(n):
        replay = wire.replay(bench.path("%d.pcap" % n), name="replay%d" % n)
        same(replay.p.wait(60), 0, "replay's exit status")

    play(0)
    set_policy(store, policy_file(bench, "record: { never: [ 2001 ] }\n", "new.yaml"))
    recorder.p.send_signal(signal.SIGHUP)
    recorder.wait_for("policy-reloaded")
    play(1)
    set_policy(store, policy_file(bench, "record: { nevr: [ 2002 ] }\n", "wrong.yaml"))
    recorder.p.send_signal(signal.SIGHUP)
    recorder.wait_for("policy-kept")
    check("policy.yaml:" in recorder.said() and "unknown key" in recorder.said(), "no place told")
    play(2)
    counters = recorder.finish()
    same(counters["calls-excluded"], 1, "calls-excluded")
    set_policy(store, bench.path("new.yaml"))
    rows = store.calls()
    same([r["coverage"] for r in rows], [[], ["excluded"], []], "coverage")
    same([r["from"] for r in rows], ["2000", None, "2002"], "the callers")
    check(rows[0]["policy"] != rows[1]["policy"], "one policy's hash in both calls")
    same(rows[1]["policy"], rows[2]["policy"], "the policy's hash")


@test
def files_are_read_on_through_a_sighup(bench):
    """Half of the capture, SIGHUP, the other half."""
    scene, store, fifo = Scene(bench.seed), bench.store(), bench.path("fifo")
    for n in range(8):
        scene.call("2%03d" % n).simple(at=0.05 * n, end=3.0)
    scene.write(bench.path("x.pcap"))
    with open(bench.path("x.pcap"), "rb") as f:
        data = f.read()
    os.mkfifo(fifo)
    recorder = Process(bench, program("callspand"), "--store", store.path, "-r", fifo)
    with open(fifo, "wb", buffering=0) as f:
        f.write(data[: len(data) // 2])
        wait_until(store.segments, "no segment was begun")
        recorder.p.send_signal(signal.SIGHUP)
        f.write(data[len(data) // 2 :])
    same(recorder.p.wait(60), 0, "callspand's exit status")
    check("policy-" not in recorder.said(), "%s", recorder.said())
    same(len(store.calls()), 8, "the number of calls")


# ---- how long it is kept -------------------------------------------------------------------------


def period(bench, retention, name):
    """The lab profile with another period."""
    path = policy_file(bench, "", name)
    edit(path, "{ days: 30 }", retention)
    return path


def kept(store):
    """How many days from now each call is kept."""
    now, out = datetime.datetime.now(datetime.timezone.utc), []
    for row in store.calls():
        until = datetime.datetime.fromisoformat(row["retention"]["expires"].replace("Z", "+00:00"))
        out.append((until - now).total_seconds() / 86400)
    return out


def all_kept(store, days):
    for n in kept(store):
        check(days - 0.1 < n <= days, "a call is kept for %.2f days, not %d", n, days)


def some_calls(bench, calls=3):
    scene, store = Scene(bench.seed), bench.store()
    for n in range(calls):
        scene.call("20%02d" % n).simple(at=0.1 * n, end=1.0)
    record(bench, store, scene)
    same(len(store.calls()), calls, "the number of calls")
    return store


@test
def a_file_is_checked_without_a_store(bench):
    env = {"CALLSPAN_STORE": "", "HOME": bench.dir}
    good = period(bench, "{ days: 7 }", "good.yaml")
    r = run(program("callspan"), "policy", "check", good, env=env)
    check("in order" in r.out, "%s", r.out)
    wrong = policy_file(bench, "retension: 5\n", "wrong.yaml")
    line = sum(1 for _ in open(wrong))
    r = run(program("callspan"), "policy", "check", wrong, env=env, ok=(2,))
    said = one_line(r)
    check("%s:%d:1: unknown key; the choices are: policy, " % (wrong, line) in said, "%s", said)
    for text, what in ((b"\xff\xfe", ":1:1: "), (b"#" * 65537, ":1:1: larger than"), (b"", ":1:1: the file is empty")):
        with open(bench.path("bad.yaml"), "wb") as f:
            f.write(text)
        r = run(program("callspan"), "policy", "check", bench.path("bad.yaml"), env=env, ok=(2,))
        check(what in one_line(r), "%s", r.err)
    run(program("callspan"), "policy", "check", bench.path("none.yaml"), env=env, ok=(1,))
    # a store that is named must be there
    run(program("callspan"), "--store", bench.path("none"), "policy", "check", good, ok=(1,))
    run(program("callspan"), "policy", "chek", ok=(2,))
    run(program("callspan"), "policy", "show", "--yes", ok=(2,))


@test
def a_shorter_life_is_confirmed(bench):
    store = some_calls(bench)
    week = period(bench, "{ days: 7 }", "week.yaml")
    with open(os.path.join(store.path, "policy.yaml"), "rb") as f:
        before = f.read()
    r = store.callspan("policy", "check", week)
    check("longer: 0, shorter: 3," in r.out, "%s", r.out)
    r = store.callspan("policy", "apply", week, ok=(1,))
    check("shortens the life of 3 recordings" in one_line(r), "%s", r.err)
    r = store.callspan("policy", "apply", week, "--dry-run", "--json")
    told = json.loads(r.out)
    same((told["longer"], told["shorter"], told["same"], told["applied"]), (0, 3, 0, False), "told")
    same(terminal(store, "n\n", "policy", "apply", week), 1, "the exit status after no")
    all_kept(store, 30)
    with open(os.path.join(store.path, "policy.yaml"), "rb") as f:
        same(f.read(), before, "policy.yaml")
    same(terminal(store, "y\n", "policy", "apply", week), 0, "the exit status after yes")
    all_kept(store, 7)
    # a longer one is not
    r = store.callspan("policy", "apply", period(bench, "{ months: 24 }", "long.yaml"))
    check("longer: 3, shorter: 0," in r.out and "is in force" in r.out, "%s", r.out)
    r = store.callspan("policy", "apply", week, "--yes", "--json")
    same(json.loads(r.out)["applied"], True, "applied")
    all_kept(store, 7)
    same(store.callspan("policy", "check", "--json").code, 0, "check of what is in force")
    store.callspan("audit", "verify")


def terminal(store, answer, *args):
    """Run callspan on a terminal that answers; gives its exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(program("callspan"), ["callspan", "--store", store.path, *args])
    os.write(fd, answer.encode())
    said = b""
    while True:
        try:
            more = os.read(fd, 4096)
        except OSError:
            break
        if not more:
            break
        said += more
    os.close(fd)
    check(b"Shorten the life of 3 recordings? [y/N]" in said, "the terminal read %r", said)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@test
def an_edited_file_is_not_applied_by_itself(bench):
    store = some_calls(bench)
    set_policy(store, period(bench, "{ days: 7 }", "week.yaml"))
    r = store.callspan("policy", "show")
    check("edited and is not applied" in r.out, "%s", r.out)
    check(r.out.index("30 days") < r.out.index("7 days"), "%s", r.out)
    shown = json.loads(store.callspan("policy", "show", "--json").out)
    same(shown["applied"], False, "applied")
    check("not applied" in store.callspan("status").out, "status does not tell")
    store.callspan("reindex")
    all_kept(store, 30)
    store.callspan("policy", "apply", ok=(1,))
    store.callspan("policy", "apply", "--yes")
    all_kept(store, 7)
    r = store.callspan("policy", "show")
    check("edited" not in r.out, "%s", r.out)


@test
def killed_while_it_applies_one_policy_or_the_other_is_in_force(bench):
    """Sometimes before, sometimes in the middle, sometimes behind it."""
    store = some_calls(bench, 6)
    files = {7: period(bench, "{ days: 7 }", "week.yaml"), 90: period(bench, "{ days: 90 }", "quarter.yaml")}
    start = time.monotonic()
    store.callspan("policy", "apply", files[90])
    takes, days, seen, tries = time.monotonic() - start, 90, set(), 60 if LONG else 16
    for n in range(tries):
        want = 7 if days != 7 else 90
        p = subprocess.Popen(
            [program("callspan"), "--store", store.path, "policy", "apply", files[want], "--yes"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(1.5 * takes * n / tries)
        p.kill()
        p.wait()
        got = {round(x) for x in kept(store)}
        check(len(got) == 1, "calls are kept for %r days", got)
        with open(os.path.join(store.path, "policy.yaml"), "rb") as f:
            text = f.read()
        with open(os.path.join(store.path, "vault", "policy.applied"), "rb") as f:
            same(f.read(), text, "policy.applied")
        check(got in ({days}, {want}), "from %d to %d days gave %r", days, want, got)
        seen.add(got == {want})
        days = got.pop()
    same(seen, {False, True}, "what was found in force")
    check(not os.path.exists(os.path.join(store.path, "vault", "policy.next")), "policy.next is left")
    store.callspan("audit", "verify")
    same(store.callspan("policy", "check").code, 0, "check")


@test
def a_service_applies_what_its_clients_send(bench):
    store = some_calls(bench)
    with Running(bench, store) as service:
        r = store.callspan("policy", "apply", period(bench, "{ days: 7 }", "week.yaml"), ok=(1,))
        check("shortens the life of 3 recordings" in one_line(r), "%s", r.err)
        # as large as a file may be
        large = period(bench, "{ days: 90 }", "large.yaml")
        with open(large, "a") as f:
            f.write("#" * (65536 - os.path.getsize(large)))
        r = store.callspan("policy", "apply", large)
        check("longer: 3, shorter: 0," in r.out, "%s", r.out)
        all_kept(store, 90)
        # what is edited counts when the service is told, and for no life before it is applied
        set_policy(store, period(bench, "{ days: 7 }", "week.yaml"))
        check("since the service read it" in store.callspan("policy", "show").out, "show does not tell")
        service.p.send_signal(signal.SIGHUP)
        service.wait_for("policy-read")
        check("not applied" in store.callspan("policy", "show").out, "show does not tell")
        all_kept(store, 90)
        store.callspan("policy", "apply", "--yes")
        all_kept(store, 7)
        check("edited" not in store.callspan("policy", "show").out, "show tells of an edited file")
    all_kept(store, 7)


class Running:
    """A service for a while."""

    def __init__(self, bench, store):
        self.service = Process(bench, program("callspan"), "--store", store.path, "serve")

    def __enter__(self):
        self.service.wait_for("serving", 30)
        return self.service

    def __exit__(self, *why):
        self.service.stop()


@test
def a_recorder_that_runs_is_told_of(bench):
    wire, store = Wire(bench), bench.store()
    never = policy_file(bench, "record: { never: [ 2001 ] }\n", "never.yaml")
    recorder = wire.recorder(store)

    def running():
        return json.loads(store.callspan("status", "--json").out)["capture"]

    wait_until(lambda: (running() or {}).get("running"), "the recorder has told nothing of itself")
    r = store.callspan("policy", "apply", never)
    check("send callspand SIGHUP" in r.out, "%s", r.out)
    recorder.p.send_signal(signal.SIGHUP)
    recorder.wait_for("policy-reloaded")
    recorder.finish()
    r = store.callspan("policy", "apply", never)
    check("SIGHUP" not in r.out, "%s", r.out)


if __name__ == "__main__":
    main()
