"""Replace names and secrets in texts that leave the site."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|api_?key|access_?key|private_?key|credential|auth",
    re.IGNORECASE,
)
HOST_VARIABLES = ("HOSTNAME", "HOST", "SLURMD_NODENAME", "SLURM_SUBMIT_HOST",
                  "SLURM_LAUNCH_NODE_IPADDR", "SLURM_JOB_NODELIST", "SLURM_NODELIST",
                  "SLURM_STEP_NODELIST", "PBS_O_HOST", "PBS_SERVER", "LSB_HOSTS",
                  "LSB_SUB_HOST", "SGE_O_HOST", "SSH_CONNECTION")  # fmt: skip
USER_VARIABLES = ("USER", "LOGNAME", "SLURM_JOB_USER", "PBS_O_LOGNAME",
                  "SGE_O_LOGNAME")  # fmt: skip
ACCOUNT_VARIABLES = ("SLURM_JOB_ACCOUNT", "SBATCH_ACCOUNT", "PBS_ACCOUNT",
                     "SGE_ACCOUNT", "LSB_PROJECT_NAME", "MAIL_USER")  # fmt: skip
COMMON = ("", "root", "localhost", "localhost.localdomain")
# Secrets by their form, and what replaces them.
PATTERNS = (
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
        "<secret>",
    ),
    (r"(\w+://)[^/\s:@\"']+:[^/\s@\"']+@", r"\1<secret>@"),
    (
        r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}"
        r"|hf_\w{20,}|pypi-[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)",
        "<secret>",
    ),
    (
        r"(?i)((?:[\w.-]*(?:token|secret|passw(?:or)?d|api_?key|access_?key"
        r"|credential)[\w.-]*)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;}]+",
        r"\1<secret>",
    ),
    (r"(?i)(\bauthorization\s*:\s*(?:bearer|basic)\s+)\S+", r"\1<secret>"),
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<mail>"),
    (r"(--mail-user[= ]|#\$ -M |#PBS -M |#BSUB -u )\S+", r"\1<mail>"),
    (
        r"(--account[= ]|#SBATCH -A |#PBS -A |#\$ -A |#BSUB -P )\S+",
        r"\1<account>",
    ),
)
ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")


class Redactor:
    """Replaces the same name by the same word in all texts.

    Parameters
    ----------
    environ : mapping
        Values of variables with names of secrets, hosts, users and accounts.
    users, hosts : iterable of str
        Further names.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        users: Iterable[str] = (),
        hosts: Iterable[str] = (),
    ) -> None:
        self._words: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._hosts = 0
        for name, value in environ.items():
            # Shorter values occur in words that are not secret.
            if SECRET_NAME.search(name) and len(value) >= 6:
                self._words[value] = "<secret>"
        for user in [*users, *(environ.get(name, "") for name in USER_VARIABLES)]:
            self._add(user, "USER")
        for name in ACCOUNT_VARIABLES:
            self._add(environ.get(name, ""), "<account>")
        self.add_hosts(hosts)
        for name in HOST_VARIABLES:
            self.add_hosts(environ.get(name, "").split())
        if (home := environ.get("HOME", "")) not in ("", "/", "/root"):
            self._words.setdefault(home, "~")

    def _add(self, word: str, replacement: str) -> None:
        if word not in COMMON and not word.isdigit():
            self._words.setdefault(word, replacement)

    def add_hosts(self, hosts: Iterable[str]) -> None:
        """Replace further hosts; a name and its first label are one host."""
        for host in hosts:
            short = host.partition(".")[0] if not ADDRESS.fullmatch(host) else host
            if short in COMMON or short.isdigit() or host in self._words:
                continue
            if short not in self._words:
                self._hosts += 1
                self._add(short, f"HOST{self._hosts}")
            self._add(host, self._words[short])

    def __call__(self, text: str) -> str:
        """Return the text without names and secrets."""
        for pattern, replacement in PATTERNS:
            text = re.sub(pattern, replacement, text)
        for word in sorted(self._words, key=len, reverse=True):
            pattern = rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"
            if self._words[word] == "<secret>":
                pattern = re.escape(word)
            text = re.sub(pattern, self._words[word].replace("\\", r"\\"), text)
        return ADDRESS.sub(self._address, text)

    def _address(self, match: re.Match[str]) -> str:
        address = match[1]
        octets = [int(part) for part in address.split(".")]
        if octets[0] in (0, 127) or max(octets) > 255:
            return address
        number = len(self._addresses) + 1
        return self._addresses.setdefault(address, f"ADDRESS{number}")


def hosts_of(text: str) -> set[str]:
    """Return the hosts that a JSON text, or lines of JSON, name as ``host``."""
    found: set[str] = set()
    for part in [text, *text.splitlines()]:
        try:
            _collect(json.loads(part), found)
        except ValueError:
            continue
    return found


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "host" and isinstance(item, str):
                found.add(item)
            elif name == "hosts" and isinstance(item, list):
                found.update(each for each in item if isinstance(each, str))
            else:
                _collect(item, found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, found)
