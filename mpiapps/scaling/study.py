"""A study: which runs, in which order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mpiapps.scaling.weak import Scaled, parse_number, scale, split_joined, values_of

# More work for the slowest rank than for the mean, above which a count is warned about.
MAX_EXCESS = 0.005


@dataclass(frozen=True, order=True)
class Case:
    """Ranks, threads and copies of one run; nodes are 0 on this machine."""

    nodes: int = 0
    ranks: int = 1
    threads: int = 1
    copies: int = 1

    @property
    def cores(self) -> int:
        """Cores in use."""
        return self.ranks * self.threads * self.copies

    @property
    def count(self) -> int:
        """Nodes if they are counted, or else cores."""
        return self.nodes or self.cores

    @property
    def label(self) -> str:
        """Name of the case for people and for files."""
        parts = [f"{self.nodes} nodes"] if self.nodes else []
        parts += [f"{self.copies} copies"] if self.copies > 1 else []
        parts += [f"{self.ranks} ranks"]
        parts += [f"{self.threads} threads"] if self.threads > 1 else []
        return " x ".join(part[:-1] if part[:2] == "1 " else part for part in parts)


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes
    ----------
    kind : {"strong", "weak", "throughput"}
    program : str
    words : tuple of str
        Arguments of Python that start it, or a command.
    is_python : bool
    recorded : bool
        Whether the program writes a record.
    arguments : tuple of str
    cases : tuple of Case
    repeats : int
    scaled : tuple of Scaled
        Options that grow with the count, of a weak study.
    region : str
        The timer that is studied.
    useful : tuple of str
        Timers that contain only computation; empty: those of `measurement.USEFUL`.
    options : type, optional
        Dataclass of the program's options.
    work : tuple of str
        Options whose values are distributed over the ranks.
    virtual : bool
        Whether times are those of the program's model, rather than of runs.
    """

    kind: str
    program: str
    words: tuple[str, ...]
    is_python: bool
    recorded: bool
    arguments: tuple[str, ...]
    cases: tuple[Case, ...]
    repeats: int
    scaled: tuple[Scaled, ...] = ()
    region: str = "total"
    useful: tuple[str, ...] = ()
    options: Any = field(default=None, compare=False)
    virtual: bool = False
    work: tuple[str, ...] = ()

    def arguments_of(self, case: Case) -> list[str]:
        """Return the program's arguments in a case."""
        words = scale(self.scaled, self.arguments, case.count, self.options)
        return [*words, "--virtual", str(case.ranks)] if self.virtual else words

    def work_of(self, case: Case) -> float:
        """Return the work of a case, relative to a count of one."""
        return 1.0 if self.kind == "strong" else float(case.count)

    def order(self) -> Iterator[tuple[Case, int]]:
        """Yield cases and repeats, interleaved: each repeat has all cases, shuffled.

        A machine that slows down during the study then slows all cases alike.
        """
        for repeat in range(self.repeats):
            cases = list(self.cases)
            random.Random(repeat).shuffle(cases)
            yield from ((case, repeat) for case in cases)

    @property
    def identity(self) -> dict[str, Any]:
        """What a journal must agree on to be continued; cases and repeats may grow."""
        return {
            "kind": self.kind,
            "program": self.program,
            "arguments": list(self.arguments),
            "scaled": [[s.name, s.index, s.formula] for s in self.scaled],
        }

    def warnings(self) -> list[str]:
        """Return a line for each count that does not divide the work."""
        lines = []
        for case in self.cases:
            words = split_joined(self.arguments_of(case))
            for name in self.work:
                start, end = values_of(name, words)
                excess = [_excess(text, case.ranks) for text in words[start:end]]
                if excess and max(excess) > MAX_EXCESS:
                    lines.append(
                        f"{case.label}: --{name} {' '.join(words[start:end])} is not a"
                        f" multiple of {case.ranks}; the largest share is"
                        f" {max(excess):.1%} above the mean"
                    )
        return lines


def _excess(text: str, ranks: int) -> float:
    """Return by how much the largest of whole shares exceeds the mean, relatively."""
    number = parse_number(text)
    if not isinstance(number, int) or number == 0:
        return 0.0
    return -(-number // ranks) * ranks / number - 1


def cases_of(
    kind: str, nodes: Sequence[int], ranks: Sequence[int], threads: Sequence[int]
) -> tuple[Case, ...]:
    """Return all combinations, by count; with nodes, `ranks` are those per node.

    In a study of throughput `ranks` counts copies of one rank each.
    """
    cases = []
    for t in threads:
        for r in ranks:
            if kind == "throughput":
                cases.append(Case(0, 1, t, r))
            elif nodes:
                cases += [Case(n, n * r, t) for n in nodes]
            else:
                cases.append(Case(0, r, t))
    return tuple(sorted(set(cases), key=lambda case: (case.count, case)))
