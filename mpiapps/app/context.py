"""The run context: what a program gets, besides its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.checkpoint import Checkpoint
from mpiapps.app.progress import Progress, compile_notice
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, UsageError
from mpiapps.storage.directory_lock import DirectoryLock

if TYPE_CHECKING:
    from mpiapps.comm.world import World


@dataclass(frozen=True)
class RunContext:
    """One run of a program: its ranks, checkpoint, deadline and progress.

    Attributes
    ----------
    world : World
        The ranks, and timers by name (`World.timed`).
    checkpoint : Checkpoint
        The file that the run stops into and resumes from, if there is one.
    deadline : Deadline
        When the run stops before its end.
    progress_mode : str
        One of `mpiapps.app.progress.MODES`.
    stall_limit : float
        Seconds without progress after which the run ends with 76; 0 for none.
    outputs : mapping of str to str
        Option -> path of the files that the run writes; ``-`` is standard output.
    """

    world: World
    checkpoint: Checkpoint
    deadline: Deadline
    progress_mode: str = "off"
    stall_limit: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(  # noqa: PLR0913 - independent, all but the first optional
        cls,
        world: World,
        program: str = "",
        options: Any = None,
        *,
        checkpoint: str = "",
        interval: float = 60.0,
        deadline: Deadline | None = None,
        progress_mode: str = "off",
        stall_limit: float = 0.0,
        outputs: Mapping[str, str] | None = None,
    ) -> RunContext:
        """Return the context of a run. Local.

        Parameters
        ----------
        world : World
        program : str
        options
            A dataclass; a checkpoint of other options is refused.
        checkpoint : str
            A file; without one the variable ``MPIAPPS_CHECKPOINT`` names it.
        interval : float
            Seconds between saves.
        deadline : Deadline, optional
        progress_mode : str
        stall_limit : float
        outputs : mapping of str to str, optional
        """
        deadline = deadline or Deadline()
        file = Checkpoint(world, program, options, checkpoint, interval, deadline)
        return cls(world, file, deadline, progress_mode, stall_limit, outputs or {})

    def progress(self, total: float, unit: str, *, per_rank: bool = False) -> Progress:
        """Return the progress of `total` units of work, as a context manager. Local.

        With `per_rank` the total is this rank's own part of the work, and lines name
        the rank: no message is sent.
        """
        if per_rank and self.world.size > 1:
            unit = f"{unit} of rank {self.world.rank}"
        return Progress(
            self.world,
            total,
            unit,
            mode=self.progress_mode,
            stall_limit=self.stall_limit,
        )

    @contextmanager
    def compiling(self, cold: bool) -> Iterator[None]:
        """Time a ``with`` block that compiles kernels. Collective.

        The first rank of each host compiles; the others then load the code. All ranks
        wait for the last one, so that no timer of the work includes that wait.

        Parameters
        ----------
        cold : bool
            Whether no earlier process has left the code; the first rank's value counts.
        """
        world = self.world
        shown = cold and world.is_root and self.progress_mode != "off"
        with compile_notice(shown), world.timed("compile"):
            with world.local_root_first(needed=cold):
                yield
            world.comm.Barrier()

    def journal_directory(self, directory: str, *, force_unlock: bool = False) -> str:
        """Return where finished tasks are recorded, or nothing. Local.

        `directory` if it is given; else beside the checkpoint, if there is one.

        Raises
        ------
        UsageError
            If `force_unlock` is given, and there is no directory.
        """
        if directory:
            return directory
        if self.checkpoint.enabled:
            return f"{self.checkpoint.data_path(0)}.tasks"
        if force_unlock:
            raise UsageError(
                "--force-unlock: this run has no directory to unlock; name it with"
                " --directory, or omit --force-unlock"
            )
        return ""

    @contextmanager
    def locked(self, directory: str, *, force_unlock: bool = False) -> Iterator[None]:
        """Hold the lock of a directory on the root. Collective.

        Raises
        ------
        LaunchError
            On all ranks, if another run holds it.
        """
        with ExitStack() as stack:
            with self.world.agree():
                if directory and self.world.is_root:
                    lock = DirectoryLock(
                        Path(directory) / "owner", force_unlock=force_unlock
                    )
                    stack.enter_context(lock)
            yield

    def stop(self, message: str, progress: float) -> Checkpointed:
        """Return the error of a run that stops early and can resume. Collective.

        The job script starts it again. `progress`: the part that is done, 0 to 1.
        """
        self.checkpoint.request_requeue(progress)
        return Checkpointed(f"{message}; run the same command to resume")
