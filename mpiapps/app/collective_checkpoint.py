"""Checkpoints of work whose every step involves all ranks, such as a factorisation.

Independent tasks go through `mpiapps.tasks` instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.checkpoint import Checkpoint, CheckpointContent

if TYPE_CHECKING:
    from mpiapps.comm.world import World

MAX_SHARE = 0.1  # of the run time for saves, however short the interval


class CollectiveCheckpointer:
    """Saves between two steps of all ranks. Local to make.

    Parameters
    ----------
    world : World
    checkpoint : Checkpoint
    saved : CheckpointContent, optional
        What `Checkpoint.load` returned.
    """

    def __init__(
        self,
        world: World,
        checkpoint: Checkpoint,
        saved: CheckpointContent | None = None,
    ) -> None:
        self._world, self._checkpoint = world, checkpoint
        self._slot = 0 if saved is None else 1 - int(saved.state["slot"])
        self._earliest = 0.0

    def maybe_save(
        self, progress: float, save: Callable[[Path], Mapping[str, Any]]
    ) -> None:
        """Save if it is due, and stop if that was requested. Collective.

        Parameters
        ----------
        progress : float
            The part of the work that is done, 0 to 1.
        save : callable
            Collective: writes large data to the file it is given, and returns on the
            root the other values to keep, as JSON holds them exactly.

        Raises
        ------
        Checkpointed
            On all ranks, after a save, if the run is to stop.
        FileAccessError
            On all ranks, if it cannot be saved; the last save stays valid.

        Notes
        -----
        Without a checkpoint file it does nothing. Cost: a reduction of 8 bytes.
        """
        from mpiapps.comm.safepoint import CHECKPOINT, CONTINUE, STOP
        from mpiapps.launch.mpi import MPI

        checkpoint = self._checkpoint
        if not checkpoint.enabled:
            return
        decision = STOP if checkpoint.deadline.stop_requested else CONTINUE
        if self._world.is_root:
            decision = max(decision, checkpoint.decision())
            if decision == CHECKPOINT and time.monotonic() < self._earliest:
                decision = CONTINUE
        decision = self._world.comm.allreduce(decision, op=MPI.MAX)
        if decision == CONTINUE:
            return
        start = time.monotonic()
        state = save(checkpoint.data_path(self._slot))
        with self._world.agree():
            if self._world.is_root:
                saved = CheckpointContent({**state, "slot": self._slot}, [], progress)
                checkpoint.save(saved, stop=decision == STOP)
        self._slot = 1 - self._slot
        if decision == STOP:
            raise checkpoint.stopped(progress)
        seconds = time.monotonic() - start
        self._earliest = time.monotonic() + seconds / MAX_SHARE
