"""The client code of dask_client.py, with workers that Slurm starts, a job each."""

import sys
from pathlib import Path

from dask_client import main
from dask_jobqueue import SLURMCluster
from distributed import Client

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(mode=0o700, exist_ok=True)
    with (
        SLURMCluster(
            cores=1,
            processes=1,
            memory="300MB",
            walltime="00:05:00",
            python=sys.executable,
            security=True,
            shared_temp_directory=str(folder),
            log_directory=str(folder),
            local_directory="/tmp",
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        main(client, 2)
