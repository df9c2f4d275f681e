"""Traps in scripts that people have, and what each directive means."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.base.errors import UsageError
from mpiapps.batch.explain import explain
from mpiapps.batch.lint import all_rules, lint
from mpiapps.batch.options import NONE, OPTIONAL
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.scheduler import syntaxes
from mpiapps.batch.site import SCHEDULERS
from tests.batch.jobs import SITES, directives, script

# A script without a trap; a case below replaces or adds lines.
GOOD = """#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --time=1:30:00
#SBATCH --output=logs/%j.out
export OMP_NUM_THREADS=1
srun --mpi=pmix --kill-on-bad-exit=1 python -m mpiapps.pi
"""
SGE = """#!/bin/bash
#$ -cwd
#$ -l h_rt=1:00:00
#$ -pe mpi4 8
mpiexec -n 8 python x.py
"""
PBS = """#!/bin/bash
#PBS -l select=2:ncpus=4:mpiprocs=4
#PBS -l walltime=1:00:00
cd "$PBS_O_WORKDIR"
export OMP_NUM_THREADS=1
mpiexec -n 8 python x.py
"""
LSF = """#!/bin/bash
#BSUB -n 8
#BSUB -W 1:00
mpiexec -n 8 python x.py
"""

NODES = "#SBATCH --nodes=2\n"
CASES = [
    (
        "memory-twice",
        GOOD,
        (NODES, NODES + "#SBATCH --mem=1G\n#SBATCH --mem-per-cpu=1G\n"),
    ),
    ("short-time", GOOD, ("1:30:00", "1:30")),
    ("short-time", GOOD, ("--time=1:30:00", "-t 1:30")),
    ("short-time", PBS, ("1:00:00", "1:30")),
    ("no-time", GOOD, ("#SBATCH --time=1:30:00\n", "")),
    ("no-time", SGE, ("#$ -l h_rt=1:00:00\n", "")),
    ("no-time", LSF, ("#BSUB -W 1:00\n", "")),
    ("missing-directory", GOOD, ("logs/", "nowhere/")),
    ("missing-directory", SGE, ("#$ -cwd", "#$ -cwd\n#$ -o nowhere/x.out")),
    ("two-schedulers", GOOD, (NODES, NODES + "#BSUB -W 1:00\n")),
    ("late-directive", GOOD, ("export", "export A=1\n#SBATCH --mem=1G\nexport")),
    ("near-directive", GOOD, (NODES, NODES + "# SBATCH --mem=1G\n")),
    ("near-directive", GOOD, (NODES, NODES + "#sbatch --mem=1G\n")),
    ("no-interpreter", GOOD, ("#!/bin/bash\n", "")),
    ("memory-unit", GOOD, (NODES, NODES + "#SBATCH --mem=16\n")),
    ("short-time", GOOD, ("--time=1:30:00", "-t 1:30 -J x")),
    *(
        ("not-accepted", GOOD, (NODES, f"{NODES}#SBATCH {line}\n"))
        for line in (
            *(
                "--workdir=/tmp",
                "\u2013\u2013mem=1G",
                "--nodes = 2",
                "-N=2",
                "-N2 stray",
            ),
            *(
                "--time=2h",
                "--mem=16GiB",
                "--ntasks-per-node=four",
                "--mem",
                "--mail=x",
            ),
            *("--exclusive user", "-ntasks=4", "mem=1G", "-n 4k", "--comment='a"),
        )
    ),
    ("not-accepted", SGE, ("-cwd", "-cwd --output=x")),
    ("not-accepted", PBS, ("#PBS -l wall", "#PBS -Y 1\n#PBS -l wall")),
    ("not-accepted", LSF, ("#BSUB -n 8", "#BSUB -n 8 --mem=1")),
    ("unexpanded", GOOD, ("logs/%j", "logs/$USER")),
    ("carriage-return", GOOD, ("\n", "\r\n")),
    ("no-nodes", GOOD, (NODES, "#SBATCH --ntasks=8\n")),
    ("srun-mpi", GOOD, ("--mpi=pmix --kill-on-bad-exit=1 ", "")),
    ("srun-cpus", GOOD, (NODES, NODES + "#SBATCH --cpus-per-task=4\n")),
    ("srun-kill", GOOD, (" --kill-on-bad-exit=1", "")),
    (
        "threads",
        GOOD,
        ("export OMP_NUM_THREADS=1", "#SBATCH -c 4\nexport SRUN_CPUS_PER_TASK=4"),
    ),
    ("threads", PBS, ("export OMP_NUM_THREADS=1\n", "")),
    ("hardware-threads", GOOD, (NODES, NODES + "#SBATCH --hint=multithread\n")),
    ("gpu-isolation", GOOD, (NODES, NODES + "#SBATCH --gpus-per-task=1\n")),
    ("gpu-isolation", GOOD, (NODES, NODES + "#SBATCH --gpu-bind=closest\n")),
    ("gpu-isolation", GOOD, (NODES, NODES + "#SBATCH --ntasks-per-gpu=1\n")),
    (
        "gpu-isolation",
        GOOD,
        (NODES, NODES + "#SBATCH --tres-per-task=cpu=2,gres/gpu:a100:1\n"),
    ),
    (
        "gpu-isolation",
        GOOD,
        (NODES, NODES + "#SBATCH --tres-bind=gres/gpu:single:1\n"),
    ),
    ("gpu-isolation", LSF, ("-W 1:00", '-W 1:00\n#BSUB -gpu "num=1/task"')),
    ("hardware-threads", LSF, ("-n 8 py", "-n 8 --use-hwthread-cpus py")),
    ("array-limit", GOOD, (NODES, NODES + "#SBATCH --array=1-2000%4\n")),
    ("array-limit", PBS, ("#PBS -l wall", "#PBS -J 1-1\n#PBS -l wall")),
    ("signal", GOOD, (NODES, NODES + "#SBATCH --signal=B:USR1@60\n")),
    (
        "signal",
        GOOD,
        ("export", "#SBATCH --signal=USR1@60\nmpiexec true\nexport"),
    ),
    ("signal", SGE, ("#$ -cwd", "#$ -cwd\n#$ -notify")),
    ("lost-code", SGE, ("x.py\n", "x.py\necho done\n")),
    ("grid-engine-comment", SGE, ("#$ -cwd", "#$ -cwd\n#$HOME is shared")),
    ("grid-engine-slots", SGE, ("#$ -pe mpi4 8\n", "")),
    ("pbs-chunks", PBS, (":mpiprocs=4", "")),
    ("pbs-chunks", PBS, ("#PBS -l wall", "#PBS -l nodes=2:ppn=4\n#PBS -l wall")),
    ("pbs-directory", PBS, ('cd "$PBS_O_WORKDIR"\n', "")),
    ("environment", SGE, ("#$ -cwd", "#$ -cwd\n#$ -V")),
    ("environment", GOOD, (NODES, NODES + "#SBATCH --export=ALL\n")),
]


def found(text, directory):
    (directory / "logs").mkdir(exist_ok=True)
    return lint(text, directory)


@pytest.mark.parametrize("text", [GOOD, SGE, PBS, LSF])
def test_good_scripts_have_no_trap(tmp_path, text):
    assert found(text, tmp_path) == []


# What looks like a problem and is none.
FINE = [
    (GOOD, "#SBATCH --account=project_2001659"),
    (GOOD, "#SBATCH --job-name=run-a5000 -A p-99999"),
    (GOOD, "#SBATCH --array=1-1000:2%2000"),
    (GOOD, "#SBATCH --mem=1G   # not --mem-per-cpu=1G"),
    (GOOD, "##SBATCH --mem-per-cpu=1G\n#SBATCH --mem=0"),
    (GOOD, "##SBATCH --workdir=/tmp"),
    (GOOD, "#$PYTHON is the interpreter"),
    (GOOD, '#SBATCH --comment="a # b" -x n[1-3],n7 -H'),
    (GOOD, "#SBATCH --time=2-00:00:00 --part=long"),
    (GOOD, "#SBATCH\t-C\tib"),
    (SGE, "#$ -l h='!(n1|n2)',s_rt=0:50:00"),
    (PBS, "#PBS -W depend=afterok:1 -W umask=022"),
    (LSF, '#BSUB -R"select[mem>1000 && type==any]" -oo x.out'),
]
ALONE = """#!/bin/bash
#SBATCH --ntasks=1
#SBATCH --time=1:00:00
srun python x.py
srun --mpi=pmix python x.py
"""
# Two parts, each with a memory of its own kind.
PARTS = GOOD.replace("export", "#SBATCH --mem=1G\n#SBATCH hetjob\n{}\nexport")
PARTS = PARTS.format("#SBATCH --mem-per-cpu=1G -n 1")


@pytest.mark.parametrize(("text", "line"), FINE, ids=str)
def test_what_is_no_trap_is_not_found(tmp_path, text, line):
    first, rest = text.split("\n", 1)
    assert found(f"{first}\n{line}\n{rest}", tmp_path) == []


@pytest.mark.parametrize("text", [ALONE, PARTS], ids=["one task", "two parts"])
def test_one_task_and_parts_are_no_traps(tmp_path, text):
    assert found(text, tmp_path) == []


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--workdir=/tmp", "sbatch has --chdir"),
        ("--job_name=x", "sbatch has --job-name"),
        ("\u2013N 2", "not with a minus"),
        ("-N 2 two", "takes no other words"),
        ("--nodes = 2", "the value =, which is not a number"),
        ("--time=2h", "not a time, such as"),
        ("--mem", "--mem has no value"),
    ],
)
def test_what_is_refused_says_what_is_expected(tmp_path, line, hint):
    text = GOOD.replace(NODES, f"{NODES}#SBATCH {line}\n")
    (finding,) = found(text, tmp_path)
    assert hint in finding.text


# A directive line -> the options that it is read as.
READ = {
    "#SBATCH -N2 -n 8 --mem=4G # all": ["--nodes 2", "--ntasks 8", "--mem 4G"],
    "#SBATCH\t--time\t1:00": ["--time 1:00"],
    "#SBATCH -HN 2": ["--hold", "--nodes 2"],
    "#SBATCH--gres=gpu:2": ["--gres gpu:2"],
    "#SBATCH --exclusive=user -s": ["--exclusive user", "--oversubscribe"],
    "#SBATCH --comment='a b' -J\"c d\"": ["--comment a b", "--job-name c d"],
    "#SBATCH -N2#3": ["--nodes 2"],
    r"""#SBATCH --comment="it's \"so\"" -J a\#b # isn't it""": [
        *("""--comment it's "so\"""", "--job-name a#b")
    ],
    "#SBATCH hetjob": ["hetjob"],
    "#$-cwd": ["-cwd"],
    "#$ -pe mpi 8 -j y": ["-pe mpi 8", "-j y"],
    "#$ -binding linear:4 -l h_rt=1:0:0,gpu": [
        *("-binding linear:4", "-l h_rt 1:0:0", "-l gpu gpu")
    ],
    "#PBS -lnodes=2:ppn=4,walltime=1:00:00": [
        *("-l nodes 2:ppn=4", "-l walltime 1:00:00")
    ],
    "  #PBS -Nx": ["-N x"],
    '#BSUB -J "x[1-9]" -n4,8 -x': ["-J x[1-9]", "-n 4,8", "-x"],
}


@pytest.mark.parametrize("line", READ)
def test_a_line_is_read_as_its_scheduler_reads_it(line):
    (directives,) = filter(None, Script(f"#!\n{line}", syntaxes()).directives.values())
    assert [f"{e.name} {e.value}".strip() for e in directives] == READ[line]
    assert not any(each.fault for each in directives)
    assert [each.number for each in explain(line)] == [1] * len(READ[line])


@st.composite
def written(draw, scheduler):
    """Return options as texts, each in one of its forms, and what they are read as."""
    syntax = syntaxes()[scheduler]
    names = draw(st.lists(st.sampled_from(sorted(syntax.options)), max_size=6))
    texts, expected = [], []
    for name in names:
        option = syntax.options[name]
        if option.takes in (NONE, OPTIONAL) or not name.startswith("-") or " " in name:
            continue
        value = draw(st.sampled_from(["7", "1:30", "a b", "x#y", "it's"]))
        value = {"=": value, "T": "1:30"}.get(option.takes, "7")
        if option.names[0] == "-l":
            value = "walltime=7"
        quoted = f'"{value}"' if set(value) & set(" #'") else value
        marks = ["=", " ", "  ", "\t"] if name.startswith("--") else [" ", "\t"]
        marks += [""] if len(name) == 2 and syntax.attached else []
        texts.append(f"{name}{draw(st.sampled_from(marks))}{quoted}")
        resource = option.names[0] == "-l" and scheduler != "lsf"
        own = ("-l walltime", "7" if scheduler == "pbs" else value)
        expected.append(own if resource else (option.names[0], value))
    return texts, expected


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=40)
@given(data=st.data())
def test_options_are_read_alike_in_every_form(scheduler, data):
    texts, expected = data.draw(written(scheduler))
    prefix = syntaxes()[scheduler].prefix
    many = "".join(f"{prefix} {text} # why\n" for text in texts)
    for body in (many, f"{prefix} {' '.join(texts)}\t# -N 9\n"):
        read = Script(f"#!/bin/bash\n{body}true\n", syntaxes()).directives[scheduler]
        assert [(each.name, each.value) for each in read] == expected
        assert [each.fault for each in read] == [""] * len(expected)


@settings(max_examples=40)
@given(st.lists(st.text(), max_size=4), st.sampled_from(sorted(SCHEDULERS)))
def test_any_text_is_looked_at(texts, scheduler):
    prefix = syntaxes()[scheduler].prefix
    text = "#!\n" + "\n".join(f"{prefix} -{each}" for each in texts) + "\nsrun -n 2 x"
    count = len(text.splitlines())
    assert all(0 <= each.line <= count for each in lint(text, Path("/")))
    if any(Script(text, syntaxes()).directives.values()):
        assert all(1 <= each.number <= count for each in explain(text))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_each_trap_is_found_alone_with_a_remedy(tmp_path, case):
    name, text, (old, new) = case
    assert old in text
    each = found(text.replace(old, new), tmp_path)
    assert {finding.rule for finding in each} == {name}
    assert all(finding.remedy and finding.text for finding in each)


def test_every_trap_has_a_case():
    assert {case[0] for case in CASES} == {rule.name for rule in all_rules()}


def test_the_line_is_told(tmp_path):
    (finding,) = found(GOOD.replace("1:30:00", "1:30"), tmp_path)
    assert finding.line == 4
    assert finding.text == "1:30 is 1 min 30 s"


# Requests that reach every directive.
REQUESTS = [
    {},
    {"nodes": 2, "ranks_per_node": 4, "memory": 2**30, "time": 5400},
    {"nodes": 2, "ranks_per_node": 2, "threads": 2, "array": "1-9:2%3", "gpus": "2"},
    {
        "mail_user": "a@b.org",
        "account": "a",
        "queue": "q",
        "dependency": "any:12,13",
    },
]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_rendered_scripts_have_no_trap_and_are_explained(tmp_path, scheduler, request_):
    text = script(scheduler, **request_)
    assert found(text, tmp_path) == []
    explained = explain(text)
    assert len(explained) == len(directives(text))
    for line in explained:
        assert "not explained" not in line.meaning, line
        assert "Not accepted" not in line.meaning, line
        assert "(no value)" not in line.meaning, line
        assert text.splitlines()[line.number - 1] == line.text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("#SBATCH -t 1:30", "90 seconds"),
        ("#SBATCH --mem=4G", "Memory per host: 4G"),
        ("#SBATCH --frobnicate=1", "Not accepted: --frobnicate is not an option of"),
        ("#SBATCH nodes=1", "Not accepted: nodes=1 is not an option"),
        ("#SBATCH --mcs-label=x", "not explained"),
        ("#SBATCH --gres=gpu:a100:2", "gpu:a100:2"),
        ("#SBATCH --gpus=2", "GPUs in total: 2"),
        ("#SBATCH --qos=long", "Quality of service: long"),
        ("#SBATCH -x n[1-3]", "Exclude these hosts: n[1-3]"),
        ("#SBATCH -w n1", "n1"),
        ("#SBATCH --reservation=r", "reservation r"),
        ("#SBATCH -e err.txt", "error: err.txt"),
        ("#SBATCH -N2   # two", "Hosts: 2;"),
        ("#SBATCH packjob", "heterogeneous"),
        ("#$ -pe mpi 8", "slots: mpi 8"),
        ("#$ -l h_vmem=4G", "Resources: h_vmem=4G"),
        ("#PBS -l select=2:ncpus=4", "Chunks: 2:ncpus=4"),
        ("#PBS -l walltime=1:00:00", "Time limit: 1:00:00"),
        ("#BSUB -W 1:00", "Time limit: 1:00"),
    ],
)
def test_the_meaning_of_a_line(line, says):
    (found,) = explain(f"#!/bin/bash\n{line}\n")
    assert says in found.meaning


def test_what_comes_after_the_first_command_is_explained_as_ignored():
    first, late = explain("#!/bin/bash\n#SBATCH -N 2\ntrue\n#SBATCH -n 2 -c 2\n")
    assert first.meaning.startswith("Hosts: 2")
    assert (late.number, late.meaning.split(":")[0]) == (4, "Ignored")


def test_a_script_without_directives_has_nothing_to_explain():
    with pytest.raises(UsageError, match="begin with #SBATCH"):
        explain("#!/bin/bash\necho hello\n")


def test_the_sites_limit_of_arrays_counts(tmp_path):
    (tmp_path / "logs").mkdir()
    text = GOOD.replace(NODES, NODES + "#SBATCH --array=1-2000\n")
    assert lint(text, tmp_path, max_array=2001) == []
    assert SITES["slurm"].max_array == 1001
