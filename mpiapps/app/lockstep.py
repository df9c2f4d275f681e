"""Stopping and saving where all ranks come to a safe point together, step by step.

For work whose every step is of all ranks, such as a panel of a factorisation; work that
is dealt to ranks goes through `mpiapps.app.checkpoint.resumable`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import checkpoint
from mpiapps.base import stopping

if TYPE_CHECKING:
    from mpiapps.comm.world import World

SHARE = 0.1  # of the run that saves may take, however often they are asked for


class Lockstep:
    """The safe points of one run. Local to make.

    Parameters
    ----------
    world : World
    program : str
        Name of the program, to know its checkpoints.
    options
        The options that decide the result: a dataclass of plain values.
    saved : Saved, optional
        What `checkpoint.load` returned.
    """

    def __init__(
        self,
        world: World,
        program: str,
        options: Any,
        saved: checkpoint.Saved | None = None,
    ) -> None:
        self._world, self._program, self._options = world, program, options
        self._turn = 0 if saved is None else 1 - int(saved.state["turn"])
        self._watch = checkpoint.Watch()
        self._next = 0.0

    def at(self, progress: float, save: Callable[[Path], Mapping[str, Any]]) -> None:
        """Save if it is time, and stop if that was asked for. Collective.

        Parameters
        ----------
        progress : float
            The part of the work that is done, 0 to 1.
        save : callable
            Collective: writes what is large into the file it is given, and returns on
            the root what else must be kept, as JSON can hold it exactly.

        Raises
        ------
        Stopped
            On all ranks, after it was saved.
        ReadWriteError
            On all ranks, if it cannot be saved; the last save is still good.

        Notes
        -----
        Without a checkpoint file it does nothing. Cost: a reduction of 8 bytes.
        """
        from mpiapps.comm.mpi import MPI
        from mpiapps.comm.safepoint import GO_ON, SAVE, STOP

        if not checkpoint.wanted():
            return
        word = STOP if stopping.warned() else GO_ON
        if self._world.is_root:
            word = max(word, self._watch())
            if word == SAVE and time.monotonic() < self._next:
                word = GO_ON
        word = self._world.comm.allreduce(word, op=MPI.MAX)
        if word == GO_ON:
            return
        start = time.monotonic()
        state = save(checkpoint.beside(self._turn))
        with self._world.agree():
            if self._world.is_root:
                state = {**state, "turn": self._turn}
                saved = checkpoint.Saved(state, [], progress)
                checkpoint.write(self._program, self._options, saved, stop=word == STOP)
        self._turn = 1 - self._turn
        if word == STOP:
            raise checkpoint.stopped(progress)
        took = time.monotonic() - start
        self._next = time.monotonic() + took / SHARE
