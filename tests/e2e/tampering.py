#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Tampering: whatever is done to a segment or its keys, `verify` finds it (exit 4) and names it.

Each test damages copies of one good store, both while the segment still lies with the recorder and
after the vault has taken it over.
"""

from harness import LONG, check, main, same, test

import os
import shutil

import segment
from scene import Scene
from segment import TYPES

FLIPS = 60 if LONG else 6


class Site:
    """A good store and what is needed to damage copies of it."""

    def __init__(self, bench, taken):
        self.bench, self.n = bench, 0
        scene = Scene(bench.seed)
        for n in range(3):
            scene.call("200%d" % n, "300%d" % n).simple(at=0.4 * n, end=1.5)
        scene.write(bench.path("x.pcap"))
        self.good = bench.store("taken" if taken else "waiting")
        self.good.record(bench.path("x.pcap"))
        if taken:
            same(len(self.good.calls()), 3, "the calls")
        paths = self.good.segments()
        same(len(paths), 1, "the number of segments")
        self.path = os.path.relpath(paths[0], self.good.path)
        self.where = "with the vault: " if taken else "with the recorder: "
        same(self.path.startswith("vault"), taken, "where the segment lies (with the vault)")
        self.data = open(paths[0], "rb").read()
        self.keys = open(segment.keys_path(paths[0]), "rb").read()
        self.records = segment.records(self.data)
        same(self.records[-1].end, len(self.data), "the end of the last record")
        self.name = os.path.basename(paths[0])[: -len(".seg")]

    def copy(self):
        self.n += 1
        store = self.bench.store("copy%d" % self.n, init=False)
        shutil.rmtree(store.path, ignore_errors=True)
        shutil.copytree(self.good.path, store.path)
        return store

    def found(self, what, data=None, keys=None, name=None):
        """Verify a copy with these bytes in place of the good ones."""
        store = self.copy()
        path = os.path.join(store.path, self.path)
        for target, new in ((path, data), (segment.keys_path(path), keys)):
            if new is not None:
                with open(target, "wb") as f:
                    f.write(new)
        self.accused(store, what, name or self.name)
        shutil.rmtree(store.path)

    def accused(self, store, what, name):
        r = store.verify(ok=(0, 4))
        check(r.code == 4, "%s%s was not found", self.where, what)
        lines = [x for x in (r.out + r.err).splitlines() if name in x]
        bad = [x for x in lines if '"ok": true' not in x and '"ok":true' not in x]
        check(bad, "%s%s: segment %s is not named in %r", self.where, what, name, r.out + r.err)


def both(f):
    """A test of a damage, done in both places."""

    def run(bench):
        for taken in (False, True):
            f(bench, Site(bench, taken))

    run.__name__ = f.__name__
    return test(run)


def of(site, kind):
    return [r for r in site.records if r.type == TYPES[kind]]


@test
def untouched_store_verifies(bench):
    for taken in (False, True):
        site = Site(bench, taken)
        r = site.copy().verify()
        check(site.name in r.out, "the segment is not listed: %r", r.out)


def flipped(data, at, bit):
    out = bytearray(data)
    out[at] ^= 1 << bit
    return out


@both
def any_bit_flipped_in_the_segment(bench, site):
    """At random places of each part: block 0, and head and body of each kind of record."""
    areas = [("block 0", 0, segment.FIRST)]
    for kind in TYPES:
        for record in bench.random.sample(of(site, kind), min(2, len(of(site, kind)))):
            body = record.offset + segment.HEADER.size
            areas.append(("the header of a %s record" % kind, record.offset, body))
            if record.end > body:
                areas.append(("the body of a %s record" % kind, body, record.end))
    for what, start, end in areas:
        for _ in range(max(1, FLIPS // 6)):
            at, bit = bench.random.randrange(start, end), bench.random.randrange(8)
            site.found("bit %d of byte %d, in %s" % (bit, at, what), flipped(site.data, at, bit))


@both
def any_bit_flipped_in_a_slot(bench, site):
    slots = segment.slots(site.keys)
    same(len(slots), 3, "the number of slots")
    for _ in range(FLIPS):
        start, _slot = bench.random.choice(slots)
        at, bit = bench.random.randrange(start, start + segment.SLOT), bench.random.randrange(8)
        site.found("bit %d of byte %d of the keys" % (bit, at), keys=flipped(site.keys, at, bit))


@both
def a_bit_flipped_and_the_checksum_mended(bench, site):
    """CRC32C is no secret: only the signature stands in a forger's way."""
    for kind in ("slot", "chunk", "call", "stream", "attest"):
        record = bench.random.choice(of(site, kind))
        body = record.offset + segment.HEADER.size
        data = flipped(site.data, bench.random.randrange(body, record.end), 3)
        segment.mend_crc(data, record)
        site.found("a %s record altered with its CRC mended" % kind, data)


@both
def two_records_swapped(bench, site):
    chunks = of(site, "chunk")
    for _ in range(3):
        a, b = sorted(bench.random.sample(chunks, 2), key=lambda r: r.offset)
        d = site.data
        swapped = (
            d[: a.offset] + d[b.offset : b.end] + d[a.end : b.offset]
            + d[a.offset : a.end] + d[b.end :]
        )  # fmt: skip
        same(len(swapped), len(d), "the length after swapping")
        site.found("records at %d and %d swapped" % (a.offset, b.offset), swapped)


@both
def a_record_cut_out(bench, site):
    for kind in ("chunk", "call", "stream", "slot", "attest"):
        r = bench.random.choice(of(site, kind))
        site.found("a %s record cut out" % kind, site.data[: r.offset] + site.data[r.end :])


@both
def a_record_doubled(bench, site):
    r = bench.random.choice(of(site, "chunk"))
    d = site.data
    site.found("a chunk doubled", d[: r.end] + d[r.offset : r.end] + d[r.end :])


@both
def cut_at_a_record_boundary(bench, site):
    """As after a crash, but shorter than what the slot file says was synced."""
    ends = [r.end for r in site.records[:-1]]
    attests = [r.end for r in of(site, "attest")[:-1]]
    footer = of(site, "footer")[0].offset
    for at in bench.random.sample(ends, min(FLIPS, len(ends))) + attests + [footer, segment.FIRST]:
        site.found("the segment cut at %d of %d" % (at, len(site.data)), site.data[:at])


@both
def something_added_at_the_end(bench, site):
    site.found("4096 zeros added", site.data + bytes(4096))
    r = of(site, "chunk")[0]
    site.found("a record added", site.data + site.data[r.offset : r.end])


@both
def two_slots_swapped(bench, site):
    (a, slot_a), (b, slot_b) = bench.random.sample(segment.slots(site.keys), 2)
    keys = bytearray(site.keys)
    keys[a : a + segment.SLOT], keys[b : b + segment.SLOT] = slot_b, slot_a
    site.found("two slots swapped", keys=keys)


@both
def a_slot_put_in_the_place_of_another(bench, site):
    (_, slot_a), (b, _) = bench.random.sample(segment.slots(site.keys), 2)
    keys = bytearray(site.keys)
    keys[b : b + segment.SLOT] = slot_a
    site.found("one slot over another", keys=keys)


@both
def the_slot_file_taken_away(bench, site):
    store = site.copy()
    os.unlink(segment.keys_path(os.path.join(store.path, site.path)))
    site.accused(store, "the missing slot file", site.name)


@test
def a_segment_taken_away_from_the_vault(bench):
    site = Site(bench, True)
    store = site.copy()
    path = os.path.join(store.path, site.path)
    os.unlink(path)
    os.unlink(segment.keys_path(path))
    site.accused(store, "the missing segment", site.name)


@test
def a_forged_segment_made_with_the_public_keys(bench):
    """Another recorder's key signs it: whoever has vault.pub can seal, but not sign."""
    site = Site(bench, True)
    scene = Scene(bench.seed + 99)
    scene.call("6660", "6661").simple(end=1.5)
    scene.write(bench.path("forged.pcap"))
    forger = bench.store("forger")
    shutil.copy(os.path.join(site.good.path, "recorder", "vault.pub"), forger.path + "/recorder/")
    forger.record(bench.path("forged.pcap"))
    store = site.copy()
    forged = forger.segments()
    same(len(forged), 1, "the forger's segments")
    for path in (forged[0], segment.keys_path(forged[0])):
        shutil.copy(path, os.path.join(store.path, "recorder"))
    site.accused(store, "the forged segment", os.path.basename(forged[0])[: -len(".seg")])
    rows = store.calls(ok=(0, 4))
    same(sum(r["attested"] for r in rows), 3, "the number of attested calls listed")
    check("6660" not in [r["from"] for r in rows if r["attested"]], "the forged call is attested")


@test
def a_segment_from_another_hour_under_another_name(bench):
    site = Site(bench, True)
    store = site.copy()
    path = os.path.join(store.path, site.path)
    other = path.replace("T09-", "T10-")
    check(other != path, "the name %r has no hour", site.name)
    os.rename(path, other)
    os.rename(segment.keys_path(path), segment.keys_path(other))
    r = store.verify(ok=(0, 4))
    same(r.code, 4, "the exit status")


if __name__ == "__main__":
    main()
