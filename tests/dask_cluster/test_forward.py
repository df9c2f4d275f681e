"""Workers get the settings of a script made before its client, and nothing else."""

import os
import sys

import pytest

CHANGES = {
    "nothing": lambda _dask: None,
    "a directory of modules": lambda _dask: sys.path.insert(0, "/new"),
    "a variable": lambda _dask: os.environ.update(MPIAPPS_NEW="1"),
    "another value": lambda _dask: os.environ.update(MPIAPPS_OLD="2"),
    "a removed variable": lambda _dask: os.environ.pop("MPIAPPS_OLD"),
    "a setting": lambda dask: dask.config.set({"array.chunk-size": "1MiB"}),
    "a custom setting": lambda dask: dask.config.set({"my.own_key": {"a": [1]}}),
    "a client-only setting": lambda dask: dask.config.set(scheduler="threads"),
    "a startup setting": lambda dask: dask.config.set(
        {"distributed.scheduler.work-stealing": False}
    ),
}


@pytest.fixture
def dask(monkeypatch):
    """Yield Dask; restore everything that the tests change."""
    import dask.config  # not above: it changes how errors of tests on ranks are pickled

    monkeypatch.setenv("MPIAPPS_OLD", "1")
    monkeypatch.setattr(sys, "path", [*sys.path])
    environ = dict(os.environ)
    with dask.config.set({"my.old": 1}):
        yield dask
    dask.config.refresh()
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    os.environ.update(environ)


def inherited(dask):
    """Return the state that a worker inherits."""
    environ = {k: v for k, v in os.environ.items() if k.startswith("MPIAPPS_")}
    names = "array.chunk-size", "my.own-key.a", "my.old"
    return sys.path[:1], environ, [dask.config.get(name, None) for name in names]


@pytest.mark.parametrize("change", CHANGES)
def test_settings_are_forwarded_to_workers(change, dask):
    import cloudpickle

    from mpiapps.dask_cluster.forward import ForwardState, State

    before, initial = State.capture(), inherited(dask)
    CHANGES[change](dask)
    plugin = ForwardState(before, State.capture())
    wanted = inherited(dask)
    assert bool(plugin) == (change not in {"nothing", "a client-only setting"})
    late = plugin.startup_settings()
    assert bool(late) == (change == "a startup setting")
    sys.path[:], dask.config.config["array"] = before.path, {"chunk-size": "128MiB"}
    dask.config.config["my"] = {"old": 1}
    os.environ.pop("MPIAPPS_NEW", None)
    os.environ["MPIAPPS_OLD"] = "1"
    assert inherited(dask) == initial  # like a restarted worker
    for _ in range(2):
        cloudpickle.loads(cloudpickle.dumps(plugin)).setup(None)
        assert inherited(dask) == wanted
