"""What is to end a script from outside ends it, whatever its main thread does."""

import sys
import time

import pytest

from mpiapps.dasking.watch import StopAsked, Watch


class Slow:
    def __del__(self):
        time.sleep(0.5)  # what is raised in here, Python drops


def test_what_a_finaliser_drops_is_raised_again():
    with pytest.raises(StopAsked), Watch(lambda: StopAsked(75)):
        Slow()
        time.sleep(30)
        pytest.fail("the script went on to its end")


def test_others_that_are_dropped_are_told_of_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))

    class Bad:
        def __del__(self):
            raise ValueError("not ours")

    with Watch(lambda: None):
        Bad()
    assert told == [ValueError]
