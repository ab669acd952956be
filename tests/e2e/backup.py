#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Backup and restore: the store comes back as it was, what was destroyed does not, and no kill in between matters."""

from harness import LONG, check, main, one_line, program, run, same, test

import json
import os
import shutil
import subprocess
import time

from scene import Scene

SLOTS_AT, SLOT, BOX_AT, BOX = 4096, 256, 96, 32


def passphrase(bench):
    with open(bench.path("pass"), "w") as f:
        f.write("what opens the copy\n")
    return ("--passphrase-file", bench.path("pass"))


def record(bench, store, seed, calls, *extra):
    scene = Scene(seed=seed)
    for n in range(calls):
        scene.call("20%02d" % n, "30%02d" % n).simple(at=2.0 * n, end=2.0 * n + 1.5)
    scene.write(bench.path("x.pcap"))
    store.record(bench.path("x.pcap"), extra=extra)


def filled(bench, keep=5, expired=0):
    """A store with calls that live on, and calls (of January) whose time is up."""
    store = bench.store()
    if expired:
        record(bench, store, bench.seed, expired, "--retain-from", "call")
    if keep:
        record(bench, store, bench.seed + 1, keep, "--retain-from", "import")
    store.calls()
    return store


def backup(bench, store, to="copy", **more):
    return store.callspan("backup", bench.path(to), *passphrase(bench), **more)


def restored(bench, name="other", source="copy", *extra):
    store = bench.store(name, init=False)
    store.callspan("restore", bench.path(source), *passphrase(bench), *extra)
    return store


def files_below(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                yield path, f.read()


def boxes(store):
    """What lies sealed in each slot that is in use, by its file and number."""
    out = {}
    for seg in store.segments():
        with open(seg[:-4] + ".keys", "rb") as f:
            data = f.read()
        for at in range(SLOTS_AT, len(data) - SLOT + 1, SLOT):
            box = data[at + BOX_AT : at + BOX_AT + BOX]
            if any(box) and b"destroyed" not in data[at : at + SLOT]:
                out[os.path.basename(seg), at] = box
    return out


def nowhere(folder, secrets):
    for path, data in files_below(folder):
        for box in secrets:
            check(box not in data, "a destroyed key is left in %s", path)


def one_generation(folder):
    """Slots lie in segments/NAME.keys and nowhere else."""
    keys = [p for p, _ in files_below(folder) if ".keys" in p]
    for path in keys:
        check(os.path.dirname(path) == os.path.join(folder, "segments"), "keys in %s", path)
        check(path.endswith(".keys"), "another generation: %s", path)


def export_bytes(bench, store, call):
    store.export(call["id"], bench.path("x.wav"))
    with open(bench.path("x.wav"), "rb") as f:
        return f.read()


@test
def restore_gives_calls_and_exports_back(bench):
    store = filled(bench)
    before = store.calls()
    heard = [export_bytes(bench, store, c) for c in before]
    backup(bench, store)
    one_generation(bench.path("copy"))
    shutil.rmtree(store.path)
    again = restored(bench, "store")
    check(again.calls() == before, "the calls are others")
    check([export_bytes(bench, again, c) for c in before] == heard, "the exports are others")
    again.verify()
    again.callspan("audit", "verify")
    told = [json.loads(x) for x in again.callspan("audit", "list", "--json").out.splitlines()]
    mine = [e for e in told if e["action"] == "restored"]
    same(len(mine), 1, "entries of the restore")
    check("goes on from entry" in mine[0]["detail"], "%r", mine[0]["detail"])
    # It is a store like any other: it records, and is backed up where it was.
    record(bench, again, bench.seed + 9, 2, "--retain-from", "import")
    same(len(again.calls()), len(before) + 2, "calls after recording on")
    r = json.loads(again.callspan("backup", bench.path("copy"), "--json").out)
    same((r["first"], r["segments"]), (False, 2), "the next backup")


@test
def purged_keys_are_nowhere(bench):
    store = filled(bench, keep=4, expired=12)
    all_boxes = boxes(store)
    same(len(all_boxes), 16, "slots")
    backup(bench, store)
    store.callspan("purge", "--yes", "--verify")
    gone = set(all_boxes.values()) - set(boxes(store).values())
    same(len(gone), 12, "slots that went")
    nowhere(store.path, gone)
    nowhere(bench.path("copy"), gone)
    listed = json.loads(store.callspan("backup", "list", "--json").out)
    same((listed["pending"], listed["reachable"]), (0, True), "the list")
    again = restored(bench)
    check(again.calls() == store.calls(), "the calls are others")
    nowhere(again.path, gone)


@test
def backup_that_is_away_follows_when_it_is_back(bench):
    store = filled(bench, keep=4, expired=6)
    before = set(boxes(store).values())
    backup(bench, store)
    os.rename(bench.path("copy"), bench.path("unplugged"))
    store.callspan("purge", "--yes")
    gone = before - set(boxes(store).values())
    status = json.loads(store.callspan("status", "--json").out)["backups"]
    same((status["behind"], status["destroyed_live"]), (1, 6), "what is behind")
    check("no" in store.callspan("backup", "list").out, "the list does not tell")
    r = store.callspan("backup", bench.path("copy"), ok=(1,))
    check("is it mounted" in one_line(r), "%s", r.said())
    os.rename(bench.path("unplugged"), bench.path("copy"))
    store.callspan("backup", bench.path("copy"))
    nowhere(bench.path("copy"), gone)
    status = json.loads(store.callspan("status", "--json").out)["backups"]
    same((status["behind"], status["destroyed_live"]), (0, 0), "what is behind")


@test
def old_copy_brings_nothing_back(bench):
    store = filled(bench, keep=4, expired=6)
    before = set(boxes(store).values())
    backup(bench, store)
    shutil.copytree(bench.path("copy"), bench.path("old"))
    store.callspan("purge", "--yes")
    gone = before - set(boxes(store).values())
    lives = store.calls()
    # What has expired is purged at restore anyway; here it is the disposals that do it.
    again = restored(
        bench, "other", "old", "--disposals", os.path.join(store.path, "vault", "disposals")
    )
    check(again.calls() == lives, "the calls are others")
    nowhere(again.path, gone)
    again.verify()


@test
def damaged_store_is_set_aside(bench):
    store = filled(bench)
    before = store.calls()
    backup(bench, store)
    index = os.path.join(store.path, "vault", "index")
    for name in os.listdir(index):
        if name.startswith(("MANIFEST", "CURRENT")):
            os.unlink(os.path.join(index, name))
    r = store.callspan("calls", ok=(4,))
    line = one_line(r)
    check("restore" in line and "reindex" in line, "no way out is named: %s", line)
    r = store.callspan("restore", bench.path("copy"), *passphrase(bench), ok=(1,))
    check("--aside" in one_line(r), "%s", r.said())
    store.callspan("restore", bench.path("copy"), *passphrase(bench), "--aside")
    check(store.calls() == before, "the calls are others")
    aside = [n for n in os.listdir(store.path) if n.startswith("vault.damaged-")]
    same(len(aside), 1, "what was set aside")


def killed(bench, args, seconds):
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    p.kill()
    p.wait()


@test
def backup_that_is_killed_is_made_once_more(bench):
    store = filled(bench, keep=4, expired=3)
    backup(bench, store)
    args = [program("callspan"), "--store", store.path, "backup", bench.path("copy")]
    for n in range(150 if LONG else 20):
        if n % 5 == 0:
            record(bench, store, bench.seed + 20 + n, 2, "--retain-from", "import")
        killed(bench, args, bench.random.uniform(0, 0.08))
        one_generation(bench.path("copy"))
        if n % 10 == 9:
            # Whatever was reached: it can be restored, and nothing that was in the last whole one is lost.
            shutil.rmtree(bench.path("other"), ignore_errors=True)
            again = restored(bench, "other", "copy", "--yes")
            again.verify()
            again.callspan("audit", "verify")
    store.callspan("purge", "--yes")
    store.callspan("backup", bench.path("copy"))
    check(not os.path.exists(bench.path("copy/stale")), "it is stale still")
    shutil.rmtree(bench.path("other"), ignore_errors=True)
    again = restored(bench)
    check(again.calls() == store.calls(), "the calls are others")


@test
def restore_that_is_killed_is_done_once_more(bench):
    store = filled(bench, keep=6)
    before = store.calls()
    backup(bench, store)
    other = bench.store("other", init=False)
    args = [program("callspan"), "--store", other.path, "restore", bench.path("copy"),
            *passphrase(bench)]  # fmt: skip
    for _ in range(100 if LONG else 12):
        shutil.rmtree(other.path, ignore_errors=True)
        # Opening the box under the passphrase takes its time; the rest is what is to be hit.
        killed(bench, args, bench.random.uniform(0.2, 1.2))
        if os.path.exists(os.path.join(other.path, "restoring")):
            r = other.callspan("calls", ok=(1,))
            check("restore again" in one_line(r), "%s", r.said())
        if os.path.exists(os.path.join(other.path, "restoring")) or not os.path.isdir(
            os.path.join(other.path, "vault")
        ):
            run(*args)
        check(other.calls() == before, "the calls are others")
        other.verify()
        other.callspan("audit", "verify")


@test
def wrong_words_are_one_line(bench):
    store = filled(bench, keep=2)
    backup(bench, store)
    with open(bench.path("wrong"), "w") as f:
        f.write("not this one\n")
    os.mkdir(bench.path("full"))
    with open(bench.path("full/letter"), "w") as f:
        f.write("x")
    stranger = bench.store("stranger")
    for who, args, code, words in (
        (store, ("backup",), 2, "where"),
        (store, ("backup", bench.path("no/such/folder")), 1, "no such folder"),
        (store, ("backup", store.path), 2, "own store"),
        (store, ("backup", bench.path("full"), *passphrase(bench)), 1, "not empty"),
        (store, ("backup", "forget", bench.path("copy")), 2, "reason"),
        (store, ("backup", "forget", bench.path("full"), "--reason", "x"), 2, "registered"),
        (stranger, ("backup", bench.path("copy"), *passphrase(bench)), 1, "does not know"),
        (stranger, ("backup", bench.path("new")), 3, "passphrase"),
        (store, ("restore", bench.path("full"), *passphrase(bench)), 2, "no backup"),
        (store, ("restore", bench.path("copy"), *passphrase(bench)), 1, "--aside"),
        (store, ("restore", bench.path("copy"), "--passphrase-file", bench.path("wrong")), 3, ""),
        (store, ("restore",), 2, "where"),
    ):  # fmt: skip
        r = who.callspan(*args, ok=(code,))
        check(words in one_line(r), "%r: %s", args, r.said())
    same(len(store.calls()), 2, "calls")
    same(len(json.loads(store.callspan("backup", "list", "--json").out)["path"]) > 0, True, "list")


main()
