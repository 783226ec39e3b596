"""Canonical Huffman codes: lengths, words, cost, and which streams share a table.

Nothing here knows about networks: symbols are small non-negative integers, and all arithmetic is on
integers, so bytes are the same on every machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = [
    "MAX_LENGTH",
    "canonical_codes",
    "code_lengths",
    "encoded_bits",
    "group_tables",
    "huffman_cost",
]

MAX_LENGTH = 15  # bits of the longest code word: a length fits 4 bits, a look-up table 64 KiB


def huffman_cost(counts: NDArray[np.int64]) -> int:
    """Bits of the optimal (unlimited) Huffman code of symbols with these counts.

    Parameters
    ----------
    counts : int64 array, shape (n_symbols,)
        How often each symbol occurs; zeros are allowed.

    Returns
    -------
    int
        The sum of all merged weights, which is the sum of count times length; 0 when fewer
        than two symbols occur, because their number is known from elsewhere.

    References
    ----------
    .. [1] Huffman 1952, Proc. IRE 40, 1098, doi:10.1109/JRPROC.1952.273898
    """
    heap = [int(c) for c in counts if c > 0]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def code_lengths(counts: NDArray[np.int64], limit: int = MAX_LENGTH) -> NDArray[np.uint8]:
    """Lengths of the optimal prefix code in which no word is longer than ``limit``.

    Parameters
    ----------
    counts : int64 array, shape (n_symbols,)
        How often each symbol occurs; zeros are allowed.
    limit : int, default 15
        Longest word, bits.

    Returns
    -------
    uint8 array, shape (n_symbols,)
        Bits of each word; 0 for a symbol that does not occur. A symbol that occurs alone has
        length 1 here, but `bits.BitWriter.symbols` spends no bits on it.

    Raises
    ------
    DataError
        If there are more symbols than words of ``limit`` bits.

    Notes
    -----
    Package-merge: ``limit`` rounds of pairing the cheapest packages, then the number of the
    ``2 (n - 1)`` cheapest packages that hold a symbol is its length. Ties keep the symbol order, so
    the result is deterministic.

    References
    ----------
    .. [1] Larmore & Hirschberg 1990, JACM 37, 464, doi:10.1145/79147.79150
    """
    lengths = np.zeros(len(counts), dtype=np.uint8)
    used = np.flatnonzero(counts)
    if used.size > 1 << limit:
        raise DataError(
            f"code_lengths: {used.size} different symbols do not fit words of {limit} bits"
        )
    if used.size < 2:
        lengths[used] = 1
        return lengths
    leaves: list[tuple[int, tuple[int, ...]]] = sorted((int(counts[s]), (int(s),)) for s in used)
    packages = leaves
    for _ in range(limit - 1):
        pairs = [
            (a[0] + b[0], a[1] + b[1]) for a, b in zip(packages[0::2], packages[1::2], strict=False)
        ]
        packages = sorted(leaves + pairs, key=lambda package: package[0])
    for _, symbols in packages[: 2 * (used.size - 1)]:
        np.add.at(lengths, list(symbols), 1)
    return lengths


def canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Code words that follow from their lengths alone.

    Parameters
    ----------
    lengths : uint8 array, shape (n_symbols,)
        From `code_lengths`; 0 means unused.

    Returns
    -------
    uint32 array, shape (n_symbols,)
        The word in its lowest ``lengths`` bits: ordered by length, then by symbol.

    Raises
    ------
    DataError
        If no complete prefix code has these lengths (Kraft's sum is not one), unless only one
        symbol is used.
    """
    codes = np.zeros(lengths.size, dtype=np.uint32)
    order = np.lexsort((np.arange(lengths.size), lengths))
    order = order[lengths[order] > 0]
    used = lengths[order].astype(np.int64)
    if used.size == 0:
        return codes
    if used.max() > MAX_LENGTH:
        raise DataError(f"Huffman table: a word of {used.max()} bits, the limit is {MAX_LENGTH}")
    kraft = int(np.sum(1 << (MAX_LENGTH - used)))
    if used.size > 1 and kraft != 1 << MAX_LENGTH:
        raise DataError("Huffman table: the lengths do not form a complete prefix code")
    starts = np.concatenate([[0], np.cumsum(1 << (MAX_LENGTH - used))[:-1]])
    codes[order] = (starts >> (MAX_LENGTH - used)).astype(np.uint32)
    return codes


def encoded_bits(symbols: NDArray[np.integer], lengths: NDArray[np.uint8]) -> int:
    """Bits that `bits.BitWriter.symbols` will spend.

    Parameters
    ----------
    symbols : integer array, shape (n,)
        What to write.
    lengths : uint8 array, shape (n_symbols,)
        The table.

    Returns
    -------
    int
        Sum of the word lengths; 0 for a table with one used symbol.
    """
    if np.count_nonzero(lengths) < 2:
        return 0
    return int(lengths[symbols].astype(np.int64).sum())


def group_tables(
    counts: Sequence[NDArray[np.int64]], table_bits: int
) -> tuple[list[NDArray[np.int64]], list[int]]:
    """Decide which streams share a Huffman table.

    A table costs bytes too, and at a few thousand symbols a stream it costs as much as it saves.
    Starting from one table a stream, the pair whose union saves most is merged until none does.

    Parameters
    ----------
    counts : sequence of int64 arrays
        Symbol counts of each stream; shorter ones are padded with zeros.
    table_bits : int
        Bits that writing one table of this alphabet takes, about.

    Returns
    -------
    tables : list of int64 arrays
        Summed counts of each table, in order of first use.
    member : list of int
        The table of each stream.
    """
    size = max((len(c) for c in counts), default=0)
    groups = [[i] for i in range(len(counts))]
    sums = [np.pad(np.asarray(c, dtype=np.int64), (0, size - len(c))) for c in counts]
    costs = [huffman_cost(s) for s in sums]
    gains = {
        (a, b): table_bits + costs[a] + costs[b] - huffman_cost(sums[a] + sums[b])
        for a in range(len(sums))
        for b in range(a + 1, len(sums))
    }
    alive = set(range(len(sums)))
    while gains:
        (a, b), gain = max(gains.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
        if gain <= 0:
            break
        sums[a] = sums[a] + sums[b]
        costs[a] = huffman_cost(sums[a])
        groups[a] += groups[b]
        alive.remove(b)
        gains = {pair: g for pair, g in gains.items() if not {a, b} & set(pair)}
        for c in sorted(alive - {a}):
            pair = (min(a, c), max(a, c))
            gains[pair] = table_bits + costs[a] + costs[c] - huffman_cost(sums[a] + sums[c])
    member = [0] * len(counts)
    kept = sorted(alive)
    for table, g in enumerate(kept):
        for stream in groups[g]:
            member[stream] = table
    return [sums[g] for g in kept], member
