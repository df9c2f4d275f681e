"""The operations of the matrix program; each imports NumPy and MPI when it runs.

To add one, write a function here, and decorate it. Another package adds one as an entry
point of the group ``mpiapps.matrix_operations``: a function decorated likewise.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from mpiapps.base.registry import registry
from mpiapps.linalg.operation import USER_KIND, Operation, operation, square

if TYPE_CHECKING:
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.factor_solvers import Factors
    from mpiapps.linalg.layout import Layout

PLANS = "mpiapps.linalg.factor_plans:"
CHECKS = "mpiapps.linalg.result_checks:"
ALGORITHMS = ("numpy_api", "svds")  # import all others
Values = dict[str, Any]


def load_algorithms() -> None:
    """Import what the operations import when they run, so that no timer counts it."""
    for name in ALGORITHMS:
        importlib.import_module(f"mpiapps.linalg.{name}")


def _layouts_of_product(ranks: int, m: int, n: int, k: int) -> tuple[Layout, ...]:
    from mpiapps.linalg.product_choice import Product, choose_product

    return choose_product(Product(m, n, k, ranks)).layouts[:2]


@operation(
    shapes=lambda m, n, k: [(m, k), (k, n)],
    layouts=_layouts_of_product,
    product=lambda m, n, k: (m, n, k),
    output=True,
    vectors=True,
    check=CHECKS + "product_error",
    device=True,
)
def multiply(a: DistMatrix, b: DistMatrix) -> DistMatrix:
    """Return ``A B``."""
    return a @ b


@operation(
    product=lambda m, n=None: (m, m, m) if n is None else (n, n, m),
    output=True,
    check=CHECKS + "gram_error",
    device=True,
)
def gram(a: DistMatrix) -> DistMatrix:
    """Return ``A.H A``."""
    from mpiapps.linalg.multiply import gram

    return gram(a)


@operation(
    shapes=square,
    plan="mpiapps.linalg.cholesky_plan:plan_cholesky",
    output=True,
    check=CHECKS + "factor_error",
    device=True,
    factors="positive",
)
def cholesky(_a: DistMatrix, factors: DistMatrix) -> DistMatrix:
    """Return L with ``A = L L.H``."""
    return factors


@operation(
    shapes=lambda n, r=1: [(n, n), (n, r)],
    output=True,
    vectors=True,
    check=CHECKS + "solution_error",
    device=True,
    factors=USER_KIND,
)
def solve(a: DistMatrix, b: DistMatrix, factors: Factors) -> DistMatrix:
    """Return X with ``A X = B``."""
    from mpiapps.linalg.solve import solve

    return solve(a, b, factors=factors)


@operation(
    shapes=square, output=True, check=CHECKS + "inverse_error", factors=USER_KIND
)
def inverse(a: DistMatrix, factors: Factors) -> DistMatrix:
    """Return the inverse of A."""
    from mpiapps.linalg.solve import inverse

    return inverse(a, factors=factors)


@operation(
    shapes=square,
    plan=PLANS + "plan_eigh",
    output=True,
    check=CHECKS + "eigenvector_error",
    reduction=True,
)
def eigh(
    a: DistMatrix, b: DistMatrix | None = None, **panels: Any
) -> tuple[DistMatrix, Values]:
    """Return V and w with ``A V = B V diag(w)``, B = 1 by default. Of lower triangles.

    B is positive definite, and ``V.H B V = 1``.
    """
    from mpiapps.linalg.eigh import eigh

    values, vectors = eigh(a, b, **panels)
    return vectors, {"eigenvalues": values.tolist()}


@operation(
    shapes=square,
    output=True,
    check=CHECKS + "eigenvector_error",
    options=("k", "which"),
    plan="mpiapps.linalg.krylov_plans:plan_eigsh",
)
def eigsh(a: DistMatrix, *, k: int = 6, which: str = "LM") -> tuple[DistMatrix, Values]:
    """Return V and w with ``A V = V diag(w)`` for k eigenvalues. Of lower triangles."""
    from mpiapps.linalg.eigsh import eigsh
    from mpiapps.linalg.solve import hermitian

    values, vectors = eigsh(hermitian(a), k, which=which)
    return vectors, {"eigenvalues": values.tolist()}


@operation(
    shapes=lambda m, n, r=1: [(m, n), (m, r)],
    plan=PLANS + "plan_lstsq",
    output=True,
    vectors=True,
    check=CHECKS + "least_squares_error",
)
def lstsq(a: DistMatrix, b: DistMatrix) -> tuple[DistMatrix, Values]:
    """Return the X of smallest norm that minimises ``|B - A X|``."""
    from mpiapps.linalg.lstsq import lstsq

    x, residuals, rank, sigma = lstsq(a, b)
    return x, {
        "rank": rank,
        "residuals": residuals.tolist(),
        "singular_values": sigma.tolist(),
    }


@operation(
    plan=PLANS + "plan_svd",
    output=True,
    check=CHECKS + "singular_value_error",
    reduction=True,
)
def svd(a: DistMatrix, **panels: Any) -> tuple[DistMatrix, Values]:
    """Return the singular values."""
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.svd import singular_values

    sigma = singular_values(a, **panels)
    column = DistMatrix.from_function(
        a.comm, (sigma.size, 1), lambda i, _: sigma[i], sigma.dtype
    )
    largest, smallest = (float(sigma[0]), float(sigma[-1])) if sigma.size else (0, 0)
    return column, {
        "largest": largest,
        "smallest": smallest,
        "singular_values": sigma.tolist(),
    }


@operation(
    plan="mpiapps.linalg.krylov_plans:plan_svds",
    output=True,
    check=CHECKS + "singular_vector_error",
    options=("k",),
)
def svds(a: DistMatrix, *, k: int = 6) -> tuple[DistMatrix, Values]:
    """Return V and s with ``A V = U diag(s)`` for the k largest singular values."""
    from mpiapps.linalg.svds import svds

    _, sigma, vh = svds(a, k)
    return vh.H, {"singular_values": sigma.tolist()}


@operation(kernels="mpiapps.kernels.reproducible_sums")
def norm(a: DistMatrix) -> Values:
    """Return all norms."""
    from mpiapps.linalg.reductions import NORMS, norm

    names = {"fro": "frobenius", "1": "one", "inf": "infinity", "max": "largest"}
    return {names[kind]: norm(a, kind) for kind in NORMS}


@operation(kernels="mpiapps.kernels.reproducible_sums")
def moments(a: DistMatrix) -> Values:
    """Return means and standard deviations of A and of its columns."""
    from mpiapps.linalg.moments import mean, std

    whole, columns = mean(a), mean(a, 0)
    values = {
        "mean": float(whole.real),
        "std": float(std(a)),
        "column_means": columns.real.tolist(),
        "column_stds": std(a, 0).tolist(),
    }
    if a.dtype.kind == "c":
        values |= {
            "mean_imaginary": float(whole.imag),
            "column_means_imaginary": columns.imag.tolist(),
        }
    return values


@operation(output=True, check=CHECKS + "transpose_error")
def transpose(a: DistMatrix) -> DistMatrix:
    """Return ``A.T``."""
    return a.T


# Names -> `module:operation`, with those of other packages.
OPERATIONS = registry(
    "matrix_operations",
    {
        name: f"{__name__}:{name}"
        for name, value in list(globals().items())
        if isinstance(value, Operation)
    },
)


def find_operation(name: str) -> Operation:
    """Return the operation of a name; import its module."""
    found: Operation = pkgutil.resolve_name(OPERATIONS[name])
    return found
