"""Sphinx: the pages of docs/ as a site, with a reference from the code."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import write_reference  # noqa: E402 - after the path is set
from sphinx.application import Sphinx  # noqa: E402 - after the path is set

import mpiapps  # noqa: E402 - after the path is set

project = "mpiapps"
copyright = "the mpiapps maintainers"  # noqa: A001 - Sphinx's name
release = mpiapps.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["teaching/exercises"]
html_theme = "furo"
html_title = "mpiapps"
default_role = "py:obj"
myst_heading_anchors = 4
napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they are in the signatures of the docstrings


def setup(app: Sphinx) -> None:
    """Let links to the top directory lead to the copies of its pages."""
    app.connect("source-read", _replace_links)


def _replace_links(_app: Sphinx, _name: str, source: list[str]) -> None:
    for name, page in write_reference.TOP_PAGES.items():
        source[0] = source[0].replace(f"](../{name}", f"](reference/{page}")


write_reference.write(ROOT / "docs" / "reference")
