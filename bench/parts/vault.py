# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""The vault: what taking in, searching and purging cost."""
import json
import os
import shutil
import statistics
import subprocess

from parts import common
from parts.common import say

PURGE_CALLS = 1000000
PURGE = "purge"
VAULT = ["ingest", "search"]


def verdict(what, got, met):
    print(common.verdict(what, got, met))


def run_purge(args, directory):
    """bench/purge, which fails when it does not destroy all of them; its figures."""
    calls = int(os.environ.get("PURGE_CALLS") or (20000 if args.quick else PURGE_CALLS))
    store = os.path.join(directory, "purge")
    say(f"  purge: a store of {calls:,} expired recordings: making it takes longest")
    out = subprocess.run([os.path.join(args.build, "bench/purge"), store, str(calls)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(store, ignore_errors=True)
    return json.loads(out)


def purge_text(f, quick):
    stages = ", ".join(f"{name} {ms / 1000:.1f} s" for name, ms in f["stages_ms"].items() if name != "search")
    lines = [f"purge of {f['calls']:,} recordings: {f['purge_s']:.1f} s ({stages}), {f['purge_cpu_s']:.1f} CPU-s;"
             f" dry run {f['dry_run_s']:.2f} s; {f['bytes_freed'] / 1e6:,.0f} MB freed"]
    if not quick and f["calls"] >= PURGE_CALLS:
        for what, got, most in [("purge", f["purge_s"], 120), ("dry run", f["dry_run_s"], 5)]:
            lines.append(common.verdict(f"{what} within {most} s", f"{got:.1f} s", got <= most))
    return "\n".join(lines)


def vault_program(build, directory, name, *args):
    env = dict(os.environ, BENCH_DIR=directory)
    out = subprocess.run([os.path.join(build, "bench", name), *args], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, env=env).stdout
    return json.loads(out)


def bench_ingest(build, directory, quick):
    calls = "4000" if quick else "40000"
    o = vault_program(build, directory, "ingest", "--calls", calls, "--chunks", "2", "--done", "10000")
    print(f"\ningest: {o['calls']:,} calls in {o['seconds']:.2f} s, {o['cpu_seconds'] / o['calls'] * 1e6:.0f} us of CPU a call; by stage, us a call: "
          + ", ".join(f"{n} {s['us_a_call']:.1f}" for n, s in o["stages"].items()))
    verdict("at least 4,000 calls taken in a second, keys opened", f"{o['calls_a_second']:,.0f}", o["calls_a_second"] >= 4000)
    verdict("a look costs under 5 ms with 10,000 segments that are done", f"{o['nothing_new_ms']:.1f} ms", o["nothing_new_ms"] < 5)
    live = vault_program(build, directory, "ingest", "--calls", calls, "--chunks", "8", "--live")
    first, last = statistics.mean(live["rounds_seconds"][1:6]), statistics.mean(live["rounds_seconds"][-5:])
    verdict("following an open segment costs the same however long it is (within 2 times)", f"{last / first:.2f} times", last <= 2 * first)


def bench_search(build, directory, quick):
    args = ["--calls", "100000", "--queries", "50"] if quick else ["--queries", "200"]
    o = vault_program(build, directory, "search", *args)
    cold, warm = o["cold"], o["warm"]
    print(f"\nsearch by number among {o['calls']:,} calls, {o['replies_a_query']:.1f} found: warm p50 {warm['p50_ms']:.1f} ms, p99 {warm['p99_ms']:.1f} ms; "
          f"{o['max_rss_kib'] / 1024:.0f} MiB")
    cached = "" if o["caches_dropped"] else " (caches were NOT dropped: run as root)"
    verdict("search by number under 50 ms at the 99th percentile, nothing in any cache",
            f"p50 {cold['p50_ms']:.1f} ms, p99 {cold['p99_ms']:.1f} ms{cached}", o["caches_dropped"] and cold["p99_ms"] < 50)


def bench_vault(args, directory, wanted):
    """What misses its figure is said; figures of a --quick run mean little."""
    if wanted("ingest"):
        bench_ingest(args.build, directory, args.quick)
    if wanted("search"):
        bench_search(args.build, directory, args.quick)
