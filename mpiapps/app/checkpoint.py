"""The checkpoint of a run: one file that says what is done and what remains."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.options import identity
from mpiapps.base.deadline import Deadline, attempt
from mpiapps.base.errors import Checkpointed, InputError, os_errors
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.comm.world import World

FORMAT = 1
FILE = "MPIAPPS_CHECKPOINT"  # set by the job script


@dataclasses.dataclass(frozen=True)
class CheckpointContent:
    """The content of a checkpoint.

    Attributes
    ----------
    state : mapping
        The program's own values, as JSON holds them exactly.
    remaining : list of range
        Numbers of the tasks that are not done.
    progress : float
        The part of all tasks that is done, 0 to 1.
    """

    state: Mapping[str, Any]
    remaining: list[range]
    progress: float


@dataclasses.dataclass
class Checkpoint:
    """The checkpoint file of one run, or none. Local to make.

    Parameters
    ----------
    world : World
    program : str
    options
        The program's options, a dataclass: a checkpoint of other options is refused.
    path : str
        The file; without one the variable ``MPIAPPS_CHECKPOINT`` names it.
    interval : float
        Seconds between saves.
    deadline : Deadline
    """

    world: World
    program: str
    options: Any
    path: str
    interval: float
    deadline: Deadline

    def __post_init__(self) -> None:
        """Apply the job script's file, and start the interval."""
        self.path = self.path or os.environ.get(FILE, "")
        self._last_save = time.monotonic()

    @property
    def enabled(self) -> bool:
        """Whether there is a file."""
        return bool(self.path)

    def data_path(self, slot: int) -> Path:
        """Return a file for data that is too large for the checkpoint itself. Local.

        There are two slots, 0 and 1: the checkpoint names one, the next save writes the
        other.
        """
        return Path(f"{self.path}.data{slot}")

    def check_writable(self) -> None:
        """Raise if nothing could be saved. Root only.

        Raises
        ------
        FileAccessError
            If the file cannot be written.
        InputError
            If it exists and is not a checkpoint: it would be replaced, and removed at
            the end.
        """
        if self.enabled:
            AtomicFile(Path(self.path)).discard()
            if Path(self.path).is_file():
                _parse(Path(self.path))

    def discard(self) -> None:
        """Remove the files of a run that has finished and is recorded. Root only."""
        if self.enabled:
            for path in (Path(self.path), self.data_path(0), self.data_path(1)):
                with os_errors(path, "remove"):
                    path.unlink(missing_ok=True)

    def load(self) -> CheckpointContent | None:
        """Return what an earlier run with the same options saved, if any. Collective.

        Cost: one broadcast of the file's content.

        Raises
        ------
        InputError
            On all ranks, if the file is of another program, format or options, or
            damaged.
        """
        saved = None
        with self.world.agree():
            if self.world.is_root and self.enabled and Path(self.path).exists():
                saved = _read(Path(self.path), self.program, self.options)
        content: CheckpointContent | None = self.world.comm.bcast(
            saved, root=self.world.root
        )
        return content

    def decision(self) -> int:
        """Return `CONTINUE`, `CHECKPOINT` once per interval, or `STOP`. Root only.

        These are the constants of `mpiapps.comm.safepoint`.
        """
        from mpiapps.comm.safepoint import CHECKPOINT, CONTINUE, STOP

        if self.deadline.remaining() <= 0:
            return STOP
        if time.monotonic() - self._last_save < self.interval:
            return CONTINUE
        self._last_save = time.monotonic()
        return CHECKPOINT

    def save(self, saved: CheckpointContent, *, stop: bool) -> None:
        """Write the file; `stop` if the run ends now. Root only."""
        content = {
            "format": FORMAT,
            "program": self.program,
            "options": identity(self.options),
            "progress": saved.progress,
            "remaining": [[r.start, r.stop, r.step] for r in saved.remaining],
            "state": dict(saved.state),
        }
        content["digest"] = _digest(content)
        # The job script reads the last key: a run that stopped is started again.
        content["stopped"] = attempt() if stop else 0
        AtomicFile(Path(self.path)).commit(json.dumps(content, allow_nan=False) + "\n")

    def request_requeue(self, progress: float) -> None:
        """Let the job script start a run again that keeps its state elsewhere.

        Collective. `progress`: the part that is done, 0 to 1.
        """
        with self.world.agree():
            if self.world.is_root and self.enabled:
                self.save(CheckpointContent({}, [], progress), stop=True)

    def stopped(self, progress: float) -> Checkpointed:
        """Return the error of a run that was saved before its end. Local."""
        return Checkpointed(
            f"stopped before the end with {progress:.1%} done, which is saved in"
            f" {self.path}; run the same command to resume"
        )


def _parse(path: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a checkpoint of any program, and its digest."""
    try:
        with os_errors(path, "read"):
            text = path.read_text(encoding="utf-8")
        content: dict[str, Any] = json.loads(text)
        content.pop("stopped")
        digest = content.pop("digest")
        for name in ("format", "program"):
            content[name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a checkpoint ({error}); name another --checkpoint, or"
            " remove it to start over if it is a damaged one"
        ) from error
    return content, digest


def _read(path: Path, program: str, options: Any) -> CheckpointContent:
    remedy = f"remove {path} to start over, or name another --checkpoint"
    content, digest = _parse(path)
    kind = content["format"], content["program"]
    if kind == (FORMAT, program) and digest != _digest(content):
        raise InputError(f"{path} is damaged: its digest does not match; {remedy}")
    if kind != (FORMAT, program):
        raise InputError(
            f"{path} is of program {kind[1]}, format {kind[0]}; expected {program},"
            f" format {FORMAT}; {remedy}"
        )
    current = json.loads(json.dumps(identity(options)))  # tuples to lists
    # Options that earlier versions compared may be changeable now.
    changeable = {field.name for field in dataclasses.fields(options)} - current.keys()
    other = {
        k: v
        for k, v in content["options"].items()
        if current.get(k) != v and k not in changeable
    }
    if other:
        argv = ", ".join(f"--{k.replace('_', '-')} {v}" for k, v in other.items())
        raise InputError(
            f"{path} is of a run with {argv}; give the same options to resume it, or"
            f" {remedy}"
        )
    ranges = [range(*bounds) for bounds in content["remaining"]]
    return CheckpointContent(content["state"], ranges, content["progress"])


def _digest(content: Mapping[str, Any]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
