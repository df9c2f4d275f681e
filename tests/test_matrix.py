"""The matrix program as users start it."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from mpiapps.matrix import Options, check
from tests.commands import LIMIT, ROOT, bin_directory, clean_environment, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

MATRIX = ("-m", "mpiapps.matrix")


@pytest.fixture
def files(tmp_path):
    """A well-conditioned square matrix, and two columns."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((30, 30)) + 10 * np.eye(30)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", a[:, :2])
    np.save(tmp_path / "x.npy", a[0])
    np.save(tmp_path / "spd.npy", a @ a.T)
    return tmp_path


def computed(ranks, files, *words):
    """Return values and the written matrix of a run that ended well."""
    out = str(files / "out.npy")
    where = [str(files / each) if each.endswith(".npy") else each for each in words]
    ended = on_ranks(
        "openmpi", ranks, *MATRIX, *where, "--output", out, "--check", "--json", "-"
    )
    assert ended.code == 0, ended.err
    values = json.loads(ended.out)["values"]
    assert 0 <= values["check"] < 10
    result = np.load(out)
    if "rows" in values:  # a vector is a column
        assert (values["rows"], values["columns"]) == (*result.shape, 1)[:2]
    return result


def test_operations_agree_with_numpy(files):
    a, b, x, spd = (np.load(files / f"{name}.npy") for name in ("a", "b", "x", "spd"))
    for words, expected in [
        (("multiply", "a.npy", "b.npy"), a @ b),
        (("gram", "b.npy"), b.T @ b),
        (("cholesky", "spd.npy"), np.linalg.cholesky(spd)),
        (("solve", "a.npy", "b.npy"), np.linalg.solve(a, b)),
        (("solve", "spd.npy", "b.npy", "--kind", "positive"), np.linalg.solve(spd, b)),
        (("inverse", "a.npy"), np.linalg.inv(a)),
        (("multiply", "x.npy", "a.npy"), x @ a),
        (("lstsq", "a.npy", "x.npy"), np.linalg.solve(a, x)),
    ]:
        result = computed(2, files, *words)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, atol=1e-8)


def test_moments_agree_with_numpy(files):
    words = [*MATRIX, "moments", str(files / "b.npy"), "--json", "-"]
    ended = on_ranks("openmpi", 3, *words)
    assert ended.code == 0, ended.err
    values, b = json.loads(ended.out)["values"], np.load(files / "b.npy")
    assert values["mean"] == pytest.approx(b.mean())
    assert values["std"] == pytest.approx(b.std())
    assert values["column_means"] == pytest.approx(b.mean(axis=0).tolist())
    assert values["column_stds"] == pytest.approx(b.std(axis=0).tolist())


def test_random_matrices_do_not_depend_on_the_ranks():
    found = []
    for ranks in (1, 3):
        words = ["norm", "--random", "40", "50", "--seed", "3", "--json", "-"]
        ended = on_ranks("mpich", ranks, *MATRIX, *words)
        found.append(json.loads(ended.out)["values"])
    assert found[0]["largest"] == found[1]["largest"]
    np.testing.assert_allclose(found[0]["frobenius"], found[1]["frobenius"])


def test_a_plan_needs_no_data():
    words = ["multiply", "--random", "2**15", "--plan"]
    words[2:3] = ["32768"] * 3
    ended = on_ranks("mpich", 1, *MATRIX, *words, "--ranks", "4096", "--json", "-")
    values = json.loads(ended.out)["values"]
    assert values["grid"] == [16, 16, 16]
    assert values["times_lower_bound"] <= 1.3
    ended = on_ranks("mpich", 2, *MATRIX, *words, "--calibrate", "--json", "-")
    flops, bandwidth, latency = json.loads(ended.out)["values"]["machine"]
    assert flops > 1e8
    assert bandwidth > 1e6
    assert 0 < latency < 1
    ended = on_ranks("mpich", 1, *MATRIX, *words, "--ranks", "4", "--memory", "1MiB")
    assert ended.code == 65
    assert "use more ranks, or more memory" in ended.err


@pytest.mark.parametrize(
    ("operation", "given", "message"),
    [
        ("multply", {}, "'multply' is not one of multiply, gram"),
        ("multiply", {"files": ("a.npy",)}, "takes 2 matrices, and 1 files were given"),
        ("multiply", {"random": (3, 4)}, "expected 3 sizes and no files"),
        ("norm", {"random": (3,), "plan": True}, "--plan applies only to multiply"),
        ("cholesky", {"random": (5, 9)}, "expected 1 sizes and no files"),
        ("norm", {"files": ("a.npy",), "check": True}, "not norm"),
        (
            "norm",
            {"files": ("a.npy",), "calibrate": True},
            "--calibrate applies only with --plan",
        ),
    ],
)
def test_conflicting_options_are_refused(operation, given, message):
    with pytest.raises(ValueError, match=message):
        check(Options(operation, **given))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["multply", "a.npy"], 2, "'multply' is not one of multiply, gram"),
        (["norm", "gone.npy"], 74, "No such file"),
        (["multiply", "a.npy", "row.npy"], 65, "30 columns, but 1 rows"),
        (["cholesky", "minus.npy"], 65, "leading minor of order 1"),
        (["inverse", "zero.npy"], 65, "column 0 has no nonzero pivot"),
        (["solve", "nan.npy", "b.npy"], 65, "element (2, 1) is nan"),
        (["gram", "text.npy"], 65, "is not a .npy file"),
        (["gram", "a.npy", "--output", "/nowhere/x.npy"], 74, "cannot write /nowhere"),
    ],
)
def test_wrong_input_is_reported_once(files, words, code, message):
    nan = np.eye(30)
    nan[2, 1] = np.nan
    for name, content in (
        ("minus", -np.eye(4)),
        ("zero", np.zeros((4, 4))),
        ("nan", nan),
        ("row", np.ones((1, 5))),
    ):
        np.save(files / f"{name}.npy", content)
    (files / "text.npy").write_text("1 2 3\n")
    inside = [str(files / w) if w[0] != "/" and w[-4:] == ".npy" else w for w in words]
    ended = on_ranks("mpich", 2, *MATRIX, *inside)
    assert ended.code == code, ended.err
    assert ended.err.count(message) == 1, ended.err


def test_check_detects_a_wrong_result():
    code = (
        "import sys; from mpiapps import matrix; from mpiapps.app import main;"
        "import mpiapps.linalg.multiply as m; right = m.multiply;\n"
        "def wrong(*args, **kw):\n"
        "    made = right(*args, **kw); made.local[:1, :1] += 1e-3; return made\n"
        "m.multiply = wrong; sys.exit(main(matrix.PROGRAM, sys.argv[1:]))"
    )
    words = ["multiply", "--random", "50", "50", "50", "--check"]
    ended = on_ranks("mpich", 2, "-c", code, *words)
    assert ended.code == 4, ended.err
    assert "the check failed" in ended.out


STOPPABLE = {
    "cholesky": ["cholesky", "--random", "150"],
    "solve": ["solve", "--random", "150", "2"],
    "inverse": ["inverse", "--random", "150", "--kind", "positive"],
}


@pytest.mark.parametrize("operation", STOPPABLE)
def test_factorisations_resume_after_the_deadline_with_the_same_bits(
    operation, tmp_path
):
    words = [*MATRIX, *STOPPABLE[operation], "--check", "-o"]
    straight, late = str(tmp_path / "straight.npy"), str(tmp_path / "late.npy")
    assert on_ranks("mpich", 2, *words, straight).code == 0
    path = tmp_path / "checkpoint.json"
    words += [late, "--checkpoint", str(path)]
    done = []
    # Each start does one block column: that it stops at once keeps nothing from it.
    while (ended := on_ranks("mpich", 2, *words, MPIAPPS_DEADLINE="1")).code == 75:
        done.append(json.loads(path.read_text())["progress"])
        assert len(done) < 20
    assert ended.code == 0, ended.err
    assert done == sorted(set(done))
    assert len(done) > 1
    np.testing.assert_array_equal(np.load(late), np.load(straight))
    assert {each.name for each in tmp_path.iterdir()} == {"straight.npy", "late.npy"}


REDUCTION = """
import os, sys
from mpiapps import matrix
from mpiapps.app import collective_checkpoint, main
from mpiapps.linalg import eigh, svd
eigh.SMALL = svd.SMALL = 0
save = collective_checkpoint.CollectiveCheckpointer.maybe_save
def maybe_save(self, progress, write):
    save(self, progress, write)
    if "KILLED" in os.environ and progress > 0.7:
        os.kill(os.getpid(), 9)
collective_checkpoint.CollectiveCheckpointer.maybe_save = maybe_save
sys.exit(main(matrix.PROGRAM, sys.argv[1:]))
"""


@pytest.mark.parametrize("operation", ["eigh", "svd"])
def test_reductions_resume_after_a_kill_with_the_same_bits(operation, tmp_path):
    words = ["-c", REDUCTION, operation, "--random", "100", "--check", "-o"]
    straight, late = tmp_path / "straight.npy", tmp_path / "late.npy"
    ended = on_ranks("mpich", 2, *words, str(straight))
    assert ended.code == 0, ended.err
    path = tmp_path / "checkpoint.json"
    words += [str(late), "--checkpoint", str(path)]
    ended = on_ranks("mpich", 2, *words, MPIAPPS_DEADLINE="1")
    assert ended.code == 75, ended.err
    assert 0 < json.loads(path.read_text())["progress"] < 0.7
    assert on_ranks("mpich", 2, *words, KILLED="1").code not in (0, 75)
    assert not late.exists()
    ended = on_ranks("mpich", 2, *words)
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(np.load(late), np.load(straight))
    assert {each.name for each in tmp_path.iterdir()} == {"straight.npy", "late.npy"}


def test_another_number_of_ranks_resumes_and_changed_files_are_refused(tmp_path):
    a, path = tmp_path / "a.npy", tmp_path / "checkpoint.json"
    np.save(a, np.random.default_rng(0).standard_normal((150, 150)))
    words = [*MATRIX, "inverse", str(a), "--check", "--checkpoint", str(path)]
    for ranks in (2, 3):
        ended = on_ranks("openmpi", ranks, *words, MPIAPPS_DEADLINE="1")
        assert ended.code == 75, ended.err
    changed = np.load(a)
    np.save(a, np.zeros((150, 150)))
    ended = on_ranks("openmpi", 1, *words)
    assert ended.code == 65
    assert "changed since the checkpoint" in ended.err
    np.save(a, changed)
    content = json.loads(path.read_text())
    data = path.with_name(f"{path.name}.data{content['state']['slot']}")
    times = [[a.stat().st_size, content["state"]["inputs"][0][1]]]
    os.utime(a, ns=(times[0][1], times[0][1]))
    sound = data.read_bytes()
    data.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    ended = on_ranks("openmpi", 1, *words)
    assert ended.code == 65
    assert "is damaged" in ended.err
    data.write_bytes(sound)
    ended = on_ranks("openmpi", 1, *words)
    assert ended.code == 0, ended.err


def test_seconds_needs_a_checkpoint():
    ended = on_ranks("mpich", 1, *MATRIX, "norm", "--random", "3", "--seconds", "9")
    assert ended.code == 2
    assert "--seconds 9 needs --checkpoint FILE" in ended.err


def test_a_run_stops_after_its_seconds(tmp_path):
    path = tmp_path / "checkpoint.json"
    words = ["cholesky", "--random", "6000", "--checkpoint", str(path)]
    ended = on_ranks("mpich", 1, *MATRIX, *words, "--seconds", "1")
    assert ended.code == 75, ended.err
    assert "which is saved in" in ended.err
    assert path.exists()


@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_a_full_disk_leaves_the_old_output(tmp_path, ending):
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    script = """
        mount -t tmpfs -o size=1m tmpfs "$1" && echo old >"$1/$2" || exit 99
        shift 2
        "$@" 2>"$SAID"
        echo $? "$(ls -A "$DISK")" "$(cat "$DISK"/*)"
    """
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [
        "unshare",
        "--mount",
        *own,
        "sh",
        "-c",
        script,
        "sh",
        disk,
        f"x.{ending}",
    ]
    command += [
        bin_directory("openmpi") / "python",
        ROOT / "scripts" / "on_ranks.py",
        "2",
    ]
    command += [*MATRIX, "transpose", "--random", "500", "-o", disk / f"x.{ending}"]
    ended = subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=clean_environment(PRELOAD_SERVER="", DISK=str(disk), SAID=str(said)),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.stdout.split() == ["74", f"x.{ending}", "old"], ended
    assert "No space left on device" in said.read_text()


def test_a_killed_rank_leaves_the_old_output(tmp_path):
    out = tmp_path / "out.npy"
    np.save(out, np.eye(3))
    words = [*MATRIX, "transpose", "--random", "7000", "--output", str(out)]
    python = str(bin_directory("openmpi") / "python")
    job = subprocess.Popen(
        [python, str(ROOT / "scripts" / "on_ranks.py"), "2", *words],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + LIMIT
    while not list(tmp_path.glob(".out.npy.*")):  # its content is being written
        assert time.monotonic() < end
        time.sleep(0.001)
    os.kill(rank_of(job, out), signal.SIGKILL)
    assert job.wait(LIMIT) != 0
    np.testing.assert_array_equal(np.load(out), np.eye(3))


def rank_of(job, out):
    """Return the process of one rank: what has the file's name and is no launcher."""
    told = subprocess.run(
        ["pgrep", "-n", "-f", f"python.*matrix.*--output {out}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) != job.pid
    return int(told.stdout)


@pytest.mark.parametrize(
    ("words", "code", "name", "expected"),
    [
        (["norm", "nan.npy"], 0, "frobenius", "NaN"),
        (["moments", "empty.npy"], 0, "mean", "NaN"),
        (["multiply", "huge.npy", "huge.npy", "--check"], 4, "check", "NaN"),
    ],
)
def test_nonfinite_values_are_in_all_records(tmp_path, words, code, name, expected):
    np.save(tmp_path / "nan.npy", np.array([[1, np.nan], [2, 3]]))
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    np.save(tmp_path / "huge.npy", np.full((4, 4), 1e200))
    words = [str(tmp_path / w) if w.endswith(".npy") else w for w in words]
    job, table = tmp_path / "record.json", tmp_path / "table.csv"
    words += ["--csv", str(table), "--json", "-"]
    ended = on_ranks("openmpi", 2, *MATRIX, *words, MPIAPPS_RECORD=str(job))
    assert ended.code == code, ended.err
    for text in (ended.out, job.read_text()):
        assert json.loads(text, parse_constant=pytest.fail)["values"][name] == expected
    assert "nan" in table.read_text()
