"""A user's script, run as ``python script.py`` runs it, and how it ended."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from mpiapps.base.errors import MpiAppsError, Terminated, exit_code
from mpiapps.base.streams import write_err
from mpiapps.dasking.stand_in import stand_in
from mpiapps.dasking.watch import StopAsked

_hooks: list[Callable[[], object]] = []


def on_stop(function: Callable[[], object]) -> Callable[[], object]:
    """Call `function` when the run's time is nearly over; usable as a decorator. Local.

    It is called with the cluster still there, once the script has been left by
    `StopAsked`: the place to save what is done. The run then ends with 75, and a job
    script starts it again. A client that the script made in a ``with`` statement is
    closed by then, and its futures are cancelled: catch `StopAsked` inside of it.
    """
    _hooks.append(function)
    return function


def run_script(script: str, arguments: Sequence[str]) -> int:
    """Run `script`; return its exit code. Local.

    An error is shown as Python shows it. Signals, and what ends the run from outside,
    are raised.
    """
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        with stand_in():
            runpy.run_path(script, run_name="__main__")
    except StopAsked:
        for hook in _hooks:
            try:
                hook()
            except Exception:  # it is shown, and the run stops all the same
                sys.excepthook(*sys.exc_info())
        raise
    except (Terminated, MpiAppsError):
        raise
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            write_err(f"{error.code}\n")
        return exit_code(error)
    except Exception as error:
        error.__traceback__ = _of_script(error.__traceback__, script)
        sys.excepthook(type(error), error, error.__traceback__)
        return exit_code(error)
    finally:
        hush()
    return 0


def hush() -> None:
    """Let Dask's clients here log no more: those left open lose the scheduler. Local.

    Scheduler and workers are other processes; what is wrong with them is told.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).disabled = True


def _of_script(trace: TracebackType | None, script: str) -> TracebackType | None:
    """Return the traceback from the script's own first line on; none if it has none.

    One that cannot be compiled, or read, has not begun.
    """
    names = {script, str(Path(script).resolve())}
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename not in names:
        found = found.tb_next
    return found
