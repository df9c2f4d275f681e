"""Lists of ranks as text: ``all``, or numbers such as ``0,2``."""

from __future__ import annotations

import re
from collections.abc import Collection

from mpiapps.base.errors import UsageError

RANKS = re.compile(r"all|\d+(,\d+)*", re.ASCII)


def check_ranks(text: str) -> str:
    """Return `text`; raise `ValueError` if it is not a list of ranks."""
    if not RANKS.fullmatch(text):
        raise ValueError(f"{text!r} is not a list of ranks; write all, or 0,2")
    return text


def parse_ranks(text: str, size: int, what: str) -> Collection[int]:
    """Return the ranks of a list in a run on `size` ranks.

    Raises
    ------
    UsageError
        If it is not a list of ranks, or the run does not have one of them; `what` is
        the option or argument, for the message.
    """
    try:
        check_ranks(text)
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from error
    if text == "all":
        return range(size)
    ranks = {int(number) for number in text.split(",")}
    if max(ranks) >= size:
        raise UsageError(
            f"{what} {text}: rank {max(ranks)} does not exist; the ranks of this run"
            f" are 0 to {size - 1}"
        )
    return ranks
