"""What each directive of a job script asks for, and why: for `mpiapps explain`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mpiapps.base.errors import UsageError
from mpiapps.batch.scheduler import TABLE


@dataclass(frozen=True)
class Line:
    """One directive: its number in the file, its text, and what it means."""

    number: int
    text: str
    meaning: str


# Option -> meaning; {} is the value.
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "slurm": {
        "--job-name -J": "The job's name, in squeue and in the output's name (%x).",
        "--nodes -N": "Hosts: {}. Left out, ranks may land on any number of them.",
        "--ntasks-per-node": "MPI ranks on each host: {}. With --nodes it fixes the"
        " shape; srun and mpiexec read it.",
        "--ntasks -n": "MPI ranks in all: {}. How many land on which host is left open"
        " unless --nodes and --ntasks-per-node say.",
        "--cpus-per-task -c": "Cores of each rank: {}. srun before Slurm 23.11 forgets"
        " it: it must be repeated there.",
        "--mem": "Memory of each host: {}; M and G are powers of 1024, 0 is all of it."
        " Not together with --mem-per-cpu.",
        "--mem-per-cpu": "Memory for each core: {}. Not together with --mem.",
        "--time -t": "The limit: {}, as days-hours:minutes:seconds. 1:30 would be 90"
        " seconds.",
        "--signal": "A warning: {} is signal@seconds before the limit; B: sends it to"
        " this script alone, which hands it on to the launcher.",
        "--output -o": "Standard output and error: {}. The folder must exist, or the"
        " job dies without a word.",
        "--error -e": "Standard error by itself: {}.",
        "--open-mode": "{}: a job that starts again adds to its output.",
        "--requeue": "The job may start again: after a lost host, preemption, or when"
        " it asks for it.",
        "--no-requeue": "The job never starts again by itself.",
        "--export": "{}: what the job gets of your environment. NONE makes it the same"
        " whoever submits it, and from wherever.",
        "--array -a": "One job for each index: {}; after % how many at once.",
        "--dependency -d": "Starts when {} holds: afterok means ended well, afterany"
        " ended.",
        "--kill-on-invalid-dep": "If that can never hold, the job ends rather than"
        " waits for ever.",
        "--gpus-per-node": "GPUs of each host: {}.",
        "--account -A": "Who pays: {}.",
        "--partition -p": "The queue: {}.",
        "--mail-type": "Mail when: {}.",
        "--mail-user": "Mail to: {}.",
        "--constraint -C": "Only hosts with the feature {}.",
        "--exclusive": "No other job on the same hosts.",
        "--hint": "{}: nomultithread counts cores, not hardware threads.",
    },
    "sge": {
        "-S": "The shell that reads the script: {}; by default it may not be bash.",
        "-N": "The job's name: {}; no leading digit.",
        "-cwd": "Starts where it was submitted, not in the home folder.",
        "-j": "Standard error goes where standard output goes.",
        "-o": "Standard output: {}.",
        "-r": "The job may start again, after a lost host or when it exits with 99.",
        "-notify": "USR1 before a suspension, USR2 before a kill; Hydra's mpiexec dies"
        " of USR2.",
        "-l": "Resources: {}. h_rt is the limit; memory most often counts per slot.",
        "-pe": "Parallel environment and slots: {}. A slot is a core; the environment's"
        " allocation_rule decides how many each host gives.",
        "-t": "One job for each index: {}.",
        "-tc": "At most {} of them at once.",
        "-hold_jid": "Starts when these have ended, well or not: {}.",
        "-P": "Who pays: {}.",
        "-q": "The queue: {}.",
        "-m": "Mail when: {} (e at the end, a if it is aborted).",
        "-M": "Mail to: {}.",
        "-V": "Hands over all of your environment: the job depends on who submits it.",
        "-v": "Variables for the job: {}.",
    },
    "pbs": {
        "-S": "The shell that reads the script: {}.",
        "-N": "The job's name: {}.",
        "-l select": "Chunks: {}. ncpus are cores of each, mpiprocs ranks of each (one"
        " line each in PBS_NODEFILE), ompthreads sets OMP_NUM_THREADS.",
        "-l place": "{}: scatter puts each chunk on a host of its own.",
        "-l walltime": "The limit: {}. PBS gives no warning: the script has a timer.",
        "-l nodes": "The old way to ask for hosts: {}; not together with select.",
        "-j": "Standard error goes where standard output goes.",
        "-o": "Standard output: {}.",
        "-r": "The job may start again after a lost host.",
        "-J": "One job for each index: {}.",
        "-W": "{}: depend=afterok waits for jobs to end well, afterany to end.",
        "-A": "Who pays: {}.",
        "-P": "Who pays: {}.",
        "-q": "The queue: {}.",
        "-m": "Mail when: {} (e at the end, a if it is aborted).",
        "-M": "Mail to: {}.",
        "-V": "Hands over all of your environment: the job depends on who submits it.",
        "-v": "Variables for the job: {}.",
    },
    "lsf": {
        "-J": "The job's name, and the indices of an array: {}.",
        "-n": "MPI ranks in all: {}.",
        "-R": "Shape and memory: {}. ptile: ranks on each host, core(): cores of each.",
        "-W": "The limit: {}, as hours:minutes.",
        "-wa": "A warning before the limit: {} (-wt is in minutes).",
        "-wt": "How many minutes before the limit the warning comes: {}.",
        "-o": "Standard output and error, added to what is there: {}.",
        "-oo": "Standard output and error, overwritten: {}.",
        "-r": "The job may start again after a lost host.",
        "-Q": "The job starts again when it exits with {}.",
        "-env": "{}: what the job gets of your environment.",
        "-gpu": "GPUs: {}.",
        "-P": "Who pays: {}.",
        "-q": "The queue: {}.",
        "-w": "Starts when {} holds.",
        "-N": "A report by mail at the end.",
        "-u": "Mail to: {}.",
        "-x": "No other job on the same hosts.",
    },
}


def explain(script: str) -> list[Line]:
    """Return what each directive of `script` means, line by line. Local.

    Raises
    ------
    UsageError
        If it holds no directive of any scheduler.
    """
    lines = []
    for number, text in enumerate(script.splitlines(), 1):
        for scheduler in TABLE.values():
            if text.startswith(scheduler.prefix + " "):
                rest = text.removeprefix(scheduler.prefix).strip()
                lines.append(Line(number, text, meaning(scheduler.name, rest)))
    if not lines:
        prefixes = ", ".join(each.prefix for each in TABLE.values())
        raise UsageError(f"no directive in the script; they begin with {prefixes}")
    return lines


def meaning(scheduler: str, rest: str) -> str:
    """Return what the directive `rest`, without its prefix, means. Local."""
    found = re.match(r"(-l \w+|--?[\w-]+)(?:[= ]+(.*))?", rest)
    if not found:
        return "Not an option: the scheduler refuses or ignores it."
    name, value = found[1], (found[2] or "").strip('"')
    for names, text in MEANINGS[scheduler].items():
        if name in names.split(" ") or name == names:
            return text.replace("{}", value or "(no value)")
    if name.startswith("-l ") and scheduler != "pbs":
        return MEANINGS[scheduler]["-l"].replace("{}", rest[3:])
    return f"An option of {scheduler} that is not explained here: see its manual."
