# SPDX-License-Identifier: Apache-2.0
"""The cases of Ray's list that make sense with Dask, on worker processes of this machine. Prints
one line of JSON. Run it with a Python that has distributed (Debian: python3-distributed)."""

import argparse
import json
import logging
import os
import sys
import time

import timing

try:
    import distributed
    import numpy
    from distributed import Client, LocalCluster
except ImportError as error:
    sys.exit(f"Dask is not installed here ({error}); Debian has it in python3-distributed.")

OK = b"ok"


def small_value():
    return OK


def submit_small(client, count):
    return [client.submit(small_value, pure=False) for _ in range(count)]


def check_small(values):
    timing.check(all(value == OK for value in values), "a no-op returned something else")


def submitter(count):
    with distributed.worker_client() as client:
        check_small(client.gather(submit_small(client, count)))
    return count


class Server:
    def small_value(self):
        return OK

    def small_value_with_arg(self, _):
        return OK


def wait_for_each(client, count):
    left = submit_small(client, count)
    for _ in range(count):
        done, not_done = distributed.wait(left, return_when="FIRST_COMPLETED")
        first = done.pop()
        left = list(done) + list(not_done)
        timing.check(first.result() == OK, "a no-op returned something else")


def make_cases(client):
    value = client.scatter(0)
    array = numpy.zeros(10 * 1024 * 1024, dtype=numpy.int64)
    server = client.submit(Server, actor=True).result()

    def put_large():
        future = client.scatter(array, hash=False)
        timing.check(future.done() or future.status == "pending", "the array that was put")

    def tasks(count):
        check_small(client.gather(submit_small(client, count)))

    def multi():
        futures = [client.submit(submitter, 1000, pure=False) for _ in range(4)]
        timing.check(client.gather(futures) == [1000] * 4, "a client did not run all its tasks")

    def calls(count):
        check_small([call.result() for call in [server.small_value() for _ in range(count)]])

    def calls_with_arg(count):
        check_small([call.result()
                     for call in [server.small_value_with_arg(i) for i in range(count)]])

    return {
        "single_client_get_calls_Plasma_Store":
            (lambda: timing.check(client.gather(value) == 0, "the number that was put"), 1),
        "single_client_put_calls_Plasma_Store": (lambda: client.scatter(0, hash=False), 1),
        "single_client_put_gigabytes": (put_large, 0.08),
        "single_client_tasks_and_get_batch": (lambda: tasks(1000), 1),
        "single_client_wait_1k_refs": (lambda: wait_for_each(client, 1000), 1),
        "single_client_tasks_sync": (lambda: tasks(1), 1),
        "single_client_tasks_async": (lambda: tasks(1000), 1000),
        "multi_client_tasks_async": (multi, 4000),
        "1_1_actor_calls_sync": (lambda: calls(1), 1),
        "1_1_actor_calls_async": (lambda: calls(1000), 1000),
        "1_1_async_actor_calls_with_args_async": (lambda: calls_with_arg(1000), 1000),
    }


def after(one, number):
    return one + number


def gate():
    time.sleep(1)
    return 1


def queue(client, count):
    one = client.submit(gate, pure=False)
    start = time.perf_counter()
    futures = [client.submit(after, one, i, pure=False) for i in range(count)]
    submitted = time.perf_counter()
    total = sum(client.gather(futures))
    end = time.perf_counter()
    timing.check(total == count * (count - 1) // 2 + count, "the sum of queued tasks")
    return {"tasks": count, "submit_s": submitted - start, "run_s": end - submitted}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--filter", default="")
    parser.add_argument("--queue", type=int, default=10_000)
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    results = {"peer": "dask", "version": distributed.__version__}
    with LocalCluster(n_workers=os.cpu_count(), threads_per_worker=1, processes=True,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        results["cases"] = timing.run_cases(make_cases(client), options.filter)
        if options.filter in "stencil_1d":
            seconds = [timing.stencil(
                lambda t, p, inputs: client.submit(
                    timing.stencil_point, t, p, width, *inputs, pure=False),
                client.gather, width, 50) for width in (2, 16)]
            results["stencil_1d_us"] = {"2": seconds[0] * 1e6, "16": seconds[1] * 1e6}
        if options.filter in "queue":
            results["queue"] = queue(client, options.queue)
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
