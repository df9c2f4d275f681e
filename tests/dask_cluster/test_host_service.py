"""Log levels, error texts and socket paths of Dask's processes."""

import pytest

from mpiapps.dask_cluster.host_process import (
    FALLBACK_DIRECTORY,
    MAX_SOCKET_PATH,
    SOCKET_NAME_BYTES,
    _make_socket_directory,
)


def levels(config):
    from mpiapps.dask_cluster.log_levels import set_log_levels  # imports Dask

    set_log_levels(config)
    return config


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, {"logging": {"distributed": "warning"}}),
        ({"logging": {"distributed": "info"}}, {"logging": {"distributed": "info"}}),
        (
            {"logging": {"bokeh": "info"}},
            {"logging": {"bokeh": "info", "distributed": "warning"}},
        ),
        ({"logging-file-config": "x"}, {"logging-file-config": "x"}),
        ({"logging": {"version": 1}}, {"logging": {"version": 1}}),
        (
            {"distributed": {"logging-file-config": "x"}},
            {"distributed": {"logging-file-config": "x"}},
        ),
        (
            {"distributed": {"logging": {"bokeh": "info"}}},
            {"distributed": {"logging": {"bokeh": "info", "distributed": "warning"}}},
        ),
    ],
)
def test_the_users_logging_settings_are_kept(config, wanted):
    assert levels(config) == wanted


def test_error_texts_include_causes():
    from mpiapps.dask_cluster.host_service import with_causes

    try:
        try:
            raise ValueError("no licence today")
        except ValueError as error:
            raise RuntimeError("Nanny failed to start.") from error
    except RuntimeError as error:
        text = with_causes(error)
    assert text == (
        "RuntimeError: Nanny failed to start, caused by ValueError: no licence today"
    )


@pytest.mark.parametrize("length", [20, 50, 78, 100, 200])
def test_socket_paths_are_short_for_any_tempdir(length, tmp_path, monkeypatch):
    parent = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - 1))
    parent.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(parent))
    directory = _make_socket_directory()
    name_bytes = SOCKET_NAME_BYTES - len("/mpiapps-12345678")
    assert len(directory) + name_bytes <= MAX_SOCKET_PATH
    fits = len(str(parent)) + SOCKET_NAME_BYTES <= MAX_SOCKET_PATH
    assert directory.startswith(str(parent) if fits else FALLBACK_DIRECTORY)
