"""The options of sbatch."""

from mpiapps.batch.lowering import LoweringTable, gpus_of_host, in_other_directive
from mpiapps.batch.options import DirectiveSyntax, option_table
from mpiapps.batch.request import Job
from mpiapps.batch.request_values import local_time

OPTIONS = option_table(
    {
        "--job-name -J =": "Name of the job, in squeue and in the output file (%x).",
        "--nodes -N N": "Hosts: {}; without it, any number of hosts.",
        "--ntasks-per-node --tasks-per-node #": "MPI ranks per host: {}; with --ntasks"
        " the maximum.",
        "--ntasks --tasks -n #": "MPI ranks: {}; on any hosts without --nodes.",
        "--cpus-per-task -c #": "Cores per rank: {}; srun before 23.11 ignores it.",
        "--ntasks-per-socket #": "Maximum number of MPI ranks per socket: {}.",
        "--ntasks-per-core #": "Maximum number of MPI ranks per core: {}.",
        "--ntasks-per-gpu #": "MPI ranks per GPU: {}.",
        "--threads-per-core #": "Only hosts with {} threads per core; all are used.",
        "--mem M": "Memory per host: {}; M and G are powers of 1024, a plain number is"
        " in MiB, 0 is all memory. Excludes --mem-per-cpu.",
        "--mem-per-cpu M": "Memory per core: {}, MiB without a unit; excludes --mem.",
        "--mem-per-gpu M": "Memory per GPU: {}; excludes --mem.",
        "--time -t T": "Time limit: {}, as days-hours:minutes:seconds. A plain number"
        " is in minutes; 1:30 is 90 seconds.",
        "--time-min T": "Shortest time limit to accept for an earlier start: {}.",
        "--begin -b =": "Earliest start: {}.",
        "--deadline =": "Remove the job if it cannot end before {}.",
        "--signal =": "Warning signal before the time limit: {} (signal@seconds). B:"
        " sends it to this script only, which forwards it to the launcher.",
        "--output -o =": "Standard output: {}; the directory must exist.",
        "--error -e =": "Standard error: {}. The directory must exist.",
        "--input -i =": "Standard input: {}.",
        "--chdir -D =": "Start in directory {}, not in that of the submission.",
        "--open-mode =": "{}: append to, or truncate, the output of a restarted job.",
        "--requeue ?": "The job may be requeued, by itself or after a host failure;"
        " =expedite, from 25.11 on: at once, and before other jobs.",
        "--no-requeue .": "Never requeue the job automatically.",
        "--export =": "Environment variables of the submission that the job gets: {}."
        " With NONE the job does not depend on the shell that submits it.",
        "--get-user-env ?": "Give the job the environment of a login shell.",
        "--array -a =": "One job per index: {}; % limits how many run at once.",
        "--dependency -d =": "Start when {} holds (afterok: success, afterany: end).",
        "--kill-on-invalid-dep =": "Remove the job if its dependency can never hold.",
        "--gres =": "Other resources per host: {}, as name:type:count.",
        "--gpus -G =": "GPUs in total: {}, as count or type:count.",
        "--gpus-per-node =": "GPUs per host: {}.",
        "--gpus-per-task =": "GPUs per rank: {}; a rank sees only its own.",
        "--cpus-per-gpu #": "Cores per GPU: {}.",
        "--account -A =": "Account to charge: {}.",
        "--partition -p =": "Partition (queue): {}.",
        "--qos -q =": "Quality of service: {}; it sets limits and priority.",
        "--reservation =": "Use the hosts and the time of reservation {}.",
        "--licenses -L =": "Licences that the job uses: {}.",
        "--clusters --cluster -M =": "Run on one of the clusters {}.",
        "--mail-type =": "Events that send mail: {}.",
        "--mail-user =": "Mail address: {}.",
        "--comment =": "Comment: {}.",
        "--constraint -C =": "Only hosts with feature {}.",
        "--nodelist -w =": "Include these hosts: {}.",
        "--nodefile -F =": "Include the hosts that file {} lists.",
        "--exclude -x =": "Exclude these hosts: {}.",
        "--exclusive ?": "No other job on its hosts; =user: none of another user.",
        "--oversubscribe -s .": "Other jobs may share the cores.",
        "--contiguous .": "Only adjacent hosts.",
        "--switches =": "Maximum number of switches: {}, as count@longest-wait.",
        "--distribution -m =": "Distribution of ranks over hosts and sockets: {}.",
        "--hint =": "{}: nomultithread counts cores, not hardware threads.",
        "--tmp =": "Minimum temporary disk space per host: {}.",
        "--nice ?": "Lower the priority by this value.",
        "--hold -H .": "Hold the job until `scontrol release`.",
        "--wait -W .": "sbatch waits for the end of the job.",
        "--parsable .": "sbatch prints only the job number.",
        "--test-only .": "sbatch checks the script and submits nothing.",
        "--wrap =": "Run command {} instead of a script.",
        "hetjob packjob .": "Separator of a heterogeneous job: the options below"
        " request one more component, with its own hosts.",
    },
    {
        "=": "--acctg-freq --batch --bb --bbf --cluster-constraint --container"
        " --container-id --container-type --core-spec/-S --cores-per-socket"
        " --cpu-freq --delay-boot --export-file --extra --extra-node-info/-B"
        " --gid --gpu-bind --gpu-freq"
        " --gpus-per-socket --gres-flags --mcs-label --mem-bind --mincpus --network"
        " --power --prefer --priority --profile --segment --sockets-per-node"
        " --thread-spec --tres-bind --tres-per-job --tres-per-task --uid --umask"
        " --wait-all-nodes --wckey",
        "?": "--no-kill/-k --oom-kill-step --propagate --resv-ports",
        "": "--consolidate-segments --external --help/-h --ignore-pbs --overcommit/-O"
        " --quiet/-Q --reboot --spread-job --spread-segments --stepmgr --usage"
        " --use-min-nodes --verbose/-v --version/-V",
    },
)
SYNTAX = DirectiveSyntax(
    command="sbatch",
    prefix="#SBATCH",
    options=OPTIONS,
    reserved={
        "--array": "--array",
        "--dependency": "--dependency",
        "--dry-run": "--test-only",
        "--logs": "--error --output",
        "--name": "--job-name",
        "--nodes": "--nodes",
        "--ranks": "--ntasks",
        "--ranks-per-node": "--ntasks-per-node",
        "--threads": "--cpus-per-task",
        "--time": "--time",
        "--wait": "--wait",
        "": "--chdir --open-mode --parsable --wrap",
    },
    time="--time",
    outputs=("--output", "--error"),
    cores=("--cpus-per-task", r"([2-9]|\d\d).*"),
    renamed={"--workdir": "--chdir", "--share": "--oversubscribe"},
)


def shape(job: Job) -> list[str]:
    """Return the options for hosts, ranks and cores."""
    shape = job.request.shape
    lines = [f"--nodes={shape.hosts}"] if shape.hosts else []
    lines += [] if shape.is_even else [f"--ntasks={shape.ranks}"]
    lines += [f"--ntasks-per-node={shape.ranks_per_host}"] if shape.hosts else []
    return [*lines, f"--cpus-per-task={job.request.threads}"]


def memory(job: Job) -> list[str]:
    """Return the option for memory: per host, or per core on any hosts."""
    request = job.request
    if not request.memory:
        return []
    if request.shape.hosts:
        return [f"--mem={request.memory_per_node}M"]
    return [f"--mem-per-cpu={-(-request.memory_of(1) // request.threads)}M"]


def _gpus(job: Job) -> list[str]:
    kind = f"{job.request.gpu_type}:" if job.request.gpu_type else ""
    return [f"--gpus-per-node={kind}{gpus_of_host(job, 'Slurm')}"]


def _begin(job: Job) -> list[str]:
    text = job.request.begin
    return [f"--begin={f'now{text}' if text.startswith('+') else text}"]


def _deadline(job: Job) -> list[str]:
    """Return the time, also of a delay: all jobs of a run have one deadline."""
    return [f"--deadline={local_time(job.request.deadline):%Y-%m-%dT%H:%M:%S}"]


LOWERINGS: LoweringTable = {
    "gpus": _gpus,
    "gpu_mps": in_other_directive,
    "exclusive": "--exclusive",
    "account": "--account={}",
    "queue": "--partition={}",
    "qos": "--qos={}",
    "reservation": "--reservation={}",
    "constraint": "--constraint={}",
    "nodelist": "--nodelist={}",
    "exclude": "--exclude={}",
    "licenses": "--licenses={}",
    "begin": _begin,
    "deadline": _deadline,
    "nice": "--nice={}",
    "comment": '--comment="{}"',
    "clusters": "--clusters={}",
    "mail_type": lambda job: [f"--mail-type={job.request.mail_type.upper()}"],
    "mail_user": "--mail-user={}",
}
