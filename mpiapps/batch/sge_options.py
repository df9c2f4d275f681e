"""The options of Grid Engine's qsub."""

from mpiapps.base.errors import UsageError
from mpiapps.batch import lowering
from mpiapps.batch.lowering import LoweringTable, Refused, refusal
from mpiapps.batch.options import QSUB, DirectiveSyntax, option_table
from mpiapps.batch.request import Job
from mpiapps.batch.request_values import expand_hosts, local_time

OPTIONS = option_table(
    {
        **QSUB,
        "-cwd .": "Start in the directory of the submission, not in the home.",
        "-wd =": "Start in directory {}.",
        "-i =": "Standard input: {}.",
        "-r =": "Restart the job after a host failure, or when it exits with 99: {}.",
        "-R =": "Reserve slots for the job while it waits: {}.",
        "-notify .": "Send USR1 before a suspension and USR2 before a kill; USR2 ends"
        " Hydra's mpiexec.",
        "-l =": "Resources: {}. Memory usually counts per slot.",
        "-l h_rt =": "Time limit: {}; the job is killed then.",
        "-l s_rt =": "Send USR1 as a warning after {}.",
        "-hard .": "The resources that follow are required.",
        "-soft .": "The resources that follow are preferred.",
        "-pe *": "Parallel environment and slots: {}. A slot is a core; allocation_rule"
        " of the environment sets how many each host gives.",
        "-t =": "One job per index: {}.",
        "-tc =": "Maximum number of array elements that run at once: {}.",
        "-hold_jid =": "Start when these jobs have ended, failed or not: {}.",
        "-hold_jid_ad =": "Start each element when the same element of {} has ended.",
        "-b =": "Whether the command is a program, not a script: {}.",
        "-sync =": "Whether qsub waits for the end of the job: {}.",
        "-ac =": "Variable in the context of the job: {}; `qstat -j` prints it.",
        "-ar =": "Use advance reservation {}; `qrstat` lists them.",
        "-binding *": "Bind the job to cores: {}.",
    },
    {
        "=": "-adds -bgio -C -c -ckpt -clearp -clears -dc -display -dl -js"
        " -jsv -masterl -masterq -mods -now -par -pty -rou -rsv_inst -sc -shell -u"
        " -umask -w -xd -xdv -@",
        "": "-clear -help -nostdin -noshell -terse -verbose -verify",
    },
)
SYNTAX = DirectiveSyntax(
    command="qsub",
    prefix="#$",
    options=OPTIONS,
    reserved={
        "--array": "-t -tc",
        "--dependency": "-hold_jid -hold_jid_ad",
        "--dry-run": "-verify",
        "--logs": "-e -o",
        "--name": "-N",
        "--nodes and --ranks-per-node": "-pe",
        "--time": "-l h_rt",
        "--wait": "-sync",
        "": "-b -j -wd",
    },
    time="-l h_rt",
    outputs=("-o", "-e"),
    variables=r"\$",
    # Grid Engine reads every line that begins with #$; lint reports those without `-`.
    start=r"#\$(?=\s*-)",
    attached=False,
    whole=True,
)

NICEST = 1023  # qsub -p accepts -1023 to 1024; users may only lower the priority
LETTERS = {"begin": "b", "end": "e", "fail": "a", "none": "n"}


def _gpus(job: Job) -> list[str]:
    """Return the requests of GPUs, which count per slot."""
    request, site = job.request, job.site
    if not site.gpu_resource:
        raise UsageError(
            "--gpus: the site file of this Grid Engine has no gpu_resource; set it to"
            " the name of the GPU resource"
        )
    lowering.check_gpus_per_host(job, "Grid Engine counts GPUs per slot")
    count, slots = request.gpus_of(1), request.threads
    if request.gpus_per_host:
        slots = request.cores_per_node
    if count % slots:
        raise refusal(
            "gpus",
            request.gpus,
            f"Grid Engine counts GPUs per slot, and these are for {slots} slots;"
            " request as many GPUs as slots, or a multiple",
        )
    lines = [f"-l {site.gpu_resource}={count // slots}"]
    if request.gpu_type:
        lines.append(f"-l {lowering.gpu_type_resource(job)}={request.gpu_type}")
    return lines


def _exclusive(job: Job) -> list[str]:
    if not job.site.exclusive_resource:
        raise UsageError(
            "--exclusive: the site file of this Grid Engine has no exclusive_resource;"
            " set it to a resource with the relation EXCL (`qconf -sc` lists them)"
        )
    return [f"-l {job.site.exclusive_resource}=true"]


def _constraint(job: Job) -> list[str]:
    pairs = lowering.features(job, "Grid Engine")
    return [f"-l {name}={value or 'true'}" for name, value in pairs]


def _nodelist(job: Job) -> list[str]:
    return [f"-l h={'|'.join(lowering.all_hosts(job, 'Grid Engine'))}"]


def _exclude(job: Job) -> list[str]:
    """Return the other hosts, unless ``--nodelist`` selects all hosts already."""
    hosts = "|".join(expand_hosts(job.request.exclude))
    return [] if job.request.nodelist else [f"-l h=!({hosts})"]


def _licenses(job: Job) -> list[str]:
    request = job.request
    if request.ntasks * request.threads > 1:
        raise refusal(
            "licenses",
            request.licenses,
            "Grid Engine multiplies a resource by the slots of the job, unless the"
            " resource is consumable per JOB; see `qconf -sc`, and write the request"
            " for one slot: --directive='-l NAME=N'",
        )
    return [f"-l {name}={count}" for name, count in lowering.license_counts(job)]


def _comment(job: Job) -> list[str]:
    if " " in job.request.comment:
        raise refusal(
            "comment", job.request.comment, "Grid Engine stores words without blanks"
        )
    return [f"-ac comment={job.request.comment}"]


LOWERINGS: LoweringTable = {
    "gpus": _gpus,
    "gpu_mps": lowering.in_other_directive,
    "exclusive": _exclusive,
    "account": "-P {}",
    "queue": "-q {}",
    "qos": Refused("has no quality of service; select a queue by --queue"),
    "reservation": "-ar {}",
    "constraint": _constraint,
    "nodelist": _nodelist,
    "exclude": _exclude,
    "licenses": _licenses,
    "begin": lambda job: [f"-a {local_time(job.request.begin):%Y%m%d%H%M}"],
    "deadline": Refused(
        "of Grid Engine has only the start of a higher priority (-dl), for users with"
        " this right; use --time, or --directive='-dl MMDDhhmm'"
    ),
    "nice": lambda job: [f"-p -{lowering.niceness(job, NICEST, 'Grid Engine')}"],
    "comment": _comment,
    "clusters": Refused(
        "of Grid Engine submits to its own cell; use the login node, or the settings"
        " file, of the other cluster"
    ),
    "mail_type": lambda job: [f"-m {lowering.mail_letters(job, LETTERS)}"],
    "mail_user": "-M {}",
}
