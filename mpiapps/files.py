"""Work on many files, or on large ones: each rank reads its own bytes.

Names and ranges are what is scattered, and results are what is gathered; no content is
ever sent. What is done with a file is a class of `mpiapps.filework`. docs/files.md
leads here from `comm.scatter`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.output import WholeFile, printable
from mpiapps.base import units
from mpiapps.base.errors import Stopped
from mpiapps.filework.choices import (
    COUNTS,
    ENCODINGS,
    FORMATS,
    HEADERS,
    TURNS,
    parse_character,
)

if TYPE_CHECKING:
    from mpiapps.comm.world import World
    from mpiapps.filework.listing import Listing
    from mpiapps.filework.operation import Operation
    from mpiapps.filework.share import Found

OPERATIONS = ("count", "hash", "flip", "histogram", "map")
SHOWN = 10  # bad files that are told of in the report


@dataclass(frozen=True)
class Options:
    """What to do, with which files."""

    operation: str = option(
        "", ", ".join(OPERATIONS), positional=True, metavar="OPERATION"
    )
    paths: tuple[str, ...] = option(
        (),
        "files, folders, patterns; before them, for map, MODULE:FUNCTION",
        several="*",
        positional=True,
        metavar="PATH",
    )
    list: tuple[str, ...] = option(
        (), "a file of paths, a line each or ended by zero bytes; -: standard input",
        metavar="FILE",
    )  # fmt: skip
    output: str = option("", "write the result to FILE", metavar="FILE", short="o")
    only: tuple[str, ...] = option(
        (), "count these alone", choices=COUNTS, metavar="|".join(COUNTS)
    )
    top: int = option(
        0,
        "count: the words that stand most often; -o: each, after its number",
        parse="count",
        least=0,
    )
    encoding: str = option(
        "utf-8",
        "count: as wc does in the locales C.UTF-8 and C",
        choices=ENCODINGS,
    )
    valid: bool = option(False, "count: a file that is not UTF-8 is a bad one")
    plain: bool = option(False, "count compressed files as they are")
    by: str = option("left-right", "flip: how", choices=tuple(TURNS))
    into: str = option("", "flip: folder for the results", metavar="FOLDER")
    format: str = option(
        "",
        "flip: " + ", ".join(FORMATS) + " (default: as it was)",
        parse=lambda text: text.removeprefix(".").lower(),
        choices=tuple(FORMATS),
        metavar="FORMAT",
    )
    column: str = option("", "histogram: name in the header, or number from 1")
    header: str = option(
        "auto",
        "histogram: whether the first record has names; auto: if it has the one given,"
        " or no number",
        choices=HEADERS,
    )
    bins: int = option(50, "histogram: intervals", least=1, most=10**6)
    range: tuple[float, float] | None = option(
        None,
        "histogram: of the numbers from LOW to HIGH (default: all)",
        parse=units.parse_interval,
        metavar="LOW:HIGH",
    )
    delimiter: str = option(
        "",
        "histogram: character between columns (default: comma, tab for .tsv)",
        parse=parse_character,
    )
    quote: str = option(
        '"',
        "histogram: character around fields; empty: quotes mean nothing",
        parse=parse_character,
        metavar="CHARACTER",
    )
    records: bool = option(
        False, "map: call the function with the lines of a range, an iterator of bytes"
    )
    directory: str = option(
        "", "keep here what is done, and go on from it", metavar="FOLDER"
    )
    strict: bool = option(False, "end at the first bad file")
    take_over: bool = option(
        False, "take the directory from a run on another host that has ended"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERATIONS)}"
        )
    own = options.operation == "map"
    if own and (not options.paths or ":" not in options.paths[0]):
        raise ValueError("map needs MODULE:FUNCTION before the paths")
    if len(options.paths) <= own and not options.list:
        raise ValueError("name files, folders or patterns, or give --list FILE")
    if options.list.count("-") > 1:
        raise ValueError("--list - is given twice; standard input is read once")
    needs = {"hash": "output", "map": "output", "flip": "into", "histogram": "column"}
    need = needs.get(options.operation, "")
    if need and not getattr(options, need):
        raise ValueError(f"{options.operation} needs --{need}")
    if options.quote and options.quote == options.delimiter:
        raise ValueError(f"--delimiter and --quote are both {options.quote!r}")


def run(world: World, options: Options) -> Result:
    """Do it, on all ranks. Collective."""
    from mpiapps.filework.listing import gather_listing
    from mpiapps.filework.operations import DO

    names, target = None, None
    with world.agree():
        if world.is_root:
            target = WholeFile(Path(options.output)) if options.output else None
            with world.timed("list"):
                names = _names(options)
    try:
        with world.timed("list"):
            listing = gather_listing(world.comm, names)
        work = _Work(world, options, listing)
        values, lines = DO[options.operation](work)
        with world.agree():
            if target is not None:
                target.commit("".join(lines))
            if world.is_root:
                work.write_failed()
    finally:
        if target is not None:
            target.discard()
    return work.result(values)


def _names(options: Options) -> list[str]:
    """Return the files that the options name. Root only."""
    from mpiapps.filework.images import originals
    from mpiapps.filework.listing import expand, read_list

    paths = options.paths[options.operation == "map" :]
    listed = [name for each in options.list for name in read_list(each)]
    names = expand(paths, listed, tables=options.operation == "histogram")
    if options.operation == "flip":
        return originals(names, [*paths, *listed], options.into)
    return names


class _Work:
    """One run: its files, and what came of the operations on them."""

    def __init__(self, world: World, options: Options, listing: Listing) -> None:
        self.world, self.options, self.listing = world, options, listing
        self.wrong: dict[int, str] = {}
        self._tracebacks: dict[int, str] = {}
        directory = options.directory
        if not directory and checkpoint.wanted():
            directory = str(checkpoint.beside(0)) + ".files"
        self._directory, self.recorded = directory, bool(directory)

    def share(self, operation: Operation, name: str = "") -> Found:
        """Do an operation on all files. Collective."""
        from mpiapps.filework.share import Run, share

        directory = self._directory and str(Path(self._directory, name))
        header = {"program": "files", "options": _kept_options(self.options)}
        how = Run(
            directory, header, self.options.strict, take_over=self.options.take_over
        )
        found = share(self.world, self.listing, operation, how)
        self.wrong |= found.wrong
        self._tracebacks |= found.tracebacks
        if found.left:
            checkpoint.leave_word(self.world, "files", self.options, found.progress)
            raise Stopped(
                f"stopped with {found.left} pieces of files left; the same command goes"
                " on from there"
            )
        return found

    def write_failed(self) -> None:
        """Write the bad files to a list that --list reads. Root only."""
        if self._directory:
            names = [self.listing.names[n] + "\0" for n in sorted(self.wrong)]
            failed = WholeFile(Path(self._directory, "failed.txt"))
            failed.commit("".join(names))

    def result(self, values: dict[str, Any]) -> Result:
        """Return what is reported. Local."""
        good = len(self.listing.names) - len(self.wrong)
        notes = [self._note(n) for n in sorted(self.wrong)[:SHOWN]]
        if len(self.wrong) > SHOWN:
            notes.append(f"and {len(self.wrong) - SHOWN} more bad files")
        every = {"files": good, "failed": len(self.wrong), **values}
        return Result(every, [], notes, 3 if self.wrong else 0)

    def _note(self, n: int) -> str:
        lines = indent(self._tracebacks.get(n, ""), "    ").rstrip()
        return f"{printable(self.listing.names[n])}: {self.wrong[n]}\n{lines}".rstrip()


def _kept_options(options: Options) -> dict[str, Any]:
    """Return the options that decide the results."""
    apart = (
        "paths",
        "list",
        "output",
        "directory",
        "strict",
        "take_over",
        "bins",
        "range",
    )
    kept = {k: v for k, v in vars(options).items() if k not in apart}
    kept["only"] = list(options.only)
    if options.operation == "map":
        kept["function"] = options.paths[0]
    return kept


PROGRAM = Program(
    "files",
    "Work on many files or large ones.",
    Options,
    run,
    check,
    reads_stdin=lambda options: "-" in options.list,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
