"""Random sequences of calls of a pool, drawn on the root, against a simple model."""

import concurrent.futures
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task import TaskError
from tests.tasks.hostile_tasks import RaisesGeneratorExit

pytestmark = pytest.mark.mpi
SETTINGS = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# An item is a number, whose square is its result, or an action that fails.
ACTIONS = {"error": ValueError, "end": TaskError, "exit": TaskError, "item": TaskError}
BAD = {"item": RaisesGeneratorExit()}
items = st.lists(st.one_of(st.integers(0, 99), st.sampled_from(sorted(ACTIONS))))
chunks = st.integers(1, 4)


def act(item):
    match item:
        case int():
            return item * item
        case "error":
            raise ValueError(item)
        case "end":
            raise StopIteration(item)
    raise SystemExit(item)


def expected(item):
    return item * item if isinstance(item, int) else ACTIONS[item]


def as_items(listed):
    return [BAD.get(item, item) for item in listed]


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error)


class PoolStates(RuleBasedStateMachine):
    """Overlapping calls; results are compared with the model."""

    pool = None

    def __init__(self):
        super().__init__()
        self.ordered, self.unordered, self.futures = [], [], []

    @rule(listed=items, chunksize=st.one_of(st.none(), st.just("guided"), chunks))
    def map(self, listed, chunksize):
        model = [expected(item) for item in listed]
        errors = [value for value in model if isinstance(value, type)]
        results = outcome(lambda: self.pool.map(act, as_items(listed), chunksize))
        assert results == (errors[0] if errors else model)

    @rule(listed=items, chunksize=chunks)
    def imap(self, listed, chunksize):
        results = self.pool.imap(act, iter(as_items(listed)), chunksize)
        self.ordered.append((results, [expected(item) for item in listed]))

    @rule(listed=items, chunksize=chunks)
    def imap_unordered(self, listed, chunksize):
        results = self.pool.imap_unordered(act, as_items(listed), chunksize)
        self.unordered.append((results, [expected(item) for item in listed]))

    @rule(item=st.one_of(st.integers(0, 99), st.sampled_from(sorted(ACTIONS))))
    def submit(self, item):
        future = self.pool.submit(act, *as_items([item]))
        self.futures.append((future, expected(item)))

    @rule(index=st.integers(0, 9), n=st.integers(1, 5))
    def consume(self, index, n):
        for results, model in self.ordered[index : index + 1]:
            for _ in range(n):
                result = model.pop(0) if model else StopIteration
                assert outcome(lambda r=results: next(r)) == result

    @rule(index=st.integers(0, 9), n=st.integers(1, 5))
    def consume_unordered(self, index, n):
        for results, model in self.unordered[index : index + 1]:
            for _ in range(n):
                result = outcome(lambda r=results: next(r))
                if model:
                    model.remove(result)
                else:
                    assert result is StopIteration

    @rule(index=st.integers(0, 9))
    def cancel(self, index):
        for future, _ in self.futures[index : index + 1]:
            assert future.cancel() == future.cancelled()

    @rule()
    def wait(self):
        futures = [future for future, _ in self.futures]
        assert not concurrent.futures.wait(futures, timeout=60).not_done

    def teardown(self):
        self.wait()
        for future, result in self.futures:
            if not future.cancelled():
                assert outcome(future.result) == result
        for results, model in self.ordered:
            assert [outcome(lambda r=results: next(r)) for _ in model] == model
        for results, model in self.unordered:
            for _ in list(model):
                model.remove(outcome(lambda r=results: next(r)))
        for results, _ in itertools.chain(self.ordered, self.unordered):
            assert outcome(lambda r=results: next(r)) is StopIteration


def test_any_sequence_of_calls(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            machine = type("PoolStates", (PoolStates,), {"pool": pool})
            run_state_machine_as_test(machine, settings=SETTINGS)
