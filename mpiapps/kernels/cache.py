"""The cache directory of compiled numba kernels, private to a user and a host."""

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from mpiapps.base.launch_environment import job_id

COMMON = Path("/tmp")  # of all jobs


def cache_directory() -> Path:
    """Return this user's directory for compiled code; create its parent if missing.

    It is in the host's temporary directory, because ranks on several hosts would race
    for one cache in a shared home. Its name contains the host, in case the temporary
    directory is shared too, and a digest of all kernel sources, because numba checks
    only the file of a function. Numba distinguishes processor types. Write access here
    allows running code as the user: if the directory belongs to or is open to others, a
    new private one is used.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources))
    base = _temporary_directory() / f"mpiapps-{os.getuid()}"
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    status = base.lstat()
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.getuid():
        base = Path(tempfile.mkdtemp(prefix="mpiapps-"))
    return base / f"numba-{socket.gethostname()}-{digest.hexdigest()[:16]}"


def _temporary_directory() -> Path:
    """Return the host's temporary directory; not one that ends with the job.

    Grid Engine and many sites make one per job and name it after the job: there each
    job would compile again.
    """
    directory = Path(tempfile.gettempdir())
    job = job_id()
    of_job = bool(job) and any(job in part for part in directory.parts)
    return COMMON if of_job and os.access(COMMON, os.W_OK) else directory
