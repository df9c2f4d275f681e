"""Files as users start it: on real ranks, from lists, and after kills."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from mpiapps.farming.journal import read
from tests.launch import LIMIT, MPIS, ROOT, clean_environment, folder, on_ranks, run
from tests.test_farm import is_rank, running

FILES = ("-m", "mpiapps.files")


def test_counts_of_a_list_that_comes_on_standard_input(tmp_path):
    for n in range(5):
        (tmp_path / f"{n}").write_text("some words\n" * n)
    listed = "\0".join(str(tmp_path / f"{n}") for n in range(5))
    script = str(ROOT / "scripts" / "on_ranks.py")
    words = [str(folder("mpich") / "python"), script, "3", *FILES, "count"]
    words += ["--list", "-", "--json", "-", "-o", str(tmp_path / "each")]
    ended = run(words, stdin=listed)
    assert ended.code == 0, ended.err
    values = json.loads(ended.out)["values"]
    assert [values[name] for name in ("lines", "words", "bytes")] == [10, 20, 110]
    each = (tmp_path / "each").read_text().splitlines()
    assert each[1] == f"1 2 11 11 {tmp_path}/1"


@pytest.mark.parametrize(
    ("mpi", "program"), [*((mpi, "files") for mpi in MPIS), ("openmpi", "farm")]
)
def test_run_hands_standard_input_on_with_every_mpi(mpi, program, tmp_path):
    (tmp_path / "words").write_text("some words\n")
    (tmp_path / "temporary").mkdir()
    words, text, value = {
        "files": (["count", "--list", "-"], f"{tmp_path}/words\n", "lines"),
        "farm": (["-"], "true\n", "done"),
    }[program]
    command = [str(folder(mpi) / "mpiapps"), "run", program, "-n", "2", *words]
    places = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
    ended = run([*command, "--json", "record"], tmp_path, text, **places)
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "record").read_text())["values"][value] == 1
    assert not list((tmp_path / "temporary").glob("mpiapps-stdin-*"))


def test_a_launcher_that_passes_no_end_of_input_is_refused():
    for words in ([*FILES, "count", "--list", "-"], ["-m", "mpiapps.farm", "-"]):
        ended = on_ranks("openmpi", 2, *words)
        assert ended.code == 78
        assert ended.err.count("start the program by `mpiapps run`") == 1


def test_a_bad_file_ends_a_strict_run_and_no_other(tmp_path):
    (tmp_path / "good").write_text("a\n")
    (tmp_path / "bad.gz").write_text("a\n")
    words = [*FILES, "count", str(tmp_path)]
    ended = on_ranks("openmpi", 3, *words)
    assert ended.code == 3
    assert f"note: {tmp_path}/bad.gz: BadGzipFile: Not a gzipped file" in ended.out
    ended = on_ranks("openmpi", 3, *words, "--strict")
    assert ended.code == 65
    assert ended.err.count("bad.gz: BadGzipFile") == 1
    assert "Traceback" not in ended.err


def test_wrong_options_end_before_mpi():
    for words, why in {
        ("count",): "name files, folders or patterns",
        ("sort", "x"): "'sort' is not one of count, hash",
        ("hash", "x"): "hash needs --output",
        ("count", "--list", "-", "--list", "-"): "standard input is read once",
        ("flip", "x", "--into", "y", "--format", "nope"): "is not one of avif, bmp",
        ("map", "x"): "map needs MODULE:FUNCTION",
        ("histogram", "x", "--column", "1", "--range", "2:1"): "LOW below HIGH",
        ("histogram", "x", "--column", "1", "--delimiter", "é"): "not one character",
    }.items():
        ended = run([str(folder("mpich") / "python"), *FILES, *words])
        assert (ended.code, why in ended.err) == (2, True), ended.err


def test_kills_lose_nothing_that_was_recorded(tmp_path):
    some, files, out = random.Random(1), tmp_path / "files", tmp_path / "sums"
    files.mkdir()
    for n in range(300):
        (files / f"{n}").write_bytes(bytes([n % 251]) * 300_000)
    where = tmp_path / "journals"
    words = [*FILES, "hash", str(files), "-o", str(out), "--directory", str(where)]
    script = str(ROOT / "scripts" / "on_ranks.py")
    recorded, kills = set(), 0
    while True:
        command = [str(folder("mpich") / "python"), script, "3", *words]
        job = subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE
        )
        target = len(recorded) + some.randint(20, 60)
        while job.poll() is None and len(done(where)) < target:
            time.sleep(0.002)
        ranks = [pid for pid in running(f"mpiapps.files hash {files}") if is_rank(pid)]
        if job.poll() is None and ranks:
            with suppress(ProcessLookupError):
                os.kill(some.choice(ranks), signal.SIGKILL)
                kills += 1
        job.communicate(timeout=LIMIT)
        assert done(where) >= recorded
        recorded = done(where)
        if out.exists() and kills >= 2:
            break
        if out.exists():  # all was done before the kill: from the start
            out.unlink()
            shutil.rmtree(where)
            recorded = set()
    times = [each["name"] for path in where.glob("journal.*")
             for each in read(path).records]  # fmt: skip
    assert len(times) == len(set(times)) == 300  # nothing recorded was done again
    subprocess.run(["sha256sum", "-c", "--quiet", out], check=True)


def done(where):
    found = set()
    for path in where.glob("journal.*"):
        found |= {each["name"] for each in read(path).records}
    return found
