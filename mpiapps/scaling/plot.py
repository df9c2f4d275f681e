"""Speed-up and efficiency as a picture, by matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.app.picture import new_figure, picture
from mpiapps.scaling.curves import Curve, fitted
from mpiapps.scaling.report import CAPACITY
from mpiapps.scaling.results import Results

BLUE, ORANGE, GREY = "#4c78a8", "#e07b39", "#888888"
MAX_TICKS = 8


def draw(results: Results, suffix: str) -> bytes:
    """Return the picture of a study.

    Parameters
    ----------
    results : Results
    suffix : str
        One of `mpiapps.app.picture.PICTURES`.

    Raises
    ------
    LaunchError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    curve = fitted(results)
    first = results.line[0].case.count
    _capacity(left, results, curve, first)
    _efficiency(right, results, curve, first)
    for axes in (left, right):
        _count_axis(axes, results)
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, fontsize="small")
    figure.suptitle(
        f"{results.study.kind.capitalize()} scaling of {results.study.program}"
    )
    return picture(figure, suffix)


def _capacity(axes: Any, results: Results, curve: Curve | None, first: int) -> None:
    counts = [row.case.count for row in results.line]
    last = max([*counts, *results.predictions])
    axes.plot(
        [first, last], [1, last / first], "--", color=GREY, linewidth=1, label="ideal"
    )
    if curve is not None:
        _model(axes, results, curve, curve.capacity, curve.low, curve.high)
    _points(axes, counts, [row.capacity for row in results.line])
    lowest = min(row.capacity.low for row in results.line)
    axes.set(yscale="log", ylabel=CAPACITY[results.study.kind])
    axes.set_ylim(lowest / 1.5, max(1.5 * last / first, 2 * lowest))
    _plain_numbers(axes.yaxis)


def _efficiency(axes: Any, results: Results, curve: Curve | None, first: int) -> None:
    counts = [row.case.count for row in results.line]
    axes.axhline(1, linestyle="--", color=GREY, linewidth=1, label="ideal")
    if curve is not None:
        scale = first / curve.count
        parts = (curve.capacity, curve.low, curve.high)
        _model(axes, results, curve, *(part * scale for part in parts))
    _points(axes, counts, [row.efficiency for row in results.line])
    verdict = results.verdict
    if verdict and verdict.rule.quantity == "efficiency":
        least = verdict.rule.threshold(verdict.largest)
        axes.axhline(
            least,
            color=ORANGE,
            linewidth=1,
            linestyle=":",
            label=f"rule {verdict.rule.name}",
        )
    highest = max(row.efficiency.high for row in results.line)
    axes.set(ylabel="efficiency", ylim=(0, max(1.1, 1.05 * highest)))


def _model(axes: Any, results: Results, curve: Curve, *values: Any) -> None:
    middle, low, high = values
    best = results.choice.best
    name = best.model.name if best else ""
    axes.fill_between(curve.count, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(
        curve.count, middle, color=BLUE, linewidth=1.4, label=f"{name}, 95 % band"
    )


def _points(axes: Any, counts: list[int], estimates: Any) -> None:
    values, low, high = np.array(estimates).T
    errors = np.maximum([values - low, high - values], 0)
    axes.errorbar(
        counts, values, errors, fmt="o", color=ORANGE, markersize=5, capsize=3,
        label="measured, 95 % interval",
    )  # fmt: skip


def _count_axis(axes: Any, results: Results) -> None:
    """Label the measured and predicted counts, or some of many."""
    counts = sorted({row.case.count for row in results.line} | set(results.predictions))
    step = -(-len(counts) // MAX_TICKS)
    unit = "nodes" if results.line[0].case.nodes else "cores"
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts[::step], [str(count) for count in counts[::step]])
    axes.minorticks_off()
    axes.set_xlabel(unit)


def _plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(base=2, numticks=MAX_TICKS))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
