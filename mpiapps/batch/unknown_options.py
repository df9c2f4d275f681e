"""Explain options that users type from habit: of the program, or of a scheduler."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence

from mpiapps.app.parser import Parser

OUTPUT = (
    "the output of a run is in its directory: `mpiapps logs RUN` prints it, and --logs"
    " DIRECTORY selects the parent of these directories"
)
# Option of sbatch, qsub or bsub -> what it is here.
HERE = {
    **dict.fromkeys(
        ("--ntasks", "-n"),
        "use --ranks for ranks on any hosts, or --nodes and --ranks-per-node, whose"
        " product is the number of ranks",
    ),
    **dict.fromkeys(("--cpus-per-task", "-c"), "use --threads, cores per rank"),
    **dict.fromkeys(
        ("--mem", "--mem-per-cpu", "--mem-per-gpu"), "use --memory, per rank"
    ),
    **dict.fromkeys(
        ("--gpus-per-node", "--gpus-per-task", "--gres"),
        "use --gpus [TYPE:]N, per rank, or --gpus N/node",
    ),
    **dict.fromkeys(("--output", "--error", "-o", "-e", "-oo"), OUTPUT),
    **dict.fromkeys(("--job-name", "-J"), "use --name"),
    **dict.fromkeys(("--export", "-v"), "use --env NAME=VALUE"),
    **dict.fromkeys(("--signal", "-notify"), "use --signal-delay"),
    **dict.fromkeys(("--requeue", "--no-requeue"), "use --max-requeues"),
    **dict.fromkeys(("-t", "-W", "--walltime"), "use --time"),
    **dict.fromkeys(("-p", "-q"), "use --queue"),
    **dict.fromkeys(("-A", "-P"), "use --account"),
    "--ntasks-per-node": "use --nodes and --ranks-per-node",
    "--wrap": "pass a script.py as PROGRAM",
    "-d": "use --dependency",
    "-a": "use --array",
    "-C": "use --constraint",
    "-w": "use --nodelist",
    "-x": "use --exclude or --exclusive",
}


def unknown_message(
    parser: Parser,
    program: str,
    options_of: Callable[[str], Collection[str]],
    unknown: Sequence[str],
) -> str:
    """Return the error message for unknown arguments in front of ``--``.

    Parameters
    ----------
    parser : Parser
        Of the command; its name is ``mpiapps submit``, for example.
    program : str
        Empty if the command has none.
    options_of : callable
        Returns the options of a program; empty if they are not known.
    unknown : sequence of str
    """
    if not program:
        return parser.unknown_message(unknown[0])
    options = options_of(program)
    argument = next((word for word in unknown if word[:1] == "-"), unknown[0])
    name = argument.partition("=")[0]
    example = f"{parser.prog} {shlex.quote(program)} -- {shlex.quote(argument)} ..."
    if name in options:
        return (
            f"{argument} is an option of {program}; the program's options follow --:"
            f" {example}"
        )
    if argument[:1] != "-":
        return (
            f"{argument} is not an option of {parser.prog}; the program's arguments"
            f" follow --: {example}"
        )
    if name in HERE:
        return f"{name} is an option of a scheduler; {HERE[name]}"
    if argument[:2] != "--":
        return (
            f"unknown option {argument}; an option of sbatch, qsub or bsub is passed by"
            f" --directive='{argument} VALUE', one of {program} follows --: {example}"
        )
    hint = "" if options else f"; an option of {program} follows --: {example}"
    return parser.unknown_message(argument) + hint
