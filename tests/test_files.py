"""The program on files as users start it: on real ranks, from lists, after kills."""

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from mpiapps.storage.journal import read
from tests.commands import (
    LIMIT,
    MPIS,
    ROOT,
    bin_directory,
    clean_environment,
    on_ranks,
    python_path,
    run,
)
from tests.taskfarm.farms import is_rank, running

pytestmark = pytest.mark.usefixtures("preloaded")

FILES = ("-m", "mpiapps.files")


def test_a_list_from_standard_input(tmp_path):
    for n in range(5):
        (tmp_path / f"{n}").write_text("some words\n" * n)
    # Compile on one rank; three ranks would compile the same at once.
    assert on_ranks("mpich", 1, *FILES, "count", f"{tmp_path}/1").code == 0
    listed = "\0".join(str(tmp_path / f"{n}") for n in range(5))
    script = str(ROOT / "scripts" / "on_ranks.py")
    argv = [str(bin_directory("mpich") / "python"), script, "3", *FILES, "count"]
    argv += ["--list", "-", "--json", "-", "-o", str(tmp_path / "counts")]
    ended = run(argv, stdin=listed)
    assert ended.code == 0, ended.err
    values = json.loads(ended.out)["values"]
    assert [values[name] for name in ("lines", "words", "bytes")] == [10, 20, 110]
    lines = (tmp_path / "counts").read_text().splitlines()
    assert lines[1] == f"1 2 11 11 {tmp_path}/1"


@pytest.mark.parametrize(
    ("mpi", "case"),
    [*((mpi, "files") for mpi in MPIS), ("openmpi", "manifest"), ("openmpi", "farm")],
)
def test_run_forwards_standard_input_with_every_mpi(mpi, case, tmp_path):
    (tmp_path / "words").write_text("some words\n")
    digest = hashlib.sha256(b"some words\n").hexdigest()
    manifest = f"{digest}  {tmp_path}/words\n"
    (tmp_path / "temporary").mkdir()
    arguments, text, value = {
        "files": (["count", "--list", "-"], f"{tmp_path}/words\n", "lines"),
        "manifest": (["hash", "--check", "-"], manifest, "files"),
        "farm": (["-"], "true\n", "done"),
    }[case]
    program = "farm" if case == "farm" else "files"
    command = [str(bin_directory(mpi) / "mpiapps"), "run", program, "-n", "2"]
    command += arguments
    temporary = str(tmp_path / "temporary")
    environ = {"PYTHONPATH": python_path(ROOT), "TMPDIR": temporary}
    ended = run([*command, "--json", "record"], tmp_path, text, **environ)
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "record").read_text())["values"][value] == 1
    assert not list((tmp_path / "temporary").glob("mpiapps-stdin-*"))


def test_a_launcher_that_does_not_forward_the_end_of_input_is_refused():
    checked, listed = ("hash", "--check", "-"), ("count", "--list", "-")
    for argv in ([*FILES, *checked], [*FILES, *listed], ["-m", "mpiapps.farm", "-"]):
        ended = on_ranks("openmpi", 2, *argv)
        assert ended.code == 78
        assert ended.err.count("start the program with `mpiapps run`") == 1


def test_a_failed_file_ends_only_a_strict_run(tmp_path):
    (tmp_path / "good").write_text("a\n")
    (tmp_path / "bad.gz").write_text("text, not compressed\n")
    argv = [*FILES, "count", str(tmp_path)]
    ended = on_ranks("openmpi", 3, *argv)
    assert ended.code == 3
    assert f"note: {tmp_path}/bad.gz: OSError: damaged, or not a gzip" in ended.out
    ended = on_ranks("openmpi", 3, *argv, "--strict")
    assert ended.code == 65
    assert ended.err.count("bad.gz: OSError: damaged") == 1
    assert "Traceback" not in ended.err


def test_a_cut_file_that_all_ranks_decompress_is_reported_once(tmp_path):
    content = gzip.compress(random.Random(1).randbytes(2**22), 1)
    (tmp_path / "cut.gz").write_bytes(content[:-9])
    reason = "cut.gz: the compressed file ended before its content did"
    argv = [*FILES, "count", str(tmp_path)]
    ended = on_ranks("openmpi", 3, *argv)
    assert (ended.code, ended.out.count(reason)) == (3, 1)
    ended = on_ranks("openmpi", 3, *argv, "--strict")
    assert (ended.code, ended.err.count(reason)) == (65, 1)


def test_a_manifest_that_cannot_be_read_is_an_error_of_files(tmp_path):
    ended = on_ranks("openmpi", 1, *FILES, "hash", "--check", str(tmp_path / "missing"))
    assert ended.code == 74
    assert f"cannot read the manifest {tmp_path}/missing: No such file" in ended.err


def test_invalid_options_end_before_mpi():
    for arguments, message in {
        ("count",): "name files, directories or patterns",
        ("sort", "x"): "'sort' is not one of count, hash",
        ("hash", "x"): "hash: --output, --check or --per-file is required",
        ("count", "--list", "-", "--list", "-"): "standard input is read only once",
        (
            "flip",
            "x",
            "--output-dir",
            "y",
            "--format",
            "nope",
        ): "is not one of avif, bmp",
        ("map", "x"): "map: MODULE:FUNCTION is required",
        ("count", "x", "--bins", "9"): "--bins applies only to histogram, not count",
        ("resize", "x", "--transform", "90"): "--transform applies only to flip",
        ("hash", "x", "--device", "cuda"): "--device applies only to count, not hash",
        (
            "count",
            "x",
            "--strict-utf8",
            "--encoding",
            "bytes",
        ): "--strict-utf8 has no effect with --encoding bytes",
        ("sample", "x", "--per-file"): "--per-file applies only to count, hash, not",
        ("histogram", "x", "--column", "1", "--range", "2:1"): "LOW below HIGH",
        (
            "histogram",
            "x",
            "--column",
            "1",
            "--delimiter",
            "é",
        ): "not one ASCII character",
    }.items():
        ended = run([str(bin_directory("mpich") / "python"), *FILES, *arguments])
        assert (ended.code, message in ended.err) == (2, True), ended.err


def test_kills_lose_nothing_that_was_recorded(tmp_path):
    rng, files, out = random.Random(1), tmp_path / "files", tmp_path / "sums"
    files.mkdir()
    for n in range(300):
        (files / f"{n}").write_bytes(bytes([n % 251]) * 300_000)
    journals = tmp_path / "journals"
    argv = [*FILES, "hash", str(files), "-o", str(out), "--directory", str(journals)]
    script = str(ROOT / "scripts" / "on_ranks.py")
    recorded, kills = set(), 0
    while True:
        command = [str(bin_directory("mpich") / "python"), script, "3", *argv]
        job = subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE
        )
        target = len(recorded) + rng.randint(20, 60)
        while job.poll() is None and len(done_names(journals)) < target:
            time.sleep(0.002)
        ranks = [pid for pid in running(f"mpiapps.files hash {files}") if is_rank(pid)]
        if job.poll() is None and ranks:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(ranks), signal.SIGKILL)
                kills += 1
        job.communicate(timeout=LIMIT)
        assert done_names(journals) >= recorded
        recorded = done_names(journals)
        if out.exists() and kills >= 2:
            break
        if out.exists():  # all was done before the kill: start anew
            out.unlink()
            shutil.rmtree(journals)
            recorded = set()
    names = [record["key"][0] for path in journals.glob("journal.*")
             for record in read(path).records]  # fmt: skip
    assert len(names) == len(set(names)) == 300  # nothing recorded was done again
    subprocess.run(["sha256sum", "-c", "--quiet", out], check=True)


def done_names(journals):
    return {
        record["key"][0]
        for path in journals.glob("journal.*")
        for record in read(path).records
    }


def test_the_output_on_standard_output(tmp_path):
    (tmp_path / "words").write_text("some wörds\n" * 3)
    argv = [*FILES, "count", str(tmp_path), "-o", "-"]
    ended = on_ranks("mpich", 2, *argv)
    assert (ended.code, ended.out) == (0, f"3 6 33 36 {tmp_path}/words\n")
    assert "files on 2 ranks" in ended.err  # the report
    assert not (ROOT / "-").exists()
    ended = on_ranks("mpich", 2, *argv, "--json", "-")
    assert ended.code == 2
    assert "--output and --json both name -; choose different files" in ended.err


def test_results_in_an_input_directory_and_inputs_as_results(tmp_path):
    (tmp_path / "words").write_text("some words\n")
    argv = [*FILES, "hash", str(tmp_path), "-o", str(tmp_path / "sums")]
    for _ in range(2):
        ended = on_ranks("openmpi", 3, *argv, "--json", str(tmp_path / "record"))
        assert ended.code == 0, ended.err
        record = json.loads((tmp_path / "record").read_text())
        assert record["values"]["files"] == 1
    assert (tmp_path / "sums").read_text().endswith(f"  {tmp_path}/words\n")
    for option in ("-o", "--json", "--csv", "--checkpoint"):
        argv = [*FILES, "count", f"{tmp_path}/words", option, f"{tmp_path}/./words"]
        ended = on_ranks("openmpi", 2, *argv)
        assert ended.code == (65 if option == "--checkpoint" else 2)
        assert f"{tmp_path}/words" in ended.err
        assert (tmp_path / "words").read_text() == "some words\n"
