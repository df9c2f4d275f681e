"""`make test-atheris`: coverage-guided fuzzing of the parsers by atheris (libFuzzer).

Each parser gets bytes in a process of its own, for a bounded time, with the oracle of
its test. libFuzzer keeps inputs that reach new lines of the package. It does not see
compiled kernels: for these its inputs are mutations of all that it has kept. An input
that fails is written to the working directory as ``crash-...`` and given to the same
command: ``python scripts/fuzz_atheris.py text crash-...``.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).resolve().parents[1]
INSTRUMENTED = ["mpiapps.fileops", "mpiapps.storage", "mpiapps.taskfarm"]
MAX_INPUT_BYTES = 400
SEEDS = {
    "text": ["a b\n", "é\u2028中 😀"],
    "csv": ["\0\1\2a,b\n1,2\n", '\1\1\3x\n"1,""",2.5\r\n'],
    "journal": ['{"a": 1} deadbeef\n', "\0"],
    "tasks": ["x #: time=10m\n#: barrier\ny #: after=a in=b\n", "a\\u000a"],
}  # fmt: skip


def of_tests(name: str) -> Any:
    """Return a module of the tests."""
    return importlib.import_module(f"tests.{name}")


def text() -> Callable[[bytes], None]:
    """Check that counts do not depend on where a file is split."""
    import numpy as np

    from mpiapps.fileops.count import ROW, TextCount, join_words

    split_at = of_tests("fileops.test_segments").split_at

    operation, path = TextCount(), scratch() / "text"

    def totals(offsets: list[int]) -> list[int]:
        rows = [operation.execute(part) for part in split_at(path, offsets)]
        files = np.zeros(len(rows), np.int64)
        joined = join_words(files, np.reshape(rows, (-1, ROW)))
        return list(joined.sum(axis=0).tolist())

    def check(data: bytes) -> None:
        path.write_bytes(data[3:])
        assert totals(list(data[:3])) == totals([])
        assert totals([])[0] == data[3:].count(b"\n")

    return check


def csv() -> Callable[[bytes], None]:
    """Check that columns are those of `csv` and `float`, and that headers are read."""
    from mpiapps.fileops.csv_header import find_columns

    test_columns = of_tests("kernels.test_columns")

    same: Any = test_columns.test_a_column_is_parsed_as_by_csv_and_float
    quotes = list(test_columns.DIALECTS)

    def check(data: bytes) -> None:
        choice, column, size = (*data[:3], 0, 0, 0)[:3]
        quote = quotes[choice % len(quotes)]
        content = data[3:].decode(errors="replace").replace("\0", "")
        block = test_columns.as_array(content.encode())
        header = ("auto", "yes", "no")[column % 3]
        with suppress(ValueError):
            find_columns([block], ("a", "2"), test_columns.DIALECTS[quote], header)
        if "\r" not in content.replace("\r\n", ""):  # csv ends records there
            same.hypothesis.inner_test(content, column % 3, quote, size % 9 + 1)

    return check


def journal() -> Callable[[bytes], None]:
    """Check that bytes after a record are damage, or a torn end."""
    from mpiapps.base.errors import InputError
    from mpiapps.storage.journal import read, salvage

    written = of_tests("storage.test_journal_fuzz").written

    directory = scratch()
    path = written(directory, [{"first": 1}])
    start = path.read_bytes()

    def check(data: bytes) -> None:
        path.write_bytes(start + data)
        lines = [line.rpartition(b" ") for line in data.split(b"\n")[:-1]]
        good = [text for text, _, end in lines if end == b"%08x" % zlib.crc32(text)]
        assert len(salvage(path).records) - 1 <= len(good)
        try:
            content = read(path)
        except InputError:
            assert len(good) <= len(lines)
        else:
            assert content.records[0] == {"first": 1}
            assert len(content.records) - 1 == len(good) == len(lines)
            assert content.complete + content.torn == len(start + data)

    return check


def tasks() -> Callable[[bytes], None]:
    """Check that a file is a list of tasks that survives a round trip, or an error."""
    test_task_list = of_tests("taskfarm.test_task_list")

    test: Any = (
        test_task_list.test_any_file_is_a_list_of_tasks_or_an_error_with_its_line
    )
    inner: Callable[[bytes], None] = test.hypothesis.inner_test
    return inner


TARGETS = {"text": text, "csv": csv, "journal": journal, "tasks": tasks}
DIRECTORIES: list[tempfile.TemporaryDirectory[str]] = []  # removed at exit


def scratch() -> Path:
    """Return a directory for the files of this process."""
    DIRECTORIES.append(tempfile.TemporaryDirectory())
    return Path(DIRECTORIES[-1].name)


def fuzz(name: str, words: list[str]) -> None:
    """Fuzz a parser; end the process."""
    sys.path.insert(0, str(ROOT))
    import mpiapps.kernels

    # Before the others: numba cannot compile instrumented functions.
    for module in pkgutil.iter_modules(mpiapps.kernels.__path__, "mpiapps.kernels."):
        importlib.import_module(module.name)
    with atheris.instrument_imports(include=INSTRUMENTED):
        check = TARGETS[name]()
    atheris.Setup([sys.argv[0], *words], check)
    atheris.Fuzz()


def commands(name: str, seconds: int) -> Iterator[str]:
    """Yield the words that fuzz a parser in another process."""
    corpus = scratch()
    for n, seed in enumerate(SEEDS[name]):
        (corpus / str(n)).write_text(seed)
    yield from (sys.executable, __file__, name, str(corpus))
    yield from (f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}")
    yield from ("-verbosity=0", "-print_final_stats=1", "-timeout=20")


def main() -> int:
    """Fuzz one parser, or all of them in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=10, help="for each parser")
    options, words = parser.parse_known_args()
    if options.name:
        fuzz(options.name, words)
    failed = []
    for name in TARGETS:
        print(f"== {name}", flush=True)
        done = subprocess.run(list(commands(name, options.seconds)), check=False)
        failed += [name] * (done.returncode != 0)
    print(f"failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
