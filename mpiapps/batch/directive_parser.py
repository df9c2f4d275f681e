"""Parse the directives of a job script as sbatch, qsub and bsub do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mpiapps.batch.options import (
    NONE,
    OPTIONAL,
    PATTERNS,
    WORDS,
    DirectiveSyntax,
    Option,
)

# A text in quotes, or a character after a backslash, as sbatch reads it.
QUOTED = re.compile(r"""\\(\S)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""")
# A word of a directive, quotes included; an unclosed quote extends to the end.
WORD = re.compile(rf"""\s*((?:[^\s"'\\#]|{QUOTED.pattern}|\\|["'].*)+)""")
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"  # replacements of - by text editors


@dataclass(frozen=True)
class Directive:
    """One option on a directive line.

    Attributes
    ----------
    line : int
    text : str
        The option as written.
    name : str
        The first of its names; of a resource ``-l walltime``.
    value : str
        Without quotes; empty if it has none.
    option : Option, optional
        `None` if the scheduler has no such option.
    fault : str
        Why the scheduler rejects it; empty if it does not.
    component : int
        Its component of a heterogeneous job.
    """

    line: int
    text: str
    name: str
    value: str = ""
    option: Option | None = None
    fault: str = ""
    component: int = 0


def split_words(text: str) -> list[str]:
    """Return the words of a directive up to its comment, quotes included."""
    words, position = [], 0
    while match := WORD.match(text, position):
        words.append(match[1])
        position = match.end()
    return words


def read_line(syntax: DirectiveSyntax, text: str) -> list[Directive]:
    """Return the options on the directive `text`, without its prefix.

    A rejected option is the last one, since schedulers stop there.
    """
    words = split_words(text.strip())
    if any(re.search("[\"']", QUOTED.sub("", word)) for word in words):
        return [Directive(0, text.strip(), "", fault="a quote is not closed")]
    directives: list[Directive] = []
    while words and not (directives and directives[-1].fault):
        directives += _split_resources(syntax, _next_option(syntax, words))
    return directives


def read_lines(
    syntax: DirectiveSyntax, lines: list[tuple[int, str]]
) -> list[Directive]:
    """Return the options on numbered directive lines without prefix."""
    directives, component = [], 0
    for number, text in lines:
        for directive in read_line(syntax, text):
            component += directive.name == "hetjob"
            directives.append(replace(directive, line=number, component=component))
    return directives


def _next_option(syntax: DirectiveSyntax, words: list[str]) -> Directive:
    """Remove the next option and its value from `words`, and return them."""
    text = words.pop(0)
    plain = _unquote(text)
    name, attached = _split_value(syntax, plain)
    option = syntax.options.get(name)
    if option is None:
        return Directive(0, text, name, fault=_unknown_option(syntax, plain))
    value = attached or ""
    if option.takes == NONE and attached and not plain.startswith("--"):
        words.insert(0, f"-{attached}")  # -HN 2 is -H -N 2
        value, text = "", name
    elif option.takes not in (NONE, OPTIONAL) and attached is None:
        count = len(words) if option.takes == WORDS else 1
        taken = [
            words.pop(0) for _ in range(count) if words and _is_value(option, words)
        ]
        value, text = " ".join(map(_unquote, taken)), " ".join([text, *taken])
    fault = _value_fault(option, value, name)
    return Directive(0, text, option.names[0], value, option, fault)


def _is_value(option: Option, words: list[str]) -> bool:
    return option.takes != WORDS or not words[0].startswith("-")


def _unquote(word: str) -> str:
    def content(match: re.Match[str]) -> str:
        escaped, *texts = match.groups("")
        return escaped + re.sub(r"\\(.)", r"\1", "".join(texts))

    return QUOTED.sub(content, word)


def _split_value(syntax: DirectiveSyntax, word: str) -> tuple[str, str | None]:
    """Return the full name of the option, and its attached value."""
    name, equals, value = word.partition("=")
    if word in syntax.options:
        return word, None
    if word.startswith("--"):
        matches = {
            option.names[0]: full
            for full, option in syntax.options.items()
            if full.startswith(name) and name != "--"
        }
        if name not in syntax.options and len(matches) == 1:
            name = next(iter(matches.values()))
        return name, value if equals else None
    if syntax.attached and word[:2] in syntax.options:
        return word[:2], word[2:]
    return word, None


def _unknown_option(syntax: DirectiveSyntax, word: str) -> str:
    if word[0] in DASHES:
        return f"{word} begins with a typographic dash, not with a minus"
    if not word.startswith("-"):
        return f"{word} is not an option, and {syntax.command} takes no other words"
    name = word.partition("=")[0]
    similar = difflib.get_close_matches(name, syntax.options, 1, 0.75)
    similar = [syntax.renamed[name]] if name in syntax.renamed else similar
    hint = f"; {syntax.command} has {similar[0]}" if similar else ""
    return f"{name} is not an option of {syntax.command}{hint}"


def _value_fault(option: Option, value: str, name: str) -> str:
    if option.takes in (NONE, OPTIONAL):
        return ""
    if not value:
        return f"{name} has no value"
    pattern, expected = PATTERNS.get(option.takes, ("[^=].*", "a value"))
    if "$" in value or re.fullmatch(pattern, value):
        return ""
    return f"{name} has the value {value}, which is not {expected}"


def _split_resources(
    syntax: DirectiveSyntax, directive: Directive
) -> Iterator[Directive]:
    """Yield each resource of ``-l`` as a directive."""
    if directive.name != "-l" or directive.fault:
        yield directive
        return
    for text in directive.value.split(","):
        name, _, value = text.partition("=")
        option = syntax.options.get(f"-l {name}")
        yield replace(
            directive,
            name=f"-l {name}",
            value=value if option else text,
            option=option or directive.option,
        )
