"""The operations by name: a row tells what it takes, computes, and is checked by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.moments import mean, std
from mpiapps.linalg.multiply import gram
from mpiapps.linalg.reduce import NORMS, norm
from mpiapps.linalg.solve import Factors, inverse, solve
from mpiapps.linalg.tall import singular_values

Values = dict[str, Any]
Given = list[DistMatrix]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    compute : callable
        Collective: of the operands, and of the first one's factors if it wants them,
        the result: a matrix, or values by name.
    check : str
        Which of `mpiapps.linalg.check.CHECKS` it has; may be empty.
    factors : str
        Which factors of the first operand it works with: those of one of `solve.KINDS`,
        or as the user says; none if empty.
    """

    compute: Callable[[Given, Any], DistMatrix | Values]
    check: str = ""
    factors: str = ""


ASKED = "asked"  # the factors that the user's --kind names


def _solve(given: Given, factors: Factors) -> DistMatrix:
    return solve(given[0], given[1], factors=factors)


def _svd(given: Given, _: None) -> Values:
    found = singular_values(given[0])
    largest, smallest = (float(found[0]), float(found[-1])) if found.size else (0, 0)
    return {
        "largest": largest,
        "smallest": smallest,
        "singular_values": found.tolist(),
    }


def _moments(given: Given, _: None) -> Values:
    return {
        "mean": float(mean(given[0]).real),
        "std": float(std(given[0])),
        "column_means": mean(given[0], 0).real.tolist(),
        "column_stds": std(given[0], 0).tolist(),
    }


def _norm(given: Given, _: None) -> Values:
    names = {"fro": "frobenius", "1": "one", "inf": "infinity", "max": "largest"}
    return {names[kind]: norm(given[0], kind) for kind in NORMS}


OPERATIONS = {
    "multiply": Operation(lambda given, _: given[0] @ given[1], "product"),
    "gram": Operation(lambda given, _: gram(given[0]), "gram"),
    "cholesky": Operation(lambda _, factors: factors, "factor", "positive"),
    "solve": Operation(_solve, "solution", ASKED),
    "inverse": Operation(
        lambda given, factors: inverse(given[0], factors=factors), "inverse", ASKED
    ),
    "svd": Operation(_svd),
    "norm": Operation(_norm),
    "moments": Operation(_moments),
    "transpose": Operation(lambda given, _: given[0].T),
}
