"""`make bench-files`: kinds of text, tables and images, sizes, against other tools.

Two ranks, and two processes or threads of each peer. The figures are seconds without
the start: of mpiapps the timer `total` less `import` and `compile`; of commands those
beyond the same command on an empty input; of Python peers those after the import.
Rounds are interleaved, each in new processes, and medians count. Peers: coreutils, GNU
parallel, polars and duckdb (in .bench/files), pyarrow, Pillow. Floors: valid UTF-8 at
2 GB/s per core and 15 times wc, other bytes 5 times wc; CSV and --top as fast as
polars; all else 0.8.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from bench_inputs import KINDS, SHAPES, TABLES, WORDS, Files, Images, Table, Text
from measure import FLOOR, Cell, Timer, limit, parser, replace, start, sweep

HERE = Path(__file__).parent
POLARS = HERE.parent / ".bench/files/bin/python"
PYTHONS = {"polars": str(POLARS), "duckdb": str(POLARS)}  # pyarrow: our own
RANKS = 2
BYTES_PER_SECOND = 2e9  # of a core, for valid UTF-8
NOT_UTF8 = {"Latin-1", "binary"}
PICTURES = 200
BLOCK = "32M"  # of parallel --pipepart: the fastest of 10M, 32M and 100M here
PEERS = ("polars", "duckdb", "pyarrow")
SORT = "tr -s '[:space:]' '\\n' <{} | sort --parallel=2 | uniq -c | sort -rn | head"
APART = ("import", "compile")  # timers of the start
START_SECONDS: list[float] = []


def files(*argv: str, output: Path | None = None) -> Timer:
    """Return a function that runs the program: the seconds of its work.

    `output` is removed first.
    """

    def measure() -> float:
        if output is not None:
            shutil.rmtree(output, ignore_errors=True)
        words = ("-m", "mpiapps.files", *argv, "--progress", "off", "--json", "-")
        wall, done = start(RANKS, *words)
        ranks = [rank["timers"] for rank in json.loads(done.stdout)["usage"]["ranks"]]
        # The others wait for the rank that starts last.
        begun = max(sum(rank.get(name, 0.0) for name in APART) for rank in ranks)
        work: float = max(rank["total"] for rank in ranks) - begun
        START_SECONDS.append(wall - work)
        return work

    return measure


def shell(text: str) -> float:
    """Return the wall time of a command of the shell, NaN if it failed."""
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    begin = time.perf_counter()
    done = subprocess.run(
        text, shell=True, env=environ, capture_output=True, check=False
    )
    return time.perf_counter() - begin if not done.returncode else float("nan")


def script(operation: str, peer: str, path: Path, column: str = "") -> Timer:
    """Return a function that runs a peer in Python: the time that it prints."""
    python = PYTHONS.get(peer, sys.executable)
    argv = [str(HERE / "files_peer.py"), f"{operation}-{peer}", str(path), column]

    def measure() -> float:
        if not Path(python).exists():
            return float("nan")
        done = subprocess.run(
            [python, *argv], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{argv} failed: {done.stderr[-200:]}", file=sys.stderr)
            return float("nan")
        return float(done.stdout.split()[-1])

    return measure


class Surface:
    """The cells, on inputs in a directory.

    Parameters
    ----------
    directory : Path
    size : int
        Bytes of each input.
    small : int
        Number of small files.
    """

    def __init__(self, directory: Path, size: int, small: int) -> None:
        self._directory, self._size, self._small = directory, size, small

    def _command(self, text: str, path: Path) -> Timer:
        """Return a function that runs a command on `path`, in place of ``{}``.

        It returns the wall time less that of the command on an empty file or directory.
        """
        empty = self._directory / f"empty{path.suffix}"

        def measure() -> float:
            if path.is_dir():
                empty.mkdir(exist_ok=True)
            else:
                empty.touch()
            return shell(text.format(path)) - shell(text.format(empty))

        return measure

    def _input(self, name: str, suffix: str) -> Path:
        name = "".join(char if char.isalnum() else "-" for char in name)
        return self._directory / f"{name}-{self._size}.{suffix}"

    def _cell(
        self,
        title: str,
        ours: Timer,
        peers: dict[str, tuple[Timer, float]],
        path: Path,
        what: Text | Table | Files | Images,
    ) -> Cell:
        def prepare() -> None:
            if not path.exists():
                replace(path, lambda part: what.write(part, self._size))
            # Else the first program pays for pages that the host has taken back.
            files = f"find {shlex.quote(str(path))} -type f"
            shell(f"{files} -exec cat {{}} + | cat >/dev/null")

        return Cell(title, ours, peers, prepare)

    def texts(self) -> Iterator[Cell]:
        """Yield counts of kinds and shapes of text, and the most frequent words."""
        for kind, text in (KINDS | SHAPES | WORDS).items():
            path = self._input(kind, "txt")
            cell = partial(self._cell, path=path, what=text)
            pipe = f"parallel -j{RANKS} --pipepart --block {BLOCK} -a {{}} wc"
            least = self._size / (BYTES_PER_SECOND * RANKS)
            floor = 5.0 if kind in NOT_UTF8 else 15.0
            counts = {
                "wc -lwm": (self._command("wc -lwm {}", path), floor),
                "parallel wc -lwm": (self._command(f"{pipe} -lwm", path), FLOOR),
            }
            if kind not in NOT_UTF8:
                counts["2 GB/s a core"] = limit(least), 1.0
            lines = {
                "wc -l": (self._command("wc -l {}", path), FLOOR),
                "parallel wc -l": (self._command(f"{pipe} -l", path), FLOOR),
            }
            tops = {
                peer: (script("top", peer, path), 1.0 if peer == "polars" else FLOOR)
                for peer in PEERS[:2]
                if kind not in NOT_UTF8
            }
            if kind in {"ASCII", *NOT_UTF8}:  # slow, and no polars
                tops["sort | uniq -c"] = self._command(SORT, path), FLOOR
            if kind not in WORDS:
                yield cell(f"count: {kind}", files("count", f"{path}"), counts)
                only = files("count", f"{path}", "--only", "lines")
                yield cell(f"lines: {kind}", only, lines)
            if kind not in SHAPES:
                yield cell(
                    f"top: {kind}", files("count", f"{path}", "--top", "10"), tops
                )

    def tables(self) -> Iterator[Cell]:
        """Yield the operations on columns, and conversion to Parquet."""
        for kind, table in TABLES.items():
            path = self._input(kind, table.suffix)
            column, parquet = f"c{table.column}", table.suffix == "parquet"
            for operation in ("histogram", "describe"):
                yield self._cell(
                    f"{operation}: {kind}",
                    files(operation, f"{path}", "--column", column),
                    {
                        peer: (script(operation, peer, path, column),
                               1.0 if peer == "polars" and not parquet else FLOOR)
                        for peer in PEERS
                    },
                    path, table,
                )  # fmt: skip
            if table.suffix == "csv" and "first" not in kind:
                output = self._directory / "parts"
                yield self._cell(
                    f"convert: {kind}",
                    files("convert", f"{path}", "--output-dir", f"{output}",
                          output=output),
                    {peer: (script("convert", peer, path), FLOOR) for peer in PEERS},
                    path, table,
                )  # fmt: skip

    def directories(self) -> Iterator[Cell]:
        """Yield counts and digests of few large files, and of many small ones."""
        for kind in (Files(4), Files(self._small)):
            title = f"{kind.number} files of {self._size / kind.number / 1e3:.0f} kB"
            path = self._input(f"{kind.number} files", "d")
            many = 500 if kind.number > 100 else 1
            names = f"find {{}} -type f -print0 | xargs -0 -P{RANKS} -n{many}"
            sums = path.with_suffix(".sums")
            yield self._cell(
                f"hash: {title}", files("hash", f"{path}", "-o", f"{sums}"),
                {"xargs sha256sum": (self._command(f"{names} sha256sum", path), FLOOR)},
                path, kind,
            )  # fmt: skip
            yield self._cell(
                f"count: {title}", files("count", f"{path}"),
                {"xargs wc -lwm": (self._command(f"{names} wc -lwm", path), FLOOR),
                 "Pool in Python": (script("count", "loop", path), FLOOR)},
                path, kind,
            )  # fmt: skip

    def images(self) -> Iterator[Cell]:
        """Yield images mirrored, and in half their size."""
        path, kind = self._directory / f"images-{PICTURES}", Images(PICTURES)
        title = f"{kind.number} JPEG and PNG of {kind.width}x{kind.height}"
        output = self._directory / "pictures"
        for operation, words in (
            ("flip", ("--transform", "left-right")),
            ("resize", ("--factor", "0.5")),
        ):
            argv = (operation, f"{path}", "--output-dir", f"{output}", *words)
            yield self._cell(
                f"{operation}: {title}", files(*argv, output=output),
                {"Pool of Pillow": (script(operation, "pillow", path), FLOOR)},
                path, kind,
            )  # fmt: skip


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    words = parser(__doc__)
    words.add_argument("--size", type=float, default=2e8, help="bytes of each input")
    words.add_argument("--small-files", type=int, default=100_000)
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(options.scratch or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        surface = Surface(directory, int(options.size), options.small_files)
        cells = [*surface.texts(), *surface.tables(), *surface.directories(),
                 *surface.images()]  # fmt: skip
        code = sweep(cells, options)
    if START_SECONDS:
        print(f"start of the program, not included: {median(START_SECONDS):.2f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
