"""Tiles of fewer multiplications: exact in integers, within the stated bound in floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from astroprep.deploy.winograd import convolve, error_bound, multiplications, transform_weights
from astroprep.errors import ConfigError, DataError


def _circular(x: Any, w: Any, dilation: int) -> Any:
    """Brute force, tap by tap."""
    axes = tuple(range(2, x.ndim))
    out = np.zeros((len(x), len(w), *x.shape[2:]))
    for taps in np.ndindex(w.shape[2:]):
        rolled = np.roll(x, [-(k - 1) * dilation for k in taps], axes).astype(np.float64)
        out += np.einsum("oi,ni...->no...", w[(..., *taps)].astype(np.float64), rolled)
    return out


@pytest.mark.parametrize("tile", [0, 2, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(64,), (30,), (7,), (1,), (12, 8), (5, 9)])
def test_integers_are_exact(sizes: tuple[int, ...], dilation: int, tile: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 5, *sizes))
    w = rng.integers(-127, 128, (4, 5, *(3,) * len(sizes)))

    out = convolve(x, w, tile=tile, dilation=dilation)

    np.testing.assert_array_equal(out, _circular(x, w, dilation))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("tile", [0, 2, 4])
@pytest.mark.parametrize("sizes", [(64,), (9, 16)])
def test_floats_stay_within_the_bound(sizes: tuple[int, ...], tile: Any, kind: str) -> None:
    rng = np.random.default_rng(1)
    for scale in (1e-6, 1.0, 1e6):
        x = (rng.normal(size=(4, 24, *sizes)) * scale).astype(kind)
        w = rng.normal(size=(8, 24, *(3,) * len(sizes))).astype(kind)
        error = np.abs(convolve(x, w, tile=tile) - _circular(x, w, 1)).max()
        bound = error_bound(x, w, tile)
        assert 0 < error <= bound
        assert bound < 1e6 * np.finfo(kind).eps * scale * 24


def test_equals_torch() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 80, 8, 8)).astype(np.float32)
    w = rng.normal(size=(70, 80, 3, 3)).astype(np.float32)
    padded = torch.nn.functional.pad(torch.tensor(x), (1, 1, 1, 1), mode="circular")
    expected = torch.nn.functional.conv2d(padded, torch.tensor(w)).numpy()

    np.testing.assert_allclose(convolve(x, w), expected, atol=error_bound(x, w, 2))
    once = transform_weights(w, 2)
    np.testing.assert_array_equal(convolve(x, w, tile=2, transformed=once), convolve(x, w, tile=2))


def test_multiplications_are_as_few_as_they_say() -> None:
    ratios = [
        multiplications(64, 0) / multiplications(64, 2),
        multiplications(64, 0) / multiplications(64, 4),
        multiplications(64, 0, 2) / multiplications(64, 2, 2),
    ]
    assert ratios == [1.5, 2.0, 2.25]
    assert transform_weights(np.ones((7, 5, 3)), 4).shape == (6, 7, 5)


def test_what_does_not_fit_is_refused() -> None:
    x, w = np.ones((2, 3, 8), np.float32), np.ones((4, 3, 3), np.float32)
    for one, other in ((x, w[:, :2]), (x, w.astype(float)), (x[0], w), (x, w[..., :2])):
        with pytest.raises(DataError, match="convolve needs"):
            convolve(one, other)
    with pytest.raises(ConfigError, match="tile must be"):
        convolve(x, w, tile=3)  # type: ignore[arg-type]
    assert convolve(x[:0], w).shape == (0, 4, 8)
