#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine warns once of each function that gets the same large value by value again and again,
and of no other.

usage: large_values_test.py LAUNCH PROGRAM
"""
import re
import subprocess
import sys

LAUNCH, PROGRAM = sys.argv[1:]


def warned(ranks, *before, settings=()):
    done = subprocess.run([LAUNCH, str(ranks), *before, PROGRAM, *settings],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return re.findall(r'mobula\[0\] warning: (\S+) got the same 1\.6 MB by value 5 times, .*'
                      r'put\(\) the value once and pass the Ref', done.stderr)


expected = ['same_table', 'same_again', 'Keeper::keep']
mapped = warned(2)
assert mapped == expected, mapped
# A block that the receiver maps costs nothing; one that travels does.
pushed = warned(2, 'env', 'UCX_TLS=tcp,self', 'MOBULA_VERB=push')
assert sorted(pushed) == sorted(expected + ['same_array']), pushed
assert warned(2, settings=['--mobula-large-value-bytes=0']) == []
assert warned(1) == []  # nothing is encoded there
print('each is warned of once')
