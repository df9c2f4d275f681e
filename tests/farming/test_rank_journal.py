"""Ranks of runs that overlap write beside each other; a bad line costs itself."""

import logging
import random

import pytest

from mpiapps.base.errors import InputError
from mpiapps.farming.rank_journal import RankJournal, recorded

HEADER = {"case": "abc"}


def numbers(folder):
    return sorted(each["n"] for each in recorded(folder, HEADER))


def test_runs_at_the_same_time_lose_nothing(tmp_path):
    chance = random.Random(0)
    ranks = [RankJournal(str(tmp_path), HEADER, n % 2) for n in range(6)]
    for n in range(200):
        chance.choice(ranks).add({"n": n})
    assert numbers(tmp_path) == list(range(200))  # also while they are at work
    for each in ranks:
        each.__exit__(None, None, None)
    with RankJournal(str(tmp_path), HEADER, 0) as other:
        other.add({"n": 200})
    assert numbers(tmp_path) == list(range(201))


def test_what_has_nothing_to_record_leaves_nothing(tmp_path):
    with RankJournal(str(tmp_path), HEADER, 0) as one:
        one.sync()
    with RankJournal("", HEADER, 0) as none:
        none.add({"n": 1})
        none.sync()
    assert not none.records
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_costs_one_record(tmp_path, caplog):
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
            found = numbers(tmp_path)
        lost = 1 if bit // 8 == len(data) - 1 or data.count(b"\n") > 20 else 2
        assert 20 - lost <= len(found) < 20
        assert set(found) < set(range(20))
        assert "is damaged in lines" in caplog.text or bit // 8 == len(data) - 1
        data[bit // 8] ^= 1 << bit % 8
    data[2] ^= 1  # without its header nobody knows what the records are of
    path.write_bytes(data)
    assert numbers(tmp_path) == []
    assert "in all lines" in caplog.text


@pytest.mark.parametrize(
    ("of", "why"), [("", r"of .*abc.*, not of .*xyz"), ("others", "is of others;")]
)
def test_a_journal_of_something_else_is_refused(of, why, tmp_path):
    with RankJournal(str(tmp_path), HEADER, 0) as journal:
        journal.add({"n": 1})
    with pytest.raises(InputError, match=why):
        list(recorded(tmp_path, {"case": "xyz"}, of))
