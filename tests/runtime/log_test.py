#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rank introduces itself at level info, with its number in front, and nobody says anything
below the level that was set. Ranks that were bound to the same CPUs are warned of, once.

usage: log_test.py LAUNCH RANKS MOBULA
"""
import os
import re
import subprocess
import sys

LAUNCH, RANKS, MOBULA = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def messages(level, *before):
    """What the ranks log, as (rank, level, text), and what the doctor says."""
    done = subprocess.run([LAUNCH, str(RANKS), *before, MOBULA, 'doctor',
                           f'--mobula-log-level={level}'], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    found = re.findall(r'mobula\[(\d+)\] (\w+): ([^\n]*)\n', done.stderr)
    return [(int(rank), word, text) for rank, word, text in found], done.stdout


def each_rank_introduces_itself():
    logged, report = messages('info')
    said = [(rank, text) for rank, word, text in logged if word == 'info']
    for rank in range(RANKS):
        about = [text for who, text in said if who == rank and text.startswith('node ')]
        assert len(about) == 1 and re.fullmatch(
            r'node 0 \(\S+\), (is bound to|may use) CPUs [\d,-]+, (1 worker|\d+ workers), GPUs .+',
            about[0]), (rank, said)
        # Only what is less than all of the node is said to be bound.
        cpus = len(os.sched_getaffinity(0))
        if cpus == len(os.sched_getaffinity(1)) and ' 0-' in about[0]:
            assert 'may use CPUs' in about[0], about[0]
    verbs = [(who, text) for who, text in said if text.startswith('large objects come by ')]
    if RANKS > 1:
        assert len(verbs) == 1 and verbs[0][0] == 0, said
        peers = 'rank 1' if RANKS == 2 else f'ranks 1-{RANKS - 1}'
        told = re.fullmatch(rf'.* by (map|get|push) from {peers} on this node', verbs[0][1])
        assert told and f'large objects come by {told[1]}\n' in report, (verbs, report)


def levels_are_kept():
    assert not [one for one in messages('warning')[0] if one[1] in ('info', 'debug')]
    assert not messages('off')[0]


def shared_cpus_are_warned_of_once():
    """Two CPUs are needed: where there is one, all of them is what everybody has."""
    if len(os.sched_getaffinity(1)) < 2:
        return
    cpu = min(os.sched_getaffinity(0))
    bound = ['taskset', '-c', str(cpu)]
    own = messages('info', *bound)[0]
    assert any(f'is bound to CPUs {cpu}, ' in text for _, _, text in own), own
    shared = [one for one in messages('warning', *bound)[0] if 'bound to the same CPUs' in one[2]]
    if RANKS == 1:
        assert not shared, shared
        return
    assert len(shared) == 1 and shared[0][:2] == (0, 'warning'), shared
    assert f'ranks 0-{RANKS - 1} on node' in shared[0][2] and f'CPUs {cpu},' in shared[0][2], shared
    assert not messages('error', *bound)[0]


for check in (each_rank_introduces_itself, levels_are_kept, shared_cpus_are_warned_of_once):
    check()
    print(f'{check.__name__}: good')
