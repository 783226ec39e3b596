"""The weights file: any tensors come back exactly, damage is noticed, and it is small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.compress.encode import encode_weights, stored_tensors
from astroprep.compress.share import assign, kmeans_1d, to_grid
from astroprep.compress.tensors import GridTensor, SharedTensor, dense, short_float
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError, DataError


def shared(
    rng: np.random.Generator, shape: tuple[int, ...], n_values: int, zeros: float, book: str
) -> SharedTensor:
    """A tensor with these many values and about this share of zeros."""
    scale = None
    if book == "grid":
        scale = short_float(0.013)
        levels = np.sort(rng.choice(np.r_[-127:0, 1:128], min(n_values, 254), replace=False))
        values = levels.astype(np.float32) * np.float32(scale)
    else:
        values = np.unique(rng.normal(size=n_values).astype(np.float16 if book == "half" else "f4"))
        values = values[values != 0].astype(np.float32)
    codes = rng.integers(0 if zeros > 0 else 1, values.size + 1, shape)
    codes[rng.random(shape) < zeros] = 0
    return SharedTensor(codes.astype(np.uint8), values, scale)


tensor_strategy = st.tuples(
    st.sampled_from([(0,), (1,), (3, 4), (40, 10, 3), (5, 200)]),
    st.sampled_from([1, 2, 3, 15, 16, 100, 254]),
    st.sampled_from([0.0, 0.3, 0.9, 0.99, 1.0]),
    st.sampled_from(["grid", "half", "float", "bias", "raw", "raw16"]),
)


def build(rng: np.random.Generator, plan: tuple[Any, ...]) -> Any:
    shape, n_values, zeros, kind = plan
    if kind == "bias":
        return GridTensor(rng.integers(-31, 32, shape).astype(np.int8), short_float(3e-3), 6)
    if kind == "raw":
        return rng.normal(size=shape).astype(np.float32)
    if kind == "raw16":
        return rng.normal(size=shape).astype(np.float16).astype(np.float32)
    return shared(rng, shape, n_values, zeros, kind)


@settings(max_examples=80, deadline=None)
@given(st.lists(tensor_strategy, max_size=5), st.integers(0, 100))
def test_any_tensors_come_back_exactly(plans: list[Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = {f"t{i}": build(rng, plan) for i, plan in enumerate(plans)}
    shapes = {name: t.shape for name, t in tensors.items()}

    data = encode_weights(tensors)
    for coder in ("huffman", "context"):
        coded = encode_weights(tensors, coder)
        assert len(data) <= len(coded)
        for name, weights in decode_weights(coded, shapes).items():
            np.testing.assert_array_equal(weights, dense(tensors[name]), strict=True)
    back = decode_weights(data, shapes)

    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], dense(tensor), strict=True)
    assert encode_weights(tensors) == data
    bits = sum(t.header_bits + t.payload_bits for t in stored_tensors(tensors))
    assert bits <= 8 * (len(data) - 7) + 32  # a short number may stand for the last four bytes


def test_zero_weights_of_every_layer(caplog: Any) -> None:
    """Layers with no weight left, one weight, and only one value."""
    empty = SharedTensor(np.zeros((8, 4), np.uint8), np.empty(0, np.float32))
    one = SharedTensor(np.eye(1, 500, 499, dtype=np.uint8), np.array([0.5], np.float32))
    full = SharedTensor(np.ones((30, 30), np.uint8), np.array([-2.0], np.float32))
    tensors = {"empty": empty, "one": one, "full": full}
    data = encode_weights(tensors)
    back = decode_weights(data, {n: t.shape for n, t in tensors.items()})
    assert not back["empty"].any()
    assert back["one"].sum() == 0.5
    assert (back["full"] == -2).all()
    assert len(data) < 40


def test_sixteen_weights_with_four_centroids_take_a_third() -> None:
    """Han et al. 2016, figure 3: 16 x 32 bits against 16 x 2 bits and 4 x 32 bits: 3.2 times."""
    values = np.random.default_rng(0).normal(size=16)
    centres = kmeans_1d(values, 4)
    codes = assign(values, centres)

    index_bits = int(np.ceil(np.log2(centres.size)))
    ratio = 16 * 32 / (codes.size * index_bits + centres.size * 32)

    assert centres.size == 4
    assert ratio == 3.2


def forty_thousand(sparsity: float, n_values: int = 16) -> dict[str, Any]:
    """A network of 40,000 parameters in 22 layers, weights heavy-tailed as trained ones are."""
    rng = np.random.default_rng(2)
    tensors: dict[str, Any] = {}
    for i in range(22):
        weight = rng.standard_t(4, size=(60, 10, 3)).astype(np.float32)
        weight[np.abs(weight) < np.quantile(np.abs(weight), sparsity)] = 0
        used = weight[weight != 0].astype(np.float64)
        levels, scale = to_grid(kmeans_1d(used, n_values - 1).astype(np.float32))
        levels = np.unique(levels[levels != 0])
        values = levels.astype(np.float32) * np.float32(scale)
        codes = np.zeros(weight.shape, np.uint8)
        codes[weight != 0] = 1 + assign(used, values)
        tensors[f"{i}.weight"] = SharedTensor(codes, values, scale)
        bias = rng.normal(size=28).astype(np.float32)
        tensors[f"{i}.bias"] = GridTensor(*to_grid(bias))
    return tensors


@pytest.mark.parametrize(("sparsity", "ratio"), [(0.85, 25.0), (0.9, 32.0), (0.95, 45.0)])
def test_whole_file_is_many_times_smaller(sparsity: float, ratio: float) -> None:
    tensors = forty_thousand(sparsity)
    n_parameters = sum(dense(t).size for t in tensors.values())
    assert 39_000 < n_parameters < 41_000
    assert 4 * n_parameters / len(encode_weights(tensors)) >= ratio


def test_close_to_the_entropy() -> None:
    """Tables, headers and the rounding to whole bits cost a few percent of the weights."""
    tensors = forty_thousand(0.9)
    entropy = 0.0
    for tensor in tensors.values():
        if isinstance(tensor, SharedTensor):
            share = np.bincount(tensor.codes.ravel()) / tensor.codes.size
            share = share[share > 0]
            entropy -= tensor.codes.size * float(np.sum(share * np.log2(share)))
    stored = [t for t in stored_tensors(tensors, "huffman") if t.kind == "sparse"]
    assert sum(t.payload_bits for t in stored) < 1.03 * entropy


@pytest.mark.parametrize("coder", ["huffman", "context"])
def test_every_flipped_byte_is_noticed(coder: Any) -> None:
    rng = np.random.default_rng(4)
    tensors = {"w": shared(rng, (40, 30), 15, 0.8, "grid"), "b": build(rng, ((40,), 0, 0, "bias"))}
    shapes = {n: t.shape for n, t in tensors.items()}
    data = encode_weights(tensors, coder)
    for i in range(len(data)):
        broken = bytearray(data)
        broken[i] ^= 1 << (i % 8)
        with pytest.raises(DataError, match=r"night\.apz"):
            decode_weights(bytes(broken), shapes, source="night.apz")
        with pytest.raises(DataError, match=r"night\.apz"):
            decode_weights(data[:i], shapes, source="night.apz")


@pytest.mark.parametrize("coder", ["huffman", "context"])
def test_damage_behind_a_right_checksum_is_an_error_or_finite_weights(coder: Any) -> None:
    """The checksum is no secret: the decoder must survive any bits."""
    from astroprep.compress import weights as module

    rng = np.random.default_rng(5)
    tensors = {
        "w": shared(rng, (40, 30), 15, 0.9, "grid"),
        "d": shared(rng, (40, 30), 15, 0.0, "half"),
        "r": build(rng, ((20,), 0, 0, "raw")),
    }
    shapes = {n: t.shape for n, t in tensors.items()}
    data = encode_weights(tensors, coder)
    refused = 0
    for _ in range(1000):
        body = bytearray(data[7:])
        for _ in range(rng.integers(1, 4)):
            body[rng.integers(min(len(body), 200))] = rng.integers(256)
        body = body[: rng.integers(len(body) // 2, 2 * len(body))]
        crc = module.checksum(shapes, bytes(body)).to_bytes(4, "little")
        try:
            back = decode_weights(data[:3] + crc + bytes(body), shapes)
        except DataError:
            refused += 1
        else:
            assert all(np.isfinite(back[n]).all() and back[n].shape == s for n, s in shapes.items())
    assert refused > 250


def test_other_shapes_or_names_are_refused() -> None:
    data = encode_weights({"w": np.ones((3, 4), np.float32)})
    for shapes in ({"w": (4, 3)}, {"v": (3, 4)}, {}, {"w": (3, 4), "b": (1,)}):
        with pytest.raises(DataError, match="belongs to a network of other shapes"):
            decode_weights(data, shapes)
    with pytest.raises(DataError, match="at most"):
        decode_weights(data, {"w": (2**40, 2**40)})
    with pytest.raises(DataError, match="negative"):
        decode_weights(data, {"w": (-1, 3)})
    with pytest.raises(DataError, match="not a weights file"):
        decode_weights(b"", {})
    with pytest.raises(DataError, match="version 9"):
        decode_weights(b"AW\x09" + data[3:], {"w": (3, 4)})


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (SharedTensor(np.ones(3, np.uint8), np.array([0.0], np.float32)), "other than zero"),
        (SharedTensor(np.ones(3, np.uint8), np.array([2.0, 1.0], np.float32)), "ascending"),
        (SharedTensor(np.full(3, 2, np.uint8), np.array([2.0], np.float32)), "from 0 to 1"),
        (SharedTensor(np.ones(3, np.uint8), np.array([0.3], np.float32), 0.125), "no multiples"),
        (SharedTensor(np.ones(3, np.uint8), np.arange(1, 300, dtype=np.float32)), "at most 255"),
        (GridTensor(np.array([100], np.int8), 1.0, 6), "do not fit 6 bits"),
        (GridTensor(np.array([1], np.int8), 0.1), "not a short_float"),
        (np.array([np.nan], np.float32), "finite"),
    ],
)
def test_what_cannot_be_stored_exactly_is_refused(tensor: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encode_weights({"w": tensor})


@given(st.floats(1e-30, 1e30))
def test_short_floats_multiply_exactly(value: float) -> None:
    short = short_float(value)
    assert value <= short <= value * (1 + 2.0**-7)
    levels = np.arange(-127, 128)
    products = levels.astype(np.float32) * np.float32(short)
    np.testing.assert_array_equal(products.astype(np.float64), levels * short)
