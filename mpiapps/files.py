"""Process many files, or large ones: each rank reads its own bytes.

Names and byte ranges are shared, and results are gathered; file content is never sent.
Each operation on a file is a class in `mpiapps.fileops`. docs/files.md starts from a
program with `comm.scatter` and explains the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main
from mpiapps.app.options import identity as options_identity
from mpiapps.app.result_files import STDOUT, replaces_message
from mpiapps.base.errors import UsageError
from mpiapps.base.registry import load_extension
from mpiapps.base.streams import printable
from mpiapps.fileops.choices import IMAGES, OPERATIONS, TABLES
from mpiapps.fileops.options import Options, check
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.device.choice import Device
    from mpiapps.fileops.listing import Listing
    from mpiapps.fileops.operation import Operation
    from mpiapps.fileops.own_files import OwnFiles
    from mpiapps.fileops.run_segments import SegmentResults

MAX_REPORTED_ERRORS = 10  # failed files in the report


def run(ctx: RunContext, options: Options) -> Result:
    """Run the operation. Collective."""
    with ctx.world.timed("import"):
        from mpiapps.comm.rank_device import choose_rank_device
        from mpiapps.fileops.digest import read_manifest
        from mpiapps.fileops.listing import gather_listing

    world, names, target, expected = ctx.world, None, None, dict[str, str]()
    device = choose_rank_device(world) if options.device == "cuda" else None
    named = list[str]()  # the arguments, and the names in lists
    with world.agree(), world.timed("list"):
        if world.is_root:
            if options.check:
                expected = read_manifest(options.check, options.algorithm)
            names, named = list(expected), list(expected)
            if not options.check:
                names, named = _list_files(options)
    with world.timed("list"):
        listing = gather_listing(world.comm, names, _own_files(ctx, options))
    try:
        with world.agree():
            if world.is_root:
                _check_inputs(listing, named)
                if options.output not in ("", STDOUT):
                    target = AtomicFile(Path(options.output))
        file_run = _FileRun(ctx, options, listing, expected, device)
        with world.timed("import"):
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
    return file_run.result(values, lines)


def _list_files(options: Options) -> tuple[list[str], list[str]]:
    """Return the files that the options name, and what names them. Root only."""
    from mpiapps.base.file_names import expand, read_list
    from mpiapps.fileops.own_files import check_output_dir

    paths = options.paths[options.operation == "map" :]
    listed = [name for path in options.list for name in read_list(path)]
    if options.operation in IMAGES:
        check_output_dir([*paths, *listed], options.output_dir)
    names = expand(paths, listed, tables=options.operation in TABLES)
    return names, [*paths, *listed]


def _own_files(ctx: RunContext, options: Options) -> OwnFiles:
    """Return the files that the run writes itself. Local."""
    from mpiapps.fileops.own_files import OwnFiles
    from mpiapps.fileops.parquet_parts import PartDirectory

    results = {"--output": options.output} if options.output else {}
    results |= ctx.outputs
    if ctx.checkpoint.enabled:
        results["--checkpoint"] = ctx.checkpoint.path
    output_dir = options.output_dir
    if options.operation == "convert":
        output_dir = str(PartDirectory(Path(output_dir), keep=True).path)
    return OwnFiles(results, ctx.journal_directory(options.directory), [output_dir])


def _check_inputs(listing: Listing, named: list[str]) -> None:
    """Raise `UsageError` if a file of the run itself is named as an input."""
    for name in named if listing.own else ():
        if name in listing.own:
            raise UsageError(replaces_message(listing.own[name], name))


class _FileRun:
    """A run of the program: its files, and the errors of the operations on them."""

    def __init__(
        self,
        ctx: RunContext,
        options: Options,
        listing: Listing,
        expected: dict[str, str],
        device: Device | None,
    ) -> None:
        self.ctx, self.options, self.listing = ctx, options, listing
        self.expected, self.device = expected, device
        self.errors: dict[int, str] = {}
        self.notes: list[str] = device.notes if device else []
        self._tracebacks: dict[int, str] = {}
        self._directory = ctx.journal_directory(
            options.directory,
            # The directory of `convert` is locked, too.
            force_unlock=options.force_unlock and options.operation != "convert",
        )
        self.recorded = bool(self._directory)

    def execute(self, operation: Operation, name: str = "") -> SegmentResults:
        """Run an operation on all files, recorded under a name. Collective."""
        with self.ctx.world.timed("import"):
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
        from mpiapps.fileops.own_files import FAILED

        if self._directory:
            names = [self.listing.names[n] + "\0" for n in sorted(self.errors)]
            failed = AtomicFile(Path(self._directory, FAILED))
            failed.commit("".join(names))

    def result(self, values: dict[str, Any], lines: list[str]) -> Result:
        """Return the result of the program; `lines`: of the output file."""
        failed = len(self.errors)
        notes = [self._note(n) for n in sorted(self.errors)[:MAX_REPORTED_ERRORS]]
        if failed > MAX_REPORTED_ERRORS:
            notes.append(f"{failed - MAX_REPORTED_ERRORS} more files failed")
        notes += self.notes
        counts = {"files": len(self.listing.names) - failed, "failed": failed}
        stdout, code = None, 3 if failed else 0
        if self.options.output == STDOUT:
            stdout = "".join(lines).encode(errors="surrogateescape")
        return Result({**counts, **values}, [], notes, code, stdout=stdout)

    def _note(self, n: int) -> str:
        lines = indent(self._tracebacks.get(n, ""), "    ").rstrip()
        return f"{printable(self.listing.names[n])}: {self.errors[n]}\n{lines}".rstrip()


def _identity(options: Options) -> dict[str, Any]:
    """Return the options that determine the recorded results."""
    excluded = ("paths", "list", "output", "check", "directory", "strict",
                "force_unlock", "bins", "range", "per_file")  # fmt: skip
    identity = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options_identity(options).items()
        if name not in excluded
    }
    for name in ("factor", "fraction"):  # as in journals of earlier versions
        identity[name] = identity[name] or 0.0
    if len(options.by) < 2:
        identity["by"] = "".join(options.by)
    if options.operation == "map":
        identity["function"] = options.paths[0]
    return identity


PROGRAM = Program(
    "files",
    "Process many files or large ones.",
    Options,
    run,
    check,
    reads_stdin=lambda options: "-" in (*options.list, options.check),
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
