"""The results of candidates, with the names of ``cv_results_``, as CSV and Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.output import as_csv
from mpiapps.base.optional import import_optional, require
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    import numpy as np

    from mpiapps.model_selection.problem import CVProblem, Fit

FORMATS = (".csv", ".parquet")
MISSING = object()  # a parameter that a candidate does not have


def cv_results(
    problem: CVProblem, fits: list[Fit], extra: dict[str, list[Any]] | None = None
) -> dict[str, list[Any]]:
    """Return the columns of scikit-learn's ``cv_results_``, a value per candidate.

    `extra` are columns before them.

    A score of a fit that failed is NaN, as are the mean of its candidate, and
    parameters that only other candidates have are `MISSING`.
    """
    import numpy as np

    from mpiapps.model_selection.report import score_table
    from mpiapps.model_selection.scoring import metric_names

    shape = len(problem.candidates), problem.folds
    columns: dict[str, list[Any]] = dict(extra or {})
    times = {
        "fit_time": [fit.fit_seconds for fit in fits],
        "score_time": [fit.score_seconds for fit in fits],
    }
    for name, seconds in times.items():
        table = np.array(seconds).reshape(shape)
        columns[f"mean_{name}"] = table.mean(axis=1).tolist()
        columns[f"std_{name}"] = table.std(axis=1).tolist()
    for name in dict.fromkeys(key for each in problem.candidates for key in each):
        values = [each.get(name, MISSING) for each in problem.candidates]
        columns[f"param_{name}"] = values
    columns["params"] = [json.dumps(each, default=str) for each in problem.candidates]
    for name in metric_names(problem.scoring):
        for part in ("test", "train") if problem.train_scores else ("test",):
            table = score_table(problem, fits, name, train=part == "train")
            for fold in range(problem.folds):
                columns[f"split{fold}_{part}_{name}"] = table[:, fold].tolist()
            means = table.mean(axis=1)
            columns[f"mean_{part}_{name}"] = means.tolist()
            columns[f"std_{part}_{name}"] = table.std(axis=1).tolist()
            if part == "test":
                columns[f"rank_test_{name}"] = _ranks(means)
    return columns


def _ranks(means: np.ndarray) -> list[int]:
    """Return ranks from 1: equal means have the same one, and NaN the last."""
    import numpy as np

    filled = np.where(np.isnan(means), -np.inf, means)
    return [1 + int((filled > mean).sum()) for mean in filled]


class ResultsFile:
    """A file of the results, replaced when they are complete. Local.

    Raises
    ------
    FileAccessError
        If it cannot be written.
    LaunchError
        If PyArrow is needed and not installed.
    """

    def __init__(self, path: str) -> None:
        self._parquet = Path(path).suffix == ".parquet"
        if self._parquet:
            require("pyarrow", "files", f"--results {path}")
        self._file = AtomicFile(Path(path))
        self.discard = self._file.discard

    def commit(self, columns: dict[str, list[Any]]) -> None:
        """Write the columns."""
        self._file.commit(_parquet(columns) if self._parquet else _csv(columns))


def _csv(columns: dict[str, list[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    cells = [["" if v is MISSING else v for v in row] for row in rows]
    return as_csv(dict(zip(columns, row, strict=True)) for row in cells)


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    """Return a Parquet file; a parameter of values of several types is text."""
    arrow = import_optional("pyarrow", "files", "writing Parquet")
    parquet = import_optional("pyarrow.parquet", "files", "writing Parquet")
    arrays = {}
    for name, values in columns.items():
        present = [None if v is MISSING else v for v in values]
        try:
            arrays[name] = arrow.array(present)
        except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
            arrays[name] = arrow.array(
                [None if v is MISSING else str(v) for v in values]
            )
    stream = io.BytesIO()
    parquet.write_table(arrow.table(arrays), stream)
    return stream.getvalue()
