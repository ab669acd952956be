# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""RTP as it leaves a telephone, what the network does to it, and what is true of it then.

A Sender is one RTP source: SSRC, running sequence and timestamp.  A Stream is what of it crosses
the wire between two endpoints: packets, each with the times at which it came (none: lost).  Its
truth is computed from those times alone.  Sequence numbers and timestamps are kept unwrapped.
"""

import wire

EVENTS = "0123456789*#ABCD"
AUDIO, EVENT, NOISE = "audio", "event", "noise"
PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8}
EVENT_TYPE, NOISE_TYPE = 101, 13
RATE = 8000
# A frame this near to a BYE would be a matter of opinion.
CLEAR_US = 300


class Packet:
    __slots__ = ("us", "seq", "ts", "pt", "marker", "payload", "kind", "run", "arrivals")

    def __init__(self, us, seq, ts, pt, payload, kind=AUDIO, marker=False, run=0):
        self.us, self.seq, self.ts, self.pt, self.payload = us, seq, ts, pt, payload
        self.kind, self.marker, self.run = kind, marker, run
        self.arrivals = [us]


class Sender:
    """One RTP source.  Its timestamp runs on with the time while it is silent."""

    def __init__(self, random, ssrc=None, seq=None, ts=None):
        self.random = random
        self.ssrc = random.getrandbits(32) if ssrc is None else ssrc
        self.seq = random.getrandbits(16) if seq is None else seq
        self.ts = random.getrandbits(32) if ts is None else ts
        self.us = None
        self.run = 0

    def jump(self, samples):
        """The timestamp jumps, as after a device's change of clock: a new run of audio."""
        self.ts += samples
        self.run += 1

    def packets(self, start_us, end_us, ptime, codec, content=None, dtmf=(), quiet=()):
        """What is sent from start_us on, before end_us.  dtmf: [(us, digit)], quiet: [(us, us)]."""
        samples = ptime * RATE // 1000
        if self.us is not None:
            self.ts += (start_us - self.us) * RATE // 1000000
        out, fresh = [], True
        us = start_us
        events = sorted(dtmf)
        silences = sorted(quiet)
        while us < end_us:
            if events and us >= events[0][0]:
                self._event(out, us, events.pop(0)[1], samples)
                skipped, fresh = 5, True
            elif silences and us >= silences[0][0]:
                until = silences.pop(0)[1]
                self._put(out, us, self.ts, NOISE_TYPE, bytes([70]), NOISE, False)
                skipped, fresh = max(1, (until - us) // (ptime * 1000)), True
            else:
                payload = content(samples) if content else self.random.randbytes(samples)
                self._put(out, us, self.ts, PAYLOAD_TYPES[codec], payload, AUDIO, fresh)
                skipped, fresh = 1, False
            us += skipped * ptime * 1000
            self.ts += skipped * samples
        self.us = us
        return out

    def _put(self, out, us, ts, pt, payload, kind, marker):
        out.append(Packet(us, self.seq, ts, pt, payload, kind, marker, self.run))
        self.seq += 1

    def _event(self, out, us, digit, samples):
        # Three packets as it lasts, its end three times, all with one timestamp (RFC 4733, 2.5.1).
        for i in range(6):
            duration = min(i + 1, 4) * samples
            payload = wire.telephone_event(EVENTS.index(digit), duration, end=i >= 3)
            when = us + min(i, 3) * samples * 1000000 // RATE + max(0, i - 3) * 100
            self._put(out, when, self.ts, EVENT_TYPE, payload, EVENT, i == 0)


def travel(packets, random, ptime, loss=0.0, bursts=0, burst_packets=10, reorder=0, jitter_ms=0):
    """What the network does: sets each packet's arrivals.

    loss: share lost at random; bursts: so many runs of burst_packets lost; reorder: a tenth of the
    packets come up to so many packets late; jitter_ms: uniform.
    """
    for p in packets:
        delay = random.randrange(jitter_ms * 1000) if jitter_ms else 0
        if reorder and random.random() < 0.1:
            delay += random.randint(1, reorder) * ptime * 1000 + random.randint(200, 700)
        p.arrivals = [] if random.random() < loss else [p.us + delay]
    for _ in range(bursts):
        first = random.randrange(1, max(2, len(packets) - burst_packets))
        for p in packets[first : first + burst_packets]:
            p.arrivals = []


class Stream:
    """The packets of one SSRC from one endpoint to another, for one call."""

    def __init__(self, call, side, src, dst, sender, codec):
        self.call, self.side, self.src, self.dst = call, side, src, dst
        self.ssrc, self.codec = sender.ssrc, codec
        self.packets = []

    @property
    def key(self):
        return (self.src, self.dst, self.ssrc)

    def keep_clear_of(self, us, copies_us):
        """Move what came too near to `us` a little earlier: neither it nor its copy is in doubt."""
        margin = CLEAR_US + copies_us
        for p in self.packets:
            p.arrivals = [us - margin if -margin < a - us < CLEAR_US else a for a in p.arrivals]

    def datagrams(self):
        for p in self.packets:
            data = None
            for us in p.arrivals:
                data = data or wire.rtp(p.pt, p.seq, p.ts, self.ssrc, p.payload, p.marker)
                yield us, data

    def arrived(self, until_us):
        """(us, packet) in order of arrival, nothing later than until_us (None: everything)."""
        came = [(us, p) for p in self.packets for us in p.arrivals]
        came.sort(key=lambda pair: pair[0])
        return [(us, p) for us, p in came if until_us is None or us <= until_us]

    def truth(self, until_us=None, copies=1):
        """The statistics that a recorder must have; each frame crosses the wire `copies` times."""
        seen, highest = set(), None
        count = dict(packets=0, bytes=0, lost=0, duplicates=0, reordered=0, events=set())
        for _, p in self.arrived(until_us):
            if p.kind == EVENT:
                count["events"].add(p.ts)
                seen.add(p.seq)
                highest = p.seq if highest is None else max(highest, p.seq)
                continue
            if p.seq in seen:
                count["duplicates"] += 1
                continue
            seen.add(p.seq)
            count["packets"] += 1
            count["bytes"] += len(p.payload)
            count["duplicates"] += copies - 1
            if highest is not None and p.seq < highest:
                count["reordered"] += 1
            highest = p.seq if highest is None else max(highest, p.seq)
        if seen:
            count["lost"] = max(seen) - min(seen) + 1 - len(seen)
        count["events"] = len(count["events"])
        return count

    def heard(self, until_us=None):
        """The audio that must be in the export: packets by run, in order of timestamp."""
        runs = {}
        for _, p in self.arrived(until_us):
            if p.kind == AUDIO:
                runs.setdefault(p.run, {})[p.seq] = p
        return [sorted(run.values(), key=lambda p: p.ts) for run in runs.values()]
