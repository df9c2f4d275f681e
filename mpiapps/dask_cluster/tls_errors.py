"""TLS connections of Dask that survive an error of another connection.

From OpenSSL 3.4 on, a failed send leaves its error in a queue of the thread, from which
Python's ssl does not remove it (seen with 3.13.5 and 3.14.10): each later read of any
connection, by the same thread, raises BrokenPipeError where it should wait for data.
Dask closes these connections, and loses workers.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from distributed.security import Security

NORMAL = ssl.SSLWantReadError, ssl.SSLWantWriteError
_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def clear_errors() -> None:
    """Clear OpenSSL's errors of this thread, as ssl does when no cipher is accepted."""
    with suppress(ssl.SSLError):
        _context.set_ciphers("none")


def _clearing(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except NORMAL:
            raise
        except OSError:
            clear_errors()
            raise

    return call


class ClearingSocket(ssl.SSLSocket):
    """A socket that clears OpenSSL's errors when it raises one."""

    do_handshake = _clearing(ssl.SSLSocket.do_handshake)
    read = _clearing(ssl.SSLSocket.read)
    send = _clearing(ssl.SSLSocket.send)
    unwrap = _clearing(ssl.SSLSocket.unwrap)
    write = _clearing(ssl.SSLSocket.write)


class ClearingSecurity(Security):
    """Dask's `Security`, with connections of `ClearingSocket`."""

    def __init__(self, **settings: Any) -> None:
        Security.__init__(self, **settings)

    def get_connection_args(self, role: str) -> dict[str, Any]:
        """Return the arguments of a connection as `role`."""
        args: dict[str, Any] = Security.get_connection_args(self, role)
        return _with_socket_class(args)

    def get_listen_args(self, role: str) -> dict[str, Any]:
        """Return the arguments of a listener as `role`."""
        args: dict[str, Any] = Security.get_listen_args(self, role)
        return _with_socket_class(args)


def _with_socket_class(args: dict[str, Any]) -> dict[str, Any]:
    if args["ssl_context"] is not None:
        args["ssl_context"].sslsocket_class = ClearingSocket
    return args


def from_settings(info: dict[str, Any] | None = None) -> ClearingSecurity:
    """Return the security of Dask's settings; called by clients without another.

    For the setting ``distributed.client.security-loader``.
    """
    del info
    return ClearingSecurity()


def use_clearing_sockets() -> None:
    """Use `ClearingSocket` for the TLS sockets that this process creates from now on.

    For Dask programs that create their own `Security`, as by ``security=True``. Sockets
    that exist, those of a context with a class of its own and ``SSLObject`` (asyncio)
    stay as they are; so do all if another class has been set for the process.
    """
    if ssl.SSLContext.sslsocket_class is ssl.SSLSocket:
        ssl.SSLContext.sslsocket_class = ClearingSocket
