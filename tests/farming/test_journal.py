"""Whatever is cut off or flipped: what was promised is read, or the reader says no."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from mpiapps.base.errors import InputError, ReadWriteError
from mpiapps.farming import journal
from mpiapps.farming.journal import Journal, read

HEADER = {"list": "abc"}
RECORDS = [{"task": f"t{n}", "exit": n % 3, "said": "ü\n\x00 {}" * n} for n in range(5)]


@pytest.fixture
def path(tmp_path):
    """A journal of a header and five records."""
    with Journal(tmp_path / "journal", HEADER) as found:
        for each in RECORDS:
            found.add(each)
    return tmp_path / "journal"


def test_what_was_written_is_read(path):
    content = read(path)
    assert content.records == RECORDS
    assert (content.whole, content.torn) == (path.stat().st_size, 0)
    past = []
    with Journal(path, HEADER, past.append) as found:
        assert past == RECORDS
        found.add({"more": 1})
    assert read(path).records == [*RECORDS, {"more": 1}]


def test_cut_at_every_byte_it_holds_what_was_whole_and_goes_on(path):
    data = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        whole = max(0, sum(end <= cut for end in ends) - 1)
        past = []
        with Journal(path, HEADER, past.append) as found:
            assert past == RECORDS[:whole]
            for each in RECORDS[whole:]:
                found.add(each)
        assert path.read_bytes() == data


def test_no_flipped_bit_is_believed(path):
    data = bytearray(path.read_bytes())
    bits = random.Random(0).sample(range(8 * len(data)), 500)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        if bit // 8 == len(data) - 1:  # the last line lost its end: it is done again
            assert read(path).records == RECORDS[:-1]
        else:
            with pytest.raises(InputError, match="is damaged in line"):
                read(path)
        data[bit // 8] ^= 1 << bit % 8


def test_the_journal_of_something_else_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"is the journal of .*abc.*, not of .*xyz"):
        Journal(path, {"list": "xyz"})
    assert path.read_bytes() == before
    path.write_bytes(journal._line({"format": 9}))
    with pytest.raises(InputError, match="has format 9, and this version reads 1"):
        read(path)
    path.write_text("# a text\n")
    with pytest.raises(InputError, match="is damaged in line 1"):
        Journal(path, HEADER)


def test_a_disk_that_is_full_leaves_a_good_journal(path):
    code = """
import resource, signal, sys
from pathlib import Path
from mpiapps.base.errors import ReadWriteError
from mpiapps.farming.journal import Journal
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20,) * 2)
with Journal(path, {"list": "abc"}) as found:
    try:
        found.add({"long": "x" * 100})
    except ReadWriteError as error:
        print(error)
"""
    before = path.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large; what is in it is good" in ended.stdout
    assert path.read_bytes() == before


def test_what_was_synced_outlives_a_kill(tmp_path):
    code = """
import sys
from pathlib import Path
from mpiapps.farming.journal import Journal
found = Journal(Path(sys.argv[1]), {})
for n in range(10**9):
    found.add({"n": n})
    if found.due():
        print(n, flush=True)
"""
    path = tmp_path / "journal"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        promised = [int(job.stdout.readline()) for _ in range(20)]
        os.kill(job.pid, signal.SIGKILL)
        promised += [int(line) for line in job.stdout.read().split("\n")[:-1]]
    numbers = [record["n"] for record in read(path).records]
    assert numbers == list(range(len(numbers)))
    assert numbers[-1] >= promised[-1]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReadWriteError, match=r"cannot write .*: No such file"):
        Journal(tmp_path / "gone" / "journal", HEADER)
    with pytest.raises(ReadWriteError, match=r"cannot read .*: No such file"):
        read(tmp_path / "gone")


def test_a_line_is_plain_json_and_a_checksum(path):
    line = path.read_text().splitlines()[1]
    assert json.loads(line[:-9]) == RECORDS[0]
