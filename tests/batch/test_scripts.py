"""Rendered scripts as bash runs them, with stub launchers: text, signals, codes."""

import difflib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.request import SCHEDULERS
from tests.batch.jobs import SITES, script
from tests.hostile import carried, hostile
from tests.launch import clean_environment

# What a scheduler sets for the script of job 7.
VARIABLES = {
    "slurm": {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": "."},
    "sge": {"JOB_ID": "7", "SGE_TASK_ID": "undefined", "SGE_O_WORKDIR": "."},
    "pbs": {"PBS_JOBID": "7.server", "PBS_O_WORKDIR": "."},
    "lsf": {
        "LSB_JOBID": "7",
        "LSB_JOBINDEX": "0",
        "LS_SUBCWD": ".",
        "LSB_MCPU_HOSTS": "n1 1",
    },
}
# Stands for mpiexec and for Python: tells its arguments, then does what it is told.
STUB = """#!/bin/bash
printf '%s\\0' "$@" >"$TOLD"
{ACT}
"""
SPECIAL = set(" \t\n\r'\"\\$`#;|&<>*?![]{}()~")
FIELDS = (
    *("name", "account", "queue", "array", "after", "mail", "logs"),
    *("env", "argument", "python", "program", "directives"),
)


def run_script(place, text, act="exit 0", scheduler="slurm", **variables):
    """Run a script with a stub as its launcher; return the process that ended."""
    stub(place / ".venv" / "bin" / "mpiexec", act)
    stub(place / ".venv" / "bin" / "python", "exit 0")
    start = begin(place, text, scheduler, variables)
    out, err = start.communicate(timeout=60)
    return subprocess.CompletedProcess([], start.returncode, out, err)


def stub(path, act):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB.format(ACT=act))
    path.chmod(0o755)


def begin(place, text, scheduler, variables):
    (place / "job.sh").write_text(text)
    return subprocess.Popen(
        ["bash", "job.sh"],
        cwd=place,
        env=clean_environment(
            **VARIABLES[scheduler], TOLD=str(place / "told"), **variables
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(place):
    return (place / "told").read_text().split("\0")[:-1]


def events(place, run="pi-job7"):
    path = place / "logs" / run / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


FINISH = (
    """echo '{{"exit_code": {code}, "finished": true}}' >"$MPIAPPS_RECORD"; exit {rc}"""
)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_good_run(tmp_path, scheduler):
    act = FINISH.format(code=0, rc=0)
    ended = run_script(tmp_path, script(scheduler), act, scheduler)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [each["event"] for each in events(tmp_path)] == ["start", "end"]
    assert told(tmp_path)[-3:] == [".venv/bin/python", "-m", "mpiapps.pi"]
    assert (tmp_path / "logs" / "pi-job7").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("exit 0", 70),  # no record: not a success
        ("exit 3", 3),
        (FINISH.format(code=3, rc=0), 3),  # the record knows better than the launcher
        (FINISH.format(code=0, rc=137), 0),
        ('echo \'{"finished": false}\' >"$MPIAPPS_RECORD"', 70),
        ('printf \'"finished": tru\' >"$MPIAPPS_RECORD"', 70),
        ("kill -9 $$", 137),
    ],
)
def test_the_exit_code_needs_a_witness(tmp_path, act, code):
    ended = run_script(tmp_path, script("slurm"), act)
    assert ended.returncode == code
    assert events(tmp_path)[-1]["code"] == code


SAVE = """echo '{{"stopped": {attempt}}}' >"$MPIAPPS_CHECKPOINT"; exit {rc}"""


def test_a_job_that_saved_is_started_again_whatever_the_launcher_returns(tmp_path):
    stub(tmp_path / "bin" / "scontrol", 'echo "$@" >scontrol.told')
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    text = script("slurm")
    ended = run_script(tmp_path, text, SAVE.format(attempt=1, rc=137), **path)
    assert ended.returncode == 75
    assert (tmp_path / "scontrol.told").read_text() == "requeue 7\n"
    # What the first attempt saved says nothing of how the second one ended.
    ended = run_script(tmp_path, text, "exit 137", **path)
    assert ended.returncode == 137
    assert [each["event"] for each in events(tmp_path)] == [
        *("start", "requeue"),
        *("start", "end"),
    ]


def test_grid_engine_and_lsf_start_again_by_99(tmp_path):
    for scheduler in ("sge", "lsf"):
        place = tmp_path / scheduler
        place.mkdir()
        act = SAVE.format(attempt=1, rc=75)
        assert run_script(place, script(scheduler), act, scheduler).returncode == 99
        act = SAVE.format(attempt=2, rc=75)
        ended = run_script(place, script(scheduler, requeues=1), act, scheduler)
        assert ended.returncode == 75  # often enough
        assert (
            run_script(place, script(scheduler), "exit 99", scheduler).returncode == 1
        )


def test_pbs_goes_on_by_another_job(tmp_path):
    stub(tmp_path / "bin" / "qsub", 'printf "%s\\n" "$@" >qsub.told; echo 8.server')
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PBS_ARRAY_INDEX": "3"}
    text = script("pbs", array="1-4")
    ended = run_script(tmp_path, text, SAVE.format(attempt=1, rc=75), "pbs", **path)
    assert ended.returncode == 75
    words = (tmp_path / "qsub.told").read_text().splitlines()
    assert "MPIAPPS_RUN=pi-job7,MPIAPPS_INDEX=3" in words
    link = (tmp_path / words[-1]).read_text()
    assert "#PBS -J" not in link
    assert events(tmp_path, "pi-job7_3")[-1]["job"] == "8.server"
    # The link finds the run again: the same folder, attempt 2.
    del path["PBS_ARRAY_INDEX"]
    path |= {"PBS_JOBID": "8.server", "MPIAPPS_RUN": "pi-job7", "MPIAPPS_INDEX": "3"}
    variables = VARIABLES["pbs"] | path
    (tmp_path / "told").unlink()
    stub(tmp_path / ".venv" / "bin" / "mpiexec", FINISH.format(code=0, rc=0))
    done = subprocess.run(
        ["bash", words[-1]],
        cwd=tmp_path,
        env=clean_environment(TOLD=str(tmp_path / "told"), **variables),
        check=False,
    )
    assert done.returncode == 0
    assert events(tmp_path, "pi-job7_3")[-1]["attempt"] == 2


def test_a_run_that_is_finished_is_not_done_twice(tmp_path):
    act = FINISH.format(code=0, rc=0)
    assert run_script(tmp_path, script("slurm"), act).returncode == 0
    (tmp_path / "told").unlink()
    ended = run_script(tmp_path, script("slurm"), act)
    assert ended.returncode == 0
    assert "finished already" in ended.stderr
    assert not (tmp_path / "told").exists()


def test_a_warning_reaches_the_launcher_and_its_code_comes_back(tmp_path):
    act = """trap 'echo warned >>"$TOLD"; exit 7' USR1
trap 'exit 9' TERM
touch ready; while :; do sleep 0.1; done"""
    stub(tmp_path / ".venv" / "bin" / "mpiexec", act)
    stub(tmp_path / ".venv" / "bin" / "python", "exit 0")
    text = script("slurm").replace('"$SECONDS" -lt 10', '"$SECONDS" -lt 0')
    for number, code in ((signal.SIGUSR1, 7), (signal.SIGUSR2, 7), (signal.SIGTERM, 9)):
        (tmp_path / "ready").unlink(missing_ok=True)
        job = begin(tmp_path, text, "slurm", {})
        end = time.monotonic() + 30
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        job.send_signal(number)
        job.communicate(timeout=30)
        assert job.returncode == code


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Render each hostile text in each field and dialect; `None`: it is refused."""
    place = tmp_path_factory.mktemp("hostile")
    texts = hostile(str(place / "canary"))
    cases = [
        (scheduler, field, text, attempt(scheduler, field, text))
        for scheduler in ("slurm", "sge", "pbs")
        for field in FIELDS
        for text in texts
    ]
    return place, cases


def attempt(scheduler, field, text):
    """Return the script with a hostile text in a field, or `None` if it is refused."""
    asked, words, site = {}, ["-m", "mpiapps.pi"], None
    match field:
        case "env":
            asked["env"] = (f"TEXT={text}",)
        case "argument":
            words.append(text)
        case "program":
            words = [text or "x.py"]
        case "python":
            asked["python"] = text or "python"
        case "directives":
            site = replace(SITES[scheduler], directives=(text,))
        case _:
            asked[field] = text
    try:
        return script(scheduler, *words, site=site, **asked)
    except UsageError:
        return None


def test_hostile_texts_are_carried_or_refused(rendered):
    _, cases = rendered
    assert len(cases) == 1440
    for scheduler, field, text, found in cases:
        if field in ("env", "argument", "program", "python"):
            assert (found is not None) == carried(text), (scheduler, field, text)
        elif text and found is not None:  # a directive holds nothing special
            plain = text.replace(" ", "") if field == "directives" else text
            assert not set(plain) & SPECIAL, (field, text)


def test_hostile_scripts_are_clean_for_bash(rendered):
    _, cases = rendered
    texts = {found for *_, found in cases if found is not None}
    assert len(texts) > 400
    for text in texts:
        done = subprocess.run(["bash", "-n"], input=text, text=True, check=False)
        assert done.returncode == 0, text


def test_hostile_scripts_are_clean_for_shellcheck(rendered, tmp_path):
    _, cases = rendered
    paths = []
    for scheduler in ("slurm", "sge", "pbs"):
        texts = [found for name, *_, found in cases if name == scheduler and found]
        paths.append(tmp_path / f"{scheduler}.sh")
        paths[-1].write_text(united(script(scheduler), texts))
    check = str(Path(sys.executable).parent / "shellcheck")
    # A quoted tilde or dollar is what was asked for; so is the same text twice.
    ignored = "--exclude=SC2088,SC2016,SC2026,SC1003"
    done = subprocess.run(
        [check, ignored, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def united(plain, texts):
    """Return one script with each line of all texts that the plain one has not.

    They differ in a line or two each; shellcheck of every one would take minutes.
    """
    base = plain.splitlines()
    added = {}  # line of the plain script -> what stands there in others
    for text in texts:
        lines = text.splitlines()
        same = difflib.SequenceMatcher(None, base, lines, autojunk=False)
        for kind, _, end, first, last in same.get_opcodes():
            if kind in ("replace", "insert"):
                added.setdefault(end, {}).update(dict.fromkeys(lines[first:last]))
    for place in sorted(added, reverse=True):
        base[place:place] = added[place]
    return "\n".join(base) + "\n"


def test_hostile_texts_arrive_byte_for_byte(rendered, tmp_path):
    place, cases = rendered
    act = 'printf "%s\\0" "${TEXT-}" >>"$TOLD"'
    for number, (scheduler, field, text, found) in enumerate(cases):
        if found is None or field not in ("env", "argument", "program"):
            continue
        here = tmp_path / str(number)
        here.mkdir()
        run_script(here, found, act, scheduler)
        *words, variable = told(here)
        expected = {
            "env": ["-m", "mpiapps.pi"],
            "argument": ["-m", "mpiapps.pi", text],
            "program": [text or "x.py"],
        }[field]
        assert words[-len(expected) :] == expected
        assert variable == (text if field == "env" else "")
        shutil.rmtree(here)
    assert not (place / "canary").exists()


def test_an_interpreter_in_an_odd_folder(tmp_path):
    folder = tmp_path / "it's $(here) `x`" / "bin"
    stub(folder / "python", "exit 0")
    stub(folder / "mpiexec", FINISH.format(code=0, rc=0))
    text = script("slurm", python=str(folder / "python"))
    job = begin(tmp_path, text, "slurm", {})
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert told(tmp_path)[-3:] == [str(folder / "python"), "-m", "mpiapps.pi"]
