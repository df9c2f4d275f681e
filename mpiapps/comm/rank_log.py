"""Log lines of ranks on standard error, by the standard library's `logging`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpiapps.base.errors import UsageError
from mpiapps.base.rank_list import parse_ranks
from mpiapps.base.streams import SafeStream

if TYPE_CHECKING:
    from mpiapps.comm.world import World

LEVELS = ("debug", "info", "warning", "error")
TIME = "%Y-%m-%dT%H:%M:%S"


class RankFormatter(logging.Formatter):
    """Starts each line of an event with its time and level, the rank and its host."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._rank = str(world)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of an event: one, or more with a traceback."""
        time = f"{self.formatTime(record, TIME)}.{int(record.msecs):03}"
        start = f"{time} {record.levelname} {self._rank}: "
        lines = super().format(record).splitlines() or [""]
        return "\n".join(f"{start}{line}" for line in lines)


class RankHandler(logging.StreamHandler[SafeStream]):
    """Writes an event by one call, so that those of several ranks do not mix."""


def log_to_stderr(
    world: World,
    level: str = "info",
    ranks: str = "0",
    loggers: Sequence[str] = ("__main__",),
) -> None:
    """Log events of some ranks to standard error, with time, level, rank and host.

    Local. Ranks that are not selected log errors only. Other loggers, the root logger
    included, keep their settings: libraries do not become verbose.

    Parameters
    ----------
    world : World
    level : {"debug", "info", "warning", "error"}
        The lowest level that is logged.
    ranks : str
        ``all``, or numbers such as ``0,2``.
    loggers : sequence of str
        Names of the loggers, besides ``mpiapps``; their children are included. A later
        call replaces what an earlier one has set.

    Raises
    ------
    UsageError
        If the level or one of the ranks does not exist.
    """
    if level not in LEVELS:
        raise UsageError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    selected = world.rank in parse_ranks(ranks, world.size, "ranks to log")
    number = logging.getLevelNamesMapping()[level.upper() if selected else "ERROR"]
    handler = RankHandler(SafeStream())
    handler.setFormatter(RankFormatter(world))
    for name in {"mpiapps", *loggers}:
        logger = logging.getLogger(name)
        for old in [h for h in logger.handlers if isinstance(h, RankHandler)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(number)
        logger.propagate = False
