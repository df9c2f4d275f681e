"""The launch guard: whether this is the world that the launcher was asked for.

N processes that each believe they are rank 0 of 1 is the commonest failure on
clusters: nothing fails, the work is done N times over and the output is N-fold. It
comes from a launcher and a library that do not speak the same start-up protocol.
"""

from collections.abc import Mapping

from mpiapps.base.errors import LaunchError
from mpiapps.base.launcher import (
    ALLOCATION_NTASKS,
    ALLOW_SINGLETON,
    JOB_NTASKS,
    Launch,
    number,
)
from mpiapps.comm.library import Library


def check_pair(launch: Launch, library: Library) -> None:
    """Raise `LaunchError` for a launcher under which the library dies in MPI_Init.

    Local; before MPI starts, since afterwards there is nobody left to explain. Pairs
    that merely form no common world are found by `check_size`, with certainty.
    """
    dies = (
        library.family.name == "MPICH"
        and launch.process_manager == "PMIx"
        and "pmix" not in library.banner.lower()
    )
    if dies:
        raise LaunchError(
            f"{launch.launcher} starts its ranks by PMIx, which {library} does not"
            f" speak: every rank would die in MPI_Init.\n{_remedy(launch, library)}"
        )


def check_size(
    launch: Launch, environ: Mapping[str, str], library: Library, size: int
) -> str | None:
    """Compare the world's `size` with what was asked for. Local.

    Returns
    -------
    str or None
        A notice for the root to print, if the world is smaller than the allocation
        but as large as the launcher was asked for.

    Raises
    ------
    LaunchError
        If the launcher or the job script (``MPIAPPS_NTASKS``) asked for another size,
        or a lone process sits in an allocation of many tasks.
    """
    job, allocation = number(environ, JOB_NTASKS), number(environ, ALLOCATION_NTASKS)
    if launch.size is not None and launch.size != size:
        asked, source = launch.size, launch.size_variable
    elif job is not None and job != size:
        asked, source = job, JOB_NTASKS
    elif launch.size is None and allocation is not None and size < allocation:
        asked, source = allocation, ALLOCATION_NTASKS
    else:
        if allocation is not None and size < allocation:
            return (
                f"{size} of the {allocation} tasks of this allocation are in use"
                f" ({ALLOCATION_NTASKS}={allocation})"
            )
        return None
    if size == 1 and environ.get(ALLOW_SINGLETON) == "1":
        return None
    raise LaunchError(_explain(launch, library, size, asked, source))


def _explain(
    launch: Launch, library: Library, size: int, asked: int, source: str | None
) -> str:
    lines = [
        f"{_ranks(asked)} asked for ({source}={asked}), but MPI formed a world of"
        f" {size}",
        f"  launcher: {launch.launcher or 'none seen: plain python'}",
        f"  library:  {library} ({library.path or 'path unknown'})",
    ]
    if size == 1:
        lines.append(
            f"Each of the processes believes it is rank 0 of 1, and would do the whole"
            f" work: {asked} times over in all."
        )
    lines.append(_remedy(launch, library, asked))
    if size == 1:
        lines.append(
            f"A single process on purpose: add --allow-singleton, or set"
            f" {ALLOW_SINGLETON}=1."
        )
    return "\n".join(lines)


def _remedy(launch: Launch, library: Library, asked: int | None = None) -> str:
    ntasks = asked or launch.size or "N"
    mpiexec = library.mpiexec or "mpiexec"
    return (
        f"Start {library} by its own launcher: {mpiexec} -n {ntasks} python -m ...,"
        f" mpiapps run PROGRAM -n {ntasks}, or in Slurm {library.family.srun}."
    )


def _ranks(count: int) -> str:
    return "1 rank was" if count == 1 else f"{count} ranks were"
