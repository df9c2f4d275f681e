"""Let a rank or a program run in a fork of `fork_server.py`, which imported libraries.

Python imports this module at start, from the `PYTHONPATH` that the fixture `preloaded`
sets. This process stays between the launcher and the fork: the fork has its files,
working directory, environment and cores; signals are passed on, the exit code returned.
MPICH and Intel MPI connect a rank to its launcher by an open file, `PMI_FD`.
"""

import os
import sys


def main(path: str) -> None:
    """Send the command to the server, wait for the fork, and end as it did."""
    import pickle
    import signal
    import socket
    from contextlib import suppress

    def forward(number: int, _: object) -> None:
        with suppress(ProcessLookupError):  # it has ended; its status follows
            os.kill(fork, number)

    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    all_signals = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    files = [0, 1, 2, *(int(os.environ[n]) for n in ["PMI_FD"] if n in os.environ)]
    process = {
        "pid": os.getpid(),
        "argv": sys.orig_argv,
        "python": (sys.executable, sys.prefix, sys.exec_prefix),
        "files": files,
        "path": sys.path,
        "environ": dict(os.environ),
        "cwd": os.getcwd(),  # noqa: PTH109, pathlib takes 20 ms to import
        "cores": os.sched_getaffinity(0),
        "ignored": [n for n in all_signals if signal.getsignal(n) == signal.SIG_IGN],
    }
    socket.send_fds(server, [b"."], files)
    with server.makefile("rwb") as stream:
        pickle.dump(process, stream)
        stream.flush()
        fork = pickle.load(stream)
        for number in all_signals - {signal.SIGCHLD}:
            signal.signal(number, forward)
        status = pickle.load(stream)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    if -code in all_signals:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


def becomes_a_fork(option: str = "-", word: str = "", *_: str) -> bool:
    """Return whether Python runs a rank, or a program of the package on its own."""
    if "OMPI_COMM_WORLD_RANK" in os.environ or "PMI_RANK" in os.environ:
        return option in ("-m", "-c") or option[0] != "-"
    return option == "-m" and word.startswith("mpiapps.")


if os.environ.get("PRELOAD_SERVER") and becomes_a_fork(*sys.orig_argv[1:]):
    try:
        main(os.environ["PRELOAD_SERVER"])
    except BaseException:  # Python would print it and go on: the rank would run twice
        sys.excepthook(*sys.exc_info())
    os._exit(70)
