# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""Calls whose time is up and calls whose time is long: what tests of destroying record."""

from scene import Scene

START_US = 1709629200_000000  # 2024-03-05T09:00:00Z: 30 days after are over wherever this runs
POLICY = """policy: test
retention:
  default: short
  classes:
    short: { days: 30 }
    lasting: { months: 1200 }
purposes: [ complaint ]
export: { plain: allow }
record:
  rules:
    - { when: { to: "77*" }, do: record, class: lasting }
"""


def policy_file(bench):
    path = bench.path("policy.yaml")
    with open(path, "w") as f:
        f.write(POLICY)
    return path


def capture(bench, name, seed, short, lasting, seconds, start_us=START_US):
    """`short` calls to 30.., then `lasting` ones to 77.., each begun 50 ms after the one before."""
    scene = Scene(seed, start_us=start_us)
    for n in range(short + lasting):
        callee = "77%02d" % n if n >= short else "30%02d" % n
        scene.call("2%03d" % n, callee).simple(at=0.05 * n, end=0.05 * n + seconds)
    path = bench.path(name)
    scene.write(path)
    return path
