"""Models of scaling: capacity, or time, as a function of the count of cores.

A strong study does the same work w = 1 on any count p, a weak one w = p, and one of
throughput runs p copies, so w = p. The time is ``T(p) = w(p) T1 / C(p)`` with the
capacity C: speed-up, scaled speed-up or relative throughput. `Model.time` has T1 as its
first parameter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

STRONG, WEAK, THROUGHPUT = KINDS = ("strong", "weak", "throughput")

# Exponents of Extra-P's search space for one parameter (A. Calotoiu et al., Using
# automated performance modeling to find scalability bugs in complex codes, SC13; the
# defaults of extrap 4.2), and of log2.
WHOLE_AND_BROKEN = (
    "0 1/4 1/3 1/2 2/3 3/4 4/5 1 5/4 4/3 3/2 5/3 7/4 2 9/4 7/3 5/2 8/3 11/4 3"
)
EXPONENTS = tuple(map(Fraction, WHOLE_AND_BROKEN.split()))
LOG_EXPONENTS = (0, 1, 2)
# Extra-P allows negative exponents on request; time that shrinks needs them.
NEGATIVE_EXPONENTS = tuple(-x for x in EXPONENTS if 0 < x <= 1)


@dataclass(frozen=True)
class Model:
    """One form of the time as a function of the count.

    Attributes
    ----------
    name : str
    parameters : tuple of str
        Names; the first is a time in s.
    time : callable
        ``time(p, w, theta)``: p of shape (n,), the work w of shape (n,), theta of shape
        (k,) -> seconds of shape (n,).
    start : callable
        ``start(p, w, t)``: first guess of shape (k,), from measured times.
    lower, upper : tuple of float
        Bounds of the parameters.
    formula : str
    source : str
    choices : int
        Parameters that were chosen from a list, beside those that are fitted.
    """

    name: str
    parameters: tuple[str, ...]
    time: Callable[[Array, Array, Array], Array]
    start: Callable[[Array, Array, Array], Array]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    formula: str
    source: str
    choices: int = 0


def amdahl_capacity(p: Array, serial: float) -> Array:
    """Return the speed-up on p cores with a serial fraction: Amdahl 1967."""
    return p / (1 + serial * (p - 1))


def gustafson_capacity(p: Array, serial: float) -> Array:
    """Return the scaled speed-up ``p + (1 - p) serial``: Gustafson 1988."""
    return p + (1 - p) * serial


def usl_capacity(p: Array, contention: float, coherency: float) -> Array:
    """Return the relative capacity of the Universal Scalability Law: Gunther 2007."""
    return p / (1 + contention * (p - 1) + coherency * p * (p - 1))


def usl_peak(contention: float, coherency: float) -> float:
    """Return the count of the largest capacity; infinite without coherency cost."""
    if coherency <= 0:
        return float("inf")
    return float(np.sqrt(max(0.0, 1 - contention) / coherency))


def _start(extra: int) -> Callable[[Array, Array, Array], Array]:
    """Return a guess from the first point: ideal capacity, small losses."""

    def start(p: Array, w: Array, t: Array) -> Array:
        first = int(np.argmin(p))
        losses = [0.05, 1e-4][:extra]
        return np.array([t[first] * p[first] / w[first], *losses])

    return start


AMDAHL = Model(
    "Amdahl",
    ("time on one core", "serial fraction"),
    lambda p, w, x: w * x[0] / amdahl_capacity(p, x[1]),
    _start(1),
    (0, 0),
    (np.inf, 1),
    "C = p / (1 + s (p - 1))",
    "G. M. Amdahl, AFIPS 1967, doi:10.1145/1465482.1465560",
)
GUSTAFSON = Model(
    "Gustafson",
    ("time on one core", "serial fraction"),
    lambda p, w, x: w * x[0] / gustafson_capacity(p, x[1]),
    _start(1),
    (0, 0),
    (np.inf, 1 - 1e-9),
    "C = p + (1 - p) s",
    "J. L. Gustafson, CACM 31(5), 1988, doi:10.1145/42411.42415",
)
USL = Model(
    "USL",
    ("time on one core", "contention", "coherency"),
    lambda p, w, x: w * x[0] / usl_capacity(p, x[1], x[2]),
    _start(2),
    (0, 0, 0),
    (np.inf, 1, np.inf),
    "C = p / (1 + s (p - 1) + k p (p - 1))",
    "N. J. Gunther, Guerrilla Capacity Planning, Springer 2007, chapter 4",
)


def term(p: Array, i: Fraction, j: int) -> Array:
    """Return Extra-P's term ``p^i log2(p)^j``, of shape (n,)."""
    return np.asarray(p ** float(i) * np.log2(p) ** j, dtype=float)


def extrap_model(i: Fraction, j: int) -> Model:
    """Return the model ``c0 + c1 p^i log2(p)^j`` of the time, with c0 and c1 >= 0."""

    def time(p: Array, _w: Array, x: Array) -> Array:
        return np.asarray(x[0] + x[1] * term(p, i, j))

    def start(p: Array, _w: Array, t: Array) -> Array:
        basis = np.column_stack([np.ones_like(p), term(p, i, j)]) / t[:, None]
        theta, *_ = np.linalg.lstsq(basis, np.ones_like(t), rcond=None)
        return np.asarray(np.maximum(theta, 1e-12))

    power = f"p^{i}" if i else ""
    log = {0: "", 1: "log2(p)", 2: "log2(p)^2"}[j]
    return Model(
        "Extra-P",
        ("constant", "coefficient"),
        time,
        start,
        (0, 0),
        (np.inf, np.inf),
        f"T = c0 + c1 {' '.join(filter(None, [power, log]))}",
        "A. Calotoiu et al., SC13, doi:10.1145/2503210.2503277",
        choices=2,
    )


def extrap_terms(kind: str) -> Iterator[tuple[Fraction, int]]:
    """Yield the exponents (i, j) to try; negative i for strong studies only."""
    powers = EXPONENTS + (NEGATIVE_EXPONENTS if kind == STRONG else ())
    for i, j in itertools.product(powers, LOG_EXPONENTS):
        constant = i == 0 and j == 0
        if not constant and not (i < 0 and j):
            yield i, j


# The laws for each kind of study; Extra-P's form is added for five counts or more.
LAWS = {STRONG: (AMDAHL, USL), WEAK: (GUSTAFSON, USL), THROUGHPUT: (AMDAHL, USL)}
