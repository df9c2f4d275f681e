"""Launch guard: compare the size of the world with the requested number of ranks.

N processes that are each rank 0 of 1 are the most common launch failure on clusters:
no error occurs, but the work is done N times and the output is N-fold. The cause is a
launcher and a library with different start-up protocols.
"""

from collections.abc import Mapping

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import (
    ALLOCATION_NTASKS,
    ALLOW_SINGLETON,
    JOB_NTASKS,
    LaunchEnvironment,
    int_variable,
)
from mpiapps.launch.mpi_library import Library


def check_pair(launch: LaunchEnvironment, library: Library) -> None:
    """Raise `LaunchError` for a launcher under which MPI_Init of the library aborts.

    Local; before MPI starts. Launchers under which each process forms a world of its
    own are detected by `check_size`.
    """
    aborts = (
        library.family.name == "MPICH"
        and launch.process_manager == "PMIx"
        and "pmix" not in library.banner.lower()
    )
    if aborts:
        raise LaunchError(
            f"{launch.launcher} starts its ranks by PMIx, which {library} does not"
            f" support: every rank would abort in MPI_Init.\n"
            f"{_remedy(launch, library)}"
        )


def check_size(
    launch: LaunchEnvironment, environ: Mapping[str, str], library: Library, size: int
) -> str | None:
    """Compare the world's `size` with the requested number of ranks. Local.

    Returns
    -------
    str or None
        A notice for the root to print, if the world is smaller than the allocation
        but has the requested size.

    Raises
    ------
    LaunchError
        If the launcher or the job script (``MPIAPPS_NTASKS``) requested another size,
        or one process runs without a launcher in an allocation of several tasks.
    """
    job, allocation = (
        int_variable(environ, JOB_NTASKS),
        int_variable(environ, ALLOCATION_NTASKS),
    )
    if launch.size is not None and launch.size != size:
        requested, source = launch.size, launch.size_variable
    elif job is not None and job != size:
        requested, source = job, JOB_NTASKS
    elif launch.size is None and allocation is not None and size < allocation:
        requested, source = allocation, ALLOCATION_NTASKS
    else:
        if allocation is not None and size < allocation:
            return (
                f"{size} of the {allocation} tasks of this allocation are in use"
                f" ({ALLOCATION_NTASKS}={allocation})"
            )
        return None
    if size == 1 and environ.get(ALLOW_SINGLETON) == "1":
        return None
    raise LaunchError(_size_error(launch, library, size, requested, source))


def _size_error(
    launch: LaunchEnvironment,
    library: Library,
    size: int,
    requested: int,
    source: str | None,
) -> str:
    lines = [
        f"{_ranks(requested)} requested ({source}={requested}), but MPI_COMM_WORLD has"
        f" size {size}",
        f"  launcher: {launch.launcher or 'none detected: plain python'}",
        f"  library:  {library} ({library.path or 'path unknown'})",
    ]
    if size == 1:
        lines.append(
            f"Each process is rank 0 of 1 and would do the whole work, {requested}"
            " times in total."
        )
    lines.append(_remedy(launch, library, requested))
    if size == 1:
        lines.append(
            f"To run a single process, give --allow-singleton or set"
            f" {ALLOW_SINGLETON}=1."
        )
    return "\n".join(lines)


def _remedy(
    launch: LaunchEnvironment, library: Library, requested: int | None = None
) -> str:
    ntasks = requested or launch.size or "N"
    mpiexec = library.mpiexec or "mpiexec"
    return (
        f"Start {library} with its own launcher: {mpiexec} -n {ntasks} python -m ...,"
        f" mpiapps run PROGRAM -n {ntasks}, or under Slurm {library.family.srun}."
    )


def _ranks(count: int) -> str:
    return "1 rank" if count == 1 else f"{count} ranks"
