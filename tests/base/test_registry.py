"""Extensions: what the commands of the login node pay for them."""

from __future__ import annotations

import sys

from tests.commands import run

COUNT = """
import importlib.metadata, sys
searches, search = [], importlib.metadata.entry_points
importlib.metadata.entry_points = lambda: searches.append(1) or search()
import mpiapps.cli, mpiapps.batch.commands
from mpiapps.app.program import programs
programs()
print(len(searches), "jinja2" in sys.modules, "numpy" in sys.modules)
"""


def test_commands_search_the_installed_packages_once_and_render_nothing_early():
    ended = run([sys.executable, "-c", COUNT])
    assert (ended.code, ended.out) == (0, "1 False False\n"), ended.err
