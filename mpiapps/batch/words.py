"""What a user's text must be to stand in a script: quoted, or from an allow-list."""

from __future__ import annotations

import re
import shlex
import unicodedata

from mpiapps.base.errors import UsageError

# A directive line is read by a scheduler's own parser, each with other quoting rules:
# only what none of them treats specially may stand there.
DIRECTIVE = re.compile(r"[A-Za-z0-9_./%+@^][A-Za-z0-9_.,:=@%+/^-]*")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,229}")  # PBS's rule, the narrowest
MAIL = re.compile(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+")
IDS = re.compile(r"(any:)?[0-9][A-Za-z0-9_.\[\]]*([,:][0-9][A-Za-z0-9_.\[\]]*)*")
ARRAY = re.compile(r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?(?:%(\d{1,9}))?")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
INDEX = "{index}"  # in an argument of an array job: the number of the element


def span(text: str) -> range:
    """Return the indices that an array's text stands for; none if it is none. Local."""
    found = ARRAY.fullmatch(text)
    if not found:
        return range(0)
    return range(int(found[1]), int(found[2]) + 1, int(found[3] or 1) or 1)


def fits(pattern: re.Pattern[str], value: str, field: str, expected: str) -> str:
    """Return `value` if `pattern` matches all of it, else raise `UsageError`. Local."""
    if not pattern.fullmatch(value):
        raise UsageError(
            f"--{field} {printable(value)} cannot stand in a job script; {expected}"
        )
    return value


def directive(value: str, field: str) -> str:
    """Return `value` if every scheduler's parser takes it as it is. Local."""
    return fits(
        DIRECTIVE, value, field, "use letters, digits and _ . , : = @ % + / ^ - only"
    )


def body(value: str, field: str) -> str:
    """Return `value` if it can be quoted for a shell: no control characters. Local."""
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in value):
        raise UsageError(
            f"{field} {printable(value)} holds a newline or a control character; a job"
            " script cannot carry it: put it into a file and name the file"
        )
    return value


def quote(value: str, *, index: bool = False) -> str:
    """Return `value` as one word of the shell. Local.

    With `index`, each ``{index}`` in it becomes the number of the array's element.
    """
    if not index or INDEX not in value:
        return shlex.quote(value)
    parts = [shlex.quote(part) if part else "" for part in value.split(INDEX)]
    return '"$index"'.join(parts)


def printable(value: str) -> str:
    """Return `value` quoted; control characters are shown, not obeyed. Local."""
    return ascii(value) if not value.isprintable() else repr(value)
