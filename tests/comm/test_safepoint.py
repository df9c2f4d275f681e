"""Pauses: every rank gets the same words in the same order, whoever is slow."""

import pytest

from mpiapps.comm.safepoint import GO_ON, SAVE, STOP, SafePoints

pytestmark = pytest.mark.mpi


def words(comm, steps, decide, asked):
    """Return what a rank with so many safe points hears, to the end."""
    points = SafePoints(comm, decide, asked)
    heard = []
    while True:
        word = points.check() if steps > 0 else points.wait()
        steps -= 1
        if word != GO_ON:
            heard.append(word)
        if word == STOP or (word == GO_ON and steps < 0):
            break
    points.close()
    return heard


def after(calls, word):
    """Return what says `word` at one call, and goes on before and after."""
    left = iter([GO_ON] * calls + [word])
    return lambda: next(left, GO_ON)


@pytest.mark.parametrize("steps", [0, 1, 50])
@pytest.mark.parametrize("uneven", [False, True])
def test_without_a_pause_all_reach_the_end(comm, steps, uneven):
    mine = steps * (comm.rank + 1 if uneven else 1)
    assert words(comm, mine, lambda: GO_ON, lambda: False) == []


@pytest.mark.parametrize("word", [SAVE, STOP])
@pytest.mark.parametrize("calls", [0, 1, 7])
def test_the_root_decides_for_all(comm, word, calls):
    # Some are at work for long, some have ended before the word comes.
    steps = [0, 1000, 3, 20][comm.rank % 4] if comm.rank else 10
    assert words(comm, steps, after(calls, word), lambda: False) == [word]


def test_many_saves_and_a_stop(comm):
    script = iter([SAVE, GO_ON, SAVE, SAVE, GO_ON, STOP])
    heard = words(comm, 10, lambda: next(script, STOP), lambda: False)
    assert heard == [SAVE, SAVE, SAVE, STOP]


@pytest.mark.parametrize("who", [0, 1, 2])
def test_any_rank_may_ask_to_stop(comm, who):
    asked = comm.rank == who % comm.size
    decide = (lambda: STOP) if asked else (lambda: GO_ON)
    # Without end unless the word goes round.
    assert words(comm, 10**9, decide, lambda: asked) == [STOP]


def test_two_at_once_do_not_meet(comm):
    first = SafePoints(comm, after(0, SAVE), lambda: False)
    second = SafePoints(comm, lambda: GO_ON, lambda: False)
    heard = []
    while not heard:
        word = first.check()
        heard += [word] * (word != GO_ON)
        assert second.check() == GO_ON
    assert first.wait() == GO_ON
    assert second.wait() == GO_ON
    first.close()
    second.close()
