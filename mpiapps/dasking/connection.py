"""The way in for other programs of the same user: a file, or a tunnel to the page."""

from __future__ import annotations

import code
import getpass
import json
import os
import shlex
import socket
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mpiapps.base.errors import InputError, LaunchError, naming
from mpiapps.base.named import see_installed
from mpiapps.base.streams import write_err
from mpiapps.dasking.keys import REQUIRED, Keys
from mpiapps.dasking.script import hush, run_script

if TYPE_CHECKING:
    from distributed import Client

    from mpiapps.dasking.ranks import Cluster

FORMAT = 1
KILLED = 0.6  # s after which a killed process is known to be
ADDRESS = "scheduler-address"  # the setting by which Client() finds a cluster
LINK = "distributed.dashboard.link"  # what a client shows of the page
EVERY = 0.2  # s between looks whether the cluster is still there
# Schedulers name the host from which the job was submitted.
LOGIN = ("SLURM_SUBMIT_HOST", "SGE_O_HOST", "PBS_O_HOST", "LSB_SUB_HOST")
PORT = 8787  # of a tunnel, on the user's own machine; Dask's usual one


@dataclass(frozen=True)
class Connection:
    """What it takes to join a cluster: where it is, and what shows who may."""

    address: str
    certificate: str
    key: str = field(repr=False)
    dashboard: str
    host: str
    pid: int

    @property
    def keys(self) -> Keys | None:
        """The certificate and its key, if the cluster has TLS."""
        return Keys(self.certificate, self.key) if self.certificate else None


@contextmanager
def offered(path: str, cluster: Cluster) -> Iterator[None]:
    """Write the file, if one is asked for, and remove it at the end. Root only.

    Only its owner can read it; a folder that is made for it is private as well.

    Raises
    ------
    LaunchError
        If it is the file of another cluster that is up.
    ReadWriteError
        If it cannot be written.
    """
    if not path:
        yield
        return
    _see_it_free(path)
    keys = cluster.keys or Keys("", "")
    here = Connection(cluster.address, keys.certificate, keys.key, cluster.dashboard,
                      socket.gethostname(), os.getpid())  # fmt: skip
    file = Path(path).expanduser()
    with naming(file, "write"):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(file, json.dumps({"format": FORMAT, **asdict(here)}))
    try:
        yield
    finally:
        with suppress(InputError):  # it may be another run's by now
            if read(path) == here:
                file.unlink(missing_ok=True)


def _see_it_free(path: str) -> None:
    """Refuse to take the file of a cluster that still answers; one may be left over."""
    from mpiapps.dasking.network import reaches  # it loads MPI

    with suppress(InputError):
        there = read(path)
        where = urlsplit(there.address)
        if where.hostname and where.port and reaches((where.hostname, where.port)):
            raise LaunchError(
                f"{path} is of a cluster that is up, on {there.host}, process"
                f" {there.pid}; give this one another file, or end that one first"
            )


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(beside, flags, 0o600), "w") as stream:
        stream.write(text)
    beside.replace(file)


def read(path: str) -> Connection:
    """Return what the file `path` says. Local.

    Raises
    ------
    InputError
        If it is not there, not such a file, or others could have written or read it.
    """
    file = Path(path).expanduser()
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as stream:
            status = os.fstat(stream.fileno())
            content = json.load(stream)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise InputError(
                f"{path} belongs to, or can be read by, somebody else; only a file of"
                " your own with mode 0600 is used: do not trust this one"
            )
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        return Connection(**content)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {path}: the cluster is not up yet, or has ended; it is"
            " written by mpiapps.dask --connection"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} names no cluster: {error}") from error


def connect(path: str, timeout: float = 10.0) -> Client:
    """Return a client, the current one, of the cluster that wrote `path`. Local.

    Raises
    ------
    InputError
        If there is no such file, or nobody answers within `timeout` s.
    """
    here = read(path)
    see_installed("distributed", "dask", "joining a cluster")
    import dask.config
    from distributed import Client  # its own settings come first

    found = here.keys.config() if here.keys else {REQUIRED: False}
    settings = ExitStack()
    settings.enter_context(dask.config.set({**found, ADDRESS: here.address}))

    class Joined(Client):
        """A client whose end is the end of the settings of its cluster."""

        def close(self, *args: Any, **kwargs: Any) -> Any:
            settings.close()
            client: Any = super()
            return client.close(*args, **kwargs)

    made: type[Client] = Joined
    try:
        return made(here.address, timeout=timeout)
    except BaseException as error:
        settings.close()
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"nobody answers at {here.address} on {here.host}: the job of {path} has"
            " ended, or this host cannot reach it"
        ) from error


def joined(path: str, script: str, arguments: Sequence[str]) -> int:
    """Run `script` with a client of that cluster, or else a prompt; return its code."""
    client = connect(path)  # in no `with` block: one that the script makes comes first
    try:
        if script:
            return run_script(script, arguments)
        banner = f"client of {read(path).address}, {len(client.nthreads())} workers"
        code.interact(banner, local={"client": client}, exitmsg="")
        return 0
    finally:
        client.close()


def wait(cluster: Cluster) -> None:
    """Wait until somebody shuts the cluster down, or its time is over. Root only.

    Raises
    ------
    KeeperLost
        If it was killed instead.
    """
    assert cluster.client is not None
    hush()
    while cluster.client.status == "running":
        time.sleep(EVERY)
    until = time.monotonic() + KILLED
    while time.monotonic() < until:
        if (error := cluster.wrong()) is not None:
            raise error
        time.sleep(EVERY)


def announce(dashboard: str, *, insecure: str = "") -> None:
    """Say on standard error what the user must know of the way in. On one rank.

    Parameters
    ----------
    dashboard : str
        The port of the page; empty: there is none.
    insecure : str
        The option by which there is no TLS.
    """
    if insecure:
        write_err(
            f"mpiapps: warning: {insecure}: everybody who reaches this host can run"
            " code as you\n"
        )
    if dashboard:
        write_err(f"mpiapps: {dashboard_line(dashboard)}\n")


def link_of(port: str) -> str:
    """Return where this host has its page, for ``client.dashboard_link``. Local."""
    return f"http://127.0.0.1:{port}/status" if port else "none, without --dashboard"


def dashboard_line(port: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return how to see the page that this host has at `port`. Local."""
    host, user = socket.gethostname(), getpass.getuser()
    login = next((environ[name] for name in LOGIN if environ.get(name)), host)
    jump = [] if login == host else ["-J", f"{user}@{login}"]
    tunnel = f"{PORT}:127.0.0.1:{port}"
    command = shlex.join(["ssh", "-N", *jump, "-L", tunnel, f"{user}@{host}"])
    return (
        f"dashboard: {command}, then http://127.0.0.1:{PORT}/status; it has no login:"
        f" others on {host} can see it"
    )
