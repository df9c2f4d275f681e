"""The way of every program: parse, open the world, run, report, exit code."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import checkpoint, output, progress, provenance, record
from mpiapps.app.options import add_options, option, take
from mpiapps.app.parser import Parser
from mpiapps.app.program import Program, Result
from mpiapps.base import stopping
from mpiapps.base.errors import MpiAppsError
from mpiapps.base.launcher import ALLOW_SINGLETON, Launch, detect_launch
from mpiapps.base.streams import Courtesy, reserve_streams, write_err, write_out
from mpiapps.base.threads import limit_threads

if TYPE_CHECKING:
    from mpiapps.comm.world import World


@dataclass(frozen=True)
class Common:
    """The options that every program has."""

    json: str = option(
        "", "write the record of the run to FILE, - is standard output", metavar="FILE"
    )
    csv: str = option(
        "", "write the values to FILE as CSV, - is standard output", metavar="FILE"
    )
    checkpoint: str = option(
        "", "go on from FILE if it is there; stop into it on USR1", metavar="FILE"
    )
    checkpoint_every: int = option(60, "time between saves", parse="time", least=1)
    seconds: int = option(
        0, "stop into the checkpoint after so long (0: never)", parse="time", least=0
    )
    verbose: bool = option(False, "tell on standard error what each rank did")
    progress: str = option(
        "auto", "how far the run is, on standard error", choices=progress.MODES
    )
    color: str = option(
        "auto", "colours on standard output", choices=("auto", "always", "never")
    )
    allow_singleton: bool = option(
        False, "run as one process although the allocation holds more tasks"
    )


def main(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run `program` with the command line `argv`; return the exit code.

    Collective over the ranks that the launcher started; each parses for itself. Leaves
    by `SystemExit` where `mpiapps.comm.start.open_world` does.
    """
    reserve_streams()
    launch = detect_launch(os.environ)
    options, common = parse(program, sys.argv[1:] if argv is None else argv, launch)
    stopping.watch()
    checkpoint.choose(common.checkpoint, common.checkpoint_every)
    if common.seconds:
        stopping.limit(common.seconds)
    if common.allow_singleton:
        os.environ[ALLOW_SINGLETON] = "1"
    limit_threads(launch, os.environ)
    begun = provenance.begin() if launch.speaks else {}
    progress.choose(common.progress)

    from mpiapps.comm import open_world

    with open_world() as world:
        _log_to_stderr(world, common.verbose)
        return _run(world, program, options, common, begun)


def program_parser(
    program: Program, launch: Launch, command: Sequence[str] = ()
) -> Parser:
    """Return the parser of a program's options and the common ones. Local.

    `command`: the words after ``python`` that start the program; default is as it was
    started.
    """
    words = list(command) or _started_as(program)
    parser = Parser(
        prog=shlex.join(["python", *words]),
        description=program.summary,
        epilog=f"Run it on N ranks: mpiapps run {words[-1].removeprefix('mpiapps.')} -n"
        f" N [options], which is mpiexec -n N python {shlex.join(words)} [options].",
        launch=launch,
    )
    add_options(parser, program.options)
    add_options(parser.add_argument_group("options of every program"), Common)
    return parser


def _started_as(program: Program) -> list[str]:
    """Return the words after ``python`` by which this process runs `program`. Local."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = getattr(spec, "name", "")
    if name and getattr(sys.modules["__main__"], "PROGRAM", None) is program:
        return ["-m", name]
    if spec is None and sys.argv[0].endswith(".py"):
        return [sys.argv[0]]  # a file of the user's own
    return ["-m", f"mpiapps.{program.name}"]


def parse(
    program: Program, argv: Sequence[str], launch: Launch, command: Sequence[str] = ()
) -> tuple[Any, Common]:
    """Return the program's options and the common ones. Local; may exit with 0 or 2."""
    parser = program_parser(program, launch, command)
    values = parser.parse_intermixed(argv)
    options = take(values, program.options)
    common: Common = take(values, Common)
    if common.json and common.json == common.csv:
        parser.error(f"--json and --csv both name {common.json}; give each its own")
    if common.seconds and not (common.checkpoint or os.environ.get(checkpoint.FILE)):
        parser.error(f"--seconds {common.seconds} needs a --checkpoint to stop into")
    try:
        program.check(options)
    except ValueError as error:
        parser.error(str(error))
    if (common.checkpoint or common.seconds) and not program.resumable(options):
        parser.error(
            "such a run cannot stop and go on later; give no --checkpoint and no"
            " --seconds"
        )
    return options, common


def _run(
    world: World,
    program: Program,
    options: Any,
    common: Common,
    begun: dict[str, Any],
) -> int:
    """Run and report; return the exit code, the same on all ranks. Collective."""
    targets: dict[str, output.WholeFile] = {}
    texts: dict[str, str] = {}
    with world.agree():
        if world.is_root:
            checkpoint.see_writable()
            targets = _open_targets(common)
    try:
        with world.timed("total"):
            result = program.run(world, options)
        timings = world.timings()
        with world.agree():
            if timings is not None and _wanted(program, common):
                origin = provenance.collect(world, begun, os.environ)
                text = record.as_json(program.name, options, result, timings, origin)
                title = f"{program.name} on {_ranks(world)}, {origin['mpi']}"
                texts = {"csv": output.as_csv([result.values])}
                texts |= {"json": text, "record": text}
                for name, target in targets.items():
                    target.commit(texts[name])
            if timings is not None:
                checkpoint.discard()
    finally:
        for target in targets.values():
            target.discard()
    # Printed last: what a full or closed standard output loses is in the files.
    with world.agree():
        if texts:
            if not program.quiet or common.verbose:
                _report(title, result, timings or {}, common, aside=program.quiet)
            for name in ("csv", "json"):
                if getattr(common, name) == "-":
                    write_out(texts[name])
    code: int = world.comm.bcast(result.exit_code, root=world.root)
    return code


def _open_targets(common: Common) -> dict[str, output.WholeFile]:
    """Return the files to write by option, found writable before the work starts."""
    targets: dict[str, output.WholeFile] = {}
    try:
        names = {"json": common.json, "csv": common.csv, "record": _job_record()}
        for name, path in names.items():
            if path not in ("", "-"):
                targets[name] = output.WholeFile(Path(path))
    except MpiAppsError:
        for target in targets.values():
            target.discard()
        raise
    return targets


def _job_record() -> str:
    """Return where the job script looks for the record, or nothing."""
    return os.environ.get(record.FILE, "")


def _wanted(program: Program, common: Common) -> bool:
    """Return whether somebody wants to know what the run was."""
    asked = common.verbose or common.json or common.csv or _job_record()
    return bool(asked) or not program.quiet


def _report(
    title: str,
    result: Result,
    timings: dict[str, Any],
    common: Common,
    *,
    aside: bool,
) -> None:
    """Write the text report; `aside`, or beside a record, to standard error."""
    machine = aside or "-" in (common.json, common.csv)
    color = output.use_color(common.color, os.environ) and not machine
    text = output.as_text(
        title, result.values, timings, color=color, digits=result.digits
    )
    if common.verbose and result.ranks:
        text += "".join(f"  {dict(row)}\n" for row in result.ranks)
    text += "".join(f"  note: {note}\n" for note in result.notes)
    (write_err if machine else write_out)(text)


def _ranks(world: World) -> str:
    hosts = "" if world.local_size == world.size else " of several hosts"
    return f"{world.size} rank{'s' if world.size > 1 else ''}{hosts}"


def _log_to_stderr(world: World, verbose: bool) -> None:
    """Send what programs log to standard error, a line each, with the rank."""
    handler = logging.StreamHandler(Courtesy())
    handler.setFormatter(logging.Formatter(f"{world}: %(message)s"))
    logger = logging.getLogger("mpiapps")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
