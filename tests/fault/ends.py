#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ends a job in one of many ways and looks at what is left of it: nothing must be.

usage: ends.py WAY RANKS PROGRAM

Every way checks the exit code in the status file, the sentence that says why, the time it took,
and that no process, no shared-memory segment and no temporary file stays behind.
"""
import contextlib
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# On a machine that does nothing else; see patience().
READY_SECONDS = 20   # to start
END_SECONDS = 5      # from the fault to the last process's end
STOP_SECONDS = 10    # the same where a silence has to be noticed first
CLEAN_SECONDS = 10   # until all is given up that was killed here
LEFT_SECONDS = 2     # until what others are just making or removing is not taken for left
NODE = re.escape(socket.gethostname())


def patience(seconds):
    """So much time as the seconds are worth beside what else runs on this machine."""
    return seconds * (1 + os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def name_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')[0].decode()
    except OSError:
        return 'that has just ended'


class Job:
    """One run of the program under mpirun, in folders of its own."""

    def __init__(self, way, ranks, program, recover=True, variables=(), device=False):
        base = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix='mobula-ends.', dir=base))
        self.temporary = self.scratch / 'tmp'
        self.temporary.mkdir()
        self.mark = f'OMPI_MCA_btl_vader_backing_directory={self.scratch}'
        self.status_file = self.scratch / 'status'
        self.device = self.scratch / 'device'
        if device:
            os.mkfifo(self.device)
        self.segments_before = set(os.listdir('/dev/shm'))
        name, value = self.mark.split('=')
        environment = dict(os.environ, **{name: value},
                           OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1',
                           OMPI_MCA_plm_rsh_agent='/bin/true',
                           OMPI_MCA_orte_tmpdir_base=str(self.scratch),
                           TMPDIR=str(self.temporary), TERM='dumb',
                           MOBULA_STATUS_FILE=str(self.device if device else self.status_file),
                           MOBULA_WORKERS='1', **dict(variables))
        command = ['mpirun', '--oversubscribe', '--bind-to', 'none', '-n', str(ranks)]
        if recover:
            command.append('--enable-recovery')
        self.mpirun = subprocess.Popen([*command, program, *way], env=environment, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
        self.output = ''
        self.pids = {}
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.mpirun.stdout:
            self.output += line
            if rank := re.search(r'rank (\d+) is process (\d+)', line):
                self.pids[int(rank[1])] = int(rank[2])
            if line.strip() == 'ready':
                self.ready.set()

    def wait_until_ready(self):
        seconds = patience(READY_SECONDS)
        if not self.ready.wait(seconds):
            self.fail(f'was not ready in {seconds:.0f} s')

    def processes(self):
        """All that live and have this job's mark in their environment, mpirun included."""
        found = []
        for path in glob.glob('/proc/[0-9]*/environ'):
            try:
                state = pathlib.Path(path).with_name('stat').read_text().rpartition(')')[2].split()
                if state[0] != 'Z' and self.mark.encode() in pathlib.Path(path).read_bytes():
                    found.append(int(path.split('/')[2]))
            except OSError:
                pass  # it has just ended
        return found

    def wait_until_gone(self, seconds, but=()):
        begin = time.monotonic()
        while left := [pid for pid in self.processes() if pid not in but]:
            waited = time.monotonic() - begin
            if waited > patience(seconds):
                names = [name_of(pid) for pid in left]
                self.fail(f'{waited:.1f} s after its end has processes {left} {names}')
            self.mpirun.poll()  # nobody else reaps it
            time.sleep(0.05)

    def check_nothing_left(self):
        """What others make beside this may look left for a moment."""
        end = time.monotonic() + patience(LEFT_SECONDS)
        while left := self.left():
            if time.monotonic() > end:
                self.fail(f'left behind: {left}')
            time.sleep(0.1)

    def left(self):
        left = [str(path) for path in self.temporary.rglob('*')]
        left += [str(path) for path in self.scratch.glob('vader_segment*')]
        left += [str(path) for path in self.scratch.glob('status.part')]
        mapped = set()
        for path in glob.glob('/proc/[0-9]*/maps'):
            try:
                mapped.update(re.findall(r'/dev/shm/(\S+)', pathlib.Path(path).read_text()))
            except OSError:
                pass
        for name in set(os.listdir('/dev/shm')) - self.segments_before - mapped:
            if not name.startswith(('mobula-', 'vader_segment')):  # of tests beside this one
                left.append('/dev/shm/' + name)
        return left

    def check_status(self, code, reason=None):
        if not self.status_file.exists():
            self.fail('left no status file')
        lines = self.status_file.read_text().splitlines()
        if lines[0] != f'exit {code}':
            self.fail(f'the status file says {lines} and not exit {code}')
        if reason and not (len(lines) > 1 and re.search(reason, lines[1])):
            self.fail(f'the status file says {lines} and nothing like {reason}')

    def check_output(self, pattern):
        self.reader.join(patience(END_SECONDS))
        if not re.search(pattern, self.output):
            self.fail(f'nothing it printed is like {pattern}')

    def check_said_once(self, pattern):
        self.reader.join(patience(END_SECONDS))
        if (times := len(re.findall(pattern, self.output))) != 1:
            self.fail(f'said {times} times, and not once, what is like {pattern}')

    def check_code(self, code):
        self.mpirun.wait(patience(END_SECONDS))  # gone from /proc is not yet reaped
        if self.mpirun.returncode != code:
            self.fail(f'mpirun ended with {self.mpirun.returncode} and not {code}')

    def fail(self, sentence):
        print(f'FAILED: the job {sentence}; it printed:\n{self.output}')
        sys.exit(1)

    def end_mpirun(self):
        """It need not return by itself where a rank was killed."""
        try:
            self.mpirun.wait(patience(END_SECONDS))
        except subprocess.TimeoutExpired:
            self.mpirun.kill()
            self.mpirun.wait()

    def clean_up(self):
        """mpirun first, which would start what is not killed yet."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.mpirun.kill()
        self.mpirun.wait()
        end = time.monotonic() + CLEAN_SECONDS
        while (left := self.processes()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        shutil.rmtree(self.scratch, ignore_errors=True)


def kill_one(job, victim):
    """What follows from a death is not told beside it."""
    job.wait_until_ready()
    os.kill(job.pids[victim], signal.SIGKILL)
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    job.check_status(1, rf'rank {victim} on node {NODE} died')
    job.check_said_once('mobula: ')
    job.check_output(rf'mobula: rank {victim} on node {NODE} died')


def kill(job, ranks):
    """A rank that does not run the driver is killed."""
    kill_one(job, ranks - 1)


def kill_beside(job, ranks):
    """The same, and the driver brings bytes from another one, which leaves because of it."""
    kill_one(job, ranks - 1)


def kill_source(job, ranks):
    """The rank is killed from which the driver brings bytes."""
    kill_one(job, 1)


def kill_driver(job, ranks):
    """The driver's rank is killed."""
    job.wait_until_ready()
    os.kill(job.pids[0], signal.SIGKILL)
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    job.check_status(1, rf'rank 0 on node {NODE} died')
    job.check_said_once(rf'mobula: rank 0 on node {NODE} died')


def crash(job, ranks):
    """A task gets a signal that a handler can tell of."""
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    sentence = (rf'rank {ranks - 1} on node {NODE} died: signal 11 \(Segmentation fault\) '
                r'in die\(\.\.\.\); the job ends')
    job.check_said_once(r'mobula: rank .* died')
    job.check_output('mobula: ' + sentence)
    job.check_status(1, sentence)


def crash_in_thread(job, ranks):
    """A thread of the user's own throws what nobody catches."""
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    job.check_said_once(rf'mobula: rank {ranks - 1} on node {NODE} died: signal 6 \(Aborted\);')
    job.check_output('nobody catches it')
    job.check_status(1, 'signal 6')


def exit_in_task(job, ranks):
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    job.check_said_once(rf'mobula: rank {ranks - 1} on node {NODE} ended: exit\(3\) was called in '
                        r'die\(\.\.\.\); the job ends')
    job.check_status(3, r'exit\(3\)')


def exit_in_driver(job, ranks):
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))
    job.check_said_once(r'mobula: the driver called exit\(4\); the job ends')
    job.check_said_once('mobula: ')
    job.check_status(4, r'exit\(4\)')


def forked(job, ranks):
    """A child of fork() that comes back from its task is no rank."""
    job.wait_until_gone(READY_SECONDS)
    job.check_said_once('mobula: a process that was forked in fork_in_a_task is no rank')
    job.check_status(4)


def twice(job, ranks):
    """run() is called again."""
    job.wait_until_gone(READY_SECONDS)
    job.check_said_once('mobula: mobula::run was called a second time')
    job.check_status(2, 'second time')
    job.check_code(2)


def kill_all(job, ranks):
    """All ranks are killed at once."""
    job.wait_until_ready()
    for pid in job.pids.values():
        os.kill(pid, signal.SIGKILL)
    job.wait_until_gone(END_SECONDS, but=(job.mpirun.pid,))


def stop(job, ranks):
    """A rank stands still; later it comes back, and has to leave by itself."""
    job.wait_until_ready()
    stopped = job.pids[ranks - 1]
    os.kill(stopped, signal.SIGSTOP)
    job.wait_until_gone(STOP_SECONDS, but=(stopped, job.mpirun.pid))
    job.check_status(1, rf'rank {ranks - 1} on node {NODE} died')
    os.kill(stopped, signal.SIGCONT)
    job.wait_until_gone(STOP_SECONDS, but=(job.mpirun.pid,))


def interrupt(job, ranks):
    """Ctrl-C, which mpirun tells its ranks by SIGTERM."""
    job.wait_until_ready()
    job.mpirun.send_signal(signal.SIGINT)
    job.wait_until_gone(END_SECONDS)
    job.check_status(143, 'the job was ended by signal 15')


def terminate(job, ranks):
    """What a batch system sends at first."""
    job.wait_until_ready()
    job.mpirun.send_signal(signal.SIGTERM)
    job.wait_until_gone(END_SECONDS)
    job.check_status(143, 'the job was ended by signal 15')


def throw(job, ranks):
    """The driver throws while tasks run, wait and are queued everywhere."""
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS)
    job.check_status(1, 'the driver has had enough')
    job.check_output('mobula: .*the driver has had enough')
    job.check_code(1)


def bad(job, ranks):
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS)
    job.check_status(2, 'the driver was told nonsense')
    job.check_code(2)


def code(job, ranks):
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS)
    job.check_status(3)
    job.check_code(3)


def code_256(job, ranks):
    """What the system would keep of the driver's code is 0."""
    job.wait_until_gone(READY_SECONDS)
    job.check_status(1)
    job.check_code(1)


def status_device(job, ranks):
    """The status file is a pipe, which stays one."""
    job.wait_until_gone(READY_SECONDS)
    job.check_code(2)
    job.check_said_once('the status file: .* is a device or pipe')
    if not job.device.is_fifo() or job.ready.is_set():
        job.fail('ran, or replaced its status file')


def leave(job, ranks):
    """The driver returns while tasks run, wait and are queued everywhere."""
    job.wait_until_ready()
    job.wait_until_gone(END_SECONDS)
    job.check_status(0)
    job.check_code(0)


def deaf(job, ranks):
    """The same, and some of them never give way."""
    job.wait_until_ready()
    job.wait_until_gone(STOP_SECONDS)
    job.check_status(0)
    job.check_said_once('tasks still ran 2 s after the driver')
    if set(re.findall(r'still ran (\S+) s', job.output)) != {'2'}:
        job.fail('states another time than MOBULA_EXIT_WAIT_S')


def circle(job, ranks):
    """Two actors wait for each other; who waits for whom is told, and the job ends."""
    job.wait_until_ready()
    job.wait_until_gone(STOP_SECONDS)
    job.check_output(r'(?s)nothing has moved for \d+ s.*circle.*Waiter::call_and_wait')
    job.check_status(1, 'no task made progress')


def handles(job, ranks):
    """Actors that hold each other's handles are told at the end, and no others."""
    job.wait_until_gone(READY_SECONDS)
    job.check_status(0)
    job.check_code(0)
    members = ['actor one on rank 0', f'actor other on rank {ranks - 1}']
    circle = '|'.join((', '.join(members), ', '.join(reversed(members))))
    job.check_said_once(r"hold each other's handles")
    job.check_output(rf"mobula: actors that hold each other's handles .*: ({circle}); kill\(\)")


def licences(job, ranks):
    """Who waits for resources is told, with what there is, who has it, and since when."""
    job.wait_until_ready()
    job.wait_until_gone(STOP_SECONDS)
    last = ranks - 1
    needs = r'needs 1 licence \(free: 1 cpu\) and waits'
    since = r'\([1-9]\d* s\)'
    for line in (
            rf'placement group 1 of rank 0 on rank 0 {needs} for actor holder 0 {since}',
            rf'actor latecomer on rank {last} {needs} for actor holder {last} {since}',
            rf'a student on rank {last} {needs} for actor holder {last} {since}',
            rf'Waiter::twice on rank 0 waits for a student {since}',
            rf'driver on rank 0 waits for placement group 1 of rank 0 {since}',
            rf'Waiter::nothing of actor latecomer on rank {last} has an actor that has not begun, '
            rf'and waits for actor latecomer {since}',
            rf'Waiter::wait of actor holder {last} on rank {last} waits for .* {since}',
            rf'Waiter::nothing of actor holder {last} on rank {last} queued behind other calls for '
            rf'Waiter::wait of actor holder {last} {since}'):
        job.check_output(line)
    job.check_status(1, 'no task made progress')


def unknown_variable(job, ranks):
    """A mistyped variable stops the job before it begins."""
    job.wait_until_gone(READY_SECONDS)
    job.check_code(2)
    job.check_said_once('MOBULA_WORKRES')
    job.check_status(2, 'MOBULA_WORKRES')
    if job.ready.is_set():
        job.fail('ran in spite of an unknown variable')


def bad_value(job, ranks):
    job.wait_until_gone(READY_SECONDS)
    job.check_code(2)
    job.check_said_once('mobula: .*MOBULA_GPUS')
    job.check_status(2, 'MOBULA_GPUS')


def unknown_to_one(job, ranks):
    """Only the last rank has the mistyped variable; the others would wait for it for ever."""
    job.wait_until_gone(READY_SECONDS)
    job.check_said_once('MOBULA_WORKRES')
    job.check_status(2, 'MOBULA_WORKRES')


def engine_help(job, ranks):
    """The list of settings, once for all ranks, and nothing is run."""
    job.wait_until_gone(READY_SECONDS)
    job.check_code(0)
    job.check_said_once('Settings of the engine')
    job.check_said_once(r'--mobula-heartbeat-ms=\.\.\.\n +time between .*\n'
                        r' +a time in whole milliseconds.*; default: 200 ms')
    if job.ready.is_set():
        job.fail('ran although it was only asked for help')


# What the program is told, the variables, and whether it is about the death of a rank, which mpirun
# is asked to bear then.
WAYS = {
    kill: (['stay'], {}, True),
    kill_beside: (['bring'], {'MOBULA_VERB': 'push', 'UCX_TLS': 'tcp,self'}, True),
    kill_source: (['bring'], {'MOBULA_VERB': 'push', 'UCX_TLS': 'tcp,self'}, True),
    kill_driver: (['stay'], {}, True),
    kill_all: (['stay'], {}, True),
    crash: (['die', 'segv'], {}, True),
    crash_in_thread: (['die', 'thread'], {}, True),
    exit_in_task: (['die', 'exit'], {}, True),
    exit_in_driver: (['exit'], {}, True),
    forked: (['fork'], {}, False),
    twice: (['nothing', 'again'], {}, False),
    stop: (['stay'], {}, True),
    interrupt: (['stay'], {}, False),
    terminate: (['stay'], {}, False),
    throw: (['throw'], {}, False),
    bad: (['bad'], {}, False),
    code: (['code', '3'], {}, False),
    code_256: (['code', '256'], {}, False),
    status_device: (['leave'], {}, False),
    leave: (['leave'], {}, False),
    deaf: (['deaf'], {'MOBULA_EXIT_WAIT_S': '2'}, False),
    circle: (['circle'], {'MOBULA_STALL_SECONDS': '1', 'MOBULA_STALL_ABORT': 'yes'}, False),
    handles: (['handles'], {}, False),
    licences: (['licences'], {'MOBULA_STALL_SECONDS': '1', 'MOBULA_STALL_ABORT': 'yes',
                              'MOBULA_RESOURCES': 'licence=1'}, False),
    unknown_variable: (['leave'], {'MOBULA_WORKRES': '2'}, False),
    bad_value: (['leave'], {'MOBULA_GPUS': 'many'}, False),
    unknown_to_one: (['leave'], {}, False),
    engine_help: (['leave', '--mobula-help'], {}, False),
}


def main():
    name, ranks, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    way = next((w for w in WAYS if w.__name__ == name), None)
    if way is None:
        sys.exit(f'no such way: {name}')
    arguments, variables, dies = WAYS[way]
    if not dies:
        # A rank that gets no CPU for 2 s is not dead.
        variables = {'MOBULA_DEAD_AFTER_MS': '10000', **variables}
    if way is unknown_to_one:
        script = f'[ $OMPI_COMM_WORLD_RANK -lt {ranks - 1} ] || export MOBULA_WORKRES=2; exec "$@"'
        program, arguments = 'sh', ['-c', script, 'sh', program, *arguments]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    job = Job(arguments, ranks, program, dies, variables, device=way is status_device)
    try:
        way(job, ranks)
        if dies:
            job.end_mpirun()
        else:
            job.mpirun.wait(patience(END_SECONDS))
        job.check_nothing_left()
    finally:
        job.clean_up()


main()
