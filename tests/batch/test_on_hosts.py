"""Commands that a script of PBS or LSF runs once on each host of its job."""

import os
import subprocess

import pytest

from tests.batch.scripts import stub
from tests.commands import ROOT

LIBRARY = ROOT / "mpiapps" / "batch" / "library"
# pbs_tmrsh executes the words as a task, whose number is that of the first line of the
# host in PBS_NODEFILE; blaunch, as rsh, gives them to a shell.
TMRSH = """line=$(grep -n -m 1 -x "$1" "$PBS_NODEFILE")
shift; HOSTNAME=$(sed -n "${line%%:*}p" "$TASKS") exec "$@"
"""
STARTERS = {
    "pbs": ("pbs_tmrsh", TMRSH),
    "lsf": ("blaunch", 'host=$1; shift; HOSTNAME=$host exec sh -c "$*"'),
}
# Prints the host, the argument, and what it can read.
COMMAND = """[ "$1" != "x  y" ] || echo "$HOSTNAME: $1$(cat)" >>"$PLACE/ran"
[ "$HOSTNAME" != "${BAD:-}" ]
"""


@pytest.fixture
def on_hosts(tmp_path):
    """Return a function that runs a command; it returns the process and the hosts."""
    command = tmp_path / "a command"
    command.write_text(COMMAND)

    def run(scheduler, hosts, *, starter=True, **variables):
        name, act = STARTERS[scheduler]
        if starter:
            stub(tmp_path / "bin" / name, act)
        (tmp_path / "nodes").write_text("".join(f"{host}\n" for host in hosts))
        libraries = (f"{LIBRARY}/{name}.sh" for name in ("job_library", scheduler))
        text = "".join(f'. "{library}"\n' for library in libraries)
        text += 'export HOSTNAME=n1.site run="$PLACE"; scheduler_check_hosts\n'
        text += 'scheduler_on_hosts bash "$PLACE/a command" "x  y"'
        known = {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PLACE": str(tmp_path),
            "ARGUMENTS": os.devnull,
            "PBS_NODEFILE": str(tmp_path / "nodes"),
            "TASKS": str(tmp_path / "nodes"),
            "LSB_MCPU_HOSTS": " ".join(f"{host} 2" for host in hosts),
        }
        done = subprocess.run(
            ["bash", "-c", text],
            env=known | variables,
            input="input of the script",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        ran = tmp_path / "ran"
        return done, sorted(ran.read_text().splitlines()) if ran.exists() else []

    return run


@pytest.mark.parametrize("scheduler", STARTERS)
def test_once_on_each_host_with_the_words_as_they_are(on_hosts, scheduler):
    done, ran = on_hosts(scheduler, ["n1", "n2", "n1", "n2", "n3"])
    assert done.returncode == 0, done.stderr
    assert ran == ["n1.site: x  y", "n2: x  y", "n3: x  y"]


@pytest.mark.parametrize("scheduler", STARTERS)
@pytest.mark.parametrize("bad", ["n1.site", "n2"])
def test_it_fails_if_the_command_fails_on_one(on_hosts, scheduler, bad):
    done, ran = on_hosts(scheduler, ["n1", "n2", "n3"], BAD=bad)
    assert (done.returncode, len(ran)) == (1, 3)


@pytest.mark.parametrize("hosts", [[], ["other", "other"]])
def test_the_only_host_of_pbs_needs_no_pbs_tmrsh(on_hosts, hosts):
    done, ran = on_hosts("pbs", hosts, starter=False)
    assert (done.returncode, ran) == (0, ["n1.site: x  y"])


def test_hosts_of_pbs_need_pbs_tmrsh(on_hosts):
    done, ran = on_hosts("pbs", ["n1", "n2"], starter=False)
    assert (done.returncode, ran) == (1, [])
    assert "no pbs_tmrsh" in done.stderr
