"""Text of users in a command of the shell: always data, in whichever quotes it stands.

The one way by which values reach a shell. A `Template` reads its command as sh and bash
do, learns how each placeholder is quoted, and refuses those of which it cannot be
certain: their value belongs into a variable, `v={v}; ... "$v"`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

# Words that sh or bash take for their own where a command begins.
RESERVED = frozenset(
    [
        *("case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for"),
        *("function", "if", "in", "select", "then", "time", "until", "while"),
    ]
)
BLANKS = " \t\n;&|()<>"  # behind one of these a word begins
IN_BACKTICKS = re.compile(r"([\\`$])")  # what a backslash keeps between them
# ${name#pattern} and $((1 + $x)), as long as there is nothing quoted or nested in them.
PARAMETER = re.compile(r"\$\{[^'\"\\`$(){}]*\}")
ARITHMETIC = re.compile(r"\$\(\([^'\"\\`(){}]*\)\)")
UNCLEAR = {
    "$((": "arithmetic",
    "$[": "arithmetic",
    "${": "the braces of a variable",
    "$'": "$'...', which sh does not know",
}


@dataclass(frozen=True)
class Place:
    """Where a placeholder stands.

    Attributes
    ----------
    quotes : {"", "'", '"'}
        The quotes around it.
    backticks : int
        How many pairs of them.
    before, after : str
        The text on both sides, as far as the quotes reach.
    """

    quotes: str
    before: str
    after: str
    backticks: int = 0

    def quoted(self, value: str) -> str:
        """Return a value so that the shell makes of it this text and nothing else."""
        text = {"": self._plain, "'": _single, '"': self._double}[self.quotes](value)
        for _ in range(self.backticks):
            text = IN_BACKTICKS.sub(r"\\\1", text)
        return text

    def _plain(self, value: str) -> str:
        """Quote what is not only letters, and letters that would mean something."""
        text = shlex.quote(value)
        near = self.before[-1:] + self.after[:1]
        joined = near.isalpha() or any(c.isalpha() or c in "{}," for c in near)
        if text == value and (
            self._follows_name
            or "=" in value
            or value in RESERVED
            or (value.isdigit() and re.match(r"\d*[<>]", self.after))
            or (joined and (value.isalpha() or "," in value or ".." in value))
        ):
            return f"'{value}'"
        return text

    def _double(self, value: str) -> str:
        text = re.sub(r'([\\"$`])', r"\\\1", value)
        return f'""{text}' if self._follows_name else text

    @property
    def _follows_name(self) -> bool:
        """Whether letters would be taken for more of a variable's name."""
        return re.search(r"\$\w+$", self.before) is not None


def _single(value: str) -> str:
    return value.replace("'", "'\\''")


class Template:
    """A command with placeholders, ``{name}`` for each of `names`. Local.

    Raises
    ------
    ValueError
        If one stands where no quoting is certain.
    """

    def __init__(self, command: str, names: Iterable[str]) -> None:
        holder = re.compile(
            "|".join(re.escape(f"{{{name}}}") for name in names) or "(?!)"
        )
        self._names = [each[0][1:-1] for each in holder.finditer(command)]
        self._texts = holder.split(command)
        self._places = _Reader(command, holder).places

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the command with these values."""
        words = [self._texts[0]]
        for name, place, text in zip(
            self._names, self._places, self._texts[1:], strict=True
        ):
            words += [place.quoted(values[name]), text]
        return "".join(words)


class _Reader:
    """Reads a command as a shell does, and notes how each placeholder is quoted."""

    def __init__(self, text: str, holder: re.Pattern[str]) -> None:
        self._text, self._holder = text, holder
        self.places: list[Place] = []
        self._document = False  # whether one begins at the end of the line
        self._plain(0, "")

    def _plain(self, at: int, closing: str) -> int:
        """Read from `at` up to a closing parenthesis, or all; return what is next."""
        begins = True  # a word
        while at < len(self._text):
            sign = self._text[at]
            if after := self._placed(at, ""):
                at, begins = after, False
                continue
            if sign == closing:
                return at + 1
            if self._text.startswith("\\\n", at):  # the line goes on
                at += 2
                continue
            if sign == "#" and begins:
                at = self._comment(at)
            elif sign == "\n" and self._document:
                return self._unclear(at, "a here-document")
            elif sign == "(":
                at = self._parenthesis(at)
            elif sign == "<":
                at = self._less(at)
            elif sign == "'":
                at = self._single(at + 1)
            elif sign == '"':
                at = self._double(at + 1)
            else:
                at = self._anywhere(at, "")
            begins = sign in BLANKS
        return at

    def _parenthesis(self, at: int) -> int:
        if self._text.startswith("((", at):
            return self._unclear(at, "arithmetic")
        return self._plain(at + 1, ")")

    def _less(self, at: int) -> int:
        if self._text.startswith("<<<", at):
            return at + 3
        self._document = self._document or self._text.startswith("<<", at)
        return at + (2 if self._text.startswith("<<", at) else 1)

    def _double(self, at: int) -> int:
        while at < len(self._text):
            if self._text[at] == '"':
                return at + 1
            at = self._placed(at, '"') or self._anywhere(at, '"')
        return at

    def _single(self, at: int) -> int:
        while at < len(self._text):
            if self._text[at] == "'":
                return at + 1
            at = self._placed(at, "'") or at + 1
        return at

    def _anywhere(self, at: int, quotes: str) -> int:
        """Read what means the same in double quotes and outside."""
        sign = self._text[at]
        if sign == "\\":
            if self._holder.match(self._text, at + 1):
                return self._unclear(at, "what a backslash is before")
            return at + 2
        if sign == "`":
            return self._backticks(at + 1, quotes)
        if sign == "$":
            return self._dollar(at, quotes)
        return at + 1

    def _dollar(self, at: int, quotes: str) -> int:
        if self._holder.match(self._text, at + 1):
            return self._unclear(at, "a variable of the shell")
        for simple in (PARAMETER, ARITHMETIC):
            if found := simple.match(self._text, at):
                return found.end()
        for begin, what in UNCLEAR.items():
            if self._text.startswith(begin, at) and not (quotes and begin == "$'"):
                return self._unclear(at, what)
        if not self._text.startswith("$(", at):
            return at + 1
        # A parenthesis in these would be taken for the end, and quotes for others.
        if quotes and re.search(r"\bcase\b|#|<<", self._text[at:]):
            return self._unclear(at, 'a "$(...)" with case, # or << in it')
        return self._plain(at + 2, ")")

    def _backticks(self, at: int, quotes: str) -> int:
        """Read a command between backticks, from which backslashes are taken first."""
        end = at
        while end < len(self._text) and self._text[end] != "`":
            end += 2 if self._text[end] == "\\" else 1
        inner = self._text[at:end]
        if quotes and '\\"' in inner:
            return self._unclear(at, 'a \\" between backticks in quotes')
        inner = re.sub(r"\\([\\`$])", r"\1", inner)
        self.places += [
            replace(each, backticks=each.backticks + 1)
            for each in _Reader(inner, self._holder).places
        ]
        return end + 1

    def _comment(self, at: int) -> int:
        end = self._text.find("\n", at)
        end = len(self._text) if end < 0 else end
        if self._holder.search(self._text, at, end):
            return self._unclear(at, "a comment")
        return end

    def _placed(self, at: int, quotes: str) -> int:
        """Note a placeholder at `at`, and return what is behind it; 0 if none is."""
        found = self._holder.match(self._text, at)
        if found is None:
            return 0
        before, after = self._text[:at], self._text[found.end() :]
        self.places.append(Place(quotes, before, after))
        return found.end()

    def _unclear(self, at: int, what: str) -> int:
        """Refuse placeholders from here on; end the reading if there are none."""
        found = self._holder.search(self._text, at)
        if found is not None:
            holder, name = found[0], found[0][1:-1]
            raise ValueError(
                f"{holder} stands in or after {what}, where its value cannot be quoted"
                f' with certainty; begin with {name}={holder}; and use "${name}"'
            )
        return len(self._text)
