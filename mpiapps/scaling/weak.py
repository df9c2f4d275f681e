"""Arguments of a weak study: ``--weak samples``, ``--weak 'rows: n*sqrt(p)'``."""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.base.units import parse_count

Number = float | int
OPERATORS: Mapping[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: math.pow,  # of ints, operator.pow could take for ever
    ast.USub: operator.neg,
}
FUNCTIONS: Mapping[str, Callable[[Number], Number]] = {
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "log2": math.log2,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
}
RULE = re.compile(r"\s*(?P<name>[\w-]+)\s*(\[(?P<index>\d+)\])?\s*(:(?P<formula>.+))?")


@dataclass(frozen=True)
class Scaled:
    """An option of the program whose value depends on the count p.

    Attributes
    ----------
    name : str
        With underscores, as the field of the options.
    index : int or None
        Which of several values; `None`: all of them.
    formula : str
        Of n, the given value, and p.
    """

    name: str
    index: int | None = None
    formula: str = "n*p"

    def value(self, base: str, count: int) -> str:
        """Return the value for a count, as text; whole if `base` is."""
        number = parse_number(base)
        result = evaluate(self.formula, {"n": number, "p": count})
        if isinstance(number, int):
            return str(round(Fraction(result)))
        return repr(float(result))


def parse_scaled(text: str) -> Scaled:
    """Return the scaled option that a text names.

    Raises
    ------
    ValueError
        If it is not NAME, NAME[INDEX] or NAME: FORMULA.
    """
    match = RULE.fullmatch(text)
    if not match:
        raise ValueError(
            f"{text!r} is not an option to scale; write samples, 'rows: n*sqrt(p)' or"
            " 'random[0]: n*p'"
        )
    formula = (match["formula"] or "n*p").strip()
    evaluate(formula, {"n": 1, "p": 1})
    index = None if match["index"] is None else int(match["index"])
    return Scaled(match["name"].replace("-", "_"), index, formula)


def evaluate(formula: str, names: Mapping[str, Number]) -> Number:
    """Return the value of an arithmetic formula of `names`.

    Raises
    ------
    ValueError
        If it has anything but numbers, names, + - * / // ** and `FUNCTIONS`, or its
        value is not a finite number.
    """
    try:
        value = _value(ast.parse(formula, mode="eval").body, names)
        if not math.isfinite(value):
            raise OverflowError
    except (SyntaxError, ArithmeticError, TypeError) as error:
        raise ValueError(
            f"{formula!r} is not a formula of n and p, such as n*sqrt(p)"
        ) from error
    return value


def _value(node: ast.AST, names: Mapping[str, Number]) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if (
            name in FUNCTIONS
        ):
            return FUNCTIONS[name](_value(argument, names))
    raise TypeError(ast.dump(node))


def parse_number(text: str) -> Number:
    """Return a count such as ``1e9`` as an int, or else a float.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        return parse_count(text)
    except ValueError:
        return float(text)


def values_of(name: str, arguments: Sequence[str]) -> tuple[int, int]:
    """Return where in `arguments` the values of option `name` start and end.

    Both are -1 if it is not there. A value joined by ``=`` is not supported here: see
    `split_joined`.
    """
    option = "--" + name.replace("_", "-")
    if option not in arguments:
        return -1, -1
    start = list(arguments).index(option) + 1
    end = start
    while end < len(arguments) and _is_number(arguments[end]):
        end += 1
    return start, end


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def split_joined(arguments: Sequence[str]) -> list[str]:
    """Return arguments with ``--name=value`` as two."""
    words: list[str] = []
    for word in arguments:
        is_joined = re.match(r"--[\w-]+=", word)
        words += word.split("=", 1) if is_joined else [word]
    return words


def scale(
    rules: Sequence[Scaled], arguments: Sequence[str], count: int, options: Any = None
) -> list[str]:
    """Return the program's arguments for a count.

    Parameters
    ----------
    rules : sequence of Scaled
    arguments : sequence of str
    count : int
    options : type, optional
        The program's dataclass of options, for defaults.

    Raises
    ------
    UsageError
        If an option has no value in `arguments`, and no default.
    """
    words = split_joined(arguments) if rules else list(arguments)
    for rule in rules:
        start, end = values_of(rule.name, words)
        if start == end:
            default = _default(rule.name, options)
            if default is None:
                raise UsageError(
                    f"--weak {rule.name}: give the value for one core after --, as in"
                    f" -- --{rule.name.replace('_', '-')} 1000"
                )
            words += [f"--{rule.name.replace('_', '-')}", default]
            start, end = len(words) - 1, len(words)
        chosen = range(start, end) if rule.index is None else [start + rule.index]
        if chosen[-1] >= end:
            raise UsageError(
                f"--weak {rule.name}[{rule.index}]: the option has {end - start} values"
            )
        for place in chosen:
            words[place] = rule.value(words[place], count)
    return words


def _default(name: str, options: Any) -> str | None:
    """Return the default of a program's option as text, if it is a number."""
    for field in dataclasses.fields(options) if options else ():
        if field.name == name and isinstance(field.default, int | float):
            return str(field.default)
    return None
