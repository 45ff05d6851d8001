#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job that stands still because nothing completes a Promise says so, of each task that waits for
it: of one with the Ref, and of one whose inputs do not exist.

usage: stalled_test.py LAUNCH RANKS PROGRAM
"""
import re
import subprocess
import sys

LAUNCH, RANKS, PROGRAM = sys.argv[1:]
done = subprocess.run([LAUNCH, RANKS, PROGRAM, '--mobula-stall-seconds=1',
                       '--mobula-stall-abort=yes'],
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
assert done.returncode != 0, done.stderr
for line in [r'driver on rank 0 waits for count \(\d+ s\)',
             r'count on rank 0 waits for pass_on, a Promise \(2 times\) \(0 s\)',
             r'pass_on on rank 0 waits for a Promise \(0 s\)',
             r'wait_for on rank \d waits for a Promise \(\d+ s\)',
             r'no task made progress for']:
    assert re.search(line, done.stderr), (line, done.stderr)
# Its own rank knows a Promise; another one asks the rank that has it.
if RANKS != '1':
    assert re.search(r'a Promise on rank \d is not completed yet', done.stderr), done.stderr
assert 'wait for each other' not in done.stderr, done.stderr
print('each wait for a Promise is told')
