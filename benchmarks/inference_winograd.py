"""Convolutions of our shapes in floats on one core: direct, Winograd's tiles, Fourier transforms.

    python benchmarks/inference_winograd.py

Direct and tiles are `astroprep.deploy.winograd.convolve` on the same BLAS; weights are transformed
beforehand for all. The ways take turns in short groups, and what counts is the median of the
ratios of a turn, so that other work on the machine cancels. The Fourier convolution multiplies
channels frequency by frequency (`scipy.fft`, the same BLAS); how many taps it needs to win over
the direct one is found by trying.

Images are the 24 by 24 bins of dm-dt and what is left behind the first pooling, in the two layers
of the network that sees them (`astroprep.model.trunks.ImageNet`), and wider ones. They are circles
here, where that network pads by zeros, which costs the same; torch's own convolution stands beside.
Errors are the largest against the direct sum in float64, next to `error_bound`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from record import record

from astroprep.deploy.winograd import (
    FEW_PRODUCTS,
    Tile,
    convolve,
    error_bound,
    multiplications,
    transform_weights,
)

N_BINS = 64
SHAPES = {
    "nano, expand_3": (4, 8, 2),
    "micro, expand_3": (8, 10, 1),
    "small, expand_3": (20, 32, 4),
    "reference, expand_3, first": (24, 36, 1),
    "reference, expand_3, fourth": (32, 48, 8),
    "reference, expand_3, last": (36, 64, 1),
    "four times as wide": (144, 256, 1),
}
TILES: dict[str, Tile] = {"direct": 0, "F(2,3)": 2, "F(4,3)": 4}
IMAGES = {  # channels in and out, bins along both axes
    "dm-dt network, first": (1, 16, 24),
    "dm-dt network, second": (16, 32, 12),
    "dm-dt network, one more": (32, 64, 6),
    "four times as wide, first": (64, 64, 24),
    "four times as wide, second": (64, 128, 12),
    "eight times as wide": (128, 128, 12),
}
IMAGE_BATCHES = (1, 64, 256)
TAPS = (3, 5, 9, 13, 17, 25, 33, 64)
BATCHES = (1, 256)
TURNS = (9, 401)  # at least and at most; odd, so that the median is one of them
GROUP_SECONDS = 2e-4  # short, so that most turns are not interrupted
COMPARED_SECONDS = 1.0


def alternated(
    calls: dict[str, Callable[[], Any]], n_curves: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Least microseconds a curve, and how many times as long as the first one takes each other.

    The calls take turns, first to last and back, in groups of a fifth of a millisecond; each turn
    gives a ratio, of which the quartiles count. Whatever else the machine does in between
    slows both sides of a ratio.
    """
    repeats, whole = {}, 0.0
    for name, call in calls.items():
        call()
        start = time.process_time()
        call()
        spent = max(time.process_time() - start, 1e-7)
        repeats[name] = max(1, min(1000, round(GROUP_SECONDS / spent)))
        whole += spent * repeats[name]
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(max(TURNS[0], min(TURNS[1], int(COMPARED_SECONDS / whole) | 1))):
        for name in list(calls)[:: 1 if turn % 2 else -1]:
            call, n = calls[name], repeats[name]
            start = time.process_time()
            for _ in range(n):
                call()
            turns[name].append(1e6 * (time.process_time() - start) / n / n_curves)
    first = np.array(turns[next(iter(calls))])
    ratios = {
        name: np.quantile(np.array(spent) / first, (0.25, 0.5, 0.75)).round(3).tolist()
        for name, spent in turns.items()
    }
    return {name: min(spent) for name, spent in turns.items()}, ratios


def direct(x: NDArray[np.float32], matrix: NDArray[np.float32], n_taps: int) -> NDArray[Any]:
    """Circular convolution of any number of taps as one product, as `convolve` does for three."""
    channels = x.swapaxes(0, 1)
    rows = np.concatenate([np.roll(channels, n_taps // 2 - k, 2) for k in range(n_taps)])
    out: NDArray[Any] = matrix @ rows.reshape(len(rows), -1)
    return out.reshape(len(matrix), len(x), -1).swapaxes(0, 1)


def fourier(x: NDArray[np.float32], spectrum: NDArray[np.complex64]) -> NDArray[Any]:
    """Circular convolution; `spectrum` is of shape (n_frequencies, n_out, n_in)."""
    lines = scipy.fft.rfft(x, axis=2).transpose(2, 1, 0)  # (frequency, channel, curve)
    out: NDArray[Any] = scipy.fft.irfft(np.matmul(spectrum, lines), n=x.shape[2], axis=0)
    return out.transpose(2, 1, 0)


def spectrum_of(weight: NDArray[np.float32], n_bins: int) -> NDArray[np.complex64]:
    """Weights as `fourier` takes them."""
    n_taps = weight.shape[2]
    circle = np.zeros((*weight.shape[:2], n_bins), np.float32)
    for k in range(n_taps):
        circle[..., (n_taps // 2 - k) % n_bins] += weight[..., k]
    lines = scipy.fft.rfft(circle, axis=2).transpose(2, 0, 1)
    return np.ascontiguousarray(lines).astype(np.complex64)


def tiles(n_in: int, n_out: int, dilation: int, n: int) -> dict[str, Any]:
    """Microseconds a curve of three taps, and quartiles of the ratios to the direct product."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_in, N_BINS)).astype(np.float32)
    weight = rng.normal(size=(n_out, n_in, 3)).astype(np.float32)
    expected = convolve(x, weight, tile=0, dilation=dilation)
    calls: dict[str, Callable[[], NDArray[Any]]] = {}
    for name, tile in TILES.items():
        ready = transform_weights(weight, tile) if tile else None
        call = partial(convolve, x, weight, tile=tile, dilation=dilation, transformed=ready)
        np.testing.assert_allclose(call(), expected, atol=1e-3 * np.abs(expected).max())
        calls[name] = call
    spent, ratios = alternated(calls, n)
    return {**spent, "over_direct": {name: ratios[name] for name in ratios if name != "direct"}}


def image(n_in: int, n_out: int, size: int, n: int) -> dict[str, Any]:
    """Microseconds an image of three by three taps, ratios to the direct product, and errors."""
    import torch

    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_in, size, size)).astype(np.float32)
    weight = rng.normal(size=(n_out, n_in, 3, 3)).astype(np.float32)
    few = x[:64]
    truth = convolve(few.astype(np.float64), weight.astype(np.float64), tile=0)
    calls: dict[str, Callable[[], Any]] = {}
    row: dict[str, Any] = {"error": {}, "bound": {}, "fewer_multiplications": {}}
    for tile, name in enumerate(("direct", "", "F(2x2,3x3)", "", "F(4x4,3x3)")):
        if not name:
            continue
        ready = transform_weights(weight, tile) if tile else None
        calls[name] = partial(convolve, x, weight, tile=tile, transformed=ready)
        row["error"][name] = float(np.abs(convolve(few, weight, tile=tile) - truth).max())
        row["bound"][name] = error_bound(few, weight, tile)
        assert row["error"][name] <= row["bound"][name]
        saved = multiplications(size, 0, 2) / multiplications(size, tile, 2)
        row["fewer_multiplications"][name] = saved
    there = [torch.from_numpy(a) for a in (x, weight)]
    calls["torch"] = partial(torch.nn.functional.conv2d, *there, padding=1)
    with torch.inference_mode():
        spent, ratios = alternated(calls, n)
    ratios.pop("direct")
    default = "F(2x2,3x3)" if n_in * n_out >= FEW_PRODUCTS else "direct"
    return {**row, "default": default, **spent, "over_direct": ratios}


def taps(n_in: int, n_out: int, n: int) -> tuple[list[dict[str, Any]], int | None]:
    """Microseconds a curve against the number of taps, and from how many on Fourier wins."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_in, N_BINS)).astype(np.float32)
    rows: list[dict[str, Any]] = []
    for n_taps in TAPS:
        weight = rng.normal(size=(n_out, n_in, n_taps)).astype(np.float32)
        matrix = np.ascontiguousarray(weight.transpose(0, 2, 1).reshape(n_out, -1))
        spectrum = spectrum_of(weight, N_BINS)
        expected = direct(x, matrix, n_taps)
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(fourier(x, spectrum), expected, atol=atol)
        calls: dict[str, Callable[[], NDArray[Any]]] = {
            "direct": partial(direct, x, matrix, n_taps),
            "fourier": partial(fourier, x, spectrum),
        }
        spent, ratios = alternated(calls, n)
        rows.append({"taps": n_taps, **spent, "over_direct": ratios["fourier"]})
    won = [row["over_direct"][1] < 1 for row in rows]
    first = next((k for k in range(len(won)) if all(won[k:])), None)
    return rows, None if first is None else TAPS[first]


def main() -> None:
    """Time, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, (n_in, n_out, dilation) in SHAPES.items():
        for n in BATCHES:
            row: dict[str, Any] = {"layer": name, "n_in": n_in, "n_out": n_out, "batch": n}
            row |= {"dilation": dilation, **tiles(n_in, n_out, dilation, n)}
            if n > 1:
                row["by_taps"], row["fourier_wins_from"] = taps(n_in, n_out, n)
            rows.append(row)
            print({k: v for k, v in row.items() if k != "by_taps"}, flush=True)
    for name, (n_in, n_out, size) in IMAGES.items():
        for n in IMAGE_BATCHES:
            row = {"image": name, "n_in": n_in, "n_out": n_out, "size": size, "batch": n}
            rows.append({**row, **image(n_in, n_out, size, n)})
            print(rows[-1], flush=True)
    print(
        record(
            "inference_winograd",
            rows,
            given.out,
            peer="direct product of matrices",
            seed=0,
            ratios="quartiles over 9 to 401 turns",
        )
    )


if __name__ == "__main__":
    main()
