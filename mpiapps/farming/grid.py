"""The tasks of a farm: a command with parameters, a task for each combination."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.farming.quoting import Template
from mpiapps.farming.tasklist import Task, fields_of, lines_of

MOST = 10**7  # tasks
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?"


def grid(
    command: str, parameters: Sequence[str], common: Task | None = None
) -> Iterator[Task]:
    """Yield a task for each combination of parameters, the last one changing fastest.

    Local.

    Parameters
    ----------
    command : str
        ``{name}`` stands for a value, quoted by where it stands.
    parameters : sequence of str
        ``x=1:10``, ``x=1:10:3``, ``x=0:1:0.25`` or ``x=10:1:-3`` (with both ends),
        ``x=a,b,c``, ``f=@FILE`` (a value a line).

    Raises
    ------
    InputError
        If a parameter cannot be read, is given twice, or is not in the command, or
        stands where it cannot be quoted.
    """
    values: dict[str, Sequence[str]] = {}
    for each in parameters:
        name, equals, text = each.partition("=")
        if not equals or not name.isidentifier() or name in values:
            raise InputError(f"--param {each}: give NAME=VALUES, each name once")
        if f"{{{name}}}" not in command:
            raise InputError(f"--param {each}: no {{{name}}} is in {command!r}")
        try:
            values[name] = _values(text)
        except ValueError as error:
            raise InputError(f"--param {each}: {error}") from error
    if (number := math.prod(map(len, values.values()))) > MOST:
        raise InputError(
            f"{' '.join(parameters)}: {number} tasks, and a farm has at most {MOST};"
            " let each command do many of them"
        )
    try:
        template = Template(command, values)
    except ValueError as error:
        raise InputError(f"{command}: {error}") from error
    fields = fields_of(common)
    for combination in itertools.product(*values.values()):
        found = dict(zip(values, combination, strict=True))
        yield Task(template.fill(found), **fields)


def _values(text: str) -> Sequence[str]:
    """Return the values that a parameter stands for.

    Raises
    ------
    ValueError
        If there is none, or they cannot be read.
    """
    if text.startswith("@"):
        try:
            with Path(text[1:]).open("rb") as stream:
                found = [line.removesuffix("\n") for line in lines_of(stream)]
        except OSError as error:
            raise ValueError(error.strerror) from error
        if any("\0" in each for each in found):
            raise ValueError("a value holds a zero byte")
        if not found:
            raise ValueError("the file is empty")
        return [each.removesuffix("\r") for each in found]
    if re.match(rf"{NUMBER}:{NUMBER}(:|$)", text):
        return _numbers(*text.split(":"))
    return text.split(",")


def _numbers(first: str, last: str, step: str = "1", *more: str) -> Sequence[str]:
    """Return numbers from the first one to the last, as far as the step meets it."""
    try:
        low, high, by = map(Decimal, (first, last, step))
    except InvalidOperation:
        raise ValueError(f"{step!r} is not a number") from None
    if more:
        raise ValueError("give FIRST:LAST or FIRST:LAST:STEP")
    if by == 0:
        raise ValueError("a step of 0 has no end")
    number = int((high - low) / by) + 1 if (high - low) * by >= 0 else 0
    if number == 0:
        raise ValueError(f"no number is there; for a way down, {first}:{last}:-1")
    if number > MOST:
        raise ValueError(f"{number} values, and a farm has at most {MOST} tasks")
    return [f"{(low + n * by).normalize() + 0:f}" for n in range(number)]
