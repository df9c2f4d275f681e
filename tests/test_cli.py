"""The programs and the command, as users start them."""

import json
import subprocess
import sys

import pytest

import mpiapps
from mpiapps.app.progress import COMPILES
from tests.commands import (
    LIMIT,
    MPIS,
    ROOT,
    bin_directory,
    clean_environment,
    install,
    on_ranks,
    run,
)

pytestmark = pytest.mark.usefixtures("preloaded")
PI_HELP = ("-m", "mpiapps.pi", "--help")
HEAVY = ("mpi4py", "numpy", "numba", "scipy", "tqdm", "threadpoolctl")


def without_mpi(module, *argv, cwd=None):
    """Run `module` in a process where nothing heavy can be imported."""
    code = (
        "import runpy, sys;"
        f"sys.modules.update(dict.fromkeys({HEAVY!r}));"
        f"sys.argv = {['', *argv]!r};"
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    return run([sys.executable, "-c", code], cwd=cwd)


@pytest.mark.parametrize(
    ("module", "argv", "code"),
    [
        ("mpiapps.pi", ["--help"], 0),
        ("mpiapps.pi", ["--samples", "-5"], 2),
        ("mpiapps", ["--version"], 0),
        ("mpiapps", ["list"], 0),
        ("mpiapps", ["run", "pi", "--help"], 0),
        ("mpiapps", ["run", "--help"], 0),
        ("mpiapps", ["run"], 2),
        ("mpiapps", ["learn"], 0),
        ("mpiapps", ["learn", "1", "--check"], 2),
        ("mpiapps", ["run", "pi", "--samples", "0"], 2),
    ],
)
def test_help_and_errors_need_no_mpi_and_no_numpy(module, argv, code):
    ended = without_mpi(module, *argv)
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("mpi", MPIS)
def test_help_and_errors_appear_once_on_many_ranks(mpi):
    ended = on_ranks(mpi, 3, "-m", "mpiapps.pi", "--help")
    assert ended.code == 0
    assert (ended.out + ended.err).count("usage:") == 1
    ended = on_ranks(mpi, 3, "-m", "mpiapps.pi", "--smaples", "7")
    assert ended.code == 2
    assert ended.err.count("did you mean --samples?") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--samples", "-5"], 2, "'-5' is not a count"),
        (["--samples", "0"], 2, "0 is too small; the minimum is 1"),
        (["--samples", "1.5"], 2, "'1.5' is not a whole number"),
        (["--samples", "1e30"], 2, "1e30 is too large"),
        (["--samples", "many"], 2, "'many' is not a count"),
        (
            ["--samples", "9", "--method", "strata"],
            2,
            "--method strata needs at least 512",
        ),
        (["--json", "a", "--csv", "a"], 2, "--json and --csv both name a"),
        (["--seed", "4294967296"], 2, "too large; the maximum is 4294967295"),
        (["--method", "needles"], 2, "'needles' is not one of darts, strata"),
        (["--json", "/nowhere/r.json"], 74, "cannot write /nowhere/r.json"),
        (["--json", "/dev/full"], 74, "No space left on device"),
        (["--json", "docs/"], 74, "Is a directory"),
        (["--csv", "/proc/version/x"], 74, "cannot write /proc/version/x"),
    ],
)
def test_bad_input_ends_with_one_clear_message(words, code, message):
    ended = on_ranks("mpich", 2, "-m", "mpiapps.pi", "--samples", "1000", *words)
    assert ended.code == code, ended.err
    assert ended.err.count(message) == 1, ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("method", ["darts", "strata"])
def test_the_record_has_the_same_values_on_any_ranks_and_mpi(tmp_path, method):
    values = []
    runs = [("openmpi", 1), ("openmpi", 5), ("mpich", 2), ("impi", 3)]
    for mpi, ntasks in runs:
        target = tmp_path / f"{mpi}{ntasks}.json"
        words = ["--samples", "3e6", "--seed", "11", "--method", method]
        ended = on_ranks(mpi, ntasks, "-m", "mpiapps.pi", *words, "--json", str(target))
        assert ended.code == 0, ended.err
        # A good run says nothing but its result, and what a first one waits for.
        assert ended.err in ("", COMPILES)
        record = json.loads(target.read_text())
        values.append(record["values"])
        assert len(record["ranks"]) == ntasks
    assert all(each == values[0] for each in values)
    assert not list(tmp_path.glob(".*"))


def test_the_record_holds_what_scripts_rely_on():
    words = ["--samples", "1e6", "--json", "-"]
    # The threads of a fork are also those of its libraries.
    ended = on_ranks("openmpi", 2, "-m", "mpiapps.pi", *words, PRELOAD_SERVER="")
    record = json.loads(ended.out)
    assert list(record)[-1] == "finished"
    assert record["finished"] is True
    assert (record["schema"], record["program"], record["exit_code"]) == (1, "pi", 0)
    assert record["version"] == mpiapps.__version__
    assert record["options"]["samples"] == 10**6
    assert {"pi", "stderr", "interval", "hits", "samples"} <= set(record["values"])
    assert set(record["timings"]["kernel"]) == {"max", "mean", "imbalance"}
    assert [row["rank"] for row in record["ranks"]] == [0, 1]
    origin = record["provenance"]
    assert origin["mpi"].startswith("Open MPI 5")
    assert origin["argv"][-2:] == ["--json", "-"]
    needed = ["started", "git", "host", "numpy", "mpi4py", "python", "threads"]
    assert all(origin[name] for name in needed)
    assert all(pool["num_threads"] == 1 for pool in origin["threads"])
    assert "pi on 2 ranks" in ended.err  # people read on, beside the pipe


def test_csv_has_the_values_in_a_line():
    python = str(bin_directory("mpich") / "python")
    ended = run([python, "-m", "mpiapps.pi", "--samples", "1000", "--csv", "-"])
    header, line = ended.out.splitlines()
    assert header.split(",")[0] == "pi"
    assert len(line.split(",")) == len(header.split(","))


def test_verbose_tells_each_ranks_count_and_then_the_list():
    ended = on_ranks("mpich", 3, "-m", "mpiapps.pi", "--samples", "3000", "--verbose")
    for rank in range(3):
        assert f"rank {rank} of 3 on " in ended.err
    assert ended.err.count(" hits in ") == 3
    assert ended.err.count("gathered: [") == 1


@pytest.mark.parametrize("mpi", MPIS)
def test_mpiapps_run_starts_the_mpiexec_of_the_loaded_library(mpi):
    words = ["run", "pi", "-n", "3", "--samples", "1e4"]
    ended = run([str(bin_directory(mpi) / "mpiapps"), *words], PATH="/usr/bin:/bin")
    assert ended.code == 0, ended.err
    assert "pi on 3 ranks" in ended.out
    assert f"{bin_directory(mpi)}/mpiexec" in ended.err


# Stands where mpiexec with this process's number was killed, and becomes mpiexec.
NAMESAKE = """
import os, pathlib, platform, sys, tempfile
from mpiapps.launch.mpiexec import command_line, exec_launcher, find_launcher
left = pathlib.Path(tempfile.gettempdir(), f"ompi.{os.getpid()}")
left.mkdir()
(left / f"pmix.{platform.node().partition('.')[0]}.tool").touch()
exec_launcher(*command_line(find_launcher(), 2, sys.argv[1:]))
"""


def test_what_a_killed_mpiexec_left_does_not_stop_its_namesake(tmp_path):
    python = str(bin_directory("openmpi") / "python")
    hello = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    done = run([python, "-c", NAMESAKE, "-c", hello], TMPDIR=str(tmp_path))
    assert (done.code, done.out.split()) == (0, ["2", "2"]), done.err


def test_mpiapps_run_hands_the_exit_code_on():
    ended = run(
        [
            str(bin_directory("mpich") / "mpiapps"),
            "run",
            "pi",
            "-n",
            "2",
            "--json",
            "/no/x",
        ]
    )
    assert ended.code == 74


def test_mpiapps_names_its_programs_and_refuses_others():
    command = str(bin_directory("openmpi") / "mpiapps")
    listed = run([command, "list"])
    lines = [line.split(maxsplit=1) for line in listed.out.splitlines()]
    assert ["pi", "Estimate pi with random darts."] in lines
    for argv, word in (
        (["run", "po"], "'po' is not a program; the programs are amdahl"),
        (["run", "nowhere.py"], "'nowhere.py' is not a file"),
        (["run", "-n", "2"], "required: PROGRAM"),
        (["run", "pi", "-n", "0"], "'0' is not a number of ranks"),
        (["run", "pi", "-n", "2", "--smaples", "3"], "did you mean --samples?"),
        (["list", "all"], "unknown argument all"),
        (["stauts"], "'stauts' is not a command; did you mean status"),
        (["pi", "--help"], "'pi' is not a command; it is a program: mpiapps run pi"),
        ([], "COMMAND"),
    ):
        ended = run([command, *argv])
        assert ended.code == 2
        assert word in ended.err


OWN_PROGRAM = """
import sys
from dataclasses import dataclass
from mpiapps.app import Program, Result, option
from mpiapps.app.runner import main

@dataclass(frozen=True)
class Options:
    steps: int = option(1, "how many", min=1)

def run(ctx, options):
    return Result({"steps": options.steps, "ranks": ctx.world.size})

PROGRAM = Program("heat", "Spread heat.", Options, run)
if __name__ == "__main__":
    sys.exit(main(PROGRAM))
"""
# Annotated, and with a module beside it whose name a module of Python has.
OWN_PROGRAM_BESIDE = OWN_PROGRAM.replace(
    "PROGRAM = Program", "from beside import steps\nPROGRAM: Program = Program"
)
OWN_SCRIPT = """
import sys
from mpiapps.comm import open_world
with open_world() as world:
    if world.is_root:
        print(world.size, sys.argv[1:])
"""
CLUSTER = ["--scheduler", "slurm", "--mpi", "openmpi"]


def test_a_program_in_a_file_of_ones_own(tmp_path):
    heat, command = tmp_path / "heat.py", str(bin_directory("mpich") / "mpiapps")
    heat.write_text(OWN_PROGRAM)
    words = ["run", str(heat), "--steps", "3", "-n", "2", "--json", "-"]
    ended = run([command, *words])
    assert json.loads(ended.out)["values"] == {"steps": 3, "ranks": 2}, ended.err
    wrong = ["--", "--stpes", "3"]
    for words in (["run", str(heat)], ["render", str(heat), *CLUSTER]):
        ended = run([command, *words, *wrong[words[0] == "run" :]])
        assert (ended.code, "did you mean --steps" in ended.err) == (2, True)
    helped = run([str(bin_directory("mpich") / "python"), str(heat), "--help"])
    assert f"mpiapps run {heat} -n N".replace(" ", "") in "".join(helped.out.split())
    script = run([command, "render", str(heat), *CLUSTER, "--", "--steps", "3"])
    assert "--record" in script.out, script.err


def test_a_program_of_ones_own_has_modules_beside_it(tmp_path):
    (tmp_path / "json.py").write_text(OWN_PROGRAM_BESIDE)
    (tmp_path / "beside.py").write_text("steps = 1\n")
    words = ["render", str(tmp_path / "json.py"), *CLUSTER, "--", "--stpes", "3"]
    ended = run([str(bin_directory("mpich") / "mpiapps"), *words])
    assert "did you mean --steps" in ended.err
    assert "Traceback" not in ended.err


def test_the_number_of_ranks_may_be_joined_to_its_option():
    command = str(bin_directory("mpich") / "mpiapps")
    for words in (["pi", "-n2"], ["-n2", "pi"], ["pi", "--ntasks=2"]):
        ended = run([command, "run", *words, "--samples", "1e4"])
        assert "pi on 2 ranks" in ended.out, ended.err


def test_a_script_has_its_own_arguments(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(OWN_SCRIPT)
    command = [str(bin_directory("mpich") / "mpiapps"), "run", str(script)]
    ended = run([*command, "-n", "2", "a", "-n", "3", "--steps"])
    assert ended.out.strip() == "2 ['a', '-n', '3', '--steps']", ended.err


def test_programs_of_other_packages_are_found(tmp_path):
    entries = "[mpiapps.programs]\nheat = heat:PROGRAM\ngone = nowhere:PROGRAM\n"
    path = install(tmp_path, entries, heat=OWN_PROGRAM)
    command = [str(bin_directory("mpich") / "python"), "-m", "mpiapps"]
    words = ["run", "heat", "-n", "2", "--steps", "3", "--json", "-"]
    ended = run([*command, *words], PYTHONPATH=path)
    assert json.loads(ended.out)["values"] == {"steps": 3, "ranks": 2}, ended.err
    assert "nowhere:PROGRAM cannot be loaded" in ended.err
    ended = run([*command, "run", "heat", "--nothing"], PYTHONPATH=path)
    assert "python -m heat: error" in ended.err


@pytest.mark.parametrize("mpi", MPIS)
def test_the_command_is_not_for_a_launcher(mpi):
    for words in (["run", "pi"], ["submit", "pi"], ["list"]):
        ended = on_ranks(mpi, 2, "-m", "mpiapps", *words)
        assert ended.code == 78
        assert ended.out.strip("\0\n") == ""
        assert ended.err.count("it starts the ranks itself") == 1, ended.err


def test_the_package_is_found_from_the_parent_of_the_checkout():
    """Where a directory named as the package could hide it."""
    ended = run([str(bin_directory("openmpi") / "python"), *PI_HELP], cwd=ROOT.parent)
    assert ended.code == 0, ended.err


def test_a_bar_in_a_terminal():
    """Under `script`, standard error is a terminal: the bar must show."""
    command = f"{bin_directory('mpich')}/mpiapps run pi -n 2 --samples 1e9"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=clean_environment(),
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0
    assert "--progress bar" in done.stdout
    assert "100%" in done.stdout


def test_words_of_a_script_stay_its_own_in_a_terminal(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; print(sys.argv[1:])")
    command = f"{bin_directory('mpich')}/mpiapps run dask -n 1 {script} a -b"
    done = run(["script", "-qec", command, "/dev/null"])
    assert done.code == 0, done.out
    assert "['a', '-b']" in done.out


def test_no_rank_forks_python_after_mpi_has_started(tmp_path):
    """A fork in a process that runs MPI hangs or crashes on some networks."""
    hook = (
        "import sys\n"
        "def watch(event, args):\n"
        "    if event in ('os.fork', 'os.forkpty') and 'mpi4py.MPI' in sys.modules:\n"
        "        raise RuntimeError('fork after MPI_Init')\n"
        "sys.addaudithook(watch)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    ended = on_ranks(
        "mpich", 2, "-m", "mpiapps.pi", "--samples", "1e6", PYTHONPATH=str(tmp_path)
    )
    assert ended.code == 0, ended.err
