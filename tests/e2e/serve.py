# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The service: commands through it are what they are without it; real users over its socket; many clients at once."""

import collections
import json
import os
import pwd
import resource
import shutil
import socket
import stat
import subprocess
import time

from harness import (LONG, PATIENCE, ROOT, SANITIZED, Skip, Store, check, main, one_line, program, run, same,
                     test, wait_until)
from serving import Clients, Purging, Service, nothing_lost_nothing_double, serve, trail

PCAPS = os.path.join(ROOT, "tests", "pcaps")
CAPTURES = [os.path.join(PCAPS, n) for n in ("conversation.pcap", "all-endings.pcap", "early-media.pcap")]
OPENING = ("--purpose", "complaint", "--reference", "case 7")


def as_user(user, store, *args, ok=(0,)):
    """A command as another user of this machine."""
    if os.geteuid() != 0:
        raise Skip("needs root, to become other users")
    pw = pwd.getpwnam(user)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    p = subprocess.run([program("callspan"), "--store", store.path, *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * PATIENCE, cwd="/", env=env,
                       user=pw.pw_uid, group=pw.pw_gid, extra_groups=[])
    check(p.returncode in ok, "`callspan %s` as %s gave %d: %s", " ".join(args), user, p.returncode,
          p.stderr.decode()[-400:])
    return p


def socket_of(store):
    return os.path.join(store.path, "callspan.sock")


# ---- the same with and without --------------------------------------------------------------------


def answers(store, call):
    out = {}
    for args in (["calls", "--json"], ["calls"], ["calls", "--party", "117", "--json"], ["show", call], ["show", call, "--json"],
                 ["coverage", "--json"], ["coverage"], ["verify", "--json"], ["verify", call], ["status"],
                 ["calls", "--state", "nonsense"], ["show", "0000"], ["show", "00000000"], ["calls", "--outcome", "x"],
                 ["export", call, "-o", "-"], ["replay", call, "-o", "-", "--purpose", "x", "--reference", "y"],
                 ["export", call, "-o", "-", "--format", "wav", *OPENING],
                 ["export", call, "-o", "-", "--format", "pcap", *OPENING],
                 ["show", call, "--payload-sha1", "--json", *OPENING]):
        p = subprocess.run([program("callspan"), "--store", store.path, *args], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
        # The trail grows, and with it what status says of it; a pipe shows no size.
        err = b"" if args[:1] == ["export"] and p.returncode == 0 else p.stderr
        lines = [x for x in p.stdout.splitlines() if args != ["status"] or b"udit" not in x and b"ree" not in x]
        out[" ".join(args)] = (p.returncode, lines, err)
    return out


@test
def commands_answer_alike_with_and_without_a_service(bench):
    store = bench.store()
    store.record(*CAPTURES)
    call = next(r["id"] for r in store.calls() if r["outcome"] == "answered")
    without = answers(store, call)
    service = serve(bench, store)
    through = answers(store, call)
    for what in without:
        same(through[what], without[what], "what `%s` answers through the service" % what)
    service.stop()
    check(not os.path.exists(socket_of(store)), "the socket was left behind")
    same(answers(store, call), without, "what is answered afterwards")


@test
def export_makes_the_callers_own_file_whole_or_not_at_all(bench):
    store = bench.store(policy="30-day")
    store.record(CAPTURES[0])
    serve(bench, store)
    call = next(r["id"] for r in store.calls() if r["outcome"] == "answered")
    to = bench.path("x.wav")
    one_line(store.export(call, to, ok=(3,)))
    check(not os.path.exists(to), "a refused export left a file")
    shutil.copy(os.path.join(ROOT, "conf", "policies", "lab.yaml"), os.path.join(store.path, "policy.yaml"))
    one_line(store.export(call, to, ok=(3,)))  # the policy that was read is in force until the service is told


@test
def hangup_has_the_policy_read_again(bench):
    store = bench.store()
    store.record(CAPTURES[0])
    service = serve(bench, store)
    call = next(r["id"] for r in store.calls() if r["outcome"] == "answered")
    store.export(call, bench.path("a.wav"))
    same(stat.S_IMODE(os.stat(bench.path("a.wav")).st_mode), 0o600, "the file's mode")
    policy = os.path.join(store.path, "policy.yaml")
    with open(policy, "w") as f:
        f.write("this: is no policy\n")
    service.p.send_signal(1)
    service.wait_for("policy-wrong")
    store.export(call, bench.path("b.wav"))  # the one before stays in force
    shutil.copy(os.path.join(ROOT, "conf", "policies", "30-day.yaml"), policy)
    service.p.send_signal(1)
    service.wait_for("policy-read")
    one_line(store.export(call, bench.path("c.wav"), ok=(3,)))
    check(any(e["action"] == "policy-changed" for e in trail(store)), "the trail does not tell of it")


@test
def passphrase_goes_through_the_service(bench):
    words, wrong = bench.path("words"), bench.path("wrong")
    for path, text in ((words, "correct horse battery staple\n"), (wrong, "tr0ub4dor\n")):
        with open(path, "w") as f:
            f.write(text)
    store = bench.store(arguments=("--passphrase-file", words))
    store.record(CAPTURES[0])
    serve(bench, store)
    call = next(r["id"] for r in store.calls() if r["outcome"] == "answered")
    check("passphrase needed" in one_line(store.export(call, bench.path("x"), ok=(3,))), "it was not asked for")
    one_line(store.export(call, bench.path("x"), "--passphrase-file", wrong, ok=(3,)))
    store.export(call, bench.path("x.wav"), "--passphrase-file", words)
    same(open(bench.path("x.wav"), "rb").read(4), b"RIFF", "the file's head")


@test
def store_at_a_long_path_is_served(bench):
    deep = bench.path("d" * 100)
    os.makedirs(os.path.join(deep, "e" * 120))
    store = Store(bench, os.path.join(deep, "e" * 120, "store"))
    store.record(CAPTURES[0])
    Service(bench, store).ready()
    check(len(socket_of(store)) > 108, "the path is not long")
    check(len(store.calls()) == 2, "not the calls that were recorded")
    same(os.path.exists(socket_of(store)), True, "the socket's being there")


@test
def second_service_is_refused_and_a_stale_socket_replaced(bench):
    store = bench.store()
    first = serve(bench, store)
    r = run(program("callspan"), "--store", store.path, "serve", ok=(1,))
    check("answers" in one_line(r), "said %r", r.err)
    first.kill()
    check(os.path.exists(socket_of(store)), "a kill leaves the socket")
    store.calls()  # nobody answers: the store is opened in process
    second = serve(bench, store, "second")
    same(store.calls(), [], "the calls")
    check(second.stop() < 5 * PATIENCE, "it took long to end")
    with open(socket_of(store), "w") as f:
        f.write("not a socket")
    r = run(program("callspan"), "--store", store.path, "serve", ok=(1,))
    check("no socket" in one_line(r), "said %r", r.err)


@test
def full_disk_is_told_and_over_when_there_is_room(bench):
    store = bench.store()
    store.record(CAPTURES[0])
    service = serve(bench, store)
    call = next(r["id"] for r in store.calls() if r["outcome"] == "answered")
    pid, to = service.p.pid, bench.path("no.wav")
    # Written to it is as to a full disk: no file may grow.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    one_line(store.callspan("verify", call, ok=(1,)))
    one_line(store.export(call, to, ok=(1,)))  # its audit entry cannot be written
    check(not os.path.exists(to), "it was exported without an entry in the trail")
    same(len(store.calls()), 2, "the calls that can still be listed")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: store.export(call, to, ok=(0, 1)).code == 0, "no export", 20)
    check(service.alive(), "the service has ended: %s", service.said()[-400:])
    store.callspan("audit", "verify")
    store.verify()
    service.stop()
    store.callspan("audit", "verify")


# ---- who asks ---------------------------------------------------------------------------------------


@test
def users_over_the_socket_are_who_the_kernel_says(bench):
    store = bench.store(init=False)
    store.callspan("init", "--policy", "lab", "--unattended", "--controller", "daemon")
    store.record(CAPTURES[0])
    serve(bench, store)
    for path in (store.path, os.path.join(store.path, "vault")):
        p = subprocess.run(["ls", path], user="daemon", capture_output=True)
        check(p.returncode != 0, "daemon can list %s", path)
    rows = [json.loads(x) for x in as_user("daemon", store, "calls", "--json").stdout.splitlines()]
    same(len(rows), 2, "the calls that the controller sees")
    os.chmod(bench.dir, 0o777)
    to = bench.path("mine.wav")
    as_user("daemon", store, "export", rows[0]["id"], "-o", to, *OPENING)
    same(os.stat(to).st_uid, pwd.getpwnam("daemon").pw_uid, "whose the exported file is")
    for user in ("bin", "games", "nobody"):
        p = as_user(user, store, "calls", ok=(3,))
        same(p.stdout, b"", "what an unlisted user sees")
        as_user(user, store, "export", rows[0]["id"], "-o", bench.path(user), *OPENING, ok=(3,))
        check(not os.path.exists(bench.path(user)), "%s has a file", user)
    masked = [json.loads(x) for x in store.callspan("calls", "--json").out.splitlines()]
    same([(r["from"][:3], r["from_name"]) for r in masked], [("***", None)] * 2, "what root, an operator, sees of callers")
    p = as_user("daemon", store, "audit", "list", "--limit", "0", "--json")
    refused = collections.Counter((e["person"], e["action"]) for e in map(json.loads, p.stdout.splitlines())
                                  if e["outcome"] == "refused")
    same(refused, {(u, a): 1 for u in ("bin", "games", "nobody") for a in ("calls", "export")}, "the refusals audited")


@test
def with_sudo_the_person_is_who_called_it(bench):
    store = bench.store(init=False)
    store.callspan("init", "--policy", "lab", "--unattended", "--controller", "daemon")
    store.record(CAPTURES[0])
    serve(bench, store)
    if os.geteuid() != 0:
        raise Skip("needs root")
    store.callspan("calls", "--party", "117", ok=(3,), env={"SUDO_USER": ""})
    store.callspan("calls", "--party", "117", env={"SUDO_USER": "daemon"})
    store.callspan("calls", ok=(3,), env={"SUDO_USER": "games"})


@test
def socket_of_another_than_the_owner_gets_nothing(bench):
    if os.geteuid() != 0:
        raise Skip("needs root, to become other users")
    store = bench.store()
    store.record(CAPTURES[0])
    os.chmod(bench.dir, 0o711)
    os.chmod(store.path, 0o777)
    code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(5)\n"
            "print('up',flush=True)\nc,_=s.accept()\nsys.exit(9 if c.recv(1) else 0)")
    p = subprocess.Popen(["python3", "-c", code, socket_of(store)], user="games", group=pwd.getpwnam("games").pw_gid,
                         extra_groups=[], stdout=subprocess.PIPE)
    bench.cleanups.append(p.kill)
    same(p.stdout.readline(), b"up\n", "what the false service says")
    check("not the store's owner" in one_line(store.callspan("calls", ok=(3,))), "it was believed")
    same(p.wait(20), 0, "that it was sent nothing")


# ---- hostile clients ----------------------------------------------------------------------------------


def connect(store):
    s = socket.socket(socket.AF_UNIX)
    s.connect(socket_of(store))
    return s


@test
def hostile_clients_hinder_nobody(bench):
    store = bench.store()
    store.record(*CAPTURES)
    service = serve(bench, store)
    held = []
    for n in range(60):  # too many for one user, unless it is root; none says a whole request
        s = connect(store)
        s.settimeout(10)
        try:
            s.sendall(b"POST /v1/request HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"[:n + 10])
        except OSError:
            pass
        held.append(s)
    started = time.monotonic()
    for _ in range(5):
        store.calls()
    check(time.monotonic() - started < 10 * PATIENCE, "commands took %.1f s", time.monotonic() - started)
    body = b'{"request":"calls","limit":0}'
    for s in held[:20]:
        s.close()
    for _ in range(20):  # whole requests, whose replies nobody reads
        s = connect(store)
        s.sendall(b"POST /v1/request HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        held.append(s)
    rng = bench.random
    for _ in range(200 if LONG else 60):  # noise
        s = connect(store)
        try:
            s.sendall(rng.randbytes(rng.randrange(1, 3000)))
            s.close()
        except OSError:
            pass
    store.calls()
    check(service.alive(), "the service has ended: %s", service.said()[-400:])
    for s in held:
        s.close()
    store.verify()


HOLD = """
import socket, sys
held = []
for n in range(32):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
print("up", flush=True)
sys.stdin.read()
"""


@test
def eight_users_leave_room_for_others(bench):
    if os.geteuid() != 0:
        raise Skip("needs root, to become other users")
    store = bench.store(init=False)
    store.callspan("init", "--policy", "lab", "--unattended", "--controller", "daemon")
    store.record(CAPTURES[0])
    serve(bench, store)
    users = [p.pw_name for p in pwd.getpwall() if p.pw_uid and p.pw_name != "daemon"][:8]
    if len(users) < 8:
        raise Skip("needs nine users besides root")
    for user in users:
        p = subprocess.Popen(["python3", "-c", HOLD, socket_of(store)], user=user, extra_groups=[], cwd="/",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        bench.cleanups.append(p.kill)
        same(p.stdout.readline(), b"up\n", "what %s says" % user)
    p = as_user("daemon", store, "calls", "--json")
    same(len(p.stdout.splitlines()), 2, "the calls that another user sees meanwhile")
    same(len(store.calls()), 2, "the calls that root sees")


# ---- many at once ---------------------------------------------------------------------------------------


@test
def recorders_and_ten_clients_through_a_killed_service(bench):
    store = bench.store()
    service = serve(bench, store)
    clients = Clients(store)
    expected = 0
    for n in range(12 if SANITIZED else 40):
        expected += store.record(CAPTURES[n % len(CAPTURES)])["calls"]
        if n % 7 == 5:
            clients.forgiving.set()
            service.kill()
            service = serve(bench, store, "service%d" % n)
            time.sleep(1)
            clients.forgiving.clear()
    clients.stop()
    nothing_lost_nothing_double(store, expected)
    check(clients.asked > 50, "the clients asked %d times only", clients.asked)
    service.stop()
    nothing_lost_nothing_double(store, expected)


@test
def keeper_takes_in_without_being_asked(bench):
    store = bench.store()
    service = serve(bench, store)
    store.record(CAPTURES[0])
    folder = os.path.join(store.path, "recorder")
    wait_until(lambda: not any(n.endswith(".seg") for n in os.listdir(folder)), "the segment was not taken over", 15)
    service.stop()
    check(len(os.listdir(os.path.join(store.path, "vault", "segments"))) == 2, "it is not in the vault")


@test
def ten_minutes_at_fifty_calls_a_second(bench):
    if not LONG:
        raise Skip("LONG=1 runs it")
    generate = program("bench/generate")
    if not os.access(generate, os.X_OK):
        raise Skip("needs bench/generate")
    capture, seconds, rate = bench.path("calls.pcap"), 10, 50
    sent = json.loads(run(generate, "--calls", str(rate * seconds), "--seconds", "2", "--output", capture).out)
    store = bench.store()
    serve(bench, store)
    clients, purging = Clients(store), Purging(store, pause=5)
    started, expected = time.monotonic(), 0
    while time.monotonic() - started < 600:
        began = time.monotonic()
        expected += store.record(capture)["calls"]
        time.sleep(max(0, seconds - (time.monotonic() - began)))
    purging.stop()
    clients.stop()
    check(expected >= 50 * 550 and sent, "only %d calls were recorded", expected)
    nothing_lost_nothing_double(store, expected)


if __name__ == "__main__":
    main()
