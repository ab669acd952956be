#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Real captures against their truth: answered calls, parties, streams, digits, and the audio.

Taken is every capture of ../shared/corpus that has an answered call and RTP.  For each the table
says `right`, or how it differs and why; corpus.expect.json beside this file holds the known
differences with their reasons.  A new difference fails, so does one that is gone, and so do more
than 3 in 100 captures that differ.

    corpus.py [NAME...]     compare
    corpus.py --update      rewrite the differences, keep the reasons
"""

from harness import Bench, Skip, Wrong, main, test, tests_of

import json
import os
import sys

import g711
import reader
from compare import CODECS, find, read_wav
from truth import Truth, captures

EXPECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.expect.json")
SHARE = 0.03
# The lab's policy, and digits kept.
POLICY = """policy: corpus
retention:
  default: standard
  classes:
    standard: { days: 30 }
record:
  dtmf: keep
purposes: [complaint]
export:
  plain: allow
"""


class Comparison:
    """One capture, recorded; `wrong` and `notes` are what there is to say of it."""

    def __init__(self, bench, name):
        self.bench, self.truth, self.wrong, self.notes = bench, Truth(name), [], []
        policy = bench.path("policy.yaml")
        with open(policy, "w") as f:
            f.write(POLICY)
        self.store = bench.store(policy=policy)
        self.counters = self.store.record(self.truth.path, ok=(0, 1))
        self.rows = {r["sip_call_id"]: r for r in self.store.calls("--outcome", "answered")}
        self.taken = set()
        self._calls()
        for call_id, row in sorted(self.rows.items()):
            if call_id in self.truth.calls:
                self._call(row, self.truth.calls[call_id], self.truth.streams[call_id])
        for key in sorted(self.truth.shared() - self.taken):
            if self.rows:
                self.wrong.append("stream %s -> %s 0x%08x: not recorded" % key)
        for key in self.truth.unread:
            self.wrong.append("stream %s -> %s 0x%08x: the truth's hash is not ours to read" % key)

    def _calls(self):
        got, should = set(self.rows), set(self.truth.calls)
        if len(got) != len(should):
            tls = self.counters["sip-tls"]
            told = "; sip-tls tells of %d" % tls if tls else ""
            self.wrong.append("answered calls: %d, should be %d%s" % (len(got), len(should), told))
        elif got != should:
            self.wrong.append("answered calls: %d with another Call-ID" % len(got - should))
        for call_id, call in sorted(self.truth.calls.items()):
            # The truth's reader knows no user parts of one letter, and gives none.
            row = self.rows.get(call_id, {})
            for field, party in zip(("from", "to"), call.parties):
                if row and party and row[field] != party:
                    self.wrong.append("%s: %r, should be %r" % (field, row[field], party))

    def _call(self, row, call, streams):
        shown = {}
        for s in self.store.payload_hashes(row["id"])["streams"]:
            if s["packets"]:
                shown.setdefault(key_of(s), []).append(s)
        listed = {key_of(s): s for s in row["streams"]}
        has_audio = {k for k, s in streams.items() if s.audio()[1] and not s.shared}
        self.taken |= set(shown)
        for key in sorted(set(shown) | has_audio):
            what = "stream %s -> %s 0x%08x: " % key
            if key not in streams:
                self.wrong.append(what + "recorded, belongs to no answered call")
            elif key not in shown:
                self.wrong.append(what + "not recorded")
            elif len(shown[key]) > 1:
                self.wrong.append(what + "recorded in %d parts" % len(shown[key]))
            else:
                self._stream(what, shown[key][0], listed[key], streams[key], streams.values())
        self._digits(row, streams)
        if shown:
            self._pcap(row, streams)
        for remark in row["coverage"]:
            self.notes.append(remark)
        for s in row["streams"]:
            if key_of(s) in streams and streams[key_of(s)].master:
                self._sound(row, s["track"], streams[key_of(s)])

    def _stream(self, what, shown, listed, stream, others):
        pt = shown["payload_type"]
        early, must = stream.audio(pt)
        if not stream.accepts(pt, shown["packets"], shown["payload_sha1"]):
            n = (shown["packets"], len(must), len(early))
            self.wrong.append(what + "other audio: %d packets, should be %d (and %d early)" % n)
        pen = shown["packets"] - len(must)
        if pen > 0:
            self.notes.append("%d packets from the pen" % pen)
        if stream.after:
            self.notes.append("%d packets after the BYE left out" % stream.after)
        n = len(stream.audio()[1]) + max(0, pen)
        if listed["packets"] != n:
            self.wrong.append(what + "packets %d, should be %d" % (listed["packets"], n))
        lost = stream.lost(max(0, pen), others)
        if listed["lost"] != lost:
            self.wrong.append(what + "lost %d, should be %d" % (listed["lost"], lost))

    def _digits(self, row, streams):
        """Those sent as RFC 4733 events, in order, on each track."""
        should = {"caller": [], "callee": []}
        for s in row["streams"]:
            if key_of(s) in streams:
                should[s["track"]] += streams[key_of(s)].digits()
        count = sum(len(d) for d in should.values())
        if row["dtmf_count"] < count:
            self.wrong.append("dtmf_count: %d, should be %d" % (row["dtmf_count"], count))
        if not count:
            return
        shown = self.store.callspan(
            "show", row["id"], "--json", "--digits", "--purpose", "complaint", "--reference", "x"
        )  # fmt: skip
        got = {d["track"]: d["digits"] for d in json.loads(shown.out)["digits"]}
        for track, presses in should.items():
            text = "".join(digit for _, digit in sorted(presses))
            if got.get(track, "") != text:
                text = "%s's digits: %r, should be %r" % (track, got.get(track, ""), text)
                self.wrong.append(text)

    def _pcap(self, row, streams):
        """Every RTP packet of the call again, out of `export --format pcap`."""
        path = self.bench.path(row["id"] + ".pcap")
        self.store.export(row["id"], path, "--format", "pcap")
        for key, packets in sorted(reader.streams(path).items()):
            what = "exported stream %s -> %s 0x%08x: " % key
            if key not in streams:
                self.wrong.append(what + "belongs to no answered call")
                continue
            s = streams[key]
            got = {fields(p) for p in packets}
            may, must = ({fields(p) for p in ps} for ps in (s.may.values(), s.must.values()))
            if not must <= got:
                self.wrong.append(what + "%d packets are missing" % len(must - got))
            if got - must - may:
                self.wrong.append(what + "%d packets too many" % len(got - must - may))

    def _sound(self, row, track, stream):
        """What was encrypted is heard: every frame in its place, sample by sample."""
        path = self.bench.path(row["id"] + ".wav")
        self.store.export(row["id"], path)
        samples = read_wav(path)[("caller", "callee").index(track)]
        packets = stream.opened()
        pcm = lambda p: g711.decode(CODECS[p.pt], p.payload)  # noqa: E731
        base = find(samples, pcm(packets[0]))
        for p in packets:
            at = 2 * (base + p.ts - packets[0].ts)
            if base < 0 or samples[at : at + 320] != pcm(p):
                self.wrong.append("%s: packet %d is not heard in its place" % (track, p.seq))
                return
        self.notes.append("%s decrypted, %d packets heard" % (track, len(packets)))


def key_of(s):
    return (s["src"], s["dst"], int(s["ssrc"], 16))


def fields(p):
    """What must come back of a packet: the time too."""
    return (p.us, p.seq, p.ts, p.pt, p.payload)


def expected():
    if not os.path.exists(EXPECT):
        return {}
    with open(EXPECT) as f:
        return json.load(f)


RESULTS = {}


def table_line(name, c, known):
    if not c.wrong:
        notes = "; ".join(sorted(set(c.notes)))
        return "# %-48s right%s" % (name, " (%s)" % notes if notes else "")
    return "\n".join(
        "# %-48s wrong: %s (%s)" % (name, line, known["why"] or "unknown") for line in c.wrong
    )


def compare(bench, name):
    name = name[len("corpus_") :]
    if name == "captures":
        raise Skip("../shared/corpus is not here")
    known = expected().get(name, {"differs": [], "why": ""})
    RESULTS[name] = True
    c = Comparison(bench, name)
    RESULTS[name] = bool(c.wrong)
    print(table_line(name, c, known), flush=True)
    new = [d for d in c.wrong if d not in known["differs"]]
    gone = [d for d in known["differs"] if d not in c.wrong]
    if new or gone:
        raise Wrong("; ".join(["new: " + d for d in new] + ["no longer: " + d for d in gone]))


def update():
    known, out = expected(), {}
    for name in captures():
        bench = Bench(name)
        wrong = Comparison(bench, name).wrong
        bench.finish()
        if wrong:
            why = known.get(name, {}).get("why", "")
            out[name] = {"why": why, "differs": wrong}
            print(name, *wrong, sep="\n    ")
    with open(EXPECT, "w") as f:
        json.dump(out, f, indent=2)
        f.write("\n")


names = captures()
tests_of(["corpus_" + n for n in names] if names else ["corpus_captures"], compare)


@test
def corpus_at_most_three_in_a_hundred_differ(bench):
    if len(RESULTS) < len(names) or not names:
        raise Skip("not every capture was compared")
    differ = sum(RESULTS.values())
    share = differ / len(RESULTS)
    print("# %d of %d captures differ: %.1f %%" % (differ, len(RESULTS), 100 * share))
    if share > SHARE:
        raise Wrong("%d of %d captures differ: %.1f %%" % (differ, len(RESULTS), 100 * share))
    if any(not e["why"] for e in expected().values()):
        raise Wrong("a difference in corpus.expect.json has no reason")


if __name__ == "__main__":
    update() if sys.argv[1:] == ["--update"] else main()
