"""Further options of a scheduler, from a site file or ``--directive``, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.directives import Directive, read_line
from mpiapps.batch.options import DIALECTS
from mpiapps.batch.request import Job

# To bash the line is a comment. What a scheduler may run or cut is left out.
LINE = re.compile(r"--?[A-Za-z@][A-Za-z0-9_.,:=@%+/^ $&()*\"'\[\]{}|<>!~?-]*")

# What the script, or `status` and `logs`, rely on -> the option that says it here.
OWN: Mapping[str, Mapping[str, str]] = {
    "slurm": {
        "--array": "--array",
        "--chdir": "",
        "--cpus-per-task": "--threads",
        "--dependency": "--dependency",
        "--error": "--logs",
        "--job-name": "--name",
        "--nodes": "--nodes",
        "--ntasks": "--ranks-per-node",
        "--ntasks-per-node": "--ranks-per-node",
        "--open-mode": "",
        "--output": "--logs",
        "--parsable": "",
        "--test-only": "--dry-run",
        "--time": "--time",
        "--wait": "--wait",
        "--wrap": "",
    },
    "sge": {
        "-N": "--name",
        "-b": "",
        "-e": "--logs",
        "-hold_jid": "--dependency",
        "-hold_jid_ad": "--dependency",
        "-j": "",
        "-l h_rt": "--time",
        "-o": "--logs",
        "-pe": "--nodes and --ranks-per-node",
        "-sync": "--wait",
        "-t": "--array",
        "-tc": "--array",
        "-verify": "--dry-run",
        "-wd": "",
    },
    "pbs": {
        "-J": "--array",
        "-N": "--name",
        "-W depend": "--dependency",
        "-e": "--logs",
        "-j": "",
        "-l nodes": "--nodes",
        "-l select": "--nodes and --ranks-per-node",
        "-l walltime": "--time",
        "-o": "--logs",
        "-t": "--array",
        "-z": "",
    },
    "lsf": {
        "-J": "--name and --array",
        "-K": "--wait",
        "-Q": "--max-requeues",
        "-W": "--time",
        "-cwd": "",
        "-e": "--logs",
        "-eo": "--logs",
        "-n": "--nodes and --ranks-per-node",
        "-o": "--logs",
        "-oo": "--logs",
        "-w": "--dependency",
    },
}


def check_directives(job: Job) -> None:
    """Raise `UsageError` if the scheduler would read one otherwise."""
    scheduler = job.request.scheduler
    for text in job.directives:
        given = text in job.request.directive
        origin = "--directive" if given else f"directives of site {job.site.name}:"
        if wrong := _wrong(scheduler, text):
            raise UsageError(f"{origin} {quoting.printable(text)}: {wrong}")


def _wrong(scheduler: str, text: str) -> str:
    """Return why `text` cannot be a directive; empty if it can."""
    if not LINE.fullmatch(text):
        bad = next((sign for sign in text if not LINE.fullmatch(f"-a{sign}")), "")
        holds = f"holds {quoting.printable(bad)}" if bad else "does not begin with -"
        expected = "write options with their values, in ASCII and without ` ; # \\"
        return f"it {holds}; {expected}"
    found = read_line(scheduler, text)
    return next(filter(None, (_of_option(scheduler, each) for each in found)), "")


def _of_option(scheduler: str, found: Directive) -> str:
    # An option that is not known may be one of the site's plugins.
    if found.fault and (found.option or not found.name.startswith("-")):
        return found.fault
    kind = f"{found.name} {found.value.partition('=')[0]}"  # -W depend=afterok:1
    name = kind if kind in OWN[scheduler] else found.name
    if name not in OWN[scheduler]:
        return ""
    option = OWN[scheduler][name]
    say = f"say it by {option} of mpiapps" if option else "leave it out"
    return f"{name} of {DIALECTS[scheduler].command} is set by the script; {say}"
