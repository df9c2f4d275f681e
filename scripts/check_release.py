"""Check that a tag, the package, CITATION.cff and CHANGELOG.md name one version.

usage: check_release.py TAG
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# file -> pattern of the version in it
PLACES = {
    "mpiapps/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## ([0-9]\S*)",
}


def versions(root: Path) -> dict[str, str]:
    """Return the version in each place, ``""`` if it has none."""
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (root / name).read_text(), re.MULTILINE)
        found[name] = match.group(1) if match else ""
    return found


def main(tag: str, root: Path = ROOT) -> int:
    """Print the places with another version than the tag; return 1 if there are any."""
    wrong = {
        name: version
        for name, version in versions(root).items()
        if f"v{version}" != tag
    }
    for name, version in wrong.items():
        print(f"{name} has version {version or '(none)'}; expected that of tag {tag}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
