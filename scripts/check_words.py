"""Fail if a word that the project no longer uses is in its code or docs.

usage: check_words.py

One word for one thing: WORDS has the old word, a regular expression, and the new one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKED = ("mpiapps/**/*.py", "mpiapps/**/*.sh", "mpiapps/**/*.j2", "docs/**/*.md",
           "jobs/**/*", "scripts/**/*", "tests/cluster/**/*", "*.md")  # fmt: skip
WORDS = {
    r"nurser(y|ies)": "supervisor",
    r"\bkeepers?\b": "host process, or node agent",
    r"\bLetters\b": "MessageChannel",
    r"take[-_]over": "force unlock",
    r"(?<!there )\bis no (?!longer|such)[a-z]+": "is not a",
    r"\bwhoever\b": "the rank (process, caller) that",
    r"\blockstep\b": "collective checkpoint",
    r"\bdealt?\b": "distribute",
    r"\b(farming|filework|dasking|learning)[./]": "taskfarm, fileops, dask_cluster",
}


def findings() -> Iterator[str]:
    """Yield a line for each old word."""
    for pattern in CHECKED:
        for path in sorted(ROOT.glob(pattern)):
            if path == Path(__file__) or path.suffix == ".pyc" or path.is_dir():
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for word, better in WORDS.items():
                    if match := re.search(word, line):
                        place = f"{path.relative_to(ROOT)}:{number}"
                        yield f"{place}: {match[0]!r}: use {better}"


def main() -> int:
    """Print the findings; return 1 if there are any."""
    lines = list(findings())
    print("\n".join(lines), end="\n" if lines else "")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
