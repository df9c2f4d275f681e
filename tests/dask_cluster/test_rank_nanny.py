"""The nanny of a rank when its worker ends and the scheduler answers late or not."""

import asyncio

import pytest
from distributed.core import Status

from mpiapps.dask_cluster.rank_nanny import RankNanny

LAST = "end of the run"


class Answers:
    """In place of the scheduler's RPC."""

    def __init__(self, answer):
        self.asked, self.released = asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def mpiapps_retired(self, **_):
        self.asked.set()
        await self.released.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Started(RankNanny):
    """Counts starts of the worker, without a process."""

    starts = 0

    async def instantiate(self):
        self.starts += 1
        return Status.running


async def left(answer):
    """Let the worker of a nanny end; return the nanny, the scheduler, the call."""
    nanny = Started("tcp://127.0.0.1:1", preload=[], last_reason=LAST, name="1")
    nanny.scheduler = answers = Answers(answer)
    nanny.status = Status.closing_gracefully
    call = asyncio.create_task(nanny.close(reason="nanny-close-gracefully"))
    await answers.asked.wait()
    return nanny, answers, call


async def closed_before(answer):
    nanny, answers, call = await left(answer)
    await nanny.close(reason=LAST)
    answers.released.set()
    assert await call == "OK"
    return nanny.starts, nanny.status


@pytest.mark.parametrize("answer", [True, False])
def test_a_nanny_that_is_closed_meanwhile_starts_no_worker(answer):
    assert asyncio.run(closed_before(answer)) == (0, Status.closed)


async def answered(answer):
    nanny, answers, call = await left(answer)
    answers.released.set()
    await call
    starts = nanny.starts
    await nanny.close(reason=LAST)
    return starts


@pytest.mark.parametrize(
    ("answer", "starts"),
    [(True, 0), (False, 1), (OSError(), 0), (AttributeError("mpiapps_retired"), 1)],
    ids=["retired", "left", "no scheduler", "no answer"],
)
def test_a_worker_starts_again_unless_it_retired(answer, starts):
    assert asyncio.run(answered(answer)) == starts
