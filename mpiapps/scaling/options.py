"""The options of `mpiapps scaling`; imports nothing that a study runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mpiapps.app.options import add_options, option
from mpiapps.batch.request import Request
from mpiapps.scaling.rules import RULES, parse_rule
from mpiapps.scaling.weak import parse_scaled

FORMATS = ("text", "markdown", "latex", "csv", "json", "extrap")
MAX_COUNT = 10**7


def parse_counts(text: str) -> tuple[int, ...]:
    """Return the distinct counts in ``1,2,4``, ascending.

    Raises
    ------
    ValueError
        Unless all are whole numbers from 1 to `MAX_COUNT`.
    """
    words = text.split(",") if text else []
    if not all(w.isascii() and w.isdigit() and 1 <= int(w) <= MAX_COUNT for w in words):
        raise ValueError(f"{text!r} is not a list of counts; write 1,2,4")
    return tuple(sorted({int(word) for word in words}))


def _checked(parse: Any) -> Any:
    """Return a parser that checks a text and returns it."""

    def check(text: str) -> str:
        parse(text)
        return text

    return check


# Options of `mpiapps submit` that the study gives; jobs do not resume, since the time
# of a part is not that of a run.
FIXED: Mapping[str, Any] = {
    **dict.fromkeys(("nodes", "ranks_per_node", "ranks", "threads", "logs")),
    **dict.fromkeys(("array", "dependency"), ""),
    "max_requeues": 0,
    "stage": False,
}
COUNTS = _checked(parse_counts)


@dataclass(frozen=True)
class StudyOptions:
    """The options of a study."""

    kind: str = option(
        "strong",
        "strong: the same work on each count; weak: see --weak; throughput: copies of"
        " the program at the same time, their number is --ranks",
        choices=("strong", "weak", "throughput"),
    )
    ranks: str = option(
        "", "numbers of ranks on one host (default: 1,2,4 ... up to the cores)",
        type=COUNTS, metavar="N,N",
    )  # fmt: skip
    nodes: str = option(
        "", "numbers of hosts of a cluster: the count is that of hosts", type=COUNTS,
        metavar="N,N",
    )  # fmt: skip
    ranks_per_node: str = option(
        "", "numbers of ranks per host, with --nodes (default: 1)", type=COUNTS,
        metavar="N,N",
    )  # fmt: skip
    threads: str = option(
        "1", "numbers of threads per rank", type=COUNTS, metavar="N,N"
    )
    repeats: int = option(5, "runs of each case, interleaved", min=1, max=1000)
    weak: tuple[str, ...] = option(
        (),
        "weak study: option of the program that grows with the count p, as"
        " NAME, 'NAME: FORMULA' of n and p, or NAME[INDEX]; may be repeated",
        type=_checked(parse_scaled),
        metavar="NAME",
    )
    work: tuple[str, ...] = option(
        (),
        "option of the program whose value the ranks share: warn about counts that do"
        " not divide it; may be repeated",
        metavar="NAME",
    )
    region: str = option("total", "timer to study, such as multiply", metavar="TIMER")
    useful: tuple[str, ...] = option(
        (),
        "timer that contains only computation, for POP metrics (default: kernel); may"
        " be repeated",
        metavar="TIMER",
    )
    rule: str = option(
        "",
        "judge the counts: doubling:X, efficiency:X, "
        + ", ".join(rule.name for rule in RULES),
        type=_checked(parse_rule),
    )
    predict: str = option("", "counts to predict", type=COUNTS, metavar="N,N")
    format: str = option("text", "format of the report", choices=FORMATS)
    output: str = option("", "write the report to FILE", metavar="FILE", short="o")
    plot: str = option(
        "", "plot speed-up and efficiency to FILE.png, .svg or .pdf", metavar="FILE"
    )
    directory: str = option(
        "", "directory of the study (default: PROGRAM.scaling)", metavar="DIRECTORY"
    )
    append: bool = option(
        False, "measure another commit or type of host into the same directory"
    )
    oversubscribe: bool = option(False, "allow more ranks and threads than cores")
    allocation: str = option(
        "each",
        "each: a job for each run; one: one job, as large as the largest case, runs"
        " all one after another",
        choices=("each", "one"),
    )
    virtual: bool = option(
        False,
        "take the times from the program's model, without running it (amdahl has one)",
    )
    no_wait: bool = option(
        False, "submit jobs, collect those that have ended, and do not wait"
    )
    dry_run: bool = option(False, "print the commands or job scripts, and run nothing")


def add_command(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    parser = commands.add_parser(
        "scaling",
        help="measure how a program scales, fit models, judge",
        description="Measure a program on several numbers of ranks and threads, fit"
        " models of its scaling, predict and judge. An interrupted study continues by"
        " the same command.",
        epilog="Options after -- are passed to the program.",
    )
    parser.add_argument(
        "program",
        metavar="PROGRAM",
        help="a program of `mpiapps list`, script.py, or a command",
    )
    add_options(parser, StudyOptions)
    group = parser.add_argument_group(
        "jobs, with --site, --scheduler or --nodes",
        "Each run is a job of a cluster; the options are those of `mpiapps submit`.",
    )
    add_options(group, Request, omit=FIXED)
