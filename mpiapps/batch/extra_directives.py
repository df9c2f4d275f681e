"""Check the further directives of a job: of its site file and of ``--directive``."""

from __future__ import annotations

import re

from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.directive_parser import Directive, read_line
from mpiapps.batch.options import NAME, DirectiveSyntax
from mpiapps.batch.request import Job

# A comment for bash, without characters that a scheduler may execute or cut at.
LINE = re.compile(r"--?[A-Za-z@][A-Za-z0-9_.,:=@%+/^ $&()*\"'\[\]{}|<>!~?-]*")


def check_directives(job: Job, syntax: DirectiveSyntax) -> None:
    """Raise `UsageError` if the scheduler rejects one, or if the script sets it."""
    for text in job.directives:
        requested = text in job.request.directive
        origin = "--directive" if requested else f"directives of site {job.site.name}:"
        if problem := _problem(syntax, text):
            raise UsageError(f"{origin} {quoting.printable(text)}: {problem}")


def _problem(syntax: DirectiveSyntax, text: str) -> str:
    """Return why `text` cannot be a directive; empty if it can."""
    if not LINE.fullmatch(text):
        wrong = next((char for char in text if not LINE.fullmatch(f"-a{char}")), "")
        problem = (
            f"has {quoting.printable(wrong)}" if wrong else "does not begin with -"
        )
        expected = "write options with their values, in ASCII and without ` ; # \\"
        return f"it {problem}; {expected}"
    problems = (_option_problem(syntax, option) for option in read_line(syntax, text))
    return next(filter(None, problems), "")


def _option_problem(syntax: DirectiveSyntax, directive: Directive) -> str:
    # An unknown option may be one of the site's plugins.
    if directive.fault and (directive.option or not directive.name.startswith("-")):
        return directive.fault
    reserved = {
        name: option
        for option, names in syntax.reserved.items()
        for name in NAME.findall(names)
    }
    part = f"{directive.name} {directive.value.partition('=')[0]}"  # -W depend=...
    name = part if part in reserved else directive.name
    if name not in reserved:
        return ""
    remedy = f"use {reserved[name]} of mpiapps" if reserved[name] else "remove it"
    return f"{name} of {syntax.command} is set by the script; {remedy}"
