"""Who has the run's certificate belongs to it; who has another, or an old one, not."""

import socket
import ssl
import threading

from mpiapps.dasking.keys import MARGIN, make_keys


def talk(server, client):
    """Return whether two ends with these keys can talk."""
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


def test_keys_of_one_run_fit_each_other():
    keys = make_keys(60)
    assert talk(keys, keys)


# Of a site: for the certificates that it has, of RSA.
SITE = {
    "distributed.comm.tls.ciphers": "ECDHE-RSA-AES256-GCM-SHA384",
    "distributed.comm.tls.max-version": 1.2,
}


def test_they_fit_each_other_whatever_a_site_has_set():
    import dask.config
    from distributed.security import Security

    keys = make_keys(60)
    with dask.config.set(SITE):
        assert talk(keys, keys)
        with dask.config.set(keys.config()):
            assert Security().tls_ciphers is None
            assert Security().tls_max_version is None


def test_keys_of_another_run_do_not():
    assert not talk(make_keys(60), make_keys(60))


def test_old_keys_do_not():
    old = make_keys(-MARGIN - 5)
    assert not talk(old, old)


def test_the_settings_of_dask_say_the_same():
    import dask.config
    from distributed.security import Security

    keys = make_keys(60)
    with dask.config.set(keys.config()):
        found = Security()
        assert found.require_encryption
        assert found.tls_client_key == found.tls_worker_key == keys.key
        assert found.tls_ca_file == found.tls_scheduler_cert == keys.certificate


def test_what_is_shown_of_them_tells_nothing():
    keys = make_keys(60)
    assert keys.key not in repr(keys.security())
