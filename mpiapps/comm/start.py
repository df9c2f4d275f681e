"""Starting MPI, and the one way in and out of it: `open_world`."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.base.early import end_all, entered, started
from mpiapps.base.errors import LaunchError, ReadWriteError, exit_code
from mpiapps.base.forks import end_if_child, is_child, own_mpi
from mpiapps.base.launcher import Launch, detect_launch
from mpiapps.base.launcher_watch import end_with_launcher
from mpiapps.base.mpi_wheels import no_library, refuse_two_mpi_wheels
from mpiapps.base.streams import flush_out, write_err
from mpiapps.base.threads import limit_threads

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpiapps.comm.library import Library
    from mpiapps.comm.world import World

# Settings that Open MPI reads when it starts; what the user has set wins. Its UCX
# one-sided component prints an error on hosts without a fast network, then steps back.
MPI_SETTINGS = {"OMPI_MCA_osc": "^ucx"}
# What Open MPI 5's libfabric component drives; where there is none, it finds nothing,
# and takes a second of each start to end its look.
FAST_NETWORKS = ("/sys/class/infiniband", "/sys/class/cxi")
WITHOUT_FAST_NETWORK = {"OMPI_MCA_btl": "^ofi"}
# The variable that a library has read when it was loaded, by threadpoolctl's name.
READ_WHEN_LOADED = {
    "openblas": "OPENBLAS_NUM_THREADS",
    "mkl": "MKL_NUM_THREADS",
    "blis": "BLIS_NUM_THREADS",
    "openmp": "OMP_NUM_THREADS",
}


@contextmanager
def open_world(comm: MPI.Intracomm | None = None) -> Iterator[World]:
    """Start MPI and yield the `World`; all ranks leave it together, or all are ended.

    Collective. The block is the whole parallel part of a program. It ends

    - by its last line: the ranks wait for each other, asleep, as ``MPI_Finalize``
      would;
    - by an exception, ``sys.exit``, Ctrl-C or SIGTERM on one rank while others are
      still at work, whatever they wait for: that rank's number, host and traceback are
      printed once and all ranks end within seconds, with its exit code;
    - by the same on all ranks: printed once, no rank is killed.

    Either way an exception ends the program: ``SystemExit`` with the code of
    `mpiapps.base.errors.exit_code` leaves the block. ``sys.exit(0)`` on some ranks
    alone is an error too (70): the others would wait for them for ever.

    Parameters
    ----------
    comm : MPI.Intracomm, optional
        The ranks to work on. Default is all ranks, ``MPI.COMM_WORLD``. It is
        duplicated, so messages never meet those of other code.

    Yields
    ------
    World

    Raises
    ------
    SystemExit
        With 78, before any work, if there is no MPI or the world is not what the
        launcher was asked for; the launcher's rank 0 explains it.

    Notes
    -----
    Cost: three communicators are made at the start, one all-reduce at the end.

    The threads of BLAS and OpenMP are limited to this rank's share of the cores, also
    of libraries that are loaded: one under a launcher, or ``SLURM_CPUS_PER_TASK``.
    Where the user has set ``OMP_NUM_THREADS``, or the library's own variable, it is
    that number; to change it later, use threadpoolctl.
    """
    limit_all_threads(detect_launch(os.environ), os.environ)
    start_or_exit(check_size=True)

    from mpiapps.comm.failure import Departure
    from mpiapps.comm.signals import SignalWatch
    from mpiapps.comm.world import World

    world = World(comm)
    departure = Departure(world)
    entered()
    try:
        with SignalWatch(departure.interrupted):
            yield world
            end_if_child(None)
            flush_out()
            departure.done()
    except BaseException as error:
        end_if_child(error)
        caught = error.__traceback__
        if caught is not None:
            error.__traceback__ = caught.tb_next  # begin where the block failed
        raise SystemExit(departure.failed(_unless_lost(error))) from None
    departure.close()
    world.close()


def _unless_lost(error: BaseException) -> BaseException:
    """Return `error`, or that output was lost where it would end with 0. Local."""
    try:
        if exit_code(error) == 0:
            flush_out()
    except ReadWriteError as lost:
        return lost
    return error


def limit_all_threads(launch: Launch, environ: MutableMapping[str, str]) -> None:
    """Set the thread variables, and limit libraries that have read them. Local.

    Cost: milliseconds if NumPy is loaded and a variable was not set.
    """
    late = [name for name in READ_WHEN_LOADED.items() if not environ.get(name[1])]
    limit_threads(launch, environ)
    if late and "numpy" in sys.modules:
        from threadpoolctl import ThreadpoolController

        loaded = ThreadpoolController()
        for library, variable in late:
            loaded.select(internal_api=library).limit(limits=int(environ[variable]))


def start_or_exit(*, check_size: bool = False) -> Library:
    """Start MPI, or explain why not and end the program with 78.

    Collective, as `start_mpi` is; the launcher's rank 0 speaks for all.
    """
    launch = detect_launch(os.environ)
    try:
        library = start_mpi()
        if check_size:
            _check_launch(library)
    except LaunchError as error:
        text = f"mpiapps: error: {error}\n"
        loaded = "mpi4py.MPI" in sys.modules  # else it may be missing on one host alone
        end_all(launch, error.exit_code, text, alike=loaded)
    return library


def _check_launch(library: Library) -> None:
    """Compare all ranks with what the launcher was asked for; tell of fewer."""
    from mpi4py import MPI

    from mpiapps.comm.guard import check_size

    everyone = MPI.COMM_WORLD
    launch = detect_launch(os.environ)
    notice = check_size(launch, os.environ, library, everyone.size)
    if notice and everyone.rank == 0:
        write_err(f"mpiapps: note: {notice}\n")


@cache
def start_mpi() -> Library:
    """Load and start MPI, once, and return its `Library`.

    Local up to ``MPI_Init_thread``, which is collective over all ranks. Thread level
    multiple is asked for: a thread must be able to end the job while the main thread
    waits in a collective.

    Raises
    ------
    LaunchError
        If there is no MPI library, there are two, or the launcher is another MPI's.
    """
    refuse_two_mpi_wheels()
    settings = dict(MPI_SETTINGS)
    if not any(Path(name).exists() for name in FAST_NETWORKS):
        settings |= WITHOUT_FAST_NETWORK
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    import mpi4py

    automatic = mpi4py.rc.initialize
    mpi4py.rc.initialize = False  # look at the library first, then start it
    ends_here = mpi4py.rc.finalize is None and "mpi4py.MPI" not in sys.modules
    if ends_here:
        mpi4py.rc.finalize = False  # mpi4py would also end it in forked children
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise no_library(str(error).splitlines()[0]) from error
    finally:
        mpi4py.rc.initialize = automatic
    if ends_here:
        atexit.register(_end_at_exit)

    from mpiapps.comm.guard import check_pair
    from mpiapps.comm.library import loaded_library

    library = loaded_library()
    if not MPI.Is_initialized():
        check_pair(detect_launch(os.environ), library)
        with warnings.catch_warnings():
            # mpi4py's word on a suspicious launcher; the guard looks at the outcome.
            warnings.simplefilter("ignore", RuntimeWarning)
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
    own_mpi()
    started(MPI.COMM_WORLD.Abort)
    end_with_launcher()
    return library


def _end_at_exit() -> None:
    if not is_child():
        end_mpi()


def end_mpi() -> None:
    """End MPI now rather than at the exit of Python. Collective over all ranks."""
    from mpi4py import MPI

    if MPI.Is_initialized() and not MPI.Is_finalized():
        MPI.Finalize()
