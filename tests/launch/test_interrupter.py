"""An exception of another thread interrupts the main thread, whatever it does."""

import sys
import time

import pytest

from mpiapps.launch.interrupter import MainThreadInterrupter, StopRequested


class Slow:
    def __del__(self):
        time.sleep(0.5)  # Python drops exceptions raised here


def test_an_exception_dropped_by_a_finaliser_is_raised_again():
    with pytest.raises(StopRequested), MainThreadInterrupter(lambda: StopRequested(75)):
        Slow()
        time.sleep(30)
        pytest.fail("the script went on to its end")


def test_other_dropped_exceptions_reach_the_previous_hook(monkeypatch):
    dropped = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda args: dropped.append(args.exc_type)
    )

    class Bad:
        def __del__(self):
            raise ValueError("not ours")

    with MainThreadInterrupter(lambda: None):
        Bad()
    assert dropped == [ValueError]
