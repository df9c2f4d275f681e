"""Imports go down only, without circles; functions say who calls them."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mpiapps"

# A module may import from its own directory and from those it may see.
SEES = {
    "base": set(),
    "storage": {"base"},
    "kernels": {"base"},
    "device": {"base", "kernels"},
    "launch": {"base"},
    "comm": {"base", "kernels", "device", "launch"},
    "linalg": {"base", "storage", "kernels", "device", "launch", "comm"},
    "app": {"base", "storage", "launch", "comm"},
    "tasks": {"base", "storage", "launch", "comm", "app"},
    "batch": {"base", "storage", "launch", "app"},
    "scaling": {"base", "storage", "launch", "app", "batch"},
    "learn": {"base", "storage", "launch", "app", "batch"},
    # Its starting files are a program and tests.
    "scaffold": {"base", "launch", "comm", "app", "tasks", "batch"},
    "taskfarm": {"base", "storage", "launch", "comm", "app", "tasks"},
    "dask_cluster": {"base", "launch", "comm", "app", "tasks"},
    "taxi_tips": {"base", "kernels", "comm", "tasks", "app", "dask_cluster"},
    "model_selection": {"base", "storage", "comm", "tasks", "app", "dask_cluster"},
    "diagnostics": {"base", "device", "storage", "launch", "comm", "app", "batch"},
    "fileops": {
        *("base", "storage", "kernels", "device", "launch", "comm", "tasks", "app")
    },
}
SEES["programs"] = set(SEES)
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}


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
    for name in imported(TREES[path]):
        top, *rest = name.split(".")
        if top != "mpiapps" or not rest:
            continue
        there = rest[0] if rest[0] in SEES else None
        assert there is None or there == here or there in SEES[here], (
            f"{path} is of layer {here} and imports {name}"
        )


# Operators of matrices load their algorithms when they are called.
LAZY = {
    ("linalg/operators.py", "linalg/numpy_api.py"),
    ("linalg/operators.py", "linalg/ufuncs.py"),
}


def modules_imported(tree):
    """Yield names of modules; a module from its package is not the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if file_of(name) else node.module


def file_of(name):
    """Return the file of a module of the package, if there is one."""
    file = PACKAGE.parent.joinpath(*name.split("."))
    candidates = file.with_suffix(".py"), file / "__init__.py"
    return next((path for path in candidates if path.exists()), None)


def files_imported(path):
    """Yield the files of the package that one imports, also lazily and for types."""
    for name in modules_imported(TREES[path]):
        file = file_of(name)
        if name.startswith("mpiapps") and file is not None:
            edge = tuple(str(each.relative_to(PACKAGE)) for each in (path, file))
            if edge not in LAZY:
                yield file


def test_files_import_in_no_circle():
    graph = {path: set(files_imported(path)) - {path} for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        names = [str(path.relative_to(PACKAGE)) for path in error.args[1]]
        pytest.fail(f"files import each other: {' <- '.join(names)}")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 300, f"{path} has {lines} lines; find its seam"


def public_functions(body):
    """Yield public functions, and the public methods of public classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef) and node.name[0] != "_":
            yield node


def takes_ranks(function):
    names = {argument.arg for argument in function.args.args}
    return bool(names & {"comm", "world", "ctx"})


WITH_RANKS = [
    pytest.param(node, id=f"{path.stem}.{node.name}")
    for path in MODULES
    for node in public_functions(TREES[path].body)
    if takes_ranks(node)
]


@pytest.mark.parametrize("function", WITH_RANKS)
def test_functions_that_take_ranks_say_who_calls_them(function):
    text = ast.get_docstring(function) or ""
    assert re.search(r"\b(collective|local|root only)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_probe_takes_its_message(path):
    """Iprobe, then Recv of any source: MPICH's network modules hang in the second."""
    calls = [n for n in ast.walk(TREES[path]) if isinstance(n, ast.Call)]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    assert not names & {"Iprobe", "Probe", "iprobe", "probe"}, "use Improbe or Mprobe"
