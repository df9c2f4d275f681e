"""`mpiapps scaling`: from options to a study, its runs and its report."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.app.options import from_namespace
from mpiapps.app.picture import PICTURES, require_pictures
from mpiapps.app.program import Program, find_program
from mpiapps.app.record import strict
from mpiapps.app.runner import parse as parse_program
from mpiapps.base.errors import Checkpointed, TasksFailed, UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.streams import write_err, write_out
from mpiapps.base.threads import physical_cores
from mpiapps.launch.mpiexec import find_launcher
from mpiapps.scaling.allocation import collect_allocation
from mpiapps.scaling.collect import collect, missing
from mpiapps.scaling.dry_run import dry_run
from mpiapps.scaling.history import History, opened, series_of_this_host
from mpiapps.scaling.jobs import Collected, JobStudy, collect_jobs
from mpiapps.scaling.local import run_case
from mpiapps.scaling.options import StudyOptions, parse_counts
from mpiapps.scaling.rules import parse_rule
from mpiapps.scaling.study import Study, cases_of
from mpiapps.scaling.virtual import check_virtual, virtual_case
from mpiapps.scaling.weak import parse_scaled
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.scaling.results import Results

COLLECT = {"each": collect_jobs, "one": collect_allocation}


def scaling(values: Namespace, arguments: list[str]) -> int:
    """Run what is missing of a study, and report.

    Returns
    -------
    int
        3 if a case failed, 75 if a job has stopped before its last run, or else 0.
    """
    options: StudyOptions = from_namespace(values, StudyOptions)
    study = study_of(values.program, options, arguments, on_cluster(values))
    for line in study.warnings():
        write_err(f"mpiapps: warning: {line}\n")
    jobs = JobStudy(values, study) if on_cluster(values) else None
    if options.dry_run:
        return dry_run(study, jobs, options.allocation)
    if jobs is None and not study.virtual:
        _check_cores(study, options)
    targets = _targets(options)
    try:
        directory = Path(options.directory or f"{Path(study.program).stem}.scaling")
        series = jobs.series() if jobs else series_of_this_host(study)
        with opened(directory, study, series, options.append) as history:
            if jobs:
                collect_runs = COLLECT[options.allocation]
                wait = not options.no_wait
                collected = collect_runs(jobs, history, series, wait=wait)
            else:
                collected = Collected(_run_here(study, history, series))
            if collected.active:
                write_err(
                    f"mpiapps: {collected.active} jobs have not ended; the same command"
                    " without --no-wait waits for them\n"
                )
            if history.of(series) or not (collected.active or collected.stopped):
                _report(study, history, series, options, targets)
    finally:
        for target in targets.values():
            target.discard()
    if collected.failed:
        return TasksFailed.exit_code
    return Checkpointed.exit_code if collected.stopped else 0


def on_cluster(values: Namespace) -> bool:
    """Return whether the runs are jobs of a cluster."""
    return bool(values.site or values.scheduler or values.nodes)


def _run_here(study: Study, history: History, series: str) -> list[str]:
    if not missing(study, history, series):
        return []
    if study.virtual:
        return collect(study, history, series, partial(virtual_case, study))
    return collect(study, history, series, partial(run_case, find_launcher(), study))


def study_of(
    name: str, options: StudyOptions, arguments: list[str], cluster: bool = False
) -> Study:
    """Return the checked study of a program, a script or a command.

    Raises
    ------
    UsageError
        If the program does not exist, or options conflict.
    """
    program, words, is_python = find(name)
    kind = "weak" if options.weak else options.kind
    if kind == "weak" and not options.weak:
        raise UsageError(
            "--kind weak needs --weak NAME: the option of the program that grows with"
            " the count"
        )
    if options.weak and options.kind == "throughput":
        raise UsageError("--kind throughput runs copies of the same work: omit --weak")
    _check_hosts(options, cluster)
    if options.virtual:
        check_virtual(name, program, options, cluster)
    nodes = parse_counts(options.nodes)
    ranks = parse_counts(options.ranks_per_node or "1" if nodes else options.ranks)
    study = Study(
        kind=kind,
        program=name,
        words=tuple(words),
        is_python=is_python,
        recorded=program is not None,
        arguments=tuple(arguments),
        cases=cases_of(
            kind,
            nodes,
            ranks or default_counts(options),
            parse_counts(options.threads),
        ),
        repeats=options.repeats,
        scaled=tuple(parse_scaled(text) for text in options.weak),
        region=options.region,
        useful=options.useful,
        options=program and program.options,
        work=tuple(text.replace("-", "_") for text in options.work),
        virtual=options.virtual,
    )
    if program is None and (options.region != "total" or options.useful):
        raise UsageError(
            f"{name} writes no record with timers: omit --region and --useful"
        )
    for case in study.cases:
        words = study.arguments_of(case)
        if program is not None:
            launch = LaunchEnvironment()
            given, _ = parse_program(program, words, launch, command=study.words)
            if program.reads_stdin(given):
                raise UsageError(
                    f"{name} would read standard input, which is one input for all"
                    " runs: write it to a file, and give its name instead of -"
                )
    return study


def find(name: str) -> tuple[Program | None, list[str], bool]:
    """Return a program, the words that start it, and whether they are Python's.

    A name that is not a program is a command of PATH or a path.
    """
    try:
        return *find_program(name), True
    except UsageError:
        command = shutil.which(name)
        if command is None or name.endswith(".py"):
            raise
    return None, [command], False


def default_counts(options: StudyOptions) -> tuple[int, ...]:
    """Return powers of two up to the cores, or 1 if threads are studied."""
    if parse_counts(options.threads) != (1,):
        return (1,)
    cores = physical_cores()
    powers = [2**k for k in range(cores.bit_length()) if 2**k < cores]
    return (*powers, cores)


def _check_hosts(options: StudyOptions, cluster: bool) -> None:
    """Raise if options of this host and of a cluster are mixed."""
    if cluster and options.kind == "throughput":
        raise UsageError(
            "--kind throughput runs copies on this host: omit --site, --scheduler and"
            " --nodes"
        )
    if options.nodes and options.ranks:
        raise UsageError("--ranks is for one host; with --nodes give --ranks-per-node")
    if options.ranks_per_node and not options.nodes:
        raise UsageError(
            "--ranks-per-node needs --nodes 1,2,4; on one host use --ranks"
        )
    only_jobs = {
        "--no-wait": options.no_wait,
        "--allocation one": options.allocation != "each",
    }
    for name in (name for name, given in only_jobs.items() if given and not cluster):
        raise UsageError(f"{name} is for jobs: give --site, --scheduler or --nodes")
    own_threads = parse_counts(options.threads) != (1,)
    if cluster and not (options.nodes or options.ranks or own_threads):
        raise UsageError(
            "which sizes? Give --nodes 1,2,4, or --ranks or --threads for one host of"
            " the cluster"
        )


def _check_cores(study: Study, options: StudyOptions) -> None:
    cores = physical_cores()
    largest = max(case.cores for case in study.cases)
    if largest > cores and not options.oversubscribe:
        raise UsageError(
            f"{largest} ranks x threads on {cores} cores would measure how they share"
            " cores; give smaller --ranks or --threads, or --oversubscribe for a"
            " program that mostly waits"
        )


def _targets(options: StudyOptions) -> dict[str, AtomicFile]:
    """Return the output files; raise before any run if one cannot be written."""
    if options.plot:
        if Path(options.plot).suffix not in PICTURES:
            raise UsageError(
                f"--plot {options.plot}: the name must end in .png, .svg or .pdf"
            )
        require_pictures()
    paths = {"report": options.output, "plot": options.plot}
    return {name: AtomicFile(Path(path)) for name, path in paths.items() if path}


def _report(
    study: Study,
    history: History,
    series: str,
    options: StudyOptions,
    targets: dict[str, AtomicFile],
) -> None:
    """Write the report of a series and the plot."""
    measurements = [m for m in history.of(series) if m.case in study.cases]
    if not measurements:
        raise TasksFailed("no run succeeded: there is nothing to report")
    from mpiapps.scaling.results import analyse  # SciPy, after the runs

    rule = parse_rule(options.rule) if options.rule else None
    results = analyse(study, measurements, rule, parse_counts(options.predict))
    text = WRITERS[options.format](results, series)
    older = [name for name in history.series if name != series]
    if options.format == "text" and older:
        from mpiapps.scaling.comparison import compare

        text += "\n" + compare(study, history, older, series)
    if "plot" in targets:
        from mpiapps.scaling.plot import draw

        targets["plot"].commit(draw(results, Path(options.plot).suffix))
    if "report" in targets:
        targets["report"].commit(text)
    else:
        write_out(text)


def _text(results: Results, _series: str) -> str:
    from mpiapps.scaling import report, table, text_plot

    return f"{table.as_text(report.table(results))}\n{text_plot.draw(results)}"


def _table(results: Results, form: str) -> str:
    from mpiapps.scaling import report, table

    return table.FORMATS[form](report.table(results, digits=form == "csv"))


def _json(results: Results, series: str) -> str:
    from mpiapps.scaling import report

    return json.dumps(strict(report.as_json(results, series)), allow_nan=False) + "\n"


def _extrap(results: Results, _series: str) -> str:
    from mpiapps.scaling.extrap_format import as_json_lines

    return as_json_lines(results.measurements)


WRITERS: dict[str, Callable[[Results, str], str]] = {
    "text": _text,
    "markdown": lambda results, _: _table(results, "markdown"),
    "latex": lambda results, _: _table(results, "latex"),
    "csv": lambda results, _: _table(results, "csv"),
    "json": _json,
    "extrap": _extrap,
}
