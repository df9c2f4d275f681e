"""Draw docs/scale.png from the JSON of `main.py`.

python scripts/simulate/draw.py FILE.json [FILE.json ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

TARGET = Path(__file__).parents[2] / "docs" / "scale.png"
STYLES = {
    "gemm": ("C0", "-"),
    "counter": ("C1", "--"),
    "counter-by-host": ("C1", "-"),
    "manager": ("C3", "--"),
    "manager-chunks": ("C3", "-"),
}


def main() -> None:
    """Draw the efficiency of each schedule on the first platform."""
    rows: list[dict[str, Any]] = []
    for name in sys.argv[1:]:
        rows += json.loads(Path(name).read_text())
    platform = rows[0]["platform"]
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, (color, line) in STYLES.items():
        points = sorted(
            {
                row["ranks"]: row["efficiency"]
                for row in rows
                if (row["schedule"], row["platform"]) == (name, platform)
            }.items()
        )
        if points:
            axes.plot(*zip(*points, strict=True), line, color=color, marker="o")
            axes.lines[-1].set_label(name)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("ranks")
    axes.set_ylabel("efficiency")
    axes.set_title(f"SimGrid, {platform}")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(TARGET, dpi=110)


if __name__ == "__main__":
    main()
