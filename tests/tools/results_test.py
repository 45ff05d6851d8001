#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/support/results counts every check and names what was skipped. Output is TAP.

usage: results_test.py RESULTS
"""
import json
import subprocess
import sys
import tempfile

# Result and output of a test called t, and what is counted.
CASES = {
    'a test without checks': (('OK', 'fine\n'), ['passed t']),
    'a skipped test': (('SKIP', ''), ['skipped t']),
    'a test that ran too long': (('TIMEOUT', ''), ['failed t: timeout']),
    'some checks skipped': (
        ('OK', 'ok 1 - a\n# took 1 s\nok 2 - b # SKIP no GPU\nok 3 - c\n1..3\n'),
        ['passed t: a', 'skipped t: b: no GPU', 'passed t: c']),
    'all checks skipped': (
        ('SKIP', '1..2\nok 1 - a # SKIP x\nok 2 - b # SKIP x\n'),
        ['skipped t: a: x', 'skipped t: b: x']),
    'a check failed': (
        ('FAIL', '1..2\nok 1 - a\nnot ok 2 - b\n# why\n'), ['passed t: a', 'failed t: b: why']),
    'a check failed and does not say why': (
        ('FAIL', 'not ok 1 - a\nok 2 - b\n1..2\n'), ['failed t: a', 'passed t: b']),
    'good checks of a test that failed': (
        ('ERROR', '1..2\nok 1 - a\n'), ['passed t: a', 'failed t: error']),
    'words that look like checks': (('OK', 'ok then\n'), ['passed t']),
    'no check at all': (('SKIP', '1..0 # SKIP no tool\n'), ['skipped t']),
}

print(f'1..{len(CASES)}')
for number, (name, ((result, said), expected)) in enumerate(CASES.items(), 1):
    with tempfile.NamedTemporaryFile('w', suffix='.json') as log:
        log.write(json.dumps({'name': 'mobula:unit / t', 'result': result, 'stdout': said}) + '\n')
        log.flush()
        counted = subprocess.run([sys.argv[1], log.name], check=True, capture_output=True,
                                 text=True).stdout.splitlines()
    if counted == expected:
        print(f'ok {number} - {name}')
    else:
        print(f'not ok {number} - {name}\n# {counted}, not {expected}')
