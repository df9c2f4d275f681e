"""Write the pages of docs/reference: options and API from the code, and top pages."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from mpiapps import cli
from mpiapps.app.program import programs
from mpiapps.app.runner import program_parser
from mpiapps.base.launch_environment import LaunchEnvironment

TOP_PAGES = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# Packages with a public interface, and its modules, in the order of the page.
MODULES = {
    "comm": "world collectives partition block_plan messages cartesian halo exact_sums"
    " statistics rank_log random shared consistency safepoint",
    "tasks": "mpi_pool pool teams",
    "model_selection": "mpi_search",
    "dask": "",
    "linalg": "distmatrix layout npy npy_blocks hdf5_blocks solve cholesky lstsq eigh"
    " eigsh svd svds",
    "app": "program context options",
    "storage": "replace_file",
    "base": "errors",
}
API_INTRODUCTION = """# Python interface

*Collective*: all ranks of the communicator make the call, in the same order. *Local*:
any rank, alone. *Root only*: the root alone. What all programs share comes first, then
pools of tasks, matrices, and what a program of `mpiapps run` consists of.

"""


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a row of a table per argument."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        name = formatter._format_action_invocation(action)
        text = formatter._expand_help(action) if action.help else ""
        yield f"| `{_cell(name)}` | {_cell(text)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _table(title: str, parser: argparse.ArgumentParser) -> str:
    rows = "".join(_rows(parser))
    return f"## {title}\n\n{parser.description or ''}\n\n| | |\n|---|---|\n{rows}\n"


def options() -> str:
    """Return the page of the options of all commands and programs."""
    parts = ["# Options\n\nAs `--help` prints them.\n\n"]
    for name, parser in cli._parser()[1].items():
        parts.append(_table(f"mpiapps {name}", parser))
    for name, program in programs().items():
        parser = program_parser(program, LaunchEnvironment(), ["-m", f"mpiapps.{name}"])
        parts.append(_table(f"mpiapps run {name}", parser))
    return "".join(parts)


def _modules() -> Iterator[str]:
    for package, modules in MODULES.items():
        yield f"mpiapps.{package}"
        yield from (f"mpiapps.{package}.{module}" for module in modules.split())


def api() -> str:
    """Return the page of the modules."""
    parts = [API_INTRODUCTION]
    for name in _modules():
        directive = f"{{eval-rst}}\n.. automodule:: {name}\n   :members:\n"
        parts.append(f"## {name}\n\n```{directive}```\n\n")
    return "".join(parts)


def top_page(path: Path) -> str:
    """Return a page of the top directory with links as seen from docs/reference."""
    text = (
        path.read_text()
        .replace("](docs/", "](../")
        .replace("](LICENSE", "](../../LICENSE")
    )
    for name, page in TOP_PAGES.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text


def write(directory: Path) -> None:
    """Write the pages, if they have changed."""
    directory.mkdir(exist_ok=True)
    top = directory.parents[1]
    pages = {page: top_page(top / name) for name, page in TOP_PAGES.items()}
    for name, text in {"options.md": options(), "api.md": api(), **pages}.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
