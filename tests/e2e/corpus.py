#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Real captures against their truth: answered calls, parties, streams, and the audio, byte by byte.

Taken are the captures of ../shared/corpus that are plain SIP over UDP with G.711.  For each the
table says `right`, or how it differs and why; corpus.expect.json beside this file holds the known
differences with their reasons.  A new difference fails, and so does one that is gone.
`corpus.py --update` rewrites the differences and keeps the reasons.
"""

from harness import SHARED, Bench, Skip, Wrong, main, tests_of

import csv
import json
import os
import sys

CORPUS = os.path.join(SHARED, "corpus")
EXPECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.expect.json")
# What is carried otherwise than by plain UDP over IP over an Ethernet, VLAN, cooked or raw link.
OTHERWISE = set(
    "sip-tcp sip-tls sip-websocket tls ip-fragments gre vxlan mpls pppoe gtp-u erspan ip-in-ip "
    "srtp sdes-crypto dtls link:ppp webrtc esp-null-or-encrypted esp-in-udp".split()
)


def index():
    """File names of the captures to compare."""
    path = os.path.join(CORPUS, "INDEX.tsv")
    if not os.path.exists(path):
        return []
    out = []
    with open(path, newline="") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            has = set(row["features"].split(","))
            plain = {"answered-call", "sip-udp"} <= has and has & {"rtp:g711u", "rtp:g711a"}
            if plain and not has & OTHERWISE:
                out.append(row["file"])
    return out


def truth_of(name):
    """Answered calls {Call-ID: (from, to)} and their streams {(src, dst, ssrc): truth}."""
    with open(os.path.join(CORPUS, "truth", name + ".json")) as f:
        truth = json.load(f)
    calls, endpoints, events = {}, set(), set()
    for call in truth["signalling"]["calls"]:
        if call["answered"] is None:
            continue
        calls[call["callid"]] = (call["from_user"], call["to_user"])
        for _, _, addresses, media, attributes in call["media"]:
            ports = [m.split()[1] for m in media.split(";") if m.startswith("audio ")]
            endpoints |= {bracketed(a + ":" + p) for a in addresses.split(";") for p in ports}
            named = [a.split() for a in attributes if "telephone-event" in a]
            events |= {words[0][len("rtpmap:") :] for words in named}
    streams = {}
    for s in truth["streams"]:
        key = (bracketed(s["src"]), bracketed(s["dst"]), int(s["ssrc"], 16))
        if (key[0] in endpoints or key[1] in endpoints) and not set(s["pts"]) <= events:
            streams[key] = s
    return calls, streams


def bracketed(text):
    ip, _, port = text.rpartition(":")
    return "[%s]:%s" % (ip, port) if ":" in ip and ip[0] != "[" else text


def differences(bench, name):
    """What the recording of a capture has otherwise than the truth, a line each."""
    calls, streams = truth_of(name)
    store = bench.store()
    store.record(os.path.join(CORPUS, "captures", name), ok=(0, 1))
    rows = {r["sip_call_id"]: r for r in store.calls("--outcome", "answered")}
    out = []
    if len(rows) != len(calls):
        out.append("answered calls: %d, should be %d" % (len(rows), len(calls)))
    got = {}
    for call_id, row in sorted(rows.items()):
        parties = calls.get(call_id)
        # The truth's reader knows no user parts of one letter, and gives none.
        for field, should in zip(("from", "to"), parties or ()):
            if should and row[field] != should:
                out.append("%s: %r, should be %r" % (field, row[field], should))
        for s in store.payload_hashes(row["id"])["streams"]:
            if s["packets"]:
                key = (s["src"], s["dst"], int(s["ssrc"], 16))
                got.setdefault(key, []).append((s["payload_sha1"], s["packets"]))
    for key in sorted(set(got) | set(streams)):
        what = "stream %s -> %s 0x%08x: " % key
        if key not in streams:
            out.append(what + "recorded, belongs to no answered call")
        elif key not in got:
            out.append(what + "not recorded")
        elif len(got[key]) > 1:
            out.append(what + "recorded in %d parts" % len(got[key]))
        elif got[key][0][0] != streams[key]["audio_payload_sha1"]:
            n = (got[key][0][1], streams[key]["audio_pkts"])
            out.append(what + "other audio: %d packets, should be %d" % n)
    return out


def expected():
    if not os.path.exists(EXPECT):
        return {}
    with open(EXPECT) as f:
        return json.load(f)


def compare(bench, name):
    name = name[len("corpus_") :]
    if not os.path.exists(os.path.join(CORPUS, "captures", name)):
        raise Skip("../shared/corpus is not here")
    known = expected().get(name, {"differs": [], "why": ""})
    found = differences(bench, name)
    for line in found:
        print("# %-48s differs: %s (%s)" % (name, line, known["why"] or "unknown"))
    if not found:
        print("# %-48s right" % name)
    new = [d for d in found if d not in known["differs"]]
    gone = [d for d in known["differs"] if d not in found]
    if new or gone:
        raise Wrong("; ".join(["new: " + d for d in new] + ["no longer: " + d for d in gone]))


def update():
    known, out = expected(), {}
    for name in index():
        bench = Bench(name)
        found = differences(bench, name)
        bench.finish()
        if found:
            why = known.get(name, {}).get("why", "")
            out[name] = {"why": why, "differs": found}
            print(name, *found, sep="\n    ")
    with open(EXPECT, "w") as f:
        json.dump(out, f, indent=2)
        f.write("\n")


names = index()
tests_of(["corpus_" + n for n in names] if names else ["corpus_captures"], compare)

if __name__ == "__main__":
    update() if sys.argv[1:] == ["--update"] else main()
