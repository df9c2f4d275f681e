import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from randomgen import Philox

from mpiapps.comm.random import Stream, jumped_generators, spawned_generators

keys = st.integers(0, 2**32 - 1)
RANDOM123 = 2**128  # counters


def reference(seed, stream, index, block, count):
    """Words of an independent implementation, whose first output is counter + 1."""
    counter = (index + (block << 64) - 1) % RANDOM123
    generator = Philox(key=seed + (stream << 32), counter=counter, number=4, width=32)
    return generator.random_raw(count).astype(np.uint32)


@given(keys, keys, st.integers(0, 2**64 - 17), st.integers(0, 2**64 - 1))
def test_words_equal_an_independent_implementation(seed, stream, index, block):
    words = Stream(seed, stream).words(4 * index, 64, block)
    np.testing.assert_array_equal(words, reference(seed, stream, index, block, 64))


def test_known_answers_of_random123():
    # Random123's kat_vectors: philox4x32 10, all zeros, and pi's digits
    zeros = Stream(0, 0).words(0, 4)
    assert [f"{w:08x}" for w in zeros] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]
    digits = Stream(0xA4093822, 0x299F31D0).words(
        4 * 0x85A308D3_243F6A88, 4, 0x03707344_13198A2E
    )
    assert [f"{w:08x}" for w in digits] == [
        "d16cfe09",
        "94fdcceb",
        "5001e420",
        "24126ea1",
    ]


@given(st.integers(0, 1000), st.integers(0, 100), st.integers(0, 100))
def test_parts_of_a_stream_are_consistent(start, first, second):
    stream = Stream(7, 1)
    whole = stream.words(start, first + second)
    parts = [stream.words(start, first), stream.words(start + first, second)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_the_counter_carries_into_its_upper_half():
    words = Stream(1).words(4 * (2**32 - 2), 16)
    np.testing.assert_array_equal(words, reference(1, 0, 2**32 - 2, 0, 16))


def test_blocks_streams_and_seeds_differ():
    first = Stream(1, 2).words(0, 1000)
    for other in (Stream(1, 3).words(0, 1000), Stream(2, 2).words(0, 1000)):
        assert (first == other).sum() < 3
    assert (first == Stream(1, 2).words(0, 1000, block=1)).sum() < 3


def test_uniform_numbers_are_in_the_unit_interval_and_uniform():
    numbers = Stream(3).uniform(0, 100_000)
    assert numbers.dtype == np.float64
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 5 * (1 / 12 / 1e5) ** 0.5
    np.testing.assert_array_equal(numbers[100:200], Stream(3).uniform(100, 100))
    low, high = Stream(3).words(0, 2).astype(object)
    assert numbers[0] == ((high << 32) + low >> 11) / 2**53


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Stream(-1), "seed -1 must be"),
        (lambda: Stream(2**32), "seed 4294967296 must be"),
        (lambda: Stream(0, 2**32), "stream 4294967296 must be"),
        (lambda: Stream(0).words(-1, 3), "within 0 to"),
        (lambda: Stream(0).words(2**66, 1), "within 0 to"),
        (lambda: Stream(0).words(0, 1, 2**64), "block"),
    ],
)
def test_keys_and_positions_out_of_range_are_errors(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_numpy_integers_do_not_overflow(kind):
    far = 2**62
    for name in ("words", "uniform"):
        values = getattr(Stream(kind(7), kind(2)), name)(kind(far), kind(5), kind(3))
        np.testing.assert_array_equal(values, getattr(Stream(7, 2), name)(far, 5, 3))
    assert Stream(kind(7)) == Stream(7)
    assert repr(Stream(kind(7))) == repr(Stream(7))


@pytest.mark.parametrize("value", [1.0, "1", None])
def test_non_integers_are_errors(value):
    for call in (
        lambda: Stream(value),
        lambda: Stream(1, value),
        lambda: Stream(1).uniform(value, 1),
        lambda: Stream(1).words(0, value),
        lambda: Stream(1).words(0, 1, value),
        lambda: spawned_generators(value, [0]),  # None gives another seed on each rank
        lambda: jumped_generators(value, [0]),
        lambda: jumped_generators(1, [value]),
    ):
        with pytest.raises(TypeError):
            call()


def test_generators_per_task_are_those_of_numpy():
    children = np.random.SeedSequence(5).spawn(4)
    theirs = [np.random.Generator(np.random.PCG64DXSM(child)) for child in children]
    ours = spawned_generators(5, [3, 1])
    assert ours[0].random() == theirs[3].random()
    assert ours[1].random() == theirs[1].random()
    jumped = np.random.Generator(np.random.Philox(5).jumped(2))
    assert jumped_generators(5, range(2, 3))[0].random() == jumped.random()
