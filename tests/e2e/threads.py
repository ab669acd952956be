# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Threads of another process, kept from running one by one, as a machine with other work does: by ptrace(2), which stops a
single thread and needs root, or the same user.
"""

from harness import Process, Skip

import ctypes
import os
import time

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
ALL_CHILDREN = 0x40000000  # __WALL: threads are waited for too

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid):
    """False where the thread has ended, or is ending."""
    return libc.ptrace(request, tid, None, None) == 0


def need_ptrace(bench):
    p = Process(bench, "sleep", "60", name="probe")
    with Held(p.p.pid, [p.p.pid]) as held:
        if not held.stopped:
            raise Skip("no ptrace here")
    p.kill()


def threads_of(pid):
    """[(thread, its name)]"""
    out = []
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, tid)) as f:
                out.append((int(tid), f.read().strip()))
        except OSError:
            pass  # it has ended
    return sorted(out)


class Held:
    """Threads that do not run until the end of the `with`.  Begin and end it on one thread, of the process's parent."""

    def __init__(self, pid, tids):
        self.pid, self.tids, self.stopped = pid, tids, []

    def state(self, tid):
        try:
            with open("/proc/%d/task/%d/stat" % (self.pid, tid)) as f:
                return f.read().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    def __enter__(self):
        for tid in self.tids:
            if not ptrace(PTRACE_SEIZE, tid):
                continue
            ptrace(PTRACE_INTERRUPT, tid)
            while self.state(tid) not in "tZX":
                time.sleep(0.001)
            if self.state(tid) == "t":
                self.stopped.append(tid)
            else:
                self.bury(tid)
        return self

    def bury(self, tid):
        """Of a thread that ended we are told first; the process itself is left to its parent's own wait."""
        if tid == self.pid:
            return
        try:
            os.waitpid(tid, ALL_CHILDREN)
        except ChildProcessError:
            pass

    def __exit__(self, *_):
        for tid in self.stopped:
            if not ptrace(PTRACE_DETACH, tid):
                self.bury(tid)


def hold_at_random(pid, random, while_true, longest_s):
    """Now this thread of the process, now those two, for a random while, until `while_true` is no longer.  Gives how often."""
    times = 0
    while while_true():
        tids = [tid for tid, _ in threads_of(pid)]
        if not tids:
            break
        with Held(pid, random.sample(tids, min(len(tids), random.choice((1, 1, 2, 3))))):
            time.sleep(random.uniform(0, longest_s))
        time.sleep(random.uniform(0, longest_s / 4))
        times += 1
    return times
