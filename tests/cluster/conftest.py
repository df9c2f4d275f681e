import json
from pathlib import Path

import pytest

from tests.cluster import hosts
from tests.commands import on_ranks


def pytest_collection_modifyitems(items):
    # The longest first: the clusters end at about the same time.
    items.sort(key=lambda item: item.path.name != "test_runs.py")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))  # `wait` gives up earlier


@pytest.fixture(scope="session", autouse=True)
def prepared():
    hosts.prepare()


@pytest.fixture(scope="session")
def hits():
    """Return the hits of 10**7 darts, the same on any machine and number of ranks."""
    ended = on_ranks(
        "openmpi", 1, "-m", "mpiapps.pi", "--samples", "1e7", "--json", "-"
    )
    return json.loads(ended.out)["values"]["hits"]
