"""Flux, as another package adds it: a scheduler, and its launcher `flux run`."""

from pathlib import Path

from mpiapps.base.errors import UsageError
from mpiapps.batch import job_state
from mpiapps.batch.job_state import JobStatus
from mpiapps.batch.launchers import LaunchCommand, Launcher
from mpiapps.batch.options import DirectiveSyntax, option_table
from mpiapps.batch.rule_types import Rule, values
from mpiapps.batch.scheduler import Scheduler

OPTIONS = option_table(
    {
        "--job-name =": "Name of the job: {}.",
        "--nodes -N #": "Hosts: {}.",
        "--nslots -n #": "Slots in total: {}; one per rank.",
        "--cores-per-slot -c #": "Cores per slot: {}.",
        "--gpus-per-slot -g #": "GPUs per slot: {}.",
        "--time-limit -t =": "Time limit: {}; a plain number is in minutes.",
        "--output =": "Standard output: {}.",
        "--queue -q =": "Queue: {}.",
        "--bank -B =": "Bank to charge: {}.",
        "--dependency =": "Start when {} holds.",
    },
    {"=": "--env --error --requires --setattr --urgency"},
)
STATES = {
    "DEPEND": job_state.PENDING,
    "SCHED": job_state.PENDING,
    "RUN": job_state.RUNNING,
    "CLEANUP": job_state.RUNNING,
    "COMPLETED": job_state.DONE,
    "FAILED": job_state.FAILED,
    "CANCELED": job_state.CANCELLED,
    "TIMEOUT": job_state.TIMED_OUT,
}


class Flux(Scheduler):
    """Flux."""

    syntax = DirectiveSyntax(
        command="flux batch",
        prefix="#flux:",
        options=OPTIONS,
        reserved={"--name": "--job-name", "--logs": "--output --error"},
        time="--time-limit",
        outputs=("--output", "--error"),
        cores=("--cores-per-slot", r"([2-9]|\d\d)"),
    )
    lint_rules = (
        Rule(
            "flux-minutes",
            "write the unit: 90m or 90s",
            values("flux", "--time-limit", r"\d+", "{value} is {value} minutes"),
        ),
    )
    library = Path(__file__).with_name("flux.sh")
    detection_command = "flux"
    query_command = "flux"
    cancel_command = ("flux", "cancel")
    submit_directory = "PWD"
    job_pattern = r"^(?P<number>f\w+)$"
    array = r"(?!)"
    output = r"{name}-{number}\.out"
    overrides = "FLUX_"

    def directives(self, job):
        """Return the options of flux batch."""
        request = job.request
        if request.array:
            raise UsageError(f"--array {request.array}: Flux has no job arrays")
        lines = [
            f"--job-name={request.name}",
            f"--nodes={request.nodes}",
            f"--nslots={request.ntasks}",
            f"--cores-per-slot={request.threads}",
            f"--time-limit={request.time}s",
            f"--output={request.logs}/{request.name}-{{{{id}}}}.out",
        ]
        lines += [f"--queue={request.queue}"] if request.queue else []
        kind = "afterany" if request.after_any else "afterok"
        lines += [f"--dependency={kind}:{number}" for number in request.after_ids]
        return [*lines, *job.directives]

    def submission(self, job):
        """Return the command that submits a script."""
        return [
            *("flux", "batch", f"--output={job.directory}/{{{{name}}}}-{{{{id}}}}.out"),
            *(f"--env={variable}" for variable in job.variables),
            *(f"--dependency=afterany:{number}" for number in job.waits),
            job.script,
        ]

    def job_statuses(self, numbers, _cluster, /):
        """Return the statuses of the jobs, ended ones included."""
        command = ["flux", "jobs", "-a", "-n", "-o", "{id} {status} {returncode}"]
        statuses = {}
        for line in self.run([*command, *numbers], "unknown job").splitlines():
            number, state, code = line.split()
            value = int(code) if code.isdigit() else None
            state = STATES.get(state, job_state.UNKNOWN)
            statuses[number] = JobStatus(state, value)
        return statuses


FLUX_RUN = Launcher(
    {"mpich": LaunchCommand("flux run -N {nodes} -n {ntasks} -c {threads}")}, "flux"
)
