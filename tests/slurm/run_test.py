#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slurm/run tells the truth by exit code and last line, and leaves nothing behind. Output is TAP.

usage: run_test.py SLURM_RUN PROBE
"""
import glob
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

RUN, PROBE = sys.argv[1:3]
CPUS = len(os.sched_getaffinity(0))
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith(('SLURM_', 'MOBULA_'))}


def start(*arguments, environment=None):
    def own_interrupt():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen([RUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True,
                            env={**ENVIRONMENT, **(environment or {})},
                            preexec_fn=own_interrupt)


def run(*arguments, environment=None):
    child = start(*arguments, environment=environment)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def left_behind():
    processes = subprocess.run(['pgrep', '-f', '^' + PROBE], capture_output=True, text=True)
    return glob.glob('/dev/shm/mobula-run.*') + processes.stdout.split()


def refuses():
    for words in (['--fly', 'x'], ['-n', '0', 'x'], ['-w', 'two', 'x'], ['--per', 'fish', 'x'], [],
                  ['-n'], ['--no-build', './no/such/program'], ['--no-build', 'no_such_program']):
        code, out, err = run(*words)
        assert code == 2 and not out, (words, code, out)
        assert err.startswith('slurm/run: ') and len(err.splitlines()) == 1, (words, err)
    built = {'MOBULA_BUILD_DIR': str(pathlib.Path(PROBE).parents[2])}
    code, out, err = run('--dry-run', 'fish', environment=built)
    assert code == 2 and not out and 'there is no program fish' in err, (code, out, err)


def refuses_too_many_ranks():
    code, out, err = run('-n', '100000', PROBE)
    assert code == 2 and not out and len(err.splitlines()) == 1, (code, out, err)
    assert f'-n 100000 is more than the {64 * CPUS} ranks' in err, err
    code, _, err = run('--dry-run', '-n', '769', PROBE, environment=ALLOCATION)
    assert code == 2 and '769 is more than the 768 ranks' in err, (code, err)
    assert run('--dry-run', '-n', '768', PROBE, environment=ALLOCATION)[0] == 0


def a_value_may_stand_close_to_its_letter():
    apart = run('--dry-run', '-n', '2', '-w', '3', PROBE)
    assert apart[0] == 0 and run('--dry-run', '-n2', '-w3', PROBE) == apart, apart
    code, _, err = run('--dry-run', '-nine', PROBE)
    assert code == 2 and '-n ine is no number' in err, (code, err)


def building_is_told_of_without_a_terminal():
    """Once at the beginning; not for each file, and not where there is nothing to build."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / 'build.ninja').write_text(
            'rule make\n  command = touch $out\n' +
            ''.join(f'build part{i}: make\n' for i in range(9)) +
            'build all: phony ' + ' '.join(f'part{i}' for i in range(9)) + '\n')
        line = ['bash', '-euo', 'pipefail', '-c',
                f'source "{pathlib.Path(RUN).parent}/program.sh"; build=$1; compile all',
                'bash', folder]
        for told in (1, 0):
            done = subprocess.run(line, capture_output=True, text=True, timeout=60)
            words = done.stderr.splitlines()
            assert done.returncode == 0 and not done.stdout and len(words) == told, done
            assert all(word.startswith('slurm/run: building [') for word in words), words


def refuses_what_does_not_run():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / 'loop').symlink_to('loop')
        (path / 'garbage').write_bytes(b'\x01\x02\x03garbage')
        (path / 'empty').touch()
        (path / 'script').write_text('#!/no/such/interpreter -x\n')
        machine = bytearray(pathlib.Path(PROBE).read_bytes()[:64])
        machine[18] ^= 0xff
        (path / 'foreign').write_bytes(machine)
        for file in path.glob('*'):
            if not file.is_symlink():
                file.chmod(0o755)
        for name, sentence in (('loop', 'no path that leads'), ('loop/x', 'no path that leads'),
                               ('garbage', 'neither a program'), ('empty', 'neither a program'),
                               ('script', 'interpreter /no/such/interpreter is no'),
                               ('foreign', 'another kind of machine')):
            code, out, err = run('-n', '2', f'{folder}/{name}')
            assert code == 2 and not out, (name, code, out)
            assert len(err.splitlines()) == 1 and sentence in err, (name, err)


def refuses_what_would_have_no_effect():
    for words in (['--nodes', '3'], ['--time', '5'], ['--partition', 'high'], ['--wait'],
                  ['--sbatch-option', '-c2'], ['--per', 'gpu'], ['--per', 'socket']):
        code, out, err = run('--dry-run', *words, PROBE)
        assert code == 2 and not out, (words, code, out)
        assert words[0] in err and '--sbatch' in err and len(err.splitlines()) == 1, (words, err)
        assert run('--dry-run', '--sbatch', *words, PROBE)[0] == 0, words


def dry_run_runs_nothing():
    code, out, _ = run('--dry-run', '-n', '3', '-w', '2', 'fish', '--size', 'very big',
                       environment={'MOBULA_BUILD_DIR': '/nobody/has/built/here'})
    assert code == 0 and len(out.splitlines()) == 1, out
    assert 'mpirun' in out and '-n 3' in out and 'MOBULA_WORKERS=2' in out, out
    assert out.endswith('/fish --size very\\ big\n'), out


def dry_run_shows_bindings_on_request():
    words = ['--dry-run', '-n', '2', PROBE]
    plain, asked = run(*words)[1], run('--show-bindings', *words)[1]
    assert '--report-bindings' in asked.split(), asked
    assert asked.replace('--report-bindings ', '') == plain, (asked, plain)
    submitted = run('--sbatch', '--show-bindings', *words)[1]
    assert submitted.count('--show-bindings') == 1, submitted


def bindings_are_shown():
    """One line per rank that is bound, none when it is not asked for."""
    code, _, err = run('--show-bindings', '-n', str(CPUS), PROBE)
    assert code == 0, (code, err)
    for rank in range(CPUS if CPUS > 1 else 0):
        assert len([line for line in err.splitlines() if f' rank {rank} ' in line]) == 1, err


def dry_run_of_sbatch():
    code, out, _ = run('--dry-run', '--sbatch', '--nodes=2', '--time', '5', PROBE)
    assert code == 0 and out.startswith('sbatch ') and '--nodes=2' in out and '--time=5' in out, out
    assert '--no-build' in out and out.rstrip().endswith(PROBE), out
    assert 'MOBULA_BUILD_DIR' not in out, out
    out = run('--dry-run', '--sbatch', PROBE, environment={'MOBULA_BUILD_DIR': '/else where'})[1]
    assert 'export MOBULA_BUILD_DIR=/else\\ where\n' in out, out


# What Slurm tells the shell of an allocation of three nodes with four CPUs each.
ALLOCATION = {'SLURM_JOB_ID': '7', 'SLURM_JOB_NUM_NODES': '3', 'SLURM_JOB_CPUS_PER_NODE': '4(x3)'}


def line_in_allocation(*words, **environment):
    code, out, err = run('--dry-run', *words, PROBE, environment={**ALLOCATION, **environment})
    assert code == 0 and not err and len(out.splitlines()) == 1, (words, code, out, err)
    return out


def mpirun_has_the_ranks_of_srun():
    """As many ranks with as many workers, on the same nodes."""
    for words, ranks, workers, place in (
            ([], 3, 4, 'ppr:1:node'), (['-n', '6'], 6, 2, 'ppr:2:node'),
            (['-n', '4'], 4, 2, 'node'), (['-n', '2'], 2, 4, 'ppr:1:node'),
            (['-n', '30'], 30, 1, 'ppr:10:node')):
        lines = line_in_allocation(*words), line_in_allocation('--mpirun', *words)
        for line in lines:
            assert f' -n {ranks} ' in line and f'MOBULA_WORKERS={workers} ' in line, (words, line)
        assert f' --map-by {place} ' in lines[1], (words, lines[1])


def unlike_nodes_are_told_of():
    code, out, err = run('--dry-run', PROBE, environment={
        **ALLOCATION, 'SLURM_JOB_CPUS_PER_NODE': '4(x2),2'})
    assert code == 0 and ' -c 2 ' in out and 'MOBULA_WORKERS=2 ' in out, (out, err)
    assert len(err.splitlines()) == 1 and '(4(x2),2); each is used like the smallest' in err, err


def a_step_shares_its_cpus():
    assert '--overlap' not in line_in_allocation()
    assert ' --overlap ' in line_in_allocation(SLURM_STEP_ID='0')


def run_with_double(command, script, *words, environment=None):
    """What slurm/run does where the command is this script."""
    with tempfile.TemporaryDirectory() as folder:
        double = os.path.join(folder, command)
        with open(double, 'w') as file:
            file.write('#!/bin/bash\n' + script)
        os.chmod(double, 0o755)
        return run(*words, PROBE, environment={
            **(environment or {}), 'PATH': f'{folder}:{os.environ["PATH"]}'})


def in_allocation_with(gpus, *words):
    """The line where the controller says of the job's nodes what `gpus` says."""
    return run_with_double(
        'scontrol', 'if [[ $2 == hostnames ]]; then tr , "\\n" <<<"$3"; exit; fi\n'
        f'cat <<END\n   NumNodes=3\n{gpus}\n   TresPerJob=gres:gpu:4\nEND\n',
        '--dry-run', *words, environment=ALLOCATION)


def a_rank_per_gpu_of_the_job():
    """Not what was asked for counts, per node, job or task, but what each node gave."""
    of_nodes = ('     Nodes=n1,n2 CPU_IDs=0-3 Mem=0 GRES=gpu:{}(IDX:0-1)\n'
                '     Nodes=n3 CPU_IDs=0-3 {}')
    code, out, err = in_allocation_with(of_nodes.format(2, 'Mem=0 GRES=gpu:a100:2(IDX:0-1)'),
                                        '--per', 'gpu')
    assert code == 0 and ' -n 6 --gpus-per-task=1 -N 3 --ntasks-per-node=2 -c 2 ' in out, (out, err)
    unlike = of_nodes.format(1, 'Mem=0 GRES=gpu:4(IDX:0-3)')
    code, out, err = in_allocation_with(unlike, '--per', 'gpu')
    assert code == 0 and ' -n 6 --gpus-per-task=1 -N 3 -c 1 ' in out, (out, err)
    code, _, err = in_allocation_with(unlike, '--per', 'gpu', '--mpirun')
    assert code == 2 and 'unlike numbers' in err, (code, err)
    code, out, err = in_allocation_with(unlike, '--per', 'gpu', '--mpirun', '-n', '4')
    assert code == 0 and ' -n 4 --bind-to none --map-by node ' in out, (out, err)
    code, out, err = in_allocation_with(of_nodes.format(2, 'Mem=0 GRES='), '--per', 'gpu')
    assert code == 0 and ' -n 4 --gpus-per-task=1 -N 2 --ntasks-per-node=2 ' in out, (out, err)
    kinds = 'gpu:a100:1(IDX:0),gpu:v100:2(IDX:1-2)'
    code, out, err = in_allocation_with(f'     Nodes=n1,n2,n3 CPU_IDs=0-3 Mem=0 GRES={kinds}',
                                        '--per', 'gpu')
    assert code == 0 and ' -n 9 --gpus-per-task=1 -N 3 ' in out, (out, err)
    code, _, err = in_allocation_with('     Nodes=n1,n2,n3 CPU_IDs=0-3 Mem=0 GRES=', '--per', 'gpu')
    assert code == 2 and 'no GPU' in err, (code, err)


def workers_of_the_user_stay():
    for words in ([], ['--mpirun'], ['-n', '30']):
        assert 'MOBULA_WORKERS=9 ' in line_in_allocation(*words, MOBULA_WORKERS='9'), words
        assert 'MOBULA_WORKERS=5 ' in line_in_allocation('-w', '5', *words, MOBULA_WORKERS='9')
    many = run('--dry-run', '-n', str(CPUS + 1), PROBE, environment={'MOBULA_WORKERS': '9'})[1]
    assert 'MOBULA_WORKERS=9 ' in many, many


def with_sbatch(script, *words):
    """What slurm/run says where sbatch is this script."""
    return run_with_double('sbatch', script, '--sbatch', '--no-build', *words)


def what_sbatch_refuses_is_told():
    for script, sentence in (
            ('echo "sbatch: error: no such partition: x" >&2\n'
             'echo "sbatch: error: Batch job submission failed" >&2; exit 1',
             'no such partition: x; Batch job submission failed'),
            ('echo "sbatch: unrecognized option \'--flarp\'" >&2\n'
             'echo "Try \\"sbatch --help\\" for more" >&2; exit 255',
             "unrecognized option '--flarp'"),
            ('exit 9', 'it returned 9')):
        for words in ([], ['--wait']):
            code, out, err = with_sbatch(script, *words)
            assert code == 2 and not out, (code, out, err)
            assert err == f'slurm/run: sbatch refused: {sentence}\n', err


def the_log_is_named():
    code, out, err = with_sbatch('echo a warning >&2; echo "7;cluster"')
    assert code == 0 and err == 'a warning\n' and out.endswith('/mobula-7.log\n'), (out, err)
    code, out, err = with_sbatch('echo 7', '--sbatch-option', '--array=0-3')
    assert code == 0 and out.endswith('/mobula-7-INDEX.log\n'), (out, err)
    assert '--output=mobula-%A-%a.log' in run(
        '--dry-run', '--sbatch', '--sbatch-option', '--array=0-3', PROBE)[1]
    for option in ('--output=mine-%j.txt', '-omine'):
        code, out, err = with_sbatch('echo 7', '--sbatch-option', option, '--wait')
        assert code == 2 and 'the log is' in err, (code, out, err)


def good_end():
    code, out, err = run('-n', '2', PROBE)
    assert code == 0 and not err, (code, err)
    assert out.splitlines()[-1] == 'last line', out


def ranks_get_their_own_cpus():
    code, out, _ = run('-n', str(CPUS), PROBE)
    assert code == 0 and out.count(', 1 cpus, workers -') == CPUS, out


def threads_of_openmp_are_no_cpus():
    plain, asked = run('--dry-run', PROBE)[1], run('--dry-run', PROBE, environment={
        'OMP_NUM_THREADS': '64'})[1]
    assert asked.replace('OMP_NUM_THREADS=64', 'OMP_NUM_THREADS=1') == plain, (asked, plain)


def more_ranks_than_cpus():
    code, out, _ = run('-n', str(CPUS + 1), PROBE)
    assert code == 0 and out.count('workers 1') == CPUS + 1, out


def code_of_the_driver():
    code, out, _ = run('-n', '2', PROBE, 'code', '7')
    assert code == 7 and out.splitlines()[-1] == 'last line', (code, out)


def tasks_have_their_time_after_a_failure():
    code, out, err = run('-n', '2', PROBE, 'late', '7')
    assert code == 7 and 'late word' in out.splitlines(), (code, out, err)


def death_of_a_rank():
    code, out, err = run('-n', '2', PROBE, 'kill', '1')
    assert code == 1 and out.splitlines()[-1] == 'last line' and not err, (code, out, err)


def ends_in_allocation(script):
    """Code and sentences of a run whose srun is this script; its ranks say nothing themselves."""
    code, _, err = run_with_double('srun', script, '--no-build', environment=ALLOCATION)
    return code, [line for line in err.splitlines() if line.startswith('mobula: ')]


def what_ended_first_is_named():
    """Slurm tells of those ranks first that it ended itself, for one whose MPI had an error."""
    died = "echo 'srun: error: n2: tasks 2-3: Killed' >&2; exit 137\n"
    failed = "echo '[n3:02555] *** reported by process [3208846456,4]' >&2\n"
    first = 'cd "${MOBULA_STATUS_FILE%/*}"; printf "5\\nn3\\nsignal 9 (Killed)\\n" >first_end\n'
    more = 'printf "5\\nn3\\nsignal 9 (Killed), for want of memory\\n" >ended.5\n'
    early = ' before the ranks had met'
    for script, sentence in (
            (died, 'ranks 2-3 on node n2 died: Killed'),
            (failed + died, f'rank 4 on node n3 ended{early}: an error of MPI'),
            (first + failed + died, f'rank 5 on node n3 died{early}: signal 9 (Killed)'),
            (first + more + died,
             f'rank 5 on node n3 died{early}: signal 9 (Killed), for want of memory')):
        ends = ends_in_allocation(script)
        assert ends == (1, [f'mobula: {sentence}; the job ends']), (script, ends)


def the_end_of_a_rank_is_left():
    agent = os.path.join(os.path.dirname(RUN), 'rank_agent')
    for how, ending in (('exit 3', 'exit code 3'), ('kill -SEGV $$', 'signal 11 (Segmentation '),
                        ('kill -KILL $$', 'signal 9 (Killed)')):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([agent, 'bash', '-c', how], timeout=60, stderr=subprocess.DEVNULL, env={
                **ENVIRONMENT, 'PMIX_RANK': '4', 'MOBULA_STATUS_FILE': folder + '/status'})
            for name in ('first_end', 'ended.4'):
                lines = pathlib.Path(folder, name).read_text().splitlines()
                assert lines[0] == '4' and lines[2].startswith(ending), (how, name, lines)


def end_after_the_job():
    for which in 0, 1:
        code, out, err = run('-n', '2', PROBE, f'after {which}', '0')
        assert code == 1 and out.splitlines()[-1] == 'last line', (code, out, err)
        assert re.fullmatch(rf'mobula: rank {which} on node \S+ died after the end of the job: '
                            r'signal 9 \(Killed\)\n', err), err
    code, _, err = run('-n', '2', PROBE, 'after code', '0')
    assert code == 3 and len(err.splitlines()) == 1, (code, err)
    assert 'ended with exit code 3 after the end of the job' in err, err
    code, _, err = run('-n', '2', PROBE, 'after code', '7')  # what the driver said goes before
    assert code == 7 and not err, (code, err)


def death_of_the_launcher():
    child = start('-n', '2', PROBE, 'wait')
    for _ in range(2):
        child.stdout.readline()  # both ranks are there
    for launcher in subprocess.run(['pgrep', '-P', str(child.pid), '-x', 'mpirun'], text=True,
                                   stdout=subprocess.PIPE).stdout.split():
        os.kill(int(launcher), signal.SIGKILL)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 137, (child.returncode, err)
    assert err == 'slurm/run: mpirun was ended by SIGKILL; the job ends\n', err
    ends_within(20)


def no_word_from_the_driver():
    code, _, err = run('-n', '2', PROBE, 'silent')
    assert code == 1 and 'never called mobula::run, or its driver left no exit code' in err, (
        code, err)


def a_stop_ends_a_launcher_that_does_not_hear_it():
    """As srun does while it starts a step and a node of it does not answer. Slurm sends SIGTERM to
    all processes of the job."""
    with tempfile.TemporaryDirectory() as folder:
        double = pathlib.Path(folder) / 'srun'
        double.write_text('#!/bin/bash\ntrap "" INT TERM\necho started\nsleep 600 >/dev/null\n')
        double.chmod(0o755)
        child = start('--no-build', PROBE, environment={
            **ALLOCATION, 'PATH': f'{folder}:{os.environ["PATH"]}'})
        child.stdout.readline()
        for process in subprocess.run(['pgrep', '-P', str(child.pid)], text=True,
                                      stdout=subprocess.PIPE).stdout.split():
            os.kill(int(process), signal.SIGTERM)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=20)  # before Slurm's KillWait, which is 30 s if not set
        assert (child.returncode, err) == (143, 'slurm/run: stopped by SIGTERM\n'), (
            child.returncode, err)


def stops_at(which, expected):
    child = start('-n', '2', PROBE, 'wait')
    for _ in range(2):
        child.stdout.readline()  # both ranks are there
    child.send_signal(which)
    child.communicate(timeout=60)
    assert child.returncode == expected, child.returncode


def ends_within(seconds):
    """Waits until nothing is left behind."""
    end = time.monotonic() + seconds
    while left_behind() and time.monotonic() < end:
        time.sleep(0.1)
    assert not left_behind(), left_behind()


def killed(*others):
    """slurm/run, after those of its children whose command line is its own."""
    child = start('-n', '2', PROBE, 'wait')
    for _ in range(2):
        child.stdout.readline()  # both ranks are there
    for other in others:
        for process in subprocess.run(['pgrep', '-P', str(child.pid), '-f', other], text=True,
                                      stdout=subprocess.PIPE).stdout.split():
            os.kill(int(process), signal.SIGKILL)
    child.kill()
    child.wait()


def kill_ends_the_job():
    killed()
    ends_within(20)


def the_next_run_removes_what_a_killed_one_left():
    killed('slurm/run')
    assert left_behind()
    assert run('-n', '1', PROBE)[0] == 0
    ends_within(20)


def leaves_nothing_where_a_stop_ends_its_helpers():
    """Slurm sends SIGTERM to all processes of a job, so also to one that has just made the folder,
    or was to remove it."""
    after = 'PATH=${PATH#*:}\n"${0##*/}" "$@" >/dev/null\nkill -TERM $$\n'
    once = '[ ! -e "$0.done" ] || { PATH=${PATH#*:}; exec rm "$@"; }\n: >"$0.done"\nkill -TERM $$\n'
    for helpers, ends in (({'mkdir': after, 'mktemp': after}, (143,)), ({'rm': once}, (0,))):
        with tempfile.TemporaryDirectory() as folder:
            for name, script in helpers.items():
                path = pathlib.Path(folder) / name
                path.write_text('#!/bin/bash\n' + script)
                path.chmod(0o755)
            code, _, err = run('--no-build', '-n', '1', PROBE,
                               environment={'PATH': folder + ':' + os.environ['PATH']})
            assert code in ends, (helpers, code, err)
            ends_within(5)


def interrupt():
    stops_at(signal.SIGINT, 130)


def termination():
    stops_at(signal.SIGTERM, 143)


tests = [refuses, refuses_too_many_ranks, a_value_may_stand_close_to_its_letter,
         building_is_told_of_without_a_terminal, refuses_what_does_not_run,
         refuses_what_would_have_no_effect, dry_run_runs_nothing, dry_run_of_sbatch,
         dry_run_shows_bindings_on_request, mpirun_has_the_ranks_of_srun, unlike_nodes_are_told_of,
         a_step_shares_its_cpus,
         a_rank_per_gpu_of_the_job, what_sbatch_refuses_is_told, the_log_is_named,
         workers_of_the_user_stay, bindings_are_shown, good_end, ranks_get_their_own_cpus,
         threads_of_openmp_are_no_cpus, more_ranks_than_cpus, code_of_the_driver,
         tasks_have_their_time_after_a_failure, death_of_a_rank,
         what_ended_first_is_named, the_end_of_a_rank_is_left, end_after_the_job,
         death_of_the_launcher, no_word_from_the_driver,
         leaves_nothing_where_a_stop_ends_its_helpers, interrupt, termination,
         a_stop_ends_a_launcher_that_does_not_hear_it, kill_ends_the_job,
         the_next_run_removes_what_a_killed_one_left]
print(f'1..{len(tests)}')
for number, test in enumerate(tests, 1):
    why = None
    try:
        test()
        if left_behind():
            why = f'left behind: {left_behind()}'
    except (AssertionError, subprocess.TimeoutExpired) as error:
        why = repr(error)
    print(f'{"not ok" if why else "ok"} {number} - {test.__name__}', flush=True)
    if why:
        print(f'# {why}', flush=True)
