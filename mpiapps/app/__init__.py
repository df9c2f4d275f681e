"""The framework of programs: options, run, result, report.

A program is one module at the top of the package. It defines a frozen dataclass of
options, a function ``run(ctx, options)`` that returns a `Result`, and an object
``PROGRAM = Program("pi", "estimate pi ...", Options, run)``. Its command line, JSON
record, exit codes and entry in ``mpiapps list`` are derived from them.
"""

from mpiapps.app.options import option
from mpiapps.app.program import Program, Result
from mpiapps.app.runner import main

__all__ = ["Program", "Result", "main", "option"]
