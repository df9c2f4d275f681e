"""Any sequence of calls of a pool, against a plain model. The root decides on it."""

import concurrent.futures
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from mpiapps.comm.task import TaskError
from mpiapps.comm.tasks import Tasks
from tests.comm.hostile_tasks import Unpickleable

pytestmark = pytest.mark.mpi
FEW = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# An item: a number, whose square is its result; or what its task does instead.
ACTIONS = {"error": ValueError, "end": TaskError, "exit": TaskError, "item": TaskError}
BAD = {"item": Unpickleable()}
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


def given(listed):
    return [BAD.get(item, item) for item in listed]


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error)


class Pool(RuleBasedStateMachine):
    """Calls that overlap in any way; each result is where the model has it."""

    tasks = None

    def __init__(self):
        super().__init__()
        self.ordered, self.unordered, self.futures = [], [], []

    @rule(listed=items, chunksize=st.one_of(st.none(), st.just("guided"), chunks))
    def map(self, listed, chunksize):
        model = [expected(item) for item in listed]
        errors = [each for each in model if isinstance(each, type)]
        found = outcome(lambda: self.tasks.map(act, given(listed), chunksize))
        assert found == (errors[0] if errors else model)

    @rule(listed=items, chunksize=chunks)
    def imap(self, listed, chunksize):
        results = self.tasks.imap(act, iter(given(listed)), chunksize)
        self.ordered.append((results, [expected(item) for item in listed]))

    @rule(listed=items, chunksize=chunks)
    def imap_unordered(self, listed, chunksize):
        results = self.tasks.imap_unordered(act, given(listed), chunksize)
        self.unordered.append((results, [expected(item) for item in listed]))

    @rule(item=st.one_of(st.integers(0, 99), st.sampled_from(sorted(ACTIONS))))
    def submit(self, item):
        future = self.tasks.submit(act, *given([item]))
        self.futures.append((future, expected(item)))

    @rule(which=st.integers(0, 9), n=st.integers(1, 5))
    def consume(self, which, n):
        for results, model in self.ordered[which : which + 1]:
            for _ in range(n):
                due = model.pop(0) if model else StopIteration
                assert outcome(lambda r=results: next(r)) == due

    @rule(which=st.integers(0, 9), n=st.integers(1, 5))
    def consume_unordered(self, which, n):
        for results, model in self.unordered[which : which + 1]:
            for _ in range(n):
                found = outcome(lambda r=results: next(r))
                if model:
                    model.remove(found)
                else:
                    assert found is StopIteration

    @rule(which=st.integers(0, 9))
    def cancel(self, which):
        for future, _ in self.futures[which : which + 1]:
            assert future.cancel() == future.cancelled()

    @rule()
    def wait(self):
        futures = [future for future, _ in self.futures]
        assert not concurrent.futures.wait(futures, timeout=60).not_done

    def teardown(self):
        self.wait()
        for future, due in self.futures:
            if not future.cancelled():
                assert outcome(future.result) == due
        for results, model in self.ordered:
            found = [outcome(lambda r=results: next(r)) for _ in model]
            assert found == model
        for results, model in self.unordered:
            for _ in list(model):
                model.remove(outcome(lambda r=results: next(r)))
        for results, _ in itertools.chain(self.ordered, self.unordered):
            assert outcome(lambda r=results: next(r)) is StopIteration


def test_any_sequence_of_calls(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            machine = type("Pool", (Pool,), {"tasks": tasks})
            run_state_machine_as_test(machine, settings=FEW)
