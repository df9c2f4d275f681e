"""Print host, cores and threads of each rank."""

import json
import os

from mpiapps.comm import open_world

with open_world() as world:
    cores = sorted(os.sched_getaffinity(0))
    row = [world.host, cores, os.environ["OMP_NUM_THREADS"]]
    rows = world.comm.gather(row, root=0)
    if rows is not None:
        print(json.dumps({"size": world.size, "rows": rows}), flush=True)
