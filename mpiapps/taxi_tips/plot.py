"""The histogram as a PNG image."""

from __future__ import annotations

from typing import Any

from mpiapps.app.picture import new_figure, picture


def draw(values: dict[str, Any]) -> bytes:
    """Return the histogram in `summary.summarize` values as PNG."""
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    axes.stairs(values["counts"], values["edges"], fill=True, color="#4c78a8")
    mean = values["mean_percent"]
    if mean is not None:
        axes.axvline(mean, color="#e45756", label=f"mean {mean:.1f} %")
        axes.legend()
    axes.set(xlabel="tip, % of the fare", ylabel="trips paid by card")
    return picture(figure, ".png")
