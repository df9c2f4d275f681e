"""The table of operations: computation, check and factorisation by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.moments import mean, std
from mpiapps.linalg.multiply import gram
from mpiapps.linalg.reductions import NORMS, norm
from mpiapps.linalg.solve import Factors, inverse, solve
from mpiapps.linalg.tsqr import singular_values

Values = dict[str, Any]
Inputs = list[DistMatrix]
Computed = tuple[DistMatrix | None, Values]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    compute : callable
        Return the resulting matrix or `None`, and values by name, from the operands
        and the factors of the first one. Collective.
    check : str
        Key of `mpiapps.linalg.residual_check.CHECKS`, or empty.
    factors : str
        Factorisation of the first operand: a key of `solve.KINDS`, `USER_KIND`, or
        empty for none.
    """

    compute: Callable[[Inputs, Any], Computed]
    check: str = ""
    factors: str = ""


USER_KIND = "user"  # the factorisation selected by --kind


def _matrix(result: DistMatrix) -> Computed:
    return result, {"rows": result.shape[0], "columns": result.shape[1]}


def _solve(inputs: Inputs, factors: Factors) -> Computed:
    return _matrix(solve(inputs[0], inputs[1], factors=factors))


def _inverse(inputs: Inputs, factors: Factors) -> Computed:
    return _matrix(inverse(inputs[0], factors=factors))


def _svd(inputs: Inputs, _: None) -> Computed:
    comm, sigma = inputs[0].comm, singular_values(inputs[0])
    column = DistMatrix.from_function(
        comm, (sigma.size, 1), lambda i, _: sigma[i], sigma.dtype
    )
    largest, smallest = (float(sigma[0]), float(sigma[-1])) if sigma.size else (0, 0)
    return column, {
        "largest": largest,
        "smallest": smallest,
        "singular_values": sigma.tolist(),
    }


def _moments(inputs: Inputs, _: None) -> Computed:
    whole, columns = mean(inputs[0]), mean(inputs[0], 0)
    values = {
        "mean": float(whole.real),
        "std": float(std(inputs[0])),
        "column_means": columns.real.tolist(),
        "column_stds": std(inputs[0], 0).tolist(),
    }
    if np.iscomplexobj(whole):
        values |= {
            "mean_imaginary": float(whole.imag),
            "column_means_imaginary": columns.imag.tolist(),
        }
    return None, values


def _norm(inputs: Inputs, _: None) -> Computed:
    names = {"fro": "frobenius", "1": "one", "inf": "infinity", "max": "largest"}
    return None, {names[kind]: norm(inputs[0], kind) for kind in NORMS}


OPERATIONS = {
    "multiply": Operation(lambda inputs, _: _matrix(inputs[0] @ inputs[1]), "product"),
    "gram": Operation(lambda inputs, _: _matrix(gram(inputs[0])), "gram"),
    "cholesky": Operation(lambda _, factors: _matrix(factors), "factor", "positive"),
    "solve": Operation(_solve, "solution", USER_KIND),
    "inverse": Operation(_inverse, "inverse", USER_KIND),
    "svd": Operation(_svd),
    "norm": Operation(_norm),
    "moments": Operation(_moments),
    "transpose": Operation(lambda inputs, _: _matrix(inputs[0].T), "transpose"),
}
