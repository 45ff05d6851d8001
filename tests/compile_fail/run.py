#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must not compile does not, and says why: each .cpp here is tried, output is TAP.

A case has a line `// expect: REGEX` among its first three; the compiler has to fail and one of its
messages has to match. With `// expect only: REGEX` it has to be the only error. `// expect:
success` is for the twin that shows the case to be right but for the one mistake.

usage: run.py [-I FOLDER] -- COMPILER...
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('-I', action='append', default=[], dest='includes')
parser.add_argument('compiler', nargs='+')
options = parser.parse_args()
flags = ['-std=c++20', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-x', 'c++',
         *(f'-I{folder}' for folder in options.includes)]


def verdict(case):
    """Why the case is not as it should be, or nothing."""
    head = case.read_text().splitlines()[:3]
    expects = [m for m in (re.match(r'// expect( only)?: (.+)', line) for line in head) if m]
    if len(expects) != 1:
        return 'one of its first three lines has to be // expect: REGEX'
    only, expected = expects[0].groups()
    done = subprocess.run([*options.compiler, *flags, str(case)], capture_output=True, text=True)
    if expected == 'success':
        return None if done.returncode == 0 else 'should compile, but:\n' + done.stderr
    if done.returncode == 0:
        return 'compiles, and should not'
    if not re.search(expected, done.stderr):
        return f'fails as it should, but no message matches {expected}:\n' + done.stderr
    errors = re.findall(r': error: .*', done.stderr)
    if only and len(errors) != 1:
        return f'fails as it should, but with {len(errors)} errors:\n' + done.stderr
    return None


cases = sorted(pathlib.Path(__file__).parent.glob('*.cpp'))
print(f'1..{len(cases)}')
with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    for number, (case, why) in enumerate(zip(cases, pool.map(verdict, cases)), 1):
        print(f'{"not ok" if why else "ok"} {number} - {case.stem}', flush=True)
        for line in (why or '').splitlines()[:20]:
            print(f'# {line}')
