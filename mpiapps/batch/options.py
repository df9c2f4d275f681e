"""The options of a submission command: the value that each takes, and its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NONE, VALUE, OPTIONAL, WORDS = "", "=", "?", "*"
COUNT, COUNTS, MEMORY, TIME = "#", "N", "M", "T"
# Values as Slurm accepts them: pattern, and its description in errors.
PATTERNS: Mapping[str, tuple[str, str]] = {
    COUNT: (r"\d+", "a number"),
    COUNTS: (r"\d+[kKmM]?([,:-]\d+[kKmM]?)*", "a number"),
    MEMORY: (r"\d+([kKmMgGtT][bB]?)?", "a size, such as 16G"),
    TIME: (
        r"\d+(-\d+)?(:\d+){0,2}|(?i:unlimited|infinite)",
        "a time, such as 1:30:00 or 2-00:00:00",
    ),
}
# A name of an option; resources and attributes count as options.
NAME = re.compile(r"-l \w+|-W \w+|\S+")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    names : tuple of str
        The first one is the name in directives that are read.
    takes : str
        ``""`` no value, ``=`` a value, ``?`` an optional attached value, ``*`` all
        words up to the next option, or a key of `PATTERNS`.
    meaning : str
        Text for `mpiapps explain`; empty: refer to the manual.
    """

    names: tuple[str, ...]
    takes: str
    meaning: str


@dataclass(frozen=True)
class DirectiveSyntax:
    """The directives of one scheduler, and how its submission command reads them.

    Attributes
    ----------
    command : str
        The submission command.
    prefix : str
        Start of a directive line.
    options : mapping of str to Option
        By each of their names: see `option_table`.
    reserved : mapping of str
        Options of mpiapps, and the options that the rendered script sets by them.
    time : str
        Option of the time limit.
    outputs : tuple of str
        Options of output files.
    cores : tuple of str
        Option of the cores per rank, and a pattern of values above one core.
    variables : str
        Pattern of the variables that the scheduler replaces in a directive.
    start : str
        Pattern of the start of a directive. Default is the prefix.
    attached : bool
        Whether ``-N2`` is ``-N 2``.
    whole : bool
        Whether directives after the first command are read too.
    renamed : mapping of str
        Old option names, and their replacements.
    """

    command: str
    prefix: str
    options: Mapping[str, Option]
    reserved: Mapping[str, str]
    time: str
    outputs: tuple[str, ...]
    cores: tuple[str, str] = ("", "")
    variables: str = ""
    start: str = ""
    attached: bool = True
    whole: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def start_pattern(self) -> str:
        """Pattern of the start of a directive."""
        return self.start or re.escape(self.prefix)


def option_table(
    explained: Mapping[str, str], others: Mapping[str, str]
) -> dict[str, Option]:
    """Return options by each of their names.

    Parameters
    ----------
    explained : mapping of str
        Meanings by names and kind of value: ``"--nodes -N N": "Hosts: {}."``. ``{}``
        stands for the value; the kind ``.`` is an option without a value.
    others : mapping of str
        Options without a meaning, by kind of value; names of one option are joined by
        ``/``.
    """
    table = []
    for key, meaning in explained.items():
        *names, takes = NAME.findall(key)
        table.append(Option(tuple(names), takes.strip("."), meaning))
    for takes, text in others.items():
        table += [Option(tuple(word.split("/")), takes, "") for word in text.split()]
    return {name: option for option in table for name in option.names}


# Options of qsub that PBS and Grid Engine share.
QSUB = {
    "-A =": "Account to charge: {}.",
    "-P =": "Project to charge: {}.",
    "-M =": "Mail address: {}.",
    "-N =": "Name of the job: {}; it cannot begin with a digit.",
    "-S =": "Shell that reads the script: {}; the default may not be bash.",
    "-V .": "Pass the whole environment: the job depends on it.",
    "-a =": "Earliest start: {}.",
    "-e =": "Standard error: {}.",
    "-h .": "Hold the job until `qrls`.",
    "-j =": "Merge standard error into standard output: {}.",
    "-m =": "Events that send mail: {} (b: begin, e: end, a: abort).",
    "-o =": "Standard output: {}.",
    "-p =": "Priority: {}.",
    "-q =": "Queue: {}.",
    "-v =": "Environment variables of the job: {}.",
}
