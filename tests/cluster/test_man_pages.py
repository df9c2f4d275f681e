"""`mpiapps man`: its pages in groff and man, which the test cluster installs."""

import subprocess

import pytest

from mpiapps import cli
from mpiapps.app.man_pages import man_pages
from mpiapps.app.parser import Parser
from mpiapps.app.program import programs


def rendered(*pages):
    """Return the pages as text, with all warnings of groff as errors."""
    done = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou", "-rLL=1000n", "-rHY=0"],
        input="\n".join(pages),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    # groff prints a hyphen for "-", and an option's minus sign for "\-".
    return done.stdout.replace("\N{MINUS SIGN}", "-")


@pytest.fixture(scope="module")
def pages():
    return man_pages(*cli._parser())


def test_each_command_and_program_has_a_page_that_groff_renders(pages):
    commands = [f"mpiapps-{name}.1" for name in cli._parser()[1]]
    own = [f"mpiapps-run-{name}.1" for name in programs()]
    assert list(pages) == ["mpiapps.1", *commands, *own]
    rendered(*pages.values())


@pytest.mark.parametrize("name", ["", "submit", "scaling", "lint"])
def test_a_page_has_all_options(pages, name):
    parser, commands = cli._parser()
    text = rendered(pages[f"mpiapps-{name}.1" if name else "mpiapps.1"])
    for option in (commands[name] if name else parser).options():
        assert f"\n       {option}" in text or f", {option}" in text
    assert ("EXIT STATUS" in text) == (name == "")  # lint returns 1 for problems


def test_the_page_of_a_program(pages):
    text = rendered(pages["mpiapps-run-pi.1"])
    assert "mpiapps-run-pi - Estimate pi with random darts\n" in text
    assert "       mpiapps run pi [--samples COUNT]" in text
    assert "       -n, --ntasks NTASKS\n" in text
    assert "       --debug-ranks RANKS\n" in text
    assert "       75     stopped before the end, resume possible\n" in text
    assert "mpiapps(1)" in text


def test_text_that_groff_would_interpret_is_kept():
    parser, commands = cli._parser()
    texts = [".hidden of a dot", "'quote", r"C:\new \fB", "`a` ~ ^b 'c' \"d\" -5", "é"]
    commands["list"].description = ".SH begins a request"
    for number, text in enumerate(texts):
        commands["list"].add_argument(f"--option{number}", help=text)
    text = rendered(man_pages(parser, commands)["mpiapps-list.1"])
    assert "       .SH begins a request\n" in text
    for number, kept in enumerate(texts):
        assert f"--option{number} OPTION{number}\n              {kept}\n" in text


def test_man_finds_the_pages_that_the_command_writes(tmp_path, capsys, pages):
    directory = tmp_path / "share" / "man"
    assert cli.main(["man", str(directory)]) == 0
    command = f"man -M {directory} mpiapps"
    output = f"{len(pages)} pages in {directory}/man1; read one: {command}\n"
    assert capsys.readouterr().out == output
    written = {path.name: path.read_text() for path in directory.glob("man1/*")}
    assert written == pages
    argv = ["man", "-M", str(directory), "--warnings", "mpiapps-run-files"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "MPIAPPS-RUN-FILES(1)" in done.stdout
    assert done.stderr == ""


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["man", str(tmp_path / "file")]) == 74
    assert (
        f"cannot make {tmp_path}/file/man1: Not a directory" in capsys.readouterr().err
    )


def test_other_commands_are_not_changed_by_the_pages():
    man_pages(*cli._parser())
    parser = cli._parser()[1]["run"]
    assert isinstance(parser, Parser)
    assert parser.parse_intermixed(["pi", "-n", "2"]).program == "pi"
