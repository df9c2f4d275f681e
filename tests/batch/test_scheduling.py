"""Scheduling options: the same request in four syntaxes, or why there is none."""

import re
import subprocess
from dataclasses import replace
from datetime import datetime

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.explain import explain
from mpiapps.batch.lint import lint
from mpiapps.batch.request_values import (
    expand_hosts,
    local_time,
    mail_events,
    parse_gpus,
    parse_mail_types,
    parse_memory,
    parse_moment,
)
from mpiapps.batch.scheduler import load_scheduler
from mpiapps.batch.site import SCHEDULERS
from mpiapps.cli import main
from tests.batch.jobs import SITES, directives, script

SHAPE = {"nodes": 2, "ranks_per_node": 4}
CHUNK = "ncpus=4:mpiprocs=4:ompthreads=1"

# A request, and its directives by scheduler; a text in a set is part of a refusal.
CASES = [
    (
        {"qos": "long"},
        {
            "slurm": ["--qos=long"],
            "sge": {"qsub has no quality of service; select a queue by --queue"},
            "pbs": {"qsub of PBS has no quality of service"},
            "lsf": ["-sla long"],
        },
    ),
    (
        {"constraint": "ib&cpu=zen4"},
        {
            "slurm": ["--constraint=ib&cpu=zen4"],
            "sge": ["-l ib=true", "-l cpu=zen4"],
            "pbs": [f"-l select=2:{CHUNK}:ib=True:cpu=zen4"],
            "lsf": ['-R "select[ib && cpu==zen4]"'],
        },
    ),
    (
        {"constraint": "(ib|opa)&!old"},
        {
            "slurm": ["--constraint=(ib|opa)&!old"],
            "sge": {"Grid Engine combines features only by &"},
            "pbs": {"PBS combines features only by &"},
            "lsf": ['-R "select[(ib || opa) && !old]"'],
        },
    ),
    (
        {"constraint": "[rack1*1&rack2*1]"},
        {
            "slurm": ["--constraint=[rack1*1&rack2*1]"],
            "sge": {"only by &"},
            "pbs": {"only by &"},
            "lsf": {"no counts and no brackets"},
        },
    ),
    (
        {"exclusive": True},
        {
            "slurm": ["--exclusive"],
            "sge": ["-l exclusive=true"],
            "pbs": ["-l place=scatter:exclhost"],
            "lsf": ["-x"],
        },
    ),
    (
        {"gpus": "a100:2"},
        {
            "slurm": ["--gpus-per-node=a100:8"],
            "sge": ["-l gpu=2", "-l gpu_type=a100"],
            "pbs": [f"-l select=2:{CHUNK}:ngpus=8:gpu_model=a100"],
            "lsf": ['-gpu "num=8/host:gmodel=a100"'],
        },
    ),
    (
        {"gpus": "1"},
        {
            "slurm": ["--gpus-per-node=4"],
            "sge": ["-l gpu=1"],
            "pbs": [f"-l select=2:{CHUNK}:ngpus=4"],
            "lsf": ['-gpu "num=4/host"'],
        },
    ),
    (
        {"gpus": "8/node"},
        {
            "slurm": ["--gpus-per-node=8"],
            "sge": ["-l gpu=2"],
            "pbs": [f"-l select=2:{CHUNK}:ngpus=8"],
            "lsf": ['-gpu "num=8/host"'],
        },
    ),
    (
        {"gpus": "a100:2/node"},
        {
            "slurm": ["--gpus-per-node=a100:2"],
            "sge": {"these are for 4 slots; request as many GPUs as slots"},
            "pbs": [f"-l select=2:{CHUNK}:ngpus=2:gpu_model=a100"],
            "lsf": ['-gpu "num=2/host:gmodel=a100"'],
        },
    ),
    (
        {"gpu_mps": True, "gpus": "a100:4/node"},
        {
            "slurm": ["--gpus-per-node=a100:4"],
            "sge": ["-l gpu=1", "-l gpu_type=a100"],
            "pbs": {"on PBS the script starts MPS on its own host alone"},
            "lsf": ['-gpu "num=4/host:mps=yes:gmodel=a100"'],
        },
    ),
    (
        {"nodelist": "n[1-2]"},
        {
            "slurm": ["--nodelist=n[1-2]"],
            "sge": ["-l h=n1|n2"],
            "pbs": [f"-l select=1:{CHUNK}:host=n1+1:{CHUNK}:host=n2"],
            "lsf": ['-m "n1 n2"'],
        },
    ),
    (
        {"nodelist": "n1"},
        {
            "slurm": ["--nodelist=n1"],
            "sge": {"Grid Engine uses the listed hosts and no others; list 2 hosts"},
            "pbs": [f"-l select=1:{CHUNK}:host=n1+1:{CHUNK}"],
            "lsf": {"LSF uses the listed hosts and no others; list 2 hosts"},
        },
    ),
    (
        {"exclude": "n[07-08],m"},
        {
            "slurm": ["--exclude=n[07-08],m"],
            "sge": ["-l h=!(n07|n08|m)"],
            "pbs": {"cannot exclude hosts; select others by --constraint"},
            "lsf": ["-R \"select[hname!='n07' && hname!='n08' && hname!='m']\""],
        },
    ),
    (
        {"reservation": "R12"},
        {
            "slurm": ["--reservation=R12"],
            "sge": ["-ar R12"],
            "pbs": ["-q R12"],
            "lsf": ["-U R12"],
        },
    ),
    (
        {"licenses": "matlab:2,ansys"},
        {
            "slurm": ["--licenses=matlab:2,ansys"],
            "sge": {"multiplies a resource by the slots of the job"},
            "pbs": ["-l matlab=2", "-l ansys=1"],
            "lsf": ['-R "rusage[matlab=2,ansys=1]"'],
        },
    ),
    (
        {"queue": "fast,long"},
        {
            "slurm": ["--partition=fast,long"],
            "sge": ["-q fast,long"],
            "pbs": {"a job of PBS has one queue"},
            "lsf": ['-q "fast long"'],
        },
    ),
    (
        {"begin": "2026-12-01T08:30:00"},
        {
            "slurm": ["--begin=2026-12-01T08:30:00"],
            "sge": ["-a 202612010830"],
            "pbs": ["-a 202612010830"],
            "lsf": ["-b 2026:12:01:08:30"],
        },
    ),
    (
        {"deadline": "2026-12-01T08:30:00"},
        {
            "slurm": ["--deadline=2026-12-01T08:30:00"],
            "sge": {"-dl"},
            "pbs": {"has no deadline; use --time"},
            "lsf": ["-t 2026:12:01:08:30"],
        },
    ),
    (
        {"nice": 100},
        {
            "slurm": ["--nice=100"],
            "sge": ["-p -100"],
            "pbs": ["-p -100"],
            "lsf": {"--directive='-sp PRIORITY'"},
        },
    ),
    (
        {"nice": 5000},
        {
            "slurm": ["--nice=5000"],
            "sge": {"maximum of Grid Engine is 1023"},
            "pbs": {"maximum of PBS is 1024"},
            "lsf": {"MAX_USER_PRIORITY"},
        },
    ),
    (
        {"comment": "paper_2"},
        {
            "slurm": ['--comment="paper_2"'],
            "sge": ["-ac comment=paper_2"],
            "pbs": {"reserves comments for operators"},
            "lsf": ['-Jd "paper_2"'],
        },
    ),
    (
        {"comment": "for the paper"},
        {
            "slurm": ['--comment="for the paper"'],
            "sge": {"without blanks"},
            "pbs": {"reserves comments"},
            "lsf": ['-Jd "for the paper"'],
        },
    ),
    (
        {"clusters": "a,b"},
        {
            "slurm": ["--clusters=a,b"],
            "sge": {"submits to its own cell"},
            "pbs": {"--queue QUEUE@SERVER"},
            "lsf": ['-clusters "a b"'],
        },
    ),
    (
        {"mail_type": "begin,fail", "mail_user": "a@b.org"},
        {
            "slurm": ["--mail-type=BEGIN,FAIL", "--mail-user=a@b.org"],
            "sge": ["-m ba", "-M a@b.org"],
            "pbs": ["-m ba", "-M a@b.org"],
            "lsf": ["-B", "-Ne", "-u a@b.org"],
        },
    ),
    (
        {"mail_type": "all"},
        {
            "slurm": ["--mail-type=ALL"],
            "sge": ["-m bea"],
            "pbs": ["-m bea"],
            "lsf": ["-B", "-N"],
        },
    ),
    (
        {"mail_type": "time_limit_80"},
        {
            "slurm": ["--mail-type=TIME_LIMIT_80"],
            "sge": {"only Slurm has time_limit_80; use begin, end, fail"},
            "pbs": {"only Slurm has time_limit_80"},
            "lsf": {"only Slurm has time_limit_80"},
        },
    ),
    (
        {"mail_user": "a@b.org"},
        {
            "slurm": ["--mail-type=END,FAIL", "--mail-user=a@b.org"],
            "sge": ["-m ea", "-M a@b.org"],
            "pbs": ["-m ea", "-M a@b.org"],
            "lsf": ["-N", "-u a@b.org"],
        },
    ),
]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(("asked", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_an_option_is_lowered_or_refused_with_a_reason(scheduler, asked, expected):
    if isinstance(expected[scheduler], set):
        (reason,) = expected[scheduler]
        option = "--" + next(iter(asked)).replace("_", "-")
        with pytest.raises(UsageError, match=f"^{option}[ :].*{re.escape(reason)}"):
            script(scheduler, **SHAPE, **asked)
    else:
        without = directives(script(scheduler, **SHAPE))
        lines = directives(script(scheduler, **SHAPE, **asked))
        assert [line for line in lines if line not in without] == expected[scheduler]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_lint_and_explain_know_each_directive(scheduler, tmp_path):
    (tmp_path / "logs").mkdir()
    for asked, expected in CASES:
        if isinstance(expected[scheduler], set):
            continue
        text = script(scheduler, **SHAPE, **asked)
        assert lint(text, tmp_path) == []
        lines = explain(text)
        assert len(lines) == len(directives(text))
        for line in lines:
            assert "not explained" not in line.meaning, line
            assert "Not accepted" not in line.meaning, line


BEGINS = {
    "slurm": "--begin=2026-12-01T08:30:00",
    "sge": "-a 202612010830",
    "pbs": "-a 202612010830",
    "lsf": "-b 2026:12:01:08:30",
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_next_job_of_a_chain_begins_at_once(scheduler):
    asked = {"begin": "2026-12-01T08:30:00", "dependency": "any:12", "account": "a"}
    text = script(scheduler, **asked)
    library = load_scheduler(scheduler).library.read_text()
    (pattern,) = re.findall(r"job_unchained='(.*)'", library)
    grep = ["grep", "-v", f"^{pattern}"]
    ended = subprocess.run(grep, input=text, capture_output=True, text=True, check=True)
    removed = set(directives(text)) - set(directives(ended.stdout))
    assert BEGINS[scheduler] in removed
    assert {re.split("[ =]", line)[0] for line in removed} <= {
        *("--begin", "--dependency", "--kill-on-invalid-dep"),
        *("-a", "-b", "-hold_jid", "-w", "-W"),
    }
    assert len(removed) == (3 if scheduler == "slurm" else 2)


def test_hosts_and_queues_that_contradict():
    both = {"nodelist": "n[1-2]", "exclude": "n2,n9"}
    with pytest.raises(UsageError, match="n2 is in both"):
        script("slurm", **SHAPE, **both)
    with pytest.raises(UsageError, match=r"has 3 hosts.*--nodes is 2"):
        script("slurm", **SHAPE, nodelist="n[1-3]")
    with pytest.raises(UsageError, match="leave out --queue long"):
        script("pbs", **SHAPE, reservation="R12", queue="long")
    site = replace(SITES["pbs"], queue="workq")
    lines = directives(script("pbs", site=site, **SHAPE, reservation="R12.server"))
    assert [line for line in lines if line.startswith("-q")] == ["-q R12"]
    for scheduler in ("sge", "lsf"):  # all hosts are listed, so no others are used
        text = script(scheduler, **SHAPE, nodelist="n[1-2]", exclude="n9")
        assert "n9" not in text


def test_a_license_for_one_slot_of_grid_engine():
    assert "-l matlab=2" in directives(script("sge", licenses="matlab:2"))


@pytest.mark.parametrize(
    ("scheduler", "asked", "says"),
    [
        ("sge", {"exclusive": True}, "exclusive_resource"),
        ("sge", {"gpus": "2"}, "gpu_resource"),
        ("pbs", {"gpus": "a100:2"}, "gpu_type_resource"),
    ],
)
def test_a_resource_that_the_site_file_must_name(scheduler, asked, says):
    site = replace(
        SITES[scheduler],
        exclusive_resource="",
        gpu_resource="",
        gpu_type_resource="",
    )
    with pytest.raises(UsageError, match=says):
        script(scheduler, site=site, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"qos": "a b"},
        {"qos": "$(x)"},
        {"constraint": "a b"},
        {"constraint": "a;b"},
        {"nodelist": "n[1-"},
        {"nodelist": "n[3-1]"},
        {"exclude": "n1;n2"},
        {"exclude": "n[1-999999999]"},
        {"licenses": "2:matlab"},
        {"comment": 'a"b'},
        {"comment": "a#b"},
        {"comment": "`x`"},
        {"gpus": "two"},
        {"begin": "16:00"},
        {"mail_type": "end fail"},
        {"reservation": "a\nb"},
    ],
    ids=str,
)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_values_that_no_directive_can_hold(scheduler, asked):
    with pytest.raises(UsageError):
        script(scheduler, **asked)


def test_lists_of_hosts():
    assert expand_hosts("n1") == ["n1"]
    assert expand_hosts("n[08-10,12],gpu-1.x") == [
        "n08",
        "n09",
        "n10",
        "n12",
        "gpu-1.x",
    ]
    assert expand_hosts("r[1-2]n[1-2]") == ["r1n1", "r1n2", "r2n1", "r2n2"]
    assert expand_hosts("n1,n1") == ["n1"]
    for text in ("", "n[]", "n[a]", "n[1-2", "n[2-1]", ",n1", "r[1-999]n[1-999]"):
        with pytest.raises(ValueError, match=r"list of|has over"):
            expand_hosts(text)


def test_moments():
    assert parse_moment("2026-12-01 08:00") == "2026-12-01T08:00:00"
    assert (
        parse_moment("2h") == parse_moment("now+2h") == parse_moment("+2h") == "+7200"
    )
    for text in ("16:00", "tomorrow", "2026-13-01T00:00", "20", "2026-12-01"):
        with pytest.raises(ValueError, match="write 2026-12-01T08:00, or a delay"):
            parse_moment(text)
    now = datetime(2026, 12, 31, 23, 59, 1)
    assert local_time("+60", now) == datetime(2027, 1, 1, 0, 1)
    assert local_time("+0", datetime(2026, 1, 1)) == datetime(2026, 1, 1)
    assert local_time("2026-12-01T08:00:30") == datetime(2026, 12, 1, 8, 1)
    assert "--begin=now+7200" in directives(script("slurm", begin="+7200"))


@pytest.mark.parametrize("text", ["4G", "4g", "4GiB", "4GB", "4gb", "4096M", "4096mb"])
def test_memory_as_users_of_each_scheduler_write_it(text):
    assert parse_memory(text) == 4 * 2**30


def test_memory_without_a_unit_names_the_readings():
    with pytest.raises(ValueError, match=r"Slurm reads 4000 MiB.* PBS 4000 bytes"):
        parse_memory("4000")
    assert parse_memory("0") == 0
    with pytest.raises(ValueError, match="unknown unit 'x'"):
        parse_memory("4X")


def test_gpus_and_mail_events():
    assert parse_gpus("a100:2") == "a100:2"
    assert parse_gpus("a100:2/node") == "a100:2/node"
    assert parse_gpus("0") == parse_gpus("0/node") == ""
    for text in ("a100", "-1", "65", "a b:1", ":1", "1.5", "1/task"):
        with pytest.raises(ValueError, match="write N or TYPE:N"):
            parse_gpus(text)
    assert parse_mail_types("END,FAIL,end") == "end,fail"
    assert mail_events("all,requeue") == {"begin", "end", "fail", "requeue"}
    with pytest.raises(ValueError, match="'done' is not an event"):
        parse_mail_types("done")
    with pytest.raises(ValueError, match="leave one"):
        parse_mail_types("none,end")


def test_options_as_users_type_them(capsys):
    words = ["render", "pi", "--scheduler", "slurm", "--partition", "a,b"]
    words += ["--gpus", "a100:1", "--memory", "4000M", "--exclusive", "--nice", "5"]
    words += ["--begin", "now+2h", "--mail-type", "END", "--exclude", "n[1-2]"]
    words += ["--directive", "--switches=1", "--directive", "--nice=7"]
    assert main(words) == 0
    lines = directives(capsys.readouterr().out)
    expected = ["--partition=a,b", "--gpus-per-node=a100:1", "--mem=4000M"]
    expected += ["--exclusive", "--nice=5", "--begin=now+7200", "--mail-type=END"]
    expected += ["--exclude=n[1-2]", "--switches=1", "--nice=7"]
    assert set(expected) <= set(lines)


def test_a_scheduler_without_a_row_refuses_the_option(monkeypatch):
    monkeypatch.setattr("mpiapps.batch.lsf.Lsf.lowerings", {})
    with pytest.raises(UsageError, match=r"^--qos 'x': .*lsf.*--directive=OPTION"):
        script("lsf", qos="x")
    with pytest.raises(UsageError, match=r"^--mail-type 'begin'"):
        script("lsf", mail_type="begin")
    script("lsf", mail_user="a@b.org")  # whose events nobody asked for
