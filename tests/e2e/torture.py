#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Torture messages and other stacks' test inputs on the wire: each is read or counted, none does harm.

Which messages of RFC 4475 and RFC 5118 are understood is held by tests/unit/test_sip_torture.c against
torture.expect beside this file.  Here they cross the whole recorder, among the messages of a good
call, which must come out whole.
"""

import os

from harness import SHARED, Skip, check, main, same, test

from compare import check_scene
from scene import Scene

FOLDER = os.path.join(SHARED, "corpus", "torture")


def messages():
    for folder, _, names in sorted(os.walk(FOLDER)):
        for name in sorted(names):
            with open(os.path.join(folder, name), "rb") as f:
                yield f.read(60000)


@test
def torture_messages_do_no_harm(bench):
    if not os.path.isdir(FOLDER):
        raise Skip("%s is not there" % FOLDER)
    scene = Scene(bench.seed)
    scene.call().simple(end=4.0)
    sent = 0
    for n, payload in enumerate(messages()):
        if payload:
            at = scene.us(0.7 + 3 * (n % 100) / 100)
            scene.send(at, ("10.7.0.1", 5060), ("10.7.0.2", 5060), payload)
            sent += 1
    check(sent >= 50, "only %d messages", sent)
    store = bench.store()
    capture = bench.path("torture.pcap")
    scene.write(capture)
    counters = store.record(capture)
    check(counters["sip-messages"] >= 50, "few messages were understood")
    good = scene.calls[0].call_id
    rows = [r for r in store.calls() if r["sip_call_id"] == good]
    same(len(rows), 1, "the number of good calls")
    store.calls = lambda: rows
    check_scene(bench, scene, store)


if __name__ == "__main__":
    main()
