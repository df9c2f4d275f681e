"""Detect a scheduler that is too busy to answer."""

import socket

import pytest

from mpiapps.dask_cluster.network import is_listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_is_detected_even_if_it_does_not_answer(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=1) as server:
        place = server.getsockname()[:2]
        url = (
            f"tls://[{host}]:{place[1]}" if ":" in host else f"tls://{host}:{place[1]}"
        )
        assert is_listening(url)
        with socket.create_connection(place) as client:
            accepted, _ = server.accept()
            accepted.close()  # in TIME_WAIT from now on
            client.recv(1)
            assert is_listening(url)
    assert not is_listening(url)
