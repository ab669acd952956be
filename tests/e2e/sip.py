#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The cases of tests/gen/sip_cases.py: the right calls, conversations, parties and audio."""

from harness import main, same, tests_of

import json

from compare import check_scene
from sip_cases import CASES


def check_conversations(scene, rows):
    """Calls of one set have one conversation, the earliest member's id; sets are apart."""
    by_number = [rows[c.call_id] for c in scene.calls]
    seen = set()
    for members in scene.together:
        ids = {by_number[n]["conversation"] for n in members}
        same(len(ids), 1, "the number of conversations of calls %s" % sorted(members))
        earliest = min((by_number[n] for n in members), key=lambda row: row["start"])
        same(ids, {earliest["id"]}, "the conversation")
        same(ids & seen, set(), "conversations shared with other calls")
        seen |= ids


def record_case(bench, name):
    scene = CASES[name[4:]](bench.seed)
    store = bench.store()
    capture = bench.path("case.pcap")
    scene.write(capture)
    counters = store.record(capture)
    same(counters["calls"], len(scene.calls), "calls")
    rows = check_scene(bench, scene, store)
    check_conversations(scene, rows)
    for n, fields in scene.fields.items():
        shown = store.callspan("show", rows[scene.calls[n].call_id]["id"], "--json")
        row = json.loads(shown.out)
        for field, value in fields.items():
            same(row[field], value, field)


tests_of(["sip_%s" % name for name in CASES], record_case)

if __name__ == "__main__":
    main()
