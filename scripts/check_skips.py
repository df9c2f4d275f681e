"""Fail if a test was skipped in every lane of the last run: check_skips.py DIRECTORY.

Reads the JUnit files of all lanes. A test may be skipped in one lane and run in
another; a test that no lane runs would break unnoticed.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(directory: str) -> int:
    """Print the tests that no lane ran; return 1 if there are any."""
    skipped: set[str] = set()
    ran: set[str] = set()
    files = sorted(Path(directory).glob("*.xml"))
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            (skipped if case.find("skipped") is not None else ran).add(name)
    never = sorted(skipped - ran)
    for name in never:
        print(f"skipped in every lane: {name}")
    print(f"{len(ran)} tests ran in {len(files)} reports, {len(never)} in none")
    return 1 if never or not ran else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
