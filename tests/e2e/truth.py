# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What a recorder must have of a capture of ../shared/corpus, recomputed from its truth.

The truth knows every packet of every stream, those after the BYE and before the INVITE too, which
are no part of the call.  So each stream is read again (reader.py), its hash is held against the
truth's (what we do not read as its author did, we do not judge), and then computed once more
without what is outside of its call.
"""

import base64
import collections
import json
import os
import re

import reader
from harness import SHARED

CORPUS = os.path.join(SHARED, "corpus")
# Audio that outran its SDP is handed over from the pen: at most so much of it.
PEN_US = 2000000

Call = collections.namedtuple("Call", "call_id parties start_us end_us named events keys")


def bracketed(text):
    ip, _, port = text.rpartition(":")
    return "[%s]:%s" % (ip, port) if ":" in ip and ip[0] != "[" else text


def captures():
    """File names of the captures that have an answered call and RTP."""
    folder = os.path.join(CORPUS, "truth")
    out = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name)) as f:
            truth = json.load(f)
        answered = [c for c in truth["signalling"]["calls"] if c["answered"] is not None]
        if answered and truth["streams"]:
            out.append(truth["file"])
    return out


class Stream:
    """A stream of one call: the packets that belong to it, and how many do not."""

    def __init__(self, key, call, packets, truth):
        self.key, self.call, self.truth, self.shared = key, call, truth, False
        self.arrived = packets
        self.named_us = min(call.named[e] for e in key[:2] if e in call.named)
        ordered = reader.in_order(packets)
        self.master = call.keys.get(key[0]) if truth["srtp"] else None
        until = call.end_us or packets[-1].us
        inside = {n: p for n, p in ordered.items() if call.start_us <= p.us <= until}
        self.after = sum(p.us > until for p in ordered.values())
        # What was sent before its endpoint was named may be there as far as the pen goes.
        self.must = {n: p for n, p in inside.items() if p.us >= self.named_us}
        since_us = self.named_us - PEN_US
        self.may = {n: p for n, p in inside.items() if since_us <= p.us < self.named_us}
        self.usual = packets[0].pt

    def event(self, p):
        """Of a payload type that SDP names so, or beside the audio with one that it does not name."""
        if p.pt in self.call.events:
            return True
        beside = p.pt >= 96 and p.pt != self.usual and len(p.payload) == 4
        return beside and p.payload[0] < 16 and not p.payload[1] & 0x40

    def audio(self, pt=None):
        """The packets that must be there; of one payload type, or all that are no events."""
        early, must = (
            [p for p in part.values() if (not self.event(p) if pt is None else p.pt == pt)]
            for part in (self.may, self.must)
        )
        return early, must

    def accepts(self, pt, count, sha1):
        """Whether this is the hash of exactly the call's packets of a payload type."""
        early, must = self.audio(pt)
        n = count - len(must)
        return 0 <= n <= len(early) and reader.sha1(early[len(early) - n :] + must) == sha1

    def lost(self, early, others=()):
        """Sequence numbers that never came, with the last `early` packets from the pen, and that
        the sender did not use for one of the call's `others` either."""
        numbers = sorted(self.must)
        if early:
            numbers = list(self.may)[-early:] + numbers
        same = [s for s in others if s.key != self.key and s.key[::2] == self.key[::2]]
        elsewhere = {n & 0xFFFF for s in same for n in s.must}
        missing = set(range(min(numbers), max(numbers))) - set(numbers) if numbers else set()
        return sum(n & 0xFFFF not in elsewhere for n in missing)

    def opened(self):
        """SRTP: the packets of G.711 decrypted."""
        packets = {n: p for n, p in {**self.may, **self.must}.items() if p.pt in (0, 8)}
        return reader.srtp_open(self.master, dict(sorted(packets.items())))

    def digits(self):
        """[(Unix microseconds, digit)] of RFC 4733: one for each event and timestamp."""
        seen = {}
        for p in sorted([*self.may.values(), *self.must.values()], key=lambda p: p.us):
            if self.event(p) and len(p.payload) >= 4 and p.payload[0] < 16:
                press = (p.us, "0123456789*#ABCD"[p.payload[0]])
                seen.setdefault((p.ts, p.payload[0]), press)
        return list(seen.values())


class Truth:
    def __init__(self, name):
        self.path = os.path.join(CORPUS, "captures", name)
        with open(os.path.join(CORPUS, "truth", name + ".json")) as f:
            self.truth = json.load(f)
        self.times = [us for us, _, _ in reader.frames(self.path)]
        self.calls = {}
        for c in self.truth["signalling"]["calls"]:
            if c["answered"] is not None:
                self.calls[c["callid"]] = self._call(c)
        self.unread, self.streams = [], collections.defaultdict(dict)
        self._streams()

    def _us(self, seconds):
        return self.times[0] + round(seconds * 1e6)

    def _call(self, c):
        named, events, keys = {}, set(), {}
        for number, _, addresses, media, attributes in c["media"]:
            us = self.times[int(number) - 1]
            ports = [m.split()[1] for m in media.split(";") if m.startswith("audio ")]
            for e in {bracketed(a + ":" + p) for a in addresses.split(";") for p in ports}:
                named.setdefault(e, us)
                for line in attributes:
                    crypto = re.match(r"crypto:\d+ AES_CM_128\S+ inline:([^ |]+)", line)
                    if crypto:
                        keys[e] = base64.b64decode(crypto.group(1) + "==")
            for words in (a.split() for a in attributes if "telephone-event" in a):
                events.add(int(words[0][len("rtpmap:") :]))
        end = self._us(c["ended"]["t"]) if c["ended"] else None
        if end and "BYE/200" not in c["codes"]:
            end = self._last_bye(c["callid"].encode())
        parties = (c["from_user"], c["to_user"])
        return Call(c["callid"], parties, self._us(c["t0"]), end, named, events, keys)

    def _last_bye(self, call_id):
        """When the BYE was refused: the first time that the last to give up said BYE."""
        first = {}
        for d in reader.Decoder(self.path).datagrams():
            if d.payload.startswith(b"BYE ") and call_id in d.payload:
                tag = re.search(rb"^f(?:rom)?\s*:.*?tag=([^\s;]+)", d.payload, re.I | re.M)
                first.setdefault(tag and tag.group(1), d.us)
        return max(first.values(), default=None)

    def _streams(self):
        found = reader.streams(self.path)
        for s in self.truth["streams"]:
            key = (bracketed(s["src"]), bracketed(s["dst"]), int(s["ssrc"], 16))
            packets = found.get(key)
            calls = self._calls_of(key, packets)
            for call in calls:
                stream = Stream(key, call, packets, s)
                if stream.must:
                    self.streams[call.call_id][key] = stream
                    stream.shared = len(calls) > 1
            if calls and not self._confirms(s, packets, calls[0]):
                self.unread.append(key)

    def _calls_of(self, key, packets):
        """The calls that named most of its endpoints and were going on.  A switch that lets two
        telephones send straight to each other has two such calls; it is recorded in one."""
        best, score = [], 1
        for c in self.calls.values():
            points = 2 * (key[1] in c.named) + (key[0] in c.named)
            until = c.end_us or packets[-1].us
            if points >= score and any(c.start_us <= p.us <= until for p in packets):
                best, score = (best if points == score else []) + [c], points
        return best

    def shared(self):
        """Streams with audio of which it does not matter in which call they are."""
        every = [s for streams in self.streams.values() for s in streams.values()]
        return {s.key for s in every if s.shared and s.audio()[1]}

    @staticmethod
    def _confirms(s, packets, call):
        ordered = reader.in_order(packets)
        if s["srtp"]:
            key = call.keys.get(bracketed(s["src"]))
            if not key:
                return False
            ordered = dict(enumerate(reader.srtp_open(key, ordered)))
        types = reader.audio_types(list(ordered.values()))
        audio = [p for p in ordered.values() if p.pt in types]
        return reader.sha1(audio) == s["audio_payload_sha1"]
