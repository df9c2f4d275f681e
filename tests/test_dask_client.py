"""The behaviour of distributed's client on a cluster of the ranks."""

import ast
import json

import pytest

from tests.commands import ROOT, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

SCRIPT = ROOT / "tests" / "dask_cluster" / "features.py"
NAMES = [  # read without an import of Dask, which changes how errors are pickled
    node.name
    for node in ast.parse(SCRIPT.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.args.args[:1]
    and node.args.args[0].arg == "client"
]  # fmt: skip


@pytest.fixture(scope="module")
def found():
    """Run all features on one cluster; return the traceback of each, if any."""
    done = on_ranks("openmpi", 3, "-m", "mpiapps.dask", str(SCRIPT))
    assert done.code == 0, done.err
    return json.loads(done.out.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_the_client_behaves_as_with_any_cluster(name, found):
    assert found[name] == "", found[name]
