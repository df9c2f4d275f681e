"""Pictures by matplotlib, drawn in memory without a display."""

from __future__ import annotations

import io
from typing import Any

from mpiapps.base.optional import import_optional, require

PICTURES = (".png", ".svg", ".pdf")


def require_pictures() -> None:
    """Raise `LaunchError` if matplotlib is not installed. Does not import it."""
    require("matplotlib", "plot", "a plot")


def new_figure(width: float, height: float) -> Any:
    """Return a figure of matplotlib.

    Parameters
    ----------
    width, height : float
        In inches, of 150 dots.

    Raises
    ------
    LaunchError
        If matplotlib is not installed.
    """
    agg = import_optional("matplotlib.backends.backend_agg", "plot", "a plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    agg.FigureCanvasAgg(figure)
    return figure


def picture(figure: Any, suffix: str) -> bytes:
    """Return a figure as a file whose name ends in one of `PICTURES`.

    Equal figures are equal bytes: neither time nor program is in the file.
    """
    form = suffix.removeprefix(".")
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}.get(form)
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=150, metadata=metadata)
    return content.getvalue()
