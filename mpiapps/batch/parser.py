"""The command line of the commands about jobs; loads nothing that they need."""

from __future__ import annotations

import argparse
from typing import Any

from mpiapps.app.options import add_options
from mpiapps.batch.request import SCHEDULERS, Request

EPILOG = "What follows -- are the program's own options."

# name -> what `mpiapps --help` says of it
COMMANDS = {
    "render": "print a job script",
    "submit": "render a job script and submit it",
    "status": "how runs are, or how they ended",
    "wait": "wait for runs to end; the exit code is theirs",
    "cancel": "end runs",
    "logs": "print what runs have printed",
    "resubmit": "submit runs again, to go on from what they saved",
    "explain": "say line by line what a job script's directives do",
    "lint": "find the known traps in a job script",
    "site": "site probe: print a site file for this cluster",
}


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of `mpiapps`. Local."""
    for name, text in COMMANDS.items():
        parser = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(parser=parser)
        _arguments(name, parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


def _arguments(name: str, parser: argparse.ArgumentParser) -> None:
    if name in ("render", "submit"):
        parser.epilog = EPILOG
        parser.add_argument(
            "program", metavar="PROGRAM", help="of `mpiapps list`, or a script.py"
        )
        add_options(parser, Request)
    if name == "submit":
        parser.add_argument(
            "--dry-run", action="store_true", help="check, print, submit nothing"
        )
    if name in ("submit", "resubmit"):
        parser.add_argument("--wait", action="store_true", help="wait for the end")
    if name in ("status", "wait", "cancel", "logs", "resubmit"):
        least = "*" if name == "status" else "+"
        parser.add_argument(
            "runs", nargs=least, metavar="RUN", help="a run's name or job number"
        )
        parser.add_argument("--logs", default="logs", help="folder of the runs")
    if name in ("explain", "lint"):
        parser.add_argument(
            "script", metavar="SCRIPT", help="a file, or - for standard input"
        )
    if name == "lint":
        parser.add_argument("--site", default="", help="whose limits hold")
    if name == "site":
        parser.add_argument("action", choices=("probe",), help="what to do")
        parser.add_argument(
            "--scheduler", default="", choices=("", *SCHEDULERS), metavar="NAME"
        )
