"""`mpiapps report`: what a bug report needs, in one file without names and secrets."""

from __future__ import annotations

import getpass
import io
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from mpiapps.base.streams import write_out
from mpiapps.batch import runs
from mpiapps.diagnostics import report
from mpiapps.diagnostics.host import describe, examined
from mpiapps.diagnostics.redaction import SECRET_NAME, Redactor, hosts_of
from mpiapps.storage.atomic_file import AtomicFile

# Variables that decide how ranks start and compute.
PREFIXES = ("SLURM", "SBATCH", "SRUN", "PBS", "LSB_", "LS_", "SGE_", "PE", "NSLOTS",
            "NCPUS", "OMPI_", "PMI", "PRTE_", "I_MPI_", "FI_", "MPI", "UCX_", "OMP_",
            "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMBA_", "LD_", "CONDA_",
            "VIRTUAL_ENV", "CUDA_VISIBLE", "ROCR_", "TMPDIR", "PATH", "PYTHON",
            "LANG", "LC_", "APPTAINER_", "SINGULARITY_", "LOADEDMODULES")  # fmt: skip
OUTPUT_BYTES = 100_000  # of the end of a job's output
INTRODUCTION = """\
Bundle of `mpiapps report` for a bug report. Names of users, hosts, accounts, mail
addresses, IP addresses and secrets are replaced by words such as USER, HOST1,
<account>, <mail>, ADDRESS1 and <secret>. Read it before you publish it: names inside
your own program and its output are not known to mpiapps.
"""


def write(output: str, names: Sequence[str], logs: str) -> None:
    """Write the bundle to `output`, and print its name.

    Parameters
    ----------
    output : str
        A name that ends in ``.tar.gz``; any other: one text file; ``-``: standard
        output.
    names : sequence of str
        Runs whose record, script, events and output are added.
    logs : str
        The directory of the runs.
    """
    selected = [runs.find_run(logs, name) for name in names]  # before the probes run
    texts = collect(selected, dict(os.environ))
    if output == "-":
        write_out(as_one_text(texts))
        return
    content = as_one_text(texts).encode()
    if output.endswith((".tar.gz", ".tgz")):
        content = as_archive(texts)
    target = AtomicFile(Path(output))
    target.commit(content)
    write_out(f"{output}\n")


def collect(selected: Sequence[runs.Run], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the redacted files of the bundle by name; executes the probes."""
    examinations, system = examined(environ)
    texts = {
        "doctor.json": report.as_json(examinations, describe(system)),
        "doctor.txt": report.as_text(examinations, verbose=True),
        "environment.txt": variables(environ),
        "packages.txt": packages(),
    }
    for run in selected:
        texts |= run_files(run)
    redact = Redactor(environ, users=[getpass.getuser()], hosts=[platform.node()])
    for text in texts.values():
        redact.add_hosts(sorted(hosts_of(text)))
    redacted = {redact(name): redact(text) for name, text in texts.items()}
    return {"README.txt": INTRODUCTION, **redacted}


def variables(environ: Mapping[str, str]) -> str:
    """Return the variables of `PREFIXES`, without those that are secret by name."""
    return "".join(
        f"{name}={environ[name]}\n"
        for name in sorted(environ)
        if name.startswith(PREFIXES) and not SECRET_NAME.search(name)
    )


def packages() -> str:
    """Return names and versions of the installed packages."""
    lines = {f"{d.metadata['Name']}=={d.version}\n" for d in metadata.distributions()}
    return "".join(sorted(lines))


def run_files(run: runs.Run) -> dict[str, str]:
    """Return script, record, events and the end of the output of a run."""
    paths = [
        run.directory / name for name in (runs.SCRIPT, "record.json", "events.jsonl")
    ]
    texts = {
        f"{run.name}/{path.name}": path.read_text(errors="replace")
        for path in paths
        if path.is_file()
    }
    for path in runs.outputs(run):
        text = path.read_text(errors="replace")
        texts[f"{run.name}/{path.name}"] = text[-OUTPUT_BYTES:]
    return texts


def as_one_text(texts: Mapping[str, str]) -> str:
    """Return all files in one text, each after a line with its name."""
    return "".join(f"==> {name} <==\n{text}\n" for name, text in texts.items())


def as_archive(texts: Mapping[str, str]) -> bytes:
    """Return a gzipped tar archive, without the user's name and id in its headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode()
            member = tarfile.TarInfo(f"mpiapps-report/{name}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
