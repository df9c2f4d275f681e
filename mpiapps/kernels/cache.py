"""Where numba keeps compiled kernels, so that ranks and hosts do not race for them."""

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def cache_folder() -> Path:
    """Return this user's folder for compiled code, made if it is not there. Local.

    It lies in the host's own temporary folder, since ranks on several hosts that write
    one cache in a shared home race each other; its name holds the host, in case even
    that folder is shared, and a digest of the kernels' sources, since numba looks at
    one file's alone. Numba tells processor types apart by itself. Whoever can write
    here can run code as the user: a folder that others own or may enter is not used,
    a fresh private one is.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources))
    base = Path(tempfile.gettempdir()) / f"mpiapps-{os.getuid()}"
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    found = base.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid != os.getuid():
        base = Path(tempfile.mkdtemp(prefix="mpiapps-"))
    return base / f"numba-{socket.gethostname()}-{digest.hexdigest()[:16]}"
