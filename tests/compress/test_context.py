"""The adaptive coder: exact both ways, near the entropy, better where pruning left patterns."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.compress.arithmetic import code_weights, flush, n_contexts, start
from astroprep.compress.context import ContextCoder, read_tensors, write_tensors
from astroprep.compress.encode import encode_weights
from astroprep.compress.tensors import GridTensor, SharedTensor, short_float
from astroprep.errors import DataError


def pruned(
    shape: tuple[int, ...], keep: np.ndarray | float, n_values: int = 15, seed: int = 0
) -> SharedTensor:
    """Random codes; each weight is kept with its own probability."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, n_values + 1, shape) * (rng.random(shape) < keep)
    scale = short_float(0.01)
    levels = np.r_[-n_values // 2 : 0, 1 : n_values // 2 + 1]
    return SharedTensor(
        codes.astype(np.uint8), levels.astype(np.float32) * np.float32(scale), scale
    )


numbers = st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=30)


@settings(deadline=None, max_examples=50)
@given(numbers, st.booleans(), st.integers(0, 7), st.integers(0, 32))
def test_numbers_come_back(values: list[int], is_signed: bool, family: int, width: int) -> None:
    array = np.array(values, dtype=np.int64)
    array = array if is_signed else np.abs(array)
    low = np.abs(array) & ((1 << width) - 1)
    writer = ContextCoder([])
    writer.numbers(family, array.size, array, is_signed=is_signed)
    writer.bits(width, array.size, low)
    data = writer.finish()

    reader = ContextCoder([], data)
    assert reader.numbers(family, array.size, None, is_signed=is_signed).tolist() == array.tolist()
    assert reader.bits(width, array.size, None).tolist() == low.tolist()
    reader.finish()


@pytest.mark.parametrize("keep", [0.5, 0.1, 0.03])
def test_independent_weights_take_their_entropy(keep: float) -> None:
    """Nothing to foresee: 76,800 weights cost what Shannon says, within what learning costs."""
    tensor = pruned((240, 320), keep)
    share = np.bincount(tensor.codes.ravel()) / tensor.codes.size
    share = share[share > 0]
    entropy = -tensor.codes.size * float(np.sum(share * np.log2(share))) / 8

    data, _ = write_tensors({"w": tensor})

    assert entropy < len(data) < 1.03 * entropy + 60


def test_channels_that_pruning_emptied_cost_next_to_nothing() -> None:
    """Rows and columns of different density: Huffman on gaps cannot tell them apart."""
    rng = np.random.default_rng(1)
    keep = rng.beta(0.3, 2.0, (120, 1)) * rng.beta(0.3, 1.0, (1, 160)) * 1.5
    tensor = pruned((120, 160), np.clip(keep, 0, 1))
    given = keep.clip(1e-6, 1 - 1e-6)
    used = tensor.codes > 0
    ideal = -np.log2(np.where(used, given, 1 - given)).sum() + used.sum() * np.log2(15)

    context = len(encode_weights({"w": tensor}, "context"))
    huffman = len(encode_weights({"w": tensor}, "huffman"))

    assert context < 0.88 * huffman
    assert context < 1.16 * ideal / 8


def test_equal_content_gives_the_bytes_that_it_always_gave() -> None:
    """Frozen with the first release of the format: a change of the model breaks old files."""
    tensors = {
        "a.weight": pruned((24, 16, 3), 0.2, seed=3),
        "a.bias": GridTensor(np.arange(-12, 12).astype(np.int8), short_float(0.02), 8),
        "b.weight": np.linspace(-1, 1, 7, dtype=np.float32),
    }
    data, spent = write_tensors(tensors)

    assert hashlib.sha256(data).hexdigest()[:16] == "26150e52ecceeaf5"
    assert 0 <= 8 * len(data) + 32 - sum(a + b for a, b in spent.values()) < 64


def test_tables_round_alike_on_every_machine() -> None:
    """Distance of every entry from a tie, against the error of a bad libm (1e-13)."""
    p = (np.arange(4096) + 0.5) / 4096
    for exact in (256 * np.log(p / (1 - p)), 65536 / (1 + np.exp(-(np.arange(4096) - 2048) / 256))):
        assert np.abs(np.abs(exact - np.floor(exact)) - 0.5).min() > 1e-7


def test_a_stream_cut_or_lengthened_is_refused() -> None:
    tensors = {"w": pruned((40, 30), 0.3), "v": pruned((30, 10), 0.5, seed=2)}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    data, _ = write_tensors(tensors)
    read_tensors(data, shapes, "w")
    for broken in (data[:-8], data[: len(data) // 2], data + b"\0" * 5, data + b"xy", b""):
        with pytest.raises(DataError, match="damaged or truncated"):
            read_tensors(broken, shapes, "w")


@pytest.mark.bench
def test_ten_million_weights_a_second() -> None:
    """The size of a pruned reference network, decoded until the clock can tell."""
    import time

    tensor = pruned((240, 320), 0.1)
    data = np.frombuffer(write_tensors({"w": tensor})[0], np.uint8).copy()
    shape = (240, 320, 1)
    out = np.zeros(tensor.codes.size, np.uint8)
    best = np.inf
    for _ in range(20):
        state, *model = start(n_contexts(shape), data)
        begin = time.process_time()
        code_weights(state, data, *model, shape, 7, 8, out)
        best = min(best, time.process_time() - begin)
    assert flush(state) is not None
    assert out.size / best > 1e7
