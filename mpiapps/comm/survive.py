"""Going on without a rank that was killed: Open MPI's ``mpiexec --with-ft ulfm``.

The proposal for MPI is User Level Failure Mitigation (W. Bland and others, Post-failure
recovery of MPI communication capability, IJHPCA 2013). Calls that involve a dead rank
raise an error, calls between living ranks go on, and the living agree on a smaller
communicator.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Mapping

from mpiapps.comm.mpi import MPI

LEAVE = 5  # s for MPI_Finalize
ENABLED = "OMPI_MCA_mpi_ft_enable"  # set by mpiexec --with-ft ulfm


class RanksLost(Exception):
    """Ranks of a communicator were killed. Raised: local.

    Attributes
    ----------
    ranks : list of int
        Those that were not told of before.
    """

    def __init__(self, ranks: list[int]) -> None:
        super().__init__(f"lost ranks {', '.join(map(str, ranks))}")
        self.ranks = ranks


def survives(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this run goes on when a rank is killed. Local."""
    return environ.get(ENABLED) == "1"


def is_loss(error: MPI.Exception) -> bool:
    """Return whether an error says that a rank was killed. Local."""
    kinds = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
    return survives() and error.Get_error_class() in kinds


def lost(comm: MPI.Intracomm, known: set[int]) -> list[int]:
    """Return the ranks that were killed and are not `known`; they are then. Local."""
    failed = comm.Get_failed()
    group = comm.Get_group()
    ranks = failed.Translate_ranks(list(range(failed.size)), group) or []
    comm.Ack_failed(failed.size)
    failed.Free()
    group.Free()
    new = [rank for rank in ranks if rank not in known]
    known.update(new)
    return new


def leave_anyway() -> None:
    """End this process a while after its last line, whatever MPI waits for. Local.

    Where ranks were killed, ``MPI_Finalize`` of Open MPI 5.0 sometimes does not return.
    """
    atexit.register(signal.signal, signal.SIGALRM, signal.SIG_DFL)
    atexit.register(signal.alarm, LEAVE)
