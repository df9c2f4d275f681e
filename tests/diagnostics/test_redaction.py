"""Names and secrets do not leave the site in a bug report."""

import json

import pytest

from mpiapps.diagnostics.redaction import Redactor, hosts_of

ENVIRON = {
    "USER": "alice",
    "HOME": "/home/alice",
    "API_TOKEN": "abcdef123456",
    "SLURM_SUBMIT_HOST": "login1.site.org",
    "SLURM_JOB_ACCOUNT": "proj42",
    "SLURM_NTASKS": "16",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/alice/x and /scratch/alice/y", "~/x and /scratch/USER/y"),
        ("malice stays", "malice stays"),
        ("on login1.site.org, login1", "on HOST1, HOST1"),
        ("key abcdef123456!", "key <secret>!"),
        ("xabcdef123456x", "x<secret>x"),
        ("#SBATCH --account=other", "#SBATCH --account=<account>"),
        ("charged to proj42", "charged to <account>"),
        ("#SBATCH --mail-user=a", "#SBATCH --mail-user=<mail>"),
        ("write to bob.b@uni.edu now", "write to <mail> now"),
        ("https://bob:pw12@host/x", "https://<secret>@host/x"),
        ("export MY_PASSWORD='hunter2'", "export MY_PASSWORD='<secret>'"),
        ('{"access_key": "xyz"}', '{"access_key": "<secret>"}'),
        ("ghp_" + "a" * 36, "<secret>"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer <secret>"),
        ("tcp://10.1.2.3:99 10.1.2.4 10.1.2.3", "tcp://ADDRESS1:99 ADDRESS2 ADDRESS1"),
        ("127.0.0.1 and 2021.18.1.0 stay", "127.0.0.1 and 2021.18.1.0 stay"),
        ("SLURM_NTASKS=16", "SLURM_NTASKS=16"),
    ],
)
def test_names_and_secrets(text, expected):
    assert Redactor(ENVIRON)(text) == expected


def test_a_private_key():
    key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
    assert Redactor({})(f"before {key} after") == "before <secret> after"


def test_hosts_of_records_have_one_number_each():
    record = {
        "ranks": [{"host": "n1"}, {"host": "n2.site"}],
        "clocks": {"hosts": ["n3"]},
    }
    lines = '{"event": "start", "host": "n4"}\nnot JSON\n'
    hosts = hosts_of(json.dumps(record)) | hosts_of(lines)
    assert hosts == {"n1", "n2.site", "n3", "n4"}
    redact = Redactor({}, hosts=sorted(hosts))
    assert redact("n1 n2 n2.site n3 n10") == "HOST1 HOST2 HOST2 HOST3 n10"
