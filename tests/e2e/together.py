# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Recorder, service, purge and ten clients at once: nothing lost, nothing double, and whoever asks is told what is true.

`make check-long` runs it under ThreadSanitizer too: a report in any of the programs fails it.
"""

import collections
import json
import os
import re
import threading
import time

from harness import LONG, PATIENCE, Process, check, main, program, same, test
from expiring import START_US, capture, policy_file
from serving import Clients, Purging, serve, trail

ROUNDS = 30 if LONG else 4  # at least
SHORT, LASTING = 24, 8  # calls of a round
PURPOSE = ("--purpose", "complaint", "--reference", "case 7")


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def capture_of(bench, n):
    return capture(bench, "calls%d.pcap" % n, bench.seed + n, SHORT, LASTING, 1.0, START_US + n * 3600_000000)


class Curious(Clients):
    """Clients that also export what they see, with a passphrase; some of it is destroyed in front of them."""

    GONE = ("was destroyed on", "was destroyed meanwhile", "no such recording")

    def __init__(self, bench, store, words):
        self.bench, self.words, self.ids, self.exported = bench, words, [], 0
        super().__init__(store)

    def look(self, args, p):
        super().look(args, p)
        if args[0] == "calls" and "--party" not in args:
            self.ids = [json.loads(line)["id"] for line in p.stdout.splitlines()]

    def export(self, call):
        to = self.bench.path("export-%d" % threading.get_ident())
        p = self.ask(("export", call, "-o", to, *PURPOSE, "--passphrase-file", self.words))
        said = p.stderr.decode("utf-8", "replace")
        if os.path.exists(to) != (p.returncode == 0):
            self.wrong.append("an export that gave %d, and its file: %s" % (p.returncode, said[-200:]))
        if p.returncode == 0:
            self.exported += 1
            os.unlink(to)
        elif not any(g in said for g in self.GONE):
            self.wrong.append("export: %d %s" % (p.returncode, said[-200:]))

    def once(self, n):
        super().once(n)
        ids = self.ids
        if ids and n % 3 == 0:
            self.export(ids[n % len(ids)])


def disposals(store):
    with open(os.path.join(store.path, "vault", "disposals")) as f:
        return f.read()


def ids_of(lines):
    return [line.split(" ")[0] for line in lines.splitlines()]


def destructions(store, entries):
    """{call: number of the entry that tells of its destruction}."""
    text, out = disposals(store), {}
    for e in entries:
        lines = re.search(r"lines=(\d+)-(\d+)", e["detail"] or "") if e["action"] == "destroyed" else None
        for call in ids_of(text[int(lines[1]):int(lines[2])]) if lines else ():
            out[call] = e["number"]
    return out


def exports_are_told_truly(store, entries):
    """Each export that was granted has one end, and none left when what it opened was destroyed."""
    destroyed, ends = destructions(store, entries), collections.Counter()
    for e in entries:
        if e["action"] != "export" or not e["call"]:
            continue
        if e["outcome"] == "granted":
            check(e["number"] < destroyed.get(e["call"], e["number"] + 1), "opened behind its destruction: %r", e)
            ends[e["call"]] += 1
        elif e["outcome"] == "done":
            check(e["number"] < destroyed.get(e["call"], e["number"] + 1), "left behind its destruction: %r", e)
            ends[e["call"]] -= 1
        elif e["outcome"] == "failed" and "meanwhile" in (e["detail"] or ""):
            ends[e["call"]] -= 1
    same({c: n for c, n in ends.items() if n}, {}, "the exports without an end")


@test
def recorder_service_purge_and_ten_clients(bench):
    words = write(bench.path("words"), "correct horse battery staple\n")
    store = bench.store(policy=policy_file(bench), arguments=("--passphrase-file", words))
    service = serve(bench, store)
    clients, purging = Curious(bench, store, words), Purging(store)
    rounds, deadline = 0, time.monotonic() + 300 * PATIENCE
    while rounds < ROUNDS or clients.asked < 60 or not clients.exported or purging.runs < 4:
        check(time.monotonic() < deadline, "%d rounds; asked %d, exported %d, purged %d times", rounds, clients.asked,
              clients.exported, purging.runs)
        recorder = Process(bench, program("callspand"), "--store", store.path, "-r", capture_of(bench, rounds),
                           "--retain-from", "call", name="callspand%d" % rounds)
        recorder.ended()
        rounds += 1
    purging.stop()
    clients.stop()
    store.callspan("purge", "--yes")
    rows, gone, entries = store.calls(), ids_of(disposals(store)), trail(store)
    same(sorted({r["to"][:2] for r in rows}), ["77"], "whose recordings are left")
    same(len(rows), rounds * LASTING, "the recordings that are left")
    same(len(gone), rounds * SHORT, "the recordings that were destroyed")
    same(len(set(gone)), len(gone), "the different ones of these")
    recorded = [e["call"] for e in entries if e["action"] == "recorded"]
    same(sorted(recorded), sorted(gone + [r["id"] for r in rows]), "the recordings in the trail, each once")
    exports_are_told_truly(store, entries)
    store.verify()
    service.stop()
    store.verify()
    store.callspan("audit", "verify")


if __name__ == "__main__":
    main()
