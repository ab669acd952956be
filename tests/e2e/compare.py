# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A recording held against the truth of its scene: call, streams, every sample of the export."""

import array
import datetime
import math
import wave

from harness import check, same

import g711
from stream import RATE

OFFSET_S = 0.025
TRACKS = ("caller", "callee")
CODECS = {0: "PCMU", 8: "PCMA"}
STATISTICS = ("packets", "bytes", "lost", "duplicates", "reordered")
ALWAYS = set(
    "id sip_call_id conversation from to from_name to_name direction state outcome ended_by "
    "sip_status start ring answer end duration_ms dtmf_count coverage retention policy recorder "
    "imported attested streams".split()
)
STREAM_ALWAYS = set(
    "track ssrc src dst codec payload_types clock_rate ptime_ms packets bytes lost late duplicates "
    "reordered dropped jitter_ms mos stored complete start end".split()
)


def unix_us(text):
    """RFC 3339 in UTC with microseconds -> Unix microseconds."""
    if text is None:
        return None
    check(len(text) == 27 and text[-1] == "Z", "time %r is not RFC 3339 UTC in microseconds", text)
    t = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return (t - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


def endpoint(address):
    ip, port = address
    return "[%s]:%d" % (ip, port) if ":" in ip else "%s:%d" % (ip, port)


def check_call(call, row):
    """The row of `calls --json` against what the scene knows."""
    same(set(row) & ALWAYS, ALWAYS, "the set of fields")
    for name, value in call.truth().items():
        got = row[name]
        if name in ("start", "ring", "answer", "end"):
            got = unix_us(got)
        if name == "end" and value is None:
            check(got is not None, "the call has no end")
            continue
        same(got, value, name)
    same(row["state"], "ended", "state")
    if row["answer"] and call.end_us:
        same(row["duration_ms"], (call.end_us - call.answer_us) // 1000, "duration_ms")
    same(row["attested"], True, "attested")


def check_streams(call, row, statistics=STATISTICS):
    copies = call.scene.copies
    found = {(s["src"], s["dst"], int(s["ssrc"], 16)): s for s in row["streams"]}
    same(len(found), len(row["streams"]), "the number of distinct streams")
    expected = {}
    for s in call.streams.values():
        truth = s.truth(call.until_us, copies)
        if truth["packets"]:
            expected[(endpoint(s.src), endpoint(s.dst), s.ssrc)] = (s, truth)
    same(sorted(found), sorted(expected), "the set of streams")
    for key, (stream, truth) in expected.items():
        got = found[key]
        same(set(got) & STREAM_ALWAYS, STREAM_ALWAYS, "the set of a stream's fields")
        name = "%s's stream 0x%08x: " % (TRACKS[stream.side], stream.ssrc)
        same(got["track"], TRACKS[stream.side], name + "track")
        same(got["clock_rate"], RATE, name + "clock_rate")
        for field in statistics:
            same(got[field], truth[field], name + field)


def read_wav(path):
    """The two tracks of an export, as bytes of native 16-bit samples."""
    with wave.open(path) as w:
        same((w.getnchannels(), w.getsampwidth(), w.getframerate()), (2, 2, RATE), "WAV format")
        samples = array.array("h", w.readframes(w.getnframes()))
    return [samples[side::2].tobytes() for side in (0, 1)]


def read_samples(path):
    """(rate, [samples of the left track, of the right]) of an export at any rate."""
    with wave.open(path) as w:
        same((w.getnchannels(), w.getsampwidth()), (2, 2), "WAV format")
        samples = array.array("h", w.readframes(w.getnframes()))
        return w.getframerate(), [samples[side::2] for side in (0, 1)]


def goertzel(part, hz, rate):
    """(rms of full scale, share of the energy at this frequency)."""
    c = 2 * math.cos(2 * math.pi * hz / rate)
    s1 = s2 = 0.0
    for x in part:
        s1, s2 = x + c * s1 - s2, s1
    power = (s1 * s1 + s2 * s2 - c * s1 * s2) * 2 / len(part) ** 2
    energy = sum(x * x for x in part) / len(part)
    return math.sqrt(energy) / 32768, power / energy if energy else 0.0


def measure_tone(track, hz, rate, share):
    """(seconds of the tone, seconds of other sounds, median level of the tone), by 100 ms."""
    step, tone, other = rate // 10, [], 0
    for at in range(0, len(track) - step + 1, step):
        rms, part = goertzel(track[at : at + step], hz, rate)
        if part >= share:
            tone.append(rms)
        elif rms > 0.01:
            other += 1
    level = sorted(tone)[len(tone) // 2] if tone else 0.0
    return len(tone) / 10, other / 10, level


def find(track, samples):
    """Where these samples stand in the track, or -1."""
    at = track.find(samples)
    while at > 0 and at % 2:
        at = track.find(samples, at + 1)
    return at // 2 if at >= 0 else -1


def runs_of(call, until_us=None, newest_us=None):
    """(side, stream, packets) of everything that must be heard."""
    until_us = call.until_us if until_us is None else until_us
    return [
        (s.side, s, run) for s in call.streams.values() for run in s.heard(until_us) if run
    ]


def check_audio(call, tracks, offset_s=OFFSET_S, until_us=None):
    """Every frame that was on the wire is there, sample-exact, in its place; nothing else is."""
    runs = runs_of(call, until_us)
    check(runs, "the scene has nothing to hear")
    zero_us = min(run[0].us for _, _, run in runs)
    rest = [bytearray(t) for t in tracks]
    for side, stream, run in runs:
        where = "%s's stream 0x%08x" % (TRACKS[side], stream.ssrc)
        first = g711.decode(CODECS[run[0].pt], run[0].payload)
        base = find(tracks[side], first)
        check(base >= 0, "%s: its first frame is not in the export", where)
        off = base / RATE - (run[0].us - zero_us) / 1e6
        check(abs(off) <= offset_s, "%s: %.1f ms from its true offset", where, off * 1000)
        for p in run:
            pcm = g711.decode(CODECS[p.pt], p.payload)
            at = 2 * (base + p.ts - run[0].ts)
            ok = rest[side][at : at + len(pcm)] == pcm
            check(ok, "%s: frame %d of %d is not in its place", where, p.seq - run[0].seq, len(run))
            rest[side][at : at + len(pcm)] = bytes(len(pcm))
    for side in (0, 1):
        noise = len(rest[side]) - rest[side].count(0)
        check(not noise, "%s's track has %d bytes of sound that nobody sent", TRACKS[side], noise)


def check_scene(bench, scene, store, statistics=STATISTICS):
    """All calls of a scene against what a store has of it, exports included."""
    rows = {row["sip_call_id"]: row for row in store.calls()}
    same(len(rows), len(scene.calls), "the number of calls")
    for n, call in enumerate(scene.calls):
        check(call.call_id in rows, "call %d is not listed", n)
        row = rows[call.call_id]
        check_call(call, row)
        check_streams(call, row, statistics)
        if any(runs_of(call)):
            out = bench.path("%d.wav" % n)
            store.export(row["id"], out)
            check_audio(call, read_wav(out))
    return rows


def check_live(bench, scene, store, offset_s=0.060):
    """As check_scene, without the times of a wire that runs by the wall clock, and whose sender may be late for a moment."""
    rows = {r["sip_call_id"]: r for r in store.calls()}
    same(len(rows), len(scene.calls), "the number of calls")
    for n, call in enumerate(scene.calls):
        row = rows[call.call_id]
        for field in ("from", "to", "outcome", "ended_by", "sip_status"):
            same(row[field], call.truth()[field], field)
        same(row["imported"], False, "imported")
        check_streams(call, row, STATISTICS)
        out = bench.path("%d.wav" % n)
        store.export(row["id"], out)
        check_audio(call, read_wav(out), offset_s)
