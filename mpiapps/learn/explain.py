"""Explain runs that hang, fail or end early, in a learner's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpiapps.learn.exercise import Job, Wrong

SEND = re.compile(r"[bsr]?send", re.IGNORECASE)
RECEIVE = re.compile(r"m?recv", re.IGNORECASE)
BOTH = re.compile(r"sendrecv(_replace)?", re.IGNORECASE)
COLLECTIVE = re.compile(
    r"barrier|bcast|(all)?(gather|scatter|reduce|toall)[vw]?|(ex)?scan|reduce_scatter"
    r"(_block)?|split(_type)?|dup|clone|create(_cart|_graph|_group)?",
    re.IGNORECASE,
)
REQUEST = re.compile(r"wait", re.IGNORECASE)
BLOCKING = (SEND, RECEIVE, BOTH, COLLECTIVE, REQUEST)

ALL_SEND = (
    "each rank waits until its message is received, and none of them receives. MPI may"
    " copy a message and return at once, or wait for the receiver, as it does if the"
    " message is long. Let every second rank receive first, use one"
    " comm.Sendrecv (sendrecv for objects), or start with Isend and wait for it after"
    " the receive"
)
ALL_RECEIVE = (
    "each rank waits for a message, and none has sent one. Send before you receive, or"
    " use one comm.Sendrecv (sendrecv for objects)"
)
UNMATCHED = (
    "a receive ends when rank `source` sends a message to this rank with the same tag."
    " Compare dest on one side with source on the other, and count the messages: each"
    " needs one send and one receive, also the last one that says `stop`"
)
# Text of an exception -> hint.
ERRORS = {
    r"(?i)MPI_ERR_TRUNCATE|truncate": "the message is longer than the buffer that"
    " receives it: give the buffer the sender's length and dtype",
    r"MPI_ERR_RANK|invalid rank|Invalid rank": "dest, source and root are ranks of the"
    " communicator, from 0 to size - 1; a rank at the end of a line has MPI.PROC_NULL"
    " for a neighbour",
    r"NoneType": "a value is None: gather and reduce return None on all ranks but the"
    " root, and a variable that only rank 0 sets does not exist on the others",
    r"NameError": "a variable that is set under `if rank == 0:` does not exist on the"
    " other ranks",
    r"(expecting|expected) \d+ items": "comm.scatter takes a list with one element per"
    " rank, on the root: cut the data into `size` parts first",
    r"str expected": "variables of the environment are texts: str(value)",
}
OTHER_ERROR = "correct this line first; the message is Python's"


@dataclass(frozen=True)
class Place:
    """Where a rank is: its line, and the call in which it waits.

    Attributes
    ----------
    rank : int
    finished : bool
        Whether its part of the run has ended.
    still : int
        Samples in a row in which it waited in the same call; 0 if it computes.
    line, text, call
        Of the learner's file; call is empty if it computes.
    peers : dict
        Ranks that it sends to (``to``) and receives from (``from``; -1 is any).
    """

    rank: int
    finished: bool
    still: int = 0
    line: int = 0
    text: str = ""
    call: str = ""
    peers: Mapping[str, int] | None = None

    def __str__(self) -> str:
        """Return the place as a phrase of a sentence."""
        if self.finished:
            return f"rank {self.rank} has reached the end of the file"
        if not self.line:
            return f"rank {self.rank} has not started"
        verb = "waits" if self.call else "is"
        code = self.text.partition("  #")[0]
        return f"rank {self.rank} {verb} in line {self.line}: {code}{self._peers}"

    @property
    def _peers(self) -> str:
        words = [
            f"{way} {'any rank' if rank < 0 else f'rank {rank}'}"
            for way, rank in (self.peers or {}).items()
        ]
        return f"   ({', '.join(words)})" if words else ""

    def waits_in(self, *patterns: re.Pattern[str]) -> bool:
        """Return whether the rank waits in a call of one of these kinds."""
        return any(pattern.fullmatch(self.call) for pattern in patterns)


def places(
    index: int,
    results: Sequence[Mapping[str, Any]],
    states: Sequence[Mapping[str, Any]],
) -> list[Place]:
    """Return where each rank is in run number `index`, from what the ranks wrote."""
    return [
        _place(rank, index, result, state)
        for rank, (result, state) in enumerate(zip(results, states, strict=True))
    ]


def _place(
    rank: int, index: int, result: Mapping[str, Any], state: Mapping[str, Any]
) -> Place:
    if result:
        return Place(rank, finished=True)
    if state.get("job") != index:
        return Place(rank, finished=False)
    blocked = any(pattern.fullmatch(state["call"]) for pattern in BLOCKING)
    return Place(
        rank,
        finished=False,
        still=state["ticks"] if blocked else 0,
        line=state["line"],
        text=state["text"],
        call=state["call"] if blocked else "",
        peers=state["peers"],
    )


def hang(job: Job, ranks: Sequence[Place]) -> Wrong:
    """Return the explanation of a deadlock: where each rank waits, and why."""
    return Wrong(_listed("deadlock: no rank can go on", ranks), _cause(ranks), job)


def _cause(ranks: Sequence[Place]) -> str:
    waiting = [place for place in ranks if not place.finished]
    finished = [place for place in ranks if place.finished]
    collective = [place for place in waiting if place.waits_in(COLLECTIVE)]
    if collective:
        absent = [place for place in ranks if place not in collective]
        name = collective[0].call
        others = (
            f"look for the `if` that keeps {_names(absent)} from it"
            if absent
            else "all ranks must call the same ones in the same order"
        )
        return f"{name} is collective: all ranks of the communicator call it; {others}"
    if all(place.waits_in(SEND) for place in waiting) and not finished:
        return ALL_SEND
    if all(place.waits_in(RECEIVE) for place in waiting) and not finished:
        return ALL_RECEIVE
    if finished:
        return f"{_names(finished)} will send and receive nothing more; {UNMATCHED}"
    return UNMATCHED


def _names(ranks: Iterable[Place]) -> str:
    numbers = [str(place.rank) for place in ranks]
    if len(numbers) == 1:
        return f"rank {numbers[0]}"
    return f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"


def late(job: Job, ranks: Sequence[Place]) -> Wrong:
    """Return the explanation of a run that reached the time limit."""
    return Wrong(
        _listed("the time limit was reached", ranks),
        "look for a loop that does not end, or for more work than the task asks for; on"
        " a busy machine, give --limit",
        job,
    )


def died(job: Job, ranks: Sequence[Place], log: str) -> Wrong:
    """Return the explanation of ranks that ended in the middle of the file."""
    last = log.splitlines()[-1] if log else "no message"
    return Wrong(
        _listed("the ranks were ended in the middle of the file", ranks),
        f"comm.Abort, os._exit or a crash ends all ranks; mpiexec reports: {last}",
        job,
    )


def error(
    job: Job, results: Sequence[Mapping[str, Any]], ranks: Sequence[Place]
) -> Wrong | None:
    """Return the explanation of the first rank that raised an exception, if any did."""
    for rank, result in enumerate(results):
        if result.get("status", "finished") == "finished":
            continue
        message = result["error"]
        line = f", line {result['line']}: {result['text']}" if result["line"] else ""
        what = f"rank {rank} ended with an error{line}\n  {message}"
        waiting = [place for place in ranks if not place.finished]
        if waiting:
            what = _listed(f"{what}\nand other ranks wait for it", waiting)
        hints = (hint for text, hint in ERRORS.items() if re.search(text, message))
        return Wrong(what, next(hints, OTHER_ERROR), job)
    return None


def _listed(title: str, ranks: Iterable[Place]) -> str:
    return "\n  ".join([title, *map(str, ranks)])
