"""`mpiapps learn`: list the exercises, copy a starting file, check an answer."""

from __future__ import annotations

import hashlib
import json
import shlex
from argparse import Namespace
from pathlib import Path

from mpiapps.base.errors import FileAccessError, InputError, UsageError, os_errors
from mpiapps.base.streams import write_err, write_out
from mpiapps.learn.catalogue import catalogue, find, start_text, task
from mpiapps.learn.exercise import Exercise, Job, Wrong
from mpiapps.learn.runner import run_jobs
from mpiapps.storage.atomic_file import AtomicFile

PASSED = Path(".mpiapps-learn.json")  # exercise -> digest of the file that passed


def learn(values: Namespace) -> int:
    """Run the command; return 0, or 4 if an answer is not right yet."""
    if not values.exercise:
        if values.check:
            raise UsageError("--check needs an exercise: mpiapps learn 5 --check")
        return show()
    number, exercise = find(values.exercise)
    if values.check:
        return check(number, exercise, Path(values.file or exercise.file), values.limit)
    if values.file:
        raise UsageError(f"{values.file}: a file is for --check")
    return copy(number, exercise)


def show() -> int:
    """Print the exercises, and which are done in this directory."""
    passed = _passed()
    for number, exercise in catalogue().items():
        status = _status(exercise, passed)
        write_out(f"{number:2}  {exercise.file:<18}  {status:<8}  {exercise.title}\n")
    return 0


def _status(exercise: Exercise, passed: dict[str, list[str]]) -> str:
    file, digest = passed.get(exercise.file, [exercise.file, ""])
    try:
        now = _digest(Path(file).read_bytes())
    except OSError:
        return "done" if digest else ""  # it was, and its file is elsewhere now
    if digest:
        return "done" if now == digest else "changed"
    return "started"


def copy(number: int, exercise: Exercise) -> int:
    """Copy the starting file into this directory, and print the task."""
    path = Path(exercise.file)
    try:
        with os_errors(path, "write"), path.open("x") as file:
            file.write(start_text(exercise))
    except FileAccessError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise UsageError(
                f"{path} exists, and is not overwritten; check it (mpiapps learn"
                f" {number} --check), or rename it to start again"
            ) from error
        raise
    run = f"mpiapps run {path} -n 4" if path.suffix == ".py" else f"mpiapps lint {path}"
    write_out(f"{number}. {exercise.title}: {path}\n\n{task(exercise)}\n\n")
    write_out(f"try:   {run}\ncheck: mpiapps learn {number} --check\n")
    return 0


def check(number: int, exercise: Exercise, path: Path, limit: float) -> int:
    """Run a learner's file and print what is wrong with it; return 0 or 4."""
    try:
        with os_errors(path, "read"):
            content = path.read_bytes()
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UsageError(
                f"{path} is not there: mpiapps learn {number} copies the starting file"
            ) from error
        raise
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text in UTF-8: {error}") from error
    wrong = verdict(exercise, path, text, limit)
    if wrong is not None:
        write_out(f"{_title(path, wrong.run)}\n  {wrong.what}\nhint: {wrong.hint}\n")
        return 4
    _record(exercise, path, content)
    following = catalogue().get(number + 1)
    then = f"; next: mpiapps learn {number + 1}" if following else ""
    write_out(f"{path}: exercise {number} is done{then}\n")
    return 0


def verdict(exercise: Exercise, path: Path, text: str, limit: float) -> Wrong | None:
    """Return what is wrong with an answer, or None; runs it on ranks."""
    jobs = exercise.jobs(str(path.resolve()))
    runs, failure = run_jobs(jobs, limit) if jobs else ([], None)
    try:
        exercise.examine(runs)
        if failure is None:
            exercise.examine_text(text)
    except Wrong as wrong:
        return wrong
    return failure


def _title(path: Path, job: Job | None) -> str:
    if job is None:
        return f"{path}: not right yet"
    ranks = "1 rank" if job.ranks == 1 else f"{job.ranks} ranks"
    words = ["mpiapps", "run", str(path), "-n", str(job.ranks), *job.arguments]
    return f"{path}: not right yet on {ranks}: {shlex.join(words)}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _passed() -> dict[str, list[str]]:
    """Return the file and digest of each exercise that is done here."""
    try:
        content = json.loads(PASSED.read_text())
        return {
            name: [str(file), str(digest)] for name, (file, digest) in content.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        write_err(f"mpiapps: {PASSED} is ignored: {error}\n")
        return {}


def _record(exercise: Exercise, path: Path, content: bytes) -> None:
    passed = _passed() | {exercise.file: [str(path), _digest(content)]}
    try:
        AtomicFile(PASSED).commit(json.dumps(passed, indent=1) + "\n")
    except FileAccessError as error:
        write_err(f"mpiapps: the list of exercises that are done: {error}\n")
