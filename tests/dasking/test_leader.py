"""A worker that ends again and again stays away, and nothing waits for it."""

import asyncio
import os
import signal

LIMIT = 60  # s; far below what a nanny waits for a scheduler that does not answer
ORDER = {"host": "127.0.0.1", "dashboard": False}


async def until(condition):
    while not condition():
        await asyncio.sleep(0.05)


async def ended(ends):
    """Return how a worker and its nanny are after so many ends; one restart is free."""
    # Here: Dask changes how errors are pickled, which tests on ranks look at.
    from distributed import Nanny

    from mpiapps.dasking.leader import Tally, start_scheduler

    tally = Tally(restarts=1)
    async with (
        await start_scheduler(ORDER, None, tally) as scheduler,
        Nanny(scheduler.address, name="1", nthreads=1, death_timeout=1000) as nanny,
    ):
        for _ in range(ends):
            [worker] = scheduler.workers.values()
            os.kill(nanny.pid, signal.SIGKILL)
            await until(lambda old=worker: old.address not in scheduler.workers)
            await until(lambda: scheduler.workers or nanny.status.name == "closed")
        if ends > 1:
            await until(lambda: nanny.status.name == "closed")
        return len(scheduler.workers), nanny.status.name, tally.found()["restarts"]


def test_one_that_ends_is_started_again():
    assert asyncio.run(asyncio.wait_for(ended(1), LIMIT)) == (1, "running", 1)


def test_one_that_ends_again_and_again_stays_away():
    assert asyncio.run(asyncio.wait_for(ended(2), LIMIT)) == (0, "closed", 2)
