"""Command line options from the fields of a frozen dataclass."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from mpiapps.base import units

# Parsers by the name of an option's `type`.
PARSERS: dict[str | None, Callable[[str], Any]] = {
    "count": units.parse_count,
    "size": units.parse_size,
    "time": units.parse_time,
    "walltime": units.parse_walltime,
}


def option(  # noqa: PLR0913 - the arguments of argparse.add_argument
    default: Any,
    help: str,
    *,
    type: str | Callable[[str], Any] | None = None,
    choices: Sequence[str] = (),
    min: int | None = None,
    max: int | None = None,
    metavar: str = "",
    nargs: str = "",
    positional: bool = False,
    short: str = "",
    alias: str = "",
    verbatim: bool = False,
    changeable: bool = False,
    file: str = "",
) -> Any:
    """Return a dataclass field that defines a command line option.

    Parameters
    ----------
    default : object
        Default value. `False` defines a flag without a value.
    help : str
        Text for ``--help``.
    type : {"count", "size", "time", "walltime"} or callable, optional
        Parser of the value; a callable raises `ValueError` with a message. Default: the
        type of `default`.
    choices : sequence of str, optional
        Allowed values.
    min, max : int, optional
        Range of allowed values, inclusive.
    metavar : str, optional
        Name of the value in ``--help``. Default: from `choices`, `type` or the field.
    nargs : {"", "?", "+", "*", "..."}
        As in argparse; the default for several values is a tuple. ``...`` takes the
        rest of the command line.
    positional : bool
        Whether it is a positional argument.
    short : str
        Short option, one character.
    alias : str
        Second long option.
    verbatim : bool
        Whether a value may be the name of another option, such as ``--nodes=2``; for
        options that may be repeated.
    changeable : bool
        Whether a stopped run may be resumed with another value, since the results do
        not depend on it.
    file : {"", "read", "written"}
        Whether its values are files that the run reads, or replaces by results. No
        result may replace what is read, or another result.

    Notes
    -----
    A `default` of `None`, or one below `min`, means that the option is absent; help
    does not show it. `type` parses what users write, never a default.
    Help shows a tuple as users write it: with blanks for several values, else with the
    colon of a `metavar` such as ``LOW:HIGH``, or commas.
    A default of ``()`` without `nargs` defines an option that may be repeated.
    """
    metadata = {
        "help": help,
        "type": type,
        "choices": tuple(choices),
        "min": min,
        "max": max,
        "metavar": metavar,
        "nargs": nargs,
        "positional": positional,
        "short": short,
        "alias": alias,
        "verbatim": verbatim,
        "changeable": changeable,
        "file": file,
    }
    return dataclasses.field(default=default, metadata=metadata)


class VerbatimAction(argparse._AppendAction):
    """An option that may be repeated, and whose value may name another option."""


def add_options(
    parser: argparse._ActionsContainer, cls: type[Any], omit: Container[str] = ()
) -> None:
    """Add an option to `parser` for each field of the dataclass `cls` not in `omit`."""
    for field in dataclasses.fields(cls):
        if field.name in omit:
            continue
        help_text = field.metadata["help"]
        if field.default is False:
            parser.add_argument(*_names(field), action="store_true", help=help_text)
            continue
        nargs = field.metadata["nargs"]
        repeated = VerbatimAction if field.metadata["verbatim"] else "append"
        action = repeated if field.default == () and not nargs else "store"
        parser.add_argument(
            *_names(field),
            action=action,
            default=[] if field.default == () else field.default,
            type=_parser(field),
            metavar=_metavar(field),
            help=help_text.replace("%", "%%")
            + ("" if _is_absent(field) else f" (default {_default_text(field)})"),
            **({"nargs": nargs} if nargs else {}),
        )


def _is_absent(field: dataclasses.Field[Any]) -> bool:
    """Return whether the default of an option is not one of its values."""
    default: Any = field.default
    if default in (None, "", ()):
        return True
    values = default if field.metadata["nargs"] else (default,)
    return any(_check("", value, field.metadata) for value in values)


def _default_text(field: dataclasses.Field[Any]) -> str:
    """Return a default as users write it."""
    default: Any = field.default
    if field.metadata["type"] in ("time", "walltime"):
        return units.format_time(default)
    if not isinstance(default, tuple):
        return str(default)
    colon = ":" if ":" in field.metadata["metavar"] else ","
    separator = " " if field.metadata["nargs"] else colon
    return separator.join(str(n).removesuffix(".0") for n in default)


def identity(options: Any) -> dict[str, Any]:
    """Return the options, of a dataclass, that a resumed run must have unchanged."""
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if not field.metadata.get("changeable")
    }


def check_names(
    parser: argparse.ArgumentParser, cls: type[Any], common: type[Any]
) -> None:
    """Exit with 2 if an option of `cls` has the name of one of `common`, or of help."""
    taken = {"-h", "--help", "help"}
    for field in dataclasses.fields(common):
        taken.update(_names(field), [field.name])
    for field in dataclasses.fields(cls):
        if same := taken.intersection([*_names(field), field.name]):
            parser.error(
                f"the field {field.name} of {cls.__name__} defines {min(same)}, which"
                " is an option of all programs; choose another name"
            )


def _names(field: dataclasses.Field[Any]) -> list[str]:
    if field.metadata["positional"]:
        return [field.name]
    short, alias = field.metadata["short"], field.metadata["alias"]
    names = ["--" + name for name in (field.name.replace("_", "-"), alias) if name]
    return ["-" + short] * bool(short) + names


def from_namespace(values: argparse.Namespace, cls: type[Any]) -> Any:
    """Return the dataclass `cls` with the parsed `values`."""
    names = [field.name for field in dataclasses.fields(cls)]
    arguments = {name: getattr(values, name) for name in names}
    tuples = {name: tuple(v) for name, v in arguments.items() if isinstance(v, list)}
    return cls(**arguments | tuples)


def _metavar(field: dataclasses.Field[Any]) -> str:
    if field.metadata["metavar"]:
        return str(field.metadata["metavar"])
    if field.metadata["choices"]:
        return "|".join(filter(None, field.metadata["choices"]))
    kind = field.metadata["type"]
    if isinstance(kind, str):
        return kind.removeprefix("wall").upper()
    return field.name.upper()


def _parser(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """Return the function that parses and checks the value of an option."""
    kind = field.metadata["type"]
    plain: Callable[[str], Any] = str if field.default == () else type(field.default)
    parse = PARSERS.get(kind) or kind or (_parse_int if plain is int else plain)

    def parse_and_check(text: str) -> Any:
        if text == field.default:  # argparse parses defaults of type str too
            return text
        try:
            value = parse(text)
        except ValueError as error:
            message = _parse_error(error, text, parse)
            raise argparse.ArgumentTypeError(message) from error
        if message := _check(text, value, field.metadata):
            raise argparse.ArgumentTypeError(message)
        return value

    return parse_and_check


def _check(text: str, value: Any, allowed: Mapping[str, Any]) -> str:
    """Return the error message for a value that is not allowed, or an empty string."""
    choices, minimum, maximum = (allowed[k] for k in ("choices", "min", "max"))
    if choices and value not in choices:
        return f"{text!r} is not one of {', '.join(filter(None, choices))}"
    if minimum is not None and value < minimum:
        return f"{text} is too small; the minimum is {minimum}"
    if maximum is not None and value > maximum:
        return f"{text} is too large; the maximum is {maximum}"
    return ""


def _parse_int(text: str) -> int:
    """Return a whole number, which may be written as a count: ``1e3``."""
    try:
        return int(text)
    except ValueError:
        return units.parse_count(text)


def _parse_error(error: ValueError, text: str, parse: Callable[[str], Any]) -> str:
    if parse is _parse_int:
        return f"{text!r} is not a whole number"
    if parse is float:
        return f"{text!r} is not a number"
    return str(error)
