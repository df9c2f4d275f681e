"""Two tasks with one output file are an error, however its name is written."""

import os
from pathlib import Path

import pytest

from mpiapps.base.errors import InputError
from mpiapps.taskfarm.output_names import with_output_names
from mpiapps.taskfarm.own_files import own_file_of
from mpiapps.taskfarm.task_list import Task


def named(*outputs, done=(), directory=""):
    """Return the output files of tasks, with their placeholders filled in."""
    tasks = {
        f"id{n}": Task(f"echo {n}", stdout=name, directory=str(directory))
        for n, name in enumerate(outputs)
    }
    here = Path(directory)
    own_file = own_file_of(here / "x.farm", [here / "tasks"], here / "jobs.log")
    found = with_output_names(tasks, dict(done), own_file)
    return [task.stdout for task in found.values()]


@pytest.mark.parametrize(
    "outputs",
    [
        ("a", "./a"),
        ("a", "b/../a"),
        ("a", "here/a"),
        ("a", "link"),
        ("here/here/b", "b"),
        ("a", "{seq}", "a.part"),
        ("a.part", "here/a"),
        ("gone/a", "gone/x/../a"),
    ],
)
def test_spellings_of_one_file(tmp_path, outputs):
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(InputError, match=r"would both write .*; use \{seq\}"):
        named(*outputs, directory=tmp_path)


@pytest.mark.parametrize("output", ["a", "./a", "here/a", "a.part"])
def test_an_output_of_another_task(tmp_path, output):
    (tmp_path / "here").symlink_to(".")
    here = str(tmp_path)
    writes = Task("echo 1", stdout="a", outputs=("a",), directory=here)
    others = Task("echo 2 > a", outputs=("b", output), directory=here)
    for tasks in ({"1": writes, "2": others}, {"2": others, "1": writes}):
        with pytest.raises(InputError, match="'echo 2 > a' and 'echo 1' would both"):
            with_output_names(tasks, {}, lambda _: "")


def test_other_names(tmp_path):
    outputs = ["a", "b/a", "a.part.part", "{seq}", "/a", str(tmp_path / "x")]
    names = named(*outputs, directory=tmp_path)
    assert names == [*outputs[:3], "4", *outputs[4:]]


def test_tasks_may_share_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    outputs = ["fifo", "./fifo", "fifo.part"]
    assert named(*outputs, directory=tmp_path) == outputs


def test_an_output_of_an_earlier_run_is_found_by_a_link(tmp_path):
    (tmp_path / "here").symlink_to(".")
    done = {str(tmp_path / "here" / "a"): "id1"}
    with pytest.raises(InputError, match="holds the output of 'echo 1'"):
        named("a", "b", done=done, directory=tmp_path)


@pytest.mark.parametrize(
    "output",
    ["tasks", "link", "jobs.log", "x.farm/journal", "here/x.farm/part-2/journal",
     "x.farm/owner.3", "x.farm/failed.txt", "x.farm/digests", "x.farm/logs/id0"],
)  # fmt: skip
def test_no_output_replaces_a_file_of_the_farm(tmp_path, output):
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "link").symlink_to("tasks")
    with pytest.raises(
        InputError, match=r"echo 0: stdout=.*: it would replace .*; give"
    ):
        named(output, directory=tmp_path)


def test_other_files_in_the_run_directory_are_outputs(tmp_path):
    names = ["x.farm/out", "x.farm/failed-txt", "x.farm/part-a/journal", "xx", "log2"]
    assert named(*names, directory=tmp_path) == names
