"""The options of PBS's qsub."""

from collections import Counter

from mpiapps.batch import lowering
from mpiapps.batch.lowering import LoweringTable, Refused, in_other_directive, refusal
from mpiapps.batch.options import QSUB, DirectiveSyntax, option_table
from mpiapps.batch.request import Job
from mpiapps.batch.request_values import expand_hosts, local_time

OPTIONS = option_table(
    {
        **QSUB,
        "-l =": "Resources: {}.",
        "-l select =": "Chunks: {}. ncpus: cores per chunk; mpiprocs: ranks per chunk"
        " (one line each in PBS_NODEFILE); ompthreads: OMP_NUM_THREADS.",
        "-l place =": "{}: scatter puts each chunk on its own host, free on any.",
        "-l walltime =": "Time limit: {}. PBS sends no warning: the script has"
        " a timer.",
        "-l nodes =": "Old request of hosts: {}; excludes select.",
        "-l mem =": "Memory of the job in total: {}.",
        "-l pmem =": "Memory per process: {}.",
        "-k =": "Keep output on the host, or write it directly to its target: {}.",
        "-r =": "Restart the job after a host failure: {}.",
        "-J =": "One job per index: {}.",
        "-t =": "Torque: one job per index: {}.",
        "-W =": "{}: depend=afterok starts the job after the success of others,"
        " afterany after their end.",
        "-d =": "Torque: start in directory {}.",
        "-z .": "qsub does not print the job number.",
    },
    {"=": "-c -C -D -L -R -T -u -w", "": "-f -F -G -I -n -x -X"},
)
SYNTAX = DirectiveSyntax(
    command="qsub",
    prefix="#PBS",
    options=OPTIONS,
    reserved={
        "--array": "-J -t",
        "--dependency": "-W depend",
        "--logs": "-e -o",
        "--name": "-N",
        "--nodes": "-l nodes",
        "--nodes, --ranks-per-node and --ranks": "-l select",
        "--time": "-l walltime",
        "": "-j -z",
    },
    time="-l walltime",
    outputs=("-o", "-e"),
    cores=("-l select", r".*ncpus=([2-9]|\d\d).*"),
    variables=r"\$PBS_",
    start=r"\s*#PBS",
)

NICEST = 1024  # qsub -p accepts -1024 to 1023
LETTERS = {"begin": "b", "end": "e", "fail": "a", "none": "n"}


def chunks(job: Job) -> str:
    """Return the value of ``select``: hosts with a name first, the smallest one last.

    A chunk is a host or, on any hosts, a rank.
    """
    request, shape = job.request, job.request.shape
    ranks = [shape.ranks_per_host or 1] * shape.max_hosts
    if shape.hosts:
        ranks[-1] = shape.last
    named = expand_hosts(request.nodelist) if request.nodelist else []
    parts = [
        f"1:{_chunk(job, size)}:host={host}"
        for host, size in zip(named, ranks, strict=False)
    ]
    sizes = Counter(ranks[len(named) :])  # in the order of the list
    parts += [f"{number}:{_chunk(job, size)}" for size, number in sizes.items()]
    return "+".join(parts)


def _chunk(job: Job, ranks: int) -> str:
    """Return a chunk with some ranks."""
    request = job.request
    chunk = f"ncpus={ranks * request.threads}"
    chunk += f":mpiprocs={ranks}:ompthreads={request.threads}"
    chunk += f":mem={request.memory_of(ranks)}mb" if request.memory else ""
    lowering.check_gpus_per_host(job, "PBS requests GPUs of each chunk")
    gpus = request.gpus_of(ranks)
    chunk += f":ngpus={gpus}" if gpus else ""
    if request.gpu_type:
        chunk += f":{lowering.gpu_type_resource(job)}={request.gpu_type}"
    if request.constraint:
        pairs = lowering.features(job, "PBS")
        chunk += "".join(f":{name}={value or 'True'}" for name, value in pairs)
    return chunk


def _gpu_mps(job: Job) -> list[str]:
    if job.request.shape.max_hosts > 1:
        raise refusal(
            "gpu_mps",
            True,
            "on PBS the script starts MPS on its own host alone; use one host, or ask"
            " the site for MPS in a prologue",
        )
    return []


def _queue(job: Job) -> list[str]:
    request = job.request
    if "," in request.queue:
        raise refusal(
            "queue", request.queue, "a job of PBS has one queue; name one of them"
        )
    if request.reservation and request.queue != job.site.queue:
        raise refusal(
            "reservation",
            request.reservation,
            f"a reservation of PBS is a queue of its own; leave out --queue"
            f" {request.queue}",
        )
    return [] if request.reservation else [f"-q {request.queue}"]


LOWERINGS: LoweringTable = {
    "gpus": in_other_directive,
    "gpu_mps": _gpu_mps,
    "exclusive": in_other_directive,
    "account": "-A {}",
    "queue": _queue,
    "qos": Refused("of PBS has no quality of service; select a queue by --queue"),
    "reservation": lambda job: [f"-q {job.request.reservation.partition('.')[0]}"],
    "constraint": in_other_directive,
    "nodelist": in_other_directive,
    "exclude": Refused(
        "of PBS cannot exclude hosts; select others by --constraint or --nodelist"
    ),
    "licenses": lambda job: [
        f"-l {name}={count}" for name, count in lowering.license_counts(job)
    ],
    "begin": lambda job: [f"-a {local_time(job.request.begin):%Y%m%d%H%M}"],
    "deadline": Refused("of PBS has no deadline; use --time"),
    "nice": lambda job: [f"-p -{lowering.niceness(job, NICEST, 'PBS')}"],
    "comment": Refused(
        "of PBS reserves comments for operators; use --name, or --env COMMENT=TEXT"
    ),
    "clusters": Refused(
        "of PBS names a server with its queue: --queue QUEUE@SERVER for one of them"
    ),
    "mail_type": lambda job: [f"-m {lowering.mail_letters(job, LETTERS)}"],
    "mail_user": "-M {}",
}
