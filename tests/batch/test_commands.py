"""The commands about jobs as users type them, on a host that has no MPI."""

import json
import shutil
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from mpiapps.batch.parser import COMMANDS
from mpiapps.cli import main
from tests.batch.jobs import directives
from tests.commands import run
from tests.test_cli import without_mpi

SLURM = ["--scheduler", "slurm"]


def mpiapps(*words):
    """Run `mpiapps` in this directory, where nothing heavy can be imported."""
    return without_mpi("mpiapps", *words, cwd=Path.cwd())


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty directory, on a host without a scheduler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "my.py").touch()
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    ended = mpiapps(command, "--help")
    assert ended.code == 0, ended.err
    assert "--json" in ended.out
    assert "Traceback" not in ended.err


def test_render_prints_the_script_alone():
    ended = mpiapps("render", "pi", *SLURM, "--nodes", "2", "--", "--samples", "1e9")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert "--nodes=2" in directives(ended.out)
    assert '"$python" -m mpiapps.pi --samples 1e9\n' in ended.out
    told = mpiapps(
        "render", "pi", *SLURM, "--nodes", "2", "--json", "--", "--samples", "1e9"
    )
    assert json.loads(told.out) == {"script": ended.out}


def test_options_and_commands_for_one_submission(capsys):
    given = ["--directive=--constraint=ib", "--directive", "--exclude=n[1,2]"]
    assert main(["render", "pi", *SLURM, *given, "--epilog", "cp -- *.npy ~"]) == 0
    script = capsys.readouterr().out
    assert directives(script)[-2:] == ["--constraint=ib", "--exclude=n[1,2]"]
    assert "job_end 'cp -- *.npy ~'\n" in script


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "pi"], "select one: --scheduler slurm|sge|pbs|lsf"),
        (
            ["render", "nothing", *SLURM],
            "'nothing' is not a program; the programs are amdahl, crossval, dask",
        ),
        (["render", "gone.py", *SLURM], "'gone.py' is not a file"),
        (["render", "pi", *SLURM, "--nodes", "0"], "0 is too small; the minimum is 1"),
        (["render", "pi", *SLURM, "--node", "2"], "did you mean --nodes or"),
        (["render", "pi", *SLURM, "--time", "30s"], "30s is too small; the minimum is"),
        (["render", "pi", *SLURM, "--time", "30"], "write 30m for minutes"),
        (["render", "pi", *SLURM, "--memory", "4"], "4G for GiB"),
        (
            ["render", "pi", *SLURM, "--samples", "1e12"],
            "options follow --: mpiapps render pi -- --samples",
        ),
        (
            ["render", "files", *SLURM, "count", "logs"],
            "arguments follow --: mpiapps render files -- count ...",
        ),
        (
            ["render", "files", *SLURM, "count", "logs", "--top=3"],
            "options follow --: mpiapps render files -- --top=3 ...",
        ),
        (
            ["render", "my.py", *SLURM, "--rate", "0.1"],
            "an option of my.py follows --: mpiapps render my.py -- --rate ...",
        ),
        (["render", "pi", *SLURM, "--ntasks", "8"], "--nodes and --ranks-per-node"),
        (["render", "pi", *SLURM, "--mem=4G"], "use --memory, per rank"),
        (["render", "pi", *SLURM, "--output=x"], "`mpiapps logs RUN` prints it"),
        (["render", "pi", *SLURM, "-N", "2"], "--directive='-N VALUE'"),
        (["render", "pi", *SLURM, "--name", "a b"], "start with a letter"),
        (["render", "pi", *SLURM, "--array", "5"], "write 1-10"),
        (["render", "pi", *SLURM, "--directive=-Jx"], "use --name of mpiapps"),
        (["render", "pi", *SLURM, "--dependency", "pi-3"], "no run 'pi-3' in logs"),
        (["render", "pi", *SLURM, "--", "--samples", "0"], "the minimum is 1"),
        (["render", "farm", *SLURM, "--", "-"], "standard input, which is empty in a"),
        (
            ["render", "files", *SLURM, "--", "count", "--list", "-"],
            "write the input to a file",
        ),
        (["render", "pi", *SLURM, "--launcher", "srun-pmi2"], "use --launcher mpiexec"),
        (["render", "pi", "--site", "nowhere"], "mpiapps site probe >"),
        (
            ["render", "pi", "--scheduler", "sge", "--nodes", "2"],
            "allocation_rule is 1",
        ),
        (["status", "pi-1"], "no run 'pi-1' in logs"),
        (["lint", "gone.sh"], "cannot read gone.sh: No such file"),
        (["explain", "gone.sh"], "cannot read gone.sh: No such file"),
        (["lint", "a", "b"], "unknown argument b"),
    ],
)
def test_an_error_comes_with_a_remedy(words, says):
    ended = mpiapps(*words)
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_no_scheduler_to_submit_to():
    ended = mpiapps("submit", "pi", *SLURM)
    assert ended.code == 78
    assert "no sbatch on this host" in ended.err
    assert list(Path("logs").iterdir()) == []


def test_lint_and_explain():
    Path("job.sh").write_text("#!/bin/bash\n#SBATCH --time=1:30\n")
    ended = mpiapps("lint", "job.sh")
    assert ended.code == 1
    assert ended.out.startswith("job.sh:2: short-time: 1:30 is 1 min 30 s; write")
    (found,) = json.loads(mpiapps("lint", "job.sh", "--json").out)
    assert (found["line"], found["rule"]) == (2, "short-time")
    ended = mpiapps("explain", "job.sh")
    assert "Time limit: 1:30" in ended.out
    (line,) = json.loads(mpiapps("explain", "job.sh", "--json").out)
    assert (line["number"], line["text"]) == (2, "#SBATCH --time=1:30")
    Path("job.sh").write_text("#!/bin/bash\n#SBATCH --time=1:30:00 -N 2\n")
    ended = mpiapps("lint", "job.sh")
    assert (ended.code, ended.out) == (0, "no problems\n")
    assert "      -N 2: Hosts: 2;" in mpiapps("explain", "job.sh").out


def test_a_script_on_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"#SBATCH -t 1:30\n")))
    assert main(["lint", "-"]) == 1
    assert "-:1: short-time" in capsys.readouterr().out


# A scheduler of one host: it runs a job at once; squeue prints how it ended.
BASH, CAT = shutil.which("bash"), shutil.which("cat")
SBATCH = f"""#!{BASH}
for word; do case $word in
    --export=*) IFS=, read -ra pairs <<<"${{word#--export=}}"; export "${{pairs[@]}}" ;;
    --output=*) out="${{word#--output=}}"; out="${{out//%x-%j/pi-41}}" ;;
esac; done
echo 41
SLURM_JOB_ID=41 SLURM_SUBMIT_DIR=. {BASH} "$word" >"$out" 2>&1 </dev/null
echo "41|N/A|COMPLETED|$(($? * 256))|None|" >squeue.txt
exit 0
"""
SQUEUE = f"#!/bin/sh\n[ ! -e squeue.txt ] || {CAT} squeue.txt\n"


@pytest.fixture
def cluster(place, monkeypatch):
    """A host with sbatch and squeue, and Python from this environment."""
    directory = place / "bin"
    directory.mkdir()
    for name, text in (
        ("sbatch", SBATCH),
        ("squeue", SQUEUE),
        ("scancel", "#!/bin/sh\n"),
    ):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return place


def really(*words):
    """Run `mpiapps` in this directory, as it is."""
    return run([sys.executable, "-m", "mpiapps", *words], cwd=Path.cwd())


def test_from_submission_to_the_end(cluster):
    words = ["submit", "pi", "--json", "--", "--samples", "1e5"]
    ended = really(*words)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"id": "41", "run": "logs/pi-1"}
    (told,) = json.loads(really("status", "pi-1", "--json").out)
    assert (told["state"], told["code"], told["id"]) == ("done", 0, "41")
    ended = really("wait", "pi-1")
    assert (ended.code, ended.out) == (0, "pi-1  41  done  0\n")
    assert "pi on 1 rank" in really("logs", "41").out
    listed = really("status").out.splitlines()
    assert listed[0].split() == ["RUN", "JOB", "STATE", "CODE", "REQUEUES", "WHY"]
    assert listed[1].split() == ["pi-1", "41", "done", "0"]
    ended = really("resubmit", "pi-1")
    assert ended.code == 2
    assert "pi-1 is done; there is nothing to resubmit" in ended.err
    record = json.loads((cluster / "logs" / "pi-1" / "record.json").read_text())
    assert record["finished"] is True


@pytest.mark.usefixtures("cluster")
def test_wait_returns_the_code_of_what_failed():
    Path("mine.py").write_text("raise SystemExit(3)\n")
    ended = really("submit", "mine.py", "--wait")
    assert ended.code == 3, ended.err
    assert "failed  3" in ended.out


PROBES = {
    "scontrol": "ClusterName             = alpha\nMaxArraySize            = 5001\n",
    "sinfo": "debug\nmain*\n",
    "qstat": "Server: s\n    default_queue = workq\n    max_array_size = 10000\n",
    "bparams": "DEFAULT_QUEUE = normal\nMAX_JOB_ARRAY_SIZE = 2000\n",
    "qconf": {
        "-spl": "make\nmpi4\n",
        "-sp": "allocation_rule    4\n",
        "-sconf": "max_aj_tasks                 75000\n",
        "-sc": "h_vmem h_vmem MEMORY <= YES YES 0 0\n"
        "whole whole BOOL EXCL YES YES 0 1000\n",
    },
}


@pytest.mark.parametrize(
    ("scheduler", "lines"),
    [
        ("slurm", ['name = "alpha"', "max_array = 5001", 'queue = "main"']),
        (
            "sge",
            [
                "max_array = 75000",
                'memory_resource = "h_vmem"',
                "memory_per_slot = true",
                'exclusive_resource = "whole"',
            ],
        ),
        ("pbs", ['queue = "workq"', "max_array = 10000"]),
        ("lsf", ['queue = "normal"', "max_array = 2000"]),
    ],
)
def test_a_site_file_from_what_a_login_node_tells(place, monkeypatch, scheduler, lines):
    ended = mpiapps("site", "probe", "--scheduler", scheduler)
    assert ended.code == 78
    assert "on this host; is it a login node" in ended.err
    for name, text in PROBES.items():
        answers = text if isinstance(text, dict) else {"*": text}
        cases = "".join(
            f"{flag}) {CAT} <<'END'\n{told}END\n;;\n" for flag, told in answers.items()
        )
        (place / name).write_text(f"#!{BASH}\ncase $1 in\n{cases}esac\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    ended = mpiapps("site", "probe", "--scheduler", scheduler)
    assert ended.code == 0, ended.err
    for line in [f'scheduler = "{scheduler}"', *lines]:
        assert line in ended.out.splitlines()
    Path("new.toml").write_text(ended.out)
    shape = ["--ranks-per-node", "4"] if scheduler == "sge" else []
    ended = mpiapps("render", "pi", "--site", "./new.toml", *shape)
    assert ended.code == 0, ended.err
