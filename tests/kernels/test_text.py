"""Counts of text, against GNU wc and Counter."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.kernels.text import count_newlines, count_text
from mpiapps.kernels.words import WordCounts
from tests.wc import LOCALES, wc

# Invalid UTF-8: overlong, truncated, surrogate, beyond Unicode, stray bytes.
INVALID = [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xff"]
INVALID += [b"\xe2\x82", b"\x80", b"\xf8\x88\x80\x80\x80", b"\xf0\x9f", b"\0", b"\x1b"]
PIECES = st.one_of(
    st.sampled_from(INVALID),
    st.sampled_from(" \t\n\v\f\r  ⁠\u200bé中😀\u0301").map(str.encode),
    st.text(max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=3),
)


def as_array(data):
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize("encoding", LOCALES)
@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12))
def test_counts_equal_those_of_wc(encoding, pieces):
    data = b"".join(pieces)
    counts = count_text(as_array(data), encoding)
    assert [counts.lines, counts.words, counts.characters] == wc(data, encoding)[:3]
    assert count_newlines(as_array(data)) == data.count(b"\n")


def test_every_character_is_classified_as_by_wc():
    characters = [chr(c) for c in range(128, 0x110000) if not 0xD800 <= c < 0xE000]
    data = "".join(f"\n{c} x{c}" for c in characters).encode()
    counts = count_text(as_array(data), "utf-8")
    assert [counts.lines, counts.words, counts.characters] == wc(data, "utf-8")[:3]
    assert counts.invalid == 0


SCRIPTS = {
    "ascii": "abc",
    "german": "aäöüßÄ\u2013„“\u2019",
    "russian": "абвЯё№",
    "greek": "αβγώΩ",
    "hebrew": "אבגש",
    "arabic": "ابتثي",
    "vietnamese": "ăếỹ",
    "hindi": "कखगा",
    "thai": "กขฃ",
    "chinese": "中文。\uff0c",
    "japanese": "いろカナー\uff08",
    "korean": "나는한",
    "emoji": "a😀🎉",
    "unassigned": "a\u0378\u0e00",
}
SPACES = " \t\n\u00a0\u2009\u202f\u205f\u2060\u3000\u1680"


@pytest.mark.parametrize("script", SCRIPTS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 9000), bad=st.booleans())
def test_long_texts_of_any_script(script, seed, length, bad):
    rng = np.random.default_rng(seed)
    letters = [*SCRIPTS[script] * 3, *" \n"]
    letters += SPACES if seed % 2 else ""
    data = bytearray("".join(rng.choice(letters, length)).encode())
    if bad:
        data[rng.integers(len(data))] = rng.integers(256)
    counts = count_text(as_array(data), "utf-8")
    if counts.used == len(data):  # else a character is cut off, which wc counts
        assert [counts.lines, counts.words, counts.characters] == wc(data, "utf-8")[:3]


@pytest.mark.parametrize("encoding", LOCALES)
@settings(max_examples=40, deadline=None)
@given(
    pieces=st.lists(PIECES, min_size=2, max_size=12),
    seed=st.integers(0, 2**32),
    length=st.integers(300, 20_000),
)
def test_long_inputs_with_invalid_bytes(encoding, pieces, seed, length):
    rng = np.random.default_rng(seed)
    data = b"".join(pieces[n] for n in rng.integers(len(pieces), size=length)) + b"\n"
    counts = count_text(as_array(data), encoding)
    assert [counts.lines, counts.words, counts.characters] == wc(data, encoding)[:3]
    assert counts.used == len(data)


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12), at=st.integers(0, 40))
def test_counting_continues_across_blocks(pieces, at):
    data = b"".join(pieces)
    whole = count_text(as_array(data), "utf-8")
    first = count_text(as_array(data[:at]), "utf-8")
    rest = count_text(as_array(data[first.used :]), "utf-8", first.state)
    assert first.lines + rest.lines == whole.lines
    assert first.words + rest.words == whole.words
    assert first.characters + rest.characters == whole.characters


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.sampled_from([b"a", b"b", b"\xff", b"x" * 70, b"y" * 5000])),
    numbers=st.integers(0, 5000),
    at=st.integers(0, 2000),
)
def test_word_counts_equal_counter(words, numbers, at):
    data = b" ".join([*words, *(b"%d" % n for n in range(numbers))]) + b"\n\t a"
    one, other = WordCounts(), WordCounts()
    used = one.add(as_array(data[:at]), last=False)
    other.add(as_array(data[used:]))
    one.merge(other.arrays)
    assert one.as_dict() == Counter(data.split())
    assert len(one) == len(set(data.split()))


def test_words_of_any_length_and_place_are_counted():
    rng = random.Random(0)
    pieces = [b"a", b"b", b"\0", b" ", b"\n", b"\t", b"\xff", b"cdefghij", b"   "]
    for _ in range(300):
        longest = b"x" * rng.randint(1, 40)
        size = rng.choice([5, 200, 3000])  # also of some parts of 2 KiB
        data = b"".join(rng.choices([*pieces, longest], k=rng.randint(0, size)))
        counts = WordCounts()
        used = counts.add(as_array(data), last=False)
        counts.add(as_array(data[used:]))
        assert counts.as_dict() == Counter(data.split())
        copy = WordCounts()
        copy.update(counts.as_dict())
        assert copy.as_dict() == counts.as_dict()
