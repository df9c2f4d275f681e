"""The options of bsub."""

import re

from mpiapps.batch import lowering
from mpiapps.batch.lowering import LoweringTable, Refused, refusal
from mpiapps.batch.options import DirectiveSyntax, option_table
from mpiapps.batch.request import Job
from mpiapps.batch.request_values import expand_hosts, local_time, mail_events

OPTIONS = option_table(
    {
        "-J =": "Name of the job, and the indices of an array: {}.",
        "-n N": "MPI ranks in total: {}.",
        "-R =": "Shape and memory: {}. ptile: ranks per host, the last may have fewer;"
        " core(): cores per rank; mem: per host, or per rank with /task.",
        "-W =": "Time limit: {}, as hours:minutes.",
        "-We =": "Estimated run time: {}, as hours:minutes; not a limit.",
        "-wa =": "Warning before the time limit: {} (-wt: minutes before it).",
        "-wt =": "Minutes between the warning and the time limit: {}.",
        "-M =": "Memory limit: {}, per process or per job, depending on the site.",
        "-o =": "Standard output and error, appended to {}.",
        "-oo =": "Standard output and error, overwriting {}.",
        "-e =": "Standard error, appended to {}.",
        "-eo =": "Standard error, overwriting {}.",
        "-i =": "Standard input: {}.",
        "-cwd =": "Start in directory {}.",
        "-r .": "Restart the job after a host failure.",
        "-rn .": "Never restart the job.",
        "-Q =": "Restart the job when it exits with {}.",
        "-env =": "Environment variables of the submission that the job gets: {}.",
        "-gpu =": "GPUs: {}.",
        "-P =": "Project to charge: {}.",
        "-q =": "Queue: {}.",
        "-m =": "Only on hosts {}.",
        "-Jd =": "Description of the job: {}.",
        "-Ne .": "Send a report by mail if the job fails.",
        "-clusters =": "Run on one of the clusters {}.",
        "-sla =": "Service class, which sets goals and priority: {}.",
        "-w =": "Start when {} holds.",
        "-b =": "Earliest start: {}.",
        "-t =": "Kill the job at {}.",
        "-N .": "Send a report by mail at the end.",
        "-B .": "Send mail at the start.",
        "-u =": "Mail address: {}.",
        "-x .": "No other job on the same hosts.",
        "-H .": "Hold the job until `bresume`.",
        "-K .": "bsub waits for the end of the job.",
        "-L =": "Give the job the environment of login shell {}.",
        "-G =": "User group: {}.",
        "-U =": "Use reservation {}.",
        "-app =": "Application profile: {}.",
    },
    {
        "=": "-a -alloc_flags -ar -C -c -cn_cu -core_isolation -cu -D -data"
        " -datagrp -E -Ep -F -f -ext/-extsched -g -eptl -hostfile -is -jobaff"
        " -jsm -jsdl -k -Lp -ln_mem -ln_slots -mig -nnodes -p -pack -rcacct -S -s"
        " -smt -sp -stage -T -tty -ul -v -Zs",
        "": "-hl -I -Ip -IS -ISp -ISs -Is -IX -notify -ptl -pvm -V -X",
    },
)
SYNTAX = DirectiveSyntax(
    command="bsub",
    prefix="#BSUB",
    options=OPTIONS,
    reserved={
        "--dependency": "-w",
        "--logs": "-e -eo -o -oo",
        "--max-requeues": "-Q",
        "--name and --array": "-J",
        "--nodes, --ranks-per-node and --ranks": "-n",
        "--time": "-W",
        "--wait": "-K",
        "": "-cwd",
    },
    time="-W",
    outputs=("-o", "-oo", "-e", "-eo"),
    cores=("-R", r".*core\(([2-9]|\d\d).*"),
)

EVENTS = {"begin": "-B", "end": "-N", "fail": "-Ne", "none": ""}
OPERATORS = {"&": " && ", "|": " || ", "=": "=="}


def shape(job: Job) -> str:
    """Return the resource requirement for hosts, cores and memory."""
    request, hosts = job.request, job.request.shape.hosts
    parts = [f"span[ptile={request.ranks_per_node}]"] if hosts else []
    parts += [f"affinity[core({request.threads})]"]
    if request.memory and hosts:
        parts += [f"rusage[mem={request.memory_per_node}MB]"]
    elif request.memory:
        parts += [f"rusage[mem={request.memory_of(1)}MB/task]"]  # from LSF 10.1.0.9
    return " ".join(parts)


def _words(text: str) -> str:
    """Return a list of names as one word of bsub."""
    return f'"{text.replace(",", " ")}"' if "," in text else text


def _gpus(job: Job) -> list[str]:
    """Return GPUs per host: tasks with their own hide those of the others."""
    request = job.request
    model = f":gmodel={request.gpu_type}" if request.gpu_type else ""
    mps = ":mps=yes" if request.gpu_mps else ""
    return [f'-gpu "num={lowering.gpus_of_host(job, "LSF")}/host{mps}{model}"']


def _constraint(job: Job) -> list[str]:
    text = job.request.constraint
    if not re.fullmatch(r"[\w.()!]+([&|=][\w.()!]+)*", text):
        raise refusal(
            "constraint",
            text,
            "LSF has no counts and no brackets of features; write names, or"
            " NAME=VALUE, joined by & or |",
        )
    selection = re.sub("[&|=]", lambda match: OPERATORS[match[0]], text)
    return [f'-R "select[{selection}]"']


def _nodelist(job: Job) -> list[str]:
    return [f"-m {_words(','.join(lowering.all_hosts(job, 'LSF')))}"]


def _exclude(job: Job) -> list[str]:
    """Return the other hosts, unless ``--nodelist`` selects all hosts already."""
    terms = [f"hname!='{host}'" for host in expand_hosts(job.request.exclude)]
    return [] if job.request.nodelist else [f'-R "select[{" && ".join(terms)}]"']


def _licenses(job: Job) -> list[str]:
    terms = (f"{name}={count}" for name, count in lowering.license_counts(job))
    return [f'-R "rusage[{",".join(terms)}]"']


def _mail_type(job: Job) -> list[str]:
    events = mail_events(job.request.mail_type)
    if "end" in events:
        events -= {"fail"}  # -N reports failures too, and excludes -Ne
    lowering.check_events(job, EVENTS)
    return [option for event, option in EVENTS.items() if event in events and option]


LOWERINGS: LoweringTable = {
    "gpus": _gpus,
    "gpu_mps": lowering.in_other_directive,
    "exclusive": "-x",
    "account": "-P {}",
    "queue": lambda job: [f"-q {_words(job.request.queue)}"],
    "qos": "-sla {}",
    "reservation": "-U {}",
    "constraint": _constraint,
    "nodelist": _nodelist,
    "exclude": _exclude,
    "licenses": _licenses,
    "begin": lambda job: [f"-b {local_time(job.request.begin):%Y:%m:%d:%H:%M}"],
    "deadline": lambda job: [f"-t {local_time(job.request.deadline):%Y:%m:%d:%H:%M}"],
    "nice": Refused(
        "has priorities from 1 to the MAX_USER_PRIORITY of the site; see `bparams -a`,"
        " and use --directive='-sp PRIORITY'"
    ),
    "comment": '-Jd "{}"',
    "clusters": lambda job: [f"-clusters {_words(job.request.clusters)}"],
    "mail_type": _mail_type,
    "mail_user": lambda job: [f"-u {_words(job.request.mail_user)}"],
}
