#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first C++ block of a Markdown page: extract.py README.md OUT.cpp"""
import pathlib
import re
import sys

page, out = map(pathlib.Path, sys.argv[1:])
block = re.search(r'^```cpp\n(.*?)^```$', page.read_text(), re.MULTILINE | re.DOTALL)
if block is None:
    sys.exit(f'{page} has no C++ block')
out.write_text(block.group(1))
