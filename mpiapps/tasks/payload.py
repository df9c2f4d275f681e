"""Items and outcomes of tasks, as they are sent. Starts no MPI."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from mpiapps.comm.pickling import (
    Dumps,
    Pickled,
    attempt,
    is_plain,
    is_restorable,
    pack,
    reason,
    shown,
    traceback_of,
    unpack,
)
from mpiapps.comm.string_memory import StringMemory, has_large_strings
from mpiapps.tasks.task import ITERATION_ENDS, Failure, Outcome, Outcomes, TaskError

FEW = 8  # plain values that are pickled faster with their message than before it


class PickledOutcome(NamedTuple):
    """One outcome, pickled separately, so that pickling errors affect it alone."""

    ok: bool
    pickled: Pickled | None
    kind: str  # type name of the result or the exception
    text: str  # traceback of the exception, or of the pickling error


# Items: a few plain values, or pickled together.
Payload = list[Any] | Pickled
# Outcomes: True and the payload of results that pickle restores, or False and a
# `PickledOutcome` each.
Report = tuple[bool, Any]


def payload_of(values: list[Any], dumps: Dumps = pickle.dumps) -> Payload:
    """Return the payload of values; raises the errors of `dumps` and of the values."""
    if len(values) > FEW or not is_plain(values) or has_large_strings(values):
        return pack(values, dumps)
    return values  # pickled with the message


def pack_items(items: list[Any], dumps: Dumps = pickle.dumps) -> tuple[bool, Any]:
    """Return True and the payload of items, or False and the pickling error."""
    return attempt(payload_of, items, dumps)


def unpack_items(payload: Payload) -> tuple[bool, Any]:
    """Return True and the items of a payload, or False and the unpickling error."""
    return attempt(unpack, payload) if isinstance(payload, Pickled) else (True, payload)


def pack_outcomes(
    first: int, outcomes: Outcomes, dumps: Dumps = pickle.dumps
) -> Report:
    """Return the report of outcomes; pickling errors become outcomes of their tasks."""
    values, failures = outcomes
    if not failures and is_restorable(values):
        return True, payload_of(values, dumps)
    return False, [
        pack_outcome((False, failures[n]) if n in failures else (True, value), dumps)
        for n, value in enumerate(values, first)
    ]


def without_views(report: Report) -> Report:
    """Return a report that shares no memory with results, which tasks may reuse."""
    plain, content = report
    if plain:
        return plain, _copied(content)
    return plain, [each._replace(pickled=_copied(each.pickled)) for each in content]


def _copied(payload: Any) -> Any:
    """Return a payload with copies of the arrays in it; strings do not change."""
    if not isinstance(payload, Pickled) or not payload.buffers:
        return payload
    arrays = (x if isinstance(x, StringMemory) else x.copy() for x in payload.buffers)
    return Pickled(payload.data, list(arrays))


def pack_outcome(outcome: Outcome, dumps: Dumps = pickle.dumps) -> PickledOutcome:
    """Return a pickled outcome; a pickling error is reported in its place."""
    ok, value = outcome
    content, text = (value, "") if ok else value
    kind = type(content).__name__
    is_pickled, pickled = attempt(pack, content, dumps)
    if is_pickled:
        return PickledOutcome(ok, pickled, kind, text)
    return PickledOutcome(ok, None, kind, text or f"{reason(pickled)}\n")


def unpack_outcomes(first: int, report: Report) -> Outcomes:
    """Return the outcomes of a report, whose first task has the number `first`."""
    plain, payload = report
    if plain:
        return Outcomes(
            unpack(payload) if isinstance(payload, Pickled) else payload, {}
        )
    values: list[Any] = []
    failures: dict[int, Failure] = {}
    for number, packed in enumerate(payload, first):
        ok, value = unpack_outcome(number, packed)
        values.append(value if ok else None)
        if not ok:
            failures[number] = value
    return Outcomes(values, failures)


def unpack_outcome(number: int, outcome: PickledOutcome) -> Outcome:
    """Return the outcome of a task, or the failure to unpickle it."""
    content = "result" if outcome.ok else "error"
    subject = f"the {content} of task {number} ({outcome.kind})"
    if outcome.pickled is None:
        error = TaskError(f"{subject} cannot be pickled: return a picklable object")
        return False, Failure(error, outcome.text)
    ok, value = attempt(unpack, outcome.pickled)
    if not ok:
        error = TaskError(f"{subject} cannot be unpickled: {reason(value)}")
        return False, Failure(error, outcome.text or traceback_of(value))
    if outcome.ok:
        return True, value
    if isinstance(value, Exception) and not isinstance(value, ITERATION_ENDS):
        return False, Failure(value, outcome.text)
    error = TaskError(
        f"{subject} is unpickled as {shown(value)}, which is not an exception"
    )
    return False, Failure(error, outcome.text)
