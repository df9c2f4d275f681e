"""Progress on standard error: a bar in a terminal, sparse lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from mpiapps.app.stall import StallWatch
from mpiapps.base.streams import SafeStream, write_err
from mpiapps.base.units import format_seconds

if TYPE_CHECKING:
    from mpiapps.comm.world import World

MODES = ("auto", "bar", "log", "off")
# s without a line; then a line per tenth of the work, or per 30 s
FIRST, STEP, EVERY = 5.0, 0.1, 30.0
NOTE = 1.0  # s of compilation before the notice
COMPILES = "mpiapps: compiling, which takes some seconds; the next run finds the code\n"


@contextmanager
def compile_notice(shown: bool) -> Iterator[None]:
    """Print a notice if the ``with`` block takes `NOTE` seconds, and it is `shown`."""
    note = threading.Timer(NOTE, write_err, [COMPILES])
    note.daemon = True
    if shown:
        note.start()
    try:
        yield
    finally:
        note.cancel()


class Progress(AbstractContextManager["Progress"]):
    """Prints on the root which part of `total` units of work is done. Local.

    Other ranks, and mode ``off``, make the same calls without effect. ``auto`` is a bar
    if this is the only rank and standard error is a terminal, else a log: launchers
    give ranks no terminal there. With `stall_limit`, the run ends with 76 if no unit of
    this rank is done for so many seconds.
    """

    def __init__(
        self,
        world: World,
        total: float,
        unit: str,
        *,
        mode: str = "off",
        stall_limit: float = 0.0,
    ) -> None:
        self._unit = unit
        self._total, self._done = total, 0.0
        if mode == "auto":
            alone = world.size == 1 and SafeStream().isatty()
            mode = "bar" if alone else "log"
        self._bar: Any = None
        self._log = mode == "log" and world.is_root
        if mode == "bar" and world.is_root:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, unit=self._unit, unit_scale=True, file=SafeStream()
            )
        self._start = self._last = time.monotonic()
        self._share = 0.0
        self._stall = StallWatch(stall_limit, str(world))

    def add(self, amount: float) -> None:
        """Count `amount` more units as done."""
        self._done += amount
        self._stall.beat()
        if self._bar is not None:
            self._bar.update(amount)
        elif self._log:
            self._line()

    def finish(self) -> None:
        """Note that this rank has no work left and waits for others."""
        self._stall.close()

    def _line(self) -> None:
        now = time.monotonic()
        share = self._done / self._total if self._total > 0 else 1.0
        due = share >= self._share + STEP or now - self._last >= EVERY
        if now - self._start < FIRST or share >= 1 or not due:
            return
        self._last, self._share = now, share
        elapsed = now - self._start
        text = f"mpiapps: {share:.0%} of {self._unit} after {format_seconds(elapsed)}"
        if share > 0:
            text += f", about {format_seconds(elapsed / share - elapsed)} left"
        write_err(f"{text}\n")

    def __exit__(self, *exc: object) -> None:
        """Finish the bar, and watch for a stall no more."""
        self.finish()
        if self._bar is not None:
            self._bar.close()
