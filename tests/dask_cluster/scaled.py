"""Options of workers, and the number of workers; prints the results as JSON."""

import json
import os
import time
from pathlib import Path

import dask
from distributed import Client

LIMIT = 60.0  # s


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def raises(function, *args, **options):
    try:
        function(*args, **options)
    except ValueError as error:
        return str(error)
    return ""


def look(dask_worker):
    return [
        dask.config.get("distributed.worker.memory.terminate"),
        os.environ.get("MPIAPPS_PRELOADED"),
        dask_worker.memory_manager.memory_spill_fraction,
        dask_worker.state.total_resources,
    ]


found = {}
with Client() as client:
    cluster = client.cluster
    names = {
        str(worker["name"]) for worker in client.scheduler_info()["workers"].values()
    }
    found["names"] = sorted(names)
    found["workers"] = list(client.run(look).values())
    found["client"] = dask.config.get("distributed.worker.memory.spill")
    found["resource"] = client.submit(abs, -1, resources={"LICENCE": 1}).result()

    data = client.scatter([bytes([i]) * 1000 for i in range(8)], hash=False)
    workers = client.run(os.getpid)
    found["down"] = cluster.scale(1), len(client.nthreads())
    found["kept"] = [value[0] for value in client.gather(data)]
    [[remaining, pid]] = client.run(os.getpid).items()
    found["stayed"] = workers[remaining] == pid
    ended = [pid for name, pid in workers.items() if name != remaining]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ended))
    found["up"] = cluster.scale(2), len(client.nthreads())
    found["again"] = list(client.run(look).values())
    found["too many"] = raises(cluster.scale, 3)
    found["negative"] = raises(cluster.scale, -1)
    found["bounds"] = raises(cluster.adapt, minimum=2, maximum=1)

    del data
    cluster.adapt(minimum=0, maximum=100, interval="100ms", wait_count=2)
    until(lambda: not client.nthreads())
    found["from none"] = client.submit(sum, [1, 2], pure=False).result()
    cluster.scale(2)
print(json.dumps(found))
