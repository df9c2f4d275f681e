"""The verdict of a rule on the results of a study."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mpiapps.scaling.metrics import Row
from mpiapps.scaling.rules import Rule
from mpiapps.scaling.statistics import Estimate


@dataclass(frozen=True)
class Check:
    """The value of a rule's quantity at one count.

    `certain` is false if its interval includes the threshold.
    """

    count: int
    value: Estimate
    threshold: float

    @property
    def passes(self) -> bool:
        """Whether the value reaches the threshold."""
        return self.value.value >= self.threshold

    @property
    def certain(self) -> bool:
        """Whether the whole interval is on one side of the threshold."""
        return not self.value.low < self.threshold <= self.value.high


@dataclass(frozen=True)
class Verdict:
    """The checks of a rule by count, and the largest count up to which all pass."""

    rule: Rule
    checks: tuple[Check, ...]
    largest: int


def judge(rule: Rule, rows: Sequence[Row]) -> Verdict:
    """Return the verdict on the rows of a study, one per count, the smallest first.

    The smallest count passes: efficiency and gain are relative to it.
    """
    checks: list[Check] = []
    for smaller, row in itertools.pairwise(rows):
        count = row.case.count
        value = row.efficiency
        if rule.quantity == "doubling":
            value = gain_per_doubling(smaller, row)
        checks.append(Check(count, value, rule.threshold(count)))
    largest = rows[0].case.count
    for check in checks:
        if not check.passes:
            break
        largest = check.count
    return Verdict(rule, tuple(checks), largest)


def gain_per_doubling(smaller: Row, larger: Row) -> Estimate:
    """Return the factor of capacity per doubling of the count.

    Between counts whose ratio is not 2, the geometric mean over the doublings. The
    interval combines the widths of both rows, which is too wide rather than too narrow.
    """
    doublings = math.log2(larger.case.count / smaller.case.count)
    above, below = larger.capacity, smaller.capacity
    ratios = (
        above.value / below.value,
        above.low / below.high,
        above.high / below.low,
    )
    return Estimate(*(ratio ** (1 / doublings) for ratio in ratios))
