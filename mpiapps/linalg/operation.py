"""The interface of an operation of the matrix program; imports no NumPy and no MPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.layout import Layout

Shapes = list[tuple[int, int]]
USER_KIND = "user"  # the factorisation selected by --kind
FUNCTION_OPTIONS = ("k", "which")  # that the functions of some operations have


def square(n: int) -> Shapes:
    """Return the shape of one square matrix."""
    return [(n, n)]


def rectangle(m: int, n: int | None = None) -> Shapes:
    """Return the shape of one matrix, square by default."""
    return [(m, m if n is None else n)]


@dataclass(frozen=True)
class Operation:
    """An operation of the matrix program.

    Attributes
    ----------
    function : callable
        Takes a matrix per parameter, which is optional if it has a default; with
        `factors`, the last parameter is the factorisation of the first matrix.
        Collective. Returns a `DistMatrix`, values for the record by name, or a pair of
        both. Imports NumPy when it is called.
    shapes : callable
        Return the shapes of random matrices. Its parameters are the sizes of
        ``--random``; those with a default may be omitted.
    output : bool
        Whether a matrix is returned, for ``--output``.
    check : str
        Function that returns the error of the result in units of the rounding error,
        given the list of matrices and the result: ``module:function``, for ``--check``.
    factors : str
        Factorisation that may be resumed: a key of `mpiapps.linalg.solve.KINDS`,
        `USER_KIND`, or empty for none.
    product : callable, optional
        Return M, N, K of the product to plan from the sizes, for ``--plan``.
    plan : str
        Function that returns the plan of another operation: ``module:function``, which
        takes an `operation_plan.Problem`.
    vectors : bool
        Whether operands of shape (n,) are vectors, as in NumPy: the result is then
        written with one dimension, and the first operand is a row. Otherwise they are
        columns.
    layouts : callable, optional
        Return the layouts of random matrices from the number of ranks and the sizes.
    options : tuple of str
        Options of the program that are keyword arguments of `function`.
    reduction : bool
        Whether `function` has the keyword arguments `on_panel` and `partial` of a
        reduction that may be resumed, as `mpiapps.linalg.eigh.eigh`.
    device : bool
        Whether `function` computes where its operands are, for ``--device cuda``: in
        host memory or on devices.
    kernels : str
        Module of the kernels that take seconds to compile, by its function
        ``compile_kernels(compiling)``; `compiling` is that of the run context.
    """

    function: Callable[..., Any]
    shapes: Callable[..., Shapes] = rectangle
    output: bool = False
    check: str = ""
    factors: str = ""
    product: Callable[..., tuple[int, int, int]] | None = None
    plan: str = ""
    vectors: bool = False
    layouts: Callable[..., Sequence[Layout]] | None = None
    options: tuple[str, ...] = ()
    reduction: bool = False
    device: bool = False
    kernels: str = ""

    @property
    def operands(self) -> range:
        """Allowed numbers of matrices."""
        allowed = _arguments(self.function)
        fixed = bool(self.factors)
        return range(allowed.start - fixed, allowed.stop - fixed)

    @property
    def sizes(self) -> range:
        """Allowed numbers of sizes for ``--random``."""
        return _arguments(self.shapes)

    @property
    def supports(self) -> dict[str, bool]:
        """Whether it supports each of the options that not all operations have."""
        return {
            "output": self.output,
            "check": bool(self.check),
            "plan": self.product is not None or bool(self.plan),
            "kind": self.factors == USER_KIND,
            "device": self.device,
            **{name: name in self.options for name in FUNCTION_OPTIONS},
        }

    def compute(
        self, operands: Sequence[DistMatrix], factors: Any = None, **options: Any
    ) -> tuple[DistMatrix | None, dict[str, Any]]:
        """Return the resulting matrix or `None`, and values by name. Collective."""
        arguments = [*operands, factors] if self.factors else operands
        result = self.function(*arguments, **options)
        if isinstance(result, Mapping):
            return None, dict(result)
        if isinstance(result, tuple):
            matrix, values = result
            return matrix, dict(values)
        return result, {"rows": result.shape[0], "columns": result.shape[1]}


def _arguments(function: Callable[..., Any]) -> range:
    """Return the allowed numbers of positional arguments of a function."""
    every = signature(function).parameters.values()
    parameters = [p for p in every if p.kind == Parameter.POSITIONAL_OR_KEYWORD]
    required = sum(p.default is Parameter.empty for p in parameters)
    return range(required, len(parameters) + 1)


def operation(**attributes: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Return a decorator that makes a function an `Operation` with these attributes."""
    return lambda function: Operation(function, **attributes)
