"""A script whose first attempt takes minutes, and the next one seconds."""

import os
import sys
import time
from pathlib import Path

from distributed import Client, as_completed


def slow(x):
    time.sleep(0.5)
    return x


with Client() as client:
    tasks = 400 if os.environ["MPIAPPS_ATTEMPT"] == "1" else 20
    done = 0
    for future in as_completed(client.map(slow, range(tasks), pure=False)):
        done += future.result() >= 0
        with Path(sys.argv[1]).open("a") as stream:
            stream.write(".")
    print(f"{done} done", flush=True)
