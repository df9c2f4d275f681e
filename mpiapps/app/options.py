"""From a frozen dataclass to a command line: one field, one option."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpiapps.base import units

# How a text becomes a value, by the name an option gives; `None` is the field's type.
PARSERS: dict[str | None, Callable[[str], Any]] = {
    "count": units.parse_count,
    "size": units.parse_size,
    "time": units.parse_time,
    "walltime": units.parse_walltime,
}


def option(  # noqa: PLR0913 - each is a word of the option's description
    default: Any,
    text: str,
    *,
    parse: str | Callable[[str], Any] | None = None,
    choices: Sequence[str] = (),
    least: int | None = None,
    most: int | None = None,
    metavar: str = "",
    several: str = "",
    positional: bool = False,
    short: str = "",
) -> Any:
    """Return a dataclass field that is also a command line option. Local.

    Parameters
    ----------
    default : object
        Its value if it is not given. `False` makes a switch without a value.
    text : str
        What ``--help`` says of it.
    parse : {"count", "size", "time", "walltime"} or callable, optional
        How the text is read; a callable raises `ValueError` with the reason. Default is
        the type of the default.
    choices : sequence of str, optional
        The only values allowed.
    least, most : int, optional
        The smallest and the largest value allowed.
    metavar : str, optional
        What ``--help`` calls the value. Default follows from the others.
    several : {"", "?", "+", "*", "..."}
        One value or none; one or more at once, any number of them, or all that is left
        of the command line, whatever it is: then the default is a tuple.
    positional : bool
        Whether it is an argument by its place, without a name.
    short : str
        A letter for the option, besides its name.

    Notes
    -----
    A default of ``()`` without `several` makes an option that may be given repeatedly.
    """
    metadata = {
        "text": text,
        "parse": parse,
        "choices": tuple(choices),
        "least": least,
        "most": most,
        "metavar": metavar,
        "several": several,
        "positional": positional,
        "short": short,
    }
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse._ActionsContainer, cls: type[Any]) -> None:
    """Add one option to `parser` for each field of dataclass `cls`. Local."""
    for field in dataclasses.fields(cls):
        text = field.metadata["text"]
        if field.default is False:
            parser.add_argument(*_names(field), action="store_true", help=text)
            continue
        several = field.metadata["several"]
        action = "append" if field.default == () and not several else "store"
        empty = field.default in (None, "", ())
        parser.add_argument(
            *_names(field),
            action=action,
            default=[] if field.default == () else field.default,
            type=_reader(field),
            metavar=_metavar(field),
            help=text.replace("%", "%%")
            + ("" if empty else f" (default {field.default})"),
            **({"nargs": several} if several else {}),
        )


def _names(field: dataclasses.Field[Any]) -> list[str]:
    if field.metadata["positional"]:
        return [field.name]
    short = field.metadata["short"]
    return ["-" + short] * bool(short) + ["--" + field.name.replace("_", "-")]


def take(values: argparse.Namespace, cls: type[Any]) -> Any:
    """Return the instance of `cls` that the parsed `values` describe. Local."""
    given = {each.name: getattr(values, each.name) for each in dataclasses.fields(cls)}
    several = {name: tuple(v) for name, v in given.items() if isinstance(v, list)}
    return cls(**given | several)


def _metavar(field: dataclasses.Field[Any]) -> str:
    if field.metadata["metavar"]:
        return str(field.metadata["metavar"])
    if field.metadata["choices"]:
        return "|".join(filter(None, field.metadata["choices"]))
    parse = field.metadata["parse"]
    if isinstance(parse, str):
        return parse.removeprefix("wall").upper()
    return field.name.upper()


def _reader(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """Return the function that reads and checks the text of one option."""
    parse = field.metadata["parse"]
    plain: Callable[[str], Any] = str if field.default == () else type(field.default)
    read = PARSERS.get(parse) or parse or plain

    def value(text: str) -> Any:
        if text == field.default:  # argparse reads a default that is a text, too
            return text
        try:
            result = read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(_reason(error, text, read)) from error
        if wrong := _outside(text, result, field.metadata):
            raise argparse.ArgumentTypeError(wrong)
        return result

    return value


def _outside(text: str, result: Any, allowed: Mapping[str, Any]) -> str:
    """Return what is wrong with a value that could be read; empty if nothing is."""
    choices, least, most = (allowed[k] for k in ("choices", "least", "most"))
    if choices and result not in choices:
        return f"{text!r} is not one of {', '.join(filter(None, choices))}"
    if least is not None and result < least:
        return f"{text} is too small; the least is {least}"
    if most is not None and result > most:
        return f"{text} is too large; the most is {most}"
    return ""


def _reason(error: ValueError, text: str, read: Callable[[str], Any]) -> str:
    if read is int:
        return f"{text!r} is not a whole number"
    if read is float:
        return f"{text!r} is not a number"
    return str(error)
