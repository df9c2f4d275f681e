import json
from pathlib import Path

import pytest

from tests.cluster import hosts
from tests.commands import on_ranks

# Files with the longest tests: begun first, the clusters end at about the same time.
LONGEST = ["test_tutorial", "test_runs", "test_failures", "test_farms", "test_scaling"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: [*LONGEST, item.path.stem].index(item.path.stem))
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
