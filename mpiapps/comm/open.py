"""`open_world`: start MPI, and end all ranks together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mpiapps.base.errors import FileAccessError, exit_code
from mpiapps.base.launch_environment import detect_launch
from mpiapps.base.streams import flush_out
from mpiapps.launch.exit_before_mpi import disarm
from mpiapps.launch.forks import end_if_child
from mpiapps.launch.start import limit_all_threads, start_or_exit

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpiapps.comm.world import World


@contextmanager
def open_world(comm: MPI.Intracomm | None = None) -> Iterator[World]:
    """Start MPI and yield the `World`; all ranks exit the block, or all are terminated.

    Collective. The block is the whole parallel part of a program. It ends

    - after its last line: the ranks wait for each other, asleep, as in
      ``MPI_Finalize``;
    - by an exception, ``sys.exit``, Ctrl-C or SIGTERM on one rank while others are
      running or blocked: that rank's number, host and traceback are printed once, and
      all ranks end within seconds, with its exit code;
    - by the same on all ranks: printed once, no rank is killed.

    In the last two cases the block raises ``SystemExit`` with the code of
    `mpiapps.base.errors.exit_code`. ``sys.exit(0)`` on some ranks only is an error too
    (70): the others would wait for them forever.

    Parameters
    ----------
    comm : MPI.Intracomm, optional
        The ranks of the world (default: ``MPI.COMM_WORLD``). It is duplicated, so that
        messages cannot match those of other code.

    Yields
    ------
    World

    Raises
    ------
    SystemExit
        With 78, before any work, if there is no MPI or the world does not have the
        size that the launcher was asked for; rank 0 of the launcher prints the error.

    Notes
    -----
    Cost: three new communicators at the start, one all-reduce at the end.

    The threads of BLAS and OpenMP are limited to this rank's share of the cores, also
    in libraries that are already loaded: one under a launcher, or
    ``SLURM_CPUS_PER_TASK``. If the user has set ``OMP_NUM_THREADS``, or the library's
    own variable, that number is used; to change it later, use threadpoolctl.
    """
    limit_all_threads(detect_launch(os.environ), os.environ)
    start_or_exit(check_size=True)

    from mpiapps.comm.world import World
    from mpiapps.launch.shutdown import CoordinatedExit
    from mpiapps.launch.signals import SignalWatch

    world = World(comm)
    coordinated_exit = CoordinatedExit(world)
    disarm()
    try:
        with SignalWatch(coordinated_exit.on_signal):
            yield world
            end_if_child(None)
            flush_out()
            coordinated_exit.finalize()
    except BaseException as error:
        end_if_child(error)
        caught = error.__traceback__
        if caught is not None:
            error.__traceback__ = caught.tb_next  # without this frame
        raise SystemExit(coordinated_exit.abort(_or_output_error(error))) from None
    coordinated_exit.close()
    world.close()


def _or_output_error(error: BaseException) -> BaseException:
    """Return `error`, or the failure to flush the output if its exit code is 0."""
    try:
        if exit_code(error) == 0:
            flush_out()
    except FileAccessError as output_error:
        return output_error
    return error
