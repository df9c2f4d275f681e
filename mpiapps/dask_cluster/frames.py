"""Data frames of many small files: one collection, several files in a partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import InputError, os_errors
from mpiapps.base.file_names import data_files

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

PARTITION_BYTES = 64 * 2**20  # of files; a few hundred MB of memory


def from_files(
    paths: str | Sequence[str],
    partition_bytes: int = PARTITION_BYTES,
    **options: Any,
) -> dd.DataFrame:
    """Return a Dask data frame of Parquet or CSV files on a shared file system.

    Reads the first file's columns. With a partition per file, as in
    `dask.dataframe.read_csv`, thousands of small files are thousands of tasks that each
    cost more than the read.

    Parameters
    ----------
    paths : str or sequence of str
        As for `mpiapps.base.file_names.data_files`.
    partition_bytes : int
        Size of the files in a partition; a larger file has one of its own.
    **options
        Of `pandas.read_parquet` or `pandas.read_csv`, such as ``columns`` or ``dtype``.

    Raises
    ------
    InputError
        If there are no files, or not all are of one kind: Parquet, or CSV.
    FileAccessError
        If they cannot be read.
    """
    import dask.dataframe as dd

    names = [paths] if isinstance(paths, str) else list(paths)
    files = [Path(name).resolve() for name in data_files(names)]
    if len({file.suffix == ".parquet" for file in files}) != 1:
        raise InputError(
            f"Parquet and other files together in {', '.join(names)}; expected .parquet"
            " or CSV"
        )
    groups = list(_grouped(files, partition_bytes))
    meta = _read([str(files[0])], None, options).iloc[:0]
    frame: dd.DataFrame = dd.from_map(
        _read, groups, meta=meta, dtypes=meta.dtypes, options=options
    )
    return frame


def _grouped(files: Sequence[Path], partition_bytes: int) -> Iterator[list[str]]:
    """Yield consecutive files of at most `partition_bytes` together, or one file."""
    group, size = list[str](), 0
    for file in files:
        with os_errors(file, "read"):
            nbytes = file.stat().st_size
        if group and size + nbytes > partition_bytes:
            yield group
            group, size = [], 0
        group.append(str(file))
        size += nbytes
    yield group


def _read(
    files: Sequence[str], dtypes: pd.Series | None, options: dict[str, Any]
) -> pd.DataFrame:
    """Return the rows of files; in the types of the first file. On a worker."""
    import pandas as pd

    parquet = files[0].endswith(".parquet")
    read = pd.read_parquet if parquet else pd.read_csv
    tables = []
    for file in files:
        with os_errors(file, "read"):
            tables.append(read(file, **options))
    if dtypes is None:
        return tables[0]
    columns = list(dtypes.index)
    for file, table in zip(files, tables, strict=True):
        if missing := set(columns) - set(table.columns):
            raise InputError(f"{file} has no column {', '.join(sorted(missing))}")
    rows = pd.concat([table[columns] for table in tables], ignore_index=True)
    return rows.astype(dtypes.to_dict())
