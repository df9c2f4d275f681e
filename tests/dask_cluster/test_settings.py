"""Settings and resources on the command line."""

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.dask_cluster.settings import (
    check_settings,
    longer_intervals,
    parse_resource,
    parse_setting,
    preload_source,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.98", 0.98),
        ("3", 3),
        ("10s", "10s"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("[1, 'a']", [1, "a"]),
        ("a=b", "a=b"),
    ],
)
def test_values_are_those_of_dasks_variables(text, value, monkeypatch):
    import dask.config  # not above: it changes how errors of tests on ranks are pickled

    name = "my.own-setting"
    assert parse_setting(f"my.own_setting={text}") == (name, value)
    monkeypatch.setenv("DASK_MY__OWN_SETTING", text)
    assert dask.config.get(name, config=dask.config.collect_env()) == value


@pytest.mark.parametrize("text", ["", "a", "a=", "=1", " = "])
def test_a_setting_needs_name_and_value(text):
    with pytest.raises(ValueError, match="is not NAME=VALUE, such as"):
        parse_setting(text)


def test_amounts_of_resources():
    assert parse_resource("GPU=2") == ("GPU", 2.0)
    assert parse_resource(" memory = 1e9") == ("memory", 1e9)
    for text in ("", "GPU", "GPU=", "=1", "GPU=two", "GPU=0", "GPU=-1", "GPU=inf"):
        with pytest.raises(ValueError, match="is not NAME=NUMBER"):
            parse_resource(text)


def test_a_misspelt_setting_is_refused_with_the_nearest():
    import distributed  # noqa: F401 - its import adds its defaults to dask.config

    nearest = "did you mean distributed.worker.memory.terminate?"
    with pytest.raises(UsageError, match=nearest):
        check_settings({"distributed.worker.memory.terminat": 0.9})
    check_settings({
        "distributed.worker.memory.terminate": 0.9,
        "distributed.nanny.environ.MY_VARIABLE": "1",
        "array.chunk-size": "1MiB",
        "my.own": 1,
    })  # fmt: skip


def test_intervals_of_idle_workers_grow_with_the_workers_per_core():
    import dask.config
    import distributed  # noqa: F401 - its import adds its defaults to dask.config

    tick, cycle = "distributed.admin.tick.interval", "distributed.worker.profile.cycle"
    assert longer_intervals(workers=2, cpus=2) == {}
    assert longer_intervals(workers=6, cpus=2)[tick] == "0.06s"
    assert longer_intervals(workers=127, cpus=2)[tick] == "0.2s"
    with dask.config.set({tick: 50}):  # in ms, as by --set
        longer = longer_intervals(workers=6, cpus=2)
    assert tick not in longer
    assert longer[cycle] == "3s"


def test_preloaded_files_have_absolute_paths(tmp_path, monkeypatch):
    (tmp_path / "setup.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert preload_source("setup.py") == str(tmp_path / "setup.py")
    assert preload_source("my.module") == "my.module"
