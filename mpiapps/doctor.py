"""Examine the hosts and ranks of a job; `mpiapps doctor --job` starts it.

Each host executes the probes of `mpiapps doctor`. The ranks then report where they are,
and measure messages, memory and clocks between them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpiapps.app.options import option
from mpiapps.app.program import Program, Result
from mpiapps.app.runner import main
from mpiapps.diagnostics import report

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


@dataclass(frozen=True)
class DoctorOptions:
    """Options of the doctor on ranks."""

    message: int = option(
        4 << 20, "size of the messages that measure bandwidth", type="size", min=1
    )
    copy: int = option(
        64 << 20, "size of the array that each rank copies", type="size", min=1
    )


def run(ctx: RunContext, options: DoctorOptions) -> Result:
    """Examine hosts and ranks; the findings of grade error give exit code 78.

    Collective.
    """
    from mpiapps.diagnostics.job_report import as_text
    from mpiapps.diagnostics.ranks import examine_ranks

    values, examinations = examine_ranks(ctx.world, options.message, options.copy)
    code = ctx.world.comm.bcast(report.exit_code(examinations), root=ctx.world.root)
    return Result(
        values,
        ranks=values.get("placement", ()),
        exit_code=code,
        text=as_text(values) if values else None,
    )


PROGRAM = Program(
    "doctor",
    "Examine the hosts and ranks of a job.",
    DoctorOptions,
    run,
    resumable=lambda _options: False,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
