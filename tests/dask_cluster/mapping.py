"""A program whose tasks run on ranks or on Dask workers; prints the results."""

import sys
import threading
import time

import numpy as np

from mpiapps.comm import open_world
from mpiapps.dask_cluster.dask_pool import choose_pool
from mpiapps.tasks.task import TaskError


def square(x):
    return x * x


def draw(x, rng):
    return x, rng.random()


def fails(x):
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def later(x):
    time.sleep(0.05 * (x % 3))
    return x


def leaves(x):
    sys.exit(x)


def locks(x):
    return threading.Lock() if x == 1 else x


def error_of(call):
    try:
        call()
    except Exception as error:
        return f"{error!r} from {type(error.__cause__).__name__}"


def all_calls(tasks):
    """Yield results of each kind of call, which are the same on any backend."""
    yield tasks.map(square, range(10))
    yield tasks.map(square, range(10), chunksize="guided")
    yield tasks.map(square, [])
    yield tasks.starmap(pow, [(2, 3), (3, 2)])
    yield [(x, r.hex()) for x, r in tasks.map(draw, range(7), chunksize=3, seed=5)]
    yield list(zip(range(5), tasks.imap(later, iter(range(20))), strict=False))
    yield sorted(tasks.imap_unordered(later, range(9)))
    futures = [tasks.submit(np.add, i, 1) for i in range(4)]
    yield [int(future.result()) for future in futures]
    yield error_of(lambda: tasks.map(fails, range(6)))
    yield error_of(lambda: tasks.map(leaves, [9]))
    yield error_of(lambda: tasks.submit(fails, 3).result())
    results = tasks.imap(fails, range(6))
    yield [next(results) for _ in range(3)]
    yield error_of(lambda: next(results)), next(results)
    yield len(tasks.map(bytes, [3_000_000] * 3)[2])


def hostile(tasks):
    """Yield the hostile tasks with an unexpected outcome."""
    from tests.tasks.hostile_tasks import BAD, FUNCTIONS, ITEMS, SENT, identity
    from tests.tasks.test_hostile import by_imap

    rows = [(name, f, identity, e) for name, (f, e) in (FUNCTIONS | SENT).items()]
    # cloudpickle can pickle a nested function.
    own = {name: item for name, item in ITEMS.items() if name != "a nested function"}
    rows += [(name, identity, item, TaskError) for name, item in own.items()]
    other = tasks.imap(identity, range(30))
    for name, function, item, wanted in rows:
        items = [*range(BAD), item if name in own else BAD, *range(BAD + 1, 8)]
        for size in (1, 8):
            come = by_imap(tasks, function, items, size)
            if come != [*range(BAD), wanted, *range(BAD + 1, 8)]:
                yield name, size, come
    yield "all", list(other) == list(range(30))


if __name__ == "__main__":
    with open_world() as world, choose_pool(world.comm, sys.argv[1]) as tasks:
        if tasks is not None:
            results_of = hostile if "hostile" in sys.argv else all_calls
            for result in results_of(tasks):
                print(result, flush=True)
            if world.size > 1:  # a lone rank sends nothing
                results = tasks.imap(locks, range(4), chunksize=2)
                print(next(results), error_of(lambda: next(results))[:44], *results)
            last = tasks.submit(square, 9)
    if world.is_root:
        print(last.result())
