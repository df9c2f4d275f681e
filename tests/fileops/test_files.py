"""The program on files, on any number of ranks, against standard tools."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from mpiapps.app.context import RunContext
from mpiapps.app.output import as_text
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, InputError, UsageError
from mpiapps.base.file_names import expand, read_list
from mpiapps.fileops import choices, reading, segments
from mpiapps.fileops.listing import gather_listing
from mpiapps.fileops.run_segments import run_segments
from mpiapps.storage import journal
from mpiapps.tasks.task_journal import TaskJournal
from tests.fileops.runs import run_files
from tests.wc import wc

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


def text(seed, size):
    rng = random.Random(seed)
    parts = ["a", "word", "é", "中文", "\u00a0", " ", " ", "\n", "\n", "\t", "x" * 50]
    data = "".join(rng.choices(parts, k=size)).encode()
    return data + rng.choice([b"", b"\n", b"\xff\xfe", "é".encode()[:1]])


def wc_of(paths, encoding="utf-8"):
    """Return the totals of files."""
    rows = [wc(Path(path).read_bytes(), encoding) for path in paths]
    return [sum(column) for column in zip(*rows, strict=True)]


def counts(result):
    return [result.values[name] for name in choices.COUNTS]


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
def test_totals_equal_those_of_wc(world, place, on_root, encoding):
    def write():
        for n, size in enumerate([0, 1, 2, 30, 500, 3000]):
            (place / f"{n}.txt").write_bytes(text(n, size))
        (place / "none").write_bytes(b"nothing to split at" * 300)

    on_root(write)
    result = run_files(world, "count", place, encoding=encoding)
    if world.is_root:
        assert counts(result) == wc_of(sorted(place.iterdir()), encoding)
        assert (result.values["files"], result.exit_code) == (7, 0)
    one = run_files(world, "count", place, encoding=encoding, only=("lines",))
    if world.is_root:
        assert one.values["lines"] == result.values["lines"]
        assert "words" not in one.values


@pytest.mark.usefixtures("small_segments")
def test_most_frequent_words(world, place, on_root):
    data = [text(n, 2000) for n in range(3)]

    def write():
        for n, content in enumerate(data):
            (place / f"{n}.txt").write_bytes(content)
        (place / "bad.txt.gz").write_bytes(gzip.compress(data[0] * 9)[:-9])

    on_root(write)
    for directory in ("", str(place.parent / "journals")):
        result = run_files(world, "count", place, top=4, directory=directory)
        assert result.exit_code == 3
        if world.is_root:
            wanted = Counter(word for content in data for word in content.split())
            best = sorted(wanted.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
            assert result.values["top"] == [f"{w.decode()}:{n}" for w, n in best]


def test_failed_files_are_reported_and_the_others_are_processed(world, place, on_root):
    import zstandard

    def write():
        (place / "good").write_text("one\ntwo\n")
        (place / "cut.gz").write_bytes(gzip.compress(b"x" * 999)[:-9])
        (place / "cut.zst").write_bytes(zstandard.compress(b"x" * 999)[:-3])
        (place / "loop").symlink_to("loop")
        (place / "no.xz").write_bytes(b"not compressed")
        (place / "latin").write_bytes(b"caf\xe9\n")
        os.mkfifo(place / "pipe")

    on_root(write)
    journals = place.parent / "journals"
    gone = place / "gone\nwith a newline"
    result = run_files(
        world, "count", place, gone, strict_utf8=True, directory=str(journals)
    )
    assert result.exit_code == 3
    if world.is_root:
        assert (result.values["files"], result.values["failed"]) == (1, 7)
        assert counts(result)[:2] == [2, 2]
        notes = "\n".join(result.notes)
        for name, reason in {
            "cut.gz": "ended before its content did",
            "cut.zst": "ended before its content did",
            "loop": "Too many levels of symbolic links",
            "no.xz": "not an xz file: it begins with",
            "latin": "1 bytes are not UTF-8",
            "pipe": "not a regular file",
            "newline": "No such file",
        }.items():
            assert any(
                name in note and reason in note for note in notes.split("\n/")
            ), name
    on_root(lambda: gone.write_text("three\n"))
    again = run_files(world, "count", list=(str(journals / "failed.txt"),))
    if world.is_root:
        assert (again.values["files"], again.values["lines"]) == (2, 2)  # latin is text


def test_files_whose_size_is_not_their_length(world, place, on_root):
    """Sizes of /proc are 0, those of /sys a page."""
    paths = ["/proc/filesystems", "/proc/self/status", "/sys/kernel/mm/ksm/run",
             str(place / "empty"), str(place / "page")]  # fmt: skip
    on_root((place / "empty").touch)
    on_root((place / "page").write_bytes, b"some text\n" * 4096)
    paths.remove("/proc/self/status")  # another one for each process
    for options in ({}, {"only": ("lines",)}, {"only": ("bytes",)}, {"top": 1}):
        for names in (paths, *([path] for path in paths)):
            result = run_files(world, "count", *names, **options)
            assert result.exit_code == 0, result.notes
            if world.is_root:
                wanted = dict(zip(choices.COUNTS, wc_of(names), strict=True))
                for name in choices.COUNTS:
                    value = result.values.get(name, wanted[name])
                    assert value == wanted[name], (names, options)


def test_a_digest_of_a_truncated_file_fails(world, place, on_root):
    from mpiapps.fileops.digest import Digest

    names = [str(place / name) for name in "ab"]
    on_root(lambda: [Path(name).write_text("some lines\n") for name in names])
    listing = gather_listing(world.comm, names if world.is_root else None)
    on_root(lambda: os.truncate(names[1], 3))
    results = run_segments(
        RunContext.make(world), listing, Digest("sha256"), TaskJournal()
    )
    assert results.errors == {1: "truncated to 3 bytes; it had 11 bytes"}


def test_words_are_written_unchanged_and_printed_escaped(world, place, on_root):
    words = [b"\x1b[31mred", b"\xff\xfe", *(b"w%d" % n for n in range(18))]
    words[2] = b"w0" * 10**5
    on_root((place / "x").write_bytes, b"\n".join(words))
    output = place.parent / "out"
    result = run_files(world, "count", place, top=20, output=str(output))
    if world.is_root:
        assert output.read_bytes() == b"".join(b"1 %s\n" % w for w in sorted(words))
        shown = as_text("", result.values, {})
        assert "\x1b" not in shown
        assert all(f"w{n}:1" in shown for n in range(1, 18))
        assert "... (200000 bytes):1" in shown
        assert len(shown) < 3000


def test_each_name_is_one_line_of_the_output(world, place, on_root):
    names = ["plain", "new\nline", "back\\slash", "\udcff"]
    on_root(lambda: [(place / name).write_text("a\n") for name in names])
    output = place.parent / "out"
    run_files(world, "count", place, output=str(output), only=("lines",))
    if world.is_root:
        lines = output.read_bytes().splitlines()
        top = os.fsencode(place)
        wanted = [
            b"\\1 %s/back\\\\slash",
            b"\\1 %s/new\\nline",
            b"1 %s/plain",
            b"1 %s/\xff",
        ]
        assert lines == [line % top for line in wanted]


def test_a_file_that_is_removed_or_truncated_meanwhile(world, place, on_root):
    from mpiapps.fileops.count import TextCount

    names = [str(place / name) for name in "abc"]
    on_root(lambda: [Path(name).write_text("some lines\n" * 9) for name in names])
    listing = gather_listing(world.comm, names if world.is_root else None)
    on_root(lambda: (Path(names[0]).unlink(), os.truncate(names[1], 20)))
    results = run_segments(RunContext.make(world), listing, TextCount(), TaskJournal())
    assert results.errors == {
        0: "No such file or directory",
        1: "truncated to 20 bytes; it had 99 bytes",
    }
    if world.is_root:
        assert results.files.tolist() == [2]


@pytest.mark.parametrize(
    "suffix", [".gz", ".xz", ".bz2", ".zst", ".Gz", ".tgz", ".lzma", ".TXZ", ".tzst"]
)
def test_compressed_files_are_decompressed(world, place, on_root, suffix):
    import zstandard

    long = zstandard.ZstdCompressionParameters(window_log=28)
    pack = {"gz": gzip.compress, "xz": lzma.compress, "z2": bz2.compress,
            "st": zstandard.ZstdCompressor(compression_params=long).compress,
            "ma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
            }[suffix.lower()[-2:]]  # fmt: skip
    data = text(5, 300_000)
    path = place / f"file{suffix}"
    on_root(lambda: (path.write_bytes(pack(data)), (place / "as").write_bytes(data)))
    result, plain = (
        run_files(world, "count", path),
        run_files(world, "count", path, no_decompress=True),
    )
    if world.is_root:
        assert counts(result) == wc(data)
        assert plain.values["bytes"] == path.stat().st_size


@pytest.mark.parametrize("algorithm", choices.ALGORITHMS)
def test_digests_of_all_algorithms(world, place, on_root, algorithm):
    on_root((place / "abc").write_bytes, b"abc")
    sums = place.parent / "sums"
    result = run_files(world, "hash", place, output=str(sums), algorithm=algorithm)
    assert result.exit_code == 0
    result = run_files(world, "hash", check=str(sums), algorithm=algorithm)
    assert result.exit_code == 0
    if world.is_root and algorithm.startswith("xxh"):  # of the specification's tests
        known = {
            "xxh64": "44bc2cf5ad770999",
            "xxh128": "06b05ab6733a618578af5f94892f3950",
        }
        assert sums.read_text().split()[0] == known[algorithm]


def test_a_manifest_that_sha256sum_checks(world, place, on_root):
    names = [b"plain", b"with space", b"new\nline", b"back\\slash", b"-dash", b"\xff"]

    def write():
        for n, name in enumerate(names):
            Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(b"x" * n)

    on_root(write)
    result = run_files(world, "hash", place, output=str(place.parent / "sums"))
    assert result.exit_code == 0
    if world.is_root:
        command = ["sha256sum", "-c", "--strict", place.parent / "sums"]
        out = subprocess.run(command, capture_output=True, check=True).stdout
        assert out.count(b": OK\n") == len(names)


@pytest.mark.parametrize(
    ("algorithm", "command"),
    [("sha256", ["sha256sum"]), ("md5", ["md5sum", "--tag"]), ("b2", ["b2sum", "-b"])],
)
def test_digests_are_compared_with_a_manifest(
    world, place, on_root, algorithm, command
):
    names = ["plain", "new\nline", "back\\slash", "(a) = b", "changed", "gone"]
    sums = place.parent / "sums"

    def write():
        paths = [place / name for name in names]
        for path in paths:
            path.write_text(path.name)
        with sums.open("wb") as stream:
            subprocess.run([*command, "--", *paths], stdout=stream, check=True)
        paths[-2].write_text("CHANGED")
        paths[-1].unlink()

    on_root(write)
    result = run_files(world, "hash", check=str(sums), algorithm=algorithm)
    assert result.exit_code == 3
    if world.is_root:
        assert (result.values["files"], result.values["failed"]) == (4, 2)
        assert {note.split(": ")[0] for note in result.notes} == {
            str(place / "changed"),
            str(place / "gone"),
        }
    with pytest.raises(InputError, match="is not a digest of 40"):
        run_files(world, "hash", check=str(sums), algorithm="sha1")


OF_A = hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize(
    "line",
    [
        "no digest",
        f"{OF_A}name",
        f"{OF_A[1:]}  name",
        f"\\{OF_A}  a\\q",
        f"\\{OF_A}  a\\",
        f"SHA512 (name) = {OF_A}",
        f"BLAKE2b-256 (name) = {OF_A}",
    ],
)
def test_a_line_that_is_no_digest_is_an_error(tmp_path, line):
    from mpiapps.fileops.digest import read_manifest

    (tmp_path / "sums").write_text(f"{OF_A}  good\n{line}\n")
    with pytest.raises(InputError, match=r"line 2: .* is not a digest of 64"):
        read_manifest(str(tmp_path / "sums"), "sha256")


@pytest.mark.parametrize(
    "line",
    [
        f"{OF_A} a",
        f" \t{OF_A}  a",
        f"{OF_A}\t*a\r",
        f"  \\{OF_A}  a\\\\",
        f"{OF_A}  a\\q",
        f"# a comment\n\r\n  SHA256 (a) = {OF_A}",
    ],
)
def test_lines_that_sha256sum_accepts(tmp_path, monkeypatch, line):
    from mpiapps.fileops.digest import read_manifest

    monkeypatch.chdir(tmp_path)
    for name in ("a", "a\\", "a\\q"):
        Path(name).write_bytes(b"a")
    Path("sums").write_bytes(f"{line}\n".encode())
    out = subprocess.check_output(["sha256sum", "-c", "--strict", "sums"])
    assert out.endswith(b": OK\n")
    ((name, digest),) = read_manifest("sums", "sha256").items()
    assert (Path(name).read_bytes(), digest) == (b"a", OF_A)


def test_a_manifest_with_zero_bytes(tmp_path, monkeypatch):
    from mpiapps.fileops.digest import read_manifest

    monkeypatch.chdir(tmp_path)
    names = ["a", "new\nline", "a\\n", "end\r", "\udcff"]
    for name in names:
        Path(name).write_bytes(b"a")
    for tag in ([], ["--tag"]):
        argv = ["sha256sum", "-z", *tag, *names]
        Path("sums").write_bytes(subprocess.check_output(argv))
        assert read_manifest("sums", "sha256") == dict.fromkeys(names, OF_A)
    for bad in (f"{OF_A}  a\n{OF_A}\0 b\n", f"\\{OF_A}  a\\n\0", f"{OF_A}\0\n"):
        Path("sums").write_text(f"{OF_A}  good\0{bad}")
        with pytest.raises(InputError, match=r"line [23]: .* is not a digest of 64"):
            read_manifest("sums", "sha256")


@pytest.mark.parametrize("manifest", ["", "\n\r\n# a comment\n"])
def test_a_manifest_without_a_digest_is_an_error(world, place, on_root, manifest):
    on_root((place / "sums").write_text, manifest)
    with pytest.raises(InputError, match="sums: no line has a digest and a name"):
        run_files(world, "hash", check=str(place / "sums"))


def count_lines(lines):
    return sum(1 for _ in lines)


def join_lines(lines):
    return [b"".join(lines).decode("latin-1")]


def base_name(path):
    if path.endswith("b"):
        raise RuntimeError("not this one")
    return Path(path).name


@pytest.mark.usefixtures("small_segments")
def test_a_users_function(world, place, on_root, monkeypatch):
    on_root(lambda: [(place / n).write_bytes(text(7, 900)) for n in "abc"])
    output = place.parent / "out"
    result = run_files(world, "map", f"{__name__}:base_name", place, output=str(output))
    assert result.exit_code == 3
    if world.is_root:
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert [row["value"] for row in rows] == ["a", "c"]
        assert "b: RuntimeError: not this one" in result.notes[0]
    for function in ("count_lines", "join_lines"):
        name = f"{__name__}:{function}"
        run_files(world, "map", name, place / "a", output=str(output), records=True)
        if world.is_root:
            rows = [json.loads(line) for line in output.read_text().splitlines()]
            assert len(rows) > 5, (result.notes, name)
            data = (place / "a").read_bytes()
            values = [row["value"] for row in rows]
            if function == "count_lines":
                assert sum(values) == len(data.splitlines())
            else:
                wanted = data.replace(b"\n", b"").decode("latin-1")
                assert "".join(part for (part,) in values) == wanted
    monkeypatch.setattr(reading, "MAX_RECORD_BYTES", 20)
    result = run_files(world, "map", name, place, output=str(output), records=True)
    assert result.values["failed"] == 3
    with pytest.raises(UsageError, match="no_such"):
        run_files(world, "map", f"{__name__}:no_such", place, output=str(output))


@pytest.mark.usefixtures("small_segments")
def test_a_stop_loses_nothing_and_changed_files_are_processed_again(
    world, place, on_root, monkeypatch
):
    created, rng = [], random.Random(world.rank)
    monkeypatch.setattr(Deadline, "remaining", lambda _: rng.choice([0, *[9] * 6]))
    real = segments.Segment

    def create(*args):
        created.append(args)
        return real(*args)

    monkeypatch.setattr("mpiapps.fileops.run_segments.Segment", create)
    on_root(lambda: [(place / f"{n}").write_bytes(text(n, 700)) for n in range(4)])
    journals = str(place.parent / "journals")
    starts = 0
    while True:
        starts += 1
        try:
            result = run_files(world, "count", place, directory=journals)
            break
        except Checkpointed:
            world.comm.Barrier()
    assert starts > 1
    if world.is_root:
        assert counts(result) == wc_of(place.iterdir())
    first = {args for part in world.comm.allgather(created) for args in part}
    monkeypatch.setattr(Deadline, "remaining", lambda _: 9)
    created.clear()
    run_files(world, "count", place, directory=journals)
    assert sum(len(part) for part in world.comm.allgather(created)) == len(first)
    on_root(lambda: (place / "2").write_bytes(b"changed\n"))
    changed = run_files(world, "count", place, directory=journals)
    if world.is_root:
        assert counts(changed) == wc_of(place.iterdir())
    with pytest.raises(InputError, match="give another directory"):
        run_files(world, "count", place, directory=journals, encoding="bytes")
    # Numbers that are not given are recorded as by the first versions: they resume.
    for path in Path(journals).glob("journal.*"):
        options = journal.read(path).header["options"]
        assert options["factor"] == options["fraction"] == 0.0
        assert options["by"] == ""


def test_paths_are_files_directories_patterns_and_lists(place, on_root):
    def write():
        for name in ("b", "a.txt", "deep/c.txt", "deep/er/d", "deep/.hidden"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(name)
        (place / "link").symlink_to("deep")
        (place.parent / "zero").write_bytes(b"one\0two\nlines\0")
        (place.parent / "plain").write_text(f"{place}/b\n{place}/deep\n")

    on_root(write)

    def names(*paths, lists=()):
        listed = [name for path in lists for name in read_list(str(path))]
        expanded = expand([str(path) for path in paths], listed)
        return [os.path.relpath(name, place) for name in expanded]

    below = ["deep/.hidden", "deep/c.txt", "deep/er/d"]
    assert names(place) == ["a.txt", "b", *below]
    assert names(place / "**" / "*.txt") == ["a.txt", "deep/c.txt", "link/c.txt"]
    assert names(place / "deep" / "**") == below  # a directory and what is in it: once
    assert names(place / "no") == ["no"]
    assert names(lists=[place.parent / "plain"]) == ["b", *below]
    assert expand([], read_list(str(place.parent / "zero"))) == ["one", "two\nlines"]
    with pytest.raises(InputError, match="matches no file"):
        names(place / "*.none")
    with pytest.raises(InputError, match="cannot read the list"):
        names(lists=[place / "none"])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_any_number_of_files(world, place, on_root, n):
    (place / "in").mkdir(exist_ok=True)
    on_root(lambda: [(place / "in" / str(k)).write_text("x\n") for k in range(n)])
    result = run_files(world, "count", place / "in")
    if world.is_root:
        assert counts(result) == [n, n, 2 * n, 2 * n]


@pytest.mark.usefixtures("small_segments")
def test_the_record_lists_each_file(world, place, on_root):
    def write():
        (place / "a").write_text("some words\n" * 100)
        (place / "b").write_text("é")

    on_root(write)
    counts = run_files(world, "count", place, per_file=True)
    bytes_only = run_files(world, "count", place, per_file=True, only=("bytes",))
    digests = run_files(world, "hash", place, per_file=True, algorithm="md5")
    if world.is_root:
        assert counts.values["per_file"] == [
            {"path": f"{place}/a", "lines": 100, "words": 200, "characters": 1100,
             "bytes": 1100},
            {"path": f"{place}/b", "lines": 0, "words": 1, "characters": 1, "bytes": 2},
        ]  # fmt: skip
        assert [row["bytes"] for row in bytes_only.values["per_file"]] == [1100, 2]
        wanted = hashlib.md5("é".encode()).hexdigest()
        assert digests.values["per_file"][1] == {"path": f"{place}/b", "md5": wanted}


@pytest.mark.usefixtures("small_segments")
def test_equally_frequent_words_are_ordered_by_their_bytes(world, place, on_root):
    words = ["b", "a", "é", "Z", "ab", "a"] * 30
    on_root(lambda: (place / "t").write_text(" ".join([*words, *words[::-1], "é"])))
    result = run_files(world, "count", place, top=4)
    if world.is_root:
        assert result.values["top"] == ["a:120", "é:61", "Z:60", "ab:60"]
