"""The files that a search writes. Root only."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.app import Result
from mpiapps.app.output import as_csv
from mpiapps.app.picture import require_pictures
from mpiapps.base.errors import TasksFailed
from mpiapps.model_selection.curves import draw
from mpiapps.model_selection.report import rows, summary
from mpiapps.model_selection.results import ResultsFile, cv_results
from mpiapps.model_selection.saved_model import ModelFile
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.model_selection.nested import Nested
    from mpiapps.model_selection.rounds import Found


class Outputs:
    """The files of a search, opened before its fits; no path: no such file.

    Parameters
    ----------
    stack : ExitStack
        Removes what is not complete when it is closed.
    fits : str
        CSV, a row per fit.
    results : str
        CSV or Parquet, a row per candidate.
    model : str
        The model of the best candidate.
    plot : str
        The picture of a curve.

    Raises
    ------
    FileAccessError
        If a file cannot be written.
    """

    def __init__(
        self,
        stack: ExitStack,
        fits: str = "",
        results: str = "",
        model: str = "",
        plot: str = "",
    ) -> None:
        self._fits = self._results = self._model = self._plot = None
        if fits:
            self._fits = AtomicFile(Path(fits))
            stack.callback(self._fits.discard)
        if results:
            self._results = ResultsFile(results)
            stack.callback(self._results.discard)
        if model:
            self._model = ModelFile(model)
            stack.callback(self._model.discard)
        if plot:
            require_pictures()
            self._plot = AtomicFile(Path(plot))
            stack.callback(self._plot.discard)

    def write_nested(self, nested: Nested) -> Result:
        """Write the files of a nested cross-validation; return its result."""
        if self._fits is not None:
            self._fits.commit(as_csv(nested.rows()))
        if self._results is not None:
            self._results.commit(nested.columns())
        return nested.summary()

    def write(self, found: Found, refit: str = "") -> Result:
        """Write the files, the model last; return the result of the search.

        Fits that failed, or a model that cannot be fitted or saved, set the exit code
        3, with a note; an old model is kept then.
        """
        problem, fits = found.problem, found.fits
        result = summary(problem, fits, refit, found.last)
        if self._fits is not None:
            self._fits.commit(as_csv(rows(problem, fits)))
        if self._results is not None:
            self._results.commit(cv_results(problem, fits, found.columns))
        if self._plot is not None:
            suffix = Path(self._plot.path).suffix
            self._plot.commit(draw(problem, fits, refit, suffix))
        if self._model is None:
            return result
        if "best" not in result.values:
            return _with_note(result, "no model is saved, since all fits have failed")
        best = result.values["best"]
        scores = {k: v for k, v in result.values.items() if k.startswith("mean_")}
        if error := self._model.save(problem, best, scores):
            failed = f"candidate {best} cannot be fitted to all samples and saved"
            failed = f"{failed} in {self._model.path}: {error}"
            return replace(_with_note(result, failed), exit_code=TasksFailed.exit_code)
        return _with_note(
            result, f"{self._model.path} has the model of candidate {best}"
        )


def _with_note(result: Result, note: str) -> Result:
    return replace(result, notes=[*result.notes, note])
