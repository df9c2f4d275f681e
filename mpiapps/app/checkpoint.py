"""Work that can stop before its end and go on later, on any number of ranks.

A program runs through `resumable` instead of `mpiapps.comm.work.deal`. It then stops on
SIGUSR1 and at the job's deadline, saves while it runs, and continues from what was
saved; the result has the same bits as from a run in one go.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.output import WholeFile
from mpiapps.base import stopping
from mpiapps.base.errors import InputError, Stopped, naming

if TYPE_CHECKING:
    from mpiapps.comm.world import World

FORMAT = 1
FILE = "MPIAPPS_CHECKPOINT"  # set by the job script

_path: Path | None = None
_every = 60.0


@dataclasses.dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Attributes
    ----------
    state : mapping
        The program's own, as its `state` function returned it on the root.
    left : list of range
        Numbers of the pieces that are left to do.
    progress : float
        The part of all pieces that is done, 0 to 1.
    """

    state: Mapping[str, Any]
    left: list[range]
    progress: float


def choose(path: str, every: float) -> None:
    """Set the file of this process, and the seconds between saves. Local.

    Done by the runner; without a path the variable ``MPIAPPS_CHECKPOINT`` names it.
    """
    global _path, _every
    name = path or os.environ.get(FILE, "")
    _path, _every = Path(name) if name else None, every


def see_writable() -> None:
    """Raise `ReadWriteError` if nothing could be saved. Root only; at the start."""
    if _path is not None:
        WholeFile(_path).discard()


def discard() -> None:
    """Remove the files, since the run is finished and recorded. Root only."""
    if _path is not None:
        for each in (_path, *(beside(turn) for turn in (0, 1))):
            with naming(each, "remove"):
                each.unlink(missing_ok=True)


def wanted() -> bool:
    """Return whether there is a file to save into. Local."""
    return _path is not None


def beside(turn: int) -> Path:
    """Return a file for what is too large for the checkpoint's own. Local.

    There are two, turn 0 and 1: one is what the checkpoint names, the next save writes
    the other.
    """
    assert _path is not None
    return _path.with_name(f"{_path.name}.data{turn}")


def load(world: World, program: str, options: Any) -> Saved | None:
    """Return what an earlier run with the same options saved, if it did. Collective.

    Cost: one broadcast of the file's content.

    Raises
    ------
    InputError
        On all ranks, if the file is of another program, format or options, or damaged.
    """
    saved = None
    with world.agree():
        if world.is_root and _path is not None and _path.exists():
            saved = _read(_path, program, options)
    found: Saved | None = world.comm.bcast(saved, root=world.root)
    return found


def resumable(  # noqa: PLR0913, PLR0917 - what a piece of work is, once for each program
    world: World,
    program: str,
    options: Any,
    n: int,
    schedule: str,
    saved: Saved | None,
    state: Callable[[], Mapping[str, Any] | None],
) -> Iterator[int]:
    """Yield the pieces of ``range(n)`` that are left and this rank's. Collective.

    Parameters
    ----------
    world : World
    program : str
        Name of the program, to know its checkpoints.
    options
        The options that decide the result: a dataclass of plain values.
    n : int
        Number of pieces in all; the same in each run of these options.
    schedule : {"static", "dynamic"}
        As for `mpiapps.comm.work.deal`.
    saved : Saved, optional
        What `load` returned.
    state : callable
        Collective: returns on the root what must be saved of the pieces that all ranks
        have done in this and earlier runs, as JSON can hold it exactly.

    Raises
    ------
    Stopped
        On all ranks at the same point, after it was saved.
    ReadWriteError
        On all ranks, if the checkpoint cannot be written.

    Notes
    -----
    Without a checkpoint file it never stops early. Cost: as
    `mpiapps.comm.safepoint.SafePoints`, and a gather of 8 bytes from each rank a save.
    """
    from mpiapps.comm.safepoint import GO_ON, STOP, SafePoints
    from mpiapps.comm.work import deal_lanes, left, new_counter

    lanes = [range(n)] if saved is None else saved.left
    if _path is None:
        yield from deal_lanes(world.comm, lanes, schedule)
        return
    # A rank that has no piece left still takes part in saves: it waits for them, not
    # for the counter to be freed.
    counter = new_counter(world.comm) if schedule == "dynamic" else None
    pieces = deal_lanes(world.comm, lanes, schedule, counter)
    points = SafePoints(world.comm, Watch(), stopping.warned)
    done, exhausted, rest = 0, False, 0
    while True:
        word = points.wait() if exhausted else points.check()
        if word != GO_ON:
            counts = world.comm.gather(done, root=world.root)
            mine = state()
            with world.agree():
                if counts is not None:
                    lanes_left = left(lanes, counts, schedule)
                    rest = sum(map(len, lanes_left))
                    saved = Saved(mine or {}, lanes_left, 1 - rest / n if n else 1.0)
                    write(program, options, saved, stop=word == STOP and rest > 0)
            if word == STOP:
                break
        # A piece after each save, or saves that last long would be all that is done.
        if not exhausted and (piece := next(pieces, None)) is not None:
            yield piece
            done += 1
        elif exhausted and word == GO_ON:
            rest = 0  # what the last save left has been done since
            break
        else:
            exhausted = True
    points.close()
    if counter is not None:
        counter.free()
    rest = world.comm.bcast(rest, root=world.root)
    if rest:
        raise stopped(1 - rest / n)


def stopped(progress: float) -> Stopped:
    """Return the error of a run that was saved before its end. Local."""
    return Stopped(
        f"stopped before the end with {progress:.1%} done, which is saved in {_path};"
        " the same command goes on from there"
    )


class Watch:
    """What the root wants of all ranks: `mpiapps.comm.safepoint`'s words. Local."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> int:
        """Return `GO_ON`, `SAVE` at most once in each interval, or `STOP`."""
        from mpiapps.comm.safepoint import GO_ON, SAVE, STOP

        if stopping.warned() or stopping.overdue():
            return STOP
        if time.monotonic() - self._last < _every:
            return GO_ON
        self._last = time.monotonic()
        return SAVE


def leave_word(world: World, program: str, options: Any, progress: float) -> None:
    """Let the job script start the run again: its state is elsewhere. Collective.

    `progress`: the part that is done, 0 to 1.
    """
    with world.agree():
        if world.is_root and wanted():
            write(program, options, Saved({}, [], progress), stop=True)


def write(program: str, options: Any, saved: Saved, *, stop: bool) -> None:
    """Write the file whole; `stop` if the run ends now. Root only."""
    assert _path is not None
    content = {
        "format": FORMAT,
        "program": program,
        "options": dataclasses.asdict(options),
        "progress": saved.progress,
        "left": [[lane.start, lane.stop, lane.step] for lane in saved.left],
        "state": dict(saved.state),
    }
    content["digest"] = _digest(content)
    # The job script looks at the last key: it asks to be started again then.
    content["stopped"] = stopping.attempt() if stop else 0
    WholeFile(_path).commit(json.dumps(content, allow_nan=False) + "\n")


def _read(path: Path, program: str, options: Any) -> Saved:
    remedy = f"remove {path} to begin anew, or name another --checkpoint"
    try:
        with naming(path, "read"):
            text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        content.pop("stopped")
        digest = content.pop("digest")
        found = content["format"], content["program"]
        fine = found != (FORMAT, program) or digest == _digest(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no checkpoint ({error}); {remedy}") from error
    if not fine:
        raise InputError(f"{path} is damaged: its digest does not fit; {remedy}")
    if found != (FORMAT, program):
        raise InputError(
            f"{path} is of program {found[1]}, format {found[0]}, not of {program},"
            f" format {FORMAT}; {remedy}"
        )
    asked = json.loads(json.dumps(dataclasses.asdict(options)))  # tuples to lists
    other = {k: v for k, v in content["options"].items() if asked.get(k) != v}
    if other:
        was = ", ".join(f"--{k.replace('_', '-')} {v}" for k, v in other.items())
        raise InputError(
            f"{path} is of a run with {was}; give the same options to go on, or"
            f" {remedy}"
        )
    lanes = [range(*lane) for lane in content["left"]]
    return Saved(content["state"], lanes, content["progress"])


def _digest(content: Mapping[str, Any]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
