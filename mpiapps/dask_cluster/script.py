"""Run a user's script as ``python script.py`` does, and return its exit code."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from mpiapps.base.errors import MpiAppsError, Terminated, exit_code
from mpiapps.base.streams import write_err
from mpiapps.dask_cluster.dask_mpi_shim import shim_installed
from mpiapps.launch.interrupter import StopRequested

_stop_hooks: list[Callable[[], object]] = []


def on_stop(function: Callable[[], object]) -> Callable[[], object]:
    """Call `function` when the run's time is nearly over; usable as a decorator.

    It is called after the script has ended by `StopRequested`, while the cluster still
    runs, to save results. The run then ends with 75; a job script starts it again. A
    client of the script in a ``with`` statement is closed by then, and its futures are
    cancelled: catch `StopRequested` inside the statement.
    """
    _stop_hooks.append(function)
    return function


def run_script(script: str, arguments: Sequence[str]) -> int:
    """Run `script`; return its exit code.

    An error is printed as Python prints it. Signals, `StopRequested` and errors of the
    cluster are raised.
    """
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        with shim_installed():
            runpy.run_path(script, run_name="__main__")
    except StopRequested:
        for hook in _stop_hooks:
            try:
                hook()
            except Exception:  # printed; the run stops regardless
                sys.excepthook(*sys.exc_info())
        raise
    except (Terminated, MpiAppsError):
        raise
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            write_err(f"{error.code}\n")
        return exit_code(error)
    except Exception as error:
        error.__traceback__ = _script_traceback(error.__traceback__, script)
        sys.excepthook(type(error), error, error.__traceback__)
        return exit_code(error)
    finally:
        silence_client_logs()
    return 0


def silence_client_logs() -> None:
    """Disable the log of Dask's clients: open ones report the scheduler as lost.

    Scheduler and workers are other processes, and keep their logs.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).disabled = True


def _script_traceback(trace: TracebackType | None, script: str) -> TracebackType | None:
    """Return the traceback from the script's first frame on, or `None`.

    A script that cannot be read or compiled has no frame.
    """
    names = {script, str(Path(script).resolve())}
    while trace is not None and trace.tb_frame.f_code.co_filename not in names:
        trace = trace.tb_next
    return trace
