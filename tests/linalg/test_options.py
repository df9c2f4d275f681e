"""No option of the matrix program is ignored: it changes something, or is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mpiapps import tips
from mpiapps.app.context import RunContext
from mpiapps.app.runner import parse
from mpiapps.base.errors import MpiAppsError, UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.linalg import calibrate
from mpiapps.linalg.cost_model import Machine
from mpiapps.linalg.operations import OPERATIONS, find_operation
from mpiapps.matrix import PROGRAM, Options, check, run
from tests.linalg.cases import whole

# Each option with a value that is not its default, and what it needs beside it.
OPTIONS = {
    "output": ("given.npy", {}),
    "seed": (7, {}),
    "dtype": ("f4", {}),
    "kind": ("positive", {}),
    "k": (2, {}),
    "which": ("BE", {"k": 2}),
    "check": (True, {}),
    "plan": (True, {}),
    "ranks": (64, {"plan": True}),
    "memory": (1, {"plan": True}),  # byte: more than nothing fits
    "calibrate": (True, {"plan": True}),
    "platform": ("torus-100-slow", {"plan": True}),
}
SIZES = {"multiply": (6, 5, 4), "solve": (6, 2), "cholesky": (6,), "inverse": (6,)}
SIZES |= {"eigh": (6,), "eigsh": (6,), "lstsq": (6, 4, 2), "svds": (6, 7)}
COUNTS = {
    "multiply": [3],
    "solve": [1, 2],
    "cholesky": [1],
    "inverse": [1],
    "eigh": [1],
    "eigsh": [1],
    "lstsq": [2, 3],
}


@pytest.fixture
def place(comm, tmp_path_factory):
    """A directory that all ranks share, with operands."""
    directory = Path(comm.bcast(str(tmp_path_factory.mktemp("options"))))
    if comm.rank == 0:
        x = np.random.default_rng(0).standard_normal((6, 6))
        np.save(directory / "a.npy", x @ x.T + 6 * np.eye(6))
        np.save(directory / "b.npy", x)
    comm.Barrier()
    return directory


def observed(world, place, options):
    """Return all that a user sees of a run, but for times."""
    try:
        result = run(RunContext.make(world), options)
        seen = repr(result.values)
    except MpiAppsError as error:
        seen = str(error)
    world.comm.Barrier()
    files = {path.name: path.read_bytes() for path in sorted(place.glob("*.npy"))}
    world.comm.Barrier()
    if world.rank == 0:
        for name in ("out.npy", "given.npy"):
            (place / name).unlink(missing_ok=True)
    world.comm.Barrier()
    return seen, files


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_option_changes_something_or_is_refused(
    world, place, operation, monkeypatch
):
    monkeypatch.setattr(calibrate, "calibrate", lambda _comm: Machine(1, 2, 3))
    count = 2 if operation in ("multiply", "solve", "lstsq") else 1
    operands = tuple(str(place / name) for name in ("a.npy", "b.npy")[:count])
    for given in ({"random": SIZES.get(operation, (6, 4))}, {"files": operands}):
        for option in OPTIONS:
            try_option(world, place, Options(operation, **given), option)


def try_option(world, place, plain, option):
    value, beside = OPTIONS[option]
    plain = dataclasses.replace(plain, **beside)
    # What is computed is seen in the output, where there is one.
    if find_operation(plain.operation).output and not {
        option,
        *beside,
    } & {"output", "plan"}:
        plain = dataclasses.replace(plain, output=str(place / "out.npy"))
    if option == "output":
        value = str(place / value)
    changed = dataclasses.replace(plain, **{option: value})
    try:
        check(changed)
    except ValueError as error:
        refusal = str(error)
    else:
        seen = observed(world, place, changed)
        assert seen != observed(world, place, plain), changed
        return
    assert any(f"--{name} applies only" in refusal for name in (option, *beside)), (
        changed
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_size_is_used_or_refused(operation):
    counts = COUNTS.get(operation, [1, 2])
    for count in range(1, 5):
        options = Options(operation, random=(3,) * count)
        if count in counts:
            check(options)
        else:
            with pytest.raises(ValueError, match="sizes and no files"):
                check(options)


@pytest.mark.parametrize("word", ["--checkpoint=x", "--seconds=9"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_run_without_checkpoints_refuses_the_option(operation, word, capsys):
    sizes = map(str, SIZES.get(operation, (6,)))
    words = [operation, "--random", *sizes, "--checkpoint=y", word]
    if operation in ("cholesky", "solve", "inverse", "eigh", "svd"):
        parse(PROGRAM, words, LaunchEnvironment())
        return
    with pytest.raises(SystemExit, match="2"):
        parse(PROGRAM, words, LaunchEnvironment())
    assert "a run with these options cannot be resumed" in capsys.readouterr().err


def test_tips_by_dask_refuse_a_checkpoint():
    assert tips.PROGRAM.resumable(tips.Options())
    assert not tips.PROGRAM.resumable(tips.Options(engine="dask"))


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        ("x.txt", UsageError, "unknown suffix"),
        ("x", UsageError, "unknown suffix"),
        ("a.npy", UsageError, "would replace the operand"),
        ("gone/x.npy", MpiAppsError, "No such file"),
        ("directory.npy", MpiAppsError, "Is a directory"),
    ],
)
def test_a_wrong_output_is_refused_before_the_computation(
    world, place, output, error, says
):
    if world.rank == 0:
        (place / "directory.npy").mkdir(exist_ok=True)
        np.save(place / "singular.npy", np.zeros((3, 3)))
    world.comm.Barrier()
    # Reading or computing would end in another error.
    for operand in ("a.npy", "missing.npy", "singular.npy"):
        if output == "a.npy" and operand != output:
            continue
        options = Options(
            "inverse", (str(place / operand),), output=str(place / output)
        )
        with pytest.raises(error, match=says):
            run(RunContext.make(world), options)


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_singular_values_are_written_as_a_column(world, place, shape, dtype):
    x = whole(shape, dtype)
    if world.rank == 0:
        np.save(place / "x.npy", x)
    world.comm.Barrier()
    out = place / "s.npy"
    options = Options("svd", (str(place / "x.npy"),), output=str(out), check=True)
    assert run(RunContext.make(world), options).values["check"] < 10
    found = np.load(out)
    assert found.dtype == x.real.dtype
    expected = np.linalg.svd(x, compute_uv=False)
    np.testing.assert_allclose(found, expected[:, None], 1e-5)


@pytest.mark.mpi
@pytest.mark.one_mpi
def test_moments_have_imaginary_means(world):
    options = Options("moments", random=(6, 3), dtype="c16")
    values = run(RunContext.make(world), options).values
    assert values["mean_imaginary"] != 0
    assert values["mean_imaginary"] == pytest.approx(
        np.mean(values["column_means_imaginary"])
    )
    real = run(RunContext.make(world), Options("moments", random=(6, 3))).values
    assert "mean_imaginary" not in real
