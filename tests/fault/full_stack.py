#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stacks have one size everywhere, and one that is full is told.

usage: full_stack.py LAUNCH RANKS PROGRAM
"""
import os
import re
import subprocess
import sys

launch, ranks, program = sys.argv[1:]
# What a frame of 64 KiB and the engine need besides.
SPARE_KIB = 96


def run(*arguments, stack_kib=None):
    environment = dict(os.environ, MOBULA_WORKERS='2', UCX_HANDLE_ERRORS='none')
    if stack_kib:
        environment['MOBULA_STACK_BYTES'] = f'{stack_kib}KiB'
    job = subprocess.run([launch, ranks, program, *arguments], env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    return job.returncode, job.stdout


def expect(condition, what, output):
    if not condition:
        sys.exit(f'{what}:\n{output}')


# The usual size, then one that was set.
sizes = [(8 * 1024 - SPARE_KIB, None), (512 - SPARE_KIB, 512)]
for kib, stack_kib in sizes if ranks == '2' else sizes[:1]:
    code, output = run('fits', str(kib), stack_kib=stack_kib)
    expect(code == 0 and 'all fit' in output, f'{kib} KiB do not fit everywhere', output)

overflows = [('driver', 'array', 'the driver'), ('task', 'deep', 'task'),
             ('waiter', 'array', 'waiter'), ('method', 'deep', 'User::method')]
for place, how, name in overflows if ranks == '2' else overflows[:1]:
    code, output = run(how, place, str(600 if how == 'deep' else 20 * 1024), stack_kib=512)
    expect(code != 0, f'what is too large fits into 512 KiB at {place}', output)
    expect(re.search(rf'signal \d+ \([^)]*\): the stack of (\S+::)?{name} is full, '
                     r'512 KiB; MOBULA_STACK_BYTES', output),
           f'nothing is said of the full stack at {place}', output)
