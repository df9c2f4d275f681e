"""The pages agree with the code: links, options, lengths, programs of the tutorial."""

import pkgutil
import re
import runpy

import pytest

from mpiapps.app.program import programs
from mpiapps.app.runner import program_parser
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.cli import _parser
from mpiapps.diagnostics.probe import all_probes
from tests.commands import ROOT, on_ranks

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
DIRECTORIES = ROOT, ROOT / "mpiapps"
ENTRY_POINT_GROUPS = {f"mpiapps.{kind}" for kind in (
    "programs", "backends", "file_operations", "schedulers", "launchers",
    "matrix_operations", "probes")}  # fmt: skip
STEPS = sorted((ROOT / "docs" / "teaching").glob("*.py"))


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_a_target(page):
    for path, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


def test_the_readme_is_short_and_starts_with_the_first_run():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert next(line for line in lines if line.startswith("$")) == "$ make demo"


def parsers():
    """Return the parsers of all programs, and of the commands of `mpiapps`."""
    launch = LaunchEnvironment()
    all_programs = (program_parser(each, launch) for each in programs().values())
    return [*all_programs, *_parser()[1].values()]


def long_options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def test_each_option_is_documented():
    documented = long_options("".join(page.read_text() for page in PAGES))
    for parser in parsers():
        options = {name for name in parser.options() if name.startswith("--")}
        assert options - documented - {"--ntasks"} == set(), parser.prog


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_use_options_that_exist(page):
    files = (ROOT / "docs" / "examples").glob("*.py")
    examples = [runpy.run_path(str(file))["PROGRAM"] for file in files]
    own = [program_parser(each, LaunchEnvironment()) for each in examples]
    known = set().union(*(parser.options() for parser in [*parsers(), *own]))
    for command in re.findall(r"^\$ \S*mpiapps .*", page.read_text(), re.MULTILINE):
        assert long_options(command) <= known, command


@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_each_step_of_the_tutorial_estimates_pi(step):
    ended = on_ranks("mpich", 2, str(step), "2e5")
    assert ended.code == 0, ended.err
    counts_and_pi = re.search(r"\[\d+, \d+\] (\d\.\d+)", ended.out)
    assert abs(float(counts_and_pi[1]) - 3.14159) < 0.03


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_exist(page):
    text = page.read_text()
    for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|sh))`", text):
        assert any((directory / name).exists() for directory in DIRECTORIES), name
    for name in re.findall(r"(?<![-./\w])mpiapps(?:\.[a-zA-Z]\w*)+", text):
        assert name in ENTRY_POINT_GROUPS or pkgutil.resolve_name(name), name


@pytest.mark.parametrize(
    ("script", "function", "file"),
    [
        ("draw_matrix.py", "layouts", "matrix-layouts.svg"),
        ("draw_matrix.py", "steps", "matrix-summa.svg"),
        ("draw_matrix.py", "halo", "halo.svg"),
        ("draw_flows.py", "run_life", "run-life.svg"),
        ("draw_flows.py", "engine", "task-engine.svg"),
    ],
)
def test_pictures_are_those_of_the_code(script, function, file):
    drawn = runpy.run_path(str(ROOT / "scripts" / script))
    assert (ROOT / "docs" / file).read_text() == drawn[function](), (
        f"run python scripts/{script} docs"
    )


def test_the_table_of_probes_is_that_of_the_code():
    rows = re.findall(
        r"^\| `([\w-]+)`( \(with `--job`\))? \| (.*) \| (.*) \|$",
        (ROOT / "docs" / "doctor.md").read_text(),
        re.MULTILINE,
    )
    documented = [(name, bool(job), *texts) for name, job, *texts in rows]
    probes = [(p.name, p.starts_mpi, p.examines, p.symptom) for p in all_probes()]
    assert documented == probes
