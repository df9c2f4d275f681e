"""The options of bsub."""

from mpiapps.batch.options import DirectiveSyntax, option_table

OPTIONS = option_table(
    {
        "-J =": "Name of the job, and the indices of an array: {}.",
        "-n N": "MPI ranks in total: {}.",
        "-R =": "Shape and memory: {}. ptile: ranks per host; core(): cores per rank.",
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
        "=": "-a -alloc_flags -ar -C -c -clusters -cn_cu -core_isolation -cu -D -data"
        " -datagrp -E -Ep -Jd -F -f -ext/-extsched -g -eptl -hostfile -is -jobaff"
        " -jsm -jsdl -k -Lp -ln_mem -ln_slots -mig -nnodes -p -pack -rcacct -S -s"
        " -sla -smt -sp -stage -T -tty -ul -v -Zs",
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
        "--nodes and --ranks-per-node": "-n",
        "--time": "-W",
        "--wait": "-K",
        "": "-cwd",
    },
    time="-W",
    outputs=("-o", "-oo", "-e", "-eo"),
    cores=("-R", r".*core\(([2-9]|\d\d).*"),
)
