"""The description on PyPI: README without relative links, which lead nowhere there."""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
RELATIVE_LINK = r"\[([^]]+)\]\((?!https?:)[^)]*\)"

setup(
    long_description=re.sub(RELATIVE_LINK, r"\1", README),
    long_description_content_type="text/markdown",
)
