"""Texts that break what handles them carelessly; {canary} is a file none may make."""

TEMPLATES = [
    "a b",
    " leading",
    "trailing ",
    "",
    "'",
    '"',
    "\\",
    "a'b\"c",
    "'; touch {canary}; '",
    '"; touch {canary}; "',
    "$(touch {canary})",
    "`touch {canary}`",
    "${{IFS}}",
    "$HOME",
    "$0",
    "!!",
    "#",
    "# SBATCH --mem=1",
    "#SBATCH --mem=1",
    "#$ -l h_rt=1",
    "&& touch {canary}",
    "| touch {canary}",
    "> {canary}",
    "< /etc/passwd",
    "*",
    "?[a-z]",
    "~root",
    "{{1..3}}",
    "-",
    "--",
    "-n 4",
    "--wrap=touch {canary}",
    "%j %x",
    "é ü 中文 🎲",
    "\u202egnp",
    "a\nb",
    "a\n#SBATCH --mem=1",
    "a\rb",
    "\x1b[31m",
    "\x00",
]


def hostile(canary: str) -> list[str]:
    """Return the texts, with the canary's path in them."""
    return [template.format(canary=canary) for template in TEMPLATES]


def carried(text: str) -> bool:
    """Return whether a job script can carry the text: no control characters."""
    return all(sign >= " " and sign != "\x7f" for sign in text)
