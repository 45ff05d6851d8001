#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the programs of a Markdown page, and what the page says that they print.

usage: extract.py PAGE FIRST.cpp FIRST.txt [REST.cpp REST.txt]

A block ```cpp that has a main is a program; a page has one, its first, which goes to FIRST and
gives its includes to the others. The other blocks ```cpp are declarations, and ```cpp driver has
statements of a driver. All of them together are the program REST: the driver blocks of a chapter
(## heading) are one function in their order, and a driver calls chapter after chapter. A block
```text under a line that ends in "prints:" is what the blocks before it print.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r'^## (?P<chapter>[^\n]*)$|^```cpp(?P<driver> driver)?\n(?P<code>.*?)^```$|'
                   r'^[^\n]*\bprints:\n+```text\n(?P<text>.*?)^```$', re.M | re.S)
INCLUDE = re.compile(r'^#include .*\n', re.M)


class Program:
    def __init__(self):
        self.text, self.includes, self.chapters, self.printed = '', [], [], ''

    def declare(self, where, code):
        for line in INCLUDE.findall(code):
            if line not in self.includes:
                self.includes.append(line)
        self.text += where + INCLUDE.sub('\n', code)

    def drive(self, chapter, where, code):
        if not self.chapters or self.chapters[-1][0] != chapter:
            self.chapters.append((chapter, ''))
        self.chapters[-1] = (chapter, self.chapters[-1][1] + where + code)

    def source(self):
        text = ''.join(self.includes) + self.text
        calls = ''
        for number, (chapter, code) in enumerate(self.chapters, 1):
            text += f'\n// {chapter}\nstatic void chapter_{number}(mobula::Job& job) {{\n' \
                    f'static_cast<void>(job);\n{code}}}\n'
            calls += f'chapter_{number}(job);\n'
        return text + f'\nstatic int every_chapter(mobula::Job& job) {{\n{calls}return 0;\n}}\n' \
            'int main(int argc, char** argv) { return mobula::run(argc, argv, every_chapter); }\n'


def programs_of(page):
    """The program that is whole, the one made of all other blocks, and what each prints."""
    text = page.read_text()
    whole, rest, chapter, last_is_whole = None, Program(), '', False
    whole_printed = ''
    for block in BLOCK.finditer(text):
        if block['chapter'] is not None:
            chapter = block['chapter']
            continue
        if block['text'] is not None:
            if last_is_whole:
                whole_printed += block['text']
            else:
                rest.printed += block['text']
            continue
        where = f'#line {text.count(chr(10), 0, block.start()) + 2} "{page.name}"\n'
        last_is_whole = re.search(r'^int main\(', block['code'], re.M) is not None
        if last_is_whole:
            if whole is not None:
                sys.exit(f'{page} has two blocks with a main; extract.py knows one')
            whole = where + block['code']
            rest.includes += INCLUDE.findall(whole)
        elif block['driver']:
            rest.drive(chapter, where, block['code'])
        else:
            rest.declare(where, block['code'])
    return whole, whole_printed, rest


page, *outs = map(pathlib.Path, sys.argv[1:])
whole, whole_printed, rest = programs_of(page)
if whole is None:
    sys.exit(f'{page} has no C++ block with a main')
if len(outs) == 2 and (rest.text or rest.chapters):
    sys.exit(f'{page} has blocks besides its program, which nothing compiles')
outs[0].write_text(whole)
outs[1].write_text(whole_printed)
if len(outs) == 4:
    outs[2].write_text(rest.source())
    outs[3].write_text(rest.printed)
