"""The histogram as a PNG image."""

from __future__ import annotations

import io
from typing import Any

from mpiapps.base.optional import import_optional


def load_backend() -> Any:
    """Return the Agg backend of matplotlib; raise `LaunchError` if not installed."""
    return import_optional("matplotlib.backends.backend_agg", "plot", "a plot")


def draw(values: dict[str, Any]) -> bytes:
    """Return the histogram in `summary.summarize` values as PNG."""
    agg = load_backend()
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
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()
