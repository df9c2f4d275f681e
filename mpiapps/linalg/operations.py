"""The operations by name: a row tells what it takes, computes, and is checked by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.moments import mean, std
from mpiapps.linalg.multiply import gram
from mpiapps.linalg.reduce import NORMS, norm
from mpiapps.linalg.solve import Factors, inverse, solve
from mpiapps.linalg.tall import singular_values

Values = dict[str, Any]
Given = list[DistMatrix]
Computed = tuple[DistMatrix | None, Values]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    compute : callable
        Collective: from the operands, and the factors of the first one if it wants
        them, the resulting matrix or `None`, and values by name.
    check : str
        Which of `mpiapps.linalg.check.CHECKS` it has; may be empty.
    factors : str
        Which factors of the first operand it works with: those of one of `solve.KINDS`,
        or as the user says; none if empty.
    """

    compute: Callable[[Given, Any], Computed]
    check: str = ""
    factors: str = ""


ASKED = "asked"  # the factors that the user's --kind names


def _matrix(made: DistMatrix) -> Computed:
    return made, {"rows": made.shape[0], "columns": made.shape[1]}


def _solve(given: Given, factors: Factors) -> Computed:
    return _matrix(solve(given[0], given[1], factors=factors))


def _inverse(given: Given, factors: Factors) -> Computed:
    return _matrix(inverse(given[0], factors=factors))


def _svd(given: Given, _: None) -> Computed:
    comm, found = given[0].comm, singular_values(given[0])
    column = DistMatrix.from_function(
        comm, (found.size, 1), lambda i, _: found[i], found.dtype
    )
    largest, smallest = (float(found[0]), float(found[-1])) if found.size else (0, 0)
    return column, {
        "largest": largest,
        "smallest": smallest,
        "singular_values": found.tolist(),
    }


def _moments(given: Given, _: None) -> Computed:
    whole, columns = mean(given[0]), mean(given[0], 0)
    values = {
        "mean": float(whole.real),
        "std": float(std(given[0])),
        "column_means": columns.real.tolist(),
        "column_stds": std(given[0], 0).tolist(),
    }
    if np.iscomplexobj(whole):
        values |= {
            "mean_imaginary": float(whole.imag),
            "column_means_imaginary": columns.imag.tolist(),
        }
    return None, values


def _norm(given: Given, _: None) -> Computed:
    names = {"fro": "frobenius", "1": "one", "inf": "infinity", "max": "largest"}
    return None, {names[kind]: norm(given[0], kind) for kind in NORMS}


OPERATIONS = {
    "multiply": Operation(lambda given, _: _matrix(given[0] @ given[1]), "product"),
    "gram": Operation(lambda given, _: _matrix(gram(given[0])), "gram"),
    "cholesky": Operation(lambda _, factors: _matrix(factors), "factor", "positive"),
    "solve": Operation(_solve, "solution", ASKED),
    "inverse": Operation(_inverse, "inverse", ASKED),
    "svd": Operation(_svd),
    "norm": Operation(_norm),
    "moments": Operation(_moments),
    "transpose": Operation(lambda given, _: _matrix(given[0].T), "transpose"),
}
