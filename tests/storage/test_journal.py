"""After truncation or bit flips synced records are read, or an error is raised."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.storage import journal
from mpiapps.storage.journal import Journal, read

HEADER = {"list": "abc"}
RECORDS = [{"task": f"t{n}", "exit": n % 3, "text": "ü\n\x00 {}" * n} for n in range(5)]


@pytest.fixture
def path(tmp_path):
    """A journal of a header and five records."""
    with Journal(tmp_path / "journal", HEADER) as writer:
        for record in RECORDS:
            writer.add(record)
    return tmp_path / "journal"


def test_written_records_are_read(path):
    content = read(path)
    assert content.records == RECORDS
    assert (content.complete, content.torn) == (path.stat().st_size, 0)
    existing = []
    with Journal(path, HEADER, existing.append) as writer:
        assert existing == RECORDS
        writer.add({"more": 1})
    assert read(path).records == [*RECORDS, {"more": 1}]


def test_journal_truncated_at_any_byte_keeps_complete_records_and_continues(path):
    data = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        complete = max(0, sum(end <= cut for end in ends) - 1)
        existing = []
        with Journal(path, HEADER, existing.append) as writer:
            assert existing == RECORDS[:complete]
            for record in RECORDS[complete:]:
                writer.add(record)
        assert path.read_bytes() == data


def test_every_flipped_bit_is_detected(path):
    data = bytearray(path.read_bytes())
    bits = random.Random(0).sample(range(8 * len(data)), 500)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        if bit // 8 == len(data) - 1:  # the last line lost its line feed
            assert read(path).records == RECORDS[:-1]
        else:
            with pytest.raises(InputError, match="is damaged in line"):
                read(path)
        data[bit // 8] ^= 1 << bit % 8


def test_journal_with_another_header_is_an_error(path):
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"another run: list: abc there, xyz here;"):
        Journal(path, {"list": "xyz"})
    assert path.read_bytes() == before
    path.write_bytes(journal._line({"format": 9}))
    with pytest.raises(InputError, match="has format 9; this version reads format 1"):
        read(path)
    path.write_text("# a text\n")
    with pytest.raises(InputError, match="is damaged in line 1"):
        Journal(path, HEADER)


def test_only_what_differs_is_stated(path):
    there = {"program": "files", "options": {"encoding": "utf-8", "by": "", "top": 3}}
    here = {"program": "files", "options": {"encoding": "bytes", "by": "", "only": []}}
    path.unlink()
    Journal(path, there).close()
    with pytest.raises(InputError) as raised:
        Journal(path, here)
    assert str(raised.value) == (
        f"{path} is the journal of another run: encoding: utf-8 there, bytes here; top:"
        " 3 there, absent here; only: absent there, [] here; give another directory, or"
        " remove it to start again"
    )
    with pytest.raises(InputError) as raised:
        Journal(path, {**there, "options": {"by": "x" * 9999}})
    assert len(str(raised.value)) < len(str(path)) + 500


def test_full_disk_leaves_the_journal_intact(path):
    code = """
import resource, signal, sys
from pathlib import Path
from mpiapps.base.errors import FileAccessError
from mpiapps.storage.journal import Journal
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20,) * 2)
with Journal(path, {"list": "abc"}) as journal:
    try:
        journal.add({"long": "x" * 100})
    except FileAccessError as error:
        print(error)
"""
    before = path.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large; its content is intact" in ended.stdout
    assert path.read_bytes() == before


def test_synced_records_survive_a_kill(tmp_path):
    code = """
import sys
from pathlib import Path
from mpiapps.storage.journal import Journal
journal = Journal(Path(sys.argv[1]), {})
for n in range(10**9):
    journal.add({"n": n})
    if journal.sync_if_due():
        print(n, flush=True)
"""
    path = tmp_path / "journal"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        synced = [int(job.stdout.readline()) for _ in range(20)]
        os.kill(job.pid, signal.SIGKILL)
        synced += [int(line) for line in job.stdout.read().split("\n")[:-1]]
    numbers = [record["n"] for record in read(path).records]
    assert numbers == list(range(len(numbers)))
    assert numbers[-1] >= synced[-1]


def test_missing_directory_is_an_error(tmp_path):
    with pytest.raises(FileAccessError, match=r"cannot write .*: No such file"):
        Journal(tmp_path / "gone" / "journal", HEADER)
    with pytest.raises(FileAccessError, match=r"cannot read .*: No such file"):
        read(tmp_path / "gone")


def test_line_is_json_and_a_checksum(path):
    line = path.read_text().splitlines()[1]
    assert json.loads(line[:-9]) == RECORDS[0]
