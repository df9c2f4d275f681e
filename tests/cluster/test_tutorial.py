"""The commands of docs/tutorial.md that need a cluster, as one shell on its head."""

import shutil

from tests.cluster.hosts import SHARED, on
from tests.commands import ROOT, bin_directory
from tests.test_console import blocks


def test_the_commands_of_the_tutorial():
    directory = SHARED / "tutorial"
    directory.mkdir()
    shutil.copy(ROOT / "docs" / "examples" / "heat.py", directory)
    page = blocks(ROOT / "docs" / "tutorial.md")
    own = [each for each in page if each.value == "tests/cluster/test_tutorial.py"]
    commands = [command for block in own for command in block.commands]
    assert len(commands) > 10
    script = directory / "commands.sh"
    lines = [f"cd {directory}", f"export PATH={bin_directory('openmpi')}:$PATH"]
    script.write_text("\n".join(["set -ex", *lines, *commands, ""]))
    ended = on("head", "bash", str(script))
    assert ended.code == 0, ended.out + ended.err
    for text in ("#SBATCH --nodes=2", "hottest", "CPU efficiency", "Strong scaling"):
        assert text in ended.out, ended.out
