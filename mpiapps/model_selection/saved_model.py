"""The model of the best candidate: fitted to all samples, saved with its versions.

The file has the estimator itself: `joblib.load`, or `skops.io.load` if its name ends in
``.skops``. Beside it, ``FILE.json`` has what has to be known before a pickle is opened:
versions, parameters, score, and the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mpiapps import __version__
from mpiapps.base.errors import InputError, os_errors
from mpiapps.base.optional import import_optional, require
from mpiapps.comm.pickling import attempt
from mpiapps.comm.pickling import reason as error_text
from mpiapps.model_selection.problem import CVProblem
from mpiapps.storage.atomic_file import AtomicFile

PACKAGES = ("scikit-learn", "numpy", "scipy", "joblib")
SKOPS = ".skops"


class VersionWarning(UserWarning):
    """A model was saved with other versions than those that load it."""


class ModelFile:
    """The files of a model, which are replaced only if the model is complete. Local.

    Made before the fits, so that a target that cannot be written ends the run while
    that costs nothing.

    Raises
    ------
    FileAccessError
        If a file cannot be written.
    LaunchError
        If skops is needed and not installed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if path.endswith(SKOPS):
            require("skops", "skops", f"--save-model {path}")
        with ExitStack() as stack:
            self._model = AtomicFile(Path(path))
            stack.callback(self._model.discard)
            self._description = AtomicFile(_beside(path))
            stack.pop_all()

    def save(
        self, problem: CVProblem, candidate: int, scores: Mapping[str, float]
    ) -> str:
        """Fit a candidate to all samples and save it; return the error, or nothing."""
        done, content = attempt(_fitted, problem, candidate, self.path)
        if not done:
            return error_text(content)
        description = {
            "estimator": problem.estimator,
            "parameters": problem.candidates[candidate],
            "seed": problem.seed,
            **scores,
            "samples": problem.x.shape[0],
            "features": problem.x.shape[1],
            "sha256": hashlib.sha256(content).hexdigest(),
            "versions": versions(),
        }
        self._model.commit(content)
        text = json.dumps(description, indent=1, default=str)
        self._description.commit(f"{text}\n")
        return ""

    def discard(self) -> None:
        """Remove what is not complete."""
        self._model.discard()
        self._description.discard()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a model depends on."""
    packages = {name: version(name) for name in PACKAGES}
    own = {"python": platform.python_version(), "mpiapps": __version__}
    return own | packages


def load_model(path: str, trusted: Sequence[str] = ()) -> Any:
    """Return the model of a file that ``--save-model`` has written. Local.

    Parameters
    ----------
    path : str
        Only of a source that you trust: loading a pickle runs its code.
    trusted : sequence of str
        Types that a .skops file may have besides those that skops trusts, as for
        `skops.io.load`, such as ``sklearn.tree._tree.Tree``.

    Returns
    -------
    estimator

    Raises
    ------
    FileAccessError
        If the file, or ``FILE.json`` beside it, cannot be read.
    InputError
        If one is not that of the other.

    Warns
    -----
    VersionWarning
        If a version differs: scikit-learn does not promise to load models of others.
    """
    with os_errors(path, "read"):
        content = Path(path).read_bytes()
        text = _beside(path).read_bytes()
    try:
        description = json.loads(text)
        digest, saved = description["sha256"], description["versions"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{_beside(path)} does not describe a model ({error!r}): save it again by"
            " --save-model"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"{path} is not the model that {_beside(path)} describes: its SHA-256"
            " differs; restore both, or save the model again"
        )
    own = versions()
    others = [f"{k} {saved[k]} (here {own[k]})" for k in own if saved.get(k) != own[k]]
    if others:
        warnings.warn(
            f"{path} was saved with {', '.join(others)}", VersionWarning, stacklevel=2
        )
    if path.endswith(SKOPS):
        return import_optional("skops.io", "skops", path).loads(content, list(trusted))
    import joblib

    return joblib.load(io.BytesIO(content))


def _beside(path: str) -> Path:
    return Path(f"{path}.json")


def _fitted(problem: CVProblem, candidate: int, path: str) -> bytes:
    """Return the bytes of the fitted model; raise the errors of the estimator."""
    model = problem.refit(candidate)
    if path.endswith(SKOPS):
        content: bytes = import_optional("skops.io", "skops", path).dumps(model)
        return content
    import joblib

    stream = io.BytesIO()
    joblib.dump(model, stream)
    return stream.getvalue()
