"""Workers get what a script has set before its client, and nothing else."""

import os
import sys

import pytest

CHANGES = {
    "nothing": lambda _dask: None,
    "a folder of modules": lambda _dask: sys.path.insert(0, "/new"),
    "a variable": lambda _dask: os.environ.update(MPIAPPS_NEW="1"),
    "another value": lambda _dask: os.environ.update(MPIAPPS_OLD="2"),
    "a variable less": lambda _dask: os.environ.pop("MPIAPPS_OLD"),
    "a setting": lambda dask: dask.config.set({"array.chunk-size": "1MiB"}),
    "a setting of one's own": lambda dask: dask.config.set({"my.own_key": {"a": [1]}}),
    "how this client computes": lambda dask: dask.config.set(scheduler="threads"),
    "what began before": lambda dask: dask.config.set(
        {"distributed.scheduler.work-stealing": False}
    ),
}


@pytest.fixture
def dask(monkeypatch):
    """Dask, with all that tests change given back."""
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


def here(dask):
    """Return what a worker inherits, its own settings apart."""
    environ = {k: v for k, v in os.environ.items() if k.startswith("MPIAPPS_")}
    names = "array.chunk-size", "my.own-key.a", "my.old"
    return sys.path[:1], environ, [dask.config.get(name, None) for name in names]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_set_is_set_in_workers(change, dask):
    import cloudpickle

    from mpiapps.dasking.forward import Inherit, State

    before, at_first = State.now(), here(dask)
    CHANGES[change](dask)
    found = Inherit(before, State.now())
    wanted = here(dask)
    assert bool(found) == (change not in {"nothing", "how this client computes"})
    late = found.too_late()
    assert bool(late) == (change == "what began before")
    sys.path[:], dask.config.config["array"] = before.path, {"chunk-size": "128MiB"}
    dask.config.config["my"] = {"old": 1}
    os.environ.pop("MPIAPPS_NEW", None)
    os.environ["MPIAPPS_OLD"] = "1"
    assert here(dask) == at_first  # as a worker is that starts again
    for _ in range(2):
        cloudpickle.loads(cloudpickle.dumps(found)).setup(None)
        assert here(dask) == wanted


def test_the_variable_of_a_setting_is_known(dask, monkeypatch):
    from mpiapps.dasking.forward import variable_of

    name = "distributed.scheduler.work-stealing"
    monkeypatch.setenv(variable_of(name), "False")
    assert dask.config.get(name, config=dask.config.collect_env()) is False
