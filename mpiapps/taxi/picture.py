"""The histogram as a picture."""

from __future__ import annotations

import io
from typing import Any

from mpiapps.base.named import needed


def load() -> Any:
    """Return what draws; `LaunchError` if it is not installed. Local."""
    return needed("matplotlib.backends.backend_agg", "plot", "a picture")


def picture(values: dict[str, Any]) -> bytes:
    """Return the histogram of an answer as PNG. Local."""
    agg = load()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    agg.FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.stairs(values["counts"], values["edges"], fill=True, color="#4c78a8")
    mean = values["mean_percent"]
    if mean is not None:
        axes.axvline(mean, color="#e45756", label=f"mean {mean:.1f} %")
        axes.legend()
    axes.set(xlabel="tip, % of the fare", ylabel="trips paid by card")
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=150, metadata={"Software": None})
    return found.getvalue()
