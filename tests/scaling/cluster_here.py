"""A cluster of this host, whose sbatch runs a job at once."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpiapps.cli import main
from tests.commands import ROOT, Ended

# With a file named hold, jobs stay in the queue, until `release` runs them.
SBATCH = """#!/bin/bash
mkdir -p queue
number=$((41 + $(ls queue | grep -c state)))
for word; do case $word in
    --export=*) IFS=, read -ra pairs <<<"${word#--export=}"; export "${pairs[@]}" ;;
    --output=*) out="${word#--output=}" ;;
esac; done
name=$(sed -n 's/^#SBATCH --job-name=//p' "$word")
out="${out//%x/$name}"; out="${out//%j/$number}"
export SLURM_JOB_ID=$number SLURM_SUBMIT_DIR=.
{ export -p; echo "bash '$word' >'$out' 2>&1 </dev/null"
  echo "echo \\"$number|N/A|COMPLETED|\\$((\\$? * 256))|None|\\" >queue/$number.state"
} >queue/$number.sh
echo "$number|N/A|PENDING|0|Resources|" >queue/$number.state
echo $number
[ -e hold ] || bash queue/$number.sh
exit 0
"""
SQUEUE = "#!/bin/sh\n[ ! -e queue ] || cat queue/*.state\n"
SCANCEL = '#!/bin/sh\necho "$1|N/A|CANCELLED|0|None|" >queue/$1.state\n'
SITE = """scheduler = "slurm"
launch = ['"$mpiexec"', "-n", "{ntasks}", "--oversubscribe"]
setup = ["export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"]
"""
# Without MPI: each host of the job is a process of the shell's.
PLAIN = 'scheduler = "slurm"\nlaunch = ["env", "NODES={nodes}"]\n'
SCRIPT = """import os, sys, time
if os.environ["NODES"] == sys.argv[1]:
    print("broken on", sys.argv[1])
    sys.exit(7)
time.sleep(1.1)
"""


@dataclass(frozen=True)
class Cluster:
    """A directory with the commands of a scheduler first on PATH."""

    path: Path
    capsys: pytest.CaptureFixture[str]

    def mpiapps(self, *words):
        """Run a command in this process."""
        code = main(list(words))
        return Ended(code, *self.capsys.readouterr(), seconds=0.0)


def prepare(tmp_path, monkeypatch, capsys):
    """Return a cluster in a directory, which becomes the current one."""
    (tmp_path / "bin").mkdir()
    commands = {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL}
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "plain.toml").write_text(PLAIN)
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Cluster(tmp_path, capsys)


def submissions(cluster):
    return len(list((cluster.path / "queue").glob("*.state")))


def release(cluster):
    """Run the jobs of the queue."""
    for script in sorted((cluster.path / "queue").glob("*.sh")):
        subprocess.run(["bash", str(script)], cwd=cluster.path, check=True)
