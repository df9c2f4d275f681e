"""How far the run is: a bar in a terminal, sparse lines in a log, nothing elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from mpiapps.base.streams import Courtesy, write_err
from mpiapps.base.units import format_seconds

if TYPE_CHECKING:
    from mpiapps.comm.world import World

MODES = ("auto", "bar", "log", "off")
FIRST, STEP, EVERY = 5.0, 0.1, 30.0  # s of silence; a line per tenth or per 30 s
NOTE = 1.0  # s of silence while code is compiled
COMPILES = "mpiapps: compiling, which takes some seconds; the next run finds the code\n"

_mode = "off"


def choose(mode: str) -> None:
    """Set the mode for this process: one of `MODES`. Local; done by the runner."""
    global _mode  # noqa: PLW0603 - the one switch of the process, like a log level
    _mode = mode


@contextmanager
def compiling(world: World, cold: bool) -> Iterator[None]:
    """Time a ``with`` block that compiles, on the first rank of each host first.

    Collective. The root says so if it takes `NOTE` seconds.

    Parameters
    ----------
    cold : bool
        Whether no earlier process has left the code. What the first rank says counts.
    """
    note = threading.Timer(NOTE, write_err, [COMPILES])
    note.daemon = True
    if cold and world.is_root and _mode != "off":
        note.start()
    try:
        with world.timed("compile"), world.local_root_first(needed=cold):
            yield
    finally:
        note.cancel()


class Progress(AbstractContextManager["Progress"]):
    """Tells on the root how much of this rank's own `total` is done. Local.

    Other ranks, and mode ``off``, make the same calls to no effect. ``auto`` is a bar
    if this is the only rank and standard error is a terminal, else a log: launchers
    give their ranks no terminal there, even when a person is looking. With `own` the
    total is this rank's own part of work that all ranks share, and what is printed
    names the rank: no message is sent to learn how far the others are.
    """

    def __init__(
        self, world: World, total: float, what: str, *, own: bool = False
    ) -> None:
        """Announce `total` units of `what`; nothing is printed yet."""
        if own and world.size > 1:
            what = f"{what} of rank {world.rank}"
        self._total, self._what, self._done = total, what, 0.0
        mode = _mode
        if mode == "auto":
            alone = world.size == 1 and Courtesy().isatty()
            mode = "bar" if alone else "log"
        self._bar: Any = None
        self._log = mode == "log" and world.is_root
        if mode == "bar" and world.is_root:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=what, unit_scale=True, file=Courtesy())
        self._start = self._last = time.monotonic()
        self._share = 0.0

    def add(self, amount: float) -> None:
        """Count `amount` more units as done."""
        self._done += amount
        if self._bar is not None:
            self._bar.update(amount)
        elif self._log:
            self._line()

    def _line(self) -> None:
        now = time.monotonic()
        share = self._done / self._total if self._total > 0 else 1.0
        due = share >= self._share + STEP or now - self._last >= EVERY
        if now - self._start < FIRST or share >= 1 or not due:
            return
        self._last, self._share = now, share
        elapsed = now - self._start
        text = f"mpiapps: {share:.0%} of {self._what} after {format_seconds(elapsed)}"
        if share > 0:
            text += f", about {format_seconds(elapsed / share - elapsed)} left"
        write_err(f"{text}\n")

    def __exit__(self, *exc: object) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
