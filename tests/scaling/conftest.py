"""The cluster of this host as a fixture."""

import pytest

from tests.scaling.cluster_here import prepare


@pytest.fixture
def cluster(tmp_path, monkeypatch, capsys):
    return prepare(tmp_path, monkeypatch, capsys)
