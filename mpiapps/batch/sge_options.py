"""The options of Grid Engine's qsub."""

from mpiapps.batch.options import QSUB, DirectiveSyntax, option_table

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
        "-binding *": "Bind the job to cores: {}.",
    },
    {
        "=": "-ac -adds -ar -bgio -C -c -ckpt -clearp -clears -dc -display -dl -js"
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
