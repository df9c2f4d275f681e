"""The options of sbatch, qsub and bsub: what each takes, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mpiapps.batch import option_rows

NONE, VALUE, MAYBE, WORDS = "", "=", "?", "*"
COUNT, SPAN, MEMORY, TIME = "#", "N", "M", "T"
# What Slurm reads as such a value.
PATTERNS: Mapping[str, tuple[str, str]] = {
    COUNT: (r"\d+", "a number"),
    SPAN: (r"\d+[kKmM]?([,:-]\d+[kKmM]?)*", "a number"),
    MEMORY: (r"\d+([kKmMgGtT][bB]?)?", "a size, such as 16G"),
    TIME: (
        r"\d+(-\d+)?(:\d+){0,2}|(?i:unlimited|infinite)",
        "a time, such as 1:30:00 or 2-00:00:00",
    ),
}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    names : tuple of str
        The first one stands for all.
    takes : str
        ``""`` no value, ``=`` one, ``?`` one that is attached or left out, ``*`` all
        words up to the next option; or the name of one of `PATTERNS`.
    meaning : str
        Empty if it is not explained here.
    """

    names: tuple[str, ...]
    takes: str
    meaning: str


@dataclass(frozen=True)
class Dialect:
    """How one command reads directives.

    Attributes
    ----------
    command : str
    start : str
        Pattern of what begins a directive.
    options : mapping of str to Option
        By each of their names.
    attached : bool
        Whether ``-N2`` is ``-N 2``.
    whole : bool
        Whether directives after the first command are read too.
    renamed : mapping of str
        Options of old versions, with the ones in their place.
    """

    command: str
    start: str
    options: Mapping[str, Option]
    attached: bool = True
    whole: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)


def _table(rows: option_rows.Rows) -> dict[str, Option]:
    """Return the options by name."""
    explained, rare = rows
    found = []
    for key, meaning in explained.items():
        *names, takes = re.findall(r"-l \w+|\S+", key)
        found.append(Option(tuple(names), takes.strip("."), meaning))
    for takes, text in rare.items():
        found += [Option(tuple(each.split("/")), takes, "") for each in text.split()]
    return {name: option for option in found for name in option.names}


DIALECTS: Mapping[str, Dialect] = {
    "slurm": Dialect(
        "sbatch",
        "#SBATCH",
        _table(option_rows.SBATCH),
        renamed={"--workdir": "--chdir", "--share": "--oversubscribe"},
    ),
    # Grid Engine reads every line that begins with #$; lint finds those without option.
    "sge": Dialect(
        "qsub", r"#\$(?=\s*-)", _table(option_rows.QSUB_SGE), attached=False, whole=True
    ),
    "pbs": Dialect("qsub", r"\s*#PBS", _table(option_rows.QSUB_PBS)),
    "lsf": Dialect("bsub", "#BSUB", _table(option_rows.BSUB)),
}
