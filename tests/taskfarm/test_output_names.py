"""Two tasks with one output file are an error, however its name is written."""

import os

import pytest

from mpiapps.base.errors import InputError
from mpiapps.taskfarm.output_names import with_output_names
from mpiapps.taskfarm.task_list import Task


def named(*outputs, done=(), directory=""):
    """Return the output files of tasks, with their placeholders filled in."""
    tasks = {
        f"id{n}": Task(f"echo {n}", stdout=name, directory=str(directory))
        for n, name in enumerate(outputs)
    }
    return [task.stdout for task in with_output_names(tasks, dict(done)).values()]


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
