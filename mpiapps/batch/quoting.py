"""What a user's text must be to stand in a script: quoted, or from an allow-list."""

from __future__ import annotations

import itertools
import re
import shlex
import unicodedata

from mpiapps.base.errors import UsageError

# A directive line is read by a scheduler's own parser, each with other quoting rules:
# only what none of them treats specially may stand there.
DIRECTIVE = re.compile(r"[A-Za-z0-9_./%+@^][A-Za-z0-9_.,:=@%+/^-]*")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,229}")  # PBS's rule, the narrowest
ADDRESS = r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+"
MAIL = re.compile(rf"{ADDRESS}(,{ADDRESS})*")
IDS = re.compile(r"(any:)?[0-9][A-Za-z0-9_.\[\]]*([,:][0-9][A-Za-z0-9_.\[\]]*)*")
PART = r"\d{1,9}(?:-\d{1,9}(?::[1-9]\d{0,8})?)?"
ARRAY = re.compile(rf"(?!\d+(?:%|$))({PART}(?:,{PART})*)(?:%([1-9]\d{{0,8}}))?")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
INDEX = "{index}"  # in an argument of an array job: the number of the element


MOST = 10**6  # elements of an array that is not one range


def parse_range(text: str) -> range | tuple[int, ...]:
    """Return the indices that an array's text stands for, in order.

    They are a range wherever one holds just these: ``1,3`` is ``1-3:2``. None if the
    text is none of an array.

    Raises
    ------
    UsageError
        If they are too many to list.
    """
    found = ARRAY.fullmatch(text)
    if not found:
        return range(0)
    parts = [_range(part) for part in found[1].split(",")]
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > MOST:
        raise UsageError(f"--array {text} lists over {MOST} elements; write one range")
    indices = sorted(set().union(*parts))
    if len(indices) > 1:
        regular = range(indices[0], indices[-1] + 1, indices[1] - indices[0])
        if list(regular) == indices:
            return regular
    return tuple(indices)


def _range(part: str) -> range:
    first, last, step = (*re.split("[-:]", part), "", "")[:3]
    return range(int(first), int(last or first) + 1, int(step or 1))


def parse_array(indices: range | tuple[int, ...]) -> str:
    """Return indices as Slurm and LSF read them: ``1-9:2`` or ``1-3,7``."""
    if isinstance(indices, range):
        step = f":{indices.step}" if indices.step > 1 else ""
        return f"{indices[0]}-{indices[-1]}{step}"
    runs = itertools.groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])
    ends = [[index for _, index in run] for _, run in runs]
    return ",".join(f"{e[0]}-{e[-1]}" if len(e) > 1 else str(e[0]) for e in ends)


def check_pattern(
    pattern: re.Pattern[str], value: str, field: str, expected: str
) -> str:
    """Return `value` if `pattern` matches all of it, else raise `UsageError`."""
    if not pattern.fullmatch(value):
        raise UsageError(
            f"--{field} {printable(value)} cannot stand in a job script; {expected}"
        )
    return value


def directive(value: str, field: str) -> str:
    """Return `value` if every scheduler's parser takes it as it is."""
    return check_pattern(
        DIRECTIVE, value, field, "use letters, digits and _ . , : = @ % + / ^ - only"
    )


def check_shell_text(value: str, field: str) -> str:
    """Return `value` if it can be quoted for a shell: no control characters."""
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in value):
        raise UsageError(
            f"{field} {printable(value)} holds a newline or a control character; a job"
            " script cannot carry it: put it into a file and name the file"
        )
    return value


def quote(value: str, *, index: bool = False) -> str:
    """Return `value` as one word of the shell.

    With `index`, each ``{index}`` in it becomes the number of the array's element.
    """
    if not index or INDEX not in value:
        return shlex.quote(value)
    parts = [shlex.quote(part) if part else "" for part in value.split(INDEX)]
    return '"$index"'.join(parts)


def printable(value: str) -> str:
    """Return `value` quoted; control characters are shown, not obeyed."""
    return ascii(value) if not value.isprintable() else repr(value)
