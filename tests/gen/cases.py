# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The matrix: every way a call can go that the recorder must keep whole, a few lines each.

A case is a function from a seed to a Scene.  tests/e2e/recording.py records each and compares it
with its truth; tests/gen/pcaps.py freezes some of them as golden captures.
"""

from call import Party
from scene import Scene

CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def variant(name, f, **arguments):
    CASES[name] = lambda seed: f(seed, **arguments)


# ---- what the network does -----------------------------------------------------------------------


def impaired(seed, copies=1, end=4.0, v6=False, codec="PCMU", ptime=20, **path):
    s = Scene(seed, copies=copies, v6=v6)
    s.call(codec=codec, ptime=ptime).simple(end=end, **path)
    return s


variant("plain", impaired)
variant("loss_5_percent", impaired, loss=0.05)
variant("loss_25_percent", impaired, loss=0.25)
variant("loss_in_bursts", impaired, bursts=4, burst_packets=12)
variant("reordered_by_up_to_8", impaired, reorder=8)
variant("reordered_and_lost", impaired, reorder=8, loss=0.05)
variant("jitter_40_ms", impaired, jitter_ms=40)
variant("mirrored_twice", impaired, copies=2)
variant("mirrored_twice_lost_and_reordered", impaired, copies=2, loss=0.05, reorder=8)
variant("mirrored_three_times", impaired, copies=3)
variant("ipv6", impaired, v6=True)
variant("alaw", impaired, codec="PCMA")
variant("alaw_with_loss", impaired, codec="PCMA", loss=0.25)
for _ms in (10, 20, 30, 40, 60):
    variant("ptime_%d" % _ms, impaired, ptime=_ms)
    variant("ptime_%d_loss_and_reordering" % _ms, impaired, ptime=_ms, loss=0.05, reorder=4)


def wrapping(seed, **path):
    s = Scene(seed)
    c = s.call()
    for sender in c.senders:
        sender.seq = 65536 - 60
        sender.ts = 2**32 - 90 * 160
    c.simple(**path)
    return s


variant("sequence_and_timestamp_wrap", wrapping)
variant("wrap_with_reordering_and_loss", wrapping, reorder=8, loss=0.05)


@case
def sequence_wraps_at_the_first_packet(seed):
    s = Scene(seed)
    c = s.call()
    c.senders[0].seq, c.senders[1].seq = 65535, 0
    c.simple(reorder=8)
    return s


# ---- how calls begin -----------------------------------------------------------------------------


def ahead(seed, copies=1):
    s = Scene(seed, copies=copies)
    s.call().simple(answer=1.0, ahead=0.4)
    return s


variant("media_400_ms_ahead_of_the_answer", ahead)
variant("media_ahead_of_the_answer_mirrored_twice", ahead, copies=2)


@case
def early_media(seed):
    """A 183 with SDP: announcements before the answer belong to the call."""
    s = Scene(seed)
    c = s.call()
    c.invite(0)
    c.reply(0.01, 100)
    c.ring(0.1, status=183, sdp=True)
    c.talk(1, 0.15, 4.0)
    c.answer(2.0)
    c.talk(0, 2.0511, 4.0)
    c.bye(4.0047)
    return s


@case
def late_offer(seed):
    """The callee offers in its 200, the caller answers in its ACK (RFC 3264, 4)."""
    s = Scene(seed)
    c = s.call()
    c.invite(0, sdp=False)
    c.ring(0.1)
    c.answer(1.0, ack_sdp=True)
    c.talk(0, 1.0211, 4.0)
    c.talk(1, 1.05, 4.0)
    c.bye(4.0047, side=1)
    return s


@case
def challenged_invite(seed):
    s = Scene(seed)
    c = s.call()
    c.invite(0)
    c.challenge(0.02)
    c.ring(0.2)
    c.answer(0.8)
    c.talk_both(0.85, 3.0)
    c.bye(3.0047)
    return s


@case
def retransmissions(seed):
    """Every message twice or three times, as over a lossy path (RFC 3261, 17)."""
    s = Scene(seed)
    c = s.call()
    c.simple(answer=1.2, end=3.5)
    for us, src, dst, payload in list(s.sent):
        for later in (180000, 400000):
            s.send(us + later, src, dst, payload)
    return s


@case
def behind_nat(seed):
    """The caller's SDP names a private address; its media comes from, and goes to, another."""
    s = Scene(seed)
    s.call(shown="192.168.7.7").simple()
    return s


@case
def audio_one_way(seed):
    s = Scene(seed)
    c = s.call().begin()
    c.talk(1, 0.55, 3.0)
    c.bye(3.0047)
    return s


# ---- what happens in the middle ------------------------------------------------------------------


def hold(seed, direction, answer_direction, hidden=False):
    """The caller holds from 2 to 4; nobody sends in that time; then the call goes on."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk_both(0.55, 2.0)
    c.reinvite(2.0, 0, direction, answer_direction, hidden=hidden)
    c.reinvite(4.0, 0, "sendrecv", "sendrecv")
    c.talk_both(4.15, 5.5)
    c.bye(5.5047)
    return s


variant("hold_sendonly_and_resume", hold, direction="sendonly", answer_direction="recvonly")
variant("hold_inactive_and_resume", hold, direction="inactive", answer_direction="inactive")
variant("hold_with_zero_address", hold, direction="sendonly", answer_direction=None, hidden=True)


@case
def music_on_hold(seed):
    """On hold by sendonly the holder's music goes on being part of the call."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk(0, 0.55, 6.0)
    c.talk(1, 0.5631, 2.0)
    c.reinvite(2.0, 0, "sendonly", "recvonly")
    c.reinvite(4.0, 0, "sendrecv", "sendrecv")
    c.talk(1, 4.1631, 6.0)
    c.bye(6.0047)
    return s


def moved(seed, side=1, gap=0.03, new_ssrc=False, early=0.0):
    """One side moves its media to other ports by re-INVITE at 2.0, answered at 2.1."""
    s = Scene(seed)
    c = s.call().begin()
    before = [p.media for p in c.parties]
    c.talk(0, 0.55, 2.1 - early)
    c.talk(1, 0.5631, 2.1 - early)
    c.parties[side].media = (before[side][0], before[side][1] + 40)
    c.reinvite(2.0, side)
    if new_ssrc:
        c.senders[side].ssrc ^= 0x5A5A5A5A
    c.talk(0, 2.1 + gap - early, 4.0)
    c.talk(1, 2.1131 + gap - early, 4.0)
    c.bye(4.0047, side=1)
    return s


variant("media_moved_by_callee", moved)
variant("media_moved_by_caller", moved, side=0)
variant("media_moved_with_new_ssrc", moved, new_ssrc=True)
variant("media_moved_ahead_of_the_answer", moved, early=0.08)


@case
def ssrc_changes_in_mid_call(seed):
    s = Scene(seed)
    c = s.call().begin()
    c.talk(1, 0.5631, 4.0)
    c.talk(0, 0.55, 2.0)
    c.senders[0].ssrc ^= 0x01020304
    c.senders[0].jump(123456)
    c.talk(0, 2.02, 4.0)
    c.bye(4.0047)
    return s


@case
def timestamp_jumps(seed):
    """Same SSRC and running sequence, another clock: the audio goes on where it came."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk(1, 0.5631, 4.0)
    c.talk(0, 0.55, 2.0)
    c.senders[0].jump(8000 * 1000)
    c.talk(0, 2.01, 4.0)
    c.bye(4.0047)
    return s


@case
def silence_suppressed(seed):
    """Comfort noise and then nothing (RFC 3389): the pause has its true length."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk(0, 0.55, 5.0, quiet=[(1.5, 2.5), (3.0, 3.4)])
    c.talk(1, 0.5631, 5.0, quiet=[(2.0, 4.0)])
    c.bye(5.0047)
    return s


@case
def telephone_events(seed):
    s = Scene(seed)
    c = s.call().begin()
    c.talk(0, 0.55, 4.0, dtmf=[(1.0, "1"), (1.5, "5"), (2.0, "#")])
    c.talk(1, 0.5631, 4.0)
    c.bye(4.0047)
    return s


@case
def codec_changes_in_mid_call(seed):
    """Both were offered, one is used after the other on the same stream."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk(0, 0.55, 4.0)
    c.talk(1, 0.5631, 2.0)
    c.codec = "PCMA"
    c.reinvite(2.0, 0)
    c.senders[1].ssrc ^= 0x11111111
    c.talk(1, 2.1631, 4.0)
    c.bye(4.0047)
    return s


# ---- how calls end -------------------------------------------------------------------------------


@case
def audio_runs_on_after_the_bye(seed):
    s = Scene(seed)
    s.call().simple(trail=1.5)
    return s


@case
def audio_runs_on_after_the_bye_reordered(seed):
    s = Scene(seed)
    s.call().simple(trail=1.5, reorder=8, loss=0.05, jitter_ms=10)
    return s


@case
def challenged_bye(seed):
    """A BYE answered by 401 ends nothing; the one after it does."""
    s = Scene(seed)
    c = s.call().begin()
    c.talk_both(0.55, 4.0)
    c.bye(2.0047, status=401)
    c.bye(4.0047)
    return s


def wrong_tags(seed, status):
    s = Scene(seed)
    c = s.call().begin()
    c.talk_both(0.55, 4.0)
    c.bye(2.0047, side=1, status=status, tags=["%08x" % 1, "%08x" % 2])
    c.bye(4.0047)
    return s


variant("bye_with_wrong_tags", wrong_tags, status=481)
# Even a 200 to it: it is a BYE of some other dialog.
variant("bye_with_wrong_tags_accepted", wrong_tags, status=200)


@case
def bye_that_nobody_answers(seed):
    s = Scene(seed)
    c = s.call().begin()
    c.talk_both(0.55, 3.0)
    c.bye(3.0047, status=None)
    return s


def open_end(seed, **path):
    s = Scene(seed)
    c = s.call().begin()
    c.talk_both(0.55, 4.0, **path)
    c.ended_by = "capture-end"
    return s


variant("no_bye_at_capture_end", open_end)
variant("no_bye_at_capture_end_with_loss", open_end, loss=0.05)


@case
def cancelled(seed):
    s = Scene(seed)
    c = s.call()
    c.invite(0)
    c.ring(0.1)
    c.cancel(2.0)
    return s


@case
def refused(seed):
    s = Scene(seed)
    c = s.call()
    c.invite(0)
    c.ring(0.1)
    c.refuse(1.0)
    return s


# ---- several calls -------------------------------------------------------------------------------


def reused(seed, same_caller=False, ssrc=None, calls=3, copies=1):
    """Call after call on one endpoint, each 200 ms after the BYE of the one before, whose audio
    runs on for 1.5 s.  same_caller: the very same addresses and ports on both sides."""
    s = Scene(seed, copies=copies)
    callee = s.party("3001", 1)
    caller = s.party("2001", 0)
    at = 0.0
    for n in range(calls):
        if not same_caller:
            caller = s.party("200%d" % (n + 1), 0)
        c = s.call(caller, callee, ssrc=ssrc)
        for sender in c.senders:
            sender.seq = 1000 + 9000 * n + s.random.getrandbits(12)
        c.simple(at=at, ring=0.05, answer=0.35, end=2.0, trail=1.5)
        at += 2.0047 + 0.2
    return s


variant("endpoint_reused_after_200_ms", reused)
variant("endpoint_reused_with_one_ssrc", reused, ssrc=0x1234ABCD)
variant("same_four_tuple_reused", reused, same_caller=True)
variant("same_four_tuple_and_ssrc_reused", reused, same_caller=True, ssrc=0x1234ABCD)
variant("endpoint_reused_mirrored_twice", reused, ssrc=0x1234ABCD, copies=2)


@case
def twenty_calls_at_once(seed):
    s = Scene(seed)
    for n in range(20):
        c = s.call("20%02d" % n, "30%02d" % n, ptime=(10, 20, 30, 40, 60)[n % 5])
        c.simple(at=0.07 * n, end=2.5, by=n % 2, loss=0.02 * (n % 3), reorder=n % 4)
    return s


@case
def one_ssrc_for_all_calls(seed):
    """As load generators do: one SSRC and one sequence, only the endpoints differ."""
    s = Scene(seed)
    for n in range(8):
        c = s.call("20%02d" % n, "30%02d" % n, ssrc=0xCAFE0001)
        for sender in c.senders:
            sender.seq, sender.ts = 7, 1000
        c.simple(at=0.05 * n, end=2.5)
    return s


@case
def two_calls_to_one_callee_endpoint(seed):
    """A gateway's single port: the calls differ by the caller's endpoint alone."""
    s = Scene(seed)
    callee = s.party("3001", 1)
    for n in range(2):
        caller = Party("200%d" % (n + 1), "10.1.0.%d" % (n + 2), 10000 + 2 * n)
        s.call(caller, callee, ssrc=0xCAFE0002).simple(at=0.3 * n, end=3.0)
    return s
