#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Rights: docs/rights.md tried as real Unix users; the recorder's user and what it might put in the vault's way."""

from harness import Process, Skip, check, main, one_line, program, run, same, test, ROOT, PATIENCE

import errno
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import subprocess

from scene import Scene

USERS = {"controller": "daemon", "manager": "bin", "staff": "games", "auditor": "nobody", "operator": "mail"}
STRANGER, LEFT, RECORDER = "news", "lp", "games"
OPENING = ("--purpose", "complaint", "--reference", "case 7")

# What each request is on the command line: CALL stands for a recording, PERSON for somebody who is listed.
COMMANDS = {
    "calls": ("calls", "--json"),
    "show": ("show", "CALL", "--json"),
    "replay": ("replay", "CALL", "-o", "-", *OPENING),
    "export": ("export", "CALL", "-o", "-", *OPENING),
    "fingerprint": ("show", "CALL", "--payload-sha1", *OPENING),
    "digits": ("show", "CALL", "--digits", *OPENING),
    "coverage": ("coverage", "--json"),
    "status": ("status", "--json"),
    "reindex": ("reindex",),
    "verify": ("verify",),
    "audit-list": ("audit", "list", "--json"),
    "audit-verify": ("audit", "verify"),
    "person-add": ("person", "add", "NEW", "staff"),
    "person-list": ("person", "list", "--json"),
    "person-role": ("person", "role", "PERSON", "staff"),
    "person-disable": ("person", "disable", "PERSON"),
    "person-enable": ("person", "enable", "PERSON"),
    "person-passphrase": ("person", "passphrase", "--new-passphrase-file", "FIRST"),
    "person-reset": ("person", "reset", "PERSON", "--passphrase-file", "FIRST"),
    "key-rotate": ("key", "rotate"),
}


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root, to become other users")


def rights():
    """The table of docs/rights.md: request -> roles."""
    with open(os.path.join(ROOT, "docs", "rights.md")) as f:
        lines = [x for x in f.read().splitlines() if x.startswith("|")]
    roles = [x.strip() for x in lines[0].split("|")[2:-1]]
    table = {}
    for line in lines:
        m = re.match(r"\| `([a-z-]+)`\s*\|(.*)\|$", line)
        if m:
            cells = [x.strip() for x in m.group(2).split("|")]
            same(len(cells), len(roles), "the cells of " + m.group(1))
            table[m.group(1)] = {r for r, c in zip(roles, cells) if c == "yes"}
    same(sorted(roles), sorted(USERS), "the roles in docs/rights.md")
    return table


def listed(bench, **more):
    """A store with a recording, and a person of each role."""
    need_root()
    scene = Scene(bench.seed)
    a, b = scene.party("493090182041", 0), scene.party("498963648721", 1)
    scene.call(a, b).simple(at=0.1, end=2.0)
    scene.write(bench.path("x.pcap"))
    with open(bench.path("first"), "w") as f:
        f.write("a first passphrase\n")
    os.chmod(bench.path("first"), 0o644)
    os.chmod(bench.dir, 0o711)
    store = bench.store(arguments=("--unattended", "--controller", USERS["controller"]), env={"SUDO_USER": ""}, **more)
    store.record(bench.path("x.pcap"))
    for role, user in USERS.items():
        if role != "controller":
            as_person(store, USERS["controller"], "person", "add", user, role)
    as_person(store, USERS["controller"], "person", "add", LEFT, "controller")
    as_person(store, USERS["controller"], "person", "disable", LEFT)
    return store


def as_person(store, user, *args, ok=(0,)):
    """In process, as the store's owner, for a person who became root by sudo."""
    return store.callspan(*args, ok=ok, env={"SUDO_USER": user})


def try_everything(bench, store, ask, others):
    """Each request as each role and as `others`, by ask(user, arguments) -> (exit status, what was said)."""
    table, people = rights(), [*USERS.items(), *others]
    call = json.loads(as_person(store, USERS["controller"], "calls", "--json").out.splitlines()[0])["id"]
    refusals = 0
    for request, roles in table.items():
        command = COMMANDS.get(request)
        if command is None:
            continue  # another test's; the unit test tries every one
        for role, user in people:
            words = {"CALL": call, "PERSON": "sys", "NEW": "sys", "FIRST": bench.path("first")}
            code, said = ask(user, [words.get(x, x) for x in command])
            what = "`callspan %s` as %s (%s)" % (" ".join(command), user, role)
            denied = code == 3 and ("does not allow" in said or "not listed" in said or "no longer" in said)
            if role in roles:
                check(not denied, "%s was refused: %s", what, said)
            else:
                check(denied, "%s gave %d: %s", what, code, said)
                same(len(said.strip().splitlines()), 1, "the lines that %s says" % what)
                refusals += 1
    entries = [json.loads(x) for x in
               as_person(store, USERS["controller"], "audit", "list", "--limit", "0", "--json").out.splitlines()]
    refused = [e for e in entries if e["outcome"] == "refused"]
    check(len(refused) >= refusals, "%d refusals, %d audited", refusals, len(refused))
    for role, user in people:
        if role != "controller":
            check(any(e["person"] == user for e in refused), "no refusal of %s is audited", user)
    as_person(store, USERS["controller"], "audit", "verify")


@test
def every_request_as_every_role_in_process(bench):
    store = listed(bench)

    def ask(user, args):
        r = as_person(store, user, *args, ok=(0, 1, 2, 3))
        return r.code, r.err

    # Whoever is root and not listed runs the system, so there are no strangers here.
    try_everything(bench, store, ask, [("left", LEFT)])


@test
def every_request_as_every_role_by_real_users_over_the_socket(bench):
    store = listed(bench)
    if run(program("callspan"), "serve", "--help", ok=(0, 2)).code != 0:
        raise Skip("this build has no callspan serve")
    service = Process(bench, program("callspan"), "--store", store.path, "serve", name="service")
    service.wait_for("serving", 30)

    def ask(user, args):
        pw = pwd.getpwnam(user)
        env = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
        p = subprocess.run(
            [program("callspan"), "--store", store.path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60 * PATIENCE, cwd="/", env=env, user=pw.pw_uid, group=pw.pw_gid,
            extra_groups=[],
        )  # fmt: skip
        return p.returncode, p.stderr.decode("utf-8", "replace")

    try_everything(bench, store, ask, [(None, STRANGER), ("left", LEFT)])
    service.stop()


@test
def a_store_is_opened_by_its_owner_alone(bench):
    """Without a service, another user gets nowhere, listed or not, and finds no file to read."""
    store = listed(bench)
    for user in (*USERS.values(), STRANGER):
        pw = pwd.getpwnam(user)
        p = subprocess.run(
            [program("callspan"), "--store", store.path, "calls"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", user=pw.pw_uid, group=pw.pw_gid, extra_groups=[],
        )  # fmt: skip
        check(p.returncode in (1, 3) and not p.stdout, "as %s: %d, %r", user, p.returncode, p.stdout)


@test
def passphrases_travel_in_files_and_are_checked(bench):
    need_root()
    me = pwd.getpwuid(os.geteuid()).pw_name
    for name, text in (("mine", "correct horse battery"), ("hers", "another horse"), ("new", "a third horse"), ("short", "1234567")):
        with open(bench.path(name), "w") as f:
            f.write(text + "\n")
    store = bench.store(arguments=("--passphrase-file", bench.path("mine"), "--controller", me), env={"SUDO_USER": ""})
    add = ("person", "add", "bin", "--role", "manager", "--passphrase-file")
    line = one_line(store.callspan(*add, bench.path("hers"), ok=(3,)))
    check("passphrase needed" in line, "does not say what is wanted: %r", line)
    one_line(store.callspan("person", "add", "bin", "manager", ok=(3,)))
    one_line(store.callspan(*add, bench.path("short"), "--my-passphrase-file", bench.path("mine"), ok=(2,)))
    one_line(store.callspan(*add, bench.path("hers"), "--my-passphrase-file", bench.path("hers"), ok=(3,)))
    same(len(store.callspan("person", "list", "--json").out.splitlines()), 1, "the persons listed")
    store.callspan(*add, bench.path("hers"), "--my-passphrase-file", bench.path("mine"))
    change = ("person", "passphrase", "--passphrase-file", bench.path("hers"), "--new-passphrase-file", bench.path("new"))
    as_person(store, "bin", *change)
    one_line(as_person(store, "bin", *change, ok=(3,)))
    r = store.callspan("person", "add", "nosuchuser", "auditor")
    check("no Unix user nosuchuser" in r.err, "does not warn: %r", r.err)
    one_line(store.callspan("person", "disable", me, ok=(3,)))
    one_line(store.callspan("person", "list", "--role", "staff", ok=(2,)))
    one_line(store.callspan("person", "ad", ok=(2,)))
    one_line(store.callspan("key", "rotate", ok=(3,)))
    store.callspan("key", "rotate", "--passphrase-file", bench.path("mine"))
    for data in store.everything():
        check(b"third horse" not in data[1] and b"correct horse" not in data[1], "a passphrase stands in %s", data[0])


# ---- the recorder's user --------------------------------------------------------------------------


def shared(bench):
    """A store whose recorder is another user, who has recorded into it."""
    need_root()
    os.chmod(bench.dir, 0o711)
    config = bench.path("callspan.yaml")
    with open(config, "w") as f:
        f.write("store: %s\nuser: %s\n" % (bench.path("store"), RECORDER))
    run(program("callspan"), "--config", config, "init", "--policy", "lab", "--unattended")
    scene = Scene(bench.seed)
    for n in range(2):
        a, b = scene.party("49309018204%d" % n, 0), scene.party("49896364872%d" % n, 1)
        scene.call(a, b).simple(at=0.1 * n, end=2.0)
    scene.write(bench.path("x.pcap"))
    run(program("callspand"), "--config", config, "-r", bench.path("x.pcap"))
    store = bench.store(init=False)
    same(os.stat(os.path.join(store.path, "recorder")).st_uid, pwd.getpwnam(RECORDER).pw_uid, "whose the recorder's folder is")
    return store, config


def as_recorder(f):
    """Run f() as the recorder's user, in a process of its own; gives what it returned."""
    pw = pwd.getpwnam(RECORDER)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            os.setgroups([])
            os.setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid)
            os.setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid)
            os.write(w, json.dumps(f()).encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        said = f.read()
    os.waitpid(pid, 0)
    check(said, "the process of the recorder's user said nothing")
    return json.loads(said)


def attempts(path, spare):
    """Everything that a user could try on a path; `spare` is a file of theirs."""
    yield "read", lambda: os.close(os.open(path, os.O_RDONLY))
    yield "write", lambda: os.close(os.open(path, os.O_WRONLY))
    yield "truncate", lambda: os.truncate(path, 0)
    yield "append", lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    yield "create beside", lambda: os.close(os.open(path + ".x", os.O_WRONLY | os.O_CREAT, 0o600))
    yield "make a folder beside", lambda: os.mkdir(path + ".d")
    yield "rename away", lambda: os.rename(path, path + ".moved")
    yield "replace", lambda: os.rename(spare, path)
    yield "link to", lambda: os.link(path, spare + ".link")
    yield "link beside", lambda: os.link(spare, path + ".link")
    yield "symlink beside", lambda: os.symlink(spare, path + ".sym")
    yield "unlink", lambda: os.unlink(path)
    yield "remove the folder", lambda: os.rmdir(path)
    yield "change the mode", lambda: os.chmod(path, 0o777)
    yield "change the owner", lambda: os.chown(path, os.getuid(), -1)
    yield "change the times", lambda: os.utime(path)


def got_through(paths, spare, allowed=lambda path, what: False):
    """What of all that was not refused, by name."""
    out = []
    for path in paths:
        for what, attempt in attempts(path, spare):
            try:
                attempt()
            except OSError as e:
                if e.errno in (errno.EACCES, errno.EPERM, errno.EISDIR):
                    continue
                out.append("%s %s: %s" % (what, path, errno.errorcode[e.errno]))
                continue
            if not allowed(path, what):
                out.append("%s %s" % (what, path))
    return out


def snapshot(folder):
    out = {}
    for d, folders, names in os.walk(folder):
        for n in [*folders, *names]:
            path = os.path.join(d, n)
            st = os.lstat(path)
            data = ""
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    data = hashlib.sha256(f.read()).hexdigest()
            out[os.path.relpath(path, folder)] = (st.st_mode, st.st_uid, st.st_ino, data)
    return out


@test
def recorders_user_can_do_nothing_to_the_vault(bench):
    store, config = shared(bench)
    store.calls()
    vault, policy = os.path.join(store.path, "vault"), os.path.join(store.path, "policy.yaml")
    before = snapshot(vault), open(policy, "rb").read()
    paths = [vault] + [os.path.join(vault, n) for n in before[0]]
    check(any("segments/" in p for p in paths) and any("secret/" in p for p in paths), "there is little to try")
    spare = os.path.join(store.path, "recorder", "spare")

    def mine():
        with open(spare, "w") as f:
            f.write("x")
        through = got_through(paths, spare)
        through += got_through([policy, os.path.join(store.path, "VERSION")], spare, lambda p, what: what == "read")
        for folder in (vault, store.path):
            try:
                os.listdir(folder)
                through.append("list " + folder)
            except PermissionError:
                pass
        return through

    through = as_recorder(mine)
    same(through, [], "what got through")
    same((snapshot(vault), open(policy, "rb").read()), before, "the vault afterwards")
    os.unlink(spare)
    run(program("callspand"), "--config", config, "-r", bench.path("x.pcap"))
    same(len(store.calls()), 4, "the calls, with those recorded since")


@test
def what_the_recorder_puts_in_the_way_does_no_harm(bench):
    """Links to the vault's files, pipes, folders and devices in the place of segments, of the lock and of the status."""
    store, config = shared(bench)
    same(len(store.calls()), 2, "the calls")
    vault, recorder = os.path.join(store.path, "vault"), os.path.join(store.path, "recorder")
    secret = os.path.join(vault, "secret", "metadata.key")
    names = [n[:-4] for n in os.listdir(os.path.join(vault, "segments")) if n.endswith(".seg")]
    taken = os.path.join(vault, "segments", names[0])
    head = names[0].rsplit("-", 5)[0]
    before = snapshot(os.path.join(vault, "secret")), snapshot(os.path.join(vault, "people"))
    whole = {x: open(taken + x, "rb").read() for x in (".seg", ".keys")}

    def name(n, ending):
        return os.path.join(recorder, "%s-%08d-0000-7000-8000-000000000000%s" % (head, n, ending))

    def mine():
        os.symlink(secret, name(1, ".seg"))
        os.symlink(taken + ".seg", name(2, ".seg"))
        os.symlink(taken + ".keys", name(2, ".keys"))
        os.mkfifo(name(3, ".seg"))
        os.mkfifo(name(4, ".keys"))
        os.mkdir(name(5, ".seg"))
        os.mkdir(name(6, ".keys"))
        os.symlink("/dev/zero", name(7, ".seg"))
        for n, what in ((4, b"x"), (6, b"x" * 5000), (8, b""), (9, b"CSPANSEG" + bytes(5000))):
            with open(name(n, ".seg"), "wb") as f:
                f.write(what)
        os.symlink(secret, name(8, ".keys"))
        # the names of what the vault holds already
        with open(os.path.join(recorder, names[0] + ".seg"), "wb") as f:
            f.write(b"another")
        os.symlink(secret, os.path.join(recorder, names[0] + ".keys"))
        os.symlink(secret, os.path.join(recorder, names[0] + ".reseal"))
        for n in ("status.json", "lock"):
            if os.path.exists(os.path.join(recorder, n)):
                os.unlink(os.path.join(recorder, n))
            os.mkfifo(os.path.join(recorder, n))
        return "done"

    same(as_recorder(mine), "done", "the recorder's part")
    os.mknod(name(10, ".seg"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.link(secret, name(11, ".seg"))  # no user could, but were it so
    for _ in range(2):
        same(len(store.calls(timeout=60)), 2, "the calls")
    json.loads(store.callspan("status", "--json", timeout=60).out)
    for ending, data in whole.items():
        same(open(taken + ending, "rb").read() == data, True, "the vault's own segment is what it was")
    same((snapshot(os.path.join(vault, "secret")), snapshot(os.path.join(vault, "people"))), before, "keys and people")
    one_line(store.callspan("key", "rotate", ok=(1,)))
    store.export(store.calls()[0]["id"], bench.path("x.wav"))
    for n in os.listdir(recorder):
        path = os.path.join(recorder, n)
        if n not in ("vault.pub", "sign.key", "sign.pub"):
            shutil.rmtree(path) if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink(path)
    store.callspan("key", "rotate")
    same(os.stat(os.path.join(recorder, "lock")).st_uid, pwd.getpwnam(RECORDER).pw_uid, "whose the lock is")
    same(os.stat(os.path.join(recorder, "vault.pub")).st_uid, pwd.getpwnam(RECORDER).pw_uid, "whose vault.pub is")
    run(program("callspand"), "--config", config, "-r", bench.path("x.pcap"))
    same(len(store.calls()), 4, "the calls, with those recorded since")
    store.export(store.calls()[-1]["id"], bench.path("y.wav"))


@test
def a_segment_that_is_taken_over_is_out_of_the_recorders_hands(bench):
    """A descriptor that was kept open, and another name that was given before: neither reaches the vault's files."""
    store, config = shared(bench)
    recorder = os.path.join(store.path, "recorder")
    keys = [n for n in os.listdir(recorder) if n.endswith((".keys", ".seg"))]
    same(len(keys), 2, "the recorder's files of segments")
    held = [os.open(os.path.join(recorder, n), os.O_RDWR) for n in keys]
    for n in keys:
        os.link(os.path.join(recorder, n), os.path.join(recorder, n + ".kept"))
    same(len(store.calls()), 2, "the calls")
    before = snapshot(os.path.join(store.path, "vault", "segments"))
    for fd in held:
        os.pwrite(fd, b"written afterwards", 4096)
        os.close(fd)
    same(snapshot(os.path.join(store.path, "vault", "segments")), before, "the vault's segments")
    for n in keys:
        same(os.lstat(os.path.join(store.path, "vault", "segments", n)).st_nlink, 1, "the names of " + n)
    store.verify()


if __name__ == "__main__":
    main()
