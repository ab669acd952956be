#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Bad input: told in one line, with the right exit status, and nothing is harmed."""

from harness import check, main, one_line, program, read_counters, run, same, test

import hashlib
import json
import os
import shutil

from cases import CASES
from compare import check_scene
from scene import Scene


def snapshot(path):
    """Every file below with a hash of its bytes."""
    out = {}
    if not os.path.isdir(path):
        return out
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as f:
                out[full] = hashlib.sha256(f.read()).hexdigest()
    return out


def unchanged(path, before):
    after = snapshot(path)
    changed = [p for p in sorted(set(before) | set(after)) if before.get(p) != after.get(p)]
    names = ", ".join(os.path.relpath(p, path) for p in changed)
    check(not changed, "changed the store: %s", names)


def small(bench, name="x.pcap", **simple):
    scene = Scene(bench.seed)
    scene.call().simple(**dict(dict(end=2.0), **simple))
    scene.write(bench.path(name))
    return scene, bench.path(name)


def recorded(bench, **store):
    _, capture = small(bench)
    s = bench.store(**store)
    s.record(capture)
    return s, s.calls()[0]["id"]


def record_fails(store, *captures, code=1):
    files = [a for c in captures for a in ("-r", c)]
    return run(program("callspand"), "--store", store.path, *files, ok=(code,))


# ---- capture files -------------------------------------------------------------------------------


@test
def capture_file_that_is_not_there(bench):
    store = bench.store()
    line = one_line(record_fails(store, bench.path("none.pcap")))
    check("none.pcap" in line, "does not name the file: %r", line)
    same(store.calls(), [], "the calls")


@test
def capture_file_that_is_none(bench):
    store = bench.store()
    with open(bench.path("letter.pcap"), "w") as f:
        f.write("Dear recorder,\n" * 50)
    line = one_line(record_fails(store, bench.path("letter.pcap")))
    check("letter.pcap" in line, "does not name the file: %r", line)


@test
def empty_capture_file(bench):
    store = bench.store()
    open(bench.path("empty.pcap"), "w").close()
    line = one_line(record_fails(store, bench.path("empty.pcap")))
    check("empty.pcap" in line, "does not name the file: %r", line)


@test
def cut_capture_file_is_recorded_as_far_as_it_goes(bench):
    scene, capture = small(bench, end=4.0)
    size = os.path.getsize(capture)
    for n, part in enumerate((0.3, 0.5, 0.9)):
        os.truncate(capture, int(size * part))
        store = bench.store("store%d" % n)
        out = bench.path("counters.json")
        r = run(
            program("callspand"), "--store", store.path, "-r", capture, "--counters", out, ok=(1,)
        )
        line = one_line(r)
        check("x.pcap" in line, "does not name the file: %r", line)
        check(any(c.isdigit() for c in line), "does not say where it broke: %r", line)
        counters = read_counters(out)
        check(counters["frames"] > 0, "no frame was read")
        rows = store.calls()
        same([r["outcome"] for r in rows], ["answered"], "the calls")
        packets = sum(s["packets"] for s in rows[0]["streams"])
        same(packets, counters["rtp-stored"], "the packets listed")
        store.export(rows[0]["id"], bench.path("%d.wav" % n))
        store.verify()
        scene.write(capture)


@test
def one_cut_file_of_two_does_not_stop_the_other(bench):
    whole, a = small(bench, "whole.pcap")
    other = Scene(bench.seed + 1)
    other.call("2999", "3999").simple(at=5.0, end=2.0)
    b = bench.path("cut.pcap")
    other.write(b)
    os.truncate(b, os.path.getsize(b) // 2 + 7)
    store = bench.store()
    line = one_line(record_fails(store, b, a))
    check("cut.pcap" in line and "whole.pcap" not in line, "names the wrong file: %r", line)
    ids = {r["sip_call_id"]: r for r in store.calls()}
    check(whole.calls[0].call_id in ids, "the whole file's call is missing")
    same(ids[whole.calls[0].call_id]["ended_by"], "caller", "how it ended")


@test
def truncated_packets_leave_the_stream_incomplete(bench):
    scene = Scene(bench.seed)
    scene.call().simple()
    scene.write(bench.path("x.pcap"), keep=lambda p: 100 if p[0] == 0x80 else None)
    store = bench.store()
    counters = store.record(bench.path("x.pcap"))
    check(counters["rtp-truncated"] > 0, "rtp-truncated is 0")
    same(counters["rtp-truncated"], counters["rtp-stored"], "rtp-truncated")
    row = store.calls()[0]
    same([s["complete"] for s in row["streams"]], [False, False], "complete")
    same(row["coverage"], ["truncated"], "coverage")


@test
def whole_packets_leave_the_stream_complete(bench):
    _, capture = small(bench)
    store = bench.store()
    store.record(capture)
    row = store.calls()[0]
    same([s["complete"] for s in row["streams"]], [True, True], "complete")
    same(row["coverage"], [], "coverage")


# ---- stores --------------------------------------------------------------------------------------


@test
def init_refuses_a_store_that_exists(bench):
    store, _ = recorded(bench)
    before = snapshot(store.path)
    line = one_line(store.callspan("init", "--unattended", "--policy", "lab", ok=(1,)))
    check(store.path in line, "does not name the store: %r", line)
    unchanged(store.path, before)


@test
def init_with_an_unknown_policy_leaves_nothing_behind(bench):
    store = bench.store(init=False)
    line = one_line(store.callspan("init", "--unattended", "--policy", "forever", ok=(1, 2)))
    for name in ("30-day", "12-month", "lab"):
        check(name in line, "does not name %s: %r", name, line)
    check(not os.path.exists(store.path), "%s was left behind", store.path)


def refused_everywhere(bench, store, code=1):
    """Both programs say one line about this store and change nothing."""
    _, capture = small(bench)
    before = snapshot(store.path)
    for args in (("calls",), ("status",), ("verify",)):
        one_line(store.callspan(*args, ok=(code,)))
    one_line(record_fails(store, capture, code=code))
    unchanged(store.path, before)


@test
def store_that_does_not_exist(bench):
    store = bench.store(init=False)
    refused_everywhere(bench, store)
    check(not os.path.exists(store.path), "it was made")


@test
def store_of_a_newer_version(bench):
    store = bench.store()
    with open(os.path.join(store.path, "VERSION"), "w") as f:
        f.write("callspan store 99\n")
    refused_everywhere(bench, store)


@test
def directory_that_is_no_store(bench):
    store = bench.store(init=False)
    os.mkdir(store.path)
    with open(os.path.join(store.path, "letter"), "w") as f:
        f.write("not yours\n")
    refused_everywhere(bench, store)


@test
def recorder_without_its_keys(bench):
    for name in ("vault.pub", "sign.key"):
        store = bench.store("without-" + name)
        os.unlink(os.path.join(store.path, "recorder", name))
        _, capture = small(bench)
        before = snapshot(store.path)
        line = one_line(record_fails(store, capture))
        check(name in line, "does not name %s: %r", name, line)
        unchanged(store.path, before)


@test
def vault_without_its_keys(bench):
    store, _ = recorded(bench)
    shutil.rmtree(os.path.join(store.path, "vault", "secret"))
    one_line(store.callspan("calls", ok=(1,)))


@test
def damaged_recorder_key(bench):
    store = bench.store()
    _, capture = small(bench)
    with open(os.path.join(store.path, "recorder", "vault.pub"), "w") as f:
        f.write("not hexadecimal\n")
    one_line(record_fails(store, capture))


# ---- requests ------------------------------------------------------------------------------------


@test
def unknown_ids(bench):
    store, _ = recorded(bench)
    for bad in ("0190b5c0-0000-7000-8000-000000000000", "nonsense", "", "0190b5c0"):
        one_line(store.callspan("show", bad, ok=(2,)))
        one_line(store.export(bad, bench.path("x.wav"), ok=(2,)))
    check(not os.path.exists(bench.path("x.wav")), "a file was made")


@test
def unknown_purpose_names_the_choices(bench):
    store, call = recorded(bench)
    line = one_line(store.export(call, bench.path("x.wav"), purpose="curiosity", ok=(2,)))
    for name in ("complaint", "training", "subject-access"):
        check(name in line, "does not name %s: %r", name, line)
    check(not os.path.exists(bench.path("x.wav")), "a file was made")


@test
def unknown_format_names_the_choices(bench):
    store, call = recorded(bench)
    line = one_line(store.export(call, bench.path("x.mp3"), "--format", "mp3", ok=(2,)))
    check("wav" in line and "flac" in line, "does not name the formats: %r", line)


@test
def unknown_track_command_and_option(bench):
    store, call = recorded(bench)
    one_line(store.export(call, bench.path("x.wav"), "--track", "both", ok=(2,)))
    run(program("callspan"), "--store", store.path, "listen", ok=(2,))
    run(program("callspan"), "--store", store.path, "calls", "--loud", ok=(2,))
    run(program("callspand"), "--store", store.path, "--loud", ok=(2,))
    run(program("callspand"), "--store", store.path, ok=(2,))


@test
def export_without_purpose_or_reference(bench):
    store, call = recorded(bench)
    for args in (("--purpose", "complaint"), ("--reference", "x"), ()):
        store.callspan("export", call, "-o", bench.path("x.wav"), *args, ok=(2,))
    store.export(call, bench.path("x.wav"), reference="", ok=(2,))
    check(not os.path.exists(bench.path("x.wav")), "a file was made")


@test
def times_that_are_none(bench):
    store, _ = recorded(bench)
    one_line(store.callspan("calls", "--since", "yesterday-ish", ok=(2,)))


def audited(store, *words):
    r = store.callspan("audit", "list", "--json")
    entries = [json.dumps(json.loads(line)) for line in r.out.splitlines()]
    check(
        any(all(w in e for w in words) for e in entries),
        "no audit entry has %s; the last is %s", words, entries[-1:],
    )  # fmt: skip


@test
def purpose_that_the_policy_does_not_allow(bench):
    store, call = recorded(bench, policy="12-month")
    line = one_line(store.export(call, bench.path("x.wav"), purpose="quality-sample", ok=(3,)))
    check("quality-sample" in line, "does not name the purpose: %r", line)
    check(not os.path.exists(bench.path("x.wav")), "a file was made")
    audited(store, call, "quality-sample", "refused")


@test
def plain_export_is_refused_by_the_profiles_in_earnest(bench):
    for n, policy in enumerate(("30-day", "12-month")):
        store, call = recorded(bench, name="store%d" % n, policy=policy)
        one_line(store.export(call, bench.path("x.wav"), ok=(3,)))
        one_line(
            store.callspan(
                "replay", call, "--purpose", "complaint", "--reference", "r",
                "-o", bench.path("x.wav"), ok=(3,),
            )
        )  # fmt: skip
        check(not os.path.exists(bench.path("x.wav")), "a file was made")
        audited(store, call, "refused")


@test
def export_does_not_replace_what_it_cannot_write(bench):
    store, call = recorded(bench)
    one_line(store.export(call, bench.path("no/such/folder/x.wav"), ok=(1,)))
    os.mkdir(bench.path("x.wav"))
    one_line(store.export(call, bench.path("x.wav"), ok=(1,)))


@test
def file_ending_that_names_no_format(bench):
    store, call = recorded(bench)
    for name in ("x.aac", "x.mp3", ".hidden.ogg"):
        line = one_line(store.export(call, bench.path(name), ok=(2,)))
        check("wav" in line and "flac" in line, "does not name the formats: %r", line)
        check(not os.path.exists(bench.path(name)), "%s was made", name)
    for name, head in (("x.WAV", b"RIFF"), ("x.flac", b"fLaC"), ("x", b"RIFF"), (".x", b"RIFF")):
        store.export(call, bench.path(name))
        with open(bench.path(name), "rb") as f:
            same(f.read(4), head, "the beginning of " + name)
    store.export(call, bench.path("x.aac"), "--format", "flac")


@test
def reference_of_blanks_is_none(bench):
    store, call = recorded(bench)
    for blanks in (" ", "\t", " \n "):
        line = one_line(store.export(call, bench.path("x.wav"), reference=blanks, ok=(2,)))
        check("reference" in line, "does not say what is missing: %r", line)
    check(not os.path.exists(bench.path("x.wav")), "a file was made")


@test
def options_that_would_have_no_effect(bench):
    store, call = recorded(bench)
    for option in ("--purpose", "--reference", "--passphrase-file"):
        line = one_line(store.callspan("show", call, option, "x", ok=(2,)))
        check("--payload-sha1" in line, "does not say what it is for: %r", line)
    for option, value in (("--since", "-1d"), ("--until", "-1d"), ("--limit", "1")):
        line = one_line(store.callspan("audit", "verify", option, value, ok=(2,)))
        check(option in line, "does not name %s: %r", option, line)


@test
def words_of_dashes_alone(bench):
    line = one_line(run(program("callspan"), "-", "x", ok=(2,)))
    check("no command -" in line, "was taken for something: %r", line)
    for args in (("-",), ("--", "x"), ("-=",), ("--=x",), ("calls", "-"), ("",)):
        one_line(run(program("callspan"), *args, ok=(2,)))


@test
def export_that_meets_a_size_limit_leaves_nothing(bench):
    _, capture = small(bench, end=40.0)
    store = bench.store()
    store.record(capture)
    call = store.calls()[0]["id"]
    blocks = 2000  # of 512 bytes: what the index writes fits, the sound does not
    os.mkdir(bench.path("out"))
    r = run(
        "sh", "-c", 'ulimit -f %d; exec "$@"' % blocks, "sh",
        program("callspan"), "--store", store.path, "export", call, "-o", bench.path("out/x.wav"),
        "--purpose", "complaint", "--reference", "r", ok=(1,),
    )  # fmt: skip
    one_line(r)
    same(os.listdir(bench.path("out")), [], "what was left behind")


# ---- configuration -------------------------------------------------------------------------------

WRONG = {
    "unknown option": ("log:\n  levle: info\n", 2, 3),
    "unknown section": ("store: /x\nloggg:\n  level: info\n", 2, 1),
    "not a number": ("capture:\n  buffer: much\n", 2, 11),
    "out of bounds": ("writer:\n  sync: 1\n", 2, 9),
    "no YAML": ("capture: [\n", None, None),
    "a list where a value belongs": ("capture:\n  buffer: [1, 2]\n", 2, 11),
}


@test
def configuration_errors_name_file_line_and_column(bench):
    for what, (text, line_no, column) in WRONG.items():
        path = bench.path("callspan.yaml")
        with open(path, "w") as f:
            f.write(text)
        line = one_line(run(program("callspand"), "--check", "--config", path, ok=(2,)))
        where = path + ":" + ("%d:%d:" % (line_no, column) if line_no else "")
        check(where in line, "%s: %r does not say %s", what, line, where)


@test
def configuration_in_order_is_said_to_be(bench):
    store = bench.store()
    path = bench.path("callspan.yaml")
    with open(path, "w") as f:
        f.write("store: %s\nlog:\n  level: warning\ncall:\n  timeout: 120\n" % store.path)
    run(program("callspand"), "--check", "--config", path)
    scene, capture = small(bench)
    run(program("callspand"), "--config", path, "-r", capture)
    check_scene(bench, scene, store)


@test
def user_that_does_not_exist(bench):
    store = bench.store(init=False)
    path = bench.path("callspan.yaml")
    with open(path, "w") as f:
        f.write("store: %s\nuser: no-such-user\n" % store.path)
    line = one_line(run(program("callspan"), "--config", path, "init", "--unattended", ok=(2,)))
    check("no-such-user" in line, "does not name the user: %r", line)
    check(not os.path.exists(store.path), "%s was made", store.path)


@test
def a_call_that_goes_silent_times_out(bench):
    """In packet time: another call's frames two minutes later end it."""
    scene = CASES["no_bye_at_capture_end"](bench.seed)
    first = scene.calls[0]
    scene.call("2222", "3333").simple(at=130.0, end=1.0)
    scene.write(bench.path("x.pcap"))
    store = bench.store()
    counters = store.record(bench.path("x.pcap"), extra=("--set", "call.timeout=60"))
    same(counters["calls-timed-out"], 1, "calls-timed-out")
    first.ended_by = "timeout"
    check_scene(bench, scene, store)


if __name__ == "__main__":
    main()
