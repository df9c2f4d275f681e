"""The exercises in their order, and the starting file of each."""

from __future__ import annotations

import ast
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from mpiapps.app.parser import did_you_mean
from mpiapps.base.errors import UsageError
from mpiapps.learn import exercises
from mpiapps.learn.exercise import Exercise

START = Path(__file__).with_name("start")


@cache
def catalogue() -> dict[int, Exercise]:
    """Return the exercises by number: module ``e05_scatter`` is number 5."""
    names = sorted(each.name for each in pkgutil.iter_modules(exercises.__path__))
    return {
        int(name[1:3]): import_module(f"{exercises.__name__}.{name}").EXERCISE
        for name in names
    }


def find(text: str) -> tuple[int, Exercise]:
    """Return an exercise by its number or name, such as ``5`` or ``scatter``.

    Raises
    ------
    UsageError
        If there is none.
    """
    known = catalogue()
    names = {Path(each.file).stem[3:]: number for number, each in known.items()}
    number = names.get(text, int(text) if text.isascii() and text.isdigit() else 0)
    if number not in known:
        raise UsageError(
            f"{text!r} is not an exercise; give a number from 1 to {max(known)}, or a"
            f" name of `mpiapps learn`{did_you_mean(text, names)}"
        )
    return number, known[number]


def start_text(exercise: Exercise) -> str:
    """Return the text of the starting file."""
    return (START / exercise.file).read_text()


def task(exercise: Exercise) -> str:
    """Return what to do: the docstring of a starting file, or its first comment."""
    text = start_text(exercise)
    if exercise.file.endswith(".py"):
        return ast.get_docstring(ast.parse(text)) or ""
    lines = text.splitlines()[1:]
    comment = lines[: next(n for n, line in enumerate(lines) if line[:1] != "#")]
    return "\n".join(line[2:] for line in comment)
