"""Task lists and parameter sweeps: parsing, attributes and identities of tasks."""

import os
import random
import re
import shlex
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpiapps.base.errors import InputError
from mpiapps.taskfarm.parameter_grid import grid
from mpiapps.taskfarm.task_lines import as_line, as_lines
from mpiapps.taskfarm.task_list import (
    ATTRIBUTES,
    Task,
    by_identity,
    input_files,
    part_of,
    read_file,
    read_list,
)
from tests.fuzz import examples

LIST = """\
# a comment
echo one

   echo two   #: time=10m memory=2GiB
#: retries=2 env.A=1
echo "three # not a comment"
  # a comment
echo four #: env.B=2 retries=0 cores=4 cd=/tmp in=a,b\r
echo five"""


def test_lines_are_parsed():
    tasks = list(read_list(LIST.splitlines(keepends=True)))
    assert tasks == [
        Task("echo one"),
        Task("echo two", seconds=600, memory=2**31),
        Task('echo "three # not a comment"', retries=2, environ={"A": "1"}),
        Task(
            "echo four",
            environ={"A": "1", "B": "2"},
            cores=4,
            directory="/tmp",
            inputs=("a", "b"),
        ),
        Task("echo five", retries=2, environ={"A": "1"}),
    ]
    assert list(read_list(map(as_line, tasks))) == tasks


def test_dependencies_are_read_and_written():
    lines = ["a #: name=first", "b #: name=first after=x,y", "#: barrier", "c", "d"]
    tasks = list(read_list(lines))
    assert [(task.name, task.after, task.stage) for task in tasks] == [
        ("first", (), 0),
        ("first", ("x", "y"), 0),
        ("", (), 1),
        ("", (), 1),
    ]
    # Names of tasks that are not written are not waited for.
    assert list(as_lines(tasks)) == [lines[0], "b #: name=first", *lines[2:]]
    assert list(as_lines(tasks[2:])) == ["c", "d"]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("echo a\\ ", "echo a\\ "),
        ("  echo a\\ \t \r\n", "echo a\\ "),
        ("echo a\\\\ ", "echo a\\\\"),
        ("echo a\\\\\\\t ", "echo a\\\\\\\t"),
        ("echo a\\  #: time=3", "echo a\\ "),
        ("echo a\\ #: time=3", "echo a\\"),
    ],
)
def test_an_escaped_blank_at_the_end_is_kept(line, command):
    (task,) = read_list([line])
    assert task.command == command
    assert list(read_list([as_line(task)])) == [task]


CHARACTERS = [*"#:\\ \t\n\r'\"$=,\x0b\x1c\x85\u3000\ufeffé\udcff", " #:", "a", "time=3"]
commands = st.lists(st.sampled_from(CHARACTERS), min_size=1, max_size=8).map("".join)
limits = {"seconds": st.integers(0, 90), "memory": st.integers(0, 2**40)}
limits |= {"cores": st.integers(1, 9), "retries": st.integers(0, 9)}


def round_trip(tasks):
    """Return the tasks read from a file such as failed.txt."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "failed.txt")
        path.write_bytes(os.fsencode("".join(f"{as_line(task)}\n" for task in tasks)))
        return list(read_file(str(path)))


@given(st.lists(st.builds(Task, commands, **limits), min_size=1, max_size=3))
@example([Task("# one\nrm *"), Task("echo a\nrm *"), Task("x\rrm *")])
@example([Task("grep ' #: ' x"), Task("x #: time=3"), Task("\ufeffx"), Task(" x ")])
@example([Task("x", outputs=("run.0",)), Task("x", environ={"A": "b #: c"})])
def test_tasks_survive_a_round_trip(tasks):
    assert round_trip(tasks) == tasks
    assert list(by_identity(round_trip(tasks))) == list(by_identity(tasks))


@given(st.lists(st.sampled_from(CHARACTERS), max_size=12).map("".join))
def test_a_list_has_at_most_one_task_per_line(text):
    try:
        tasks = list(read_list(text.split("\n")))
    except InputError:
        return
    assert len(tasks) <= text.count("\n") + 1
    assert round_trip(tasks) == tasks


VALUES = [
    *(
        "",
        "1",
        "0",
        "-1",
        "1.5",
        "1e3",
        "1e400",
        "inf",
        "nan",
        "9" * 30,
        "1h30m",
        "4GiB",
    ),
    *(
        "a",
        "a,b",
        ",",
        "'a b'",
        '"',
        "'",
        "\\\\",
        "\\x20",
        "=",
        "#:",
        "/tmp",
        "{1}",
        "*",
        "é",
    ),
]
NAMES = [*ATTRIBUTES, "env.A", "env.", "env", "barrier", "escapes", "cores", "#:", ""]
attributes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map("=".join)
    | st.sampled_from(["barrier", "escapes=yes", "time"]),
    max_size=3,
).map(" ".join)
lists = st.lists(
    st.tuples(st.sampled_from(["", "x", " x ", "#", "x #: y", "x\\x20"]), attributes)
    .map(" #: ".join)
    .map(str.encode)
    | st.binary(max_size=12),
    max_size=4,
).map(b"\n".join)


@examples(150)
@given(lists)
@example(b"x #: time=1e400")
@example(b"x #: after=,")
def test_any_file_is_a_list_of_tasks_or_an_error_with_its_line(content):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "list")
        path.write_bytes(content)
        try:
            tasks = list(read_file(str(path)))
        except InputError as error:
            message = str(error)
        else:
            message = ""
    if message:
        assert re.match(rf"{path}, line \d+: .", message, re.DOTALL)
        return
    assert len(tasks) <= content.count(b"\n") + 1
    assert round_trip(tasks) == [replace(task, stage=0) for task in tasks]


def test_bom_and_carriage_returns_are_not_part_of_commands(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbfecho one\r\necho a\rb\r\n")
    assert [task.command for task in read_file(str(path))] == ["echo one", "echo a\rb"]
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    commands = [task.command for task in grid("echo {f}", [f"f=@{path}"])]
    assert commands == ["echo a", "echo 'b\rc'"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("echo #: tim=3", "'tim=3' is not one of time, memory"),
        ("echo #: time", "'time' is not one of"),
        ("echo #: memory=lots", "lots"),
        ("#: cores=1.5", "1.5"),
        ("echo \0", "zero byte"),
        ("echo #: env.X=\0", "zero byte"),
        ("echo #: cd='/tmp", "No closing quotation"),
        ("#: env.=3", "'env.=3' is not one of .*env.NAME with =VALUE"),
        ("grep ' #: ' x", "if this #: belongs to the command, add another at the end"),
        ("#: escapes=yes", "only valid after a command"),
        ("echo #: barrier", "only valid on a line of its own"),
        ("#DISBATCH REPEAT 10 PREFIX ./x", "directives of disBatch"),
    ],
)
def test_invalid_line_is_an_error_with_its_number(line, message):
    with pytest.raises(InputError, match=f"jobs.txt, line 2: .*{message}"):
        list(read_list(["true", line], "jobs.txt"))


def test_parameter_values_are_quoted_for_the_shell(tmp_path):
    names = tmp_path / "names"
    names.write_text("a b\n$(touch canary)\n-rf\n'\n")
    tasks = list(grid("printf %s: {f} {x}", [f"f=@{names}", "x=1:5:2"]))
    assert len(tasks) == 12
    outputs = [
        subprocess.run(
            ["sh", "-c", task.command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for task in tasks
    ]
    values = names.read_text().splitlines()
    assert outputs == [f"{f}:{x}:" for f in values for x in ("1", "3", "5")]
    assert [path.name for path in tmp_path.iterdir()] == ["names"]


def test_other_braces_are_kept():
    (task,) = grid("awk '{print $1}' {f} ${HOME} {g", ["f=x"])
    assert task.command == "awk '{print $1}' x ${HOME} {g"
    (task,) = grid("true", [], Task("", retries=3))
    assert task == Task("true", retries=3)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("x", "give NAME=VALUES"),
        ("x y=1", "give NAME=VALUES"),
        ("y=1", r"'echo \{x\}' has no \{y\}"),
        ("x=@/not/there", "No such file"),
        ("x=1:5:0", "the step must not be 0"),
        ("x=10:1", "the range is empty; to count down, give 10:1:-1"),
        ("x=1:10:-1", "the range is empty; to count down, give 10:1:-1"),
        ("x=5:.5:1.5", r"to count down, give 5:\.5:-1\.5"),
        ("x=1:10:0,5", "'0,5' is not a number"),
        ("x=1:2:3:4", "give FIRST:LAST or FIRST:LAST:STEP"),
        ("x=1:10000000000", "10000000000 values, and a farm has at most 10000000"),
        ("x=1:1e300:1e-300", "values, and a farm has at most 10000000"),
        ("x=@/dev/null", "the file is empty"),
    ],
)
def test_invalid_parameter_is_an_error(parameter, message):
    with pytest.raises(InputError, match=message):
        list(grid("echo {x}", [parameter]))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1:3", "1 2 3"),
        ("-1:1", "-1 0 1"),
        ("10:1:-3", "10 7 4 1"),
        ("0:1:0.25", "0 0.25 0.5 0.75 1"),
        ("0:0.3:.1", "0 0.1 0.2 0.3"),
        ("1e3:1.5e3:2.5e2", "1000 1250 1500"),
        ("5:5", "5"),
        ("1:2,3:4", "1:2 3:4"),
        ("host:80", "host:80"),
    ],
)
def test_ranges_are_decimal_and_inclusive(text, values):
    commands = [task.command for task in grid("{x}", [f"x={text}"])]
    assert " ".join(commands) == values


def test_too_many_combinations_are_an_error():
    ranges = [f"{name}=1:1000" for name in "abc"]
    with pytest.raises(InputError, match="1000000000 tasks, and a farm has at most"):
        next(grid("{a} {b} {c}", ranges))


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 70))
def test_parts_partition_a_list_in_equal_shares(numbers, count):
    names = {Task(f"echo {n}").identity() for n in numbers}
    parts = [part_of(names, f"{n + 1}/{count}") for n in range(count)]
    assert set().union(*parts) == names
    assert sum(map(len, parts)) == len(names)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_edited_list_keeps_most_tasks_in_their_parts():
    before = [Task(f"echo {n}").identity() for n in range(1000)]
    after = [Task("new").identity(), *reversed(before[:500]), *before[501:]]
    moved = 0
    for n in range(10):
        part = f"{n + 1}/10"
        moved += len(part_of(before, part) & set(after) - part_of(after, part))
    assert moved <= 2 * 9


def test_identity_does_not_depend_on_position_or_limits():
    lines = [f"echo {n}" for n in range(20)] * 2
    before = list(by_identity(read_list(lines)))
    assert len(set(before)) == 40  # both of two equal tasks are run
    random.Random(0).shuffle(lines)
    assert set(by_identity(read_list(lines))) == set(before)
    more = set(by_identity(read_list([*lines[:7], "echo new", *lines[7:]])))
    assert len(more - set(before)) == 1
    (limited,) = by_identity(read_list(["echo 1 #: time=3 retries=2"]))
    assert limited in before
    (other,) = by_identity(read_list(["echo 1 #: env.A=2"]))
    assert other not in before


def test_changed_input_changes_the_identity(tmp_path):
    data = tmp_path / "data"
    task = Task("wc data", directory=str(tmp_path), inputs=("data",))
    missing = task.identity()
    data.write_text("one")
    first = task.identity()
    assert first == task.identity()
    assert first != missing
    data.write_text("other")
    assert task.identity() not in (first, missing)


def test_files_that_match_a_pattern_are_inputs(tmp_path):
    task = Task("cat *.csv", directory=str(tmp_path), inputs=("*.csv",))
    assert input_files(task, "*.csv") == []
    before = [task.identity()]
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("one")
        before.append(task.identity())
    (tmp_path / "a.csv").write_text("more")
    before.append(task.identity())
    (tmp_path / "*.csv").write_text("a name that looks like one")
    before.append(task.identity())
    assert len(set(before)) == 5


def test_identities_are_those_of_older_versions():
    task = Task("echo 'é' \udcff \n\"", "/a b", {"B": "1", "A": "2"})
    assert task.identity() == "c17cccf9c87ac702cd217b820cc1fa8e"
    assert Task("x").identity(3) == "7bad4c91028e2d9ec41dabd6e3559a9d"


def test_invalid_utf8_is_kept(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"echo \xff\xfe\n")
    with path.open(errors="surrogateescape") as lines:
        (task,) = read_list(lines)
    ended = subprocess.run(["sh", "-c", task.command], capture_output=True, check=True)
    assert ended.stdout == b"\xff\xfe\n"
    assert task.identity() == Task(task.command).identity()
    assert shlex.split(task.command)[0] == "echo"
