"""Overlapping runs write separate journals; a damaged line costs only itself."""

import logging
import random

import pytest

from mpiapps.base.errors import InputError
from mpiapps.storage.rank_journal import RankJournal, recorded

HEADER = {"case": "abc"}


def numbers(directory):
    return sorted(record["n"] for record in recorded(directory, HEADER))


def test_concurrent_runs_lose_no_record(tmp_path):
    rng = random.Random(0)
    journals = [RankJournal(str(tmp_path), HEADER, n % 2) for n in range(6)]
    for n in range(200):
        rng.choice(journals).add({"n": n})
    assert numbers(tmp_path) == list(range(200))  # also while they are open
    for journal in journals:
        journal.__exit__(None, None, None)
    with RankJournal(str(tmp_path), HEADER, 0) as journal:
        journal.add({"n": 200})
    assert numbers(tmp_path) == list(range(201))


def test_no_file_without_records(tmp_path):
    with RankJournal(str(tmp_path), HEADER, 0) as empty:
        empty.sync()
    with RankJournal("", HEADER, 0) as disabled:
        disabled.add({"n": 1})
        disabled.sync()
    assert not disabled.records
    assert list(tmp_path.iterdir()) == []


def test_flipped_bit_costs_one_record(tmp_path, caplog):
    with RankJournal(str(tmp_path), HEADER, 0) as journal:
        for n in range(20):
            journal.add({"n": n})
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    first = data.index(b"\n") + 1
    for bit in random.Random(0).sample(range(8 * first, 8 * len(data)), 200):
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            intact = numbers(tmp_path)
        lost = 1 if bit // 8 == len(data) - 1 or data.count(b"\n") > 20 else 2
        assert 20 - lost <= len(intact) < 20
        assert set(intact) < set(range(20))
        assert "is damaged in lines" in caplog.text or bit // 8 == len(data) - 1
        data[bit // 8] ^= 1 << bit % 8
    data[2] ^= 1  # without the header the records cannot be identified
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert numbers(tmp_path) == []
    assert "in all lines" in caplog.text


@pytest.mark.parametrize(
    ("other", "message"),
    [("", "another run: case: abc there, xyz here;"), ("others", "is of others;")],
)
def test_journal_with_another_header_is_an_error(other, message, tmp_path):
    with RankJournal(str(tmp_path), HEADER, 0) as journal:
        journal.add({"n": 1})
    with pytest.raises(InputError, match=message):
        list(recorded(tmp_path, {"case": "xyz"}, other))
