"""What Dask's processes log, and how they tell of what they could not start."""

import pytest

from mpiapps.dasking.keeper import PATHS, SHORT, SOCKET, _folder_of_sockets


def levels(config):
    from mpiapps.dasking.quiet import be_quiet  # it loads Dask

    be_quiet(config)
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
def test_the_users_own_settings_of_logging_hold(config, wanted):
    assert levels(config) == wanted


def test_the_cause_is_told():
    from mpiapps.dasking.service import with_causes

    try:
        try:
            raise ValueError("no licence today")
        except ValueError as error:
            raise RuntimeError("Nanny failed to start.") from error
    except RuntimeError as error:
        told = with_causes(error)
    assert told == (
        "RuntimeError: Nanny failed to start, caused by ValueError: no licence today"
    )


@pytest.mark.parametrize("length", [20, 50, 78, 100, 200])
def test_paths_of_sockets_are_short_wherever_temporary_files_are(
    length, tmp_path, monkeypatch
):
    where = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - 1))
    where.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(where))
    made = _folder_of_sockets()
    assert len(made) + SOCKET - len("/mpiapps-12345678") <= PATHS
    fits = len(str(where)) + SOCKET <= PATHS
    assert made.startswith(str(where) if fits else SHORT)
