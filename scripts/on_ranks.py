"""Run Python with the given words on N ranks: on_ranks.py N -m pytest ...

With the mpiexec that belongs to this environment's MPI, and with what root, containers
and more ranks than cores need. Test ranks share cores whatever the machine has.
"""

import sys

from mpiapps.app.mpiexec import become, command_line, find_launcher
from mpiapps.base.streams import reserve_streams

if __name__ == "__main__":
    reserve_streams()
    ntasks, *words = sys.argv[1:]
    command, variables = command_line(find_launcher(), int(ntasks), words)
    become(command, variables)
