from pathlib import Path

import pytest

from tests.cluster import hosts


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session", autouse=True)
def prepared():
    hosts.prepare()
