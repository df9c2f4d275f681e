"""Only the credentials of the same run authenticate, until they expire."""

import socket
import ssl
import threading

import pytest

from mpiapps.dask_cluster.security import CLOCK_MARGIN_SECONDS, self_signed
from mpiapps.dask_cluster.tls_errors import ClearingSocket, use_clearing_sockets


def talk(server, client):
    """Return whether a server and a client with these credentials can communicate."""
    ends = socket.socketpair()
    listens = server.security().get_listen_args("scheduler")["ssl_context"]
    connects = client.security().get_connection_args("client")["ssl_context"]

    def serve():
        try:
            with listens.wrap_socket(ends[0], server_side=True) as stream:
                stream.sendall(stream.recv(100))
        except OSError:
            ends[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with connects.wrap_socket(ends[1]) as stream:
            stream.sendall(b"hello")
            return stream.recv(100) == b"hello"
    except (ssl.SSLError, OSError):
        return False
    finally:
        thread.join()


def test_credentials_of_one_run_match():
    keys = self_signed(60)
    assert talk(keys, keys)


# Of a site with RSA certificates.
SITE = {
    "distributed.comm.tls.ciphers": "ECDHE-RSA-AES256-GCM-SHA384",
    "distributed.comm.tls.max-version": 1.2,
}


def test_they_match_with_the_tls_settings_of_a_site():
    import dask.config
    from distributed.security import Security

    keys = self_signed(60)
    with dask.config.set(SITE):
        assert talk(keys, keys)
        with dask.config.set(keys.config()):
            assert Security().tls_ciphers is None
            assert Security().tls_max_version is None


def test_credentials_of_another_run_are_rejected():
    assert not talk(self_signed(60), self_signed(60))


def test_expired_credentials_are_rejected():
    old = self_signed(-CLOCK_MARGIN_SECONDS - 5)
    assert not talk(old, old)


def test_the_dask_settings_hold_the_same_credentials():
    import dask.config
    from distributed.security import Security

    keys = self_signed(60)
    with dask.config.set(keys.config()):
        security = Security()
        assert security.require_encryption
        assert security.tls_client_key == security.tls_worker_key == keys.key
        assert security.tls_ca_file == security.tls_scheduler_cert == keys.certificate


def test_their_repr_hides_the_key():
    keys = self_signed(60)
    assert keys.key not in repr(keys.security())


def connected(security):
    """Return both ends of a connection."""
    ends = socket.socketpair()
    context = security.get_listen_args("scheduler")["ssl_context"]
    servers = []
    thread = threading.Thread(
        target=lambda: servers.append(context.wrap_socket(ends[0], server_side=True))
    )
    thread.start()
    context = security.get_connection_args("client")["ssl_context"]
    client = context.wrap_socket(ends[1])
    thread.join()
    return client, servers[0]


def test_a_connection_survives_an_error_of_another_one():
    """OpenSSL 3.4 and later would raise the error again, for any connection."""
    security = self_signed(60).security()
    healthy, broken = connected(security), connected(security)
    assert {type(end) for end in (*healthy, *broken)} == {ClearingSocket}
    broken[1].close()
    for _ in range(2):
        with pytest.raises((BrokenPipeError, ssl.SSLError)):
            broken[0].send(b"lost")
        for end in healthy:
            end.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                end.recv(1)
    for end in (*healthy, broken[0]):
        end.close()


def test_clients_of_the_settings_have_the_same_sockets():
    import dask.config
    from distributed.client import _maybe_call_security_loader

    with dask.config.set(self_signed(60).config()):
        security = _maybe_call_security_loader("tls://127.0.0.1:1")
    for end in connected(security):
        assert type(end) is ClearingSocket
        end.close()


def test_the_socket_class_of_the_user_stays(monkeypatch):
    class Own(ssl.SSLSocket):
        pass

    assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", Own)
    use_clearing_sockets()
    assert ssl.SSLContext.sslsocket_class is Own
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", ssl.SSLSocket)
    use_clearing_sockets()
    assert ssl.SSLContext.sslsocket_class is ClearingSocket
