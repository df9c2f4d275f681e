"""Access for other programs of the same user: scheduler file, dashboard tunnel."""

from __future__ import annotations

import code
import getpass
import json
import os
import shlex
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mpiapps.base.errors import InputError, LaunchError, os_errors
from mpiapps.base.optional import require
from mpiapps.base.streams import write_err
from mpiapps.dask_cluster.script import run_script
from mpiapps.dask_cluster.security import REQUIRED, TLSCredentials

if TYPE_CHECKING:
    from distributed import Client

FORMAT = 1
SCHEDULER_ADDRESS = "scheduler-address"  # the setting that Client() connects to
DASHBOARD_LINK = "distributed.dashboard.link"  # the setting that a client displays
# The host from which the job was submitted, as the batch systems set it.
LOGIN_VARIABLES = ("SLURM_SUBMIT_HOST", "SGE_O_HOST", "PBS_O_HOST", "LSB_SUB_HOST")
TUNNEL_PORT = 8787  # on the user's own machine; Dask's default


@dataclass(frozen=True)
class Connection:
    """The address of a cluster, and the credentials to connect to it."""

    address: str
    certificate: str
    key: str = field(repr=False)
    dashboard: str
    host: str
    pid: int

    @property
    def credentials(self) -> TLSCredentials | None:
        """The certificate and its key; `None` without TLS."""
        return TLSCredentials(self.certificate, self.key) if self.certificate else None


@contextmanager
def published(
    path: str, address: str, credentials: TLSCredentials | None, dashboard: str
) -> Iterator[None]:
    """Write the scheduler file if `path` is set; remove it at the end. Root only.

    The file has mode 0600; a directory that is created for it has mode 0700.

    Raises
    ------
    LaunchError
        If the file belongs to another cluster that is running.
    FileAccessError
        If it cannot be written.
    """
    if not path:
        yield
        return
    _check_unused(path)
    tls = credentials or TLSCredentials("", "")
    connection = Connection(address, tls.certificate, tls.key, dashboard,
                            socket.gethostname(), os.getpid())  # fmt: skip
    file = Path(path).expanduser()
    with os_errors(file, "write"):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(file, json.dumps({"format": FORMAT, **asdict(connection)}))
    try:
        yield
    finally:
        with suppress(InputError):  # another run may have replaced it
            if read(path) == connection:
                file.unlink(missing_ok=True)


def _check_unused(path: str) -> None:
    """Raise if `path` belongs to a running cluster; a stale file is replaced."""
    from mpiapps.dask_cluster.network import can_connect  # it loads MPI

    with suppress(InputError):
        other = read(path)
        url = urlsplit(other.address)
        if url.hostname and url.port and can_connect((url.hostname, url.port)):
            raise LaunchError(
                f"{path} belongs to a running cluster on {other.host}, process"
                f" {other.pid}; choose another file, or shut down that cluster"
            )


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o600), "w") as stream:
        stream.write(text)
    temporary.replace(file)


def read(path: str) -> Connection:
    """Return the connection in the scheduler file `path`. Local.

    Raises
    ------
    InputError
        If it does not exist, is not a scheduler file, or others can access it.
    """
    file = Path(path).expanduser()
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as stream:
            status = os.fstat(stream.fileno())
            content = json.load(stream)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise InputError(
                f"{path} belongs to, or is accessible by, another user; expected a file"
                " of your own with mode 0600: do not trust this one"
            )
        if content.pop("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT}")
        return Connection(**content)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist: the cluster has not started yet, or has ended;"
            " mpiapps.dask --scheduler-file writes the file"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is not a scheduler file: {error}") from error


def connect(path: str, timeout: float = 10.0) -> Client:
    """Return a client of the cluster that wrote `path`, and make it current. Local.

    Raises
    ------
    InputError
        If there is no such file, or no scheduler answers within `timeout` s.
    """
    connection = read(path)
    require("distributed", "dask", "connecting to a cluster")
    import dask.config
    from distributed import Client  # sets its defaults first

    from mpiapps.dask_cluster.rank_cluster import RankCluster

    tls = connection.credentials
    config: dict[str, Any] = tls.config() if tls else {REQUIRED: False}
    config[SCHEDULER_ADDRESS] = connection.address
    settings = ExitStack()
    settings.enter_context(dask.config.set(config))

    class ConnectedClient(Client):
        """A client that resets the settings of its cluster when it is closed."""

        def close(self, *args: Any, **kwargs: Any) -> Any:
            settings.close()
            client: Any = super()
            return client.close(*args, **kwargs)

    client_class: type[Client] = ConnectedClient
    try:
        client = client_class(connection.address, timeout=timeout)
        client.cluster = RankCluster(client)
        return client
    except BaseException as error:
        settings.close()
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"no scheduler answers at {connection.address} on {connection.host}: the"
            f" job of {path} has ended, or this host cannot reach it"
        ) from error


def run_client(path: str, script: str, arguments: Sequence[str]) -> int:
    """Run `script`, or a prompt, with a client of the cluster; return its exit code."""
    client = connect(path)  # no `with` block: a client of the script takes precedence
    try:
        if script:
            return run_script(script, arguments)
        banner = f"client of {read(path).address}, {len(client.nthreads())} workers"
        code.interact(banner, local={"client": client}, exitmsg="")
        return 0
    finally:
        client.close()


def announce(dashboard: str, *, insecure: str = "") -> None:
    """Print on standard error how to see the dashboard, and a warning without TLS.

    Parameters
    ----------
    dashboard : str
        The dashboard's port; empty: no dashboard.
    insecure : str
        The option that disables TLS; empty: TLS.
    """
    if insecure:
        write_err(
            f"mpiapps: warning: {insecure}: all users who can reach this host can run"
            " code as you\n"
        )
    if dashboard:
        write_err(f"mpiapps: {dashboard_instructions(dashboard)}\n")


def dashboard_link(port: str) -> str:
    """Return the dashboard's URL on this host, for ``client.dashboard_link``. Local."""
    return f"http://127.0.0.1:{port}/status" if port else "none, without --dashboard"


def dashboard_instructions(port: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the `ssh` command to see the dashboard at `port` of this host. Local."""
    host, user = socket.gethostname(), getpass.getuser()
    names = (environ[name] for name in LOGIN_VARIABLES if environ.get(name))
    login = next(names, host)
    jump = [] if login == host else ["-J", f"{user}@{login}"]
    tunnel = f"{TUNNEL_PORT}:127.0.0.1:{port}"
    command = shlex.join(["ssh", "-N", *jump, "-L", tunnel, f"{user}@{host}"])
    return (
        f"dashboard: {command}, then http://127.0.0.1:{TUNNEL_PORT}/status; it has no"
        f" login: other users of {host} can see it"
    )
