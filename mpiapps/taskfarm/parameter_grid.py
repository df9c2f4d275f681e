"""Parameter sweeps: one task per combination of parameter values."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.taskfarm.output_names import with_values
from mpiapps.taskfarm.placeholders import Template
from mpiapps.taskfarm.task_list import Task, fields_of, lines_of

MAX_TASKS = 10**7
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?"


def grid(
    command: str, parameters: Sequence[str], defaults: Task | None = None
) -> Iterator[Task]:
    """Yield a task per combination of parameters; the last one varies fastest.

    Parameters
    ----------
    command : str
        ``{name}`` is replaced by a value, quoted for the shell.
    parameters : sequence of str
        ``x=1:10``, ``x=1:10:3``, ``x=0:1:0.25`` or ``x=10:1:-3`` (with both ends),
        ``x=a,b,c``, ``f=@FILE`` (one value per line).

    Raises
    ------
    InputError
        If a parameter is invalid, repeated, absent from the command, or in a place
        where it cannot be quoted.
    """
    values: dict[str, Sequence[str]] = {}
    for parameter in parameters:
        name, equals, text = parameter.partition("=")
        if not equals or not name.isidentifier() or name in values:
            raise InputError(f"--param {parameter}: give NAME=VALUES, each name once")
        if f"{{{name}}}" not in command:
            raise InputError(f"--param {parameter}: {command!r} has no {{{name}}}")
        try:
            values[name] = _values(text)
        except ValueError as error:
            raise InputError(f"--param {parameter}: {error}") from error
    if (count := math.prod(map(len, values.values()))) > MAX_TASKS:
        raise InputError(
            f"{' '.join(parameters)}: {count} tasks, and a farm has at most"
            f" {MAX_TASKS}; let each command process many of them"
        )
    try:
        template = Template(command, values)
    except ValueError as error:
        raise InputError(f"{command}: {error}") from error
    fields = fields_of(defaults)
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        if fields["stdout"]:
            own = {"stdout": with_values(fields["stdout"], chosen)}
            yield Task(template.fill(chosen), **fields | own)
        else:
            yield Task(template.fill(chosen), **fields)


def _values(text: str) -> Sequence[str]:
    """Return the values of a parameter.

    Raises
    ------
    ValueError
        If there are none, or they cannot be read.
    """
    if text.startswith("@"):
        try:
            with Path(text[1:]).open("rb") as stream:
                lines = [line.removesuffix("\n") for line in lines_of(stream)]
        except OSError as error:
            raise ValueError(error.strerror) from error
        if any("\0" in line for line in lines):
            raise ValueError("a value contains a zero byte")
        if not lines:
            raise ValueError("the file is empty")
        return [line.removesuffix("\r") for line in lines]
    if re.match(rf"{NUMBER}:{NUMBER}(:|$)", text):
        return _numbers(*text.split(":"))
    return text.split(",")


def _numbers(first: str, last: str, step: str = "1", *excess: str) -> Sequence[str]:
    """Return the numbers from `first` to `last`, both included if `step` divides."""
    try:
        start, stop, by = map(Decimal, (first, last, step))
    except InvalidOperation:
        raise ValueError(f"{step!r} is not a number") from None
    if excess:
        raise ValueError("give FIRST:LAST or FIRST:LAST:STEP")
    if by == 0:
        raise ValueError("the step must not be 0")
    count = int((stop - start) / by) + 1 if (stop - start) * by >= 0 else 0
    if count == 0:
        high, low = (first, last) if start > stop else (last, first)
        raise ValueError(
            f"the range is empty; to count down, give {high}:{low}:{-abs(by):f}"
        )
    if count > MAX_TASKS:
        raise ValueError(f"{count} values, and a farm has at most {MAX_TASKS} tasks")
    return [f"{(start + n * by).normalize() + 0:f}" for n in range(count)]
