"""The job log, --halt, --dry-run and output files of the farm, as users start it."""

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from mpiapps.storage.journal import read
from mpiapps.taskfarm.job_log import COLUMNS
from tests.commands import on_ranks
from tests.taskfarm.farms import FARM, values, write_list

pytestmark = pytest.mark.usefixtures("preloaded")
ENDED = ["printf abc", "exit 3", "kill -9 $$", "sleep 60"]


@pytest.fixture
def tasks(tmp_path):
    """Return a function that writes a list of tasks."""
    return partial(write_list, tmp_path / "tasks")


def job_log(path):
    """Return the lines of a job log as rows of texts, sorted by position."""
    header, *rows = [line.split("\t", 8) for line in path.read_text().splitlines()]
    assert tuple(header) == COLUMNS
    return sorted(rows, key=lambda row: int(row[0]))


def test_job_log_is_that_of_gnu_parallel(tasks, tmp_path):
    path, log = tasks(*ENDED[:3], f"{ENDED[3]} #: time=1s"), tmp_path / "log"
    values(on_ranks("mpich", 2, *FARM, path, "--joblog", str(log), "--json", "-"), 3)
    rows = job_log(log)
    # Without start and run time; also the host, which is : for parallel's own.
    kept = [(row[0], *row[4:]) for row in rows]
    parallel = shutil.which("parallel")
    if parallel:
        peer = tmp_path / "peer"
        argv = [parallel, "-j2", "--timeout", "1", "--joblog", str(peer), ":::"]
        subprocess.run([*argv, *ENDED], capture_output=True, check=False, timeout=60)
        assert kept == [(row[0], *row[4:]) for row in job_log(peer)]
    assert kept == [
        ("1", "0", "3", "0", "0", ENDED[0]),
        ("2", "0", "0", "3", "0", ENDED[1]),
        ("3", "0", "0", "0", "9", ENDED[2]),
        ("4", "0", "0", "-1", "15", ENDED[3]),
    ]
    assert [len(row[2].partition(".")[2]) for row in rows] == [3] * 4
    assert 0.9 < float(rows[3][3]) < 30


def test_job_log_is_complete_after_a_resume(tasks, tmp_path):
    mark, log = tmp_path / "mark", tmp_path / "log"
    lines = [
        "true",
        f"test -e {mark} #: name=a",
        "exit 5 #: retries=1",
        "id #: after=a",
    ]
    argv = [*FARM, tasks(*lines), "--joblog", str(log), "--json", "-"]
    values(on_ranks("mpich", 1, *argv), code=3)
    exits = [row[6:8] for row in job_log(log)]
    assert exits == [["0", "0"], ["1", "0"], ["5", "0"], ["-2", "0"]]
    first = job_log(log)[0]
    log.unlink()
    mark.touch()
    values(on_ranks("mpich", 1, *argv), code=3)
    rows = job_log(log)
    assert [row[6] for row in rows] == ["0", "0", "5", "0"]
    assert rows[0] == first  # that of the earlier run
    # Another place in the list, and a part of it.
    tasks(lines[3].replace("a", "b"), "true #: name=b")
    log = tmp_path / "log.{part}"
    path = tasks("exit 1", "true")
    argv = [*FARM, path, "--joblog", str(log), "--part", "1/1", "--json", "-"]
    values(on_ranks("mpich", 1, *argv), code=3)
    assert job_log(tmp_path / "log.1")[1] == ["2", *first[1:]]


def test_now_ends_the_running_tasks_and_the_rest_resumes(tasks, tmp_path):
    lines = [
        f"test -e {tmp_path}/2 && exit; touch {tmp_path}/1; sleep 60",
        f"until test -e {tmp_path}/1; do sleep 0.01; done; test -e {tmp_path}/2",
        f"touch {tmp_path}/3",
    ]
    argv = [*FARM, tasks(*lines), "--halt", "now,fail=1", "--json", "-"]
    log = tmp_path / "log"
    ended = on_ranks("mpich", 2, *argv, "--joblog", str(log))
    result = values(ended, code=3)
    assert ended.seconds < 40
    assert (result["done"], result["failed"], result["remaining"]) == (0, 1, 2)
    assert result["halted"] is True
    assert [row[0] for row in job_log(log)] == ["2"]  # a stopped task has not ended
    assert not (tmp_path / "3").exists()
    (tmp_path / "2").touch()
    result = values(on_ranks("mpich", 2, *argv))
    assert (result["done"], result["halted"]) == (3, False)


def test_success_of_an_earlier_run_counts(tasks, tmp_path):
    path = tasks("exit 1", "true", f"touch {tmp_path}/out")
    argv = [*FARM, path, "--halt", "-2", "--json", "-"]
    assert values(on_ranks("mpich", 1, *argv))["remaining"] == 1
    result = values(on_ranks("mpich", 1, *argv))
    assert (result["now"], result["halted"]) == (0, True)
    assert not (tmp_path / "out").exists()


def test_dry_run_prints_the_rest_in_order_and_runs_nothing(tasks, tmp_path):
    lines = [f"touch {tmp_path}/{n}" for n in "abcd"]
    path = tasks(lines[0])
    on_ranks("mpich", 1, *FARM, path)
    (tmp_path / "a").unlink()
    path = tasks(f"{lines[1]} #: after=d", lines[0], lines[2], f"{lines[3]} #: name=d")
    before = sorted(tmp_path.rglob("*"))
    log = str(tmp_path / "log")
    ended = on_ranks("mpich", 2, *FARM, path, "--dry-run", "--joblog", log)
    assert ended.code == 0
    assert ended.out == f"{lines[2]}\n{lines[3]}\n{lines[1]}\n"
    assert sorted(tmp_path.rglob("*")) == before
    argv = ["echo {x}", "--param", "x=a b,c", "--dry-run", "--directory", log]
    assert on_ranks("mpich", 1, *FARM, *argv).out == "echo 'a b'\necho c\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_output_files_appear_when_their_tasks_are_done(tasks, tmp_path):
    out, mark = tmp_path / "out", tmp_path / "mark"
    path = tasks(
        f"#: stdout={out}/{{name}}.txt",
        "echo 1; echo log >&2 #: name=one retries=2",
        f"echo 2; test -e {mark} #: name=two",
        f"echo 3 #: stdout={{seq}}.txt cd={tmp_path}",
    )
    farm = values(on_ranks("mpich", 2, *FARM, path, "--json", "-"), code=3)
    assert sorted(each.name for each in out.iterdir()) == ["one.txt", "two.txt.part"]
    assert (out / "one.txt").read_text() == "1\n"
    assert (tmp_path / "3.txt").read_text() == "3\n"
    logs = sorted(log.read_text() for log in Path(farm["directory"], "logs").iterdir())
    assert logs == ["", "", "log\n"]
    mark.touch()
    values(on_ranks("mpich", 2, *FARM, path, "--json", "-"))
    assert sorted(each.name for each in out.iterdir()) == ["one.txt", "two.txt"]
    assert (out / "two.txt").read_text() == "2\n"
    argv = ["echo {x}", "--param", "x=a/b,../c", "--stdout", f"{out}/x.{{x}}"]
    farm = str(tmp_path / "farm")
    on_ranks("mpich", 1, *FARM, *argv, "--directory", farm)
    assert (out / "x.a_b").read_text() + (out / "x..._c").read_text() == "a/b\n../c\n"


def test_output_of_a_done_task_is_not_overwritten(tasks, tmp_path):
    argv = [*FARM, "--stdout", f"{tmp_path}/{{seq}}", "--json", "-"]
    values(on_ranks("mpich", 1, *argv, tasks("echo a", "echo b")))
    ended = on_ranks("mpich", 1, *argv, tasks("echo new", "echo a", "echo b"))
    assert ended.code == 65
    assert "holds the output of 'echo a', which an earlier run has done" in ended.err
    assert (tmp_path / "1").read_text() == "a\n"
    values(on_ranks("mpich", 1, *argv, tasks("echo a2", "echo b")))  # a is no more
    assert (tmp_path / "1").read_text() == "a2\n"
    assert json.loads(on_ranks("mpich", 1, *argv, tasks("echo b")).out)


def test_fifos_are_written_to_and_links_are_kept(tasks, tmp_path):
    link, target, fifo = (tmp_path / name for name in ("link", "target", "fifo"))
    target.write_text("old")
    link.symlink_to("target")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    lines = [f"echo {n} #: stdout={fifo}" for n in (1, 2)]
    path = tasks(*lines, f"echo 3 #: stdout={link}", f"echo 4 #: out={fifo}")
    values(on_ranks("mpich", 1, *FARM, path, "--json", "-"))
    assert sorted(os.read(reader, 99).splitlines()) == [b"1", b"2"]
    os.close(reader)
    assert fifo.is_fifo()
    assert link.is_symlink()
    assert target.read_text() == "3\n"
    values(on_ranks("mpich", 1, *FARM, path, "--json", "-"))
    assert not list(tmp_path.glob("*.part"))


def test_a_fifo_without_a_reader_fails_the_task(tasks, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    path = tasks(f"echo 1 #: stdout={tmp_path}/fifo")
    result = values(on_ranks("mpich", 1, *FARM, path, "--json", "-"), code=3)
    (log,) = Path(result["directory"], "logs").iterdir()
    assert "start its reader first" in log.read_text()


def test_devices_are_written_to(tasks):
    terminal, device = os.openpty()
    name = os.ttyname(device)
    path = tasks("echo 1", "echo 2")
    values(on_ranks("mpich", 1, *FARM, path, "--stdout", name, "--json", "-"))
    assert Path(name).is_char_device()
    assert sorted(os.read(terminal, 99).split()) == [b"1", b"2"]
    os.close(terminal)
    os.close(device)


def test_a_missing_working_directory_is_not_made(tasks, tmp_path):
    path = tasks(f"true #: cd={tmp_path}/typo stdout=x/y")
    result = values(on_ranks("mpich", 1, *FARM, path, "--json", "-"), code=3)
    assert not (tmp_path / "typo").exists()
    journal = read(Path(result["directory"], "journal")).records
    assert [r["code"] for r in journal if "code" in r] == [127]


@pytest.mark.parametrize(
    "name",
    ["tasks", "link", "tasks.farm/journal", "tasks.farm/logs/x", "tasks.farm/owner"],
)
def test_job_log_does_not_replace_files_of_the_farm(tasks, tmp_path, name):
    path = tasks("true")
    (tmp_path / "link").symlink_to("tasks")
    ended = on_ranks("mpich", 1, *FARM, path, "--joblog", str(tmp_path / name))
    assert ended.code == 2
    assert "it would replace" in ended.err
    assert Path(path).read_text() == "true"
    assert not (tmp_path / "tasks.farm").exists()


@pytest.mark.parametrize(
    ("lines", "argv", "code", "message"),
    [
        (["a", "b"], ["--stdout", "one"], 65, "'a' and 'b' would both write"),
        (["a #: stdout=x", "b #: stdout=x.part"], [], 65, "'a' and 'b' would both"),
        (["a #: stdout=x", "b #: stdout=y/../x"], [], 65, "'a' and 'b' would both"),
        (["a"], ["--stdout", "{name}"], 65, "stdout={name}, and the task has no name="),
        (["a"], ["--stdout", "{x}"], 65, "{x} is not one of {seq}, {name}, {task}"),
        (["a"], ["--halt", "soon,fail=0"], 2, "'soon,fail=0' is not never, or soon"),
        (["a"], ["--part", "1/2", "--joblog", "log"], 2, "put {part} into the name"),
        (["a"], ["--joblog", "gone/log"], 74, "cannot write gone/log: No such file"),
    ],
)
def test_errors_name_the_value_and_the_remedy(tasks, lines, argv, code, message):
    ended = on_ranks("mpich", 1, *FARM, tasks(*lines), *argv)
    assert (ended.code, ended.err.count(message)) == (code, 1), ended.err
