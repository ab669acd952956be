#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Secrecy: what lies in a store tells nothing to who has no key."""

from harness import Skip, check, main, one_line, program, run, same, test, wait_until

import errno
import os
import shutil
import signal
import subprocess

import g711
from compare import check_audio, read_wav
from scene import Scene

CALLER, CALLEE = "4930901820415", "4989636487210"
NAMES = ("Wilhelmina Quodlibet", "Zacharias Paternoster")


def confidential(bench):
    scene = Scene(bench.seed)
    for n in range(3):
        a = scene.party(CALLER + str(n), 0, name=NAMES[0])
        b = scene.party(CALLEE + str(n), 1, name=NAMES[1])
        scene.call(a, b).simple(at=0.3 * n, end=3.0, dtmf=[(1.1 + 0.3 * n, "7")])
    scene.write(bench.path("x.pcap"))
    return scene


def secrets_of(scene):
    """(what it is, bytes) of everything that must not be readable."""
    for call in scene.calls:
        a, b = call.parties
        for text in (a.user, b.user, a.uri, b.uri, call.call_id, call.call_id.split("@")[0]):
            yield "a number, URI or Call-ID", text.encode()
            yield "a number, URI or Call-ID in UTF-16", text.encode("utf-16-le")
            yield "a number, URI or Call-ID in hexadecimal", text.encode().hex().encode()
        for tag in call.tags:
            yield "a tag", tag.encode()
    for name in NAMES:
        yield "a name", name.encode()
        yield "part of a name", name.split()[1].encode()
    for n in (9, 10):  # the last digits, too, are nobody's business
        yield "the end of a number", scene.calls[0].parties[0].user[-n:].encode()
    for call in scene.calls:
        for s in call.streams.values():
            for p in s.packets[::11]:
                if p.kind != "audio":
                    continue
                for at in range(0, len(p.payload) - 16, 36):
                    yield "16 bytes of audio as sent", p.payload[at : at + 16]
                yield "decoded audio", g711.decode(s.codec, p.payload[:16])


def check_nothing_readable(store, scene, only=lambda path: True):
    files = [(path, data) for path, data in store.everything() if only(path)]
    check(files, "there are no files to search")
    for what, secret in secrets_of(scene):
        for path, data in files:
            check(secret not in data, "%s stands in %s", what, os.path.relpath(path, store.path))


def key_files(store):
    """Files that hold secrets by design: nothing of them may stand anywhere else."""
    out = [os.path.join(store.path, "recorder", "sign.key")]
    secret = os.path.join(store.path, "vault", "secret")
    out += [os.path.join(secret, n) for n in os.listdir(secret)]
    return [p for p in out if os.path.isfile(p)]


def forms(data):
    """The secret half of what a key file holds, raw and in hexadecimal."""
    words = data.decode("ascii").split()
    secrets = [words[i + 1] for i, w in enumerate(words) if w == "secret"] or words[:1]
    for text in secrets:
        check(len(text) >= 64, "a key file without a key: %r", words[:3])
        yield bytes.fromhex(text[:64])
        yield text[:64].encode()


def check_no_key_elsewhere(store):
    holders = key_files(store)
    check(len(holders) > 1, "found no secret files to compare with")
    files = list(store.everything())
    for holder in holders:
        data = dict(files)[holder]
        for key in forms(data):
            for path, other in files:
                check(
                    path == holder or key not in other,
                    "the key of %s stands in %s", os.path.basename(holder), path,
                )  # fmt: skip


@test
def nothing_readable_in_what_the_recorder_wrote(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"))
    check_nothing_readable(store, scene)
    check_no_key_elsewhere(store)


@test
def nothing_readable_after_ingest_search_and_export(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"))
    rows = store.calls("--party", CALLER + "1")
    same(len(rows), 1, "the calls found")
    store.export(rows[0]["id"], bench.path("x.wav"))
    store.callspan("show", rows[0]["id"], "--json")
    store.callspan("reindex")
    store.callspan("audit", "list")
    check_nothing_readable(store, scene)
    check_no_key_elsewhere(store)


CLOSED = ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-")


def run_closed(closed, *args, ok=(0,)):
    """Run a program with some of its first three descriptors closed."""
    return run("sh", "-c", 'exec "$@" ' + closed, "sh", *args, ok=ok)


@test
def nothing_is_printed_into_the_store_where_descriptors_are_closed(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"))
    call = store.calls()[0]["id"]
    asked = (program("callspan"), "--store", store.path)
    why = ("--purpose", "complaint", "--reference", "r")
    for closed in CLOSED:
        refused = (2,) if ">&-" in closed.replace("2>&-", "") else (0,)
        for args in (("export", call, "-o", "-"), ("replay", call, "-o", "-")):
            r = run_closed(closed, *asked, *args, *why, ok=refused)
            if refused == (2,) and "2>&-" not in closed:
                one_line(r)
        for args in (("calls", "--json"), ("show", call), ("audit", "list")):
            run_closed(closed, *asked, *args, ok=(0, 1))
        run_closed(closed, *asked, "export", call, "-o", bench.path("x.wav"), *why)
        check_nothing_readable(store, scene)
    store.verify()


@test
def nothing_is_printed_into_the_store_by_a_recorder_with_closed_descriptors(bench):
    scene = confidential(bench)
    for n, closed in enumerate(CLOSED):
        store = bench.store("store%d" % n)
        run_closed(
            closed, program("callspand"), "--store", store.path, "-r", bench.path("x.pcap"),
            "--set", "log.level=debug",
        )  # fmt: skip
        same(len(store.calls()), 3, "the calls recorded with %s" % closed)
        check_nothing_readable(store, scene)
        store.verify()


@test
def the_logs_of_both_programs_name_nobody(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"), extra=("--set", "log.level=debug"))
    said = store.said.err + store.callspan("calls").err + store.callspan("status").err
    for what, secret in secrets_of(scene):
        check(secret.decode("latin-1") not in said, "%s was logged: %s", what, said[-300:])


def folders_of(path):
    """The folders on the way to a file, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


@test
def files_are_for_their_owner_alone(bench):
    confidential(bench)
    store = bench.store()
    store.record(bench.path("x.pcap"))
    store.calls()
    for path, _ in store.everything():
        inside = os.path.relpath(path, store.path)
        steps = [store.path] + [os.path.join(store.path, d) for d in folders_of(inside)]
        closed = any(not os.stat(d).st_mode & 0o001 for d in steps)
        readable = os.stat(path).st_mode & 0o004 and not closed
        public = inside in ("VERSION", "policy.yaml") or path.endswith(".pub")
        check(public or not readable, "others may read %s", inside)
    for path in key_files(store):
        same(os.stat(path).st_mode & 0o077, 0, "others' rights to " + os.path.basename(path))


@test
def the_recorders_directory_alone_opens_nothing(bench):
    """Public keys, a signing key and segments: no call, no name, no sound."""
    confidential(bench)
    store = bench.store()
    store.record(bench.path("x.pcap"))
    stolen = bench.store("stolen", init=False)
    os.mkdir(stolen.path)
    for name in ("VERSION", "policy.yaml"):
        shutil.copy(os.path.join(store.path, name), stolen.path)
    shutil.copytree(os.path.join(store.path, "recorder"), os.path.join(stolen.path, "recorder"))
    one_line(stolen.callspan("calls", ok=(1,)))
    same(sorted(os.listdir(stolen.path)), ["VERSION", "policy.yaml", "recorder"], "what is there")


@test
def the_recorders_directory_under_a_vault_of_ones_own_opens_nothing(bench):
    confidential(bench)
    store = bench.store()
    store.record(bench.path("x.pcap"))
    stolen = bench.store("stolen")
    shutil.rmtree(os.path.join(stolen.path, "recorder"))
    shutil.copytree(os.path.join(store.path, "recorder"), os.path.join(stolen.path, "recorder"))
    for row in stolen.calls(ok=(0, 1, 4)):
        for field in ("sip_call_id", "from", "to", "from_name", "to_name", "answer", "sip_status"):
            same(row[field], None, field + " of a call")
        same((row["attested"], row["streams"]), (False, []), "attested and streams")
        stolen.export(row["id"], bench.path("x.wav"), ok=(1, 3, 4))
    check(not os.path.exists(bench.path("x.wav")), "a file was made")
    stolen.verify(ok=(4,))


@test
def a_stolen_vault_without_its_secrets_opens_nothing(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"))
    call = store.calls()[0]["id"]
    shutil.rmtree(os.path.join(store.path, "vault", "secret"))
    store.callspan("show", call, "--json", ok=(1, 3))
    store.export(call, bench.path("x.wav"), ok=(1, 3))
    check(not os.path.exists(bench.path("x.wav")), "a file was made")


def with_passphrase(bench):
    scene = confidential(bench)
    for name, text in (("right", "correct horse battery staple"), ("wrong", "Tr0ub4dor&3")):
        with open(bench.path(name), "w") as f:
            f.write(text + "\n")
    store = bench.store(arguments=("--passphrase-file", bench.path("right")))
    store.record(bench.path("x.pcap"))
    return scene, store, store.calls()


@test
def wrong_passphrase_opens_nothing(bench):
    _, store, rows = with_passphrase(bench)
    out = bench.path("x.wav")
    wrong = ("--passphrase-file", bench.path("wrong"))
    one_line(store.export(rows[0]["id"], out, *wrong, ok=(3,)))
    check(not os.path.exists(out), "a file was made")
    one_line(store.export(rows[0]["id"], out, ok=(3,)))
    check(not os.path.exists(out), "a file was made without any passphrase")
    same([n for n in os.listdir(bench.dir) if "x.wav" in n], [], "what was left behind")


def nameless_files(folder):
    """Whether files can be made there that have no name yet."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
    except OSError as e:
        if e.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return False
        raise
    return True


def wait_for_reader(path):
    """Open a FIFO for writing once somebody opens it for reading."""
    found = []

    def there():
        try:
            found.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as e:
            check(e.errno == errno.ENXIO, "%s: %s", path, e)
        return found

    wait_until(there, "nobody reads the passphrase", every=0.02)
    return found[0]


@test
def a_killed_export_leaves_nothing(bench):
    """Killed when the file is begun and the passphrase is being read."""
    _, store, rows = with_passphrase(bench)
    out = bench.path("out")
    os.mkdir(out)
    ways = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGALRM]
    if nameless_files(out):
        ways.append(signal.SIGKILL)
    for way in ways:
        fifo = bench.path("fifo-%d" % way)
        os.mkfifo(fifo)
        p = subprocess.Popen(
            [program("callspan"), "--store", store.path, "export", rows[0]["id"],
             "-o", os.path.join(out, "x.wav"), "--purpose", "complaint", "--reference", "r",
             "--passphrase-file", fifo],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        bench.cleanups.append(p.kill)
        end = wait_for_reader(fifo)
        p.send_signal(way)
        same(p.wait(60), -way, "how it ended")
        os.close(end)
        same(os.listdir(out), [], "what was left behind by signal %d" % way)
    if signal.SIGKILL not in ways:
        raise Skip("SIGKILL: no nameless files on this file system")


@test
def an_export_replaces_a_file_and_is_its_owners_alone(bench):
    scene, store = confidential(bench), bench.store()
    store.record(bench.path("x.pcap"))
    row = store.calls()[0]
    out = bench.path("out")
    os.mkdir(out)
    path = os.path.join(out, "x.wav")
    with open(path, "w") as f:
        f.write("old")
    os.chmod(path, 0o644)
    for name in ("x.wav", "y.wav", "y.wav"):
        store.export(row["id"], os.path.join(out, name))
        for made in (name, name + ".manifest"):
            same(os.stat(os.path.join(out, made)).st_mode & 0o777, 0o600, "the rights to " + made)
    names = ["x.wav", "x.wav.manifest", "y.wav", "y.wav.manifest"]
    same(sorted(os.listdir(out)), names, "what is there")
    check_audio({c.call_id: c for c in scene.calls}[row["sip_call_id"]], read_wav(path))


@test
def a_passphrase_that_cannot_be_asked_for_is_a_refusal_that_nobody_made(bench):
    """Exit status 3, and no entry in the audit trail: nothing was opened or denied."""
    _, store, rows = with_passphrase(bench)
    line = one_line(store.export(rows[0]["id"], bench.path("x.wav"), ok=(3,)))
    check("passphrase needed" in line, "does not say what is wanted: %r", line)
    check(not os.path.exists(bench.path("x.wav")), "a file was made")
    entries = store.callspan("audit", "list", "--json").out
    check("refused" not in entries, "a refusal was audited: %s", entries[-400:])


@test
def right_passphrase_opens_the_recording(bench):
    scene, store, rows = with_passphrase(bench)
    same(len(rows), 3, "the calls listed without a passphrase")
    by_id = {c.call_id: c for c in scene.calls}
    out = bench.path("x.wav")
    store.export(rows[0]["id"], out, "--passphrase-file", bench.path("right"))
    check_audio(by_id[rows[0]["sip_call_id"]], read_wav(out))
    check_nothing_readable(store, scene)


if __name__ == "__main__":
    main()
