"""Jobs of N ranks on any hosts, and with fewer ranks on the last host."""

import re
from dataclasses import replace

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.explain import explain
from mpiapps.batch.lint import lint
from mpiapps.batch.scheduler import load_scheduler
from mpiapps.batch.shape import Shape, shape_of
from mpiapps.batch.site import MPIS, SCHEDULERS
from mpiapps.cli import main
from tests.batch.jobs import SITES, directives, script
from tests.batch.scripts import launcher_arguments, run_script

GIB = 1024**3
FILL_UP = replace(SITES["sge"], parallel_environments={"mpi4": "4", "any": "$fill_up"})
ANY = {"ranks": 5}
UNEVEN = {"ranks": 5, "ranks_per_node": 2}
# Directives of five ranks with 1 GiB each, of two cores except on Grid Engine.
ON_ANY_HOSTS = {
    "slurm": ["--ntasks=5", "--cpus-per-task=2", "--mem-per-cpu=512M"],
    "sge": ["-pe any 5", "-l h_vmem=1024M"],
    "pbs": [
        "-l select=5:ncpus=2:mpiprocs=1:ompthreads=2:mem=1024mb",
        "-l place=free",
    ],
    "lsf": ["-n 5", '-R "affinity[core(2)] rusage[mem=1024MB/task]"'],
}
ON_THREE_HOSTS = {
    "slurm": ["--nodes=3", "--ntasks=5", "--ntasks-per-node=2", "--mem=2048M"],
    "pbs": [
        "-l select=2:ncpus=4:mpiprocs=2:ompthreads=2:mem=2048mb"
        "+1:ncpus=2:mpiprocs=1:ompthreads=2:mem=1024mb",
        "-l place=scatter",
    ],
    "lsf": ["-n 5", '-R "span[ptile=2] affinity[core(2)] rusage[mem=2048MB]"'],
}
# The launcher's options without a number of ranks per host.
LAUNCHES = {
    "openmpi": '"$mpiexec" -n 5 --map-by slot:PE={} --bind-to core',
    "mpich": '"$mpiexec" -n 5 -bind-to core:{}',
    "impi": '"$mpiexec" -n 5 ',
}


def request(scheduler, **asked):
    threads = 1 if scheduler == "sge" else 2
    site = FILL_UP if scheduler == "sge" else SITES[scheduler]
    return {"site": site, "threads": threads, "memory": GIB} | asked


def launch(text):
    return next(line for line in text.splitlines() if line.startswith("job_run "))


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_ranks_on_any_hosts(scheduler, mpi):
    asked = request(scheduler, **ANY)
    text = script(scheduler, mpi=mpi, **asked)
    lines = directives(text)
    assert set(ON_ANY_HOSTS[scheduler]) <= set(lines)
    assert not [line for line in lines if re.search("nodes=|per-node|ptile", line)]
    assert launch(text).startswith("job_run " + LAUNCHES[mpi].format(asked["threads"]))
    assert f"    --ranks=5 --threads={asked['threads']} " in text
    assert "# pi: 5 ranks on any hosts, " in text
    assert len(text.splitlines()) <= 35


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", ON_THREE_HOSTS)
def test_the_last_host_has_fewer_ranks(scheduler, mpi):
    text = script(scheduler, mpi=mpi, **request(scheduler, **UNEVEN))
    assert set(ON_THREE_HOSTS[scheduler]) <= set(directives(text))
    assert launch(text).startswith("job_run " + LAUNCHES[mpi].format(2))
    assert "--nodes=3 --ranks-per-node=2 --ranks=5 --threads=2 " in text
    assert "# pi: 5 ranks on 3 hosts, at most 2 per host, " in text
    assert len(text.splitlines()) <= 35
    by_nodes = request(scheduler, ranks=5, nodes=3)
    assert script(scheduler, mpi=mpi, **by_nodes) == text


@pytest.mark.parametrize("mpi", MPIS)
def test_srun_has_no_ranks_per_host_unless_hosts_have_the_same(mpi):
    for asked in (ANY, UNEVEN):
        line = launch(script("slurm", mpi=mpi, launcher="srun", **asked))
        assert "--ntasks=5 --cpus-per-task=1 --cpu-bind=cores " in line
    even = launch(script("slurm", mpi=mpi, launcher="srun", nodes=2))
    assert "--ntasks=2 --ntasks-per-node=1 --cpus-per-task=1 " in even


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_multiple_is_the_shape_of_nodes_and_ranks_per_node(scheduler):
    plain = script(scheduler, nodes=2, ranks_per_node=4)
    for asked in (
        {"ranks_per_node": 4},
        {"nodes": 2},
        {"nodes": 2, "ranks_per_node": 4},
    ):
        assert script(scheduler, ranks=8, **asked) == plain
    assert script(scheduler, ranks=1) == script(scheduler)
    assert script(scheduler, ranks=3, ranks_per_node=4) == script(
        scheduler, ranks_per_node=3
    )


def test_shapes():
    assert shape_of(0, 0, 0) == shape_of(0, 0, 1) == Shape(1, 1, 1)
    assert shape_of(0, 0, 2) == Shape(2, 0, 0)
    for ranks in range(1, 20):
        for per_host in range(1, 8):
            shape = shape_of(0, per_host, ranks)
            full = (shape.hosts - 1) * shape.ranks_per_host
            assert 1 <= shape.last <= shape.ranks_per_host <= per_host
            assert full + shape.last == ranks
            assert shape.is_even == (shape.last == shape.ranks_per_host)
            assert shape_of(shape.hosts, shape.ranks_per_host, ranks) == shape


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((3, 0, 2), "need 2 hosts; use --nodes 2"),  # fewer ranks than hosts
        ((3, 0, 4), "2 per host, need 2 hosts; use --nodes 2"),  # 2, 2, 0
        ((2, 4, 9), "need 3 hosts; use --nodes 3"),  # too many
        ((3, 4, 8), "need 2 hosts; use --nodes 2"),  # an empty host
    ],
)
def test_hosts_and_ranks_that_contradict(shape, remedy):
    with pytest.raises(UsageError, match=f"^--ranks {shape[2]} --nodes .*{remedy}"):
        shape_of(*shape)


REFUSED = [
    ("sge", UNEVEN, "5 is not a multiple of 2 ranks per host; use --ranks 6"),
    ("sge", {"ranks": 5, "threads": 2}, "may be on two of them; add --ranks-per-node"),
    ("sge", {"ranks": 5, "nodelist": "n[1-5]"}, "add --nodes or --ranks-per-node"),
    ("lsf", {"ranks": 5, "nodelist": "n[1-5]"}, "add --nodes or --ranks-per-node"),
    ("slurm", {"ranks": 5, "nodelist": "n[1-6]"}, "has 6 hosts.*--ranks is 5"),
    ("slurm", {"ranks": 5, "gpus": "1"}, "add --ranks-per-node"),
    ("lsf", {"ranks": 5, "gpus": "1"}, "LSF gives all ranks of a host its GPUs"),
    ("pbs", {"ranks": 5, "gpus": "1/node"}, "PBS requests GPUs of each chunk"),
    ("sge", {"ranks": 5, "gpus": "1/node"}, "Grid Engine counts GPUs per slot"),
]


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [("slurm", "--gpus-per-node=a100:2"), ("lsf", '-gpu "num=2/host:gmodel=a100"')],
)
def test_gpus_per_host_do_not_depend_on_the_ranks_of_a_host(scheduler, expected):
    text = script(scheduler, ranks=30, gpus="a100:2/node")
    assert expected in directives(text)


@pytest.mark.parametrize(("scheduler", "asked", "reason"), REFUSED)
def test_what_a_scheduler_cannot_give_any_hosts_is_refused(scheduler, asked, reason):
    site = FILL_UP if scheduler == "sge" else SITES[scheduler]
    site = replace(site, gpu_resource="gpu")
    with pytest.raises(UsageError, match=reason):
        script(scheduler, site=site, **asked)


def test_grid_engine_needs_an_environment_for_any_hosts():
    with pytest.raises(
        UsageError, match=r"any hosts need .* is \$round_robin or \$fill_up; .*mpi4"
    ):
        script("sge", ranks=5)
    site = replace(SITES["sge"], parallel_environments={"rr": "$round_robin"})
    assert "-pe rr 5" in directives(script("sge", site=site, ranks=5))
    per_host = replace(FILL_UP, memory_per_slot=False)
    with pytest.raises(UsageError, match=r"^--memory: h_vmem counts per host"):
        script("sge", site=per_host, ranks=5, memory=GIB)


def test_an_own_launch_command_or_scheduler_without_shapes(monkeypatch):
    site = replace(SITES["slurm"], launch=("ibrun", "-n", "{ntasks}"))
    assert "job_run ibrun -n 5 " in script("slurm", site=site, **ANY)
    site = replace(SITES["slurm"], launch=("run", "-n", "{ntasks}", "-N", "{nodes}"))
    assert "job_run run -n 5 -N 3 " in script("slurm", site=site, **UNEVEN)
    with pytest.raises(UsageError, match=r"needs {nodes}, .*add --ranks-per-node"):
        script("slurm", site=site, **ANY)
    monkeypatch.setattr(type(load_scheduler("lsf")), "uneven_hosts", False)
    for asked in (ANY, UNEVEN):
        with pytest.raises(UsageError, match=r"^--ranks 5: .*--nodes and"):
            script("lsf", **asked)
    script("lsf", nodes=2)


def test_hosts_and_gpus_of_pbs_with_fewer_ranks_on_the_last():
    def select(**asked):
        (line,) = (x for x in directives(script("pbs", **asked)) if "select=" in x)
        return re.sub(":ompthreads=1", "", line.partition("select=")[2])

    two, one = "ncpus=2:mpiprocs=2:ngpus=2", "ncpus=1:mpiprocs=1:ngpus=1"
    asked = {"gpus": "1", **UNEVEN}
    assert select(**asked, nodelist="a") == f"1:{two}:host=a+1:{two}+1:{one}"
    assert (
        select(**asked, nodelist="a,b,c")
        == f"1:{two}:host=a+1:{two}:host=b+1:{one}:host=c"
    )
    assert select(ranks=5, gpus="1", nodelist="a") == f"1:{one}:host=a+4:{one}"
    exclusive = directives(script("pbs", ranks=5, exclusive=True))
    assert "-l place=free:exclhost" in exclusive


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_lint_and_explain_know_these_directives(scheduler, tmp_path):
    (tmp_path / "logs").mkdir()
    for asked in (ANY, UNEVEN) if scheduler != "sge" else (ANY,):
        text = script(scheduler, **request(scheduler, **asked))
        assert lint(text, tmp_path) == []
        assert len(explain(text)) == len(directives(text))


def test_options_as_users_type_them(capsys):
    words = ["render", "pi", "--scheduler", "slurm"]
    assert main([*words, "--ranks", "5", "--ranks-per-node", "2"]) == 0
    assert "--ntasks=5" in directives(capsys.readouterr().out)
    refusals = dict.fromkeys(
        ("--ranks", "--nodes", "--ranks-per-node"), "the minimum is 1"
    )
    refusals["--ntasks"] = "--ntasks is an option of a scheduler; use --ranks"
    for option, reason in refusals.items():
        with pytest.raises(SystemExit, match=r"^2$"):
            main([*words, option, "0"])
        assert reason in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["render", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "number of hosts (default: 1) --ranks-per-node" in text


SHOW = 'printf "%s\\n" "${SRUN_CPUS_PER_TASK-none}" "${SLURM_NTASKS_PER_NODE-none}"'
SHOW += ' "${SLURM_CPUS_PER_TASK-none}" "${SLURM_MEM_PER_NODE-none}" >shown; exit 0'
# Rendered shape -> SRUN_CPUS_PER_TASK, SLURM_NTASKS_PER_NODE, SLURM_CPUS_PER_TASK and
# SLURM_MEM_PER_NODE of mpiexec, which starts a daemon per host by srun.
DAEMONS = [
    ({"nodes": 3, "ranks_per_node": 2, "threads": 2}, ["4", "none", "2", "none"]),
    ({"ranks": 5, "ranks_per_node": 2, "threads": 2}, ["none", "none", "none", "0"]),
    ({"ranks": 5, "threads": 2}, ["none", "none", "none", "0"]),
]


@pytest.mark.parametrize(("asked", "expected"), DAEMONS)
def test_daemons_of_mpiexec_get_all_cores_of_their_host(tmp_path, asked, expected):
    variables = {"SLURM_NTASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "2"}
    variables["SLURM_MEM_PER_CPU"] = "512"
    run_script(tmp_path, script("slurm", **asked), SHOW, "slurm", **variables)
    assert (tmp_path / "shown").read_text().split() == expected


# Hosts and slots of a job of five slots on any hosts -> whether it may start.
SLOTS = [("n1 3\nn2 2\n", True), ("n1 5\n", True), ("n1 3\nn2 1\n", False)]


@pytest.mark.parametrize(("hosts", "fine"), SLOTS)
def test_slots_of_grid_engine_on_any_hosts(tmp_path, hosts, fine):
    (tmp_path / "pe").write_text(hosts)
    text = script("sge", **request("sge", **ANY))
    ended = run_script(tmp_path, text, "exit 0", "sge", PE_HOSTFILE="pe")
    assert ("mpiapps: error: 5 slots requested, got:" in ended.stderr) != fine
    assert (tmp_path / "arguments").exists() == fine


@pytest.mark.parametrize("asked", [ANY, UNEVEN], ids=["any hosts", "uneven"])
def test_pbs_lists_each_host_once_to_mpich_and_keeps_its_file(tmp_path, asked):
    lines = "n2\nn1\nn2\nn1\nn3\n"
    (tmp_path / "nodes").write_text(lines)
    show = 'cat "$HYDRA_HOST_FILE" "$PBS_NODEFILE" >shown; exit 0'
    variables = {"PBS_NODEFILE": str(tmp_path / "nodes")}
    run_script(tmp_path, script("pbs", mpi="mpich", **asked), show, "pbs", **variables)
    assert launcher_arguments(tmp_path)[:2] == ["-n", "5"]
    assert (tmp_path / "shown").read_text() == "n2:2\nn1:2\nn3:1\n" + lines
