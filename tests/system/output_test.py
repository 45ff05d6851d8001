#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tasks print to stdout on any rank arrives at the driver's terminal once, in order, in whole
lines and with the rank in front; what they print to stderr arrives too.

usage: output_test.py LAUNCH RANKS PROGRAM
"""
import re
import subprocess
import sys

LAUNCH, RANKS, PROGRAM = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LINES = 500
FILLING = 'x' * 700


def expected(rank):
    lines = [f'whole of {rank}: line {i} {FILLING}.' for i in range(LINES)]
    lines += [f'by hand of {rank}', f'child of {rank}']
    if rank != 0:
        lines += [f'halves of {rank}: line {i} begins and ends' for i in range(LINES)]
        lines += [f'halves of {rank}: no end']
    return lines


def in_order():
    """What a task printed that the driver waited for comes before what the driver prints then. A
    stream's producer runs ahead, so its line need only come before the driver's."""
    done = subprocess.run([LAUNCH, str(RANKS), PROGRAM, '140', 'order'], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    lines = [re.sub(r'^\[rank \d+\] ', '', line) for line in done.stdout.splitlines()]
    steps = [int(line.split()[1]) for line in lines if line.startswith('driver')]
    assert steps == [*range(7), 0, *range(7, 140)], steps
    printed, before = 0, set()
    for line in lines:
        how, step = line.split()
        if how != 'driver':
            before.add(step)
            printed += 1
            continue
        assert step in before, (line, lines)
        if step == '0':
            before.clear()  # it comes twice, the second time of a child process
    assert printed == len(steps), (printed, lines)


def main():
    in_order()
    done = subprocess.run([LAUNCH, str(RANKS), PROGRAM, str(LINES)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    arrived = {rank: [] for rank in range(RANKS)}
    for line in done.stdout.splitlines():
        prefixed = re.fullmatch(r'\[rank (\d+)\] (.*)', line)
        arrived[int(prefixed[1]) if prefixed else 0].append(prefixed[2] if prefixed else line)
    for rank in range(RANKS):
        got, want = arrived[rank], expected(rank)
        for number, (one, other) in enumerate(zip(got, want)):
            assert one == other, f'rank {rank}, line {number}: {one!r} instead of {other!r}'
        assert len(got) == len(want), f'rank {rank}: {len(got)} lines instead of {len(want)}'
    for rank in range(RANKS):
        assert done.stderr.count(f'stderr of {rank}\n') == 1, (rank, done.stderr)
    print(f'all lines of {RANKS} ranks are whole')


main()
