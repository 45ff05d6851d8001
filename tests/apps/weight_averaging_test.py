#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The weight averaging program, started as a user starts it, on small made-up images.

usage: weight_averaging_test.py PROGRAM PART
"""
import gzip
import os
import pty
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

PROGRAM, PART = sys.argv[1:3]
SKIPPED = 77
FASHION = Path('/usr/share/datasets/fashion-mnist')
LAST_LINE = (r'test accuracy (\d+\.\d\d) %, (\d+) images/s, (\d+) images, (\d+) actors, '
             r'(\d+) ranks')
FOLDER = Path(tempfile.mkdtemp(prefix='mobula-test-'))
DATA = FOLDER / 'data'
SMALL = ['--data', str(DATA), '--steps', '3', '--batch', '16']
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')


def write_idx(path, shape, data):
    head = struct.pack('>BBBB', 0, 0, 8, len(shape)) + struct.pack(f'>{len(shape)}I', *shape)
    path.write_bytes(gzip.compress(head + data, 1))


def write_data():
    """Images that are bright in the stripe of their label, with noise."""
    DATA.mkdir()
    source = random.Random(1)
    for prefix, count in ('train', 300), ('t10k', 260):
        labels = bytes(source.randrange(10) for _ in range(count))
        pixels = bytearray()
        for label in labels:
            image = bytearray(source.randbytes(784))
            for i in range(784):
                image[i] = image[i] // 4 + (150 if i // 56 == label else 0)
            pixels += image
        write_idx(DATA / f'{prefix}-images-idx3-ubyte.gz', (count, 28, 28), bytes(pixels))
        write_idx(DATA / f'{prefix}-labels-idx1-ubyte.gz', (count,), labels)


def run(arguments, ranks=0, expect=0):
    """Runs on that many ranks; 0: alone, without mpirun."""
    launcher = ['mpirun', '--oversubscribe', '--bind-to', 'none', '-n', str(ranks)]
    command = (launcher if ranks else []) + [PROGRAM] + arguments
    result = subprocess.run(command, capture_output=True, text=True, timeout=200,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == expect, (
        f'{command} ended with {result.returncode}\n{result.stdout}\n{result.stderr}')
    return result


def weights_of(path):
    """All weights as bytes, by the tool that every installation of HDF5 has."""
    content = []
    for name in re.findall(r'dataset\s+/weights/(\S+)',
                           subprocess.check_output(['h5dump', '-n', path], text=True)):
        raw = FOLDER / 'raw'
        subprocess.run(['h5dump', '-d', f'/weights/{name}', '-b', 'LE', '-o', raw, path],
                       check=True, stdout=subprocess.DEVNULL)
        content.append((name, raw.read_bytes()))
    assert sum(len(raw) for _, raw in content) == 4 * 215370, path
    return content


def same_weights():
    def train(name, ranks, *more):
        output = FOLDER / name
        run(SMALL + ['--actors', '3', '--rounds', '3', '--output', str(output), *more], ranks)
        return weights_of(output / 'averaged.h5')

    first = train('alone', 0)
    for ranks in 1, 2, 4:
        assert train(f'on {ranks}', ranks) == first, f'other weights on {ranks} ranks'
    assert train('again', 2) == first, 'other weights at the second time'
    assert train('seed', 2, '--seed', '2') != first, 'the seed makes no difference'
    nesterov = train('nesterov', 2, '--outer', 'nesterov')
    assert nesterov != first, 'the outer optimiser makes no difference'
    assert nesterov == train('nesterov alone', 0, '--outer', 'nesterov')


def resume():
    for outer in 'mean', 'nesterov':
        common = SMALL + ['--actors', '2', '--outer', outer]
        whole, parts = FOLDER / f'{outer} whole', FOLDER / f'{outer} parts'
        run(common + ['--rounds', '3', '--seed', '7', '--output', str(whole)], 2)
        run(common + ['--rounds', '1', '--seed', '7', '--output', str(parts)], 2)
        again = ['--resume', str(parts / 'averaged.h5'), '--output', str(parts)]
        run(common + ['--rounds', '3'] + again, 2)
        assert weights_of(whole / 'averaged.h5') == weights_of(parts / 'averaged.h5'), outer
        refused = run(common + ['--rounds', '3'] + again, expect=2)
        assert 'has done its 3 rounds' in refused.stderr, refused.stderr


def bad_input():
    nothing = FOLDER / 'nothing'
    cut = FOLDER / 'cut'
    shutil.copytree(DATA, cut)
    images = cut / 't10k-images-idx3-ubyte.gz'
    images.write_bytes(images.read_bytes()[:5000])
    other = FOLDER / 'other.h5'
    other.write_bytes(b'no checkpoint')
    cases = {
        ('--data', str(nothing)): 'nothing/train-images-idx3-ubyte.gz cannot be opened',
        ('--data', str(cut)): 't10k-images-idx3-ubyte.gz is truncated',
        ('--resume', str(other)): 'other.h5',
        ('--resume', str(nothing)): 'there is no checkpoint',
        ('--resume', ''): '--resume: an empty name',
        ('--actors', '0'): '--actors',
        ('--rounds', 'many'): 'many',
        ('--output', str(other)): 'other.h5',
        ('--colour',): '--colour',
    }
    for arguments, words in cases.items():
        output = FOLDER / 'none'
        refused = run(SMALL + ['--output', str(output)] * ('--output' not in arguments) +
                      list(arguments), expect=2)
        lines = refused.stderr.strip().splitlines()
        assert len(lines) == 1 and words in lines[0], refused.stderr
        assert refused.stdout == '' and not output.exists(), refused.stdout
    for arguments in ['--actors', '0'], ['--data', str(cut)]:
        refused = run(SMALL + arguments, ranks=2, expect=2)
        words = cases[tuple(arguments)]
        assert refused.stderr.count(words) == 1, refused.stderr


def output():
    folder = FOLDER / 'out'
    arguments = SMALL + ['--actors', '2', '--rounds', '2', '--output', str(folder)]
    lines = run(arguments, 2).stdout.splitlines()
    accuracy, _, images, actors, ranks = re.fullmatch(LAST_LINE, lines[-1]).groups()
    assert (images, actors, ranks) == ('192', '2', '2'), lines[-1]
    progress = [line for line in lines if re.match(r'round [12]/2  loss .* images/s', line)]
    assert len(progress) == 2 and '\r' not in ''.join(lines), lines
    assert f'accuracy {accuracy} %' in progress[1], lines
    table = [line for line in lines if re.match(r' +[12] +(96|192) ', line)]
    assert len(table) == 2, lines
    assert sorted(path.name for path in folder.iterdir()) == ['averaged.h5', 'averaged.svg']
    picture = xml.etree.ElementTree.parse(folder / 'averaged.svg').getroot()
    assert picture.tag.endswith('svg')

    head = subprocess.check_output(['h5dump', '-H', folder / 'averaged.h5'], text=True)
    for words in ('DATASET "conv1.weight"', 'H5T_IEEE_F32LE', '( 16, 1, 5, 5 )',
                  'ATTRIBUTE "rounds"', 'ATTRIBUTE "accuracy"', 'ATTRIBUTE "seed"',
                  'ATTRIBUTE "images"'):
        assert words in head, head
    try:
        import h5py
    except ImportError:
        print('h5py is not installed: left out')
    else:
        with h5py.File(folder / 'averaged.h5') as file:
            assert file['weights/dense1.weight'].shape == (128, 1568)
            assert file['weights/dense1.weight'].dtype == 'float32'
            assert file.attrs['rounds'] == 2 and file.attrs['images'] == 192
            assert f'{file.attrs["accuracy"] * 100:.2f}' == accuracy

    lines = run(arguments + ['--serial'], 2).stdout.splitlines()
    assert re.fullmatch(LAST_LINE, lines[-1]).groups()[2:] == ('192', '1', '1'), lines[-1]
    assert '--resume' in run(['--help']).stdout

    # On a terminal: one line that is drawn anew, and nothing of it left at the end.
    os.environ['TERM'] = 'xterm'
    shown = []

    def read(terminal):
        shown.append(os.read(terminal, 1024))
        return shown[-1]
    command = f'stty columns 100; exec {PROGRAM} ' + ' '.join(f"'{a}'" for a in arguments)
    assert os.waitstatus_to_exitcode(pty.spawn(['sh', '-c', command], read)) == 0
    text = b''.join(shown).decode()
    assert '\r[' in text and re.search(r'\] +\d+ %  round', text), text
    assert re.search(r'\r\x1b\[K', text), text
    assert re.fullmatch(LAST_LINE, text.strip().splitlines()[-1].strip()), text


def training():
    if not FASHION.is_dir():
        print(f'{FASHION} is not there')
        sys.exit(SKIPPED)
    lines = run(['--actors', '4', '--rounds', '3', '--steps', '80', '--outer', 'mean', '--output',
                 str(FOLDER / 'out')], 2).stdout.splitlines()
    print(lines[-1])
    assert float(re.fullmatch(LAST_LINE, lines[-1])[1]) > 78, lines[-1]


try:
    if not shutil.which('h5dump') and PART in ('same_weights', 'resume', 'output'):
        print('h5dump is not installed')
        sys.exit(SKIPPED)
    write_data()
    {'same_weights': same_weights, 'resume': resume, 'bad_input': bad_input, 'output': output,
     'training': training}[PART]()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
