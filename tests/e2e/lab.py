# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Networks to record from: a wire of our own (two ends of a veth in a namespace) and the span lab.

Both need root and network namespaces; without them the tests that use them are skipped.
"""

from harness import (
    BUILD, ROOT, SHARED, Process, Skip, Wrong, check, locked, program, read_counters, run,
    wait_until,
)  # fmt: skip

import os
import re
import shutil
import socket
import subprocess


# The sender is a process like any other, and may be late for a moment.
LIVE_OFFSET_S = 0.060


def quiet(*args):
    """Run a command of the system; gives its output, raises Wrong with what it said."""
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = p.stdout.decode("utf-8", "replace")
    if p.returncode:
        raise Wrong("`%s`: %s" % (" ".join(args), text.strip()[-300:]))
    return text


def need_namespaces():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not shutil.which("ip"):
        raise Skip("needs iproute2")
    # In a mount namespace of its own: where it fails, `ip netns` must leave nothing mounted behind.
    name = "callspan-probe-%d" % os.getpid()
    probe = (
        "ip netns add {0} && { ip -n {0} link add probe0 type veth peer name probe1; e=$?;"
        " ip netns del {0}; exit $e; }"
    ).replace("{0}", name)
    try:
        quiet("unshare", "--mount", "sh", "-c", probe)
    except Wrong as e:
        raise Skip("no network namespaces here: %s" % e)


def replay_program():
    """Build tests/e2e/replay.c beside the programs, once."""
    out = os.path.join(BUILD, "e2e", "replay")
    source = os.path.join(ROOT, "tests", "e2e", "replay.c")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = "%s.%d" % (out, os.getpid())
        run("cc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-o", part, source, "-lpcap")
        os.rename(part, out)
    return out


class Recorder(Process):
    """callspand at an interface (or several) of a namespace, ready to record when this returns.  Instead of interfaces,
    arguments that say what to record; a namespace of None is this one."""

    def __init__(self, bench, store, netns, interface, *extra, name="callspand", prefix=(),
                 binary=None):
        self.counters_path = bench.path(name + ".counters")
        address = bench.path(name + ".ready")
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(address)
        os.chmod(address, 0o777)  # the recorder may be another user by then
        ready.setblocking(False)
        names = (interface,) if isinstance(interface, str) else interface
        what = names if names and names[0].startswith("-") else [a for name in names for a in ("-i", name)]
        os.environ["NOTIFY_SOCKET"] = address
        where = ("ip", "netns", "exec", netns) if netns else ()
        try:
            super().__init__(
                bench, *where, *prefix, binary or program("callspand"), "--store", store.path, *what, "--foreground",
                "--counters", self.counters_path, *extra, name=name,
            )  # fmt: skip
        finally:
            del os.environ["NOTIFY_SOCKET"]
        self._wait_ready(ready)
        ready.close()
        os.unlink(address)

    def _wait_ready(self, ready):
        def is_ready():
            try:
                return b"READY=1" in ready.recv(4096)
            except BlockingIOError:
                check(self.alive(), "callspand did not start: %s", self.said()[-400:])
                return False

        wait_until(is_ready, "callspand was not ready", 30)

    def finish(self, **more):
        """SIGTERM; gives its counters."""
        self.seconds = self.stop(**more)
        return read_counters(self.counters_path)


class Wire:
    """A wire of our own: what is sent into one end is mirrored to callspand at the other."""

    tap, source = "mirror", "phones"

    def __init__(self, bench):
        need_namespaces()
        self.bench = bench
        self.netns = "callspan-%d-%d" % (os.getpid(), len(bench.cleanups))
        quiet("ip", "netns", "add", self.netns)
        bench.cleanups.append(lambda: quiet("ip", "netns", "del", self.netns))
        self.connect(self.tap, self.source)

    def link(self, *args):
        return quiet("ip", "-n", self.netns, "link", *args)

    def connect(self, tap, source):
        """Lay a wire: both ends up, and silent."""
        self.link("add", tap, "type", "veth", "peer", "name", source)
        for end in (tap, source):
            key = "net.ipv6.conf.%s.disable_ipv6=1" % end
            quiet("ip", "netns", "exec", self.netns, "sysctl", "-qw", key)
            self.link("set", end, "arp", "off", "up")

    def recorder(self, store, *extra, on=None, **more):
        on = self.tap if on is None else on
        return Recorder(self.bench, store, self.netns, on, *extra, **more)

    def replay(self, capture, name="replay", source=None):
        return Process(
            self.bench, "ip", "netns", "exec", self.netns, replay_program(), source or self.source,
            capture, name=name,
        )  # fmt: skip

    def sent_by_tap(self):
        """Frames that the recorder's end has sent: must stay 0."""
        return frames_sent(self.netns, self.tap)


def frames_sent(netns, interface):
    text = quiet("ip", "-s", "-n", netns, "link", "show", interface)
    return int(re.search(r"TX:[^\n]*\n\s*\d+\s+(\d+)", text).group(1))


def progress(replay):
    """What a replay has told: [(Unix microseconds, frames sent)]."""
    out = []
    for line in replay.said().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
            out.append((int(words[0]), int(words[1])))
    return out


class SpanLab:
    """../shared/lab/span-lab.sh: telephones, a switch and a real mirror port."""

    netns, interface = "lab-mon", "span0"

    def __init__(self, bench, *up):
        script = os.path.join(SHARED, "lab", "span-lab.sh")
        if not os.path.exists(script):
            raise Skip("../shared/lab is not here")
        need_namespaces()
        for tool in ("tc", "ethtool", "python3", "sox", "ping"):
            if not shutil.which(tool):
                raise Skip("needs " + tool)
        locked(bench, "lab")
        self.bench, self.script, self.dir = bench, script, bench.path("lab")
        bench.cleanups.append(lambda: self("down"))
        self("up", *up)

    def __call__(self, *args):
        # Into a file: what the script leaves running would hold a pipe open.
        env = dict(os.environ, LABDIR=self.dir)
        said = self.bench.path("span-lab.said")
        with open(said, "wb") as f:
            p = subprocess.run(
                ("bash", self.script) + args, env=env, stdin=subprocess.DEVNULL, stdout=f,
                stderr=subprocess.STDOUT, timeout=300,
            )  # fmt: skip
        with open(said, errors="replace") as f:
            text = f.read()
        check(p.returncode == 0, "span-lab.sh %s: %s", " ".join(args), text.strip()[-300:])
        return text

    def recorder(self, store, *extra, **more):
        return Recorder(self.bench, store, self.netns, self.interface, *extra, **more)

    def sent_by_tap(self):
        return frames_sent(self.netns, self.interface)
