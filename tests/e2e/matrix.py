#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The live matrix: real telephones on the span lab, whatever the mirror does to their frames.

A cell is one way to set the lab up and one call on it.  callspand records at the mirror port; then
the number of calls, their parties, and the tones on both tracks (caller 440 Hz, callee 1000 Hz,
the third party 1500 Hz) are measured, 100 ms at a time, and printed as a row of a table.  What no
recorder can open (TLS) must be reported instead.  LONG=1 takes every cell, else a few that combine
much; an argument takes the cells whose names contain it.
"""

from harness import LONG, Skip, Wrong, check, main, same, test, tests_of

import os
import shutil
import sys

from compare import measure_tone, read_samples
from lab import SpanLab

TONES = {"a": 440, "alice": 440, "b": 1000, "bob": 1000, "c": 1500}
LEVEL = 0.3536


class Cell:
    """How the lab is set up, the call, and what must come of it."""

    def __init__(
        self, up="", call="baresip --sec 4", parties=(("a", "b"),), seconds=4.0, level=0.05,
        share=0.95, noise=0.3, needs=("baresip",), env=None, codec=None, check=None,
    ):  # fmt: skip
        self.up, self.call, self.parties = up.split(), call.split(), list(parties)
        self.seconds, self.level, self.share, self.noise = seconds, level, share, noise
        self.needs, self.env, self.codec, self.check = needs, env or {}, codec, check


# ---- what else must hold ------------------------------------------------------------------------


def encrypted(rows, counters):
    """Nothing was recorded, and that is said."""
    same(len(rows), 0, "the answered calls")
    check(counters["sip-tls"] > 0, "sip-tls is 0")


def unexplained(rows, counters):
    """TLS on a port of any service: its audio tells that there was a call."""
    same(len(rows), 0, "the answered calls")
    check(counters["sip-tls"] + counters["orphans"] > 0, "neither sip-tls nor orphans count")


def one_conversation(rows, counters):
    same(len({r["conversation"] for r in rows}), 1, "the number of conversations")


def five_digits(rows, counters):
    same(rows[0]["dtmf_count"], 5, "dtmf_count")


def no_answer(rows, counters):
    same(len(rows), 0, "the answered calls")
    check(counters["calls"] == 1, "calls is %d", counters["calls"])


def held(rows, counters):
    check(rows[0]["streams"][0]["lost"] < 10, "the hold counts as loss")


def copies(rows, counters):
    check(counters["rtp-duplicate"] > 100, "rtp-duplicate is %d", counters["rtp-duplicate"])


WSIP = dict(parties=[("alice", "bob")], needs=())
SPEECH = [("caller%d" % n, "bob") for n in range(1, 6)]
ENCAPSULATIONS = (
    "none vlan qinq mpls gretap gre erspan2 erspan3 vxlan vxlan-kernel geneve gtpu ipip pppoe"
)
# Not G726-16: baresip packs otherwise than the name says, which 2 bits a sample do not show.
CODECS = "PCMU PCMA G722/16000/1 GSM G726-24 G726-32 G726-40 L16/16000/1 opus AMR AMR-WB"
# Codecs that lose something of a sine, and how much.
LOSSY = {
    "GSM": dict(level=0.15, share=0.85, noise=1.0),
    "G726-32": dict(level=0.10, share=0.90),
    "opus": dict(level=0.15, share=0.90, noise=0.6),
    "G726-24": dict(level=0.10, share=0.85),
    "AMR": dict(level=0.20, share=0.85, noise=1.0),
    "AMR-WB": dict(level=0.20, share=0.85, noise=1.0),
}

# The few that always run.
CELLS = {
    "quick: tcp in vxlan, copied twice": Cell(
        "--encap vxlan --span both", "baresip --sec 4 --transport tcp", check=copies
    ),
    "quick: ipv6 and fragments": Cell("--mtu 1280", "baresip --sec 4 --v6 --codec PCMA"),
    "quick: srtp, hold, fragments": Cell(
        "--mtu 576", "baresip --sec 2 --srtp --hold", check=held, noise=0.6
    ),
    "quick: websocket": Cell("--encap erspan2", "wsip ws --split", **WSIP),
}

# All others.
MORE = {}
for _e in ENCAPSULATIONS.split():
    MORE["encap %s" % _e] = Cell("--encap " + _e)
    MORE["encap %s, copied twice" % _e] = Cell("--encap %s --span both" % _e, check=copies)
for _c in CODECS.split():
    MORE["codec " + _c] = Cell(
        "", "baresip --sec 4 --codec " + _c, codec=_c.split("/")[0], **LOSSY.get(_c, {})
    )
MORE.update({
    "loss 3 %": Cell("--loss 3", share=0.6, level=0.12),
    "duplicates 10 %": Cell("--dup 10"),
    "reorder 10 %": Cell("--reorder 10"),
    "jitter 30 ms": Cell("--jitter 30"),
    "loss, duplicates, reorder, jitter": Cell(
        "--loss 2 --dup 5 --reorder 5 --jitter 20", share=0.6, level=0.12
    ),
    "mtu 576": Cell("--mtu 576"),
    "ipv6": Cell("", "baresip --sec 4 --v6"),
    "ipv6, mtu 1280": Cell("--mtu 1280", "baresip --sec 4 --v6 --transport tcp"),
    "tcp": Cell("", "baresip --sec 4 --transport tcp"),
    "tcp, mtu 576": Cell("--mtu 576", "baresip --sec 4 --transport tcp"),
    "srtp": Cell("", "baresip --sec 4 --srtp"),
    "srtp, loss 3 %": Cell("--loss 3", "baresip --sec 4 --srtp", share=0.6, level=0.12),
    "srtp, G722, ipv6": Cell("", "baresip --sec 4 --srtp --codec G722/16000/1 --v6"),
    "srtp, opus, reorder": Cell(
        "--reorder 10", "baresip --sec 4 --srtp --codec opus", **LOSSY["opus"]
    ),
    "rtcp-mux": Cell("", "baresip --sec 4", env={"RTCPMUX": "yes"}),
    "hold": Cell("", "baresip --sec 3 --hold", check=held, noise=0.6),
    "hold, srtp": Cell("", "baresip --sec 3 --hold --srtp", check=held, noise=0.6),
    "digits": Cell("", "baresip --sec 4 --dtmf 1590#", check=five_digits, noise=2.0),
    "callee hangs up": Cell("", "baresip --sec 4 --hangup b"),
    "transfer": Cell(
        "", "xfer", parties=[("a", "b"), ("a", "c")], seconds=3.0, check=one_conversation
    ),
    "transfer, PCMA": Cell(
        "", "xfer --codec PCMA", parties=[("a", "b"), ("a", "c")], seconds=3.0,
        check=one_conversation,
    ),
    "cancel": Cell("", "cancel", parties=(), check=no_answer),
    "reject": Cell("", "reject", parties=(), check=no_answer),
    "proxy": Cell("", "proxy", needs=("baresip", "kamailio")),
    "proxy, copied twice": Cell("--span both", "proxy", needs=("baresip", "kamailio")),
    "proxy with relay": Cell("", "proxy --rtpengine", needs=("baresip", "kamailio", "rtpengine")),
    "wsip tcp": Cell("", "wsip tcp", **WSIP),
    "wsip tcp, split, compact": Cell("", "wsip tcp --split --compact", **WSIP),
    "wsip ws": Cell("", "wsip ws", **WSIP),
    "wsip ws, split": Cell("--encap geneve", "wsip ws --split", **WSIP),
    "wsip tls 1.2": Cell("", "wsip tls --tls 1.2", parties=(), needs=(), check=encrypted),
    "wsip tls 1.3": Cell("", "wsip tls --tls 1.3", parties=(), needs=(), check=encrypted),
    "wsip wss": Cell("", "wsip wss", parties=(), needs=(), check=unexplained),
    "sipp": Cell("", "sipp --calls 5 --rate 5", SPEECH, needs=("sipp",)),
    "sipp tcp": Cell("", "sipp --calls 5 --rate 5 --transport tcp", SPEECH, needs=("sipp",)),
    "sipp ipv6": Cell("", "sipp --calls 5 --rate 5 --v6", SPEECH, needs=("sipp",)),
})  # fmt: skip


# ---- running a cell ----------------------------------------------------------------------------


# What the telephones say when they talked.
SURE = {
    "baresip": "established", "xfer": "established", "proxy": "established", "wsip": "call done",
    "sipp": "rc=0",
}  # fmt: skip


def ring(lab, cell):
    """Make the call; telephones may need a second try on a busy machine."""
    os.environ.update(cell.env)
    try:
        for _ in range(3):
            try:
                said = lab("call", *cell.call)
            except Wrong as e:
                said = str(e)
            if SURE.get(cell.call[0], "") in said:
                return
    finally:
        for name in cell.env:
            del os.environ[name]
    raise Skip("the telephones did not talk: %s" % said.strip()[-200:])


def measure(bench, store, row, cell):
    """[(seconds of the tone, seconds of anything else, level)] of caller and callee."""
    out = bench.path(row["id"] + ".wav")
    store.export(row["id"], out)
    rate, tracks = read_samples(out)
    return [
        measure_tone(track, TONES[row[party]], rate, cell.share)
        for track, party in zip(tracks, ("from", "to"))
    ]


def judge(cell, found):
    for (tone, other, level), name in zip(found, ("caller", "callee")):
        check(tone >= cell.seconds * 0.9, "%s's tone sounds for %.1f s", name, tone)
        check(other <= cell.noise, "%s's track has %.1f s of something else", name, other)
        off = abs(level - LEVEL) / LEVEL
        check(off <= cell.level, "%s's level is %.4f, not %.4f", name, level, LEVEL)


def table_row(name, rows, found, verdict):
    tones = "; ".join(
        " ".join("%4.1f s %.3f" % (tone, level) for tone, _, level in call) for call in found
    )
    remarks = ",".join(sorted({c for r in rows for c in r["coverage"]})) or "-"
    print(
        "# %-36s calls %d  %-34s %-20s %s" % (name, len(rows), tones, remarks, verdict), flush=True
    )


def run_cell(bench, name):
    cell = ALL[name]
    for tool in cell.needs:
        if not shutil.which(tool):
            raise Skip("needs " + tool)
    lab, store = SpanLab(bench, *cell.up), bench.store()
    before = lab.sent_by_tap()
    recorder = lab.recorder(store)
    ring(lab, cell)
    counters = recorder.finish()
    rows, found, verdict = [], [], "wrong"
    try:
        same(lab.sent_by_tap(), before, "frames sent on the capture interface")
        same(counters["kernel-drops"], 0, "kernel-drops")
        rows = sorted(store.calls("--outcome", "answered"), key=lambda r: r["start"])
        parties = sorted((r["from"], r["to"]) for r in rows)
        same(parties, sorted(cell.parties), "the parties of the answered calls")
        for row in rows:
            same(row["attested"], True, "attested")
            for s in (s for s in row["streams"] if s["packets"]):
                same(s["codec"].upper(), (cell.codec or s["codec"]).upper(), "the codec")
            if row["from"] in TONES:
                found.append(measure(bench, store, row, cell))
            else:
                tracks = {s["track"] for s in row["streams"] if s["packets"] > 50}
                same(tracks, {"caller", "callee"}, "the tracks with audio")
        for call in found:
            judge(cell, call)
        if cell.check:
            cell.check(rows, counters)
        store.verify()
        verdict = "right"
    except Wrong as e:
        verdict = "wrong: %s" % e
        raise
    finally:
        table_row(name, rows, found, verdict)


ALL = dict(CELLS, **MORE)
tests_of(list(ALL if LONG or sys.argv[1:] else CELLS), run_cell)

if __name__ == "__main__":
    main()
