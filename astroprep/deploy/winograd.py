"""Convolutions of three taps with fewer multiplications, and where that pays.

Winograd's F(m, 3) gives m outputs for m + 2 multiplications in place of 3 m. The price is paid in
additions, in rounding, and in integers by wider numbers: transformed 8-bit activations need 10
bits, so the 8-bit products of `astroprep.deploy.kernel`, which are twice as many an instruction
as those of 16 bits, stay direct. In floats one product of matrices beat the tiles on curves of 64
bins at every width tried, from 4 to 8 channels up to 144 to 256, where F(2, 3) draws level for a
single curve (`inference_winograd.py` among the benchmarks), so `convolve` takes tiles for images of
many channels only. Fourier transforms win from about five taps on, more than the fire modules have.

On dm-dt images in batches F(2x2, 3x3) takes 9 times as long in the first layer (one channel in),
and 1.1 times in the second; from 64 x 64 channels on it takes 0.7 to 1.4 times as long,
least in batches of 64. Torch's own convolution beats both, and the network that sees such images
only teaches, in torch.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["Tile", "convolve", "error_bound", "multiplications", "transform_weights"]

Tile = Literal[0, 2, 4]
"""Outputs of a tile along each axis; 0 is the direct convolution."""

Matrix = tuple[tuple[float, ...], ...]
# Lavin & Gray 2016, equations 5 to 7 (m = 2) and 12 (m = 4).
_INPUT: dict[int, Matrix] = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
}
_WEIGHT: dict[int, Matrix] = {  # times _UNIT, so that integers stay integers
    2: ((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    4: ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24)),
}
_UNIT = {2: 2, 4: 24}
_OUTPUT: dict[int, Matrix] = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}
FEW_PRODUCTS = 64 * 64  # pairs of channels below which additions outweigh what tiles save; counted


def multiplications(n_outputs: int, tile: Tile, n_axes: int = 1) -> int:
    """Multiplications for one pair of channels, along `n_axes` axes of `n_outputs` each.

    Parameters
    ----------
    n_outputs : int
        Outputs along an axis.
    tile : {0, 2, 4}
        See `Tile`.
    n_axes : int, default 1
        1 for curves, 2 for images.

    Returns
    -------
    int
        ``3 n`` an axis for 0, ``(m + 2) ceil(n / m)`` for m.
    """
    one = 3 * n_outputs if tile == 0 else (tile + 2) * -(-n_outputs // tile)
    return int(one**n_axes)


def transform_weights(weight: NDArray[Any], tile: Tile) -> NDArray[Any]:
    """Weights as tiles need them, computed once.

    Parameters
    ----------
    weight : array, shape (n_out, n_in, 3) or (n_out, n_in, 3, 3)
        Taps; integers stay integers, and exact.
    tile : {2, 4}
        See `Tile`.

    Returns
    -------
    array, shape (n_points, n_out, n_in)
        ``n_points`` is ``tile + 2``, squared for images. Twice the textbook's for 2 and 24 times
        for 4, an axis.
    """
    points = weight
    for axis in range(2, weight.ndim):
        matrix = np.array(_WEIGHT[tile]).astype(weight.dtype)
        points = np.moveaxis(np.tensordot(matrix, points, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(points.reshape(*weight.shape[:2], -1).transpose(2, 0, 1))


def convolve(
    x: NDArray[Any],
    weight: NDArray[Any],
    *,
    tile: Tile | Literal["auto"] = "auto",
    dilation: int = 1,
    transformed: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Circular convolution of three taps, or of three by three, as networks mean it.

    Parameters
    ----------
    x : float32, float64 or integer array, shape (n, n_in, n_bins) or (n, n_in, n_rows, n_columns)
        Every axis behind the second is a circle.
    weight : array, shape (n_out, n_in, 3) or (n_out, n_in, 3, 3)
        Of the same type; the middle tap is centred.
    tile : {"auto", 0, 2, 4}
        See `Tile`; by default 2 for images of many channels, 0 for curves and for integers.
    dilation : int, default 1
        Bins between the taps; tiles need it to divide the circle and are left out otherwise.
    transformed : array, optional
        From `transform_weights` with the same tile.

    Returns
    -------
    array, shape (n, n_out, n_bins) or (n, n_out, n_rows, n_columns)
        Integers exactly as the direct sum, in int64. Floats within `error_bound`.

    Raises
    ------
    DataError
        If shapes or types do not fit.
    ConfigError
        If there is no such tile.

    References
    ----------
    .. [1] Lavin & Gray 2016, "Fast algorithms for convolutional neural networks",
       arXiv:1509.09308
    """
    n_axes = x.ndim - 2
    fits = n_axes in (1, 2) and weight.shape == (len(weight), x.shape[1], *(3,) * n_axes)
    if not fits or x.dtype != weight.dtype or dilation < 1:
        raise DataError(
            f"convolve needs x (n, n_in, ...) and weights (n_out, n_in, 3 ...) of one type, got "
            f"{x.dtype} {x.shape} and {weight.dtype} {weight.shape}, dilation {dilation}"
        )
    if tile not in ("auto", 0, 2, 4):
        raise ConfigError(f"convolve: tile must be 0, 2, 4 or 'auto', got {tile!r}")
    if any(size % dilation for size in x.shape[2:]):
        tile = 0
    if tile == "auto":
        many = weight.shape[0] * weight.shape[1] >= FEW_PRODUCTS
        tile = 2 if many and n_axes == 2 and x.dtype.kind == "f" else 0
    if x.dtype.kind != "f":
        x, weight = x.astype(np.int64), weight.astype(np.int64)
    if not x.size:
        return np.zeros((len(x), len(weight), *x.shape[2:]), x.dtype)
    if tile == 0:
        return _direct(x, weight, dilation)
    points = transform_weights(weight, tile) if transformed is None else transformed
    out = _tiled(_unfold(x, dilation), points.astype(x.dtype), tile)
    return _fold(out, dilation, x.shape)


def error_bound(x: NDArray[Any], weight: NDArray[Any], tile: Tile) -> float:
    """Largest error of any output of `convolve` in floats.

    Parameters
    ----------
    x, weight : float array
        As for `convolve`.
    tile : {0, 2, 4}
        See `Tile`.

    Returns
    -------
    float
        Absolute, from the sums of magnitudes that rounding acts on and the number of roundings
        that each output goes through.

    References
    ----------
    .. [1] Higham 2002, "Accuracy and stability of numerical algorithms", lemma 3.1 and section 3.1
    .. [2] Barabasz et al. 2020, "Error analysis and improving the accuracy of Winograd
       convolution", theorem 4.1, arXiv:1803.10986
    """
    n_axes, n_in = x.ndim - 2, x.shape[1]
    largest, w = float(np.abs(x).max(initial=0)), np.abs(weight.astype(np.float64))
    if tile:
        rows = [np.abs(np.array(m)) for m in (_OUTPUT[tile], _INPUT[tile])]
        matrix = np.abs(np.array(_WEIGHT[tile])) / _UNIT[tile]
        for axis in range(2, weight.ndim):
            w = np.moveaxis(np.tensordot(matrix, w, axes=(1, axis)), 0, axis)
            w = w * rows[1].sum(axis=1).reshape((-1,) + (1,) * (weight.ndim - 1 - axis))
        for axis in range(2, weight.ndim):
            w = np.moveaxis(np.tensordot(rows[0], w, axes=(1, axis)), 0, axis)
        total = w.sum(axis=1).max(initial=0)
    else:
        total = w.reshape(len(w), -1).sum(axis=1).max(initial=0)
    roundings = n_in * (1 if tile else 3**n_axes) + (18 * n_axes if tile else 1)
    unit = roundings * float(np.finfo(x.dtype).eps) / 2
    return float(total * largest * unit / (1 - unit))


def _direct(x: NDArray[Any], weight: NDArray[Any], dilation: int) -> NDArray[Any]:
    """One product of matrices over all taps and channels."""
    axes = tuple(range(2, x.ndim))
    shifts = [tuple(-(k - 1) * dilation for k in taps) for taps in np.ndindex(weight.shape[2:])]
    channels = x.swapaxes(0, 1)
    rows = np.concatenate([np.roll(channels, shift, axes) for shift in shifts])
    matrix = np.moveaxis(weight, 1, -1).reshape(len(weight), -1)
    out: NDArray[Any] = matrix @ rows.reshape(len(rows), -1)
    return out.reshape(len(weight), len(x), *x.shape[2:]).swapaxes(0, 1)


def _unfold(x: NDArray[Any], dilation: int) -> NDArray[Any]:
    """Every dilation-th bin as a circle of its own, which has no dilation."""
    if dilation == 1:
        return x
    n, n_in, *sizes = x.shape
    split = x.reshape(n, n_in, *(part for size in sizes for part in (size // dilation, dilation)))
    phases = split.transpose(0, *range(3, split.ndim, 2), 1, *range(2, split.ndim, 2))
    return phases.reshape(-1, n_in, *(size // dilation for size in sizes))


def _fold(out: NDArray[Any], dilation: int, shape: tuple[int, ...]) -> NDArray[Any]:
    if dilation == 1:
        return out
    n, _, *sizes = shape
    axes = len(sizes)
    parts: NDArray[Any] = out.reshape(n, *(dilation,) * axes, out.shape[1], *out.shape[2:])
    order = [0, axes + 1]
    for axis in range(axes):
        order += [axes + 2 + axis, 1 + axis]
    return parts.transpose(order).reshape(n, out.shape[1], *sizes)


def _tiled(x: NDArray[Any], points: NDArray[Any], tile: int) -> NDArray[Any]:
    """Transform tiles, multiply matrices of channels, transform back."""
    n_axes, sizes = x.ndim - 2, x.shape[2:]
    parts = [x.swapaxes(0, 1)]  # channels first: one product a point over all curves and tiles
    for axis in range(2, x.ndim):
        parts = [new for part in parts for new in _to_points(part, axis, tile)]
    shape = parts[0].shape
    stacked = np.stack(parts).reshape(len(parts), shape[0], -1)
    products = (points @ stacked).reshape(len(parts), -1, *shape[1:])
    grid = products.reshape(*(tile + 2,) * n_axes, *products.shape[1:])
    for axis in range(n_axes):
        grid = _combine(_OUTPUT[tile], grid, axis)
    # (row in tile, column in tile, channel, curve, tile row, tile column) to (curve, channel, ...)
    order = [n_axes + 1, n_axes]
    for axis in range(n_axes):
        order += [n_axes + 2 + axis, axis]
    whole: NDArray[Any] = grid.transpose(order).reshape(
        shape[1], -1, *(tile * n_tiles for n_tiles in shape[2:])
    )
    whole = whole[(slice(None), slice(None), *(slice(size) for size in sizes))]
    unit = math.prod([_UNIT[tile]] * n_axes)
    if whole.dtype.kind == "i":
        whole //= unit
    else:
        whole *= whole.dtype.type(1 / unit)
    return whole


def _to_points(x: NDArray[Any], axis: int, tile: int) -> list[NDArray[Any]]:
    """Transformed inputs of all tiles along one axis, one array a point."""
    size = x.shape[axis]
    n_tiles = -(-size // tile)
    index = np.arange(n_tiles) * tile
    taps = [np.take(x, (index + k - 1) % size, axis=axis) for k in range(tile + 2)]
    return [_weighted(row, taps) for row in _INPUT[tile]]


def _combine(matrix: Matrix, grid: NDArray[Any], axis: int) -> NDArray[Any]:
    parts = list(np.moveaxis(grid, axis, 0))
    return np.moveaxis(np.stack([_weighted(row, parts) for row in matrix]), 0, axis)


def _weighted(row: tuple[float, ...], parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Sum of the parts that have a weight; most weights are 0, 1 or -1."""
    total: NDArray[Any] | None = None
    for weight, part in zip(row, parts, strict=True):
        if weight == 0:
            continue
        if total is None:
            total = part * part.dtype.type(weight)
        elif abs(weight) == 1:
            (np.add if weight > 0 else np.subtract)(total, part, out=total)
        else:
            total += part * part.dtype.type(weight)
    assert total is not None
    return total
