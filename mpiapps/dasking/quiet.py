"""What Dask logs unless the user's own settings say: warnings. Before distributed.

Its own default tells of each connection. Which settings there are is known to Dask
alone, that is to say after its import, so no variable can say it beforehand.
"""

from __future__ import annotations

from typing import Any

import dask.config

KEYS = {"logging", "logging-file-config"}


def be_quiet(config: dict[str, Any] = dask.config.config) -> None:
    """Let distributed log warnings, unless `config` says otherwise. Local.

    A file or a dictionary for `logging.config` has the say on all loggers; a list of
    levels only on those that it names.
    """
    within = config.get("distributed") or {}
    there = within if KEYS & within.keys() else config
    if "logging-file-config" not in there:
        levels = there.setdefault("logging", {})
        if "version" not in levels:
            levels.setdefault("distributed", "warning")


be_quiet()
