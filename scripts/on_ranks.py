"""Run Python with the given arguments on N ranks: on_ranks.py N -m pytest ...

With the mpiexec of this environment's MPI, and with the options that root, containers
and oversubscription need. Tests find the launcher once, for all their runs.
"""

import json
import os
import sys

from mpiapps.base.streams import reserve_streams
from mpiapps.launch.mpiexec import (
    Mpiexec,
    command_line,
    exec_launcher,
    find_launcher,
)

if __name__ == "__main__":
    reserve_streams()
    ntasks, *argv = sys.argv[1:]
    known = os.environ.pop("ON_RANKS_LAUNCHER", None)
    launcher = Mpiexec(*json.loads(known)) if known else find_launcher()
    command, variables = command_line(launcher, int(ntasks), argv)
    exec_launcher(command, variables)
