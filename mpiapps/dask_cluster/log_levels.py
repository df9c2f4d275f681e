"""Set Dask's default log level to warning, before distributed is imported.

Dask's own default logs each connection. The user's settings are known only after the
import of Dask, so an environment variable cannot set this default.
"""

from __future__ import annotations

from typing import Any

import dask.config

KEYS = {"logging", "logging-file-config"}


def set_log_levels(config: dict[str, Any] = dask.config.config) -> None:
    """Let distributed log warnings, unless `config` sets other levels.

    A file or a dictionary for `logging.config` configures all loggers; a mapping of
    levels configures only those that it names.
    """
    section = config.get("distributed") or {}
    settings = section if KEYS & section.keys() else config
    if "logging-file-config" not in settings:
        levels = settings.setdefault("logging", {})
        if "version" not in levels:
            levels.setdefault("distributed", "warning")


set_log_levels()
