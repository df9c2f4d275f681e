"""How long a process sleeps between polls for messages, with a simulated clock."""

from itertools import takewhile

import pytest

from mpiapps.comm import messages
from mpiapps.comm.messages import MAX_SLEEP, backoff


class Clock:
    """A clock on which only sleeps and polls without sleep take time."""

    def __init__(self):
        self.now, self.sleeps = 0.0, []

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds

    def sched_yield(self):
        self.now += 1e-5


@pytest.mark.parametrize(
    ("max_sleep", "longest"), [(2e-2, 2e-2), (MAX_SLEEP, MAX_SLEEP), (1e-4, MAX_SLEEP)]
)
def test_an_idle_process_sleeps_as_long_as_its_caller_allows(
    monkeypatch, max_sleep, longest
):
    clock = Clock()
    monkeypatch.setattr(messages, "time", clock)
    monkeypatch.setattr(messages, "os", clock)
    for _ in takewhile(lambda _: clock.now < 10, backoff(max_sleep)):
        pass
    assert max(clock.sleeps) == pytest.approx(longest)
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[0] < 1e-4
