"""What every program shares: options, run, result, report.

A program is one file at the top of the package. It defines a frozen dataclass of
options, a function ``run(world, options)`` that returns a `Result`, and binds them:
``PROGRAM = Program("pi", "estimate pi ...", Options, run)``. From that follow its
command line, its JSON record, its exit codes and its place in ``mpiapps list``.
"""

from mpiapps.app.options import option
from mpiapps.app.program import Program, Result
from mpiapps.app.runner import main

__all__ = ["Program", "Result", "main", "option"]
