#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The audit trail through the programs: exported and checked with public tools only, its heads outside, full disks.

The script for public tools is the one of docs/audit.md: the document is what is tested.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess

from harness import (
    LONG, ROOT, Process, Skip, check, main, one_line, program, run, same, test, wait_until,
)  # fmt: skip


# ---- an exported trail, read by someone else -----------------------------------------------------


def script(bench):
    with open(os.path.join(ROOT, "docs", "audit.md")) as f:
        text = re.search(r"^```sh\n(.*?)^```", f.read(), re.M | re.S).group(1)
    path = bench.path("audit-verify")
    with open(path, "w") as f:
        f.write(text)
    return path


def says_whole(bench, path, head=None):
    """What the script of the document says: True, or False (exit status 4)."""
    args = ["sh", script(bench), path] + ([head] if head else [])
    r = run(*args, ok=(0, 4))
    return r.code == 0


class Anchors:
    """Signatures by openssl, each line once."""

    def __init__(self, bench):
        self.bench, self.known = bench, {}

    def good(self, key, line):
        if (key, line) not in self.known:
            self.known[key, line] = self.ask(key, line)
        return self.known[key, line]

    def ask(self, key, line):
        text, _, signature = line.rpartition(b" ")
        try:
            raw = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        if base64.b64encode(raw) != signature:
            return False
        paths = []
        for name, content in (("key", key), ("text", text), ("signature", raw)):
            paths.append(self.bench.path("anchor-" + name))
            with open(paths[-1], "wb") as f:
                f.write(content)
        p = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", paths[0],
             "-in", paths[1], "-sigfile", paths[2]],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return p.returncode == 0


def fault(data, anchors, head=None):
    """The format of docs/audit.md, again: None, or what is wrong."""
    lines = data.split(b"\n")
    if lines[0] != b"callspan audit export 1" or lines.pop() != b"":
        return "is no export"
    key, prev, signed, seen = b"\n".join(lines[1:4]) + b"\n", b"0" * 64, None, head is None
    first = next((x for x in lines[4:] if not x.startswith(b"anchor ")), b"")
    follows = re.search(rb',"follows":"([0-9a-f]{64})"}$', first)
    if follows:
        prev = follows.group(1)
    for n, line in enumerate(lines[4:], 5):
        if line.startswith(b"anchor "):
            words = line.split(b" ")
            if len(words) != 5 or words[3] != prev or not anchors.good(key, line):
                return "line %d: no anchor of this chain" % n
            signed = prev
            continue
        told, _, text = line.partition(b" ")
        prev = hashlib.sha256(prev + b" " + text).hexdigest().encode()
        if told != prev:
            return "line %d: altered, or not in its place" % n
        seen = seen or prev == head.encode()
    if signed != prev:
        return "its end is not signed"
    return None if seen else "the head given is not in it"


def export(store, name="trail", **more):
    path = store.bench.path(name)
    store.callspan("audit", "export", "-o", path, **more)
    with open(path, "rb") as f:
        return path, f.read()


def lived_in(bench):
    """A store with entries of several kinds; texts that a shell could stumble over."""
    store = bench.store()
    store.record(os.path.join(ROOT, "tests", "pcaps", "conversation.pcap"))
    call = store.calls()[0]["id"]
    for i, reference in enumerate(("case 7", "it's \"so\" \\n $HOME `id` %s *", "Müller\t電話 ")):
        store.export(call, bench.path("%d.wav" % i), reference=reference)
        store.callspan("audit", "anchor")
    store.callspan("verify")
    return store


def write(bench, data, name="changed"):
    path = bench.path(name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def flipped(data, bit):
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


@test
def exported_trail_is_checked_with_public_tools_only(bench):
    store = lived_in(bench)
    path, data = export(store)
    check(os.stat(path).st_mode & 0o777 == 0o600, "the export is not its owner's alone")
    r = run("sh", script(bench), path)
    told = json.loads(store.callspan("audit", "verify", "--json").out)
    check(told["key"] in r.out, "the script knows another key: %s", r.out)
    anchors = Anchors(bench)
    same(fault(data, anchors), None, "the export")
    # every hash that the trail ever had is a head it can be held against
    heads = [x.split(b" ")[0].decode() for x in data.split(b"\n")[4:-1]]
    heads = [x for x in heads if x != "anchor"]
    for head in heads:
        same(fault(data, anchors, head), None, "held against " + head)
    check(says_whole(bench, path, head), "not whole with its own newest head")
    check(not says_whole(bench, path, "0" * 64), "holds a head that never was")
    store.callspan("audit", "verify", "--head", head)


@test
def every_single_bit_of_an_exported_trail_counts(bench):
    """All bits of all entries by our own reading of the document; a sample of them, and of the anchors, by the script."""
    _, data = export(lived_in(bench))
    anchors = Anchors(bench)
    body = data.index(b"-----END PUBLIC KEY-----\n") + 25
    bits, signature_bits, at = [], [], body
    for line in data[body:].split(b"\n")[:-1]:
        many = range(8 * at, 8 * (at + len(line) + 1))
        (signature_bits if line.startswith(b"anchor ") else bits).extend(many)
        at += len(line) + 1
    for bit in bits:
        check(fault(flipped(data, bit), anchors), "bit %d is not found", bit)
    bench.random.shuffle(bits)
    bench.random.shuffle(signature_bits)
    for bit in signature_bits[: 2000 if LONG else 150]:
        check(fault(flipped(data, bit), anchors), "bit %d of an anchor is not found", bit)
    for bit in bits[: 1000 if LONG else 60] + signature_bits[: 1000 if LONG else 30]:
        changed = flipped(data, bit)
        # base64 that openssl reads to the same signature changes nothing that is signed
        if fault(changed, anchors) and not says_whole(bench, write(bench, changed)):
            continue
        check(same_signature(data, changed), "the script does not find bit %d", bit)


def same_signature(data, changed):
    for a, b in zip(data.split(b"\n"), changed.split(b"\n")):
        if a != b:
            wa, wb = a.rpartition(b" "), b.rpartition(b" ")
            return wa[0] == wb[0] and base64.b64decode(wa[2]) == base64.b64decode(wb[2])
    return False


@test
def removed_inserted_moved_and_cut_off_entries_are_found_in_an_export(bench):
    _, data = export(lived_in(bench))
    anchors = Anchors(bench)
    head, lines = data.split(b"\n")[:4], data.split(b"\n")[4:-1]
    entries = [i for i, x in enumerate(lines) if not x.startswith(b"anchor ")]
    newest = lines[entries[-1]].split(b" ")[0].decode()
    join = lambda x: b"\n".join(head + x) + b"\n"  # noqa: E731
    changes = []
    for i in entries:
        changes.append(("removed", lines[:i] + lines[i + 1 :]))
        changes.append(("doubled", lines[:i] + [lines[i]] + lines[i:]))
        changes.append(("blank", lines[: i + 1] + [b""] + lines[i + 1 :]))
        changes.append(("blank at its end", lines[:i] + [lines[i] + b" "] + lines[i + 1 :]))
    for i, j in zip(entries, entries[1:]):
        moved = list(lines)
        moved[i], moved[j] = moved[j], moved[i]
        changes.append(("swapped", moved))
        changes.append(("cut before", lines[j:]))
        changes.append(("cut behind", lines[: i + 1]))
    # another's entry, the hashes behind it made to fit: the signatures tell
    forged, prev = [], b"0" * 64
    for x in lines:
        if x.startswith(b"anchor "):
            forged.append(x)
            continue
        text = x.partition(b" ")[2].replace(b"alice", b"bob").replace(b"root", b"toor")
        prev = hashlib.sha256(prev + b" " + text).hexdigest().encode()
        forged.append(prev + b" " + text)
    changes.append(("forged", forged))
    changes.append(("forged, unsigned", [x for x in forged if not x.startswith(b"anchor ")]))
    for what, changed in changes:
        check(fault(join(changed), anchors), "%s: not found", what)
    for what, changed in bench.random.sample(changes[:-2], len(changes) - 2 if LONG else 12) + changes[-2:]:
        check(not says_whole(bench, write(bench, join(changed))), "script: %s: not found", what)
    # cut behind an anchor it is whole, and older: what was noted elsewhere tells
    cut = max(i for i, x in enumerate(lines[:-1]) if x.startswith(b"anchor ")) + 1
    older = write(bench, join(lines[:cut]))
    check(says_whole(bench, older), "an older trail is a whole one")
    check(not says_whole(bench, older, newest), "its end is cut off")
    check(fault(join(lines[:cut]), anchors, newest), "its end is cut off")


@test
def trail_that_lost_its_beginning_is_exported_from_where_it_goes_on(bench):
    store = lived_in(bench)
    shutil.rmtree(os.path.join(store.path, "vault", "index"))
    store.callspan("reindex")
    path, data = export(store)
    same(fault(data, Anchors(bench)), None, "the export")
    check(says_whole(bench, path), "the script does not take it")
    lines = data.split(b"\n")
    first = next(i for i in range(4, len(lines)) if not lines[i].startswith(b"anchor "))
    check(b'"action":"index-rebuilt"' in lines[first], "begins with %r", lines[first])
    # and no other entry may be the first
    del lines[first]
    check(not says_whole(bench, write(bench, b"\n".join(lines))), "an entry was removed")


@test
def export_leaves_no_half_file_and_asks_for_one(bench):
    store = bench.store()
    one_line(store.callspan("audit", "export", ok=(2,)))
    one_line(store.callspan("audit", "export", "-o", bench.dir, ok=(1,)))
    r = store.callspan("audit", "export", "-o", "-")
    same(fault(r.out.encode(), Anchors(bench)), None, "what went to standard output")
    before = sorted(os.listdir(bench.dir))
    one_line(store.callspan("audit", "export", "-o", bench.path("no/such/dir"), ok=(1,)))
    same(sorted(os.listdir(bench.dir)), before, "files")


# ---- heads that are kept elsewhere ---------------------------------------------------------------


def configured(bench, store, **options):
    path = bench.path("callspan.yaml")
    with open(path, "w") as f:
        f.write("store: %s\naudit:\n" % store.path)
        for name, value in options.items():
            f.write('  %s: "%s"\n' % (name.replace("_", "-"), value))

    def ask(*args, **more):
        return run(program("callspan"), "--config", path, *args, **more)

    return ask


@test
def store_put_back_behind_an_outside_head_is_found(bench):
    store = bench.store()
    outside = bench.path("heads")
    ask = configured(bench, store, head_file=outside)
    ask("audit", "anchor")
    shutil.copytree(store.path, bench.path("old"))
    store.callspan("verify")
    head = ask("audit", "anchor").out.strip()
    store.callspan("audit", "verify", "--head", head)
    told = json.loads(ask("audit", "verify", "--head-file", outside, "--json").out)
    same((told["anchored"], told["unanchored"]), (int(head.split()[0]), 0), "covered")
    shutil.rmtree(store.path)
    os.rename(bench.path("old"), store.path)
    store.callspan("audit", "verify")
    for again in range(2):
        one_line(store.callspan("audit", "verify", "--head", head, ok=(4,)))
        one_line(store.callspan("audit", "verify", "--head", head.split()[1], ok=(4,)))
        said = one_line(ask("audit", "verify", "--head-file", outside, ok=(4,)))
        check("line 2" in said, "names no line: %s", said)
        # it goes on in peace, and signs: what was kept does not change
        for _ in range(3):
            ask("audit", "anchor")
    for wrong in ("", "x", "1 2", "0 " + "0" * 64, "5 " + "g" * 64):
        one_line(store.callspan("audit", "verify", "--head", wrong, ok=(2,)))
    one_line(store.callspan("audit", "verify", "--head", head, "--head-file", outside, ok=(2,)))
    one_line(store.callspan("audit", "verify", "--head-file", bench.path("none"), ok=(1,)))
    one_line(store.callspan("audit", "verify", "--head-file", bench.dir, ok=(1,)))


@test
def outside_file_that_fails_stops_nothing_and_shows(bench):
    store = bench.store()
    ask = configured(bench, store, head_file=bench.path("no/such/heads"))
    r = ask("audit", "anchor", ok=(1,))
    check("could not be written" in r.err, "%s", r.said())
    ask("verify")
    status = json.loads(ask("status", "--json").out)["audit"]
    same((status["outside_failed"], status["outside_written"]), (1, None), "failures")
    os.makedirs(bench.path("no/such"))
    ask("audit", "anchor")
    status = json.loads(ask("status", "--json").out)["audit"]
    same(status["outside_failed"], 0, "failures")
    check(status["outside_written"], "was never written")
    one_line(configured(bench, store, head_file="heads")("status", ok=(2,)))
    # a pipe that nobody reads is not waited for; one that is read gets the line
    pipe = bench.path("pipe")
    os.mkfifo(pipe)
    ask = configured(bench, store, head_file=pipe)
    ask("audit", "anchor", ok=(1,), timeout=30)
    fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    number = ask("audit", "anchor").out.split()[0]
    check(os.read(fd, 4096).startswith(b"anchor %s " % number.encode()), "no anchor in the pipe")
    os.close(fd)


@test
def anchors_go_to_the_journal_where_one_runs(bench):
    """In a mount namespace of its own, with a journal's socket of our own."""
    store = bench.store()
    ready, listening = bench.path("ready"), bench.path("listen.py")
    with open(listening, "w") as f:
        f.write(JOURNAL % {"ready": ready, "got": bench.path("got")})
    tool = shutil.which("unshare")
    if os.geteuid() != 0 or not tool:
        raise Skip("needs root and unshare")
    inside = (
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && python3 %s & "
        "while [ ! -e %s ]; do sleep 0.05; done; exec %s --store %s audit anchor"
    ) % (listening, ready, program("callspan"), store.path)
    p = subprocess.run([tool, "-m", "sh", "-c", inside], capture_output=True, timeout=60)
    if b"mount" in p.stderr or b"unshare" in p.stderr:
        raise Skip("no mount namespaces here: %s" % p.stderr.decode().strip()[:100])
    number, head = p.stdout.decode().split()
    with open(bench.path("got"), "rb") as f:
        fields = dict(x.split(b"=", 1) for x in f.read().split(b"\n") if b"=" in x)
    same(fields[b"CALLSPAN_AUDIT_HEAD"].decode(), head, "the head in the journal")
    same(fields[b"CALLSPAN_AUDIT_NUMBER"].decode(), number, "its number")
    check(b"6f1c5d0e8b7a4c33a2d4f9e17b60c85d" == fields[b"MESSAGE_ID"], "message id")
    with open(os.path.join(store.path, "vault", "audit-heads"), "rb") as f:
        same(fields[b"CALLSPAN_AUDIT_ANCHOR"], f.read().split(b"\n")[-2], "the anchor")
    check(b"audit-anchor" not in p.stderr, "was logged too: %s", p.stderr)


JOURNAL = """
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/systemd/journal/socket")
s.settimeout(30)
open(%(ready)r, "w").close()
with open(%(got)r, "wb") as f:
    f.write(s.recv(65536))
"""


@test
def service_hands_on_what_a_command_alone_would(bench):
    store = bench.store()
    outside = bench.path("heads")
    ask = configured(bench, store, head_file=outside)
    service = Process(
        bench, program("callspan"), "--config", bench.path("callspan.yaml"), "serve", name="serve"
    )
    wait_until(lambda: os.path.exists(os.path.join(store.path, "callspan.sock")), "no service")
    head = ask("audit", "anchor").out.strip()
    path, data = export(store)
    same(fault(data, Anchors(bench), head.split()[1]), None, "the export")
    check(says_whole(bench, path, head.split()[1]), "the script does not take it")
    # more heads than go into one request, the last of them one that a crash cut short
    with open(outside) as f:
        lines = f.read().splitlines()
    many = write(bench, ("\n".join(lines * 1000) + "\n" + lines[-1][:99]).encode(), "many")
    told = json.loads(ask("audit", "verify", "--head-file", many, "--json").out)
    same(told["anchored"], int(lines[-1].split()[1]), "covered")
    spoiled = lines * 1000
    spoiled[1702] = spoiled[1702].replace("anchor 2 ", "anchor 3 ")
    many = write(bench, "\n".join(spoiled).encode() + b"\n", "many")
    said = one_line(ask("audit", "verify", "--head-file", many, ok=(4,)))
    check("line 1703 " in said, "names another line: %s", said)
    for garbage in (b"\xff\x00\n", b"x" * 3000000 + b"\n"):
        many = write(bench, garbage, "many")
        said = one_line(ask("audit", "verify", "--head-file", many, ok=(4,)))
        check("line 1 " in said, "names another line: %s", said)
    one_line(ask("audit", "verify", "--head-file", write(bench, b"x" * 3000000, "many"), ok=(2,)))
    service.stop()


# ---- nothing happens unseen ----------------------------------------------------------------------


@test
def full_disk_stops_the_act_and_spoils_nothing(bench):
    if os.geteuid() != 0:
        raise Skip("needs root for a small file system")
    disk = bench.path("disk")
    os.mkdir(disk)
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], capture_output=True)
    if p.returncode != 0:
        raise Skip("no file systems can be mounted here")
    bench.cleanups.append(lambda: subprocess.run(["umount", "-l", disk], check=True))
    store = bench.store("disk/store", arguments=("--unattended", "--allow-cow"))
    store.record(os.path.join(ROOT, "tests", "pcaps", "conversation.pcap"))
    call = store.calls()[0]["id"]
    fd = os.open(os.path.join(disk, "filler"), os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"x" * 4096):
            pass
    except OSError:
        pass
    os.close(fd)
    out = bench.path("out.wav")
    r = store.export(call, out, ok=(1,))
    check(not os.path.exists(out), "what could not be audited was done: %s", r.said())
    r = store.callspan("audit", "export", "-o", out, ok=(1,))
    check(not os.path.exists(out), "what could not be audited was done: %s", r.said())
    os.unlink(os.path.join(disk, "filler"))
    store.callspan("audit", "verify")
    store.export(call, out)
    entries = store.callspan("audit", "list", "--json", "--action", "export").out.splitlines()
    same([json.loads(x)["outcome"] for x in entries][-2:], ["granted", "done"], "outcomes")


@test
def signed_head_that_cannot_be_written_stops_the_act(bench):
    store = lived_in(bench)
    call = store.calls()[0]["id"]
    path = os.path.join(store.path, "vault", "audit-head")
    with open(path, "rb") as f:
        kept = f.read()
    # a file that nobody can write, root neither
    p = subprocess.run(["chattr", "+i", path], capture_output=True)
    if p.returncode == 0:
        bench.cleanups.append(lambda: subprocess.run(["chattr", "-i", path]))
    elif os.geteuid() == 0:
        p = subprocess.run(["mount", "--bind", path, path], capture_output=True)
        if p.returncode != 0:
            raise Skip("neither chattr nor mount --bind works here")
        bench.cleanups.append(lambda: subprocess.run(["umount", "-l", path]))
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
    else:
        raise Skip("needs root")
    out = bench.path("out.wav")
    one_line(store.export(call, out, ok=(1,)))
    check(not os.path.exists(out), "what could not be audited was done")
    one_line(store.callspan("reindex", ok=(1,)))
    bench.cleanups.pop()()
    with open(path, "rb") as f:
        same(f.read(), kept, "the signed head")
    store.callspan("audit", "verify")
    store.export(call, out)


# ---- listing -------------------------------------------------------------------------------------


@test
def list_is_narrowed_by_person_action_call_and_number(bench):
    store = lived_in(bench)
    call = store.calls()[0]["id"]
    everything = [json.loads(x) for x in store.callspan("audit", "list", "--json").out.splitlines()]

    def asked(*args):
        r = store.callspan("audit", "list", "--json", *args)
        return [json.loads(x) for x in r.out.splitlines()]

    me = everything[0]["person"]
    same(asked("--action", "export"), [e for e in everything if e["action"] == "export"], "export")
    same(asked("--call", call[:13]), [e for e in everything if e["call"] == call], "call")
    same(asked("--person", me), [e for e in everything if e["person"] == me], "person")
    same(asked("--person", ""), [e for e in everything if e["person"] is None], "the system")
    same(asked("--limit", "3"), everything[-3:], "the newest")
    same(asked("--limit", "2", "--before", "5"), everything[2:4], "a page")
    same(asked("--person", "nobody"), [], "nobody")
    one_line(store.callspan("audit", "list", "--call", "abc", ok=(2,)))
    for args in (("verify", "--person", "x"), ("anchor", "--limit", "1"), ("list", "-o", "x"),
                 ("list", "--head", "x"), ("export", "--since", "-1h", "-o", "x")):  # fmt: skip
        said = one_line(store.callspan("audit", *args, ok=(2,)))
        check("is for audit" in said, "%s", said)
    said = one_line(store.callspan("audit", ok=(2,)))
    check("anchor" in said, "the choices are not named: %s", said)


if __name__ == "__main__":
    main()
