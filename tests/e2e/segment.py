# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A segment's records, by docs/segment-format.md alone: enough to cut, swap and count them."""

import struct

FIRST = 4096
HEADER = struct.Struct("<IBBHIIQ")  # length of body, type, track, stream, slot, crc32c, counter
SLOT = 256
TYPES = dict(slot=1, chunk=2, call=3, stream=4, signalling=5, attest=6, pad=7, footer=8)
SEALED = (2, 3, 4, 5)


class Record:
    def __init__(self, offset, fields):
        self.offset = offset
        self.body_len, self.type, self.track, self.stream, self.slot = fields[:5]
        self.crc, self.counter = fields[5:]
        self.end = offset + HEADER.size + self.body_len

    def nonce(self):
        return (self.slot, self.type, self.track, self.stream, self.counter)


def records(data):
    """All records of a segment file's bytes, up to where it is whole."""
    out, at = [], FIRST
    while at + HEADER.size <= len(data):
        record = Record(at, HEADER.unpack_from(data, at))
        if record.end > len(data) or record.type not in TYPES.values():
            break
        out.append(record)
        at = record.end
    return out


def keys_path(seg_path):
    return seg_path[: -len(".seg")] + ".keys"


def slots(data):
    """The used slots of a .keys file: (offset, bytes)."""
    at = range(FIRST, len(data) - SLOT + 1, SLOT)
    return [(n, data[n : n + SLOT]) for n in at if any(data[n : n + SLOT])]


# ---- CRC32C (Castagnoli), so that a forger's care can be imitated --------------------------------

_table = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    _table.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def mend_crc(data, record):
    """Put the right CRC into a record's header (over header with crc = 0, then body)."""
    struct.pack_into("<I", data, record.offset + 12, 0)
    crc = crc32c(data[record.offset : record.end])
    struct.pack_into("<I", data, record.offset + 12, crc)
