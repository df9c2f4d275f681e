"""A worker that exceeds its restarts is not restarted, and nothing waits for it."""

import asyncio
import os
import signal

LIMIT = 60  # s; far below what a nanny waits for a scheduler that does not answer
ORDER = {"host": "127.0.0.1", "dashboard": False}


async def until(condition):
    while not condition():
        await asyncio.sleep(0.05)


async def ended(ends):
    """Return workers, nanny status and restarts after so many ends of a worker."""
    # Imported late: Dask changes the pickling of errors, which tests on ranks check.
    from distributed import Nanny

    from mpiapps.dask_cluster.scheduler import RunStatistics, start_scheduler

    statistics = RunStatistics(restarts=1)
    async with (
        await start_scheduler(ORDER, None, statistics) as scheduler,
        Nanny(scheduler.address, name="1", nthreads=1, death_timeout=1000) as nanny,
    ):
        for number in range(1, ends + 1):
            os.kill(nanny.pid, signal.SIGKILL)
            await until(lambda n=number: statistics.summary()["restarts"] == n)
        if ends > 1:
            await until(lambda: nanny.status.name == "closed")
        return (
            len(scheduler.workers),
            nanny.status.name,
            statistics.summary()["restarts"],
        )


def test_a_worker_that_ends_is_restarted():
    assert asyncio.run(asyncio.wait_for(ended(1), LIMIT)) == (1, "running", 1)


def test_a_worker_that_exceeds_its_restarts_is_not_restarted():
    assert asyncio.run(asyncio.wait_for(ended(2), LIMIT)) == (0, "closed", 2)
