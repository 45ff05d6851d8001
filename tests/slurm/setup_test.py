#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where nothing can be installed, slurm/setup --check lists what is missing under the names of
Debian, Spack and modules. The machine without tools is a PATH of links to a few. Output is TAP.

usage: setup_test.py SLURM_SETUP
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SETUP = sys.argv[1]
# What the script itself needs of any machine.
SHELL_TOOLS = ('bash', 'env', 'cut', 'awk', 'sed', 'id', 'cat')


def run(*arguments, tools=(), scripts={}):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in scripts.items():
            (pathlib.Path(folder) / name).write_text(text)
            (pathlib.Path(folder) / name).chmod(0o755)
        for tool in (*SHELL_TOOLS, *tools):
            if found := shutil.which(tool):
                (pathlib.Path(folder) / tool).symlink_to(found)
        done = subprocess.run([shutil.which('bash'), SETUP, *arguments], env={'PATH': folder},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        left = sorted(path.name for path in pathlib.Path(folder).iterdir())
        assert set(left) <= {*SHELL_TOOLS, *tools, *scripts}, f'it left {left}'
    return done.returncode, done.stdout, done.stderr.splitlines()


def rows_of(lines):
    """By Debian's name: what it is needed for, Spack's name and the module's."""
    assert lines[0] == 'slurm/setup: these are missing and cannot be installed here:', lines
    columns = re.split('  +', lines[1].strip())
    assert columns == ['needed for', 'Debian', 'Spack', 'module'], lines[1]
    rows = {}
    for line in lines[2:]:
        words = line.split()
        assert len(words) == 4 and line.startswith('  '), f'not four columns: {line!r}'
        rows[words[1]] = (words[0], words[2], words[3])
    return rows


def lists_what_is_missing():
    code, out, lines = run('--check')
    assert code == 2 and not out, (code, out, lines)
    rows = rows_of(lines)
    assert rows['openmpi-bin'] == ('build', 'openmpi', 'openmpi'), rows
    assert rows['libboost-context-dev'] == ('build', 'boost+context', 'boost'), rows
    assert rows['libtorch-dev'] == ('app', 'py-torch', 'pytorch'), rows
    assert 'libgtest-dev' not in rows, 'the tests were not asked for'


def lists_the_groups_that_were_asked_for():
    code, _, lines = run('--check', 'tests')
    rows = rows_of(lines)
    assert code == 2 and {row[0] for row in rows.values()} == {'tests'}, rows
    assert rows['slurm-wlm'] == ('tests', 'slurm', 'slurm'), rows


def takes_what_is_there_by_other_ways():
    """A tool in the PATH is there, whoever put it there."""
    _, _, lines = run('--check', 'build')
    assert 'meson' in rows_of(lines), lines
    _, _, lines = run('--check', 'build', tools=['meson', 'ninja'])
    rows = rows_of(lines)
    assert 'meson' not in rows and 'ninja-build' not in rows and 'openmpi-bin' in rows, rows


def says_the_same_without_check():
    """There is nobody who could install: no apt-get, no sudo."""
    code, out, lines = run()
    assert code == 2 and not out and 'openmpi-bin' in rows_of(lines), (code, out, lines)


def says_so_when_all_is_there():
    """A dpkg that has every package; slurm/run itself wants no word of it."""
    names = re.findall(r'^(?:build|app|tests)\|([^|]+)\|', pathlib.Path(SETUP).read_text(), re.M)
    installed = ' '.join(f'installed {name}' for name in names)
    scripts = {'dpkg-query': f'#!/bin/sh\necho "{installed} "\n', 'apt-get': '#!/bin/sh\n'}
    code, out, lines = run('--check', 'build', tools=['sh'], scripts=scripts)
    assert code == 0 and not out, (code, out, lines)
    assert lines == ['slurm/setup: nothing is missing for: build'], lines
    assert run('build', tools=['sh'], scripts=scripts) == (0, '', [])


def refuses_unknown_groups():
    code, out, lines = run('--check', 'fish')
    assert code == 2 and not out and len(lines) == 1 and re.match("slurm/setup: 'fish'", lines[0])


CASES = (lists_what_is_missing, lists_the_groups_that_were_asked_for,
         takes_what_is_there_by_other_ways, says_the_same_without_check, says_so_when_all_is_there,
         refuses_unknown_groups)
print(f'1..{len(CASES)}')
for number, case in enumerate(CASES, 1):
    try:
        case()
        print(f'ok {number} - {case.__name__}', flush=True)
    except AssertionError as error:
        print(f'not ok {number} - {case.__name__}\n# {str(error)[:2000]}', flush=True)
