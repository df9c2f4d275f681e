"""The directives of a job script, read as sbatch, qsub and bsub read them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mpiapps.batch.options import (
    DIALECTS,
    MAYBE,
    NONE,
    PATTERNS,
    WORDS,
    Dialect,
    Option,
)

# What stands in quotes, or is one sign behind a backslash, as sbatch reads it.
QUOTED = re.compile(r"""\\(\S)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""")
# A word of a directive, quotes included; an unclosed quote reaches to the end.
WORD = re.compile(rf"""\s*((?:[^\s"'\\#]|{QUOTED.pattern}|\\|["'].*)+)""")
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"  # what editors make of - and --


@dataclass(frozen=True)
class Directive:
    """One option on a directive line.

    Attributes
    ----------
    line : int
    text : str
        The option as it stands there.
    name : str
        The first of its names; of a resource ``-l walltime``.
    value : str
        Without quotes; empty if it has none.
    option : Option, optional
        `None` if the scheduler has no such option.
    fault : str
        Why the scheduler refuses it; empty if it does not.
    part : int
        Which part of a heterogeneous job it belongs to.
    """

    line: int
    text: str
    name: str
    value: str = ""
    option: Option | None = None
    fault: str = ""
    part: int = 0


def words(text: str) -> list[str]:
    """Return the words of a directive up to its comment, quotes included."""
    found, position = [], 0
    while match := WORD.match(text, position):
        found.append(match[1])
        position = match.end()
    return found


def read_line(scheduler: str, text: str) -> list[Directive]:
    """Return the options on the directive `text`, without its prefix.

    Nothing follows what is not accepted: schedulers stop there.
    """
    dialect, rest = DIALECTS[scheduler], words(text.strip())
    if any(re.search("[\"']", QUOTED.sub("", word)) for word in rest):
        return [Directive(0, text.strip(), "", fault="a quote is not closed")]
    found: list[Directive] = []
    while rest and not (found and found[-1].fault):
        found += _resources(scheduler, _next(dialect, rest))
    return found


def read(scheduler: str, lines: list[tuple[int, str]]) -> list[Directive]:
    """Return the options on numbered directive lines without prefix."""
    found, part = [], 0
    for number, text in lines:
        for each in read_line(scheduler, text):
            part += each.name == "hetjob"
            values = vars(each) | {"line": number, "part": part}
            found.append(Directive(**values))
    return found


def _next(dialect: Dialect, rest: list[str]) -> Directive:
    """Take the next option, and its value, from the words that are left."""
    word = rest.pop(0)
    plain = _plain(word)
    name, attached = _split(dialect, plain)
    option = dialect.options.get(name)
    if option is None:
        return Directive(0, word, name, fault=_unknown(dialect, plain))
    given, text = attached or "", word
    if option.takes == NONE and attached and not plain.startswith("--"):
        rest.insert(0, f"-{attached}")  # -HN 2 is -H -N 2
        given, text = "", name
    elif option.takes not in (NONE, MAYBE) and attached is None:
        most = len(rest) if option.takes == WORDS else 1
        taken = [rest.pop(0) for _ in range(most) if rest and _is_value(option, rest)]
        given, text = " ".join(map(_plain, taken)), " ".join([word, *taken])
    fault = _fault(option, given, named=name)
    return Directive(0, text, option.names[0], given, option, fault)


def _is_value(option: Option, rest: list[str]) -> bool:
    return option.takes != WORDS or not rest[0].startswith("-")


def _plain(word: str) -> str:
    def inside(match: re.Match[str]) -> str:
        sign, *texts = match.groups("")
        return sign + re.sub(r"\\(.)", r"\1", "".join(texts))

    return QUOTED.sub(inside, word)


def _split(dialect: Dialect, word: str) -> tuple[str, str | None]:
    """Return the option's name in full, and the value that is attached to it."""
    name, equals, value = word.partition("=")
    if word in dialect.options:
        return word, None
    if word.startswith("--"):
        close = {
            option.names[0]: full
            for full, option in dialect.options.items()
            if full.startswith(name) and name != "--"
        }
        found = name if name in dialect.options else None
        found = found or (next(iter(close.values())) if len(close) == 1 else name)
        return found, value if equals else None
    if dialect.attached and word[:2] in dialect.options:
        return word[:2], word[2:]
    return word, None


def _unknown(dialect: Dialect, word: str) -> str:
    if word[0] in DASHES:
        return f"{word} begins with a dash of typesetters, not with a minus"
    if not word.startswith("-"):
        return f"{word} is not an option, and {dialect.command} takes no other words"
    name = word.partition("=")[0]
    close = difflib.get_close_matches(name, dialect.options, 1, 0.75)
    close = [dialect.renamed[name]] if name in dialect.renamed else close
    hint = f"; {dialect.command} has {close[0]}" if close else ""
    return f"{name} is not an option of {dialect.command}{hint}"


def _fault(option: Option, value: str, named: str) -> str:
    if option.takes in (NONE, MAYBE):
        return ""
    if not value:
        return f"{named} has no value"
    pattern, expected = PATTERNS.get(option.takes, ("[^=].*", "a value"))
    if "$" in value or re.fullmatch(pattern, value):
        return ""
    return f"{named} has the value {value}, which is not {expected}"


def _resources(scheduler: str, found: Directive) -> Iterator[Directive]:
    """Yield each resource of ``-l`` by itself."""
    if found.name != "-l" or found.fault:
        yield found
        return
    options = DIALECTS[scheduler].options
    for each in found.value.split(","):
        name, _, value = each.partition("=")
        own = options.get(f"-l {name}")
        shown = value if own else each
        values = {"name": f"-l {name}", "value": shown, "option": own or found.option}
        yield Directive(**vars(found) | values)
