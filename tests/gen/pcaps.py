#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Writes the golden captures of tests/pcaps (each once; the same bytes every time).

    tests/gen/pcaps.py [NAME ...]

The lab-*.pcap beside them are captures of real telephones (baresip) and are not made here.  After a
change here run `make pcaps-update` and read the diff.
"""

import math
import os
import sys

import g711
from cases import CASES
from scene import Scene

PCAPS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pcaps")
SEED = 20260105

GOLDEN = {
    "early-media": ("early_media", {}),
    "late-offer-raw-ip": ("late_offer", dict(link="raw")),
    "media-ahead-of-answer": ("media_400_ms_ahead_of_the_answer", {}),
    "hold-and-resume": ("hold_inactive_and_resume", {}),
    "media-moved-nanoseconds": ("media_moved_by_caller", dict(ns=True)),
    "lost-and-reordered": ("reordered_and_lost", {}),
    "mirrored-twice-vlan": ("mirrored_twice_lost_and_reordered", dict(vlan=(42,))),
    "wrap-big-endian": ("wrap_with_reordering_and_loss", dict(big=True)),
    "telephone-events-cooked": ("telephone_events", dict(link="sll")),
    "comfort-noise": ("silence_suppressed", {}),
    "timestamp-jump": ("timestamp_jumps", {}),
    "endpoint-reused": ("same_four_tuple_and_ssrc_reused", {}),
    "retransmissions-pcapng": ("retransmissions", dict(ng=True)),
    "ipv6-cooked-v2": ("ipv6", dict(link="sll2")),
}


# ---- captures that no case has -------------------------------------------------------------------


def voice(random, hz):
    """A voice to tell apart: syllables of a gliding tone, as payload after payload."""
    state = dict(phase=0.0, n=0, hz=hz)

    def content(samples):
        out = []
        for _ in range(samples):
            place = state["n"] % 1600 / 1600
            if place == 0.0:
                state["hz"] = hz * random.choice((0.89, 1.0, 1.12, 1.26))
            state["phase"] += 2 * math.pi * state["hz"] * (1 + 0.1 * place) / 8000
            swell = math.sin(math.pi * place) ** 2
            out.append(int(9000 * swell * math.sin(state["phase"])))
            state["n"] += 1
        return g711.encode("PCMU", out)

    return content


def conversation():
    """What `make demo` records: two people taking turns, and one who finds the line busy."""
    s = Scene(SEED)
    a = s.party("4930901820", 0, name="Ada Lovelace")
    b = s.party("117", 1, name="Front desk")
    c = s.call(a, b).begin(ring=0.6, answer=2.0)
    voices = [voice(s.random, 196.0), voice(s.random, 311.0)]
    turns = ((1, 2.1, 3.6), (0, 3.7, 5.9), (1, 5.8, 7.0), (0, 7.1, 8.4), (1, 8.3, 9.2))
    for side, start, end in turns:
        c.talk(side, start, end, content=voices[side])
    c.bye(9.4047, side=0)
    other = s.call(s.party("4930901855", 0, n=7, name="Charles Babbage"), b)
    other.invite(6.0)
    other.ring(6.2)
    other.refuse(6.9)
    return s, {}


def all_endings():
    """Calls that were never answered, one challenged, one left open."""
    s = Scene(SEED)
    c = s.call("2001", "3001")
    c.invite(0)
    c.ring(0.1)
    c.cancel(1.0)
    c = s.call("2002", "3002")
    c.invite(0.2)
    c.refuse(0.9, 486)
    c = s.call("2003", "3003")
    c.invite(0.3)
    c.challenge(0.35)
    c.ring(0.5)
    c.answer(0.8)
    c.talk_both(0.85, 2.0)
    c.bye(1.5, status=401)
    c.bye(2.0047)
    c = s.call("2004", "3004").begin(0.4)
    c.talk_both(0.95, 2.5)
    s.call("2005", "3005").invite(2.0)
    return s, {}


def cut_by_snap_length():
    s = Scene(SEED)
    s.call().simple()
    return s, dict(keep=lambda payload: 120 if payload[0] == 0x80 else None)


OWN = {
    "conversation": conversation,
    "all-endings": all_endings,
    "cut-by-snap-length": cut_by_snap_length,
}


def main():
    os.makedirs(PCAPS, exist_ok=True)
    for name in sys.argv[1:] or list(GOLDEN) + list(OWN):
        if name in OWN:
            scene, how = OWN[name]()
        else:
            case, how = GOLDEN[name]
            scene = CASES[case](SEED)
        path = os.path.join(PCAPS, name + ".pcap")
        frames = scene.write(path, **how)
        print("%-28s %5d frames %4d KiB" % (name, frames, os.path.getsize(path) // 1024))


if __name__ == "__main__":
    main()
