# SPDX-License-Identifier: Apache-2.0
"""Ray's own microbenchmark (the code of `ray microbenchmark`, from its wheel) on this machine, with
shorter pauses, and the cases of ours that Ray's list has not. Prints one line of JSON.

Run it with the Python of an environment that has ray, ray[client] and numpy."""

import argparse
import json
import os
import sys
import time

import timing

try:
    import ray
    import ray._private.ray_perf as ray_perf
except ImportError as error:
    sys.exit(f"Ray is not installed here ({error}); bench/run --install gets it.")


def json_key(name):
    for character in " :-":
        name = name.replace(character, "_")
    return name.replace("(", "").replace(")", "")


def microbenchmark(selected):
    def timeit(name, case, multiplier=1, warmup_time_sec=0):
        if selected and selected not in json_key(name):
            return [None]
        mean, deviation = timing.rate(case, multiplier)
        print(f"{json_key(name)}: {mean:.6g} +- {deviation:.2g} per second", file=sys.stderr)
        return [(name, mean, deviation)]

    ray_perf.timeit = timeit
    # The cases through the remote driver's proxy have no counterpart.
    ray_perf.client_microbenchmark_main = lambda results: None
    results = ray_perf.main()
    return {json_key(each[0]): [float(each[1]), float(each[2])] for each in results if each}


@ray.remote
def point(t, p, width, *inputs):
    return timing.stencil_point(t, p, width, *inputs)


@ray.remote
def after(one, number):
    return one + number


@ray.remote
def gate():
    time.sleep(1)
    return 1


def queue(count):
    """Seconds to submit tasks that wait for one object, and to run them then."""
    one = gate.remote()
    start = time.perf_counter()
    refs = [after.remote(one, i) for i in range(count)]
    submitted = time.perf_counter()
    total = sum(ray.get(refs))
    end = time.perf_counter()
    timing.check(total == count * (count - 1) // 2 + count, "the sum of queued tasks")
    return {"tasks": count, "submit_s": submitted - start, "run_s": end - submitted}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--filter", default="")
    parser.add_argument("--queue", type=int, default=20_000)
    options = parser.parse_args()
    # Standard output is for the JSON alone; Ray prints there too.
    out = os.dup(1)
    os.dup2(2, 1)
    results = {"peer": "ray", "version": ray.__version__, "cases": microbenchmark(options.filter)}
    # Workers import timing by its module name.
    here = os.path.dirname(os.path.abspath(__file__))
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": here}})
    if options.filter in "stencil_1d":
        for _ in range(2):  # the first one starts the worker processes
            seconds = [timing.stencil(
                lambda t, p, inputs: point.remote(t, p, width, *inputs), ray.get, width, 50)
                for width in (2, 16)]
        results["stencil_1d_us"] = {"2": seconds[0] * 1e6, "16": seconds[1] * 1e6}
    if options.filter in "queue":
        results["queue"] = queue(options.queue)
    ray.shutdown()
    os.write(out, (json.dumps(results) + "\n").encode())


if __name__ == "__main__":
    main()
