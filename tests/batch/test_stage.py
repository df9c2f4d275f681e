"""`submit --stage`: the environment in an archive, and a job that runs from it."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch import stage_source
from mpiapps.batch.render import render
from mpiapps.batch.runs import Run
from mpiapps.batch.staging import staged
from mpiapps.batch.submission import submit
from mpiapps.cli import main
from tests.batch.jobs import SITES, job
from tests.batch.scripts import VARIABLES, stub
from tests.commands import clean_environment

# Runs its command on this host, as on each host of a job, and passes USR1 on.
SRUN = """while [[ $1 == --* ]]; do shift; done
trap 'kill -s USR1 "$pid"' USR1; trap 'kill -s KILL "$pid"' TERM
"$@" & pid=$!
while wait "$pid"; code=$?; kill -0 "$pid" 2>/dev/null; do :; done
exit "$code" """
# Imports from everywhere, and prints from which file.
SCRIPT = """import json, os, subprocess, sys, time
import beside, installed, linked, found, json.decoder, package.inner
from pathlib import Path
modules = beside, installed, linked, found, package.inner, json.decoder
print(json.dumps({
    "files": {m.__name__: m.__file__ for m in modules},
    "prefix": sys.prefix, "script": __file__, "arguments": sys.argv[1:],
    "data": [Path(__file__).with_name("data.txt").read_text(), package.inner.DATA],
    "tool": subprocess.check_output(["tool"], text=True).strip(),
}))
sys.stdout.flush()
wait = Path(os.environ["PLACE"], "wait")
if wait.exists():
    Path(os.environ["PLACE"], "started").touch()
    time.sleep(60)
"""
FINDER = """MAPPING: dict[str, str] = {{'found': {0!r}}}
NAMESPACES: dict[str, list[str]] = {{}}
import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(name, MAPPING[name] + '.py')
sys.meta_path.append(Finder)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a directory with a script, modules, an environment and its packages."""
    work, env = tmp_path / "work dir", tmp_path / "env"
    command = [sys.executable, "-m", "venv", "--without-pip", str(env)]
    subprocess.run(command, check=True)
    packages = next(env.glob("lib/python*/site-packages"))
    files = {
        work / "my.py": SCRIPT,
        work / "beside.py": "",
        work / "data.txt": "data",
        work / "package" / "__init__.py": "",
        work / "package" / "inner.py": (
            "from importlib import resources\n"
            "DATA = resources.files('package').joinpath('table').read_text()\n"
        ),
        work / "package" / "table": "table",
        packages / "installed.py": "",
        tmp_path / "source" / "linked.py": "",
        tmp_path / "other" / "found.py": "",
        packages / "linked.pth": f"{tmp_path}/source\n",
        packages / "__editable__.found.pth": "import __editable___found_finder\n",
        packages / "__editable___found_finder.py": FINDER.format(
            f"{tmp_path}/other/found"
        ),
        env / "bin" / "tool": f"#!{env}/bin/python3\nimport sys; print(sys.prefix)\n",
    }
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    (env / "bin" / "tool").chmod(0o755)
    for name, text in ("srun", SRUN), ("sbcast", 'cp -- "$2" "$3"'):
        (stub(tmp_path / "bin" / name, "")).write_text(f"#!/bin/bash\n{text}\n")
    stub(tmp_path / "bin" / "sbatch", "echo 7")
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("ARGUMENTS", os.devnull)  # of the stubs
    local = (*stage_source.LOCAL_PREFIXES, sys.base_prefix)
    monkeypatch.setattr(stage_source, "LOCAL_PREFIXES", local)
    return tmp_path


def asked(place, *words, scheduler="slurm", **request):
    """Return a job that starts one process, from the environment of `place`."""
    site = replace(SITES[scheduler], launch=("env",), launcher="", setup=())
    request = {"stage": True, "venv": str(place / "env"), "python": ""} | request
    words = words or ("my.py", "an argument")
    return replace(job(scheduler, *words, site=site, **request), recorded=False)


def start(place, run, **variables):
    """Start the script of a run as Slurm does."""
    variables = VARIABLES["slurm"] | {"SLURM_JOB_NUM_NODES": "1"} | variables
    variables |= {"TMPDIR": str(place / "tmp"), "PLACE": str(place)}
    return subprocess.Popen(
        ["bash", str(run.directory / "script.sh")],
        env=clean_environment(MPIAPPS_RUN=run.name, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def submitted(place, *words, **request) -> Run:
    """Return a run that `submit --stage` has made."""
    job = staged(asked(place, *words, **request))
    return submit(render(job), "pi", "logs")


def unpacked(place):
    """Return what is in the temporary directory of the host."""
    return sorted((place / "tmp").glob("mpiapps-stage-*"))


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_that_a_script_imports_comes_from_the_disk_of_the_host(place):
    run = submitted(place)
    (place / "work dir" / "beside.py").write_text("raise SystemExit('edited')\n")
    out, err = start(place, run).communicate(timeout=60)
    assert "mpiapps: staged" in err, err
    report = json.loads(out)
    stage = Path(report["prefix"]).parent
    assert stage.parent == place / "tmp"
    assert report["tool"] == report["prefix"] == f"{stage}/env"
    local = report["files"].pop("json.decoder")
    assert local.startswith(sys.base_prefix)
    for path in (*report["files"].values(), report["script"]):
        assert path.startswith(f"{stage}/"), path
    assert report["arguments"] == ["an argument"]
    assert report["data"] == ["data", "table"]
    assert unpacked(place) == []


def test_the_script_has_what_any_other_has(place):
    python = {"venv": "", "python": str(place / "env" / "bin" / "python")}
    texts = [
        render(staged(asked(place, scheduler=name, **python), pack=False))
        for name in SITES
    ]
    for text in texts:
        assert len(text.splitlines()) <= 35
        assert '"$python" ${safe_path:+-P} "$program" ' in text
    check = Path(sys.executable).parent / "shellcheck"
    command = [check, "-"]
    for text in texts:
        ended = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout
    assert not (place / "work dir" / "logs").exists()


def test_an_archive_is_packed_once(place):
    packages = next((place / "env").glob("lib/python*/site-packages"))
    first = staged(asked(place)).stage
    packed = Path(first.environment).stat().st_mtime_ns
    (packages / "__pycache__").mkdir(exist_ok=True)
    (packages / "__pycache__" / "other.cpython-311.pyc").touch()
    (place / "work dir" / "beside.py").write_text("x = 1\n")
    second = staged(asked(place)).stage
    assert second.environment == first.environment
    assert Path(first.environment).stat().st_mtime_ns == packed
    assert second.modules != first.modules
    (packages / "new.py").touch()
    assert staged(asked(place)).stage.environment != first.environment
    assert len(list(Path("logs/environments").iterdir())) == 4


def test_a_job_that_is_asked_to_end_leaves_nothing(place):
    (place / "wait").touch()
    process = start(place, submitted(place))
    until((place / "started").exists)
    assert len(unpacked(place)) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert unpacked(place) == []


def test_what_a_killed_job_has_left_is_removed_by_the_next(place):
    (place / "wait").touch()
    run = submitted(place)
    process = start(place, run)
    until((place / "started").exists)
    process.kill()
    (left,) = unpacked(place)
    end_held(left)
    process.communicate(timeout=60)
    (place / "wait").unlink()
    os.utime(left, (0, 0))
    # A rank that has survived the script still imports from there.
    rank = subprocess.Popen(
        [left / "env" / "bin" / "python", "-c", "input()"], stdin=-1
    )
    start(place, submitted(place), SLURM_JOB_ID="8").communicate(timeout=60)
    assert unpacked(place) == [left]
    rank.communicate()
    _, err = start(place, submitted(place), SLURM_JOB_ID="9").communicate(timeout=60)
    assert f"removed {left} of a job that was killed" in err
    assert unpacked(place) == []


def end_held(stage):
    """End the step that holds a directory, as Slurm does after a job."""
    command = ["pkill", "-KILL", "-f", f"hold {stage}"]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("missing", ["room", "archive"])
def test_without_room_or_archive_it_runs_where_it_is(place, missing):
    run = submitted(place)
    if missing == "room":
        script = run.directory / "script.sh"
        script.write_text(run.script.replace(" --size=", " --size=99999999"))
    else:
        next(Path("logs/environments").glob("env-*")).unlink()
    process = start(place, run)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "mpiapps: note: runs from the shared file system, not staged" in err
    assert json.loads(out)["script"] == "my.py" or json.loads(out)["script"].endswith(
        "work dir/my.py"
    )
    assert json.loads(out)["prefix"] == str(place / "env")
    assert unpacked(place) == []


# Counts what a process opens below a directory, by inotify.
IN_OPEN = 0x20


def opened(directories, run):
    """Return the number of opens of files in directories while `run()` runs."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert descriptor >= 0
    for root in directories:
        for directory, _, _ in os.walk(root):
            watch = libc.inotify_add_watch(descriptor, os.fsencode(directory), IN_OPEN)
            assert watch >= 0, os.strerror(ctypes.get_errno())
    run()
    count = 0
    while True:
        try:
            events = os.read(descriptor, 2**20)
        except BlockingIOError:
            os.close(descriptor)
            return count
        while events:
            length = int.from_bytes(events[12:16], sys.byteorder)
            events = events[16 + length :]
            count += 1


def test_ranks_open_50_times_fewer_files_of_the_shared_file_system(place):
    work = place / "work dir"
    names = [f"m{number}" for number in range(600)]
    for name in names:
        (work / f"{name}.py").write_text("x = 1\n")
    ranks = 4
    (work / "many.py").write_text(f"import {','.join(names)}\n")
    site = replace(SITES["slurm"], launch=(str(place / "bin" / "ranks"),))
    stub(place / "bin" / "ranks", f'for i in {{1..{ranks}}}; do "$@"; done')
    shared = place / "env", work, place / "source"
    counts = []
    for stage in (False, True):
        job = staged(replace(asked(place, "many.py", stage=stage), site=site))
        run = submit(render(job), "pi", "logs")
        subprocess.run([place / "env" / "bin" / "python", "-m", "many"], check=True)

        def run_job(run=run):
            process = start(place, run)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err

        counts.append(opened(shared, run_job))
    assert counts[0] > len(names) * ranks
    assert counts[1] * 50 < counts[0], counts


REFUSED = [
    ({"container": "a.sif", "venv": ""}, "--stage and --container"),
    ({"venv": "gone"}, "--stage: cannot run gone/bin/python on this host"),
    ({"venv": "", "python": "/usr/bin/python3"}, "neither a virtual nor a conda"),
    ({"venv": "", "python": "python3", "module": ("gcc",)}, "--venv or --python"),
]


@pytest.mark.parametrize(("request_", "says"), REFUSED, ids=str)
def test_what_cannot_be_staged_is_refused(place, request_, says):
    with pytest.raises(UsageError, match=says):
        staged(asked(place, **request_))


def test_editable_installs_with_a_hook_of_their_own_are_refused(place):
    packages = next((place / "env").glob("lib/python*/site-packages"))
    (packages / "zz.pth").write_text("import my_editable_loader\n")
    with pytest.raises(UsageError, match=r"zz\.pth loads an editable install"):
        staged(asked(place))


def test_data_beside_a_script_is_not_packed_but_too_many_modules_are_refused(place):
    data = place / "work dir" / "package" / "big.bin"
    with data.open("wb") as stream:
        stream.truncate(2**30)
    assert staged(asked(place)).stage.size < 10
    (place / "work dir" / "package" / "big.so").hardlink_to(data)
    with pytest.raises(UsageError, match="submit from a directory with the program"):
        staged(asked(place))


def test_a_conda_environment_is_packed_with_its_python(place):
    """A tree with the parts of one: conda itself is not at hand."""
    env = place / "env"
    (env / "pyvenv.cfg").unlink()
    (env / "conda-meta").mkdir()
    facts = {"version": [3, 12], "prefix": str(env), "base": str(env), "path": []}
    report = json.dumps(facts | {"user_site": None})
    (env / "lib" / "libpython3.12.so").touch()
    stub(place / "bin" / "conda", f"[ \"$2 $3\" = '-n lab' ] && echo '{report}'")
    text = render(staged(asked(place, venv="", conda="lab", python="")))
    assert "job_stage --environment=logs/environments/env-" in text
    archive = next(Path("logs/environments").glob("env-*"))
    listed = subprocess.run(
        ["tar", "-tf", archive], capture_output=True, text=True, check=True
    )
    assert "env/lib/libpython3.12.so" in listed.stdout.split()


def test_render_has_no_stage(capsys):
    assert main(["render", "pi", "--scheduler", "slurm", "--stage"]) == 2
    assert "submit --stage" in capsys.readouterr().err
