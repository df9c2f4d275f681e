"""Sphinx: the pages of docs/ as a site, with a reference from the code.

`make docs` runs it with scripts/ on the path.
"""

from __future__ import annotations

from pathlib import Path

import write_reference
from sphinx.application import Sphinx

import mpiapps

project = "mpiapps"
project_copyright = "the mpiapps maintainers"
release = mpiapps.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["teaching/exercises"]
html_theme = "furo"
html_title = "mpiapps"
default_role = "py:obj"
myst_heading_anchors = 4
napoleon_google_docstring = False
napoleon_use_param = False  # "n, rank : int" stay one entry
smartquotes = False  # they make a dash of the hyphens of options
html_static_path = ["static"]
html_css_files = ["site.css"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings have the types


def setup(app: Sphinx) -> None:
    """Let links to the top directory lead to the copies of its pages."""
    app.connect("source-read", _replace_links)
    app.connect("autodoc-skip-member", _skip_named_fields)


def _replace_links(_app: Sphinx, _name: str, source: list[str]) -> None:
    for name, page in write_reference.TOP_PAGES.items():
        source[0] = source[0].replace(f"](../{name}", f"](reference/{page}")


def _skip_named_fields(
    _app: Sphinx, _kind: str, _name: str, member: object, skip: bool, _options: object
) -> bool:
    """Skip the fields of named tuples: docstrings describe them as attributes."""
    return skip or type(member).__name__ == "_tuplegetter"


write_reference.write(Path(__file__).parent / "reference")
