"""Kernel of a template fit: from the candidates of one star to its best template."""

from __future__ import annotations

import numpy as np
from numba import njit

from astroprep.period.template_refine import choose_shapes, describe_bands, refine
from astroprep.period.template_scan import prepare_segment, scan_epochs

__all__ = ["N_EPOCHS", "fit_rows"]

N_EPOCHS = 64  # tried per cycle; divides the phases of the table
REFINED = 6  # pairs of candidate and kind, best after the scan, that are brought to their minimum
STEPS = 12  # of Gauss-Newton, at most; five are usual


@njit(cache=True, nogil=True)
def _fit_curve(
    time, value, error, segments, columns, table, shapes, kind, window, frequency,
    mismatch, clip, half_width, half_steps, candidate, trust, choice, linear, described,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Best fit of one curve over its candidates: frequency, epoch, loss, kind, covariance."""
    n, n_bands = time.size, segments.size - 1
    weight, guess = np.empty(n), np.empty(n)
    highest, level = np.empty(n_bands), np.empty(n_bands)
    centred = np.empty(n)
    for b in range(n_bands):
        part = slice(segments[b], segments[b + 1])
        level[b], _, highest[b] = prepare_segment(
            value[part], error[part], mismatch, clip, weight[part], guess[part]
        )
        centred[part] = value[part] - level[b]
    trusted = weight * guess
    total = 0.0
    for b in range(n_bands):
        part = slice(segments[b], segments[b + 1])
        mean = (trusted[part] * centred[part]).sum() / trusted[part].sum()
        total += (trusted[part] * (centred[part] - mean) ** 2).sum()

    n_kinds = kind.max() + 1
    gain = np.empty((n_kinds, N_EPOCHS))
    row, weighted, sums = np.empty(n, np.int64), np.empty(n), np.empty((3, table.shape[1]))
    starts = np.zeros((frequency.size * n_kinds, 4))  # gain, frequency, epoch, kind
    starts[:, 0] = -1.0
    step = half_width / max(half_steps, 1) / (time.max() - time.min())
    for c in range(frequency.size):
        candidate[c] = np.inf
        if not frequency[c] > 0:
            continue
        for d in range(-half_steps, half_steps + 1):
            at = frequency[c] + d * step
            scan_epochs(
                time, centred, trusted, segments, columns, highest, table, kind, window, at,
                row, weighted, sums, gain,
            )  # fmt: skip
            for k in range(n_kinds):
                s = np.argmax(gain[k])
                if gain[k, s] > starts[c * n_kinds + k, 0]:
                    start = starts[c * n_kinds + k]
                    start[0], start[1], start[2], start[3] = gain[k, s], at, s / N_EPOCHS, k
                    candidate[c] = min(candidate[c], total - gain[k, s])

    best = np.inf
    best_frequency = best_epoch = 0.0
    best_kind = -1
    turned, described_now = np.empty((n_bands, 2)), np.empty(n)
    chosen = np.empty(n_bands, np.int64)
    order = np.argsort(-starts[:, 0])
    for place in order[:REFINED]:
        if starts[place, 0] < 0:
            break
        f, epoch, k = starts[place, 1], starts[place, 2], int(starts[place, 3])
        described_now[:] = guess
        allowed = (kind == k) & (window[:, 0] <= f) & (f <= window[:, 1])
        loss = np.inf
        for _ in range(2):  # the best template may be another one at the refined epoch
            choose_shapes(
                time, centred, weight, described_now, segments, highest, shapes, columns,
                allowed, f, epoch, clip, chosen,
            )  # fmt: skip
            f, epoch, loss = refine(
                time, centred, weight, described_now, segments, highest, shapes, chosen,
                f, epoch, clip, STEPS, turned,
            )  # fmt: skip
        if loss < best and f > 0:
            best, best_frequency, best_epoch, best_kind = loss, f, epoch, k
            trust[:], choice[:], linear[:] = described_now, chosen, turned
    covariance = np.full((2, 2), np.inf)
    if best_kind >= 0:
        covariance = describe_bands(
            time, centred, weight, trust, segments, shapes, choice, best_frequency, best_epoch,
            linear, described,
        )  # fmt: skip
        linear[:, 0] += level
        described[:, 2] += level
    return best_frequency, best_epoch, best, best_kind, covariance


@njit(cache=True, nogil=True)
def fit_rows(
    time, value, error, segments, curves, columns, table, shapes, kind, window, frequency,
    mismatch, clip, half_width, half_steps, candidate, trust, choice, linear, described, fitted,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fit curve after curve; rows of `fitted`: frequency, epoch, chi2, kind, three covariances."""
    for i in range(curves.size - 1):
        first, last = curves[i], curves[i + 1]
        bounds = segments[first : last + 1]
        points = slice(bounds[0], bounds[-1])
        f, epoch, chi2, code, covariance = _fit_curve(
            time[points], value[points], error[points], bounds - bounds[0], columns[first:last],
            table, shapes, kind, window, frequency[i], mismatch, clip, half_width, half_steps,
            candidate[i], trust[points], choice[first:last], linear[first:last],
            described[first:last],
        )  # fmt: skip
        fitted[i, 0], fitted[i, 1], fitted[i, 2], fitted[i, 3] = f, epoch, chi2, code
        fitted[i, 4], fitted[i, 5] = covariance[0, 0], covariance[0, 1]
        fitted[i, 6] = covariance[1, 1]
