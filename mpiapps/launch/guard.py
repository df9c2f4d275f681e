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
    PARTIAL_LAUNCHERS,
    LaunchEnvironment,
    allocated_hosts,
    allocated_slots,
    int_variable,
    smallest_size,
)
from mpiapps.launch.mpi_library import Library
from mpiapps.launch.mpi_wheels import DOCTOR


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
            f"{_remedy(launch, library)}\n{DOCTOR}"
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
        or one process runs without a known launcher in an allocation of several tasks
        (Slurm) or hosts (PBS, LSF, Grid Engine).
    """
    job, allocation = (
        int_variable(environ, JOB_NTASKS),
        int_variable(environ, ALLOCATION_NTASKS),
    )
    if launch.size is not None and launch.size != size:
        requested, source = launch.size, f"{launch.size_variable}={launch.size}"
    elif job is not None and job != size:
        requested, source = job, f"{JOB_NTASKS}={job}"
    elif launch.size is None and allocation is not None and size < allocation:
        requested, source = allocation, f"{ALLOCATION_NTASKS}={allocation}"
    elif launch.size is None and size == 1 and (unused := _unused(environ)):
        requested, source = unused
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


def _unused(environ: Mapping[str, str]) -> tuple[int, str] | None:
    """Return the number of ranks that may be missing, and its source, or `None`.

    On one host, slots of PBS, LSF and Grid Engine may be for threads: no conclusion is
    possible. One process cannot use several hosts.
    """
    least, source = smallest_size(environ)
    if least > 1:
        return least, source
    slots, source = allocated_slots(environ)
    return (slots, source) if slots > 1 and allocated_hosts(environ) > 1 else None


def _size_error(
    launch: LaunchEnvironment,
    library: Library,
    size: int,
    requested: int,
    source: str,
) -> str:
    variable = source.partition("=")[0]
    launcher = launch.launcher or PARTIAL_LAUNCHERS.get(variable, ("",))[0]
    lines = [
        f"{_ranks(requested)} requested ({source}), but MPI_COMM_WORLD has size {size}",
        f"  launcher: {launcher or 'none detected: plain python'}",
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
    return "\n".join([*lines, DOCTOR])


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
