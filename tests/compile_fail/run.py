#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must not compile does not, and says why: each .cpp here is tried, output is TAP.

A case has a line `// expect: REGEX` among its first three; the compiler has to fail and one of its
messages has to match, and so has one that of a `// says: REGEX` there, such as a note. With
`// expect only: REGEX` it has to be the only error. `// expect: success` is for the twin that shows
the case to be right but for the one mistake.

What all cases include is precompiled, since it is most of their time.

usage: run.py [-I FOLDER] -- COMPILER...
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import tempfile

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('-I', action='append', default=[], dest='includes')
parser.add_argument('compiler', nargs='+')
options = parser.parse_args()
flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror',
         *(f'-I{folder}' for folder in options.includes)]


def precompile(folder):
    """The options that give a case what it includes; they differ by nothing but speed."""
    header = pathlib.Path(folder) / 'common.hpp'
    header.write_text('#include <mobula/mobula.hpp>\n')
    said = subprocess.run([*options.compiler, '--version'], capture_output=True, text=True)
    suffix = 'pch' if 'clang' in said.stdout else 'gch'  # what the compiler looks for
    subprocess.run([*options.compiler, *flags, '-x', 'c++-header', header, '-o',
                    f'{header}.{suffix}'], check=True)
    return ['-include', str(header)]


def verdict(case, common):
    """Why the case is not as it should be, or nothing."""
    head = case.read_text().splitlines()[:3]
    expects = [m for m in (re.match(r'// expect( only)?: (.+)', line) for line in head) if m]
    if len(expects) != 1:
        return 'one of its first three lines has to be // expect: REGEX'
    only, expected = expects[0].groups()
    done = subprocess.run([*options.compiler, *flags, *common, '-fsyntax-only', '-x', 'c++', case],
                          capture_output=True, text=True)
    if expected == 'success':
        return None if done.returncode == 0 else 'should compile, but:\n' + done.stderr
    if done.returncode == 0:
        return 'compiles, and should not'
    if not re.search(expected, done.stderr):
        return f'fails as it should, but no message matches {expected}:\n' + done.stderr
    for line in head:
        says = re.match(r'// says: (.+)', line)
        if says and not re.search(says[1], done.stderr):
            return f'fails as it should, but no message matches {says[1]}:\n' + done.stderr
    errors = re.findall(r': error: .*', done.stderr)
    if only and len(errors) != 1:
        return f'fails as it should, but with {len(errors)} errors:\n' + done.stderr
    return None


cases = sorted(pathlib.Path(__file__).parent.glob('*.cpp'))
print(f'1..{len(cases)}', flush=True)
with tempfile.TemporaryDirectory() as folder, \
        concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    common = precompile(folder)
    verdicts = pool.map(lambda case: verdict(case, common), cases)
    for number, (case, why) in enumerate(zip(cases, verdicts), 1):
        print(f'{"not ok" if why else "ok"} {number} - {case.stem}', flush=True)
        for line in (why or '').splitlines()[:20]:
            print(f'# {line}')
