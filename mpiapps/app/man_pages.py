r"""Man pages of the `mpiapps` command and its programs, from their parsers.

Written here and not by argparse-manpage, whose pages lose a line of help that begins
with a dot, and whose title ends at the blank of a name such as ``mpiapps run``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mpiapps
from mpiapps.app.completion import add_programs
from mpiapps.app.parser import Parser
from mpiapps.base import errors
from mpiapps.storage.atomic_file import AtomicFile

# The character groff prints for each of those that it would change or interpret.
CHARACTERS = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
)


def add_man(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    command = commands.add_parser(
        "man",
        help="write the man pages of mpiapps and its programs",
        description="Write the man pages of mpiapps, its commands and its programs, to"
        " DIR/man1. In the default directory, man finds them while the environment is"
        " active.",
    )
    command.add_argument(
        "directory",
        nargs="?",
        default=str(Path(sys.prefix, "share", "man")),
        metavar="DIR",
        help="directory of man pages (default: share/man of the Python environment)",
    )


def write_man_pages(
    directory: Path, parser: Parser, commands: Mapping[str, Parser]
) -> list[Path]:
    """Write the pages of `man_pages` to ``man1`` in a directory; return their paths.

    Raises
    ------
    FileAccessError
    """
    section = directory / "man1"
    with errors.os_errors(section, "make"):
        section.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in man_pages(parser, commands).items():
        AtomicFile(section / name).commit(text)
        paths.append(section / name)
    return paths


def man_pages(parser: Parser, commands: Mapping[str, Parser]) -> dict[str, str]:
    """Return the text of the pages by file name, such as ``mpiapps-run-pi.1``.

    Parameters
    ----------
    parser : Parser
        Of ``mpiapps``.
    commands : mapping of str to Parser
        Its sub-commands, which are changed.
    """
    run = commands["run"]
    programs = list(add_programs(run))
    parsers = [parser, *commands.values(), *programs]
    summaries = _summaries(parser, "mpiapps ") | _summaries(run, "mpiapps run ")
    summaries["mpiapps"] = parser.description or ""
    names = [_page_name(each.prog) for each in parsers]
    return {
        f"{name}.1": _page(each, summaries[each.prog], [n for n in names if n != name])
        for name, each in zip(names, parsers, strict=True)
    }


def _page(parser: Parser, summary: str, others: list[str]) -> str:
    """Return a page; `others` are the names of the other ones."""
    vars(parser)["color"] = False  # of Python 3.14, in usage and options
    name = _page_name(parser.prog)
    summary = summary.rstrip(".")
    version = f"mpiapps {mpiapps.__version__}"
    usage = parser.format_usage().removeprefix("usage: ").split()
    usage = usage[len(parser.prog.split()) :]
    parts = [
        f'.TH "{name.upper()}" "1" "" "{version}" "mpiapps"',
        *(".SH NAME", f"{_text(name)} \\- {_text(summary)}"),
        *(".SH SYNOPSIS", f"{_bold(parser.prog)} {_text(' '.join(usage))}"),
    ]
    if parser.description and parser.description != summary:
        parts += [".SH DESCRIPTION", _text(parser.description)]
    for group in parser._action_groups:
        arguments = list(_arguments(parser, group))
        if arguments:
            title = (group.title or "").removeprefix("positional ")
            parts += [f".SH {_text(title.upper())}", *arguments]
    if parser.epilog:
        parts += [".SH NOTES", _text(parser.epilog)]
    if name == "mpiapps" or name.startswith("mpiapps-run"):
        parts += [".SH EXIT STATUS", *_exit_codes()]
    if name != "mpiapps":
        others = [each for each in others if each in ("mpiapps", "mpiapps-run")]
    parts += [".SH SEE ALSO", ",\n".join(f"{_bold(each)}(1)" for each in others)]
    return "\n".join(parts) + "\n"


def _arguments(parser: Parser, group: argparse._ArgumentGroup) -> Iterator[str]:
    """Yield the paragraphs of a group's arguments."""
    formatter = parser._get_formatter()
    for action in group._group_actions:
        if action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield _paragraph(_bold(choice.dest), choice.help or "")
            continue
        value = ""
        if not action.option_strings:
            value = formatter._format_action_invocation(action)
        elif action.nargs != 0:
            value = formatter._format_args(action, action.dest.upper())
        names = ", ".join(map(_bold, action.option_strings))
        head = " ".join(
            filter(None, [names, f"\\fI{_text(value)}\\fR" if value else ""])
        )
        yield _paragraph(head, formatter._expand_help(action) if action.help else "")


def _exit_codes() -> Iterator[str]:
    """Yield the paragraphs of the table in `mpiapps.base.errors`."""
    yield _paragraph(_bold("0"), "done")
    for code, meaning in re.findall(r"^(\d+) +(\S.*)$", errors.__doc__ or "", re.M):
        yield _paragraph(_bold(code), meaning)


def _paragraph(head: str, text: str) -> str:
    return f".TP\n{head}\n{_text(text)}".rstrip("\n")


def _summaries(parser: Parser, prefix: str) -> dict[str, str]:
    """Return the help of the sub-commands of a parser by their full names."""
    return {
        prefix + choice.dest: choice.help or ""
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for choice in action._choices_actions
    }


def _page_name(prog: str) -> str:
    return prog.replace(" ", "-")


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _text(text: str) -> str:
    """Return text for groff, on one line that is not a request."""
    line = " ".join(text.split()).translate(CHARACTERS)
    return f"\\&{line}" if line.startswith(".") else line
