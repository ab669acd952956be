# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Links and tunnels: each frame decodes to what tshark says: innermost addresses and ports.

The captures are not part of the tree; without them the test is skipped.  linklayer.expect has one
line a capture: its name, how many of its frames hold UDP, TCP or a fragment, the SHA-256 of their
lines, and, where we differ from tshark on purpose, in how many frames and why.

    linklayer.py --update    make linklayer.expect anew from tshark, for review as a diff

It fails when a capture differs for which DIFFERENT below gives no reason, or differs no more.
"""

from harness import BUILD, ROOT, SHARED, Skip, check, main, run, test

import hashlib
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

CAPTURES = os.path.join(SHARED, "corpus", "linklayer")
EXPECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "linklayer.expect")
TSHARK = [
    "tshark", "-n", "-T", "pdml", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
    "-o", "tcp.desegment_tcp_streams:FALSE", "-o", "ip.check_checksum:FALSE",
]  # fmt: skip

# Why a capture may differ, by name.
DIFFERENT = {
    "ppp-ip4-bad-fragment.pcap": "the IP header is longer than the packet: malformed, to tshark too",
    "zeek-gre-aruba-amsdu.pcap": "aggregates of IEEE 802.11 (several packets a frame) are counted as other",
    "zeek-gtp-control-prime.pcap": "GTP' carries charging records, which tshark takes for packets",
}


# ---- ours ----------------------------------------------------------------------------------------


def decode_program():
    """Build tests/e2e/decode.c beside the programs, with their library."""
    out = os.path.join(BUILD, "e2e", "decode")
    source = os.path.join(ROOT, "tests", "e2e", "decode.c")
    library = os.path.join(BUILD, "libcallspan.a")
    newest = max(os.path.getmtime(source), os.path.getmtime(library))
    if not os.path.exists(out) or os.path.getmtime(out) < newest:
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = "%s.%d" % (out, os.getpid())
        sanitize = {"asan": "-fsanitize=address,undefined", "tsan": "-fsanitize=thread",
                    "cover": "--coverage"}  # fmt: skip
        mode = sanitize.get(os.path.basename(BUILD))
        run(
            "clang" if mode == sanitize["tsan"] else "cc", *([mode] if mode else []),
            "-std=c17", "-D_GNU_SOURCE", "-O1", "-I" + os.path.join(ROOT, "src"), "-o", part,
            source, library, "-lpcap", "-lyaml", "-lm",
        )  # fmt: skip
        os.rename(part, out)
    return out


def ours(path):
    """{frame: (kind, source, port, destination, port)} of frames with UDP, TCP or a fragment."""
    out = {}
    for line in run(decode_program(), path, ok=(0, 1)).out.splitlines():
        words = line.split()
        if len(words) > 2:
            out[int(words[0])] = tuple(words[1:6])
    return out


# ---- tshark's ------------------------------------------------------------------------------------

# What may come between one IP packet and the next; what is in it is not the outer datagram's own.
INSIDE = {
    "eth", "arp", "ppp", "llc", "mpls", "wlan", "gre", "esp", "erspan", "pwethcw", "wlan_aggregate",
}  # fmt: skip


def shown(proto, name):
    field = next((f for f in proto.iter("field") if f.get("name") == name), None)
    return field.get("show") if field is not None else None


def number(text):
    return int(text, 0) if text else 0


def of_packet(packet):
    """(frame, (kind, source, port, destination, port) or None)"""
    frame, found, ends = 0, None, None
    for proto in packet.iter("proto"):
        name = proto.get("name")
        if name == "frame":
            frame = int(shown(proto, "frame.number"))
        elif name in ("ip", "ipv6"):
            ends, found = (shown(proto, name + ".src"), shown(proto, name + ".dst")), None
            parts = ("ip.flags.mf", "ip.frag_offset") if name == "ip" else (
                "ipv6.fraghdr.more", "ipv6.fraghdr.offset")  # fmt: skip
            if any(shown(proto, p) not in (None, "0", "False") for p in parts):
                return frame, ("fragment", ends[0], "0", ends[1], "0")
        elif name in ("udp", "tcp") and ends and shown(proto, name + ".dstport"):
            found = (name, ends[0], shown(proto, name + ".srcport"), ends[1],
                     shown(proto, name + ".dstport"))  # fmt: skip
        elif name in ("icmp", "icmpv6"):  # quotes a packet
            return frame, None
        elif name == "lisp":  # its control messages quote one
            return frame, found
        elif name in INSIDE:
            found = None
    return frame, found


def tsharks(path):
    p = subprocess.Popen(TSHARK + ["-r", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = {}
    for _, element in ElementTree.iterparse(p.stdout):
        if element.tag == "packet":
            frame, found = of_packet(element)
            if found:
                out[frame] = found
            element.clear()
    p.wait()
    return out


# ---- both ----------------------------------------------------------------------------------------


def digest(frames):
    lines = sorted("%d %s" % (n, " ".join(f)) for n, f in frames.items())
    return "%d %s" % (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest())


def captures():
    return sorted(os.listdir(CAPTURES)) if os.path.isdir(CAPTURES) else []


def update():
    lines, wrong = [], 0
    for name in captures():
        path = os.path.join(CAPTURES, name)
        mine, theirs = ours(path), tsharks(path)
        line = "%s %s" % (name, digest(mine))
        differ = [n for n in set(mine) | set(theirs) if mine.get(n) != theirs.get(n)]
        if bool(differ) != (name in DIFFERENT):
            wrong += 1
            print("%s: frames %s, tshark %s, callspan %s" % (
                name, sorted(differ)[:20], [theirs.get(n) for n in sorted(differ)[:2]],
                [mine.get(n) for n in sorted(differ)[:2]]))  # fmt: skip
        if differ:
            line += " # %d: %s" % (len(differ), DIFFERENT.get(name))
        lines.append(line)
    if not wrong:
        with open(EXPECT, "w") as f:
            f.write("\n".join(lines) + "\n")
    sys.exit(1 if wrong else 0)


@test
def every_frame_decodes_to_what_tshark_says(bench):
    if not captures():
        raise Skip("no ../shared/corpus/linklayer here")
    with open(EXPECT) as f:
        expected = {line.split()[0]: " ".join(line.split()[1:3]) for line in f}
    wrong = []
    for name in sorted(expected):
        path = os.path.join(CAPTURES, name)
        if os.path.exists(path) and digest(ours(path)) != expected[name]:
            wrong.append(name)
    check(not wrong, "other frames than tshark in %s", ", ".join(wrong))


if __name__ == "__main__":
    if "--update" in sys.argv:
        update()
    main()
