"""The options of PBS's qsub."""

from mpiapps.batch.options import QSUB, DirectiveSyntax, option_table

OPTIONS = option_table(
    {
        **QSUB,
        "-l =": "Resources: {}.",
        "-l select =": "Chunks: {}. ncpus: cores per chunk; mpiprocs: ranks per chunk"
        " (one line each in PBS_NODEFILE); ompthreads: OMP_NUM_THREADS.",
        "-l place =": "{}: scatter puts each chunk on its own host.",
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
        "--nodes and --ranks-per-node": "-l select",
        "--time": "-l walltime",
        "": "-j -z",
    },
    time="-l walltime",
    outputs=("-o", "-e"),
    cores=("-l select", r".*ncpus=([2-9]|\d\d).*"),
    variables=r"\$PBS_",
    start=r"\s*#PBS",
)
