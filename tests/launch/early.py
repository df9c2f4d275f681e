"""Ranks that fail before `open_world`: early.py FAILURE."""

import os
import sys

from mpiapps import pi
from mpiapps.app import main
from mpiapps.base.launch_environment import detect_launch
from mpiapps.comm import open_world


def one_raises():
    if detect_launch(os.environ).rank == 1:
        raise ValueError("boom")


def all_raise():
    raise ValueError("boom")


def one_raises_once_mpi_is_started():
    from mpiapps.comm import collectives  # noqa: F401 - starts MPI

    one_raises()


def one_has_another_command_line():
    rank = detect_launch(os.environ).rank
    sys.exit(main(pi.PROGRAM, ["--samples", "few" if rank == 1 else "1000"]))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    with open_world() as world:
        world.comm.Barrier()
    print("reached the end")
