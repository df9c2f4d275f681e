"""Samples of lines, on any number of ranks."""

import gzip
import statistics

import pytest

from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


@pytest.fixture
def files(place, on_root):
    """Write files with lines of 0 to 400 bytes; return all lines, in order."""
    texts = [
        "".join(f"{name}{n}" + "é" * (n * n % 200) + "\n" * (1 + (n % 50 == 0))
                for n in range(700))
        for name in "ab"
    ]  # fmt: skip
    texts[1] = texts[1].rstrip("\n")

    def write():
        for name, text in zip("ab", texts, strict=True):
            (place / name).write_text(text)
        (place / "empty").write_text("")

    on_root(write)
    return "".join(texts).split("\n")


def taken(world, place, *names, **options):
    """Return the sampled lines, on the root."""
    output = place.parent / "out"
    if world.is_root:
        output.unlink(missing_ok=True)
    paths = [place / name for name in names] or [place]
    result = run_files(world, "sample", *paths, output=str(output), **options)
    if not world.is_root:
        return None
    text = output.read_text()
    assert result.values["lines"] == text.count("\n")
    return text.splitlines()


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(line in rest for line in part)


def test_a_sample_is_the_same_for_any_split(world, place, files, request):
    asked = [{"lines": 30}, {"fraction": 0.05}, {"lines": 30, "seed": 7}]
    unsplit = [taken(world, place, **options) for options in asked]
    request.getfixturevalue("small_segments")
    directory = str(place.parent / "journals")
    for options, lines in zip(asked, unsplit, strict=True):
        assert taken(world, place, **options) == lines
        assert (
            taken(world, place, **options, directory=directory + str(options)) == lines
        )
        assert (
            taken(world, place, **options, directory=directory + str(options)) == lines
        )
    if world.is_root:
        assert [len(unsplit[0]), len(unsplit[2])] == [30, 30]
        assert all(is_subsequence(lines, files) for lines in unsplit)
        assert unsplit[0] != unsplit[2]
        assert 30 < len(unsplit[1]) < 120


@pytest.mark.usefixtures("small_segments")
def test_all_lines_and_compressed_files(world, place, files, on_root):
    whole = taken(world, place, fraction=1.0)
    more = taken(world, place, lines=10**6)
    text = "\n".join(files[:100]) + "\n\n"
    on_root(lambda: (place / "c.gz").write_bytes(gzip.compress(text.encode())))
    on_root(lambda: (place / "c").write_text(text))
    compressed = taken(world, place, "c.gz", fraction=1.0)
    plain = taken(world, place, "c", fraction=1.0)
    if world.is_root:
        assert whole == more == files
        assert compressed == plain == text.splitlines()


@pytest.mark.usefixtures("small_segments")
def test_each_line_is_as_likely(world, place, files):
    counts = dict.fromkeys(files, 0)
    for seed in range(12):
        for line in taken(world, place, fraction=0.5, seed=seed) or ():
            counts[line] += 1
    if world.is_root:
        del counts[""]
        # 12 trials of 1/2: mean 6, standard deviation sqrt(3), for 1,400 lines.
        assert statistics.mean(counts.values()) == pytest.approx(6, abs=0.25)
        assert statistics.stdev(counts.values()) == pytest.approx(3**0.5, rel=0.1)
