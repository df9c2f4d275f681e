"""`mpiapps doctor` and `mpiapps report`: their options, and what they execute."""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from typing import Any

from mpiapps.app.options import add_options
from mpiapps.base.streams import write_err, write_out
from mpiapps.batch.request import Request
from mpiapps.diagnostics import report as reporting
from mpiapps.diagnostics.examine import LIMIT
from mpiapps.diagnostics.host import describe, examined
from mpiapps.diagnostics.probe import all_probes

COMMANDS = {
    "doctor": "find what is wrong with this environment, or with the hosts of a job",
    "report": "bundle what a bug report needs, without names and secrets",
}


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of `mpiapps`."""
    doctor, bundle = (
        commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        for name, text in COMMANDS.items()
    )
    _add_doctor(doctor)
    bundle.add_argument(
        "runs", nargs="*", metavar="RUN", help="runs whose record and script are added"
    )
    bundle.add_argument("--logs", default="logs", help="directory of the runs")
    bundle.add_argument(
        "--output",
        default="mpiapps-report.tar.gz",
        metavar="FILE",
        help="a .tar.gz, or any other name for one text file; - is standard output",
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--verbose", action="store_true", help="print a line for each probe"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT,
        metavar="SECONDS",
        help=f"time limit of a probe (default {LIMIT:g} s)",
    )
    parser.add_argument(
        "--list", action="store_true", help="print the probes, and execute none"
    )
    parser.add_argument(
        "--job",
        action="store_true",
        help="also examine the hosts and ranks of a job: submitted with the options"
        " below, or with -n started on this host",
    )
    parser.add_argument(
        "-n",
        "--ntasks",
        type=int,
        default=0,
        help="ranks on this host for --job, without a scheduler (default 2)",
    )
    add_options(parser.add_argument_group("options of the job"), Request)


def doctor(values: Namespace) -> int:
    """Examine this host; with ``--job``, then the hosts of a job. Return 0 or 78."""
    from mpiapps.diagnostics import job

    probes = all_probes()
    if values.list:
        write_out("".join(f"{each.name:<18} {each.examines}\n" for each in probes))
        return 0
    submitted = values.job and job.has_scheduler(values)
    if not values.job or submitted:  # ranks are started on hosts of the job
        probes = [each for each in probes if not each.starts_mpi]
    examinations, system = examined(os.environ, probes, values.ntasks, values.limit)
    code = reporting.exit_code(examinations)
    if not values.job or code:
        if values.json:
            write_out(reporting.as_json(examinations, describe(system)))
        else:
            write_out(reporting.as_text(examinations, verbose=values.verbose))
        if values.job:
            write_err("mpiapps: note: no job was started; remove the errors first\n")
        return code
    if any(each.findings for each in examinations):
        write_err(reporting.as_text(examinations, verbose=values.verbose))
    return job.submit(values) if submitted else job.run_here(values)


def report(values: Namespace) -> int:
    """Write the bundle for a bug report; print its name."""
    from mpiapps.diagnostics.bundle import write

    write(values.output, values.runs, values.logs)
    return 0
