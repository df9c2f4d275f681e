"""Whether a scheduler is there that has no time to answer."""

import socket

import pytest

from mpiapps.dasking.network import listens


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_listens_is_seen_whether_it_answers_or_not(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=1) as server:
        place = server.getsockname()[:2]
        url = (
            f"tls://[{host}]:{place[1]}" if ":" in host else f"tls://{host}:{place[1]}"
        )
        assert listens(url)
        with socket.create_connection(place) as client:
            there, _ = server.accept()
            there.close()  # in TIME_WAIT from now on
            client.recv(1)
            assert listens(url)
    assert not listens(url)
