"""Hashes of row keys, the same numbers as Spark SQL's `xxhash64`: what random choices are made by.

A choice that comes from a row's key and a seed is the same in every run, whatever the order of the
rows, the number of partitions or the engine. XXH64 as its specification has it (Collet 2012), seeded
with 42 and chained from column to column as Spark does; a missing value leaves the hash as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput

__all__ = ["hash_columns", "salt_of"]

Bits = NDArray[np.uint64]

_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_SPARKS_SEED = 42
_LANES = 4  # 8-byte words that texts of 32 bytes or more are taken in at a time


def salt_of(seed: int, name: str) -> int:
    """A number below 2^63 for a seed and a column's name: what sets columns' draws apart.

    >>> salt_of(0, "amount") != salt_of(0, "hour")
    True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def hash_columns(keys: Sequence[ArrayLike], salt: int) -> Bits:
    """(n,) `xxhash64(salt, *keys)`: whole numbers as BIGINT, others as DOUBLE, texts as STRING.

    NaN and `None` leave the hash as it was, as NULL does. Raises `InvalidInput` for no columns,
    columns of different lengths, and values that are none of these.

    >>> [int(h) for h in hash_columns([[7], ["north"]], 1)]
    [13731301218394625511]
    """
    columns = [np.asarray(key) for key in keys]
    shapes = {column.shape for column in columns}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InvalidInput(
            "key columns", got=sorted(map(str, shapes)), bound="one or more, all of one length"
        )
    first = np.array([salt], dtype=np.int64).view(np.uint64)
    seeded = _of_words(first, np.full(1, _SPARKS_SEED, dtype=np.uint64))
    bits = np.repeat(seeded, len(columns[0]))
    for column in columns:
        bits = _chained(column, bits)
    return bits


def _chained(column: NDArray[Any], bits: Bits) -> Bits:
    if column.dtype.kind in "bi" or (column.dtype.kind == "u" and column.dtype.itemsize < 8):
        return _of_words(column.astype(np.int64).view(np.uint64), bits)
    if column.dtype.kind == "f":
        return _of_numbers(column.astype(np.float64), bits)
    if column.dtype.kind in "OUT":
        return _of_objects(column.astype(object), bits)
    raise InvalidInput(
        "a key column holds what has no hash",
        got=str(column.dtype),
        bound="whole numbers up to 2^63 - 1, other numbers, or texts",
        remedy="give it as text",
    )


def _of_numbers(values: Array, bits: Bits) -> Bits:
    words = np.where(values == 0, 0.0, values).view(np.uint64)  # -0.0 is 0.0
    return np.where(np.isnan(values), bits, _of_words(words, bits))


def _of_objects(values: NDArray[Any], bits: Bits) -> Bits:
    """Texts, or numbers beside `None`."""
    if all(isinstance(value, str) or value is None for value in values):
        return _of_texts(values, bits)
    try:
        return _of_numbers(values.astype(np.float64), bits)
    except (TypeError, ValueError):
        kinds = sorted({type(value).__name__ for value in values})
        raise InvalidInput("a key column mixes kinds", got=kinds, bound="one kind") from None


def _of_texts(values: NDArray[Any], bits: Bits) -> Bits:
    encoded = [None if value is None else value.encode() for value in values]
    lengths = np.array([-1 if text is None else len(text) for text in encoded])
    result = bits.copy()
    for length in np.unique(lengths[lengths >= 0]):
        rows = np.flatnonzero(lengths == length)
        together = b"".join(encoded[row] or b"" for row in rows.tolist())
        data = np.frombuffer(together, np.uint8).reshape(len(rows), int(length))
        result[rows] = _of_bytes(data, bits[rows])
    return result


def _of_words(words: Bits, seed: Bits) -> Bits:
    """XXH64 of 8 bytes each (n,), with a seed each (n,)."""
    with np.errstate(over="ignore"):
        return _mixed(_word(seed + _P5 + np.uint64(8), words))


def _of_bytes(data: NDArray[np.uint8], seed: Bits) -> Bits:
    """XXH64 of texts (n, length) of one length, with a seed each (n,)."""
    length = data.shape[1]
    stripes = length // 32 if length >= 32 else 0
    with np.errstate(over="ignore"):
        state = seed + _P5
        if stripes:
            state = _striped(_words(data[:, : 32 * stripes]), seed)
        state = state + np.uint64(length)
        done = 32 * stripes
        for word in _words(data[:, done : done + (length - done) // 8 * 8]).T:
            state = _word(state, word)
        done += (length - done) // 8 * 8
        if length - done >= 4:
            half = np.ascontiguousarray(data[:, done : done + 4]).view("<u4")[:, 0]
            state = _turned(state ^ half.astype(np.uint64) * _P1, 23) * _P2 + _P3
            done += 4
        for byte in data[:, done:].T:
            state = _turned(state ^ byte.astype(np.uint64) * _P5, 11) * _P1
        return _mixed(state)


def _striped(words: Bits, seed: Bits) -> Bits:
    lanes = [seed + _P1 + _P2, seed + _P2, seed.copy(), seed - _P1]
    for first in range(0, words.shape[1], _LANES):
        for lane in range(_LANES):
            lanes[lane] = _turned(lanes[lane] + words[:, first + lane] * _P2, 31) * _P1
    state = _turned(lanes[0], 1) + _turned(lanes[1], 7)
    state = state + _turned(lanes[2], 12) + _turned(lanes[3], 18)
    for part in lanes:
        state = (state ^ _turned(part * _P2, 31) * _P1) * _P1 + _P4
    return state


def _words(data: NDArray[np.uint8]) -> Bits:
    return np.ascontiguousarray(data).view("<u8").reshape(len(data), data.shape[1] // 8)


def _word(state: Bits, word: Bits) -> Bits:
    return _turned(state ^ _turned(word * _P2, 31) * _P1, 27) * _P1 + _P4


def _turned(bits: Bits, by: int) -> Bits:
    return (bits << np.uint64(by)) | (bits >> np.uint64(64 - by))


def _mixed(state: Bits) -> Bits:
    state = (state ^ (state >> np.uint64(33))) * _P2
    state = (state ^ (state >> np.uint64(29))) * _P3
    return state ^ (state >> np.uint64(32))
