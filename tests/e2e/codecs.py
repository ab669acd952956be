#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Every codec and every key: recorded, exported, and heard.

Captures with a whole call are taken as they are: caller 440 Hz, callee 1000 Hz.  Captures of media alone
are given a call around it, that says in SDP what they are and, where they are protected, with
which key.
"""

from harness import SHARED, Skip, check, main, same, test, tests_of

import array
import ipaddress
import json
import math
import os
import sys
import wave

import reader
import wire

CAPTURES = os.path.join(SHARED, "corpus", "captures")


def capture(name):
    path = os.path.join(CAPTURES, name)
    if not os.path.exists(path):
        raise Skip("../shared/corpus is not there")
    return path


def read_wav(path):
    """(rate, [samples of the caller, samples of the callee])"""
    with wave.open(path) as w:
        rate, channels = w.getframerate(), w.getnchannels()
        data = array.array("h")
        data.frombytes(w.readframes(w.getnframes()))
    if sys.byteorder == "big":
        data.byteswap()
    return rate, [data[k::channels] for k in range(channels)]


def share_of(samples, rate, hz):
    """How much of the power of a track's second second is a tone of that frequency, give or take 2 Hz."""
    part = samples[rate : 2 * rate]
    power = sum(s * s for s in part) or 1
    best = 0
    for near in (hz - 2, hz - 1, hz, hz + 1, hz + 2):
        turn = 2 * math.pi * near / rate
        c = sum(s * math.cos(turn * i) for i, s in enumerate(part))
        q = sum(s * math.sin(turn * i) for i, s in enumerate(part))
        best = max(best, 2 * (c * c + q * q) / len(part) / power)
    return best


def level(samples):
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def export(store, path, *arguments):
    """Export the one answered call; (rate, tracks)."""
    calls = store.calls("--outcome", "answered")
    same(len(calls), 1, "the number of answered calls")
    store.export(calls[0]["id"], path, *arguments)
    return read_wav(path)


# ---- whole calls ---------------------------------------------------------------------------------

TONES = {
    "lab-g722": 8000,  # its phones agreed on PCMU
    "lab-opus": 48000,
    "lab-g726-32": 8000,
    "lab-amr": 8000,
    "lab-srtp-pcmu": 8000,
}


def tones(bench, name):
    path = capture(name[6:].replace("_", "-") + ".pcap")
    store = bench.store()
    store.record(path)
    rate, tracks = export(store, bench.path("call.wav"))
    same(rate, TONES[name[6:].replace("_", "-")], "rate")
    for track, hz in zip(tracks, (440, 1000)):
        share = share_of(track, rate, hz)
        check(share > 0.9, "a tone of %d Hz is %.2f of its track", hz, share)


tests_of(["tones_" + name.replace("-", "_") for name in TONES], tones)


@test
def conceal_and_opus_give_files_of_the_same_length(bench):
    store = bench.store()
    store.record(capture("ws-invite-opus-bye.pcap"))
    rate, plain = export(store, bench.path("plain.wav"))
    _, concealed = export(store, bench.path("concealed.wav"), "--conceal")
    same(len(concealed[0]), len(plain[0]), "samples with --conceal")
    call = store.calls("--outcome", "answered")[0]
    store.export(call["id"], bench.path("call.opus"), "--format", "opus")
    with open(bench.path("call.opus"), "rb") as f:
        head = f.read(64)
    check(head[:4] == b"OggS" and b"OpusHead" in head, "the export is no Opus in Ogg")


@test
def codec_without_a_decoder_is_named_and_kept(bench):
    store = bench.store()
    store.record(capture("cisco-rtp-sip-ilbc-20ms-15dot2kbps.pcapng"))
    call = store.calls("--outcome", "answered")[0]
    r = store.export(call["id"], bench.path("call.wav"), ok=(1,))
    check("iLBC" in r.err and "pcap" in r.err, "it says %r", r.err)
    store.export(call["id"], bench.path("call.pcap"), "--format", "pcap")
    packets = sum(len(p) for p in reader.streams(bench.path("call.pcap")).values())
    same(packets, sum(s["packets"] for s in call["streams"]), "packets in the pcap")


# ---- media alone, with a call around it --------------------------------------------------------------

SDP = (
    "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/{profile} {pt}\r\n"
    "a=rtpmap:{pt} {codec}\r\n{more}"
)
HEAD = (
    "{first}\r\nVia: SIP/2.0/UDP {via}:5060;branch=z9hG4bK1{method}\r\nFrom: <sip:1001@example.com>;tag=a\r\n"
    "To: <sip:1002@example.com>{tag}\r\nCall-ID: around@example.com\r\nCSeq: {number} {method}\r\n"
    "Contact: <sip:1001@{via}>\r\n{kind}Content-Length: {length}\r\n\r\n"
)


def message(first, via, method="INVITE", number=1, tag=";tag=b", body=""):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    head = HEAD.format(
        first=first, via=via, method=method, number=number, tag=tag, kind=kind, length=len(body)
    )
    return (head + body).encode()


def around(source, target, pt, codec, key=None, suite="AES_CM_128_HMAC_SHA1_80", more=""):
    """Write `target`: the busiest RTP stream of `source`, in a call whose caller sends it."""
    found = reader.streams(source)
    (src, dst, ssrc), _ = max(found.items(), key=lambda item: len(item[1]))
    wanted = [
        d
        for d in reader.Decoder(source).datagrams()
        if (reader.endpoint(d.src), reader.endpoint(d.dst)) == (src, dst)
        and (reader.rtp(d.us, d.payload) or None)
        and reader.rtp(d.us, d.payload).ssrc == ssrc
    ]
    a, b = [(str(ipaddress.ip_address(e[0])), e[1]) for e in (wanted[0].src, wanted[0].dst)]
    crypto = "a=crypto:1 %s inline:%s\r\n" % (suite, key) if key else ""
    fill = dict(profile="SAVP" if key else "AVP", pt=pt, codec=codec)
    offer = SDP.format(ip=a[0], port=a[1], more=crypto + more, **fill)
    answer = SDP.format(ip=b[0], port=b[1], more=crypto + more, **fill)
    out = wire.Pcap(target)

    def say(us, forth, text):
        ends = ((a[0], 5060), (b[0], 5060))
        out.frame(us, wire.link("ether", wire.udp(*(ends if forth else ends[::-1]), text)))

    start, end = wanted[0].us, wanted[-1].us
    say(start - 300000, True, message("INVITE sip:1002@%s SIP/2.0" % b[0], a[0], tag="", body=offer))
    say(start - 200000, False, message("SIP/2.0 200 OK", a[0], body=answer))
    say(start - 100000, True, message("ACK sip:1002@%s SIP/2.0" % b[0], a[0], method="ACK"))
    for d in wanted:
        out.frame(d.us, wire.link("ether", wire.udp(a, b, d.payload)))
    say(end + 100000, True, message("BYE sip:1002@%s SIP/2.0" % b[0], a[0], method="BYE", number=2))
    say(end + 150000, False, message("SIP/2.0 200 OK", a[0], method="BYE", number=2))
    out.close()
    return len(wanted)


MEDIA = {
    "miarec-g722.pcap": (9, "G722/8000", 16000),
    "miarec-10a-g722.pcap": (9, "G722/8000", 16000),
    "miarec-11a-g721.pcap": (2, "G721/8000", 8000),
    "ast-opus-2013785496.pcap": (96, "opus/48000/2", 48000),
    "gteissier-marseillaise-srtp.pcap": (8, "PCMA/8000", 8000),
    "rtpproxy-alice-srtp.pcap": (9, "G722/8000", 16000),
    "rtpdump-sample1-ipv4-amr-nb.pcap": (118, "AMR/8000", None),
}


def key_of(name):
    with open(os.path.join(SHARED, "corpus", "srtp_keys.json")) as f:
        keys = json.load(f).get(name)
    return list(keys.values())[0] if keys else None


def media(bench, name):
    pt, codec, rate = MEDIA[name[6:]]
    source, target = capture(name[6:]), bench.path("call.pcap")
    key = key_of(name[6:])
    suite = "AES_CM_128_HMAC_SHA1_%d" % (80 if not key or key.get("tag", 10) == 10 else 32)
    packets = around(source, target, pt, codec, key and key["key"], suite)
    store = bench.store()
    store.record(target)
    got, tracks = export(store, bench.path("call.wav"))
    if rate:
        same(got, rate, "rate")
    # A voice, and no noise of ciphertext or of a wrong packing, which is as loud as can be.
    loud = level(tracks[0])
    check(100 < loud < 9000, "the level of %d packets is %d", packets, loud)
    return store, tracks


tests_of(["media_" + name for name in MEDIA], media)


@test
def wrong_key_lets_nothing_be_heard(bench):
    name = "gteissier-marseillaise-srtp.pcap"
    source, target = capture(name), bench.path("call.pcap")
    key = key_of(name)["key"]
    around(source, target, 8, "PCMA/8000", "B" + key[1:])
    store = bench.store()
    store.record(target)
    call = store.calls("--outcome", "answered")[0]
    r = store.export(call["id"], bench.path("call.wav"), ok=(1,))
    check("encrypted" in r.err, "it says %r", r.err)


if __name__ == "__main__":
    main()
