"""A directory of Parquet files that appears at its name when all are complete.

Parts are written to a hidden directory beside the target, under names that the input
determines, so that a resumed run finds them. At the end they are numbered in the order
of the input, and the directory is renamed.
"""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpiapps.base.errors import InputError, os_errors
from mpiapps.storage.directory_lock import DirectoryLock
from mpiapps.storage.replace_file import fsync_directory, fsync_path, real_path

ROW_GROUP_BYTES = 2**26  # of Arrow arrays
# Of integers without a dictionary: for those of small differences half of the time and
# of the bytes of plain ones; for random ones of 64 bits a few percent more bytes.
INTEGER_ENCODING = "DELTA_BINARY_PACKED"
LOCK = "lock"
PART = "part-{:06d}.parquet"


class PartDirectory:
    """The directory of the parts of a result.

    Parameters
    ----------
    target : Path
        The name that it gets.
    keep : bool
        Whether the parts of a run that stops or fails are kept, to be resumed.
    """

    def __init__(self, target: Path, *, keep: bool) -> None:
        self.target = real_path(target)
        self.path = self.target.with_name(f".{self.target.name}.partial")
        self._keep = keep

    @contextmanager
    def open(self, *, force_unlock: bool) -> Iterator[None]:
        """Create and lock the directory. Root only.

        Raises
        ------
        InputError
            If the target exists.
        LaunchError
            If another run writes to it.
        FileAccessError
            If it cannot be created.
        """
        if os.path.lexists(self.target):
            raise InputError(
                f"{self.target} exists; remove it, or name another --output-dir"
            )
        with DirectoryLock(self.path / LOCK, force_unlock=force_unlock):
            try:
                yield
            finally:
                if self.path.exists() and not self._keep:
                    self._remove()

    def commit(self, parts: Sequence[str]) -> list[str]:
        """Complete the directory: number the parts, rename it; return the paths.

        A part that is named again, since its file is, is copied.
        """
        with os_errors(self.target, "write"):
            kept = set(parts)
            for path in list(self.path.iterdir()):
                if path.name not in kept and path.name != LOCK:
                    path.unlink()
            names = [PART.format(n) for n in range(len(parts))]
            firsts = dict[str, Path]()
            for part, name in zip(parts, names, strict=True):
                path = self.path / name
                if first := firsts.get(part):
                    shutil.copyfile(first, path)
                    fsync_path(path)
                else:
                    firsts[part] = (self.path / part).rename(path)
            (self.path / LOCK).unlink()  # the lock is held until the end
            fsync_directory(self.path)
            self.path.rename(self.target)
            fsync_directory(self.target.parent)
        return [str(self.target / name) for name in names]

    def _remove(self) -> None:
        for path in list(self.path.iterdir()):
            path.unlink()
        self.path.rmdir()


def write_part(
    path: Path,
    schema: Any,
    batches: Iterable[Any],
    dictionaries: Sequence[str] | None = None,
    *,
    keep_empty: bool = False,
) -> int:
    """Write batches of records to a Parquet file, whole; return their number.

    A row group has up to `ROW_GROUP_BYTES` of Arrow arrays, or one batch; memory: as
    much, and the next batch.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema
    batches : iterable of pyarrow.RecordBatch
    dictionaries : sequence of str, optional
        Columns that are encoded by dictionaries of their values; by default all.
    keep_empty : bool
        Whether to write a file if there are no records.

    Raises
    ------
    FileAccessError
        If it cannot be written.
    """
    records, part = 0, path.with_name(f"{path.name}.{secrets.token_hex(6)}.part")
    try:
        with _Writer(part, schema, dictionaries) as writer:
            for batch in batches:
                writer.add(batch)
                records += batch.num_rows
        if records or keep_empty:
            with os_errors(path, "write"):
                fsync_path(part)
                part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return records


class _Writer:
    """A Parquet file, and the batches of its next row group."""

    def __init__(
        self, path: Path, schema: Any, dictionaries: Sequence[str] | None
    ) -> None:
        self._pa: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._path, self._schema = path, schema
        if dictionaries is None:
            dictionaries = schema.names
        integers = {field.name for field in schema if field.type == "int64"}
        with os_errors(path, "write"):
            self._file = parquet.ParquetWriter(
                path,
                schema,
                use_dictionary=list(dictionaries),
                column_encoding=dict.fromkeys(
                    integers.difference(dictionaries), INTEGER_ENCODING
                ),
            )
        self._batches: list[Any] = []
        self._size = 0

    def add(self, batch: Any) -> None:
        if self._batches and self._size + batch.nbytes > ROW_GROUP_BYTES:
            self._flush()
        self._batches.append(batch)
        self._size += batch.nbytes

    def _flush(self) -> None:
        table = self._pa.Table.from_batches(self._batches, self._schema)
        with os_errors(self._path, "write"):
            self._file.write_table(table, row_group_size=max(1, table.num_rows))
        self._batches, self._size = [], 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._batches:
                self._flush()
        finally:
            with os_errors(self._path, "write"):
                self._file.close()
