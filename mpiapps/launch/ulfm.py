"""Fault tolerance with ULFM: Open MPI's ``mpiexec --with-ft ulfm``.

User Level Failure Mitigation (W. Bland and others, Post-failure recovery of MPI
communication capability, IJHPCA 2013): calls that involve a failed rank raise an error,
calls between other ranks complete, and these ranks agree on a smaller communicator.
"""

from __future__ import annotations

import atexit
import os
import signal

from mpiapps.launch.mpi import MPI

FINALIZE_SECONDS = 5  # time limit of MPI_Finalize
ULFM_VARIABLE = "OMPI_MCA_mpi_ft_enable"  # set by mpiexec --with-ft ulfm


class ProcFailedError(Exception):
    """Ranks of a communicator have failed. Raised locally; local.

    Attributes
    ----------
    ranks : list of int
        Those that were not reported before.
    """

    def __init__(self, ranks: list[int]) -> None:
        super().__init__(f"ranks {', '.join(map(str, ranks))} failed")
        self.ranks = ranks


def ulfm_enabled() -> bool:
    """Return whether this run continues after the failure of a rank. Local."""
    return os.environ.get(ULFM_VARIABLE) == "1"


def is_proc_failure(error: MPI.Exception) -> bool:
    """Return whether an error reports the failure of a rank. Local."""
    classes = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
    return ulfm_enabled() and error.Get_error_class() in classes


def newly_failed(comm: MPI.Intracomm, known: set[int]) -> list[int]:
    """Return the failed ranks that are not in `known`, and add them to it. Local."""
    failed = comm.Get_failed()
    group = comm.Get_group()
    ranks = failed.Translate_ranks(list(range(failed.size)), group) or []
    comm.Ack_failed(failed.size)
    failed.Free()
    group.Free()
    new = [rank for rank in ranks if rank not in known]
    known.update(new)
    return new


def force_exit() -> None:
    """End this process at exit even if MPI_Finalize hangs. Local.

    After a failure of ranks, ``MPI_Finalize`` of Open MPI 5.0 may not return.
    """
    atexit.register(signal.signal, signal.SIGALRM, signal.SIG_DFL)
    atexit.register(signal.alarm, FINALIZE_SECONDS)
