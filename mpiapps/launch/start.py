"""Start of MPI: settings, threads, and checks of library and launcher."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import LaunchEnvironment, detect_launch
from mpiapps.base.streams import write_err
from mpiapps.base.threads import limit_threads
from mpiapps.launch.exit_before_mpi import end_all, register_abort
from mpiapps.launch.forks import is_child, set_mpi_owner
from mpiapps.launch.launcher_watch import end_with_launcher
from mpiapps.launch.mpi_wheels import no_library, refuse_two_mpi_wheels
from mpiapps.launch.start_limit import limited_start

if TYPE_CHECKING:
    from mpiapps.launch.mpi_library import Library

# Settings of Open MPI, unless the user has set them. Its UCX one-sided component prints
# an error on hosts without a fast network before it disables itself.
MPI_SETTINGS = {"OMPI_MCA_osc": "^ucx"}
# Networks of Open MPI 5's libfabric component; without one it adds a second to each
# start.
FAST_NETWORKS = ("/sys/class/infiniband", "/sys/class/cxi")
WITHOUT_FAST_NETWORK = {"OMPI_MCA_btl": "^ofi"}
# The variable that a library reads when it is loaded, by threadpoolctl's name.
THREAD_VARIABLES = {
    "openblas": "OPENBLAS_NUM_THREADS",
    "mkl": "MKL_NUM_THREADS",
    "blis": "BLIS_NUM_THREADS",
    "openmp": "OMP_NUM_THREADS",
}


def limit_all_threads(
    launch: LaunchEnvironment, environ: MutableMapping[str, str]
) -> None:
    """Set the thread variables, and limit libraries that are already loaded. Local.

    Cost: milliseconds if NumPy is loaded and a variable was not set.
    """
    unset = [item for item in THREAD_VARIABLES.items() if not environ.get(item[1])]
    limit_threads(launch, environ)
    if unset and "numpy" in sys.modules:
        from threadpoolctl import ThreadpoolController

        loaded = ThreadpoolController()
        for library, variable in unset:
            loaded.select(internal_api=library).limit(limits=int(environ[variable]))


def start_or_exit(*, check_size: bool = False) -> Library:
    """Start MPI, or print the error and exit with 78.

    Collective, as `start_mpi` is; only the launcher's rank 0 prints.
    """
    launch = detect_launch(os.environ)
    try:
        library = start_mpi()
        if check_size:
            _check_launch(library)
    except LaunchError as error:
        text = f"mpiapps: error: {error}\n"
        loaded = "mpi4py.MPI" in sys.modules  # else it may be missing on one host only
        end_all(launch, error.exit_code, text, alike=loaded)
    return library


def _check_launch(library: Library) -> None:
    """Compare the size of the world with the requested one; print a notice."""
    from mpi4py import MPI

    from mpiapps.launch.guard import check_size

    launch = detect_launch(os.environ)
    notice = check_size(launch, os.environ, library, MPI.COMM_WORLD.size)
    if notice and MPI.COMM_WORLD.rank == 0:
        write_err(f"mpiapps: note: {notice}\n")


@cache
def start_mpi() -> Library:
    """Load and start MPI, once, and return its `Library`.

    Local up to ``MPI_Init_thread``, which is collective over all ranks. The thread
    level is ``MPI_THREAD_MULTIPLE``: a thread must be able to abort the job while the
    main thread is blocked in a collective.

    Raises
    ------
    LaunchError
        If there is no MPI library, there are two, or the launcher is of another MPI.
    """
    refuse_two_mpi_wheels()
    settings = dict(MPI_SETTINGS)
    if not any(Path(name).exists() for name in FAST_NETWORKS):
        settings |= WITHOUT_FAST_NETWORK
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    import mpi4py

    automatic = mpi4py.rc.initialize
    mpi4py.rc.initialize = False  # the library is checked before it is started
    finalize_here = mpi4py.rc.finalize is None and "mpi4py.MPI" not in sys.modules
    if finalize_here:
        mpi4py.rc.finalize = False  # mpi4py would also finalize in forked children
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise no_library(str(error).splitlines()[0]) from error
    finally:
        mpi4py.rc.initialize = automatic
    if finalize_here:
        atexit.register(_end_at_exit)

    from mpiapps.launch.guard import check_pair
    from mpiapps.launch.mpi_library import loaded_library

    library = loaded_library()
    if not MPI.Is_initialized():
        launch = detect_launch(os.environ)
        check_pair(launch, library)
        with limited_start(launch, os.environ), warnings.catch_warnings():
            # mpi4py warns of the launcher; the launch guard checks the outcome.
            warnings.simplefilter("ignore", RuntimeWarning)
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
    set_mpi_owner()
    register_abort(MPI.COMM_WORLD.Abort)
    end_with_launcher()
    return library


def _end_at_exit() -> None:
    if not is_child():
        end_mpi()


def end_mpi() -> None:
    """Finalize MPI before the exit of Python. Collective over all ranks."""
    from mpi4py import MPI

    if MPI.Is_initialized() and not MPI.Is_finalized():
        MPI.Finalize()
