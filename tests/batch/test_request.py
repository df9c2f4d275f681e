"""One request in four syntaxes, and what cannot be said in one of them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.runs import Run
from mpiapps.batch.site import SCHEDULERS, Site
from tests.batch.jobs import SITES, directives, job, script

GIB = 1024**3
SHAPE = {"nodes": 2, "ranks_per_node": 4, "threads": 2, "memory": 3 * GIB}

# What two hosts with four ranks of two threads and 3 GiB each are in each syntax.
SHAPED = {
    "slurm": ["--nodes=2", "--ntasks-per-node=4", "--cpus-per-task=2", "--mem=12288M"],
    "sge": ["-pe mpi8 16", "-l h_vmem=1536M"],
    "pbs": [
        "-l select=2:ncpus=8:mpiprocs=4:ompthreads=2:mem=12288mb",
        "-l place=scatter",
    ],
    "lsf": ["-n 8", '-R "span[ptile=4] affinity[core(2)] rusage[mem=12288MB]"'],
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_shape_means_the_same_everywhere(scheduler):
    found = directives(script(scheduler, **SHAPE))
    assert set(SHAPED[scheduler]) <= set(found)
    text = script(scheduler, **SHAPE)
    assert "--nodes=2 --ranks-per-node=4 --threads=2 " in text
    assert "export OMP_NUM_THREADS=2 " in text


LIMITS = {
    "slurm": "--time=1-01:30:00",
    "sge": "-l h_rt=25:30:00",
    "pbs": "-l walltime=25:30:00",
    "lsf": "-W 25:30",
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_limit_is_the_same_everywhere(scheduler):
    seconds = 25 * 3600 + 30 * 60
    text = script(scheduler, time=seconds)
    assert LIMITS[scheduler] in directives(text)
    assert f"--time={seconds} --stop-margin=300 " in text


ARRAYS = {
    "slurm": "--array=1-9:2%3",
    "sge": "-t 1-9:2",
    "pbs": "-J 1-9:2%3",
    "lsf": '-J "pi[1-9:2]%3"',
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_arrays(scheduler):
    text = script(scheduler, "-m", "mpiapps.pi", "--seed", "{index}", array="1-9:2%3")
    assert ARRAYS[scheduler] in directives(text)
    assert '--seed "$index"\n' in text


DEPENDENCIES = {
    "slurm": ["--dependency=afterany:12:13"],
    "sge": ["-hold_jid 12,13"],
    "pbs": ["-W depend=afterany:12:13"],
    "lsf": ['-w "ended(12) && ended(13)"'],
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_dependencies(scheduler):
    assert set(DEPENDENCIES[scheduler]) <= set(
        directives(script(scheduler, dependency="any:12,13"))
    )


def test_after_success_cannot_be_said_to_grid_engine():
    with pytest.raises(UsageError, match="--dependency any:12"):
        script("sge", dependency="12")
    assert "--dependency=afterok:12" in directives(script("slurm", dependency="12"))
    assert "-W depend=afterok:12" in directives(script("pbs", dependency="12"))
    assert '-w "done(12)"' in directives(script("lsf", dependency="12"))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_mail_queue_and_account(scheduler):
    asked = {"mail_user": "a.b+c@example.org", "queue": "long", "account": "physics"}
    text = "\n".join(directives(script(scheduler, **asked)))
    for value in asked.values():
        assert value in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"nodes": 2, "ranks_per_node": 3}, "allocation_rule is 3"),
        ({"nodes": 2, "ranks_per_node": 1}, "mpi4 [(]4[)]"),
        ({"gpus": "1", "threads": 4}, "per slot"),
        ({"array": "0-3"}, "counts from 1"),
    ],
)
def test_grid_engine_refuses_what_it_cannot_say(asked, says):
    with pytest.raises(UsageError, match=says):
        script("sge", **asked)


def test_grid_engine_takes_one_host_by_pe_slots():
    found = directives(script("sge", nodes=1, ranks_per_node=3, threads=2))
    assert "-pe smp 6" in found


def test_grid_engine_needs_to_know_how_memory_is_called():
    site = Site("sge", "bare")
    with pytest.raises(UsageError, match="memory_resource"):
        script("sge", site=site, memory=GIB)
    assert not any("-pe" in line for line in directives(script("sge", site=site)))


def test_pbs_and_lsf_say_what_they_cannot():
    with pytest.raises(UsageError, match="no array of one"):
        script("pbs", array="3-3")
    with pytest.raises(UsageError, match="counts from 1"):
        script("lsf", array="0-3")


@pytest.mark.parametrize(
    ("scheduler", "array", "fine"),
    [
        ("slurm", "0-1000", True),
        ("slurm", "1-1001", False),
        ("sge", "1-1000", True),
        ("sge", "1-1001", False),
        ("sge", "2001-3000", True),
    ],
)
def test_array_limits_are_the_sites(scheduler, array, fine):
    if fine:
        script(scheduler, array=array)
    else:
        with pytest.raises(UsageError, match="over this site's limit"):
            script(scheduler, array=array)


@pytest.mark.parametrize(
    "asked",
    [
        {"array": "5-1"},
        {"array": "1-5:0"},
        {"array": "5"},
        {"array": "1,"},
        {"array": "0-999999999,5"},
        {"array": "1-5:00"},
        {"mail_user": "a@b.org,"},
        {"mail_user": "a@b.org;c@d.org"},
        {"directive": ("-N\n#PBS",)},
        {"epilog": ("true\nfalse",)},
        {"array": "1-5%0"},
        {"signal_delay": 3600},
        {"name": "1pi"},
        {"name": "p" * 231},
        {"mail_user": "nobody"},
        {"dependency": "x"},
        {"env": ("A",)},
        {"env": ("1A=b",)},
        {"env": ("A=b\nc",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_what_no_script_can_carry_is_refused(scheduler, asked):
    with pytest.raises(UsageError):
        script(scheduler, **asked)


@pytest.mark.parametrize(
    ("scheduler", "mpi", "launcher", "says"),
    [
        ("slurm", "openmpi", "srun-pmi2", "srun-pmix"),
        ("slurm", "mpich", "srun-pmix", "srun-pmi2"),
        ("sge", "openmpi", "srun", "mpiexec"),
        ("pbs", "mpich", "srun", "mpiexec"),
        ("lsf", "impi", "srun-pmi2", "mpiexec"),
    ],
)
def test_wrong_pairs_are_refused_with_the_right_one(scheduler, mpi, launcher, says):
    with pytest.raises(UsageError, match=f"use --launcher .*{says}"):
        script(scheduler, mpi=mpi, launcher=launcher)


@pytest.mark.parametrize("mpi", ["openmpi", "mpich", "impi"])
def test_srun_takes_the_plugin_that_fits(mpi):
    plugin = "pmix" if mpi == "openmpi" else "pmi2"
    text = script("slurm", mpi=mpi, launcher="srun", threads=2, ranks_per_node=3)
    line = next(line for line in text.splitlines() if line.startswith("job_run "))
    for word in (f"--mpi={plugin}", "--cpus-per-task=2", "--kill-on-bad-exit=1"):
        assert word in line


def test_a_site_may_name_its_own_launcher():
    site = Site("slurm", "own", launch=("ibrun", "-n", "{ntasks}"))
    assert "job_run ibrun -n 6 " in script(
        "slurm", site=site, nodes=2, ranks_per_node=3
    )


def test_a_sites_directives_are_guarded_too():
    site = Site("slurm", "bad", directives=("--comment=$(touch x); `y`",))
    with pytest.raises(UsageError, match=r"site bad: .* has ';'"):
        script("slurm", site=site)


EXTRA = {
    "slurm": [
        *("--constraint=a|b&c", '--constraint="[x*2&y]"', "--exclude=n[1-3]"),
        *("--mail-type=ALL,TIME_LIMIT_80", "--plugin-option=1", "--hint=nomultithread"),
    ],
    "sge": ["-l h=!(n1|n2)", "-q '*@@intel'", "-l mem_free=4G,s_rt=0:50:00", "-V"],
    "pbs": ["-W group_list=x", "-W umask=022", "-l place=excl", "-l software=(a>1)"],
    "lsf": [
        *('-R "select[mem>1000 && !bigmem || type==any]"', '-m "host1 host2"', "-x"),
        *("-G ~group", "-app 'a b'"),
    ],
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_further_options_of_the_site_and_of_one_submission(scheduler):
    first, *rest = EXTRA[scheduler]
    site = replace(SITES[scheduler], directives=(first,))
    found = directives(script(scheduler, site=site, directive=tuple(rest)))
    assert found[-len(EXTRA[scheduler]) :] == EXTRA[scheduler]


REFUSED = {
    "slurm": {
        "--output=x": "--logs",
        "-ex": "--logs",
        "-J x": "--name",
        "--arr=1-3": "--array",
        "-a1-3": "--array",
        "-d afterok:1": "--dependency",
        "-N 3": "--nodes",
        "-C ib -n 3": "--ranks",
        "-C ib --ntasks-per-node=3": "--ranks-per-node",
        "--wrap=x": "remove it",
        "--constraint=a b": "b is not an option",
        "--time=2h": "not a time",
        "--comment=a;b": "has ';'",
        "--comment=a # b": "has '#'",
        '--comment="a': "not closed",
        "C ib": "does not begin with -",
        "": "does not begin with -",
    },
    "sge": {
        "-t 1-3": "--array",
        "-o x": "--logs",
        "-N x": "--name",
        "-l h_rt=1:0:0,gpu=1": "--time",
        "-pe smp 4": "--nodes",
        "-P": "-P has no value",
    },
    "pbs": {
        "-J 1-3": "--array",
        "-W depend=afterok:1": "--dependency",
        "-ox": "--logs",
        "-lwalltime=1:00:00": "--time",
        "-l mem=1gb,nodes=2": "--nodes",
    },
    "lsf": {
        '-J "x[1-3]"': "--name and --array",
        "-oo x": "--logs",
        "-o x": "--logs",
        "-W 1:00": "--time",
        "-n4": "--nodes",
    },
}


@pytest.mark.parametrize(
    ("scheduler", "text"), [(s, text) for s in SCHEDULERS for text in REFUSED[s]]
)
def test_an_option_that_undoes_the_script_is_refused(scheduler, text):
    says = re.escape(REFUSED[scheduler][text])
    with pytest.raises(UsageError, match=f"^--directive .*{says}"):
        script(scheduler, directive=(text,))
    site = replace(SITES[scheduler], directives=(text,))
    with pytest.raises(UsageError, match=f"^directives of site {scheduler}: .*{says}"):
        script(scheduler, site=site)


def test_lists_of_indices():
    assert "--array=1-3,7,9%2" in directives(script("slurm", array="9,7,1-3,2%2"))
    assert '-J "pi[1-3,7,9]%2"' in directives(script("lsf", array="9,7,1-3%2"))
    for scheduler in ("sge", "pbs"):  # whose arrays are one range
        with pytest.raises(UsageError, match="one range"):
            script(scheduler, array="1,2,9")
    regular = {"slurm": "--array=1-5:2", "sge": "-t 1-5:2", "pbs": "-J 1-5:2"}
    for scheduler, line in (regular | {"lsf": '-J "pi[1-5:2]"'}).items():
        text = script(scheduler, array="1,5,3")
        assert line in directives(text)
        assert Run(Path("logs/pi-1"), text).indices == ["1", "3", "5"]
    listed = Run(Path("logs/pi-1"), script("slurm", array="1,2,9%1"))
    assert listed.indices == ["1", "2", "9"]


MAILS = {
    "slurm": "--mail-user=a@b.org,c@d.org",
    "sge": "-M a@b.org,c@d.org",
    "pbs": "-M a@b.org,c@d.org",
    "lsf": '-u "a@b.org c@d.org"',
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_several_addresses(scheduler):
    found = directives(script(scheduler, mail_user="a@b.org,c@d.org"))
    assert MAILS[scheduler] in found


def test_times_and_margins():
    assert [job("slurm", time=t).request.stop_margin for t in (60, 1800, 86400)] == [
        20,
        180,
        300,
    ]
    assert SITES["slurm"].launcher == "mpiexec"
