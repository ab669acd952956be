# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What SIP does to calls beyond one dialog: forks, transfers, proxies, redirects, several lines.

A case is a function from a seed to a Scene, as in cases.py.  `scene.together` are the sets of calls
(by their place in scene.calls) that are one conversation; `scene.fields` what the row of a call must
say besides its truth.  tests/e2e/sip.py records each.
"""

from scene import Scene

CASES = {}


def case(f):
    def made(seed):
        s = Scene(seed)
        s.together, s.fields = [], {}
        f(s)
        return s

    CASES[f.__name__] = made
    return f


def replaces(call, to_side=1):
    return "%s;to-tag=%s;from-tag=%s" % (call.call_id, call.tags[to_side], call.tags[1 - to_side])


def escape(text):
    return "".join(c if c.isalnum() else "%%%02X" % ord(c) for c in text)


def refer(call, t, target, side=0):
    call.request(t, side, "REFER", headers=["Refer-To: <%s>" % target])
    call.reply(t + 0.01, 202, "REFER")


# ---- one call ------------------------------------------------------------------------------------


def fork(s, winner):
    """Three telephones ring, each with a To tag and early media's SDP of its own; one answers."""
    c = s.call()
    ip, port = c.parties[1].media
    tags = ["leg%d" % n for n in range(3)]
    c.invite(0)
    for n in range(3):
        c.tags[1], c.parties[1].media = tags[n], (ip, port + 100 * n)
        c.ring(0.1 + 0.05 * n, status=183, sdp=True)
    c.tags[1], c.parties[1].media = tags[winner], (ip, port + 100 * winner)
    c.answer(1.0)
    c.talk_both(1.05, 4.0)
    c.bye(4.0047)


@case
def fork_answered_by_the_first(s):
    fork(s, 0)


@case
def fork_answered_by_the_second(s):
    fork(s, 1)


@case
def fork_answered_by_the_last(s):
    fork(s, 2)


@case
def caller_tries_again_a_minute_after_the_challenge(s):
    c = s.call()
    c.invite(0)
    c.reply(0.1, 407)
    asked = c.requests["INVITE"]
    c.request(0.11, 0, "ACK", cseq=asked["cseq"], branch=asked["branch"])
    c.begin(60.0, ring=0.2, answer=1.0)
    c.talk_both(61.05, 63.0)
    c.bye(63.0047)


@case
def redirected(s):
    c = s.call()
    c.invite(0)
    c.reply(0.1, 302, headers=["Contact: <sip:3002@10.2.0.9>"])
    asked = c.requests["INVITE"]
    c.request(0.11, 0, "ACK", cseq=asked["cseq"], branch=asked["branch"])
    c.begin(0.2, ring=0.2, answer=1.0)
    c.talk_both(1.25, 3.0)
    c.bye(3.0047)


@case
def session_refreshed(s):
    """RFC 4028: re-INVITE and UPDATE that change nothing are neither hold nor move."""
    c = s.call().begin()
    c.talk_both(0.55, 4.0)
    c.reinvite(1.5)
    c.request(2.5, 1, "UPDATE", headers=["x: 90;refresher=uac"])
    c.reply(2.52, 200, "UPDATE")
    c.bye(4.0047)
    s.fields[0] = {"holds_on_wire": []}


@case
def digits_by_info(s):
    c = s.call().begin()
    c.talk_both(0.55, 3.0)
    for n in range(4):
        c.body_type = "application/dtmf-relay"
        c.request(1 + 0.2 * n, 0, "INFO", sdp="Signal=%d\r\nDuration=160\r\n" % n)
        c.body_type = "application/sdp"
        c.reply(1.01 + 0.2 * n, 200, "INFO")
    c.bye(3.0047)
    s.fields[0] = {"dtmf_count": 4}


@case
def with_video(s):
    c = s.call()
    plain = c.sdp
    c.sdp = lambda *a, **k: plain(*a, **k) + "m=video 9002 RTP/AVP 96\r\nm=text 0 RTP/AVP 98\r\n"
    c.simple()
    s.fields[0] = {"other_media": "video"}


@case
def diverted(s):
    c = s.call()
    c.invite(0, headers=["Diversion: <sip:2999@lab>;reason=no-answer"])
    c.ring(0.1)
    c.answer(0.5)
    c.talk_both(0.55, 2.0)
    c.bye(2.0047)
    s.fields[0] = {"diverted_from": "2999"}


@case
def through_a_proxy(s):
    """One Call-ID crosses the mirror twice, with another Via on top: one call."""
    c = s.call().simple()
    proxy = ("10.9.0.1", 5060)
    before, s.sent = s.sent, []
    for us, src, dst, payload in before:
        line, rest = payload.split(b"\r\n", 1)
        via = b"Via: SIP/2.0/UDP 10.9.0.1:5060;branch=z9hG4bKp" + rest[-200:].hex().encode()[:9]
        beyond = b"\r\n".join([line, via, rest])
        to_callee = src == c.parties[0].sip
        s.send(us, src, proxy, payload if to_callee else beyond)
        s.send(us + 900, proxy, dst, beyond if to_callee else payload)


# ---- several -------------------------------------------------------------------------------------


@case
def blind_transfer(s):
    """A speaks with B and sends B on to C."""
    first = s.call("2001", "3001").begin()
    first.talk_both(0.55, 3.0)
    c = s.party("4001", 1, 77)
    refer(first, 2.5, c.uri)
    first.bye(3.0047)
    second = s.call(first.parties[1], c)
    second.simple(at=3.1, end=2.0)
    s.together = [{0, 1}]
    s.fields[1] = {"referred_by": "2001"}


@case
def attended_transfer(s):
    """A speaks with B, asks C, and joins both."""
    first = s.call("2001", "3001").begin()
    first.talk_both(0.55, 2.0)
    first.reinvite(2.0, direction="sendonly", answer_direction="recvonly")
    a2 = s.party("2001", 0, 78)
    second = s.call(a2, s.party("4001", 1, 77)).begin(2.5)
    second.talk_both(3.1, 4.0)
    refer(first, 4.1, "%s?Replaces=%s" % (second.parties[1].uri, escape(replaces(second))))
    third = s.call(s.party("3001", 1, 79), s.party("4001", 1, 80))
    third.invite(4.2, headers=["Replaces: " + replaces(second), "Referred-By: <sip:2001@lab>"])
    third.answer(4.3)
    third.talk_both(4.35, 6.0)
    second.bye(4.4, side=1)
    first.bye(4.5)
    third.bye(6.0047)
    s.call("5001", "6001").simple(at=1.0, end=4.0)  # of somebody else
    s.together = [{0, 1, 2}, {3}]
    s.fields[2] = {"referred_by": "2001"}


@case
def two_legs_of_a_b2bua(s):
    """Two Call-IDs for one human call."""
    inside = s.party("2001", 0, 70)
    pbx_in = s.party("3001", 1, 71)
    outside = s.party("3001", 1, 72)
    pbx_out = s.party("2001", 1, 73)
    pbx_out.ip = pbx_in.ip
    pbx_out.sip, pbx_out.media = (pbx_in.ip, 5060), (pbx_in.ip, pbx_in.media[1] + 40)
    first = s.call(inside, pbx_in)
    second = s.call(pbx_out, outside)
    second.simple(at=0.2, ring=0.2, answer=0.8, end=3.0)
    first.simple(at=0.0, ring=0.5, answer=1.1, end=3.3)
    s.call("2002", "3002").simple(at=0.1)
    s.together = [{0, 1}, {2}]


@case
def one_session_id(s):
    """RFC 7989: the same human session under two Call-IDs."""
    half = "ab30317f1a784dc48ff824d0d3715d86"
    for n in range(2):
        c = s.call("200%d" % n, "300%d" % n)
        c.invite(n, headers=["Session-ID: %s;remote=%032x" % (half, n)])
        c.ring(n + 0.1)
        c.answer(n + 0.5)
        c.talk_both(n + 0.55, n + 3)
        c.bye(n + 3.0047)
    s.together = [{0, 1}]
