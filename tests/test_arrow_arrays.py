"""Numbers and text to Arrow and back, held against pyarrow's own conversions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from astroprep.arrow_arrays import arrow_numbers, arrow_text, numpy_numbers

TYPES = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
]


def some(dtype, n, rng):
    values = rng.integers(0, 2 if dtype == "bool" else 100, n).astype(dtype)
    if values.dtype.kind == "f" and n > 2:
        values[:3] = np.nan, np.inf, -0.0
    return values


@pytest.mark.parametrize("n", [0, 1, 7, 8, 100])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_those_of_pyarrow(dtype, n):
    rng = np.random.default_rng(n)
    values, is_null = some(dtype, n, rng), rng.random(n) < 0.3
    for ours, own in (
        (arrow_numbers(values), pa.array(values)),
        (arrow_numbers(values, is_null), pa.array(values, mask=is_null)),
        (arrow_numbers(np.repeat(values, 2)[::2]), pa.array(values)),  # not contiguous
    ):
        ours.validate(full=True)
        assert ours.type == own.type
        assert ours.null_count == own.null_count
        np.testing.assert_equal(ours.to_pylist(), own.to_pylist())


@pytest.mark.parametrize("dtype", TYPES)
def test_back_again_they_are_those_of_pyarrow(dtype):
    """Sliced within a byte, in chunks and with nulls: pyarrow's own, as float64 beside nulls."""
    rng = np.random.default_rng(3)
    values, is_null = some(dtype, 50, rng), rng.random(50) < 0.3
    whole, holes = pa.array(values), pa.array(values, mask=is_null)
    for column in (whole, whole[5:31], whole[:0], pa.chunked_array([whole[:9], whole[9:]])):
        back = numpy_numbers(column)
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(
            back,
            column.to_numpy(zero_copy_only=False)
            if isinstance(column, pa.Array)
            else column.to_numpy(),
        )
    for column in (holes, holes[5:31], pa.chunked_array([holes[:9], holes[9:]])):
        expected = [np.nan if value is None else float(value) for value in column.to_pylist()]
        np.testing.assert_array_equal(numpy_numbers(column), expected)
    assert numpy_numbers(pa.chunked_array([], whole.type)).shape == (0,)


def test_numbers_share_their_memory_both_ways():
    values = np.arange(1000.0)
    assert np.shares_memory(values, numpy_numbers(arrow_numbers(values)))


@pytest.mark.parametrize(
    "words", [[], [None], ["", None, "δ Scuti", "x" * 300], ["RRab"] * 9, ["a\0b", "|"]]
)
def test_text_is_that_of_pyarrow(words):
    ours = arrow_text(words)
    ours.validate(full=True)
    assert ours.equals(pa.array(words, pa.string()))
    assert arrow_text(np.array([*words, None], object)[:-1]).equals(ours)


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">u2", ">f2"])
def test_numbers_of_the_other_byte_order_are_turned(dtype):
    values = np.array([1, 2, 300], dtype)
    np.testing.assert_array_equal(arrow_numbers(values).to_pylist(), values)


def test_what_is_no_row_of_numbers_is_refused():
    for values in (["a"], [b"a"], [1j], [None], np.zeros(2, "M8[D]"), np.zeros((2, 2)), 1.0):
        with pytest.raises(TypeError, match="needs numbers"):
            arrow_numbers(np.asarray(values))
    days = pa.array([1, 2, 3], pa.int32()).cast(pa.date32())
    for column in (days, days[:1], pa.nulls(3), pa.array(["a"]), days.dictionary_encode()):
        with pytest.raises(TypeError, match="needs numbers"):
            numpy_numbers(column)


def test_text_that_is_none_is_refused():
    with pytest.raises(AttributeError):
        arrow_text([1.5])
    with pytest.raises(UnicodeEncodeError):
        arrow_text(["\ud800"])
