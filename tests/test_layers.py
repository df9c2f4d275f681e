"""Imports go down only, and public names of comm say who calls them."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mpiapps"

# A module may import from its own folder and from those it may see.
SEES = {
    "base": set(),
    "kernels": {"base"},
    "comm": {"base", "kernels"},
    "linalg": {"base", "kernels", "comm"},
    "app": {"base", "comm"},
    "batch": {"base", "app"},
    "farming": {"base"},
    "dasking": {"base", "comm"},
    "taxi": {"base", "kernels", "comm", "app", "dasking"},
    "learning": {"base", "comm", "app", "farming", "dasking"},
    "filework": {"base", "kernels", "comm", "app", "farming"},
}
SEES["programs"] = set(SEES)
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer(parts):
    """Return the layer of a module of the package, by the words after `mpiapps`."""
    return parts[0] if parts and parts[0] in SEES else "programs"


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    here = layer(path.relative_to(PACKAGE).parts)
    for name in imported(ast.parse(path.read_text())):
        top, *rest = name.split(".")
        if top != "mpiapps" or not rest:
            continue
        there = rest[0] if rest[0] in SEES else None
        assert there is None or there == here or there in SEES[here], (
            f"{path} is of layer {here} and imports {name}"
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 300, f"{path} has {lines} lines; find its seam"


def public(body):
    """Yield public functions and classes, and the public methods of those."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (n for n in public(node.body) if not is_property(n))


def is_property(node):
    names = [d.id for d in getattr(node, "decorator_list", ()) if hasattr(d, "id")]
    return "property" in names


COMM = [
    pytest.param(node, id=f"{path.stem}.{node.name}")
    for path in sorted((PACKAGE / "comm").glob("*.py"))
    for node in public(ast.parse(path.read_text()).body)
]


@pytest.mark.parametrize("node", COMM)
def test_public_names_of_comm_say_who_calls_them(node):
    text = ast.get_docstring(node) or ""
    assert re.search(r"\b(collective|local|root only)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_probe_takes_its_message(path):
    """Iprobe, then Recv of any source: MPICH's network modules hang in the second."""
    calls = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
    ]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    assert not names & {"Iprobe", "Probe", "iprobe", "probe"}, "use Improbe or Mprobe"
