"""A script's errors are printed as Python prints them."""

import subprocess
import sys

import pytest

from mpiapps.dask_cluster.script import run_script

SCRIPTS = {
    "cannot be compiled": "x = = 3\n",
    "ends early": "def f(:\n",
    "has a bad indent": "if 1:\nx = 1\n",
    "raises": "def f():\n    return 1 / 0\nf()\n",
    "raises what has no text": (
        "class Mute(Exception):\n"
        "    def __str__(self):\n"
        "        raise ValueError\n"
        "raise Mute\n"
    ),
    "imports what cannot be compiled": "import beside\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_frames_of_the_script_are_printed(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", sys.argv)
    (tmp_path / "beside.py").write_text("x = = 3\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPTS[name])
    assert run_script(str(script), []) == 1
    plain = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert capsys.readouterr().err.splitlines() == plain.stderr.splitlines()


DASK_MPI = """
import dask_mpi
from dask_mpi import initialize
assert initialize(nthreads=2) and dask_mpi.initialize(exit=False)
dask_mpi.execute(print, client_args=("called",))
dask_mpi.send_close_signal()
"""


def test_a_script_for_dask_mpi_uses_the_running_cluster(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", sys.argv)
    before = sys.modules.get("dask_mpi")
    script = tmp_path / "script.py"
    script.write_text(DASK_MPI)
    assert run_script(str(script), []) == 0
    out, err = capsys.readouterr()
    assert out == "called\n"
    assert "dask_mpi.initialize(nthreads=2): arguments ignored" in err
    assert err.count("arguments ignored") == 2  # of the two calls with settings
    assert sys.modules.get("dask_mpi") is before
