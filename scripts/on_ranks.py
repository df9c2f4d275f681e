"""Run Python with the given arguments on N ranks: on_ranks.py N -m pytest ...

With the mpiexec of this environment's MPI, and with the options that root, containers
and oversubscription need.
"""

import sys

from mpiapps.base.streams import reserve_streams
from mpiapps.launch.mpiexec import command_line, exec_launcher, find_launcher

if __name__ == "__main__":
    reserve_streams()
    ntasks, *argv = sys.argv[1:]
    command, variables = command_line(find_launcher(), int(ntasks), argv)
    exec_launcher(command, variables)
