"""UTF-8: the boundaries of characters, and the automaton that classifies them.

Characters are encoded as in the GNU C library: up to 31 bits in up to 6 bytes. A byte
that is not part of a character is invalid; so are, one by one, the bytes of a character
that is not continued, overlong, or a surrogate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import uint8

from mpiapps.kernels.characters import (
    CHARACTERS,
    FAILED,
    OTHER,
    PRINTABLE,
    SEPARATOR,
    byte_kinds,
    character_kinds,
)
from mpiapps.kernels.jit import inline, kernel

# By length: the least first byte of longer characters, and the least character.
LEADS = (0, 0x80, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)
LEAST = (0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000)
OUTSIDE, INSIDE, UNKNOWN = 0, 1, 2  # position relative to a word
LAYERS = 3
# Bit offsets in a transition: four counts, and the first entry of the next state.
COUNT_BITS = 11
LINES, WORDS, COMPLETE, INVALID, NEXT = 0, 11, 22, 33, 44
STATE = NEXT + 8  # bit offset of the number of the next state
PARTIAL = 4  # kind of a byte that does not complete a character
NO_NODES = (0,) * 64


@inline
def separates(c: Any) -> Any:
    """Return whether a byte is one of the six ASCII blanks, as 0 or 1."""
    return uint8((c == uint8(32)) | (uint8(c - uint8(9)) <= uint8(4)))


@kernel
def _length(block: np.ndarray, i: int) -> int:
    """Return the bytes of the character at `i`, 1 if it is invalid or truncated."""
    c = int(block[i])
    if c < 0xC2 or c > 0xFD:
        return 1
    n = 2
    while c >= LEADS[n]:
        n += 1
    value = c & (0x7F >> n)
    for k in range(i + 1, i + n):
        if k == len(block) or block[k] & 0xC0 != 0x80:
            return 1
        value = value << 6 | int(block[k] & 0x3F)
    return 1 if value < LEAST[n] or 0xD800 <= value < 0xE000 else n


@kernel
def next_character(block: np.ndarray, offset: int) -> int:
    """Return the start of the first character at or after `offset`.

    It depends only on the 5 bytes before `offset` and the 5 after it: a continuation
    byte that does not continue a character is a character by itself.
    """
    for begin in range(offset - 1, max(-1, offset - 6), -1):
        if block[begin] & 0xC0 != 0x80:
            return max(offset, begin + _length(block, begin))
    return offset


class Automaton(NamedTuple):
    """A deterministic automaton over bytes that counts lines, words and characters.

    A state is a node, the bytes of a character read so far, in a layer: `OUTSIDE` or
    `INSIDE` of a word, or `UNKNOWN` before the first separator or printable character.
    Its number is 3 times the node, plus the layer; node 0 is between characters.

    Attributes
    ----------
    transitions : ndarray of uint64, (256 * states,)
        By state and byte: from bit `LINES` on whether a line ends, from `WORDS` whether
        a word begins, from `COMPLETE` whether a character ends, from `INVALID` how many
        bytes turn out to be invalid, from `NEXT` 256 times the next state.
    pending : ndarray of int64, (nodes,)
        Number of bytes of the incomplete character.
    """

    transitions: np.ndarray
    pending: np.ndarray


@cache
def automaton(encoding: str) -> Automaton:
    """Return the automaton of "utf-8" (about 330 nodes) or "bytes" (1 node)."""
    if encoding == "bytes":
        return _in_layers([_Node(0, [0] * 256, byte_kinds().tobytes())])
    return _in_layers(_Nodes(character_kinds().tobytes()).nodes)


class _Node(NamedTuple):
    """For each byte the next node, and the kind of the character that is complete.

    For 256 bytes in node 0, else for the 64 continuation bytes.
    """

    pending: int
    next: Sequence[int]
    kinds: bytes | bytearray


class _Nodes:
    """The nodes of UTF-8. Those with equal continuations are one."""

    def __init__(self, kinds: bytes) -> None:
        self._kinds = kinds
        self._numbers: dict[tuple[Any, ...], int] = {}
        next_nodes, root_kinds = [0] * 256, bytearray([FAILED]) * 256
        root_kinds[:128] = kinds[:128]
        self.nodes = [_Node(0, next_nodes, root_kinds)]
        for lead in range(0xC2, 0xFE):
            n = next(n for n in range(2, 7) if lead < LEADS[n])
            first = (lead & (0x7F >> n)) << 6 * (n - 1)
            next_nodes[lead], root_kinds[lead] = self._number(1, n - 1, first), PARTIAL

    def _number(self, pending: int, more: int, first: int) -> int:
        """Return the node from which `more` bytes lead to the characters from `first`.

        Characters beyond Unicode are alike.
        """
        first = min(first, CHARACTERS)
        number = self._numbers.get((pending, more, first))
        if number is None:
            node = self._node(pending, more, first)
            number = self._numbers.setdefault(node, len(self.nodes))
            if number == len(self.nodes):
                self.nodes.append(node)
            self._numbers[pending, more, first] = number
        return number

    def _node(self, pending: int, more: int, first: int) -> _Node:
        if more == 1:
            kinds = self._kinds[first : first + 64] or bytes([OTHER]) * 64
            return _Node(pending, NO_NODES, kinds)
        overlong = LEAST[pending + more] >> 6 * (more - 1) if first == 0 else 0
        children = [
            self._number(pending + 1, more - 1, first + (k << 6 * (more - 1)))
            for k in range(overlong, 64)
        ]
        kinds = bytes([FAILED]) * overlong + bytes([PARTIAL]) * len(children)
        return _Node(pending, (*NO_NODES[:overlong], *children), kinds)


def _in_layers(nodes: list[_Node]) -> Automaton:
    """Return the automaton. A byte that does not continue a character begins one."""
    pending = np.array([node.pending for node in nodes])
    next_nodes = np.tile(np.array(nodes[0].next), (len(nodes), 1))
    kinds = np.tile(np.frombuffer(nodes[0].kinds, np.uint8), (len(nodes), 1))
    invalid = (kinds == FAILED) + pending[:, None]
    for n, node in enumerate(nodes[1:], 1):
        node_kinds = np.frombuffer(node.kinds, np.uint8)
        valid = np.flatnonzero(node_kinds != FAILED)
        next_nodes[n, 0x80 + valid] = np.array(node.next)[valid]
        kinds[n, 0x80 + valid] = node_kinds[valid]
        invalid[n, 0x80 + valid] = 0
    newline = np.zeros(256, np.int64)
    newline[10] = 1
    word = kinds == PRINTABLE
    transitions = np.empty((len(nodes), LAYERS, 256), np.uint64)
    for layer in range(LAYERS):
        after = np.where(word, INSIDE, np.where(kinds == SEPARATOR, OUTSIDE, layer))
        transitions[:, layer] = (
            newline
            | (word & (layer != INSIDE)).astype(np.int64) << WORDS
            | (kinds < FAILED).astype(np.int64) << COMPLETE
            | invalid << INVALID
            | (next_nodes * LAYERS + after) << STATE
        )
    return Automaton(transitions.ravel(), pending)
