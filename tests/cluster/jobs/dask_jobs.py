"""The client code of dask_client.py, with one Slurm job per worker."""

import sys
from pathlib import Path

from dask_client import main
from dask_jobqueue import SLURMCluster
from distributed import Client

from mpiapps.dask_cluster.tls_errors import use_clearing_sockets

if __name__ == "__main__":
    use_clearing_sockets()
    directory = Path(sys.argv[1])
    directory.mkdir(mode=0o700, exist_ok=True)
    with (
        SLURMCluster(
            cores=1,
            processes=1,
            memory="300MB",
            walltime="00:05:00",
            python=sys.executable,
            security=True,
            shared_temp_directory=str(directory),
            log_directory=str(directory),
            local_directory="/tmp",
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        main(client, 2)
