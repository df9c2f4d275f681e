"""Safe points: all ranks get the same decisions in the same order."""

import pytest

from mpiapps.comm.safepoint import CHECKPOINT, CONTINUE, STOP, SafePoints

pytestmark = pytest.mark.mpi


def decisions_of(comm, steps, decide, stop_requested):
    """Return the decisions that a rank with `steps` safe points receives."""
    points = SafePoints(comm, decide, stop_requested)
    decisions = []
    while True:
        decision = points.check() if steps > 0 else points.wait()
        steps -= 1
        if decision != CONTINUE:
            decisions.append(decision)
        if decision == STOP or (decision == CONTINUE and steps < 0):
            break
    points.close()
    return decisions


def after(calls, decision):
    """Return a function that returns `decision` once, after `calls` calls."""
    script = iter([CONTINUE] * calls + [decision])
    return lambda: next(script, CONTINUE)


@pytest.mark.parametrize("steps", [0, 1, 50])
@pytest.mark.parametrize("uneven", [False, True])
def test_all_ranks_finish_without_a_decision(comm, steps, uneven):
    steps *= comm.rank + 1 if uneven else 1
    assert decisions_of(comm, steps, lambda: CONTINUE, lambda: False) == []


@pytest.mark.parametrize("decision", [CHECKPOINT, STOP])
@pytest.mark.parametrize("calls", [0, 1, 7])
def test_root_decides_for_all(comm, decision, calls):
    # Some ranks have many steps, some have finished before the decision.
    steps = [0, 1000, 3, 20][comm.rank % 4] if comm.rank else 10
    decide = after(calls, decision)
    assert decisions_of(comm, steps, decide, lambda: False) == [decision]


def test_several_checkpoints_and_a_stop(comm):
    script = iter([CHECKPOINT, CONTINUE, CHECKPOINT, CHECKPOINT, CONTINUE, STOP])
    decisions = decisions_of(comm, 10, lambda: next(script, STOP), lambda: False)
    assert decisions == [CHECKPOINT, CHECKPOINT, CHECKPOINT, STOP]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_any_rank_may_request_a_stop(comm, rank):
    requested = comm.rank == rank % comm.size
    decide = (lambda: STOP) if requested else (lambda: CONTINUE)
    # Does not end without a decision.
    assert decisions_of(comm, 10**9, decide, lambda: requested) == [STOP]


def test_two_instances_are_independent(comm):
    first = SafePoints(comm, after(0, CHECKPOINT), lambda: False)
    second = SafePoints(comm, lambda: CONTINUE, lambda: False)
    decisions = []
    while not decisions:
        decision = first.check()
        decisions += [decision] * (decision != CONTINUE)
        assert second.check() == CONTINUE
    assert first.wait() == CONTINUE
    assert second.wait() == CONTINUE
    first.close()
    second.close()
