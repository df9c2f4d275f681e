"""Sums that stop and resume execute each task once, with bitwise equal results."""

import json
from dataclasses import dataclass

import pytest

from mpiapps.app import option
from mpiapps.app.checkpoint import Checkpoint, _digest
from mpiapps.app.context import RunContext
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, FileAccessError, InputError
from mpiapps.tasks.range_sum import sum_range

pytestmark = pytest.mark.mpi


@dataclass(frozen=True)
class Options:
    """The options that determine the result."""

    n: int = 40
    device: str = option("cpu", "where it runs", changeable=True)


@pytest.fixture
def path(world, tmp_path_factory):
    """Return the path of the checkpoint, equal on all ranks."""
    path = tmp_path_factory.mktemp("run") / "checkpoint.json"
    return world.comm.bcast(path, root=0)


def context(world, path, deadline=None, options=None, interval=1e9):
    return RunContext.make(
        world,
        "sums",
        options or Options(),
        checkpoint=str(path or ""),
        interval=interval,
        deadline=deadline or Deadline(environ={}),
    )


def attempt(ctx, schedule, stop_after=0):
    """Return the sum; the last rank requests a stop after `stop_after` tasks."""
    world, calls = ctx.world, []

    def power(part):
        calls.extend(part)
        if world.rank == world.size - 1 and len(calls) == stop_after:
            ctx.deadline.stop_requested = True
        return [sum(n**5 + 1 for n in part)]

    # A task is one number, since there are fewer than 64 per rank.
    return int(sum_range(ctx, Options().n, power, schedule=schedule).total[0])


EXPECTED = sum(n**5 + 1 for n in range(Options().n))


def run_to_completion(world, path, schedule, stop_after):
    """Resume until the sum is complete; return it and the number of stops."""
    for stops in range(100):
        try:
            return attempt(context(world, path), schedule, stop_after), stops
        except Checkpointed:
            world.comm.Barrier()
    raise AssertionError("the run does not complete")


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
@pytest.mark.parametrize("stop_after", [1, 2, 3, 7, 100])
def test_the_sum_is_the_same_after_any_number_of_stops(
    world, path, schedule, stop_after
):
    total, stops = run_to_completion(world, path, schedule, stop_after)
    assert total == EXPECTED
    if stop_after > Options().n:
        assert stops == 0
    world.comm.Barrier()
    if stops:
        assert path.exists()
    world.comm.Barrier()
    if world.is_root:
        context(world, path).checkpoint.discard()
        assert not path.exists()


PAST = {"MPIAPPS_DEADLINE": "1"}


@pytest.mark.parametrize("limit", [{"environ": PAST}, {"seconds": 0.0, "environ": {}}])
def test_the_deadline_and_the_limit_stop_all(world, path, limit):
    with pytest.raises(
        Checkpointed, match=r"saved in .*; run the same command to resume"
    ):
        attempt(context(world, path, Deadline(**limit)), "static")
    assert attempt(context(world, path), "static") == EXPECTED


def test_a_periodic_checkpoint_does_not_stop_the_run(world, path):
    assert attempt(context(world, path, interval=0.0), "dynamic") == EXPECTED
    world.comm.Barrier()
    assert json.loads(path.read_text())["stopped"] == 0
    world.comm.Barrier()


def test_without_a_file_a_signal_does_not_stop_the_run(world):
    deadline = Deadline(environ={})
    deadline.stop_requested = True
    assert attempt(context(world, None, deadline), "static") == EXPECTED


def test_a_resumed_run_keeps_the_chunk_size(world, path):
    def length(part):
        return [len(part), len(part) ** 2]

    n = 10**6 + 1
    ctx = context(world, path, Deadline(0.0, environ={}))
    with pytest.raises(Checkpointed):
        sum_range(ctx, n, length, width=2)
    chunk = json.loads(path.read_text())["state"]["chunk"]
    world.comm.Barrier()
    sums = sum_range(context(world, path), n, length, width=2)
    assert sums.total.tolist() == [n, n // chunk * chunk**2 + (n % chunk) ** 2]


def stop_once(world, path):
    """Stop a run with a checkpoint, and return its content."""
    with pytest.raises(Checkpointed):
        attempt(context(world, path, Deadline(environ=PAST)), "static")
    content = json.loads(path.read_text())
    world.comm.Barrier()
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": {"sum": 1}}, "is damaged"),
        ({"remaining": []}, "is damaged"),
        ({"format": 2}, "is of program sums, format 2"),
        ({"program": "pi"}, "is of program pi"),
        ({"digest": None}, "is damaged"),
    ],
    ids=str,
)
def test_an_incompatible_checkpoint_is_refused(world, path, change, message):
    content = stop_once(world, path)
    if world.is_root:
        path.write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=message):
        attempt(context(world, path), "static")
    if world.is_root:  # the file is unchanged
        assert json.loads(path.read_text()) == content | change


def test_the_error_for_other_options_names_them(world, path):
    stop_once(world, path)
    with pytest.raises(InputError, match="of a run with --n 40; give the same"):
        context(world, path, options=Options(n=41)).checkpoint.load()


def test_an_option_that_changes_no_result_may_be_another_one(world, path):
    stop_once(world, path)
    if world.is_root:  # as of a version that compared it
        content = json.loads(path.read_text())
        content["options"]["device"] = "cpu"
        del content["stopped"], content["digest"]
        content |= {"digest": _digest(content), "stopped": True}
        path.write_text(json.dumps(content))
    world.comm.Barrier()
    other = context(world, path, options=Options(device="cuda"))
    assert attempt(other, "static") == EXPECTED


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_a_file_that_is_not_a_checkpoint_is_refused(world, path, text):
    if world.is_root:
        path.write_text(text)
        with pytest.raises(InputError, match="is not a checkpoint"):
            context(world, path).checkpoint.check_writable()
        assert path.exists()
    with pytest.raises(InputError, match="is not a checkpoint"):
        context(world, path).checkpoint.load()


def test_a_full_disk_is_reported_on_all_ranks(world, monkeypatch):
    monkeypatch.setattr(Checkpoint, "load", lambda _self: None)
    with pytest.raises(FileAccessError, match="cannot write /dev/full"):
        attempt(context(world, "/dev/full", Deadline(environ=PAST)), "static")


@pytest.mark.parametrize("name", ["nodir/c", "."])
def test_a_path_that_cannot_be_written_is_an_error_at_the_start(world, tmp_path, name):
    with pytest.raises(FileAccessError, match="name a file in a directory that exists"):
        context(world, tmp_path / name).checkpoint.check_writable()


def test_a_file_that_cannot_be_read_is_not_reported_as_damaged(path, world):
    """The message does not advise to remove the file."""
    if world.is_root:
        path.mkdir()
    world.comm.Barrier()
    with pytest.raises(FileAccessError, match=r"cannot read .*: Is a directory$"):
        context(world, path).checkpoint.load()
