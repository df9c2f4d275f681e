"""The rows of options that `mpiapps.batch.options` makes tables of, by command.

First the options that are explained: names, what each takes, meaning; ``{}`` is the
value. Then what they take, with the names of those that are not explained; names of the
same option are joined by ``/``. What they take is ``=``, ``?``, ``*``, a kind of value,
or ``.`` for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

Rows = tuple[Mapping[str, str], Mapping[str, str]]

SBATCH: Rows = (
    {
        "--job-name -J =": "The job's name, in squeue and in the output's name (%x).",
        "--nodes -N N": "Hosts: {}. Left out, ranks may land on any number of them.",
        "--ntasks-per-node --tasks-per-node #": "MPI ranks on each host: {}. With"
        " --nodes it fixes the shape; srun and mpiexec read it.",
        "--ntasks --tasks -n #": "MPI ranks in all: {}. How many land on which host is"
        " left open unless --nodes and --ntasks-per-node say.",
        "--cpus-per-task -c #": "Cores of each rank: {}. srun before Slurm 23.11"
        " forgets it: it must be repeated there.",
        "--ntasks-per-socket #": "MPI ranks on each socket, at most: {}.",
        "--ntasks-per-core #": "MPI ranks on each core, at most: {}.",
        "--ntasks-per-gpu #": "MPI ranks for each GPU: {}.",
        "--threads-per-core #": "Only hosts with so many hardware threads a core, of"
        " which so many are used: {}.",
        "--mem M": "Memory of each host: {}; M and G are powers of 1024, a number alone"
        " counts MiB, 0 is all of it. Not together with --mem-per-cpu.",
        "--mem-per-cpu M": "Memory for each core: {}; a number alone counts MiB. Not"
        " together with --mem.",
        "--mem-per-gpu M": "Memory for each GPU: {}. Not together with --mem.",
        "--time -t T": "The limit: {}, as days-hours:minutes:seconds. A number alone"
        " counts minutes; 1:30 would be 90 seconds.",
        "--time-min T": "The shortest limit that is accepted for an earlier start: {}.",
        "--begin -b =": "Starts not before {}.",
        "--deadline =": "Removed if it cannot end before {}.",
        "--signal =": "A warning: {} is signal@seconds before the limit; B: sends it to"
        " this script alone, which hands it on to the launcher.",
        "--output -o =": "Standard output, and error without --error: {}. The folder"
        " must exist, or the job dies without a word.",
        "--error -e =": "Standard error by itself: {}. The folder must exist.",
        "--input -i =": "Standard input: {}.",
        "--chdir -D =": "Starts in the folder {}, not where it was submitted.",
        "--open-mode =": "{}: a job that starts again adds to its output (append) or"
        " loses it (truncate).",
        "--requeue .": "The job may start again: after a lost host, preemption, or when"
        " it asks for it.",
        "--no-requeue .": "The job never starts again by itself.",
        "--export =": "{}: the part of your environment that the job gets. With NONE"
        " it does not depend on who submits the job, and from which shell.",
        "--get-user-env ?": "The environment of a login of yours is made for the job.",
        "--array -a =": "One job for each index: {}; after % how many at once.",
        "--dependency -d =": "Starts when {} holds: afterok means ended well, afterany"
        " ended.",
        "--kill-on-invalid-dep =": "If that can never hold, the job ends rather than"
        " waits for ever.",
        "--gres =": "Other resources of each host: {}, as name:type:count.",
        "--gpus -G =": "GPUs in all: {}, as count or type:count.",
        "--gpus-per-node =": "GPUs of each host: {}.",
        "--gpus-per-task =": "GPUs of each rank: {}; a rank sees only its own.",
        "--cpus-per-gpu #": "Cores for each GPU: {}.",
        "--account -A =": "Who pays: {}.",
        "--partition -p =": "The queue: {}.",
        "--qos -q =": "The quality of service: {}; it has limits and a priority.",
        "--reservation =": "In the reservation {}, on its hosts and in its time.",
        "--licenses -L =": "Licences that it takes: {}.",
        "--clusters --cluster -M =": "On one of the clusters {}.",
        "--mail-type =": "Mail when: {}.",
        "--mail-user =": "Mail to: {}.",
        "--comment =": "A remark: {}.",
        "--constraint -C =": "Only hosts with the feature {}.",
        "--nodelist -w =": "On these hosts, and more if they do not suffice: {}.",
        "--nodefile -F =": "On the hosts that the file {} names.",
        "--exclude -x =": "Not on these hosts: {}.",
        "--exclusive ?": "No other job on the same hosts; with =user none of another"
        " user.",
        "--oversubscribe -s .": "Other jobs may share its cores.",
        "--contiguous .": "Only hosts that are next to each other.",
        "--switches =": "Hosts below so many switches: {}, as count@longest-wait.",
        "--distribution -m =": "The distribution of ranks over hosts and sockets: {}.",
        "--hint =": "{}: nomultithread counts cores, not hardware threads.",
        "--tmp =": "Only hosts with so much temporary disk: {}.",
        "--nice ?": "A lower priority, by the value.",
        "--hold -H .": "Waits until `scontrol release`.",
        "--wait -W .": "sbatch waits for the end of the job.",
        "--parsable .": "sbatch prints the number alone.",
        "--test-only .": "sbatch submits nothing.",
        "--wrap =": "The command {} in place of a script.",
        "hetjob packjob .": "A heterogeneous job: the options below ask for one more"
        " part, with hosts of its own.",
    },
    {
        "=": "--acctg-freq --batch --bb --bbf --cluster-constraint --container"
        " --container-id --core-spec/-S --cores-per-socket --cpu-freq --delay-boot"
        " --export-file --extra --extra-node-info/-B --gid --gpu-bind --gpu-freq"
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
QSUB_SGE: Rows = (
    {
        "-S =": "The shell that reads the script: {}; by default it may not be bash.",
        "-N =": "The job's name: {}; no leading digit.",
        "-cwd .": "Starts where it was submitted, not in the home folder.",
        "-wd =": "Starts in the folder {}.",
        "-j =": "Standard error goes where standard output goes: {}.",
        "-o =": "Standard output: {}.",
        "-e =": "Standard error: {}.",
        "-i =": "Standard input: {}.",
        "-r =": "The job may start again, after a lost host or when it exits with 99:"
        " {}.",
        "-R =": "Slots are kept for it while it waits: {}.",
        "-notify .": "USR1 before a suspension, USR2 before a kill; Hydra's mpiexec"
        " dies of USR2.",
        "-l =": "Resources: {}. Memory most often counts per slot.",
        "-l h_rt =": "The limit: {}; the job is killed then.",
        "-l s_rt =": "A warning by USR1 after {}.",
        "-hard .": "The resources that follow are needed.",
        "-soft .": "The resources that follow are wishes.",
        "-pe *": "Parallel environment and slots: {}. A slot is a core; the"
        " environment's allocation_rule decides how many each host gives.",
        "-t =": "One job for each index: {}.",
        "-tc =": "At most {} of them at once.",
        "-hold_jid =": "Starts when these have ended, well or not: {}.",
        "-hold_jid_ad =": "Each element starts when the same one of {} has ended.",
        "-P =": "Who pays: {}.",
        "-A =": "The account: {}.",
        "-q =": "The queue: {}.",
        "-m =": "Mail when: {} (b at the beginning, e at the end, a if it is aborted).",
        "-M =": "Mail to: {}.",
        "-p =": "The priority: {}.",
        "-a =": "Starts not before {}.",
        "-V .": "Hands over all of your environment: the job depends on it.",
        "-v =": "Variables for the job: {}.",
        "-b =": "Whether the command is a program, not a script: {}.",
        "-sync =": "Whether qsub waits for the end: {}.",
        "-h .": "Waits until `qrls`.",
        "-binding *": "Binds the job to cores: {}.",
    },
    {
        "=": "-ac -adds -ar -bgio -C -c -ckpt -clearp -clears -dc -display -dl -js"
        " -jsv -masterl -masterq -mods -now -par -pty -rou -rsv_inst -sc -shell -u"
        " -umask -w -xd -xdv -@",
        "": "-clear -help -nostdin -noshell -terse -verbose -verify",
    },
)
QSUB_PBS: Rows = (
    {
        "-S =": "The shell that reads the script: {}.",
        "-N =": "The job's name: {}.",
        "-l =": "Resources: {}.",
        "-l select =": "Chunks: {}. ncpus are cores of each, mpiprocs ranks of each"
        " (one line each in PBS_NODEFILE), ompthreads sets OMP_NUM_THREADS.",
        "-l place =": "{}: scatter puts each chunk on a host of its own.",
        "-l walltime =": "The limit: {}. PBS gives no warning: the script has a timer.",
        "-l nodes =": "The old way to ask for hosts: {}; not together with select.",
        "-l mem =": "Memory of the job in all: {}.",
        "-l pmem =": "Memory of each process: {}.",
        "-j =": "Standard error goes where standard output goes: {}.",
        "-o =": "Standard output: {}.",
        "-e =": "Standard error: {}.",
        "-k =": "Output stays on, or is written straight from, the host: {}.",
        "-r =": "The job may start again after a lost host: {}.",
        "-J =": "One job for each index: {}.",
        "-t =": "Torque: one job for each index: {}.",
        "-W =": "{}: depend=afterok waits for jobs to end well, afterany to end.",
        "-A =": "Who pays: {}.",
        "-P =": "Who pays: {}.",
        "-q =": "The queue: {}.",
        "-m =": "Mail when: {} (b at the beginning, e at the end, a if it is aborted).",
        "-M =": "Mail to: {}.",
        "-p =": "The priority: {}.",
        "-a =": "Starts not before {}.",
        "-V .": "Hands over all of your environment: the job depends on it.",
        "-v =": "Variables for the job: {}.",
        "-d =": "Torque: starts in the folder {}.",
        "-h .": "Waits until `qrls`.",
        "-z .": "qsub does not print the number.",
    },
    {"=": "-c -C -D -L -R -T -u -w", "": "-f -F -G -I -n -x -X"},
)
BSUB: Rows = (
    {
        "-J =": "The job's name, and the indices of an array: {}.",
        "-n N": "MPI ranks in all: {}.",
        "-R =": "Shape and memory: {}. ptile: ranks on each host, core(): cores of"
        " each.",
        "-W =": "The limit: {}, as hours:minutes.",
        "-We =": "About how long it takes: {}, as hours:minutes; no limit.",
        "-wa =": "A warning before the limit: {} (-wt is in minutes).",
        "-wt =": "How many minutes before the limit the warning comes: {}.",
        "-M =": "The limit of memory: {}, of each process or of the job, by the site.",
        "-o =": "Standard output and error, added to what is there: {}.",
        "-oo =": "Standard output and error, overwritten: {}.",
        "-e =": "Standard error, added to what is there: {}.",
        "-eo =": "Standard error, overwritten: {}.",
        "-i =": "Standard input: {}.",
        "-cwd =": "Starts in the folder {}.",
        "-r .": "The job may start again after a lost host.",
        "-rn .": "The job never starts again.",
        "-Q =": "The job starts again when it exits with {}.",
        "-env =": "{}: what the job gets of your environment.",
        "-gpu =": "GPUs: {}.",
        "-P =": "Who pays: {}.",
        "-q =": "The queue: {}.",
        "-m =": "Only on the hosts {}.",
        "-w =": "Starts when {} holds.",
        "-b =": "Starts not before {}.",
        "-t =": "Killed at {}.",
        "-N .": "A report by mail at the end.",
        "-B .": "A mail at the beginning.",
        "-u =": "Mail to: {}.",
        "-x .": "No other job on the same hosts.",
        "-H .": "Waits until `bresume`.",
        "-K .": "bsub waits for the end of the job.",
        "-L =": "A login by the shell {} makes the environment.",
        "-G =": "The group of users: {}.",
        "-U =": "In the reservation {}.",
        "-app =": "The application's profile: {}.",
    },
    {
        "=": "-a -alloc_flags -ar -C -c -clusters -cn_cu -core_isolation -cu -D -data"
        " -datagrp -E -Ep -Jd -F -f -ext/-extsched -g -eptl -hostfile -is -jobaff"
        " -jsm -jsdl -k -Lp -ln_mem -ln_slots -mig -nnodes -p -pack -rcacct -S -s"
        " -sla -smt -sp -stage -T -tty -ul -v -Zs",
        "": "-hl -I -Ip -IS -ISp -ISs -Is -IX -notify -ptl -pvm -V -X",
    },
)
