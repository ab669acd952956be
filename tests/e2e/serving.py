# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A service of a store, and clients that ask it all the time."""

import collections
import json
import os
import subprocess
import threading

from harness import Process, check, complaint, program, same


class Service(Process):
    def __init__(self, bench, store, name="service"):
        super().__init__(bench, program("callspan"), "--store", store.path, "serve", name=name)

    def ready(self):
        self.wait_for("serving", 30)
        return self


def serve(bench, store, name="service"):
    """The service, to whose socket everybody's way is open."""
    os.chmod(bench.dir, 0o711)
    return Service(bench, store, name).ready()


def trail(store):
    r = store.callspan("audit", "list", "--limit", "0", "--json")
    return [json.loads(line) for line in r.out.splitlines()]


class Clients:
    """Ten clients that ask all the time; what they were told wrongly, and how often they asked."""

    COMMANDS = (("calls", "--json", "--limit", "0"), ("status", "--json"), ("verify", "--json"),
                ("calls", "--party", "117", "--json"), ("audit", "verify"), ("coverage", "--json"))

    def __init__(self, store, count=10):
        self.store, self.wrong, self.asked, self.seen = store, [], 0, 0
        self.stopping, self.forgiving = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(count)]
        store.bench.cleanups.append(self.end)  # of a test that fails before it stops them
        for t in self.threads:
            t.start()

    def ask(self, args):
        """The command's answer; what no program of ours may do is never forgiven."""
        p = subprocess.run([program("callspan"), "--store", self.store.path, *args], stdin=subprocess.DEVNULL,
                           capture_output=True)
        self.asked += 1
        bad = complaint(p.returncode, p.stderr.decode("utf-8", "replace"))
        if bad:
            self.wrong.append("%s %s" % (args, bad))
        return p

    def look(self, args, p):
        """At an answer that was good."""
        if args[0] == "calls" and "--party" not in args:
            ids = [json.loads(line)["id"] for line in p.stdout.splitlines()]
            if len(ids) != len(set(ids)):
                self.wrong.append("a call was listed twice")
            self.seen = max(self.seen, len(ids))

    def once(self, n):
        args = self.COMMANDS[n % len(self.COMMANDS)]
        forgiving = self.forgiving.is_set()
        p = self.ask(args)
        if p.returncode == 0:
            self.look(args, p)
        elif not forgiving and not self.forgiving.is_set():
            self.wrong.append("%s: %d %s" % (args, p.returncode, p.stderr.decode()[-200:]))

    def run(self, n):
        while not self.stopping.is_set():
            self.once(n)
            n += 1

    def end(self):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def stop(self):
        self.end()
        check(not self.wrong, "%d of %d wrong: %s", len(self.wrong), self.asked, self.wrong[:2])


class Purging:
    """`purge --yes`, again and again, as a program of its own."""

    def __init__(self, store, pause=0):
        self.store, self.pause, self.wrong, self.runs, self.over = store, pause, None, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        store.bench.cleanups.append(self.end)
        self.thread.start()

    def run(self):
        while not self.over.is_set() and not self.wrong:
            try:
                self.store.callspan("purge", "--yes")
                self.runs += 1
                self.over.wait(self.pause)
            except Exception as e:
                self.wrong = e

    def end(self):
        self.over.set()
        self.thread.join()

    def stop(self):
        self.end()
        if self.wrong:
            raise self.wrong


def nothing_lost_nothing_double(store, expected):
    rows = store.calls()
    same(len(rows), expected, "the number of calls")
    same(len({r["id"] for r in rows}), expected, "the number of different calls")
    recorded = collections.Counter(e["call"] for e in trail(store) if e["action"] == "recorded")
    same(set(recorded.values()), {1}, "how often each call is in the trail")
    same(set(recorded), {r["id"] for r in rows}, "the calls in the trail")
    store.verify()
    store.callspan("audit", "verify")
