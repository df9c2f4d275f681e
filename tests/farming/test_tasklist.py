"""Lists and grids: what is a task, what it may take, and when it is the same one."""

import random
import shlex
import subprocess

import pytest

from mpiapps.base.errors import InputError
from mpiapps.farming.tasklist import Task, as_line, grid, identities, read_list

LIST = """\
# what we do
echo one

   echo two   #: time=10m memory=2GiB
#: retries=2 env.A=1
echo "three # not a comment"
  # a comment
echo four #: env.B=2 retries=0 cores=4 cd=/tmp in=a,b\r
echo five"""


def test_a_list_is_read_line_by_line():
    found = list(read_list(LIST.splitlines(keepends=True)))
    assert found == [
        Task("echo one"),
        Task("echo two", seconds=600, memory=2**31),
        Task('echo "three # not a comment"', retries=2, environ={"A": "1"}),
        Task(
            "echo four",
            environ={"A": "1", "B": "2"},
            cores=4,
            folder="/tmp",
            inputs=("a", "b"),
        ),
        Task("echo five", retries=2, environ={"A": "1"}),
    ]
    assert list(read_list(map(as_line, found))) == found


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo #: tim=3", "'tim=3' is not one of time, memory"),
        ("echo #: time", "'time' is not one of"),
        ("echo #: memory=lots", "lots"),
        ("#: cores=1.5", "1.5"),
        ("echo \0", "zero byte"),
        ("echo #: env.X=\0", "zero byte"),
        ("echo #: cd='/tmp", "No closing quotation"),
    ],
)
def test_a_line_that_cannot_be_a_task_is_named(line, says):
    with pytest.raises(InputError, match=f"jobs.txt, line 2: .*{says}"):
        list(read_list(["true", line], "jobs.txt"))


def test_grids_are_quoted_for_the_shell(tmp_path):
    names = tmp_path / "names"
    names.write_text("a b\n$(touch canary)\n-rf\n'\n")
    found = list(grid("printf %s: {f} {x}", [f"f=@{names}", "x=1:5:2"]))
    assert len(found) == 12
    said = [
        subprocess.run(
            ["sh", "-c", task.command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for task in found
    ]
    values = names.read_text().splitlines()
    assert said == [f"{f}:{x}:" for f in values for x in ("1", "3", "5")]
    assert [each.name for each in tmp_path.iterdir()] == ["names"]


def test_other_braces_are_the_commands_own():
    (found,) = grid("awk '{print $1}' {f} ${HOME} {g", ["f=x"])
    assert found.command == "awk '{print $1}' x ${HOME} {g"
    (found,) = grid("true", [], Task("", retries=3))
    assert found == Task("true", retries=3)


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("x", "give NAME=VALUES"),
        ("x y=1", "give NAME=VALUES"),
        ("y=1", r"no \{y\} is in"),
        ("x=@/not/there", "No such file"),
        ("x=1:5:0", "a step of 0"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_told(parameter, says):
    with pytest.raises(InputError, match=says):
        list(grid("echo {x}", [parameter]))


def test_a_task_is_the_same_wherever_it_stands():
    lines = [f"echo {n}" for n in range(20)] * 2
    before = list(identities(read_list(lines)))
    assert len(set(before)) == 40  # each of two equal ones is done
    random.Random(0).shuffle(lines)
    assert set(identities(read_list(lines))) == set(before)
    more = set(identities(read_list([*lines[:7], "echo new", *lines[7:]])))
    assert len(more - set(before)) == 1
    (limited,) = identities(read_list(["echo 1 #: time=3 retries=2"]))
    assert limited in before
    (other,) = identities(read_list(["echo 1 #: env.A=2"]))
    assert other not in before


def test_a_changed_input_makes_it_another_task(tmp_path):
    data = tmp_path / "data"
    task = Task("wc data", folder=str(tmp_path), inputs=("data",))
    missing = task.identity()
    data.write_text("one")
    first = task.identity()
    assert first == task.identity()
    assert first != missing
    data.write_text("other")
    assert task.identity() not in (first, missing)


def test_bytes_that_are_no_text_are_kept(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"echo \xff\xfe\n")
    with path.open(errors="surrogateescape") as lines:
        (task,) = read_list(lines)
    said = subprocess.run(["sh", "-c", task.command], capture_output=True, check=True)
    assert said.stdout == b"\xff\xfe\n"
    assert task.identity() == Task(task.command).identity()
    assert shlex.split(task.command)[0] == "echo"
