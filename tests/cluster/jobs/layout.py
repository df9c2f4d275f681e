"""Print host, cores and threads of each rank, and the hits of pi."""

import json
import os

from mpiapps import pi
from mpiapps.app.context import RunContext
from mpiapps.comm import open_world

with open_world() as world:
    values = pi.run(RunContext.make(world), pi.Options(samples=10**7)).values
    cores = sorted(os.sched_getaffinity(0))
    row = [world.host, cores, os.environ["OMP_NUM_THREADS"]]
    rows = world.comm.gather(row, root=0)
    if rows is not None:
        print(json.dumps({"hits": values["hits"], "rows": rows}), flush=True)
