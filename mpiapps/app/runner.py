"""Run a program: parse options, open the world, run, report, return the exit code."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpiapps.app import output, progress, provenance, rank_usage, record
from mpiapps.app.checkpoint import FILE as CHECKPOINT
from mpiapps.app.context import RunContext
from mpiapps.app.debugger import wait_for_debugger
from mpiapps.app.options import add_options, check_names, from_namespace, option
from mpiapps.app.parser import Parser
from mpiapps.app.program import Program, Result
from mpiapps.app.result_files import (
    check_files,
    job_record,
    open_targets,
    written_files,
)
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.base.launch_environment import (
    ALLOW_SINGLETON,
    LaunchEnvironment,
    detect_launch,
)
from mpiapps.base.rank_list import check_ranks
from mpiapps.base.streams import reserve_streams, write_err, write_out
from mpiapps.base.threads import limit_threads
from mpiapps.comm.rank_log import LEVELS, log_to_stderr
from mpiapps.launch.exit_before_mpi import end_all
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.comm.world import World


@dataclass(frozen=True)
class CommonOptions:
    """The options of all programs."""

    json: str = option(
        "", "write the JSON record to FILE (-: standard output)", metavar="FILE",
        file="written",
    )  # fmt: skip
    csv: str = option(
        "", "write the values as CSV to FILE (-: standard output)", metavar="FILE",
        file="written",
    )  # fmt: skip
    checkpoint: str = option(
        "", "resume from FILE if it exists; checkpoint to it on SIGUSR1 and stop",
        metavar="FILE", file="written",
    )  # fmt: skip
    checkpoint_every: int = option(60, "checkpoint interval", type="time", min=1)
    seconds: int = option(
        0, "checkpoint and stop after this time (0: never)", type="time", min=0
    )
    stall_limit: int = option(
        0,
        "exit with code 76 if a rank completes no task for this time (0: never)",
        type="time",
        min=0,
    )
    verbose: bool = option(False, "log the work of each rank to standard error")
    log_level: str = option(
        "",
        "lowest level of the log on standard error (default: warning, with --verbose"
        " info)",
        choices=("", *LEVELS),
    )
    log_ranks: str = option(
        "",
        "ranks that log: all, or numbers such as 0,2 (default: 0, with --verbose all);"
        " others log errors only",
        type=check_ranks,
        metavar="RANKS",
    )
    debug_ranks: str = option(
        "",
        "ranks that wait for a debugger: all, or numbers such as 0,2; needs debugpy",
        type=check_ranks,
        metavar="RANKS",
    )
    progress: str = option(
        "auto", "progress display on standard error", choices=progress.MODES
    )
    color: str = option(
        "auto", "colours on standard output", choices=("auto", "always", "never")
    )
    allow_singleton: bool = option(
        False, "allow a single process in an allocation of several tasks"
    )


def main(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run `program` with the command line `argv`; return the exit code.

    Collective over all ranks of the launcher; each one parses the command line. Raises
    `SystemExit` as `mpiapps.comm.open.open_world` does.
    """
    reserve_streams()
    launch = detect_launch(os.environ)
    options, common = parse(program, sys.argv[1:] if argv is None else argv, launch)
    try:
        wait_for_debugger(common.debug_ranks, launch)
        deadline = Deadline(common.seconds or float("inf")).install()
    except (LaunchError, UsageError) as error:
        end_all(launch, error.exit_code, f"mpiapps: error: {error}\n", alike=True)
    if common.allow_singleton:
        os.environ[ALLOW_SINGLETON] = "1"
    limit_threads(launch, os.environ)
    initial = provenance.before_init() if launch.is_reporting_rank else {}

    from mpiapps.comm import open_world

    with open_world() as world:
        initial = provenance.after_init(initial)
        _log(world, program, common)
        ctx = RunContext.make(
            world,
            program.name,
            options,
            checkpoint=common.checkpoint,
            interval=common.checkpoint_every,
            deadline=deadline,
            progress_mode=common.progress,
            stall_limit=common.stall_limit,
            outputs=written_files(options, common),
        )
        return _run(ctx, program, options, common, initial)


def program_parser(
    program: Program, launch: LaunchEnvironment, command: Sequence[str] = ()
) -> Parser:
    """Return the parser of a program's options and the common ones.

    `command`: the arguments of ``python`` that start the program; default: those of
    this process.
    """
    argv = list(command) or _python_arguments(program)
    name = argv[-1] if argv[-1].endswith(".py") else program.name
    parser = Parser(
        prog=shlex.join(["python", *argv]),
        description=program.summary,
        epilog=f"On N ranks: mpiapps run {name} -n N"
        f" [options]. It executes mpiexec -n N python {shlex.join(argv)} [options].",
        launch=launch,
    )
    check_names(parser, program.options, CommonOptions)
    add_options(parser, program.options)
    add_options(parser.add_argument_group("options of all programs"), CommonOptions)
    return parser


def _python_arguments(program: Program) -> list[str]:
    """Return the arguments of ``python`` with which this process runs `program`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = getattr(spec, "name", "")
    if name and getattr(sys.modules["__main__"], "PROGRAM", None) is program:
        return ["-m", name]
    if spec is None and sys.argv[0].endswith(".py"):
        return [sys.argv[0]]  # a user's file
    return ["-m", f"mpiapps.{program.name}"]


def parse(
    program: Program,
    argv: Sequence[str],
    launch: LaunchEnvironment,
    command: Sequence[str] = (),
) -> tuple[Any, CommonOptions]:
    """Return the program's options and the common ones; may exit with 0 or 2."""
    parser = program_parser(program, launch, command)
    values = parser.parse_intermixed(argv)
    options = from_namespace(values, program.options)
    common: CommonOptions = from_namespace(values, CommonOptions)
    if common.seconds and not (common.checkpoint or os.environ.get(CHECKPOINT)):
        parser.error(f"--seconds {common.seconds} needs --checkpoint FILE")
    try:
        program.check(options)
        check_files(options, common)
    except ValueError as error:
        parser.error(str(error))
    if (common.checkpoint or common.seconds) and not program.resumable(options):
        parser.error(
            "a run with these options cannot be resumed; omit --checkpoint and"
            " --seconds"
        )
    return options, common


def _run(
    ctx: RunContext,
    program: Program,
    options: Any,
    common: CommonOptions,
    initial: dict[str, Any],
) -> int:
    """Run and report; return the exit code, equal on all ranks. Collective."""
    world = ctx.world
    targets: dict[str, AtomicFile] = {}
    texts: dict[str, str] = {}
    with world.agree():
        if world.is_root:
            ctx.checkpoint.check_writable()
            targets = open_targets(common.json, common.csv)
    try:
        with world.timed("total"):
            result = program.run(ctx, options)
        timings, usage = world.timings(), rank_usage.collect(world)
        with world.agree():
            if timings and usage and _needs_record(program, common):
                origin = provenance.collect(world, initial, os.environ)
                parts = result, timings, origin, usage
                text = record.as_json(program.name, options, *parts)
                title = f"{program.name} on {_ranks(world)}, {origin['mpi']}"
                texts = {"csv": output.as_csv([result.values])}
                texts |= {"json": text, "record": text}
                for name, target in targets.items():
                    target.commit(texts[name])
            if timings is not None:
                ctx.checkpoint.discard()
    finally:
        for target in targets.values():
            target.discard()
    # Print last: if standard output is full or closed, the files are complete.
    with world.agree():
        if texts and (not program.quiet or common.verbose):
            to_stderr = program.quiet or result.stdout is not None
            _report(title, result, timings or {}, common, to_stderr=to_stderr)
        if world.is_root and result.stdout is not None:
            write_out(result.stdout)
        for name in ("csv", "json") if texts else ():
            if getattr(common, name) == "-":
                write_out(texts[name])
    code: int = world.comm.bcast(result.exit_code, root=world.root)
    return code


def _needs_record(program: Program, common: CommonOptions) -> bool:
    """Return whether a report, record or CSV is to be written."""
    requested = common.verbose or common.json or common.csv or job_record()
    return bool(requested) or not program.quiet


def _report(
    title: str,
    result: Result,
    timings: dict[str, Any],
    common: CommonOptions,
    *,
    to_stderr: bool,
) -> None:
    """Print the text report; on stderr also if stdout gets the record or CSV."""
    to_stderr = to_stderr or "-" in (common.json, common.csv)
    color = output.use_color(common.color, os.environ) and not to_stderr
    text = result.text
    if text is None:
        text = output.as_text(title, result.values, timings, color=color)
    if common.verbose and result.ranks:
        text += "".join(f"  {dict(row)}\n" for row in result.ranks)
    text += "".join(f"  note: {note}\n" for note in result.notes)
    (write_err if to_stderr else write_out)(text)


def _ranks(world: World) -> str:
    hosts = "" if world.local_size == world.size else " of several hosts"
    return f"{world.size} rank{'s' if world.size > 1 else ''}{hosts}"


def _log(world: World, program: Program, common: CommonOptions) -> None:
    """Log as the options say; for a user's program, also its own loggers."""
    level = common.log_level or ("info" if common.verbose else "warning")
    ranks = common.log_ranks or ("all" if common.verbose else "0")
    package = _python_arguments(program)[-1].partition(".")[0]
    # A script of `mpiapps.dask` is __main__ as well, and configures its own logging.
    own = () if package == "mpiapps" else ("__main__", program.name, package)
    log_to_stderr(world, level, ranks, own)
