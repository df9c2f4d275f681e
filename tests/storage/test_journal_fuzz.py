"""Damage to a journal is detected, or loses only the tail that is reported.

See tests/fuzz.py for the number of inputs.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.base.errors import InputError
from mpiapps.storage.journal import Journal, read, salvage
from tests.fuzz import examples

HEADER = {"program": "fuzz", "of": ["é", 1]}
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6)
PLACES = st.floats(0, 1, exclude_max=True)


def written(directory, records):
    path = Path(directory, "journal")
    with Journal(path, HEADER) as journal:
        for record in records:
            journal.add(record)
    return path


def in_order(some, records):
    """Return whether `some` are among the records, in their order."""
    rest = iter(records)
    return all(any(record == other for other in rest) for record in some)


@examples(30)
@given(RECORDS, PLACES, st.binary(max_size=3) | st.just(bytes(4096)))
def test_a_torn_end_loses_only_what_is_reported(records, place, rest):
    """`rest`: bytes without a line end that a file system left after the cut."""
    rest = rest.replace(b"\n", b"")
    with tempfile.TemporaryDirectory() as directory:
        path = written(directory, records)
        data = path.read_bytes()
        cut = int(place * len(data))
        path.write_bytes(data[:cut] + rest)
        whole = data[:cut].count(b"\n")
        content = read(path)
        assert content.records == records[: max(0, whole - 1)]
        assert content.torn == cut + len(rest) - content.complete
        with Journal(path, HEADER) as journal:
            journal.add({"more": 1})
        content = read(path)
        assert content.records == [*records[: max(0, whole - 1)], {"more": 1}]
        assert content.torn == 0


@examples(60)
@given(
    RECORDS,
    st.lists(st.tuples(PLACES, st.integers(1, 255)), min_size=1, max_size=3),
    PLACES | st.just(1.0),
)
def test_changed_bytes_are_detected(records, changes, place):
    with tempfile.TemporaryDirectory() as directory:
        path = written(directory, records)
        data = path.read_bytes()
        changed = bytearray(data[: round(place * len(data))])
        for at, mask in changes:
            if changed:
                changed[int(at * len(changed))] ^= mask
        path.write_bytes(changed)
        if data.startswith(changed):
            assert in_order(read(path).records, records)
            return
        complete = changed.rpartition(b"\n")[0]
        if data.startswith(complete + b"\n" * bool(complete)):
            # The damage is in the last line, which has no line end.
            content = read(path)
            assert content.torn == len(changed) - content.complete > 0
            assert content.records == records[: len(content.records)]
        else:
            with pytest.raises(InputError, match="is damaged in line"):
                Journal(path, HEADER)
            assert path.read_bytes() == changed
        assert in_order(salvage(path).records, records)
