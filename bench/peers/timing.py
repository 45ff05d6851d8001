# SPDX-License-Identifier: Apache-2.0
"""Measures a case as Ray's own microbenchmark does, with shorter pauses."""

import statistics
import sys
import time


def rate(case, multiplier=1, warm_up=0.3, seconds=0.5, rounds=4):
    """Operations per second, [mean, standard deviation] over the rounds."""
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < warm_up:
        case()
        count += 1
    step = count // 10 + 1
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < seconds:
            for _ in range(step):
                case()
            count += step
        rates.append(multiplier * count / (time.perf_counter() - start))
    return [statistics.mean(rates), statistics.pstdev(rates)]


def run_cases(cases, selected):
    """`cases`: name -> (function, multiplier). Returns name -> [mean, sd]; a case that fails is
    left out with its reason on the standard error, for the others are still of use."""
    results = {}
    for name, (case, multiplier) in cases.items():
        if selected and selected not in name:
            continue
        try:
            results[name] = rate(case, multiplier)
        except Exception as error:  # a peer may refuse a case in ways of its own
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print(f"{name}: {results[name][0]:.6g} +- {results[name][1]:.2g} per second",
              file=sys.stderr)
    return results


def check(right, what):
    if not right:
        raise RuntimeError(f"wrong answer: {what}")


def stencil_points(width, p):
    return [q for q in (p - 1, p, p + 1) if 0 <= q < width]


def stencil(submit, get, width, steps):
    """The pattern stencil_1d, a task per point with checked data; seconds per task.
    submit(function, t, p, inputs) gives a future, get(futures) their values."""
    start = time.perf_counter()
    before = []
    for t in range(steps):
        now = []
        for p in range(width):
            inputs = [before[q] for q in stencil_points(width, p)] if t > 0 else []
            now.append(submit(t, p, inputs))
        before = now
    check(get(before) == [(steps - 1, p) for p in range(width)], "the last step of a stencil")
    return (time.perf_counter() - start) / (steps * width)


def stencil_point(t, p, width, *inputs):
    expected = [(t - 1, q) for q in stencil_points(width, p)] if t > 0 else []
    check(list(inputs) == expected, f"the inputs of step {t}, point {p}")
    return (t, p)
