"""User text in a job script: quoted, or limited to an allow-list of characters."""

from __future__ import annotations

import itertools
import re
import shlex
import unicodedata

from mpiapps.base.errors import UsageError

# Each scheduler parses directives by its own quoting rules: only characters that none
# of them treats specially are allowed.
DIRECTIVE = re.compile(r"[A-Za-z0-9_./%+@^][A-Za-z0-9_.,:=@%+/^-]*")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,229}")  # PBS's rule, the narrowest
ADDRESS = r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+"
MAIL = re.compile(rf"{ADDRESS}(,{ADDRESS})*")
IDS = re.compile(r"(any:)?[0-9][A-Za-z0-9_.\[\]]*([,:][0-9][A-Za-z0-9_.\[\]]*)*")
PART = r"\d{1,9}(?:-\d{1,9}(?::[1-9]\d{0,8})?)?"
ARRAY = re.compile(rf"(?!\d+(?:%|$))({PART}(?:,{PART})*)(?:%([1-9]\d{{0,8}}))?")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# Features of hosts; what each scheduler can express of them differs.
CONSTRAINT = re.compile(r"[A-Za-z0-9!(\[][A-Za-z0-9_.:=@+*&|!()\[\],-]*")
LICENSES = re.compile(r"[A-Za-z][\w.@/-]*(:\d{1,6})?(,[A-Za-z][\w.@/-]*(:\d{1,6})?)*")
COMMENT = re.compile(
    r"[A-Za-z0-9_.%+@^]([A-Za-z0-9_.:=@%+/^ -]*[A-Za-z0-9_.:=@%+/^-])?"
)
INDEX = "{index}"  # in an argument of an array job: the index of the element
MAX_LISTED = 10**6  # elements of an array that is not one range


def parse_indices(text: str) -> range | tuple[int, ...]:
    """Return the indices of an array in order; none if `text` is invalid.

    They are a range wherever one has exactly these elements: ``1,3`` is ``1-3:2``.

    Raises
    ------
    UsageError
        If they are too many to list.
    """
    match = ARRAY.fullmatch(text)
    if not match:
        return range(0)
    parts = [_parse_part(part) for part in match[1].split(",")]
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > MAX_LISTED:
        raise UsageError(
            f"--array {text} lists over {MAX_LISTED} elements; write one range"
        )
    indices = sorted(set().union(*parts))
    if len(indices) > 1:
        regular = range(indices[0], indices[-1] + 1, indices[1] - indices[0])
        if list(regular) == indices:
            return regular
    return tuple(indices)


def _parse_part(part: str) -> range:
    first, last, step = (*re.split("[-:]", part), "", "")[:3]
    return range(int(first), int(last or first) + 1, int(step or 1))


def format_indices(indices: range | tuple[int, ...]) -> str:
    """Return indices as Slurm and LSF read them: ``1-9:2`` or ``1-3,7``."""
    if isinstance(indices, range):
        step = f":{indices.step}" if indices.step > 1 else ""
        return f"{indices[0]}-{indices[-1]}{step}"
    groups = itertools.groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])
    runs = [[index for _, index in group] for _, group in groups]
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs
    )


def check_pattern(
    pattern: re.Pattern[str], value: str, field: str, expected: str
) -> str:
    """Return `value` if `pattern` matches all of it, else raise `UsageError`."""
    if not pattern.fullmatch(value):
        raise UsageError(
            f"--{field} {printable(value)} is not allowed in a job script; {expected}"
        )
    return value


def directive(value: str, field: str) -> str:
    """Return `value` if no scheduler's parser changes it, else raise `UsageError`."""
    return check_pattern(
        DIRECTIVE, value, field, "use letters, digits and _ . , : = @ % + / ^ - only"
    )


def check_shell_text(value: str, field: str) -> str:
    """Return `value`; raise `UsageError` if it has control characters."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        raise UsageError(
            f"{field} {printable(value)} has a newline or a control character, which a"
            " job script cannot contain: write it to a file and pass the file's name"
        )
    return value


def quote(value: str, *, index: bool = False) -> str:
    """Return `value` as one word of the shell.

    With `index`, each ``{index}`` in it is replaced by the index of the array element.
    """
    if not index or INDEX not in value:
        return shlex.quote(value)
    parts = [shlex.quote(part) if part else "" for part in value.split(INDEX)]
    return '"$index"'.join(parts)


def printable(value: str) -> str:
    """Return `value` quoted; control characters are escaped."""
    return ascii(value) if not value.isprintable() else repr(value)
