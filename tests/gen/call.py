# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""One telephone call: its SIP dialog word by word, its streams, and the truth about it.

Times are seconds after the scene's start.  Side 0 is the caller, side 1 the callee; `talk(side)`
is what that side says.  Each method sends and at the same time keeps the books.
"""

import stream

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
    302: "Moved Temporarily",
    401: "Unauthorized", 404: "Not Found", 407: "Proxy Authentication Required",
    481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated",
    503: "Service Unavailable",
}  # fmt: skip


class Party:
    """A telephone: who it is and where it signals and receives media."""

    def __init__(self, user, ip, rtp_port, name="", sip_port=5060):
        self.user, self.ip, self.name = user, ip, name
        self.sip = (ip, sip_port)
        self.media = (ip, rtp_port)

    @property
    def host(self):
        return "[%s]" % self.ip if ":" in self.ip else self.ip

    @property
    def uri(self):
        return "sip:%s@%s" % (self.user, self.host)


class Call:
    def __init__(self, scene, caller, callee, codec="PCMU", ptime=20, ssrc=None, shown=None):
        self.scene, self.codec, self.ptime = scene, codec, ptime
        self.parties = (caller, callee)
        random = scene.random
        self.call_id = "%016x@%s" % (random.getrandbits(64), caller.ip)
        self.tags = ["%08x" % random.getrandbits(32) for _ in range(2)]
        self.senders = [stream.Sender(random, ssrc) for _ in range(2)]
        self.cseq = [1, 100]
        self.streams = {}
        self.shown = shown  # media address that the SDP names instead (behind a NAT)
        self.state, self.outcome, self.ended_by, self.status = "trying", None, None, None
        self.start_us = self.ring_us = self.answer_us = self.end_us = self.until_us = None
        self.requests = {}
        self.body_type = "application/sdp"

    # ---- signalling ----------------------------------------------------------------------

    def sdp(self, side, direction=None, port=None, hidden=False):
        """An offer or answer of `side` (RFC 4566).  hidden: c=0.0.0.0, as on hold of old."""
        ip, media_port = self.parties[side].media
        ip = self.shown if self.shown and side == 0 else ip
        family = "IP6" if ":" in ip else "IP4"
        pt = stream.PAYLOAD_TYPES[self.codec]
        lines = [
            "v=0",
            "o=- %d %d IN %s %s" % (4711 + side, self.cseq[side], family, ip),
            "s=-",
            "c=IN %s %s" % (family, "0.0.0.0" if hidden else ip),
            "t=0 0",
            "m=audio %d RTP/AVP %d 101" % (media_port if port is None else port, pt),
            "a=rtpmap:%d %s/8000" % (pt, self.codec),
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=ptime:%d" % self.ptime,
        ]
        if direction:
            lines.append("a=" + direction)
        return "\r\n".join(lines) + "\r\n"

    def _fields(self, side, tags, remote_tag):
        me, other = self.parties[side], self.parties[1 - side]
        name = '"%s" ' % me.name if me.name else ""
        other_name = '"%s" ' % other.name if other.name else ""
        return [
            "From: %s<%s>;tag=%s" % (name, me.uri, tags[side]),
            "To: %s<%s>%s" % (
                other_name, other.uri, ";tag=" + tags[1 - side] if remote_tag else "",
            ),
            "Call-ID: " + self.call_id,
        ]  # fmt: skip

    def request(self, t, side, method, sdp=None, cseq=None, headers=(), tags=None, branch=None):
        me, other = self.parties[side], self.parties[1 - side]
        if cseq is None:
            self.cseq[side] += method not in ("ACK", "CANCEL")
            cseq = self.cseq[side]
        old = self.requests.get("INVITE")
        if branch is None and method == "CANCEL":
            branch = old["branch"]
        branch = branch or "z9hG4bK%012x" % self.scene.random.getrandbits(48)
        in_dialog = method != "CANCEL" and self.answer_us is not None
        fields = self._fields(side, tags or self.tags, in_dialog)
        via = "Via: SIP/2.0/UDP %s:%d;branch=%s" % (me.host, me.sip[1], branch)
        lines = ["%s %s SIP/2.0" % (method, other.uri), via, "Max-Forwards: 70"] + fields
        lines += ["CSeq: %d %s" % (cseq, method)]
        lines += ["Contact: <sip:%s@%s:%d>" % (me.user, me.host, me.sip[1])] + list(headers)
        if method != "ACK":
            self.requests[method] = dict(
                side=side, cseq=cseq, via=via, fields=fields, branch=branch
            )
        self._send(t, side, lines, sdp)

    def reply(self, t, status, method="INVITE", sdp=None, headers=(), side=None):
        """Answer the last request of that method."""
        asked = self.requests[method]
        answering = 1 - asked["side"] if side is None else side
        fields = list(asked["fields"])
        if status > 100 and ";tag=" not in fields[1]:
            fields[1] += ";tag=" + self.tags[answering]
        lines = ["SIP/2.0 %d %s" % (status, REASONS[status]), asked["via"]] + fields
        lines += ["CSeq: %d %s" % (asked["cseq"], method)] + list(headers)
        if method == "INVITE" and 180 <= status < 300:
            me = self.parties[answering]
            lines.append("Contact: <sip:%s@%s:%d>" % (me.user, me.host, me.sip[1]))
        self._send(t, answering, lines, sdp)

    def _send(self, t, side, lines, sdp):
        body = (sdp or "").encode()
        if body:
            lines = lines + ["Content-Type: " + self.body_type]
        head = "\r\n".join(lines + ["Content-Length: %d" % len(body), "", ""])
        src, dst = self.parties[side].sip, self.parties[1 - side].sip
        self.scene.send(self.scene.us(t), src, dst, head.encode() + body)

    # ---- the usual steps -------------------------------------------------------------------

    def invite(self, t, sdp=True, headers=()):
        if self.start_us is None:
            self.start_us = self.scene.us(t)
        self.request(t, 0, "INVITE", self.sdp(0) if sdp else None, headers=headers)

    def challenge(self, t):
        """407, its ACK, and the INVITE again with credentials."""
        self.reply(t, 407, headers=['Proxy-Authenticate: Digest realm="x", nonce="1"'])
        asked = self.requests["INVITE"]
        self.request(t + 0.005, 0, "ACK", cseq=asked["cseq"], branch=asked["branch"])
        proof = 'Proxy-Authorization: Digest username="u", realm="x", nonce="1", response="0"'
        self.invite(t + 0.01, headers=[proof])

    def ring(self, t, status=180, sdp=False):
        if self.ring_us is None:
            self.ring_us = self.scene.us(t)
        self.state = "ringing"
        self.reply(t, status, sdp=self.sdp(1) if sdp else None)

    def answer(self, t, sdp=True, ack_sdp=False, ack_after=0.03):
        self.reply(t, 200, sdp=self.sdp(1) if sdp else None)
        self.answer_us = self.scene.us(t)
        self.state, self.outcome, self.status = "talking", "answered", 200
        if ack_after is not None:
            asked = self.requests["INVITE"]
            body = self.sdp(0) if ack_sdp else None
            self.request(t + ack_after, 0, "ACK", body, cseq=asked["cseq"])

    def refuse(self, t, status=486):
        self.reply(t, status)
        asked = self.requests["INVITE"]
        self.request(t + 0.005, 0, "ACK", cseq=asked["cseq"], branch=asked["branch"])
        self.status, self.outcome, self.state = status, "failed", "ended"
        self.end_us, self.ended_by = self.scene.us(t), "callee"

    def cancel(self, t):
        asked = self.requests["INVITE"]
        self.request(t, 0, "CANCEL", cseq=asked["cseq"])
        self.reply(t + 0.01, 200, "CANCEL")
        self.refuse(t + 0.015, 487)
        self.outcome, self.ended_by = "cancelled", "caller"

    def reinvite(self, t, side=0, direction=None, answer_direction=None, hidden=False, after=0.1):
        """A new offer of `side`, answered `after` seconds later."""
        self.request(t, side, "INVITE", self.sdp(side, direction, hidden=hidden))
        self.reply(t + after, 200, sdp=self.sdp(1 - side, answer_direction))
        asked = self.requests["INVITE"]
        self.request(t + after + 0.02, side, "ACK", cseq=asked["cseq"])

    def bye(self, t, side=0, status=200, after=0.02, tags=None):
        """status None: nobody answers.  Refused or with wrong tags, the call goes on."""
        self.request(t, side, "BYE", tags=tags)
        if status is not None:
            self.reply(t + after, status, "BYE")
        if tags is None and status in (None, 200):
            self.end_us = self.until_us = self.scene.us(t)
            self.state, self.ended_by = "ended", ("caller", "callee")[side]

    # ---- media -----------------------------------------------------------------------------

    def talk(self, side, start, end, ptime=None, codec=None, sender=None, src=None, dst=None,
             content=None, dtmf=(), quiet=(), **path):  # fmt: skip
        """`side` speaks from `start` until `end`; gives the Stream that it is part of."""
        us = self.scene.us
        ptime, codec = ptime or self.ptime, codec or self.codec
        sender = sender or self.senders[side]
        src = src or self.parties[side].media
        dst = dst or self.parties[1 - side].media
        packets = sender.packets(
            us(start), us(end), ptime, codec, content,
            [(us(t), digit) for t, digit in dtmf], [(us(a), us(b)) for a, b in quiet],
        )  # fmt: skip
        if path:
            stream.travel(packets, self.scene.random, ptime, **path)
        key = (src, dst, sender.ssrc)
        if key not in self.streams:
            self.streams[key] = stream.Stream(self, side, src, dst, sender, codec)
        self.streams[key].packets += packets
        return self.streams[key]

    def begin(self, at=0.0, ring=0.1, answer=0.5):
        """INVITE to ACK."""
        self.invite(at)
        self.reply(at + 0.01, 100)
        self.ring(at + ring)
        self.answer(at + answer)
        return self

    def talk_both(self, start, end, **talk):
        """Both sides, the callee a little off the caller's beat."""
        for side in (0, 1):
            self.talk(side, start + 0.0131 * side, end, **talk)

    def simple(self, at=0.0, ring=0.1, answer=0.6, end=3.0, by=0, ahead=0.0, trail=0.0, **talk):
        """A whole call.  `ring`, `answer` and `end` count from `at`; the media begins `ahead`
        seconds before the answer and runs on for `trail` seconds after the BYE."""
        self.begin(at, ring, answer)
        self.talk_both(at + answer + (-ahead if ahead else 0.05), at + end + trail, **talk)
        self.bye(at + end + 0.0047, by)
        return self

    # ---- truth -----------------------------------------------------------------------------

    def truth(self):
        """What `calls --json` must say, times in Unix microseconds."""
        caller, callee = self.parties
        return {
            "sip_call_id": self.call_id,
            "from": caller.user, "to": callee.user,
            "from_name": caller.name or None, "to_name": callee.name or None,
            "outcome": self.outcome, "ended_by": self.ended_by, "sip_status": self.status,
            "start": self.start_us, "ring": self.ring_us, "answer": self.answer_us,
            "end": self.end_us,
        }  # fmt: skip
