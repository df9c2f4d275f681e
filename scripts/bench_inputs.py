"""Inputs of bench_files.py: texts, tables, directories and images, always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LATIN = "etaoinshrdlucmfwypvbgkjqxz"
GERMAN = "enisratdhulcgmobwfkzpväöüß"
MAX_LINE = 110  # bytes of `Text()`
DRAWN = 500_000  # words that are drawn by frequency, besides each of them once


@dataclass(frozen=True)
class Text:
    """Words of random letters; earlier letters and words are more frequent.

    Without `letters`: random bytes.
    """

    letters: str = LATIN
    lengths: tuple[int, int] = (1, 9)
    words: int = 50_000  # distinct ones, about
    per_line: int = 11
    end: str = ""  # of each line
    encoding: str = "utf-8"

    @cached_property
    def block(self) -> bytes:
        """Lines with all words."""
        rng = random.Random(1)
        if not self.letters:
            return rng.randbytes(1 << 23)
        weights = range(len(self.letters), 0, -1)
        words = [
            "".join(rng.choices(self.letters, weights, k=rng.randint(*self.lengths)))
            for _ in range(self.words)
        ]
        frequencies = [1 / (n + 2) for n in range(len(words))]
        words += rng.choices(words, frequencies, k=DRAWN)
        rng.shuffle(words)
        lines = (
            " ".join(words[n : n + self.per_line]) + self.end
            for n in range(0, len(words), self.per_line)
        )
        return "\n".join(lines).encode(self.encoding) + b"\n"

    def write(self, path: Path, size: int) -> None:
        """Write some `size` bytes: blocks, and whole lines of another one."""
        block = self.block
        with path.open("wb") as stream:
            for _ in range(size // len(block)):
                stream.write(block)
            rest = block[: size % len(block)]
            stream.write(rest[: rest.rfind(b"\n") + 1])


KINDS = {
    "ASCII": Text(),
    "one odd character a line": Text(end=" it\u2019s"),
    "German": Text(GERMAN),
    "Russian": Text("".join(chr(n) for n in range(0x430, 0x450))),
    "Greek": Text("".join(chr(n) for n in range(0x3B1, 0x3CA))),
    "Chinese": Text("".join(chr(n) for n in range(0x4E00, 0x5200)), (4, 30), end="。"),
    "emoji": Text("".join(chr(n) for n in range(0x1F600, 0x1F640))),
    "Latin-1": Text(GERMAN, encoding="latin-1"),
    "binary": Text(""),
}
SHAPES = {
    "ASCII, lines of 1 MB": Text(per_line=200_000),
    "ASCII, lines of a word": Text(lengths=(1, 4), per_line=1),
    "German, lines of 1 MB": Text(GERMAN, per_line=200_000),
    "German, lines of a word": Text(GERMAN, (1, 4), per_line=1),
}
WORDS = {
    "ASCII, 100 words": Text(words=100),
    "ASCII, 10^6 words": Text(lengths=(5, 12), words=10**6),
    "German, 10^6 words": Text(GERMAN, (5, 12), words=10**6),
}


@dataclass(frozen=True)
class Table:
    """Random numbers in columns c1, c2 and so on.

    The suffix is of the file: csv, parquet, or that of a compressed CSV.
    """

    columns: int = 2
    column: int = 2  # the one that is read
    digits: int = 17  # 0: integers of up to 6 digits
    quoted: bool = False  # all numbers, beside quoted text with delimiters
    half_empty: bool = False
    crlf: bool = False
    suffix: str = "csv"

    def rows(self, size: int) -> int:
        """Return the number of records in some `size` bytes."""
        return size // (self.columns * (self.digits or 6) + 2 * self.columns)

    def _array(self, rng: Any, rows: int) -> Any:
        import pyarrow as pa

        x = rng.random(rows) if self.digits else rng.integers(10**6, size=rows)
        mask = rng.random(rows) < 0.5 if self.half_empty else None
        array = pa.array(x.round(self.digits) if self.digits else x, mask=mask)
        return array.cast(pa.string()) if self.quoted else array

    def write(self, path: Path, size: int) -> None:
        """Write some `size` bytes, before compression."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        rng, rows = np.random.default_rng(1), self.rows(size)
        names = [f"c{n + 1}" for n in range(self.columns)]
        table = pa.table({name: self._array(rng, rows) for name in names})
        if self.suffix == "parquet":
            pyarrow.parquet.write_table(table, path, row_group_size=rows // 4)
            return
        if self.quoted:
            words = pa.array(["a, b", "some, words"] * (rows // 2 + 1))[:rows]
            table = table.set_column(0, "c1", words)
        sink = pa.BufferOutputStream()
        style = "all_valid" if self.quoted else "needed"
        pyarrow.csv.write_csv(
            table, sink, pyarrow.csv.WriteOptions(quoting_style=style)
        )
        content = sink.getvalue().to_pybytes()
        content = content.replace(b"\n", b"\r\n") if self.crlf else content
        with pa.output_stream(str(path), compression="detect") as stream:
            stream.write(content)


TABLES = {
    "2 columns": Table(),
    "20 columns, first": Table(20, 1),
    "20 columns, last": Table(20, 20),
    "500 columns, first": Table(500, 1),
    "500 columns, last": Table(500, 500),
    "quoted": Table(quoted=True),
    "3 digits": Table(digits=3),
    "integers": Table(digits=0),
    "half empty": Table(half_empty=True),
    "CRLF": Table(crlf=True),
    "gz": Table(suffix="csv.gz"),
    "zst": Table(suffix="csv.zst"),
    "Parquet": Table(suffix="parquet"),
    "Parquet, 20 columns, last": Table(20, 20, suffix="parquet"),
}


@dataclass(frozen=True)
class Files:
    """A directory of texts, in subdirectories of a thousand."""

    number: int

    def write(self, path: Path, size: int) -> None:
        """Write files of some `size` bytes in all, each of whole lines."""
        text, total = Text(), 0
        for n in range(self.number):
            directory = path / f"{n // 1000}"
            directory.mkdir(parents=True, exist_ok=True)
            file = directory / f"{n}.txt"
            text.write(file, size // self.number)
            total += file.stat().st_size
        assert size - self.number * (MAX_LINE + 1) < total <= size, total


@dataclass(frozen=True)
class Images:
    """A directory of JPEG and PNG files in turn: gradients with noise, as in photos."""

    number: int
    width: int = 640
    height: int = 480

    def write(self, path: Path, _: int) -> None:
        """Write the files; those of JPEG have the quality that Pillow writes."""
        import numpy as np
        from PIL import Image

        path.mkdir(parents=True)
        rng = np.random.default_rng(1)
        down, right = np.mgrid[: self.height, : self.width]
        for n in range(self.number):
            waves = [np.sin(down / (40 + n)), np.cos(right / 60), np.sin(down + n)]
            pixels = 100 + 60 * np.stack(waves, axis=-1)
            pixels += rng.integers(0, 8, pixels.shape)
            suffix = "png" if n % 2 else "jpg"
            Image.fromarray(pixels.astype(np.uint8)).save(path / f"{n}.{suffix}")
