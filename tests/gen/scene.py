# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""A scene: calls on a wire, and the capture file that a mirror port makes of them.

    s = Scene(seed=1)
    s.call("2001", "3001").simple(loss=0.05)
    s.write("x.pcap")

The same seed gives the same bytes.  Payloads are random, so each frame is unlike any other and an
export can be compared sample by sample.
"""

import random

import wire
from call import Call, Party

START_US = 1767603600_000000  # 2026-01-05T09:00:00Z, a Monday
COPY_US = 9  # how long after a frame a mirror that copies twice sends it again


class Scene:
    def __init__(self, seed, v6=False, copies=1, start_us=START_US):
        self.seed, self.v6, self.copies, self.start_us = seed, v6, copies, start_us
        self.random = random.Random(seed)
        self.calls, self.sent = [], []

    def us(self, t):
        return self.start_us + round(t * 1000000)

    def party(self, user, side, n=None, **more):
        n = len(self.calls) + 1 if n is None else n
        net = ("2001:db8:%d::%x" if self.v6 else "10.%d.0.%d") % (side + 1, n % 250 + 1)
        return Party(user, net, 10000 + 2 * n, **more)

    def call(self, caller="2001", callee="3001", **more):
        """A call between two users (each gets a telephone of its own) or two Party objects."""
        if not isinstance(caller, Party):
            caller = self.party(caller, 0)
        if not isinstance(callee, Party):
            callee = self.party(callee, 1)
        self.calls.append(Call(self, caller, callee, **more))
        return self.calls[-1]

    def send(self, us, src, dst, payload):
        self.sent.append((us, src, dst, payload))

    def datagrams(self):
        """Everything that crosses the wire, in order of time: (us, src, dst, payload)."""
        for call in self.calls:
            if call.until_us is not None:
                for s in call.streams.values():
                    s.keep_clear_of(call.until_us, COPY_US)
        out = list(self.sent)
        for call in self.calls:
            for s in call.streams.values():
                out += [(us, s.src, s.dst, data) for us, data in s.datagrams()]
        copies = [(us + COPY_US * n, a, b, d) for n in range(1, self.copies) for us, a, b, d in out]
        return sorted(out + copies, key=lambda d: d[0])

    def write(self, path, link="ether", vlan=(), ng=False, keep=None, **file):
        """Write the capture; gives the number of frames.  keep(payload) gives the bytes kept of its
        frame, None for all: a snap length that spares the signalling."""
        out = (wire.Pcapng if ng else wire.Pcap)(path, link, **file)
        n = 0
        for us, src, dst, payload in self.datagrams():
            frame = wire.link(link, wire.udp(src, dst, payload), vlan)
            out.frame(us, frame, keep(payload) if keep else None)
            n += 1
        out.close()
        return n
