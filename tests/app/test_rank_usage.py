"""The record's usage is that which the kernel reports at the end of a process."""

import json
import sys

from tests.commands import on_ranks, run

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

# As time(1): from a small process, since Linux counts the memory of the parent's image.
WAIT = """
import json, os, sys
pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
_, status, used = os.wait4(pid, 0)
cpu = used.ru_utime + used.ru_stime
values = [cpu, used.ru_maxrss, used.ru_nvcsw, used.ru_nivcsw]
print("\\n" + json.dumps([os.waitstatus_to_exitcode(status), *values]))
"""


def test_usage_is_that_of_the_kernel(tmp_path):
    program, record = tmp_path / "known.py", tmp_path / "record.json"
    program.write_text(PROGRAM)
    argv = [str(program), "--json", str(record), "--file", str(tmp_path / "out")]
    code, *kernel = json.loads(
        run([sys.executable, "-c", WAIT, *argv]).out.splitlines()[-1]
    )
    cpu, max_rss, voluntary, involuntary = kernel
    assert code == 0
    usage = json.loads(record.read_text())["usage"]
    (row,) = usage["ranks"]
    assert 1.0 < row["cpu_seconds"] <= cpu + 0.02
    assert row["cpu_seconds"] > 0.7 * cpu  # the rest is the end of Python
    assert 300 * MIB < row["peak_memory"] <= max_rss * 1024 + MIB
    assert row["peak_memory"] > 0.9 * max_rss * 1024
    assert 0 <= row["voluntary_switches"] <= voluntary
    assert 0 <= row["involuntary_switches"] <= involuntary
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
