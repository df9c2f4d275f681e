"""Real mpiexec, real ranks: what tests start as a user would."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {"openmpi": ".venv", "mpich": ".venv-mpich", "impi": ".venv-impi"}
MPIS = list(ENVIRONMENTS)
LIMIT = 150  # s after which a launch counts as hung, also on a busy host

# What a launcher leaves in the environment of its ranks; a nested one would obey it.
INHERITED = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "SLURM_", "HYDRA_", "MPIAPPS_", "MPI_")
# Several runs share the cores: ranks that wait must not take them from the others.
YIELDING = {
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "I_MPI_WAIT_MODE": "1",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
}
FIND_LAUNCHER = """
import json
from dataclasses import astuple
from mpiapps.launch.mpiexec import find_launcher
print(json.dumps(astuple(find_launcher())))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


def bin_directory(mpi: str) -> Path:
    """Return `bin` of the environment of one MPI; fail if it is missing."""
    path = ROOT / ENVIRONMENTS[mpi]
    assert list(path.glob(".installed-*")), f"{path} is missing: run `make venvs`"
    return path / "bin"


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this environment without any launcher's words, plus `variables`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(INHERITED)}
    if "TMPDIR" not in variables:
        # Open MPI's mpiexec fails where a killed one with its pid left its directory.
        kept["PRTE_MCA_prte_tmpdir_base"] = tempfile.mkdtemp(dir=temporary())
    return kept | YIELDING | variables


@cache
def temporary() -> str:
    """Return a directory that is removed when the tests end."""
    path = tempfile.mkdtemp(prefix="mpiapps-tests-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def launcher(mpi: str) -> str:
    """Return the mpiexec of an MPI as on_ranks.py takes it: to find one takes 0.2 s."""
    done = run([str(bin_directory(mpi) / "python"), "-c", FIND_LAUNCHER])
    assert done.code == 0, done.err
    return done.out


def run(
    command: list[str],
    cwd: Path | None = None,
    stdin: str = "",
    limit: float = LIMIT,
    **variables: str,
) -> Ended:
    """Run `command` to its end, with `stdin` to read.

    A hang is an error, which lists the processes that are left.
    """
    start = time.monotonic()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd or ROOT,
        env=clean_environment(**variables),
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except BaseException as error:
            left = states()
            process.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise AssertionError(f"{error}\n{error.stderr!r}\n{left}") from None
    seconds = time.monotonic() - start
    return Ended(process.returncode, out, err.replace("\0", ""), seconds)


def states() -> str:
    """Return state, parent, place in the kernel and command of each process."""
    words = ["ps", "-eo", "pid,ppid,stat,etimes,wchan:24,args"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def on_ranks(mpi: str, ntasks: int, *words: str, **variables: str) -> Ended:
    """Run Python with `words` on ranks of `mpi`, started as on_ranks.py does."""
    python = str(bin_directory(mpi) / "python")
    script = str(ROOT / "scripts" / "on_ranks.py")
    found = {"ON_RANKS_LAUNCHER": launcher(mpi)}
    return run([python, script, str(ntasks), *words], **found | variables)


def python_path(*directories: Path) -> str:
    """Return a `PYTHONPATH` of these, and of those that this process got."""
    own = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([*map(str, directories), *filter(None, [own])])


def install(site: Path, entry_points: str, **modules: str) -> str:
    """Install modules with entry points in `site`; return the `PYTHONPATH` for it."""
    info = site / "another-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1\n")
    (info / "entry_points.txt").write_text(entry_points)
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    return python_path(site, ROOT)


def marked(mark: str) -> dict[int, bytes]:
    """Return the processes that have `mark` in their environment, and what they are."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (each / "environ").read_bytes():
                found[int(each.name)] = (each / "cmdline").read_bytes()
        except OSError:
            continue
    return found
