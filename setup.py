"""What depends on where the project is published: links of the description, URLs.

MPIAPPS_REPOSITORY is its address, such as https://github.com/lab/mpiapps. Without one
the description has no relative links, as they lead nowhere on PyPI.
"""

import os
import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
RELATIVE_LINK = r"\[([^]]+)\]\((?!https?:)([^)]*)\)"
REPOSITORY = os.environ.get("MPIAPPS_REPOSITORY", "")
PAGES = {
    "Documentation": "/tree/HEAD/docs",
    "Source": "",
    "Issues": "/issues",
    "Changelog": "/blob/HEAD/CHANGELOG.md",
}

absolute = rf"[\1]({REPOSITORY}/blob/HEAD/\2)" if REPOSITORY else r"\1"
setup(
    long_description=re.sub(RELATIVE_LINK, absolute, README),
    long_description_content_type="text/markdown",
    project_urls={
        name: REPOSITORY + path for name, path in PAGES.items() if REPOSITORY
    },
)
