"""Rules of computing centres for the largest reasonable count, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes
    ----------
    name : str
    quantity : {"doubling", "efficiency"}
        doubling: the factor that doubling the count gains; efficiency: relative to the
        smallest count.
    thresholds : tuple of (float, float)
        Largest count, and the least value up to it; the last one holds for all others.
    source : str
    """

    name: str
    quantity: str
    thresholds: tuple[tuple[float, float], ...]
    source: str

    def threshold(self, count: float) -> float:
        """Return the least value that passes at a count."""
        limits = (least for limit, least in self.thresholds if count <= limit)
        return next(limits, self.thresholds[-1][1])

    def __str__(self) -> str:
        """Return the rule in words."""
        what = {
            "doubling": "doubling the count gains a factor of at least {}",
            "efficiency": "efficiency of at least {}",
        }[self.quantity]
        parts = [
            what.format(least) + (f" up to {limit:g}" if limit < math.inf else "")
            for limit, least in self.thresholds
        ]
        return "; ".join(parts)


# Rules as their sources state them; a centre may have changed its own since.
RULES = (
    Rule(
        "csc",
        "doubling",
        ((math.inf, 1.5),),
        "CSC, Sisu scalability tests: https://research.csc.fi/sisu-scalability-tests",
    ),
    Rule(
        "csc-louhi",
        "doubling",
        ((512, 1.5), (1024, 1.4), (math.inf, 1.3)),
        "CSC, Instructions for scalability tests on Louhi:"
        " http://www.csc.fi/english/research/Computing_services/computing/servers/"
        "louhi_scalability",
    ),
    Rule(
        "pop",
        "efficiency",
        ((math.inf, 0.8),),
        "POP Centre of Excellence, efficiencies above 0.8 are acceptable:"
        " https://co-design.pop-coe.eu/metrics/index.html",
    ),
)


def parse_rule(text: str) -> Rule:
    """Return the rule ``doubling:X``, ``efficiency:X``, or one of `RULES` by name.

    Raises
    ------
    ValueError
        If there is none, or X is out of range: 1 to 2 for a doubling, 0 to 1 for an
        efficiency, without the ends.
    """
    for rule in RULES:
        if rule.name == text:
            return rule
    quantity, _, number = text.partition(":")
    ranges = {"doubling": (1.0, 2.0), "efficiency": (0.0, 1.0)}
    try:
        least = float(number)
        low, high = ranges[quantity]
        if not low < least < high:
            raise ValueError
    except (ValueError, KeyError) as error:
        names = ", ".join(rule.name for rule in RULES)
        raise ValueError(
            f"{text!r} is not a rule; write doubling:1.5 (between 1 and 2),"
            f" efficiency:0.75 (between 0 and 1), or one of {names}"
        ) from error
    return Rule(text, quantity, ((math.inf, least),), "given on the command line")
