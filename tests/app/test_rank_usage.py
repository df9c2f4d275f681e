"""The record's usage is that which the kernel reports at the end of a process."""

import json
import os
import subprocess
import sys

from tests.commands import ROOT, clean_environment, on_ranks

MIB = 2**20
PROGRAM = """import sys, time
from dataclasses import dataclass
from pathlib import Path
from mpiapps.app import Program, Result, main, option

@dataclass(frozen=True)
class Options:
    file: str = option("", "file to write and read")

def run(ctx, options):
    content = bytearray(300 * 2**20)
    content[::4096] = b"x" * len(content[::4096])
    end = time.process_time() + 1.0
    while time.process_time() < end:
        pass
    path = Path(f"{options.file}.{ctx.world.rank}")
    path.write_bytes(content[: 50 * 2**20])
    path.read_bytes()
    return Result({"size": len(content)})

PROGRAM = Program("known", "Use a known amount.", Options, run)
if __name__ == "__main__":
    sys.exit(main(PROGRAM))
"""


def test_usage_is_that_of_the_kernel(tmp_path):
    program, record = tmp_path / "known.py", tmp_path / "record.json"
    program.write_text(PROGRAM)
    argv = [str(program), "--json", str(record), "--file", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, *argv], cwd=ROOT, env=clean_environment(),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, kernel = os.wait4(process.pid, 0)  # as time(1) does
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    usage = json.loads(record.read_text())["usage"]
    (row,) = usage["ranks"]
    cpu = kernel.ru_utime + kernel.ru_stime
    assert 1.0 < row["cpu_seconds"] <= cpu + 0.02
    assert row["cpu_seconds"] > 0.7 * cpu  # the rest is the end of Python
    assert 300 * MIB < row["peak_memory"] <= kernel.ru_maxrss * 1024 + MIB
    assert row["peak_memory"] < 600 * MIB  # ru_maxrss may be that of pytest, the parent
    assert 0 <= row["voluntary_switches"] <= kernel.ru_nvcsw
    assert 0 <= row["involuntary_switches"] <= kernel.ru_nivcsw
    assert 50 * MIB <= row["bytes_written"] < 60 * MIB
    assert 50 * MIB <= row["bytes_read"] < 150 * MIB  # and its modules
    assert row["wall_seconds"] >= 1.0
    assert usage["peak_memory"] == row["peak_memory"]


def test_each_rank_has_a_row(tmp_path):
    (tmp_path / "known.py").write_text(PROGRAM)
    argv = [str(tmp_path / "known.py"), "--file", str(tmp_path / "out"), "--json", "-"]
    ended = on_ranks("mpich", 2, *argv, OMP_NUM_THREADS="2")
    assert ended.code == 0, ended.err
    usage = json.loads(ended.out)["usage"]
    assert [row["rank"] for row in usage["ranks"]] == [0, 1]
    assert {row["threads"] for row in usage["ranks"]} == {2}
    total = sum(row["cpu_seconds"] for row in usage["ranks"])
    assert abs(usage["cpu_seconds"] - total) < 0.01
    assert all(row["cpu_seconds"] > 1.0 for row in usage["ranks"])
