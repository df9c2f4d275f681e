"""Checkpoints of work whose every step involves all ranks, such as a factorisation.

Independent tasks go through `mpiapps.tasks` instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.checkpoint import Checkpoint, CheckpointContent
from mpiapps.base.errors import InputError

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
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


@contextmanager
def resumed_panels(
    ctx: RunContext, checkpoints: Any, columns: int, inputs: Any
) -> Iterator[dict[str, Any]]:
    """Yield the arguments `on_panel` and `partial` of work by panels. Collective.

    With `on_panel` the work reports its progress, saves and stops; `partial` is what an
    earlier run saved, or `None`.

    Parameters
    ----------
    ctx : RunContext
    checkpoints : module
        Has ``save(partial, path)`` and ``load(comm, path, state)``, both collective,
        as `mpiapps.linalg.factor_checkpoint`; `partial` has the number of columns that
        are ``done``.
    columns : int
        Of all panels. The work of a column is taken as the square of the rest.
    inputs
        What identifies the input data, as JSON holds it. Of the root.

    Raises
    ------
    InputError
        On all ranks, if the checkpoint is of other input data, or damaged.
    """
    world, checkpoint = ctx.world, ctx.checkpoint
    inputs = world.comm.bcast(inputs, root=world.root)
    saved = checkpoint.load()
    partial = None
    if saved is not None:
        if saved.state["inputs"] != inputs:
            raise InputError(
                "the input files changed since the checkpoint was written; remove the"
                f" checkpoint {checkpoint.path} to start again"
            )
        file = checkpoint.data_path(saved.state["slot"])
        partial = checkpoints.load(world.comm, file, saved.state)
    checkpointer = CollectiveCheckpointer(world, checkpoint, saved)

    def work_fraction(done: int) -> float:
        return 1 - (1 - done / max(1, columns)) ** 3  # of the flops

    past = 0.0 if partial is None else work_fraction(partial.done)
    with ctx.progress(1 - past, "the factorisation") as progress:

        def on_panel(state: Any) -> None:
            nonlocal past
            progress.add(work_fraction(state.done) - past)
            past = work_fraction(state.done)
            checkpointer.maybe_save(
                past, lambda file: {**checkpoints.save(state, file), "inputs": inputs}
            )

        yield {"on_panel": on_panel, "partial": partial}
