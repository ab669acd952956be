# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The small runner that every end-to-end test file uses, and its hands on the two programs.

A test is a function named by behaviour and marked @test; it takes the Bench it works at (a
directory of its own, random numbers of its own).  It passes by returning, fails by `check`, and
skips by raising Skip.  Printed, one line each: `ok NAME`, `FAIL NAME: why`, `skip NAME: why`.

Environment: CALLSPAN_BUILD (build/release), LONG=1 (full counts), SEED=n, KEEP=1 (keep the
directories).  Arguments: only the tests whose names contain one of them.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "gen"))

BUILD = os.path.join(ROOT, os.environ.get("CALLSPAN_BUILD", "build/release"))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
LONG = bool(os.environ.get("LONG"))
SEED = int(os.environ.get("SEED") or random.randrange(1, 1000000))
SANITIZED = any(s in os.path.basename(BUILD) for s in ("asan", "tsan"))
PATIENCE = 10 if SANITIZED else 1

# A sanitizer's finding must never look like one of the programs' own answers.
os.environ.setdefault("ASAN_OPTIONS", "exitcode=99")
os.environ.setdefault(
    "TSAN_OPTIONS", "exitcode=99 suppressions=" + os.path.join(ROOT, "tests", "tsan.supp")
)
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")


class Skip(Exception):
    pass


class Wrong(Exception):
    pass


def check(condition, why, *values):
    if not condition:
        raise Wrong(why % values if values else why)


def same(got, expected, what):
    check(got == expected, "%s is %r, should be %r", what, got, expected)


TESTS = []


def test(f):
    TESTS.append((f.__name__, f))
    return f


def tests_of(names, f):
    """One test for each name: f(bench, name)."""
    for name in names:
        TESTS.append((name, lambda bench, name=name: f(bench, name)))


class Bench:
    """Where one test works."""

    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix="callspan-test-")
        self.seed = SEED
        self.random = random.Random("%d %s" % (SEED, name))
        self.cleanups = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def store(self, name="store", **more):
        return Store(self, self.path(name), **more)

    def finish(self):
        while self.cleanups:
            self.cleanups.pop()()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def main():
    # Under nohup, or behind a shell's `&`, the programs under test would ignore them too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = sys.argv[1:]
    failed = False
    for name, f in TESTS:
        if wanted and not any(w in name for w in wanted):
            continue
        bench = Bench(name)
        line = "ok " + name
        try:
            f(bench)
        except Skip as e:
            line = "skip %s: %s" % (name, e)
        except Wrong as e:
            line, failed = "FAIL %s: %s" % (name, e), True
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            line = "FAIL %s: %s: %s (%s:%d)" % (
                name, type(e).__name__, e, os.path.basename(where.filename), where.lineno,
            )  # fmt: skip
            failed = True
        finally:
            try:
                bench.finish()
            except Exception as e:
                line, failed = "FAIL %s: cleaning up: %s" % (name, e), True
        if line.startswith("FAIL"):
            kept = ", kept in " + bench.dir if os.environ.get("KEEP") else ""
            line += " [SEED=%d%s]" % (SEED, kept)
        print(line.replace("\n", " | "), flush=True)
    sys.exit(1 if failed else 0)


# ---- running the programs ------------------------------------------------------------------------


def program(name):
    return os.path.join(BUILD, name)


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code = args, code
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def said(self):
        return "`%s` gave %d: %s" % (
            " ".join(os.path.basename(a) for a in self.args), self.code,
            (self.err or self.out).strip()[-400:],
        )  # fmt: skip


def found_in(err):
    """Is there a sanitizer's report in it?"""
    return "Sanitizer" in err or "runtime error:" in err


def complaint(code, err):
    """Why this is not how a program of ours may end, or None."""
    if code < 0:
        return "was killed by signal %d" % -code
    if found_in(err) or code == 99:
        return "has a finding of a sanitizer: " + err.strip()[-1500:]
    return None


def run(*args, ok=(0,), timeout=120, stdin=b"", env=None, cwd=None):
    """Run a program to its end.  Its exit status must be in `ok`."""
    p = subprocess.run(
        args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=timeout * PATIENCE, env=dict(os.environ, **env) if env else None, cwd=cwd,
    )  # fmt: skip
    r = Result(args, p.returncode, p.stdout, p.stderr)
    bad = complaint(r.code, r.err)
    check(bad is None, "`%s` %s", " ".join(os.path.basename(a) for a in args), bad)
    check(r.code in ok, "%s", r.said())
    return r


def one_line(r):
    """The single line that a refusal is told in; gives it."""
    lines = [x for x in r.err.splitlines() if x and not x.startswith(("info ", "warning "))]
    check(len(lines) == 1, "should say one line, said %r", r.err)
    return lines[0]


# ---- a store -------------------------------------------------------------------------------------

# received = delivered + held + dropped by reason: left side, right side.
LAW = [
    (["datagrams"],
     ["to-media", "to-signalling", "to-pen", "to-nobody", "signalling-ring-drop",
      "reassembled-ring-drop"]),
    (["to-media", "pen-released"],
     ["rtp-stored", "rtp-event", "rtp-event-stored", "rtp-relay-copy", "rtp-excluded",
      "rtp-duplicate", "rtp-malformed", "rtp-after-end", "rtp-before-start", "rtp-refused", "rtp-no-buffer",
      "rtp-stream-limit", "rtp-oversize", "rtcp", "rtcp-encrypted", "rtcp-malformed", "media-stun",
      "media-dtls", "media-zrtp", "media-other"]),
    (["to-pen"],
     ["pen-released", "pen-expired", "pen-full", "pen-old", "pen-held"]),
    (["decode-fragment"],
     ["fragment-merged", "fragment-duplicate", "fragment-malformed", "fragment-overlap",
      "fragment-contradictory", "fragment-tiny", "fragment-timeout", "fragment-evicted",
      "fragment-ring-drop", "fragments-held"]),
    (["decode-tcp"],
     ["tcp-no-data", "tcp-not-sip", "tcp-taken", "tcp-duplicate", "tcp-out-of-window",
      "tcp-evicted", "tcp-ring-drop", "segments-held"]),
    (["frames", "fragment-packets"],
     ["datagrams", "decode-other", "decode-malformed", "decode-fragment", "decode-tcp",
      "decode-nested", "decode-link-unknown"]),
]  # fmt: skip


def check_law(counters):
    for left, right in LAW:
        a, b = sum(counters[n] for n in left), sum(counters[n] for n in right)
        parts = ", ".join("%s %d" % (n, counters[n]) for n in right if counters[n])
        check(a == b, "%s = %d, but accounted for are %d (%s)", " + ".join(left), a, b, parts)


class Store:
    def __init__(self, bench, path, policy="lab", init=True, arguments=("--unattended",), env=None):
        self.bench, self.path, self.env = bench, path, env
        if init:
            self.callspan("init", "--policy", policy, *arguments)

    def callspan(self, *args, **more):
        more.setdefault("env", self.env)
        return run(program("callspan"), "--store", self.path, *args, **more)

    def record(self, *captures, extra=(), ok=(0,), timeout=300):
        """Record capture files; gives the counters, which have been held against the law."""
        out = os.path.join(self.bench.dir, "counters.json")
        if os.path.exists(out):
            os.unlink(out)
        files = [a for c in captures for a in ("-r", c)]
        self.said = run(
            program("callspand"), "--store", self.path, "--counters", out, *files, *extra,
            ok=ok, timeout=timeout,
        )  # fmt: skip
        return read_counters(out)

    def calls(self, *args, **more):
        r = self.callspan("calls", "--json", "--limit", "0", *args, **more)
        return [json.loads(line) for line in r.out.splitlines()]

    def export(self, call_id, to, *args, purpose="complaint", reference="case 7", **more):
        return self.callspan(
            "export", call_id, "-o", to, "--purpose", purpose, "--reference", reference,
            *args, **more,
        )  # fmt: skip

    def payload_hashes(self, call_id):
        r = self.callspan(
            "show", call_id, "--json", "--payload-sha1", "--purpose", "complaint",
            "--reference", "test",
        )  # fmt: skip
        return json.loads(r.out)

    def verify(self, ok=(0,)):
        return self.callspan("verify", "--json", ok=ok)

    def segments(self):
        out = []
        for d in ("recorder", "vault/segments"):
            folder = os.path.join(self.path, d)
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            out += [os.path.join(folder, n) for n in names if n.endswith(".seg")]
        return out

    def everything(self):
        """Each file of the store with its bytes."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        yield path, f.read()


def read_counters(path):
    with open(path) as f:
        counters = json.load(f)
    check_law(counters)
    return counters


# ---- processes that run beside the test ----------------------------------------------------------


class Process:
    """A program in the background: its output goes to a file; it is ended with the test."""

    def __init__(self, bench, *args, name="process"):
        self.log = bench.path(name + ".log")
        self.args = args
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        bench.cleanups.append(self.kill)

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.p.poll() is None

    def kill(self):
        if self.alive():
            self.p.kill()
        self.p.wait()
        # A report stands in the log even where a kill left no exit status to tell of it.
        check(not found_in(self.said()), "%s has a finding of a sanitizer: %s", self.log, self.said()[-3000:])

    def stop(self, signal=15, timeout=20, ok=(0,)):
        """Ask it to end; gives the seconds that it took."""
        started = time.monotonic()
        self.p.send_signal(signal)
        self.ended(timeout, ok)
        return time.monotonic() - started

    def ended(self, timeout=120, ok=(0,)):
        """Wait for its end, and look at how it came."""
        try:
            code = self.p.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Wrong("did not end within %d s: %s" % (timeout * PATIENCE, self.said()[-400:]))
        bad = complaint(code, self.said())
        check(bad is None, "%s %s", os.path.basename(self.args[0]), bad)
        check(code in ok, "ended with %d: %s", code, self.said()[-400:])

    def wait_for(self, text, timeout=60):
        done = lambda: text in self.said() or not self.alive()  # noqa: E731
        wait_until(done, "%r was never said" % text, timeout)
        check(text in self.said(), "ended before it said %r: %s", text, self.said()[-400:])


def wait_until(true, why, timeout=60, every=0.1):
    deadline = time.monotonic() + timeout * PATIENCE
    while not true():
        check(time.monotonic() < deadline, "%s within %d s", why, timeout * PATIENCE)
        time.sleep(every)


def locked(bench, name):
    """Only one test on this machine at a time may go past here (until the test ends)."""
    f = open(os.path.join(tempfile.gettempdir(), "callspan-test-%s.lock" % name), "a")
    bench.cleanups.append(f.close)
    deadline = time.monotonic() + 900
    while True:
        try:
            return fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            check(time.monotonic() < deadline, "another test holds %s", f.name)
            time.sleep(0.2)
