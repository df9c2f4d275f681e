"""One request in four dialects, and what cannot be said in one of them."""

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.request import SCHEDULERS
from mpiapps.batch.site import Site
from tests.batch.jobs import SITES, directives, job, script

GIB = 1024**3
SHAPE = {"nodes": 2, "ranks_per_node": 4, "threads": 2, "memory": 3 * GIB}

# What two hosts with four ranks of two threads and 3 GiB each are in each dialect.
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
    assert "MPIAPPS_NTASKS=8 " in text
    assert "export OMP_NUM_THREADS=2\n" in text


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
    assert f"+ {seconds} - 300))" in text  # the deadline, five minutes before it


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
    assert '--seed "$index")' in text


DEPENDENCIES = {
    "slurm": ["--dependency=afterany:12:13"],
    "sge": ["-hold_jid 12,13"],
    "pbs": ["-W depend=afterany:12:13"],
    "lsf": ['-w "ended(12) && ended(13)"'],
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_dependencies(scheduler):
    assert set(DEPENDENCIES[scheduler]) <= set(
        directives(script(scheduler, after="any:12,13"))
    )


def test_after_success_cannot_be_said_to_grid_engine():
    with pytest.raises(UsageError, match="--after any:12"):
        script("sge", after="12")
    assert "--dependency=afterok:12" in directives(script("slurm", after="12"))
    assert "-W depend=afterok:12" in directives(script("pbs", after="12"))
    assert '-w "done(12)"' in directives(script("lsf", after="12"))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_mail_queue_and_account(scheduler):
    asked = {"mail": "a.b+c@example.org", "queue": "long", "account": "physics"}
    text = "\n".join(directives(script(scheduler, **asked)))
    for value in asked.values():
        assert value in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"nodes": 2, "ranks_per_node": 3}, "allocation_rule is 3"),
        ({"nodes": 2, "ranks_per_node": 1}, "mpi4 [(]4[)]"),
        ({"gpus": 1, "threads": 4}, "per slot"),
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
        {"array": "1,2"},
        {"array": "1-5%0"},
        {"warn": 3600},
        {"name": "1pi"},
        {"name": "p" * 231},
        {"mail": "nobody"},
        {"after": "x"},
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
    line = next(line for line in text.splitlines() if line.startswith("launch="))
    for word in (f"--mpi={plugin}", "--cpus-per-task=2", "--kill-on-bad-exit=1"):
        assert word in line


def test_a_site_may_name_its_own_launcher():
    site = Site("slurm", "own", launch=("ibrun", "-n", "{ntasks}"))
    assert "launch=(ibrun -n 6)" in script(
        "slurm", site=site, nodes=2, ranks_per_node=3
    )


def test_a_sites_directives_are_guarded_too():
    site = Site("slurm", "bad", directives=("--comment=$(touch x); `y`",))
    with pytest.raises(UsageError, match="site file"):
        script("slurm", site=site)


def test_times_and_margins():
    assert [job("slurm", time=t).request.margin for t in (60, 1800, 86400)] == [
        20,
        180,
        300,
    ]
    assert SITES["slurm"].launcher == "mpiexec"
