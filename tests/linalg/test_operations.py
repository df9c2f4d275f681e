"""Operations of another package: added by an entry point, without a change here."""

import json
import sys

import numpy as np
import pytest

from tests.commands import install, on_ranks, run

pytestmark = pytest.mark.usefixtures("preloaded")
MATRIX = ("-m", "mpiapps.matrix")
PACKAGE = """
from mpiapps.linalg.operation import operation, square

@operation(shapes=square)
def trace(a):
    from mpiapps.linalg.reductions import trace
    return {"trace": float(trace(a))}

def asymmetry(inputs, result):
    import numpy as np
    x = np.asarray(result)
    return float(np.abs(x - x.T).max()) / np.finfo(x.dtype).eps

@operation(shapes=square, output=True, check="own_operations:asymmetry")
def symmetrise(a):
    return (a + a.T.redistribute(a.layout)) * 0.5

@operation(shapes=square, output=True, check="own_operations:asymmetry")
def skew(a):
    return a

@operation(factors="positive")
def determinant(a, factor):
    from mpiapps.linalg.reductions import diagonal
    return {"determinant": float(diagonal(factor).prod() ** 2)}
"""
NAMES = ("trace", "symmetrise", "skew", "determinant", "norm")


@pytest.fixture
def path(tmp_path):
    """The `PYTHONPATH` of a process that has the package; it cannot replace `norm`."""
    entries = "".join(f"{name} = own_operations:{name}\n" for name in NAMES)
    entries = f"[mpiapps.matrix_operations]\n{entries}"
    return install(tmp_path, entries, own_operations=PACKAGE)


def record(path, *argv, code=0):
    """Return the record of a run on two ranks."""
    done = on_ranks("mpich", 2, *MATRIX, *argv, "--json", "-", PYTHONPATH=path)
    assert done.code == code, done.err
    return json.loads(done.out)


def test_operations_of_another_package_run_on_ranks(path, tmp_path):
    a = np.random.default_rng(0).standard_normal((5, 5))
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "spd.npy", a @ a.T)
    file, out = str(tmp_path / "a.npy"), tmp_path / "out.npy"
    trace = record(path, "trace", file)
    assert trace["values"] == {"trace": pytest.approx(np.trace(a))}
    assert "trace" in trace["timings"]
    values = record(path, "symmetrise", file, "--check", "-o", str(out))["values"]
    assert values == {"rows": 5, "columns": 5, "check": 0}
    np.testing.assert_array_equal(np.load(out), (a + a.T) / 2)
    values = record(path, "determinant", str(tmp_path / "spd.npy"))["values"]
    assert values["determinant"] == pytest.approx(np.linalg.det(a) ** 2)


def test_the_check_of_an_added_operation_sets_the_exit_code(path):
    values = record(path, "skew", "--random", "4", "--check", code=4)["values"]
    assert values["check"] > 100


def test_an_added_operation_is_in_the_help_and_replaces_none(path):
    done = on_ranks("mpich", 1, *MATRIX, "--help", PYTHONPATH=path)
    assert {*NAMES, "multiply"} <= set(done.out.replace(",", " ").split())
    assert "frobenius" in record(path, "norm", "--random", "3")["values"]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["trace", "--random", "4"], 0, "matrix trace --random 4"),
        (["trace", "--random", "4", "4"], 2, "expected 1 sizes and no files"),
        (["trace", "a.npy", "b.npy"], 2, "trace takes 1 matrices, and 2 files"),
        (["trace", "a.npy", "-o", "b.npy"], 2, "--output applies only to multiply"),
        (
            ["norm", "a.npy", "-o", "b.npy"],
            2,
            "transpose, symmetrise, skew, not",
        ),
        (["trace", "a.npy", "--checkpoint", "x"], 2, "cannot be resumed"),
    ],
)
def test_a_login_node_checks_added_operations_without_numpy(path, argv, code, message):
    program = (
        "import runpy, sys;"
        "sys.modules.update(dict.fromkeys(('numpy', 'mpi4py', 'scipy')));"
        f"sys.argv = [*'mpiapps render matrix --scheduler slurm --'.split(), *{argv}];"
        "runpy.run_module('mpiapps', run_name='__main__')"
    )
    done = run([sys.executable, "-c", program], PYTHONPATH=path)
    assert done.code == code, done.err
    assert message in done.out + done.err


def test_timers_count_no_import():
    """An operation imports no more of this package than what is loaded before it."""
    program = (
        "import importlib, sys\n"
        "from mpiapps.comm import open_world\n"
        "from mpiapps.linalg.operations import OPERATIONS, find_operation\n"
        "from mpiapps.linalg.operations import load_algorithms\n"
        "with open_world() as world:\n"
        "    load_algorithms()\n"
        "    from mpiapps.linalg.distmatrix import DistMatrix\n"
        "    from mpiapps.linalg.solve import factorise\n"
        "    eye = DistMatrix.eye(world.comm, 8)\n"
        "    for name in OPERATIONS:\n"
        "        if find_operation(name).kernels:\n"
        "            importlib.import_module(find_operation(name).kernels)\n"
        "    before = set(sys.modules)\n"
        "    for name in OPERATIONS:\n"
        "        operation = find_operation(name)\n"
        "        kind = 'positive' if operation.factors == 'positive' else 'general'\n"
        "        factors = factorise(eye, kind) if operation.factors else None\n"
        "        count = 2 if name in ('multiply', 'solve', 'lstsq') else 1\n"
        "        operation.compute([eye] * count, factors)\n"
        "    print([m for m in set(sys.modules) - before if m[:7] == 'mpiapps'])\n"
    )
    done = run([sys.executable, "-c", program])
    assert done.out == "[]\n", done.out + done.err
