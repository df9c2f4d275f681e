"""The histogram as a picture."""

from __future__ import annotations

import io
from typing import Any


def picture(values: dict[str, Any]) -> bytes:
    """Return the histogram of an answer as PNG. Local."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
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
