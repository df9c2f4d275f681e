"""Process many files, or large ones: each rank reads its own bytes.

Names and byte ranges are shared, and results are gathered; file content is never sent.
Each operation on a file is a class in `mpiapps.fileops`. docs/files.md starts from a
program with `comm.scatter` and explains the difference.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.app.output import printable
from mpiapps.base import units
from mpiapps.base.registry import load_extension
from mpiapps.fileops.choices import (
    ALGORITHMS,
    COUNTS,
    ENCODINGS,
    FORMATS,
    HEADERS,
    OPERATIONS,
    TABLES,
    TRANSPOSITIONS,
    parse_character,
    parse_percentiles,
)
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.fileops.listing import Listing
    from mpiapps.fileops.operation import Operation
    from mpiapps.fileops.run_segments import SegmentResults

# Operation -> required option.
NEEDS = {"map": "output", "flip": "output_dir", "histogram": "column"}
MAX_REPORTED_ERRORS = 10  # failed files in the report


@dataclass(frozen=True)
class Options:
    """The operation, its files, and its options."""

    operation: str = option(
        "", ", ".join(OPERATIONS), positional=True, metavar="OPERATION"
    )
    paths: tuple[str, ...] = option(
        (),
        "files, folders, patterns; for map, MODULE:FUNCTION before them",
        nargs="*",
        positional=True,
        metavar="PATH",
    )
    list: tuple[str, ...] = option(
        (), "file of paths, one per line or ended by zero bytes; -: standard input",
        metavar="FILE",
    )  # fmt: skip
    output: str = option("", "write the result to FILE", metavar="FILE", short="o")
    only: tuple[str, ...] = option(
        (), "count: only this count", choices=COUNTS, metavar="|".join(COUNTS)
    )
    top: int = option(
        0,
        "count: report the N most frequent words; -o: write them with their counts",
        type="count",
        min=0,
    )
    encoding: str = option(
        "utf-8",
        "count: utf-8 as wc in the locale C.UTF-8, bytes as in C",
        choices=ENCODINGS,
    )
    strict_utf8: bool = option(False, "count: treat a file that is not UTF-8 as failed")
    no_decompress: bool = option(False, "count: do not decompress compressed files")
    algorithm: str = option(
        "sha256",
        "hash: " + ", ".join(ALGORITHMS),
        choices=tuple(ALGORITHMS),
        metavar="NAME",
    )
    check: str = option(
        "",
        "hash: compare the files that a manifest names with their digests in it",
        metavar="MANIFEST",
    )
    transform: str = option(
        "left-right",
        "flip: mirroring, or rotation counterclockwise in degrees",
        choices=tuple(TRANSPOSITIONS),
    )
    output_dir: str = option("", "flip: folder of the results", metavar="FOLDER")
    format: str = option(
        "",
        "flip: format of the results: " + ", ".join(FORMATS) + " (default: unchanged)",
        type=lambda text: text.removeprefix(".").lower(),
        choices=tuple(FORMATS),
        metavar="FORMAT",
    )
    column: tuple[str, ...] = option(
        (),
        "histogram, describe: column name, or column number from 1; describe: given"
        " several times, or all columns",
        metavar="COLUMN",
    )
    percentiles: tuple[float, ...] = option(
        (25.0, 50.0, 75.0),
        "describe: percentiles, separated by commas",
        type=parse_percentiles,
        metavar="LIST",
    )
    header: str = option(
        "auto",
        "tables: whether the first record is a header; auto: if it contains the"
        " name of the column, or no number",
        choices=HEADERS,
    )
    bins: int = option(50, "histogram: number of intervals", min=1, max=10**6)
    range: tuple[float, float] | None = option(
        None,
        "histogram: range of the intervals (default: all numbers)",
        type=units.parse_interval,
        metavar="LOW:HIGH",
    )
    delimiter: str = option(
        "",
        "tables: separator of columns (default: comma, tab for .tsv)",
        type=parse_character,
    )
    quote: str = option(
        '"',
        "tables: quote character; empty: no quotes",
        type=parse_character,
        metavar="CHARACTER",
    )
    records: bool = option(
        False, "map: pass an iterator over the lines of a byte range, not the path"
    )
    directory: str = option(
        "", "record results in FOLDER, and resume from it", metavar="FOLDER"
    )
    strict: bool = option(False, "stop at the first file that fails")
    force_unlock: bool = option(
        False, "take over the lock of the directory from a dead run on another host"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options are inconsistent."""
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERATIONS)}"
        )
    is_map = options.operation == "map"
    if is_map and (not options.paths or ":" not in options.paths[0]):
        raise ValueError("map: MODULE:FUNCTION is required before the paths")
    if options.check and (options.operation != "hash" or options.paths or options.list):
        raise ValueError("--check: for hash alone; the files are those in the manifest")
    if options.operation == "hash" and not (options.check or options.output):
        raise ValueError("hash: --output or --check is required")
    if len(options.paths) <= is_map and not (options.list or options.check):
        raise ValueError(
            "no files: name files, folders or patterns, or use --list FILE"
        )
    if options.list.count("-") > 1:
        raise ValueError("--list -: given twice, but standard input is read only once")
    required = NEEDS.get(options.operation, "")
    if required and not getattr(options, required):
        name = required.replace("_", "-")
        raise ValueError(f"{options.operation}: --{name} is required")
    if options.operation == "histogram" and len(options.column) > 1:
        raise ValueError("histogram: --column is given once; describe takes several")
    if options.quote and options.quote == options.delimiter:
        raise ValueError(
            f"--delimiter and --quote are both {options.quote!r}; they must differ"
        )


def run(ctx: RunContext, options: Options) -> Result:
    """Run the operation. Collective."""
    from mpiapps.fileops.digest import read_manifest
    from mpiapps.fileops.listing import gather_listing

    world, names, target, expected = ctx.world, None, None, dict[str, str]()
    with world.agree():
        if world.is_root:
            target = AtomicFile(Path(options.output)) if options.output else None
            with world.timed("list"):
                if options.check:
                    expected = read_manifest(options.check, options.algorithm)
                names = list(expected) if options.check else _list_files(options)
    try:
        with world.timed("list"):
            listing = gather_listing(world.comm, names)
        file_run = _FileRun(ctx, options, listing, expected)
        execute = load_extension(options.operation, OPERATIONS[options.operation])
        values, lines = execute(file_run)
        with world.agree():
            if target is not None:
                target.commit("".join(lines))
            if world.is_root:
                file_run.write_failed()
    finally:
        if target is not None:
            target.discard()
    return file_run.result(values)


def _list_files(options: Options) -> list[str]:
    """Return the files that the options name. Root only."""
    from mpiapps.fileops.images import without_results
    from mpiapps.fileops.listing import expand, read_list

    paths = options.paths[options.operation == "map" :]
    listed = [name for path in options.list for name in read_list(path)]
    names = expand(paths, listed, tables=options.operation in TABLES)
    if options.operation == "flip":
        return without_results(names, [*paths, *listed], options.output_dir)
    return names


class _FileRun:
    """A run of the program: its files, and the errors of the operations on them."""

    def __init__(
        self,
        ctx: RunContext,
        options: Options,
        listing: Listing,
        expected: dict[str, str],
    ) -> None:
        self.ctx, self.options, self.listing = ctx, options, listing
        self.expected = expected
        self.errors: dict[int, str] = {}
        self.notes: list[str] = []
        self._tracebacks: dict[int, str] = {}
        self._directory = ctx.journal_directory(options.directory)
        self.recorded = bool(self._directory)

    def execute(self, operation: Operation, name: str = "") -> SegmentResults:
        """Run an operation on all files, recorded under a name. Collective."""
        from mpiapps.fileops.run_segments import run_segments
        from mpiapps.tasks.task_journal import TaskJournal

        directory = self._directory and str(Path(self._directory, name))
        header = {"program": "files", "options": _identity(self.options)}
        journal = TaskJournal(directory, header, force_unlock=self.options.force_unlock)
        results = run_segments(
            self.ctx, self.listing, operation, journal, strict=self.options.strict
        )
        self.errors |= results.errors
        self._tracebacks |= results.tracebacks
        return results

    def write_failed(self) -> None:
        """Write the failed files to a list for --list. Root only."""
        if self._directory:
            names = [self.listing.names[n] + "\0" for n in sorted(self.errors)]
            failed = AtomicFile(Path(self._directory, "failed.txt"))
            failed.commit("".join(names))

    def result(self, values: dict[str, Any]) -> Result:
        """Return the result of the program."""
        failed = len(self.errors)
        notes = [self._note(n) for n in sorted(self.errors)[:MAX_REPORTED_ERRORS]]
        if failed > MAX_REPORTED_ERRORS:
            notes.append(f"{failed - MAX_REPORTED_ERRORS} more files failed")
        notes += self.notes
        counts = {"files": len(self.listing.names) - failed, "failed": failed}
        return Result({**counts, **values}, [], notes, 3 if failed else 0)

    def _note(self, n: int) -> str:
        lines = indent(self._tracebacks.get(n, ""), "    ").rstrip()
        return f"{printable(self.listing.names[n])}: {self.errors[n]}\n{lines}".rstrip()


def _identity(options: Options) -> dict[str, Any]:
    """Return the options that determine the recorded results."""
    excluded = ("paths", "list", "output", "check", "directory", "strict",
                "force_unlock", "bins", "range")  # fmt: skip
    identity = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(options).items()
        if name not in excluded
    }
    if options.operation == "map":
        identity["function"] = options.paths[0]
    return identity


PROGRAM = Program(
    "files",
    "Process many files or large ones.",
    Options,
    run,
    check,
    reads_stdin=lambda options: "-" in options.list,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
