#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rank dies, ends or never comes at the start: the job ends soon, with one sentence that names
rank, node and cause, and nothing is left. Output is TAP.

usage: start_deaths.py SLURM_RUN PROGRAM RANKS KILLS WAY...

WAYs are what the last rank does instead of calling run(), work.HOW: how ranks die later, or
small_shm: the machine has little of /dev/shm. Then a rank is killed so many times.
PROGRAM is fault_job. The moments are spread over the first half second after its first process
exists: before run() is called, while the ranks meet, and after that.
"""
import contextlib
import glob
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

RUN, PROGRAM = sys.argv[1:3]
RANKS, KILLS = int(sys.argv[3]), int(sys.argv[4])
LAST = RANKS - 1
END_SECONDS = 10  # promised, on a machine that does nothing else
START_SECONDS = 30
NODE = re.escape(socket.gethostname())
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith(('SLURM_', 'MOBULA_', 'OMPI_', 'PMIX_'))}
# A rank that gets no CPU for 2 s is not dead.
ENVIRONMENT.update(MOBULA_DEAD_AFTER_MS='10000', MOBULA_WORKERS='1')


def patience(seconds):
    """So much time as the seconds are worth beside what else runs on this machine."""
    return seconds * (1 + os.getloadavg()[0] / len(os.sched_getaffinity(0)))


class Skipped(Exception):
    pass


def variables_of(path):
    try:
        pairs = pathlib.Path(path).read_bytes().split(b'\0')
    except OSError:
        return {}
    return dict(pair.decode(errors='replace').split('=', 1) for pair in pairs if b'=' in pair)


def ranks_of(mark):
    """The processes of the program, by rank."""
    found = {}
    for path in glob.glob('/proc/[0-9]*/environ'):
        try:
            is_program = os.readlink(path.replace('environ', 'exe')) == os.path.realpath(PROGRAM)
        except OSError:
            continue
        if is_program and (variables := variables_of(path)).get('START_DEATHS') == mark:
            if 'OMPI_COMM_WORLD_RANK' in variables:
                found[int(variables['OMPI_COMM_WORLD_RANK'])] = int(path.split('/')[2])
    return found


def first_process(mark, child):
    end = time.monotonic() + patience(START_SECONDS)
    while not (ranks := ranks_of(mark)):
        assert time.monotonic() < end and child.poll() is None, 'no process of the program came'
        time.sleep(0.005)
    return ranks


def start(mark, *words, enter=None, **variables):
    return subprocess.Popen([RUN, '--no-build', '-n', str(RANKS), PROGRAM, *words], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=enter,
                            env={**ENVIRONMENT, 'START_DEATHS': mark, **variables})


def end_of(child, mark, seconds, rank, ending):
    """The job's sentence; what the rank did is to be its end, within these seconds."""
    begin = time.monotonic()
    try:
        _, err = child.communicate(timeout=patience(seconds))
    except subprocess.TimeoutExpired:
        raise AssertionError(f'the job goes on after {patience(seconds):.0f} s') from None
    said = [line for line in err.splitlines() if line.startswith('mobula: ')]
    assert child.returncode != 0, f'exit code 0; it said: {err}'
    assert len(said) == 1, f'said {said} of the end of rank {rank}; all it said: {err}'
    assert re.match(rf'mobula: rank {rank} on node {NODE} {ending}', said[0]), \
        f'said {said} of the end of rank {rank}'
    assert not ranks_of(mark), 'processes are left'
    return f'rank {rank}, over {time.monotonic() - begin:.1f} s later: {said[0]}'


# What is said of the ways, and how long the job may take, with its start.
WAYS = {
    'return': (r'ended with exit code 3 before the ranks had met', START_SECONDS + END_SECONDS),
    'exit': (r'ended with exit code 0 before the ranks had met', START_SECONDS + END_SECONDS),
    'kill': (r'died before the ranks had met: signal 9 \(Killed\)', START_SECONDS + END_SECONDS),
    'throw': (r'died before the ranks had met: signal 6 \(Aborted\)', START_SECONDS + END_SECONDS),
    'hang': (r'has not come within the start limit \(MOBULA_START_WITHIN_S\)',
             START_SECONDS + END_SECONDS),
}


def end_before_run(way):
    mark = f'{os.getpid()}.{way}'
    ending, seconds = WAYS[way]
    child = start(mark, 'before', way, str(LAST), MOBULA_START_WITHIN_S='2')
    try:
        return end_of(child, mark, seconds, LAST, ending)
    finally:
        child.terminate()
        child.communicate()


def small_shm(_):
    """slurm/run says so, and the engine where it is started without."""
    small = 'mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$@"'
    mount = ['unshare', '-m', 'sh', '-c', small, '-']
    if subprocess.run([*mount, 'true'], capture_output=True, check=False).returncode != 0:
        raise Skipped('no namespaces')
    for words in ([RUN, '--no-build', '-n', str(RANKS), PROGRAM, 'leave'], [PROGRAM, 'leave']):
        done = subprocess.run([*mount, *words], capture_output=True, text=True, env=ENVIRONMENT,
                              timeout=patience(START_SECONDS), check=False)
        assert done.returncode == 2, f'{words} ended with {done.returncode}: {done.stderr}'
        assert re.fullmatch(r'[a-z/]+: /dev/shm .*has 4194304 bytes free.* needs? \d+ bytes.*\n',
                            done.stderr), done.stderr
    return done.stderr.strip()


def no_address_space(_):
    """Of all ranks that have too little one says so."""
    words = ['sh', '-c', 'ulimit -v 1000000 && exec "$@"', '-',
             RUN, '--no-build', '-n', str(RANKS), PROGRAM, 'leave']
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT,
                          timeout=patience(START_SECONDS), check=False)
    assert done.returncode == 1, f'it ended with {done.returncode}: {done.stderr}'
    assert re.fullmatch(rf'mobula: rank \d+ on node {NODE} cannot run: mapping \d+ bytes: '
                        r'Cannot allocate memory\n', done.stderr), done.stderr
    return done.stderr.strip()


def full_shm(_):
    """A program has filled what the run's folder is in, and its end is told all the same."""
    small = 'mount -t tmpfs -o size=100m tmpfs /dev/shm && exec "$@"'
    mount = ['unshare', '-m', 'sh', '-c', small, '-']
    if subprocess.run([*mount, 'true'], capture_output=True, check=False).returncode != 0:
        raise Skipped('no namespaces')
    for end, code, sentence in (('return', 7, ''), ('segv', 1, r'died: signal 11 \(.*\) in die'),
                                ('kill', 1, r'died: signal 9 \(Killed\)')):
        done = subprocess.run([*mount, RUN, '--no-build', '-n', '2', PROGRAM, 'fill', end],
                              capture_output=True, text=True, check=False,
                              env={**ENVIRONMENT, 'UCX_HANDLE_ERRORS': 'none',
                                   'OMPI_MCA_opal_signal': ''},
                              timeout=patience(START_SECONDS + END_SECONDS))
        said = done.stderr.splitlines()
        assert done.returncode == code, f'{end} ended with {done.returncode}: {said}'
        assert len(said) == (1 if sentence else 0), f'{end} said {said}'
        assert re.search(sentence, done.stderr), f'{end} said {said}'
    return 'one sentence or none'


def kill_one(number):
    mark = f'{os.getpid()}.{number}'
    moment = 0.02 + 0.4 * number / max(KILLS - 1, 1)
    child = start(mark, 'stay')
    try:
        first_process(mark, child)
        time.sleep(moment)  # not to wait for anything: this is what varies
        ranks = ranks_of(mark)
        rank = sorted(ranks)[number % len(ranks)]
        os.kill(ranks[rank], signal.SIGKILL)
        said = end_of(child, mark, END_SECONDS, rank, r'died.*signal 9 \(Killed\)')
        return f'killed after {moment:.2f} s: {said}'
    finally:
        child.terminate()
        child.communicate()


@contextlib.contextmanager
def little_memory():
    """A control group in which the ranks do not find all that one of them will ask for."""
    group = None
    try:
        with open('/proc/self/cgroup', encoding='ascii') as file:
            paths = dict(line.strip().split(':', 2)[1:] for line in file)
        one, other = '/sys/fs/cgroup/memory', '/sys/fs/cgroup'
        base, limit = ((one + paths['memory'], 'memory.limit_in_bytes') if 'memory' in paths
                       else (other + paths[''], 'memory.max'))
        group = pathlib.Path(base) / f'mobula.{os.getpid()}'
        group.mkdir()
        (group / limit).write_text(str(1 << 30))
    except (OSError, KeyError) as error:
        with contextlib.suppress(OSError, AttributeError):
            group.rmdir()
        raise Skipped(f'no control group of its own with a limit of memory: {error}') from None
    try:
        yield lambda: (group / 'cgroup.procs').write_text(str(os.getpid()))
    finally:
        end = time.monotonic() + 10
        while group.exists() and time.monotonic() < end:
            with contextlib.suppress(OSError):
                group.rmdir()
            time.sleep(0.1)


def out_of_memory(_):
    """The kernel kills a rank, and all that is known of it is told."""
    mark = f'{os.getpid()}.memory'
    with little_memory() as enter:
        child = start(mark, 'die', 'memory', enter=enter)
        try:
            ending = (r'died: signal 9 \(Killed\), the kernel killed processes of this node for '
                      r'want of memory; it had .*\(\.\.\.\) and \d+ more to run')
            return end_of(child, mark, START_SECONDS + END_SECONDS, LAST, ending)
        finally:
            child.terminate()
            child.communicate()


def ready_ranks(child):
    """The processes of the ranks, when all have work."""
    pids = {}
    for line in child.stdout:
        if rank := re.search(r'rank (\d+) is process (\d+)', line):
            pids[int(rank[1])] = int(rank[2])
        if line.strip() == 'ready':
            return pids
    raise AssertionError('it was never ready')


def death_in_work(how):
    """Signals that no handler sees, and ends without a word, several at once, rank 0 among them."""
    mark = f'{os.getpid()}.{how}'
    child = start(mark, *(['stay'] if how == 'several' else ['die', how]))
    rank, ending = LAST, {'kill': r'died: signal 9 \(Killed\)', '_exit': 'ended with exit code 7',
                          'pipe': r'died: signal 13 \(Broken pipe\) in die\(\.\.\.\)',
                          'several': r'died: signal 9 \(Killed\)',
                          'files': r'cannot talk to rank \d \(.*\): too many open files'}[how]
    try:
        if how == 'several':
            pids = ready_ranks(child)
            victims = [LAST - 1, 1, 0]
            for rank in victims:
                os.kill(pids[rank], signal.SIGKILL)
            # The kernel may end them in any order.
            rank = f'({"|".join(map(str, victims))})'
        elif how not in ('pipe', 'files'):  # which the rank itself tells
            ending += r'; it had .*\(\.\.\.\) and \d+ more to run'
        return end_of(child, mark, START_SECONDS + END_SECONDS, rank, ending)
    finally:
        child.terminate()
        child.communicate()


def main():
    kinds = {'small_shm': small_shm, 'full_shm': full_shm,
             'work.kill': death_in_work, 'work._exit': death_in_work,
             'work.several': death_in_work, 'work.pipe': death_in_work,
             'work.files': death_in_work, 'no_memory': no_address_space,
             'work.memory': out_of_memory}
    tests = [(kinds.get(way, end_before_run), way.removeprefix('work.')) for way in sys.argv[5:]]
    tests += [(kill_one, number) for number in range(KILLS)]
    print(f'1..{len(tests)}')
    for number, (test, what) in enumerate(tests, 1):
        try:
            said, verdict = test(what), 'ok'
        except Skipped as why:
            print(f'ok {number} - {test.__name__} # SKIP {why}', flush=True)
            continue
        except AssertionError as error:
            said, verdict = str(error).replace('\n', ' | '), 'not ok'
        print(f'{verdict} {number} - {test.__name__} {what}\n# {said}', flush=True)


main()
