#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mobula doctor` tells each thing that it promises, and bad words end in one sentence.

usage: doctor_test.py LAUNCH RANKS MOBULA SLURM_RUN
"""
import os
import re
import socket
import subprocess
import sys

LAUNCH, RANKS, MOBULA, RUN = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def launch(*words):
    """Under mpirun, which adds its own paragraphs to stderr when the exit code is not 0."""
    done = subprocess.run([LAUNCH, str(RANKS), MOBULA, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def slurm_run(*words):
    """Which adds a sentence of its own when nobody told it how the job ended."""
    done = subprocess.run([RUN, '--no-build', '-n', str(RANKS), MOBULA, *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def facts_of(report):
    """What is said of each rank, with what is said of all."""
    facts, places = {rank: [] for rank in range(RANKS)}, []
    for line in report.splitlines():
        if line == 'all ranks':
            places = list(range(RANKS))
        elif head := re.fullmatch(r'rank (\d+)', line):
            places = [int(head[1])]
        else:
            assert line.startswith('  '), f'neither a heading nor a fact: {line!r}'
            for rank in places:
                facts[rank].append(line.strip())
    return facts


def numbers(text):
    """Of "0-2,5"."""
    ranges = [part.split('-') for part in text.split(',')]
    return {n for one in ranges for n in range(int(one[0]), int(one[-1]) + 1)}


def network_of(facts):
    """What is said of the way to each peer, by rank."""
    told = {}
    for fact in facts:
        if who := re.match(r'network: (?:each other rank|ranks? ([\d,-]+)) (.*)', fact):
            peers = numbers(who[1]) if who[1] else set(range(RANKS))
            for peer in peers:
                told.setdefault(peer, []).append(who[2])
    return told


def tells_what_it_promises():
    code, out, err = launch('doctor')
    assert code == 0, (code, err)
    cpus = len(os.sched_getaffinity(0))
    for rank, facts in facts_of(out).items():
        for promised in [
                f'ranks: {RANKS}',
                rf'node: 0 \({re.escape(socket.gethostname())}\), {RANKS} ranks?',
                r'cpus: ([\d,-]+) are (bound|all of the node).*',
                r'workers: [1-9]\d*.*', 'gpus: .+',
                r'resources: .*cpus?.*', r'memory: .+ for the job on this node, arena of .+',
                r'library: Open MPI v?\d+\.\d+.*', r'library: UCX \d+\.\d+.*',
                r'library: HDF5 \d+\.\d+.*', r'library: NCCL (\d+\.\d+.*|not found.*|unknown)',
                r'limit: \d+ memory mappings.*', 'limit: .+ of shared memory',
                r'limit: (\d+|unlimited) open files', 'limit: .+ of locked memory.*',
                r'setting: log_level = warning \(default\)',
                r'setting: heartbeat_ms = 200 ms \(default\)']:
            assert any(re.fullmatch(promised, fact) for fact in facts), (
                f'rank {rank} tells nothing like {promised}:\n{out}')
        bound = next(fact for fact in facts if fact.startswith('cpus: ')).split()[1]
        assert len(numbers(bound)) == cpus, f'{cpus} CPUs are bound, it tells {bound}'
        network = network_of(facts)
        for peer in set(range(RANKS)) - {rank}:
            told = network.get(peer, [])
            assert any(re.fullmatch('is alive, large objects come by (map|get|push)', fact)
                       for fact in told), f'rank {rank} tells no verb of rank {peer}:\n{out}'
            assert any(re.match(r'lane\[\d+\]: +\d+:\w+/', fact) for fact in told), (
                f'rank {rank} tells no transport to {peer}:\n{out}')


def refuses_in_one_sentence():
    for words, what in [(['doctor', '--nonsense'], '--nonsense'),
                        (['fish'], 'no subcommand fish; there is `mobula doctor`'),
                        ([], 'mobula doctor')]:
        alone = subprocess.run([MOBULA, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        assert alone.returncode == 2 and not alone.stdout, (words, alone)
        lines = alone.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith('mobula: ') and what in lines[0], (
            words, lines)
        code, _, err = launch(*words)
        assert code == 2 and err.count('mobula: ') == 1, (words, code, err)
    for words in (['doctor', '--nonsense'], ['doctor', '--mobula-log-level=fish']):
        code, out, err = slurm_run(*words)
        assert code == 2 and not out and len(err.splitlines()) == 1, (words, code, out, err)


def helps_once():
    for words, what in [(['--help'], 'doctor'), (['--version'], 'mobula '),
                        (['--mobula-help'], '--mobula-log-level')]:
        for start in (launch, slurm_run):
            code, out, err = start(*words)
            assert code == 0 and not err, (words, code, err)
            assert what in out and out.count(out.splitlines()[0]) == 1, (words, out)


for check in (tells_what_it_promises, refuses_in_one_sentence, helps_once):
    check()
    print(f'{check.__name__}: good')
