#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Survival: callspand reads malformed, cut and strange captures of every kind and ends by itself,
within bounds of memory.

The captures are others' and stay in ../shared/corpus; without it these tests are skipped.  Each is
read alone, and some together, merged in order of time.  Under a sanitizer a quarter is enough.
"""

from harness import (
    LONG, SANITIZED, SHARED, Skip, Wrong, check, main, program, read_counters, run, test,
)  # fmt: skip

import os
import resource

from cases import CASES

# What the recorder sets aside at its start, and little more, whatever it is given to read.
MEMORY_KIB = 200 * 1024
BATCH = 5  # a file that does not open keeps all of its batch from being read


def files_below(folder):
    root = os.path.join(SHARED, "corpus", folder)
    if not os.path.isdir(root):
        raise Skip("../shared/corpus/%s is not here" % folder)
    found = [os.path.join(d, n) for d, _, names in os.walk(root) for n in names]
    return sorted(f for f in found if os.path.isfile(f))


def read_them(store, bench, files):
    """Exit 0 or 1, no signal, no finding, and every datagram accounted for."""
    out = bench.path("counters.json")
    if os.path.exists(out):
        os.unlink(out)
    arguments = [a for f in files for a in ("-r", f)]
    r = run(
        program("callspand"), "--store", store.path, "--counters", out, *arguments, ok=(0, 1),
        timeout=300,
    )  # fmt: skip
    if os.path.exists(out):
        read_counters(out)
    else:
        check(r.code == 1, "ended with 0 and wrote no counters")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    check(SANITIZED or used <= MEMORY_KIB, "took %d MiB of memory", used // 1024)


def survive(bench, folder):
    store = bench.store()
    files = files_below(folder)
    if SANITIZED and not LONG:
        files = files[bench.seed % 4 :: 4]
    for f in files:
        try:
            read_them(store, bench, [f])
        except Wrong as e:
            raise Wrong("%s: %s" % (os.path.relpath(f, SHARED), e))
    for _ in range(0, len(files), BATCH):
        batch = bench.random.sample(files, min(BATCH, len(files)))
        try:
            read_them(store, bench, batch)
        except Wrong as e:
            raise Wrong("%d files together, from %s: %s" % (len(batch), batch[0], e))
    store.calls()
    store.verify()


@test
def survives_the_malformed_captures(bench):
    survive(bench, "fuzz")


@test
def survives_every_link_layer(bench):
    survive(bench, "linklayer")


@test
def survives_the_real_captures(bench):
    survive(bench, "captures")


@test
def survives_captures_cut_anywhere(bench):
    """A generated capture cut at, and garbled in, random places."""
    store = bench.store()
    scene = CASES["retransmissions"](bench.seed)
    path = bench.path("x.pcap")
    scene.write(path)
    with open(path, "rb") as f:
        good = f.read()
    for _ in range(200 if LONG else 12):
        data = bytearray(good)
        for _ in range(bench.random.choice((0, 3, 300))):
            data[bench.random.randrange(24, len(data))] = bench.random.randrange(256)
        with open(path, "wb") as f:
            f.write(data[: bench.random.randrange(10, len(data))])
        read_them(store, bench, [path])
    store.calls()
    store.verify()


if __name__ == "__main__":
    main()
