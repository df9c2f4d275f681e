"""User texts in scripts: carried byte for byte, or refused."""

import difflib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from tests.batch.jobs import SITES, script
from tests.batch.scripts import (
    launcher_arguments,
    run_script,
)
from tests.hostile import carried, hostile

SCHEDULERS = ("slurm", "sge", "pbs")
SPECIAL = set(" \t\n\r'\"\\$`#;|&<>*?![]{}()~")
# Of these, fields accept: directives are comments for bash.
ACCEPTED = {"directives": " ", "comment": " ", "constraint": "&|!()[]*"}
# Texts that the script quotes, whatever they are.
QUOTED = ("env", "argument", "program", "python", "setup", "conda", "container")
FIELDS = (
    *("name", "account", "queue", "array", "dependency", "mail_user", "logs"),
    *("env", "argument", "python", "program", "directives"),
    *("qos", "constraint", "comment", "begin", "setup", "conda", "container"),
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Render each hostile text in each field and syntax; `None`: it is refused."""
    place = tmp_path_factory.mktemp("hostile")
    texts = hostile(str(place / "canary"))
    cases = [
        (scheduler, field, text, attempt(scheduler, field, text))
        for scheduler in SCHEDULERS
        for field in FIELDS
        for text in texts
    ]
    return place, cases


def attempt(scheduler, field, text):
    """Return the script with a hostile text in a field, or `None` if it is refused."""
    asked, words, site = {}, ["-m", "mpiapps.pi"], None
    match field:
        case "env":
            asked["env"] = (f"TEXT={text}",)
        case "argument":
            words.append(text)
        case "program":
            words = [text or "x.py"]
        case "python":
            asked["python"] = text or "python"
        case "directives":
            site = replace(SITES[scheduler], directives=(text,))
        case _:
            asked[field] = text
    try:
        return script(scheduler, *words, site=site, **asked)
    except UsageError:
        return None


def test_hostile_texts_are_carried_or_refused(rendered):
    _, cases = rendered
    assert len(cases) == 2280
    for scheduler, field, text, found in cases:
        if field in QUOTED:
            assert (found is not None) == carried(text), (scheduler, field, text)
        elif text and found is not None:  # a directive holds nothing special
            accepted = ACCEPTED.get(field, "")
            assert not set(text) & (SPECIAL - set(accepted)), (field, text)


def test_hostile_scripts_are_clean_for_bash(rendered):
    _, cases = rendered
    texts = {found for *_, found in cases if found is not None}
    assert len(texts) > 400
    for text in texts:
        done = subprocess.run(["bash", "-n"], input=text, text=True, check=False)
        assert done.returncode == 0, text


def test_hostile_scripts_are_clean_for_shellcheck(rendered, tmp_path):
    _, cases = rendered
    paths = []
    for scheduler in SCHEDULERS:
        texts = [found for name, *_, found in cases if name == scheduler and found]
        paths.append(tmp_path / f"{scheduler}.sh")
        paths[-1].write_text(united(script(scheduler), texts))
    check = str(Path(sys.executable).parent / "shellcheck")
    # A quoted tilde or dollar is what was asked for; so is the same text twice.
    ignored = "--exclude=SC2088,SC2016,SC2026,SC1003"
    done = subprocess.run(
        [check, ignored, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def united(plain, texts):
    """Return one script with each line of all texts that the plain one has not.

    They differ in a line or two each; shellcheck of every one would take minutes.
    """
    base = plain.splitlines()
    added = {}  # line of the plain script -> what stands there in others
    for text in texts:
        lines = text.splitlines()
        same = difflib.SequenceMatcher(None, base, lines, autojunk=False)
        for kind, _, end, first, last in same.get_opcodes():
            if kind in ("replace", "insert"):
                added.setdefault(end, {}).update(dict.fromkeys(lines[first:last]))
    for place in sorted(added, reverse=True):
        base[place:place] = added[place]
    return "\n".join(base) + "\n"


def test_hostile_texts_arrive_byte_for_byte(rendered, tmp_path):
    place, cases = rendered
    act = 'printf "%s\\0" "${TEXT-}" >>"$ARGUMENTS"'
    scripts = {(field, text, name): found for name, field, text, found in cases}
    pairs = [case[1:3] for case in cases if case[0] == SCHEDULERS[0]]
    pairs = [pair for pair in pairs if pair[0] in ("env", "argument", "program")]
    for number, (field, text) in enumerate(pairs):
        # The same functions quote for all schedulers: each text of a field by one.
        scheduler = SCHEDULERS[number % len(SCHEDULERS)]
        found = scripts[field, text, scheduler]
        if found is None:
            continue
        here = tmp_path / str(number)
        here.mkdir()
        run_script(here, found, act, scheduler)
        *words, variable = launcher_arguments(here)
        expected = {
            "env": ["-m", "mpiapps.pi"],
            "argument": ["-m", "mpiapps.pi", text],
            "program": [text or "x.py"],
        }[field]
        assert words[-len(expected) :] == expected
        assert variable == (text if field == "env" else "")
        shutil.rmtree(here)
    assert not (place / "canary").exists()
