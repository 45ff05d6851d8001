#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a page's program on so many ranks and compares what it prints with what the page says.

usage: prints.py LAUNCH RANKS EXPECTED PROGRAM [arguments]
"""
import difflib
import pathlib
import subprocess
import sys

launch, ranks, expected, *command = sys.argv[1:]
done = subprocess.run([launch, ranks, *command], stdout=subprocess.PIPE, text=True)
said = pathlib.Path(expected).read_text()
difference = list(difflib.unified_diff(said.splitlines(), done.stdout.splitlines(),
                                       'what the page says', f'what {ranks} ranks print',
                                       lineterm=''))
print('\n'.join(difference))
if not said:
    sys.exit(f'{expected}: the page says nothing of what its program prints')
sys.exit(done.returncode or bool(difference))
