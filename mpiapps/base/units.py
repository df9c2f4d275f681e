"""Parsers and formatters of counts, sizes and times: ``1e9``, ``4GiB``, ``1h30m``."""

import math
import re
from collections.abc import Mapping
from fractions import Fraction

_NUMBER = re.compile(
    r"(?P<number>(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d{1,4})?)\s*(?P<unit>[a-z]*)",
    re.IGNORECASE,
)

SIZES: Mapping[str, int] = {
    "b": 1,
    **{p: 1024 ** (k + 1) for k, p in enumerate("kmgtp")},
    **{f"{p}b": 1000 ** (k + 1) for k, p in enumerate("kmgtp")},
    **{f"{p}ib": 1024 ** (k + 1) for k, p in enumerate("kmgtp")},
}

TIMES: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _split(text: str, what: str, example: str) -> tuple[Fraction, str]:
    """Return the exact number and the lower-case unit in `text`."""
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not {what}; write it like {example}")
    return Fraction(match["number"].replace("_", "")), match["unit"].lower()


def _whole(value: Fraction, text: str, what: str) -> int:
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole {what}")
    return int(value)


def parse_count(text: str) -> int:
    """Return the whole number in `text`, exactly.

    ``1e9``, ``2.5e3``, ``1_000`` and plain digits are counts; ``1.5`` and ``-1`` raise
    `ValueError`.

    >>> parse_count("2.5e3")
    2500
    """
    what = "count: a whole number, zero or more"
    number, unit = _split(text, f"a {what}", "1000 or 1e9")
    if unit:
        raise ValueError(f"{text!r} is not a {what}; a count has no unit {unit!r}")
    return _whole(number, text, "number; a count is, like 1000 or 1e9")


def parse_size(text: str) -> int:
    """Return the bytes in `text`, such as ``4GiB``, ``4G`` or ``1.5 MB``.

    Decimal prefixes (``KB``) are powers of 1000; binary ones (``KiB``) and single
    letters (``K``, as in schedulers and ``ls -h``) of 1024. Case is ignored.

    Raises
    ------
    ValueError
        For anything else, and for a nonzero number without a unit: schedulers use
        megabytes, most programs bytes.
    """
    number, unit = _split(text, "a size", "512MiB or 4GiB")
    if not unit and number:
        raise ValueError(
            f"{text!r} has no unit: write {text}B for bytes, {text}M for MiB or"
            f" {text}G for GiB"
        )
    if unit and unit not in SIZES:
        raise ValueError(f"{text!r}: unknown unit {unit!r}; use {', '.join(SIZES)}")
    number *= SIZES[unit] if unit else 0
    return _whole(number, text, "number of bytes")


def parse_time(text: str) -> int:
    """Return the seconds in `text`: ``90``, ``1h30m``, ``1:30:00``, ``1-12:00:00``.

    A plain number is seconds. Raises `ValueError` for anything else, and for ``1:30``,
    which is minutes for some schedulers and hours for others.
    """
    text = text.strip()
    clock = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text)
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if re.fullmatch(r"\d+", text):
        return int(text)
    parts = re.findall(r"(\d+)\s*([a-z])", text.lower())
    units = [unit for _, unit in parts]
    in_order = units == sorted(set(units) & set(TIMES), key="dhms".index)
    if not parts or not in_order or not re.fullmatch(r"(\d+\s*[a-zA-Z]\s*)+", text):
        remedy = "write seconds (90), 1h30m, 2d or hours:minutes:seconds (1:30:00)"
        raise ValueError(f"{text!r} is not a time; {remedy}")
    return sum(int(number) * TIMES[unit] for number, unit in parts)


def parse_walltime(text: str) -> int:
    """Return the seconds of a job's time limit: as `parse_time`, with a unit.

    Raises
    ------
    ValueError
        Also for a nonzero number without a unit: it is minutes for Slurm, seconds for
        Grid Engine and PBS.
    """
    bare = text.strip()
    if bare.isdigit() and int(bare):
        raise ValueError(
            f"{text!r} has no unit: write {bare}m for minutes or {bare}s for seconds"
        )
    return parse_time(text)


def format_size(count: int) -> str:
    """Return `count` bytes with a binary unit, such as ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} PiB"


def format_seconds(seconds: float) -> str:
    """Return `seconds` with a suitable unit: ``0.25 ms``, ``12.3 s``, ``1h02m``."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def format_time(seconds: int) -> str:
    """Return `seconds` as `parse_time` reads them: ``90s`` is ``1m30s``."""
    text = ""
    for unit in "dhms":
        count, seconds = divmod(seconds, TIMES[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0"


def parse_interval(text: str) -> tuple[float, float]:
    """Return the two ends of the interval LOW:HIGH.

    Raises
    ------
    ValueError
        Unless both are finite numbers, and LOW is below HIGH.
    """
    low, _, high = text.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = 0.0, 0.0
    if not -math.inf < ends[0] < ends[1] < math.inf:
        raise ValueError(
            f"{text!r} is not an interval; give LOW:HIGH, with LOW below HIGH"
        )
    return ends
