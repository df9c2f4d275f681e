"""`mpiapps completion`: what a shell offers; zsh and fish in tests/cluster."""

import subprocess

import pytest

from mpiapps import cli

ASK = """
source /dev/stdin
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_mpiapps mpiapps "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script():
    from mpiapps.app.completion import completion_script

    return completion_script(*cli._parser(), "bash")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("su", "submit"),
        ("ne", "new"),
        ("new wave --dir", "--directory"),
        ("run mat", "matrix"),
        ("run -n 4 pi --sam", "--samples"),
        ("run pi -n 4 --sam", "--samples"),
        ("run pi --nta", "--ntasks"),
        ("run files count --on", "--only"),
        ("submit fil", "files"),
        ("submit pi --partit", "--partition"),
        ("scaling amd", "amdahl"),
        ("site probe --scheduler sg", "sge"),
    ],
)
def test_bash_offers_commands_programs_and_options(script, line, offered):
    argv = ["bash", "-c", ASK, "ask", "mpiapps", *line.split()]
    done = subprocess.run(
        argv, input=script, text=True, capture_output=True, check=False
    )
    assert done.stdout.split() == [offered], done.stderr


def test_bash_offers_files(script, tmp_path):
    (tmp_path / "tasks.txt").touch()
    argv = ["bash", "-c", ASK, "ask", "mpiapps", "run", "farm", "tas"]
    done = subprocess.run(
        argv, input=script, text=True, capture_output=True, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["tasks.txt"], done.stderr


def test_the_command_prints_the_script(script, capsys):
    assert cli.main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == script


def test_an_unknown_shell_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["completion", "cmd"])
    assert "'cmd'" in capsys.readouterr().err
