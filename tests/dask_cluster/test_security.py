"""Only the credentials of the same run authenticate, until they expire."""

import socket
import ssl
import threading

from mpiapps.dask_cluster.security import CLOCK_MARGIN_SECONDS, self_signed


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
