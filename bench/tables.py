# SPDX-License-Identifier: Apache-2.0
"""Makes the page of tables from the figures that bench/run collects. Pure: reads and runs nothing.

In micro figures a case has its operations per second (`rate`) or, without one, its counters."""

import statistics

RAY_CASES = [
    'single_client_get_calls_Plasma_Store', 'single_client_put_calls_Plasma_Store',
    'multi_client_put_calls_Plasma_Store', 'single_client_put_gigabytes',
    'multi_client_put_gigabytes', 'single_client_tasks_and_get_batch',
    'single_client_get_object_containing_10k_refs', 'single_client_wait_1k_refs',
    'single_client_as_completed_1k_refs', 'single_client_tasks_sync',
    'single_client_tasks_async', 'multi_client_tasks_async', '1_1_actor_calls_sync',
    '1_1_actor_calls_async', '1_1_actor_calls_concurrent', '1_n_actor_calls_async',
    'n_n_actor_calls_async', 'n_n_actor_calls_with_arg_async', '1_1_async_actor_calls_sync',
    '1_1_async_actor_calls_async', '1_1_async_actor_calls_with_args_async',
    '1_n_async_actor_calls_async', 'n_n_async_actor_calls_async',
    'placement_group_create/removal']
# One operation of ours puts 0.8 GB by Ray's count (0.08 each of the ten in the other case).
# 256 bytes beyond the arguments of a queued task, which are two numbers or a number and a Ref.
TASK_BYTES = 272
GIGABYTES = {'single_client_put_gigabytes': 0.8388608, 'multi_client_put_gigabytes': 0.08388608}
RAY_GIGABYTES = 1.048576  # Ray counts 100 x 2^20 numbers of 8 bytes as 0.8 GB


def summarise(report):
    """Of Google Benchmark's JSON: case -> median, best and spread over its repetitions."""
    runs = {}
    for run in report.get('benchmarks', []):
        if run.get('run_type') == 'iteration' and not run.get('error_occurred'):
            name = run['run_name']
            for suffix in ('/process_time', '/real_time', '/manual_time'):
                name = name.replace(suffix, '')
            runs.setdefault(name.split('/iterations:')[0].split('/repeats:')[0], []).append(run)
    cases = {}
    for name, all_runs in runs.items():
        case = {'repetitions': len(all_runs)}
        key = next((k for k in ('items_per_second', 'bytes_per_second') if k in all_runs[0]), None)
        if key:
            rates = [run[key] for run in all_runs]
            median = statistics.median(rates)
            # Seconds of this rank's CPU per operation, which other load on the machine does not
            # stretch; with several workers or while waiting it counts them all.
            cpu = [run['cpu_time'] / run['real_time'] / run[key] for run in all_runs]
            case.update(rate=median, best=max(rates), cpu=min(cpu),
                        spread=(statistics.pstdev(rates) / median if median else 0))
        for counter in ('submit_s', 'run_s', 'bytes_each', 'idle_percent_worst',
                        'idle_percent_mean'):
            if counter in all_runs[0]:
                case[counter] = statistics.median(run[counter] for run in all_runs)
        if 'bytes_each' in all_runs[0]:
            # Later repetitions find the memory of the first one and seem to need none.
            case['bytes_each'] = max(run['bytes_each'] for run in all_runs)
        cases[name] = case
    return cases


def merge_rounds(lines):
    """One line of several runs of the same pattern program: the best, and the median's median."""
    best = min(lines, key=lambda line: line['seconds'])
    merged = dict(best)
    for key in ('seconds_median', 'us_per_task_median'):
        merged[key] = statistics.median(line[key] for line in lines)
    merged['seconds_max'] = max(line['seconds_max'] for line in lines)
    merged['rounds'] = sum(line['rounds'] for line in lines)
    return merged


def number(value, digits=3):
    if value is None:
        return '-'
    for size, unit in ((1e9, 'G'), (1e6, 'M'), (1e4, 'k')):
        if abs(value) >= size:
            return f'{value / (1e3 if unit == "k" else size):.{digits}g} {unit}'
    return f'{value:.{digits}g}' if abs(value) < 1e3 else f'{value:.0f}'


def ratio(value, by):
    if not value or not by:
        return '-'
    quotient = value / by
    return f'{quotient:.0f}' if quotient >= 100 else f'{quotient:.2g}'


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows])


class Figures:
    """Looks into the collected figures; what is missing is None."""

    def __init__(self, results):
        self.parts = {name: part['figures'] for name, part in results['parts'].items()}
        self.labels = list(self.parts.get('micro', {}))
        # Where others used the CPUs, times are theirs as much as ours.
        self.busy = {name for name, part in results['parts'].items()
                     if part.get('others', 1) > 0.1 and not part.get('realtime')}
        self.two = next((label for label in self.labels if label.startswith('2x')), '2x1')
        self.cores = results['machine']['cores']

    def micro(self, label, case, key='rate'):
        return self.parts.get('micro', {}).get(label, {}).get(case, {}).get(key)

    def seconds(self, label, case, key='rate'):
        rate = self.micro(label, case, key)
        return 1 / rate if rate else None

    def floor(self, name, key='median'):
        return self.parts.get('floors', {}).get(name, {}).get(key)

    def peer(self, peer, case):
        found = self.parts.get(peer, {}).get('cases', {}).get(case)
        if not found:
            return None
        return found[0] * (RAY_GIGABYTES if case in GIGABYTES else 1)

    def pattern(self, pattern, width, label, key='us_per_task'):
        for line in self.parts.get('patterns', {}).get('floor', []):
            if (line['pattern'], line['width'], line['label']) == (pattern, width, label):
                return line[key]
        return None

    def pattern_labels(self):
        seen = {}
        for line in self.parts.get('patterns', {}).get('floor', []):
            seen[line['label']] = True
        return list(seen)


def aims(figures):
    """Rows of: what, setting, ours, floor, ours/floor, aim, whether it is met."""
    two = figures.two
    rows = []

    def add(what, setting, ours, unit, floor, floor_name, aim, met, part='micro'):
        verdict = '-' if ours is None or met is None else ('yes' if met else '**short**')
        if verdict != '-' and unit not in ('B', '%') and part in figures.busy:
            verdict += ' (others ran)'
        rows.append([what, setting, f'{number(ours)} {unit}' if ours is not None else '-',
                     f'{number(floor)} ({floor_name})' if floor else '-', ratio(ours, floor), aim,
                     verdict])

    def below(ours, limit):
        return None if ours is None or limit is None else ours <= limit

    def above(ours, limit):
        return None if ours is None or limit is None else ours >= limit

    def us(seconds):
        return None if seconds is None else seconds * 1e6

    ours = us(figures.seconds('1x1', 'single_client_tasks_async'))
    add('empty task, same rank, 1000 at a time', '1x1', ours, 'us', None, '', '<= 0.15 us',
        below(ours, 0.15))
    rates = figures.micro(two, 'ucx_am_64B_rate', 'all')
    latencies = figures.micro(two, 'ucx_am_8B', 'all')
    ours = figures.micro(two, 'other_rank_tasks_100k')
    add('empty tasks to another rank and back', two, ours, '/s',
        max(rates) if rates else None, 'UCX messages of 64 B', '>= 5 M/s',
        above(ours, 5e6))
    trip = 2 * min(latencies) if latencies else None
    for case, what in (('other_rank_task_and_back', 'task to another rank and back'),
                       ('other_rank_call_and_back', 'actor call to another rank and back')):
        ours = us(figures.seconds(two, case))
        add(what, two, ours, 'us', trip, 'UCX there and back', '<= 3 x',
            below(ours, 3 * trip if trip else None))
    warm = figures.micro('1x1', 'floor_memcpy_800MB_warm', 'best')
    rate = figures.micro('1x1', 'single_client_put_gigabytes', 'best')
    ours = rate * GIGABYTES['single_client_put_gigabytes'] if rate else None
    # The first put touches fresh pages of the arena, which costs as much as in a fresh memcpy.
    add('put of 839 MB (best)', '1x1', ours, 'GB/s', warm / 1e9 if warm else None,
        'memcpy, pages in place', '>= 90 %', above(ours, 0.9 * warm / 1e9 if warm else None))
    for size in ('64KiB', '1MiB', '16MiB'):
        ours = us(figures.seconds(two, f'first_get_{size}'))
        add(f'first get of another rank\'s {size}', two, ours, 'us', None, '', '<= 2 us',
            below(ours, 2))
    width = figures.cores
    label = f'mobula {two} values'
    for pattern in ('stencil_1d', 'nearest'):
        ours = figures.pattern(pattern, width, label)
        floor = figures.pattern(pattern, width, 'mpi value')
        add(f'{pattern}, {width} points, per task', two, ours, 'us x core', floor, 'MPI', '<= 3 x',
            below(ours, 3 * floor if floor else None), 'patterns')
    metgs = metg_of(figures)
    ours, floor = metgs.get(('stencil_1d', label)), metgs.get(('stencil_1d', 'mpi value'))
    add('stencil_1d, METG(50 %)', two, ours, 'us', floor, 'MPI', '<= 3 x',
        below(ours, 3 * floor if floor else None), 'patterns')
    for case, what in (('queue_1M_tasks', '1 million ready tasks'),
                       ('queue_1M_waiting_tasks', '1 million waiting tasks')):
        ours = figures.micro('1x1', case, 'submit_s')
        add(f'{what}, submitted', '1x1', ours, 's', None, '', '<= 1 s', below(ours, 1))
        ours = figures.micro('1x1', case, 'bytes_each')
        add(f'{what}, memory each', '1x1', ours, 'B', None, '', f'<= {TASK_BYTES} B',
            below(ours, TASK_BYTES))
    ours = figures.micro('1x1', 'put_1M_objects', 'bytes_each')
    add('1 million small objects, memory each', '1x1', ours, 'B', None, '', '<= 128 B',
        below(ours, 128))
    for line in figures.parts.get('ranks', []):
        add(f'{line["ranks"]} ranks start, run {line["tasks"]} tasks, stop', f'{line["ranks"]}x1',
            line['wall_seconds'], 's', None, '', 'ends in order', line['ended'], 'ranks')
    for label in figures.labels:
        ours = figures.micro(label, 'idle_cpu', 'idle_percent_worst')
        add('idle rank, share of a core', label, ours, '%', None, '', '< 1 %', below(ours, 1))
    return rows


def ray_rows(figures):
    rows = []
    for case in RAY_CASES:
        scale = GIGABYTES.get(case, 1)
        ours = [figures.micro(label, case) for label in figures.labels]
        ours = [value * scale if value else None for value in ours]
        by_label = dict(zip(figures.labels, ours))
        ray, dask = figures.peer('ray', case), figures.peer('dask', case)
        spread = figures.micro(figures.two, case, 'spread')
        unit = ' GB/s' if case in GIGABYTES else ''
        rows.append([case + unit, *[number(value) for value in ours],
                     '-' if spread is None else f'{spread * 100:.0f} %', number(ray), number(dask),
                     ratio(by_label.get(figures.two), ray)])
    return rows


def metg(lines, peak_per_core):
    """Microseconds at which half of the peak is still reached: linear between two sizes of the
    kernel. None when the largest one does not reach it, or the smallest still does."""
    points = sorted(((line['us_per_task'], line['gflops'] / line['cores'] / peak_per_core)
                     for line in lines), reverse=True)
    for (upper, good), (lower, bad) in zip(points, points[1:]):
        if good >= 0.5 > bad:
            return lower + (upper - lower) * (0.5 - bad) / (good - bad)
    return None


def sweeps(figures):
    """(pattern, label) -> lines of a sweep, and one peak for all: the best rate of a core that any
    of them reached."""
    lines = {}
    for line in figures.parts.get('patterns', {}).get('sweep', []):
        lines.setdefault((line['pattern'], line['label']), []).append(line)
    return lines, max((line['gflops'] / line['cores'] for each in lines.values()
                       for line in each), default=0)


def metg_of(figures):
    """(pattern, label) -> METG(50 %) where the sweep shows it."""
    lines, peak = sweeps(figures)
    return {key: metg(each, peak) for key, each in lines.items()} if peak else {}


def metg_text(lines, peak):
    """Also when all sizes of the sweep are on one side of it."""
    found = metg(lines, peak)
    if found is not None:
        return number(found)
    good = [line['us_per_task'] for line in lines
            if line['gflops'] / line['cores'] >= 0.5 * peak]
    return f'< {number(min(good))}' if good else \
        f'> {number(max(line["us_per_task"] for line in lines))}'


def metg_rows(figures):
    lines, peak = sweeps(figures)
    labels = list(dict.fromkeys(label for _, label in lines))
    return labels, [[pattern, *[metg_text(lines[pattern, label], peak)
                                if (pattern, label) in lines else '-' for label in labels]]
                    for pattern in dict.fromkeys(pattern for pattern, _ in lines)]


def pattern_rows(figures, width):
    rows = []
    labels = figures.pattern_labels()
    ours = f'mobula {figures.two} values'
    lines = figures.parts.get('patterns', {}).get('floor', [])
    for pattern in dict.fromkeys(line['pattern'] for line in lines):
        values = [figures.pattern(pattern, width, label) for label in labels]
        rows.append([pattern, *[number(value) for value in values],
                     ratio(figures.pattern(pattern, width, ours),
                           figures.pattern(pattern, width, 'mpi value'))])
    return rows


def engine_rows(figures):
    """The engine's own cases: microseconds per operation in each setting."""
    names = dict.fromkeys(case for label in figures.labels
                          for case in figures.parts['micro'][label]
                          if case.startswith(('same_rank', 'other_rank', 'first_get',
                                              'again_get')))
    rows = []
    for name in names:
        row = [name]
        for label in figures.labels:
            seconds = figures.seconds(label, name)
            if seconds is None:
                row.append('-')
                continue
            best, cpu, spread = (figures.micro(label, name, key)
                                 for key in ('best', 'cpu', 'spread'))
            row.append(f'{number(seconds * 1e6)} / {number(1e6 / best)} / {number(cpu * 1e6)} '
                       f'({spread * 100:.0f} %)')
        rows.append(row)
    return rows


def page(results, failed=()):
    figures = Figures(results)
    about = results['machine']
    out = [f'# Benchmarks on {about["cpu"]}, {about["cores"]} cores',
           f'{about["memory_GiB"]} GiB memory, Linux {about["kernel"]}. `2x1` means 2 ranks with '
           '1 worker each. Medians over the repetitions unless it says best; spread is the '
            'standard '
           'deviation.',
           table(['part', 'measured', 'CPU that others used', 'ran ahead of them (--realtime)'],
                 [[name, part['date'],
                   f'{part["others"] * 100:.0f} %' if 'others' in part else 'much',
                   'yes' if part.get('realtime') else 'no']
                  for name, part in results['parts'].items()])]
    if figures.labels:
        out += ['## Aims', table(['what', 'setting', 'ours', 'floor', 'ours/floor', 'aim', 'met'],
                                 aims(figures)),
                "## Ray's microbenchmark, operations per second",
                table(['case', *[f'ours {label}' for label in figures.labels],
                       f'spread {figures.two}', 'Ray', 'Dask', f'{figures.two} / Ray'],
                      ray_rows(figures)),
                '## Paths of the engine, us per operation: median / best / CPU of rank 0 (spread)',
                table(['case', *figures.labels], engine_rows(figures))]
    if 'patterns' in figures.parts:
        for width in (figures.cores, 8 * figures.cores):
            out += [f'## Dependency patterns, {width} points per step: us x core per empty task '
                    '(best)',
                    table(['pattern', *figures.pattern_labels(),
                            f'{figures.two} values / mpi value'],
                          pattern_rows(figures, width))]
        labels, rows = metg_rows(figures)
        out += [f'## METG(50 %), {figures.cores} points per step: us, one shared peak',
                table(['pattern', *labels], rows)]
    for peer in ('ray', 'dask'):
        if peer in figures.parts:
            more = figures.parts[peer]
            stencil, queue = more.get('stencil_1d_us', {}), more.get('queue', {})
            out.append(f'{peer} {more["version"]}: stencil_1d '
                       + ', '.join(f'{number(us)} us per task at {width} points'
                                   for width, us in stencil.items())
                       + (f'; {queue["tasks"]} queued tasks submitted in '
                          f'{number(queue["submit_s"])} s and run in {number(queue["run_s"])} s.'
                          if queue else '.'))
    if 'ranks' in figures.parts:
        out += ['## Many ranks on these cores',
                table(['ranks', 'tasks', 'tasks/s', 'seconds', 'with start and stop, s',
                       'ended in order'],
                      [[line['ranks'], line['tasks'], number(line['tasks_per_second']),
                        number(line['seconds']), number(line['wall_seconds']),
                        'yes' if line['ended'] else '**no**']
                       for line in figures.parts['ranks']])]
    if 'floors' in figures.parts:
        out += ['## Floors', table(['floor', 'best', 'median'],
                                   [[name, number(value['best']), number(value['median'])]
                                    for name, value in figures.parts['floors'].items()])]
    if failed:
        out += ['## Failed in this run', '\n'.join(f'- {what}' for what in failed)]
    return '\n\n'.join(out)
