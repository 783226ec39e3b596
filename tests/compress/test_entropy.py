"""Huffman codes: against the paper's example, another package, and any symbols at all."""

from __future__ import annotations

import numpy as np
import pytest
from dahuffman import HuffmanCodec
from hypothesis import given
from hypothesis import strategies as st

from astroprep.compress.bits import BitReader, BitWriter
from astroprep.compress.entropy import (
    canonical_codes,
    code_lengths,
    encoded_bits,
    group_tables,
    huffman_cost,
)
from astroprep.errors import DataError

counts_strategy = st.lists(st.integers(0, 1000), min_size=1, max_size=60).map(np.array)


def test_the_well_known_example_takes_135_bits() -> None:
    text = np.frombuffer(b"this is an example of a huffman tree", dtype=np.uint8)
    counts = np.bincount(text)
    lengths = code_lengths(counts)

    assert huffman_cost(counts) == 135
    assert encoded_bits(text, lengths) == 135

    writer = BitWriter()
    writer.symbols(text, lengths)
    assert writer.n_bits == 135
    np.testing.assert_array_equal(BitReader(writer.getvalue(), "x").symbols(36, lengths), text)


@given(counts_strategy)
def test_as_short_as_dahuffman(counts: np.ndarray) -> None:
    """The other package adds an end symbol of weight 1; so do we, to compare."""
    with_end = np.append(counts, 1)
    if np.count_nonzero(with_end) < 2:
        return
    codec = HuffmanCodec.from_frequencies(
        {i: int(c) for i, c in enumerate(with_end) if c}, eof=counts.size
    )
    theirs = sum(int(with_end[s]) * bits for s, (bits, _) in codec.get_code_table().items())
    lengths = code_lengths(with_end)

    assert huffman_cost(with_end) == theirs
    if lengths.max() < 15:  # the limit did not bind
        assert int((with_end * lengths).sum()) == theirs


@given(counts_strategy, st.integers(6, 15))
def test_lengths_are_a_complete_prefix_code_within_the_limit(
    counts: np.ndarray, limit: int
) -> None:
    lengths = code_lengths(counts, limit)
    used = lengths[lengths > 0].astype(int)

    assert np.array_equal(lengths > 0, counts > 0)
    if used.size > 1:
        assert used.max() <= limit
        assert np.sum(2.0**-used) == 1.0
        words = {
            format(c, f"0{n}b")
            for c, n in zip(canonical_codes(lengths)[lengths > 0], used, strict=True)
        }
        assert len(words) == used.size
        assert not any(a != b and b.startswith(a) for a in words for b in words)


def test_a_limit_costs_little_but_holds() -> None:
    counts = np.array([1, 1, 2, 3, 5, 8, 13, 21, 34, 55])  # the deepest tree there is
    assert code_lengths(counts).max() == 9
    short = code_lengths(counts, 4)
    assert short.max() == 4
    assert huffman_cost(counts) <= int((counts * short).sum()) <= 1.1 * huffman_cost(counts)


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(0, 7))
def test_any_symbols_come_back(symbols: list[int], shift: int) -> None:
    data = np.array(symbols, dtype=np.int64)
    lengths = code_lengths(np.bincount(data, minlength=41))
    writer = BitWriter()
    writer.field(0, shift)
    writer.table(lengths)
    writer.symbols(data, lengths)
    writer.varint(300)

    reader = BitReader(writer.getvalue(), "x")
    reader.field(shift)
    table = reader.table(41)
    np.testing.assert_array_equal(table, lengths)
    np.testing.assert_array_equal(reader.symbols(data.size, table), data)
    assert reader.varint(300) == 300
    reader.finish()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.integers(0, 9))
def test_fields_of_any_width_come_back(values: list[int], shift: int) -> None:
    writer = BitWriter()
    writer.field(0, shift)
    writer.fields(np.array(values, dtype=np.uint64), 32)
    reader = BitReader(writer.getvalue(), "x")
    reader.field(shift)
    assert reader.fields(len(values), 32).tolist() == values


def test_truncation_and_leftovers_are_errors() -> None:
    data = np.random.default_rng(0).integers(0, 20, 500)
    lengths = code_lengths(np.bincount(data))
    writer = BitWriter()
    writer.symbols(data, lengths)
    whole = writer.getvalue()
    for cut in (0, 1, 100, len(whole) - 1):
        with pytest.raises(DataError, match="the stream ends before"):
            BitReader(whole[:cut], "night.apz").symbols(500, lengths)
    reader = BitReader(whole + b"\0", "x")
    reader.symbols(500, lengths)
    with pytest.raises(DataError, match="left over"):
        reader.finish()
    with pytest.raises(DataError, match="x: 3 numbers of 9 bits"):
        BitReader(b"abc", "x").fields(3, 9)
    with pytest.raises(DataError, match="at most 5 is possible"):
        BitReader(b"\x06", "x").varint(5)


@pytest.mark.parametrize("lengths", [[1, 1, 1], [1, 2], [2, 2, 2], [15] * 4])
def test_tables_that_are_no_prefix_code_are_refused(lengths: list[int]) -> None:
    with pytest.raises(DataError, match="complete prefix code"):
        BitReader(bytes(100), "x").symbols(3, np.array(lengths, dtype=np.uint8))


def test_streams_share_a_table_only_where_it_pays() -> None:
    alike = [np.array([100, 50, 25, 25])] * 3
    other = np.array([0, 0, 5000, 5000, 5000, 5000])

    tables, member = group_tables([*alike, other], table_bits=40)

    assert member == [0, 0, 0, 1]
    np.testing.assert_array_equal(tables[0], [300, 150, 75, 75, 0, 0])
    assert group_tables([], 10) == ([], [])


@pytest.mark.bench
def test_ten_million_weights_a_second() -> None:
    import time

    rng = np.random.default_rng(0)
    data = np.minimum(rng.geometric(0.5, 4_000_000), 20)
    lengths = code_lengths(np.bincount(data))
    writer = BitWriter()
    writer.symbols(data, lengths)
    whole = writer.getvalue()
    BitReader(whole, "x").symbols(10, lengths)
    start = time.perf_counter()
    BitReader(whole, "x").symbols(data.size, lengths)
    assert data.size / (time.perf_counter() - start) > 1e7
