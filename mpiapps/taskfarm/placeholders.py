"""Placeholders in shell commands: each value is quoted for its context.

The only path of values into a shell. A `Template` parses its command as sh and bash do,
determines the quoting context of each placeholder, and rejects those where it is not
certain: assign their value to a variable, `v={v}; ... "$v"`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

# Reserved words of sh and bash.
RESERVED = frozenset(
    [
        *("case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for"),
        *("function", "if", "in", "select", "then", "time", "until", "while"),
    ]
)
SEPARATORS = " \t\n;&|()<>"  # a word begins after one of these
IN_BACKTICKS = re.compile(r"([\\`$])")  # characters that a backslash escapes there
# ${name#pattern} and $((1 + $x)), without quotes or nesting.
PARAMETER = re.compile(r"\$\{[^'\"\\`$(){}]*\}")
ARITHMETIC = re.compile(r"\$\(\([^'\"\\`(){}]*\)\)")
UNSUPPORTED = {
    "$((": "arithmetic",
    "$[": "arithmetic",
    "${": "the braces of a variable",
    "$'": "$'...', which sh does not have",
}


@dataclass(frozen=True)
class QuotingContext:
    """The context of a placeholder.

    Attributes
    ----------
    quotes : {"", "'", '"'}
        The quotes around it.
    backticks : int
        Nesting depth of backticks.
    before, after : str
        The text on both sides.
    """

    quotes: str
    before: str
    after: str
    backticks: int = 0

    def quoted(self, value: str) -> str:
        """Return a value quoted so that the shell expands it to exactly that text."""
        text = {"": self._plain, "'": _single, '"': self._double}[self.quotes](value)
        for _ in range(self.backticks):
            text = IN_BACKTICKS.sub(r"\\\1", text)
        return text

    def _plain(self, value: str) -> str:
        """Quote special characters, and text that has a meaning in this context."""
        text = shlex.quote(value)
        adjacent = self.before[-1:] + self.after[:1]
        joined = any(c.isalpha() or c in "{}," for c in adjacent)
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
        """Whether letters would extend the name of a variable."""
        return re.search(r"\$\w+$", self.before) is not None


def _single(value: str) -> str:
    return value.replace("'", "'\\''")


class Template:
    """A command with placeholders, ``{name}`` for each of `names`.

    Raises
    ------
    ValueError
        If the quoting context of a placeholder is not certain.
    """

    def __init__(self, command: str, names: Iterable[str]) -> None:
        placeholder = re.compile(
            "|".join(re.escape(f"{{{name}}}") for name in names) or "(?!)"
        )
        self._names = [match[0][1:-1] for match in placeholder.finditer(command)]
        self._texts = placeholder.split(command)
        self._contexts = _Parser(command, placeholder).contexts

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the command with these values."""
        texts = [self._texts[0]]
        for name, context, text in zip(
            self._names, self._contexts, self._texts[1:], strict=True
        ):
            texts += [context.quoted(values[name]), text]
        return "".join(texts)


class _Parser:
    """Parses a command as a shell does; collects the context of each placeholder.

    Its methods parse from the index `at` and return the index after what they parsed.
    """

    def __init__(self, text: str, placeholder: re.Pattern[str]) -> None:
        self._text, self._placeholder = text, placeholder
        self.contexts: list[QuotingContext] = []
        self._here_document = False  # whether one begins at the end of the line
        self._plain(0, "")

    def _plain(self, at: int, closing: str) -> int:
        """Parse unquoted text, up to `closing` or the end."""
        word_start = True
        while at < len(self._text):
            char = self._text[at]
            if after := self._add_context(at, ""):
                at, word_start = after, False
                continue
            if char == closing:
                return at + 1
            if self._text.startswith("\\\n", at):  # line continuation
                at += 2
                continue
            if char == "#" and word_start:
                at = self._comment(at)
            elif char == "\n" and self._here_document:
                return self._unsupported(at, "a here-document")
            elif char == "(":
                at = self._parenthesis(at)
            elif char == "<":
                at = self._less(at)
            elif char == "'":
                at = self._single(at + 1)
            elif char == '"':
                at = self._double(at + 1)
            else:
                at = self._expansion(at, "")
            word_start = char in SEPARATORS
        return at

    def _parenthesis(self, at: int) -> int:
        if self._text.startswith("((", at):
            return self._unsupported(at, "arithmetic")
        return self._plain(at + 1, ")")

    def _less(self, at: int) -> int:
        if self._text.startswith("<<<", at):
            return at + 3
        here_document = self._text.startswith("<<", at)
        self._here_document = self._here_document or here_document
        return at + (2 if here_document else 1)

    def _double(self, at: int) -> int:
        while at < len(self._text):
            if self._text[at] == '"':
                return at + 1
            at = self._add_context(at, '"') or self._expansion(at, '"')
        return at

    def _single(self, at: int) -> int:
        while at < len(self._text):
            if self._text[at] == "'":
                return at + 1
            at = self._add_context(at, "'") or at + 1
        return at

    def _expansion(self, at: int, quotes: str) -> int:
        """Parse what has the same meaning unquoted and in double quotes."""
        char = self._text[at]
        if char == "\\":
            if self._placeholder.match(self._text, at + 1):
                return self._unsupported(at, "an escape with a backslash")
            return at + 2
        if char == "`":
            return self._backticks(at + 1, quotes)
        if char == "$":
            return self._dollar(at, quotes)
        return at + 1

    def _dollar(self, at: int, quotes: str) -> int:
        if self._placeholder.match(self._text, at + 1):
            return self._unsupported(at, "a variable of the shell")
        for simple in (PARAMETER, ARITHMETIC):
            if match := simple.match(self._text, at):
                return match.end()
        for begin, context in UNSUPPORTED.items():
            if self._text.startswith(begin, at) and not (quotes and begin == "$'"):
                return self._unsupported(at, context)
        if not self._text.startswith("$(", at):
            return at + 1
        # In these, a parenthesis or a quote may not be the closing one.
        if quotes and re.search(r"\bcase\b|#|<<", self._text[at:]):
            return self._unsupported(at, 'a "$(...)" that contains case, # or <<')
        return self._plain(at + 2, ")")

    def _backticks(self, at: int, quotes: str) -> int:
        """Parse a command substitution in backticks, after removing its escapes."""
        end = at
        while end < len(self._text) and self._text[end] != "`":
            end += 2 if self._text[end] == "\\" else 1
        inner = self._text[at:end]
        if quotes and '\\"' in inner:
            return self._unsupported(at, 'a \\" between backticks in quotes')
        inner = re.sub(r"\\([\\`$])", r"\1", inner)
        self.contexts += [
            replace(context, backticks=context.backticks + 1)
            for context in _Parser(inner, self._placeholder).contexts
        ]
        return end + 1

    def _comment(self, at: int) -> int:
        end = self._text.find("\n", at)
        end = len(self._text) if end < 0 else end
        if self._placeholder.search(self._text, at, end):
            return self._unsupported(at, "a comment")
        return end

    def _add_context(self, at: int, quotes: str) -> int:
        """Add the context of a placeholder at `at`; return 0 if there is none."""
        match = self._placeholder.match(self._text, at)
        if match is None:
            return 0
        before, after = self._text[:at], self._text[match.end() :]
        self.contexts.append(QuotingContext(quotes, before, after))
        return match.end()

    def _unsupported(self, at: int, context: str) -> int:
        """Raise `ValueError` if a placeholder follows; else skip to the end."""
        match = self._placeholder.search(self._text, at)
        if match is not None:
            placeholder, name = match[0], match[0][1:-1]
            raise ValueError(
                f"{placeholder} is in or after {context}, where its value cannot be"
                f" quoted safely; begin with {name}={placeholder}; and use"
                f' "${name}"'
            )
        return len(self._text)
