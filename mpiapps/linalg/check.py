"""Whether a result is right, at a small part of what it cost: its error in roundings.

Each check returns an error divided by the size of what was computed and by the rounding
error of its dtype: about 1 for a result that is as good as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.reduce import matvec, norm

TRIES = 3  # random vectors: each misses a wrong element with probability 1/2


def product_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``C = A B``, by ``A (B x) - C x`` for random signs x.

    Collective. Freivalds: Probabilistic machines can use less running time, 1977.
    """
    a, b = given
    scale = norm(a) * norm(b)
    return _worst(lambda x: matvec(a, matvec(b, x)) - matvec(made, x), made, scale)


def gram_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``C = A.H A``; as `product_error`. Collective."""
    return product_error([given[0].H, given[0]], made)


def factor_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``A = L L.H``, by random signs. Collective."""
    a, turned = given[0], made.H
    return _worst(
        lambda x: matvec(made, matvec(turned, x)) - matvec(a, x), made, norm(a)
    )


def inverse_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``A X = 1``, by random signs. Collective."""
    a = given[0]
    return _worst(lambda x: matvec(a, matvec(made, x)) - x, made, norm(a) * norm(made))


def solution_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return ``|A X - B| / (|A| |X| + |B|)``, Frobenius norms. Collective.

    The normwise backward error (Higham: Accuracy and Stability of Numerical Algorithms,
    theorem 7.1).
    """
    a, b = given
    rest = multiply(a, made, b, alpha=-1, beta=1)
    return _relative(norm(rest), norm(a) * norm(made) + norm(b), made)


CHECKS: Mapping[str, Callable[[Sequence[DistMatrix], DistMatrix], float]] = {
    "product": product_error,
    "gram": gram_error,
    "factor": factor_error,
    "inverse": inverse_error,
    "solution": solution_error,
}


def _worst(away: Callable[[Array], Array], made: DistMatrix, scale: float) -> float:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(TRIES):
        x = rng.choice(np.array([-1, 1], made.dtype), made.shape[1])
        errors.append(float(np.linalg.norm(away(x))) / max(1.0, x.size) ** 0.5)
    return _relative(float(np.max(errors)), scale, made)


def _relative(error: float, scale: float, made: DistMatrix) -> float:
    if error == 0:
        return 0.0
    return error / (scale * float(np.finfo(made.dtype).eps))
