"""Learn light-curve templates from labelled stars of known period."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import eigh

from astroprep.errors import ConfigError, DataError
from astroprep.period.fold import fold
from astroprep.period.templates import N_PHASES, TemplateSet

__all__ = ["build_templates", "smooth_cycle"]

HARMONICS = 20  # of a smoothed cycle
SMOOTHING = 10.0 ** np.arange(-9.0, 1.1, 0.5)  # tried by cross-validation
HUBER = 2.0  # scatters, beyond which a point counts for less
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
ALIGNMENTS = 5  # rounds of shifting every cycle onto the mean; they settle after two or three


def smooth_cycle(
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    n_phases: int = N_PHASES,
) -> NDArray[np.float64]:
    """One smooth cycle through a folded light curve.

    Parameters
    ----------
    phase, value, error : float64 array, shape (n_points,)
        Cycles, any unit, the unit of `value`; ``error > 0``; ten points at least.
    n_phases : int, default 512
        Even grid of phases from 0 on.

    Returns
    -------
    float64 array, shape (n_phases,)

    Raises
    ------
    DataError
        If there are fewer than ten points.

    Notes
    -----
    A Fourier series of 20 harmonics whose coefficients c_k are held back by ``lambda k^4 c_k^2``,
    the energy of the second derivative as in a periodic smoothing spline. lambda is chosen by
    generalised cross-validation, and three rounds of Huber weights hold outliers off.

    References
    ----------
    .. [1] Golub, Heath & Wahba 1979, Technometrics 21, 215, doi:10.1080/00401706.1979.10489751
    """
    if phase.size < 10:
        raise DataError(f"smooth_cycle needs ten points, got {phase.size}")
    design = _harmonics(phase)
    order = np.concatenate(([0.0], np.repeat(np.arange(1.0, HARMONICS + 1), 2)))
    weight = (error.min() / error) ** 2
    trust = np.ones(phase.size)
    coefficient = np.zeros(order.size)
    for _ in range(3):
        coefficient = _ridge(design, value, weight * trust, order**4)
        rest = np.abs(design @ coefficient - value) * np.sqrt(weight)
        limit = max(HUBER * MAD_TO_SIGMA * float(np.median(rest)), np.finfo(float).tiny)
        trust = limit / np.maximum(rest, limit)
    return np.asarray(_harmonics(np.arange(n_phases) / n_phases) @ coefficient)


def _harmonics(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns 1, cos, sin, cos 2, sin 2 and so on, shape (n_points, 1 + 2 HARMONICS)."""
    angle = 2 * np.pi * phase[:, None] * np.arange(1, HARMONICS + 1)
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(phase.size, -1)
    return np.concatenate([np.ones((phase.size, 1)), pairs], axis=1)


def _ridge(
    design: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Coefficients of the penalised fit with the smallest cross-validation score."""
    # with W from the generalised eigenproblem P w = mu B w, B = gram + P, every member of the
    # family inverts at once: (gram + s P)^-1 = W diag(1 / (1 + (s - 1) mu)) W'
    penalty_matrix = np.diag(penalty * weight.sum())
    gram = design.T @ (weight[:, None] * design)
    mu, vectors = eigh(penalty_matrix, gram + penalty_matrix)
    shrink = 1.0 / (1.0 + (SMOOTHING[:, None] - 1.0) * mu)
    right = design.T @ (weight * value)
    coefficient = (shrink * (vectors.T @ right)) @ vectors.T  # (smoothing, column)
    freedom = (shrink * (1.0 - mu)).sum(axis=1)
    rest = coefficient @ design.T - value
    misfit = (weight * rest**2).sum(axis=1)
    score = misfit / np.maximum(1.0 - freedom / value.size, 1e-3) ** 2
    return np.asarray(coefficient[np.argmin(score)])


def _roll(shape: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapes moved to earlier phases by `shift` cycles each, exactly for a Fourier series."""
    series = np.fft.rfft(shape, axis=1)
    order = np.arange(series.shape[1])
    turned = series * np.exp(2j * np.pi * order * shift[:, None])
    return np.asarray(np.fft.irfft(turned, shape.shape[1], axis=1))


def _normalise(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapes from 0 at phase 0, their minimum, to 1."""
    n = shape.shape[1]
    least = np.argmin(shape, axis=1)
    row = np.arange(len(shape))
    left, here, right = (shape[row, (least + k) % n] for k in (-1, 0, 1))
    bend = np.maximum(left - 2 * here + right, np.finfo(float).tiny)
    shape = _roll(shape, (least + np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) / n)
    shape = shape - shape.min(axis=1, keepdims=True)
    return np.asarray(shape / shape.max(axis=1, keepdims=True))


def _align(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapes shifted so that each agrees best with the mean of all."""
    n = shape.shape[1]
    for _ in range(ALIGNMENTS):
        mean = np.fft.rfft(shape.mean(axis=0))
        match = np.fft.irfft(np.fft.rfft(shape, axis=1) * np.conj(mean), n, axis=1)
        shape = _roll(shape, np.argmax(match, axis=1) / n)
    return shape


def _cluster(shape: NDArray[np.float64], n_shapes: int) -> NDArray[np.float64]:
    """Means of Ward clusters, the largest first, normalised."""
    if len(shape) <= n_shapes:
        return _normalise(shape)
    # Ward's tree needs no random start, so a set can be made again to the last digit
    member = fcluster(linkage(shape, method="ward"), n_shapes, criterion="maxclust")
    size = np.bincount(member)
    order = np.argsort(-size[1:], kind="stable") + 1
    return _normalise(np.stack([shape[member == k].mean(axis=0) for k in order if size[k]]))


def build_templates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    kind: NDArray[np.object_],
    *,
    band: NDArray[np.object_] | None = None,
    n_shapes: int | dict[str, int] = 10,
) -> TemplateSet:
    """Templates learned from well-observed stars of known period.

    Every curve is folded, smoothed to a cycle, normalised to 0 at maximum and 1 at minimum light,
    and shifted onto the mean of its kind and band; Ward clusters of the aligned cycles give the
    shapes.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, mag, mag; finite, ``error > 0``. Ten points a curve at least; fifty describe an
        RR Lyrae well.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i, one star in one band, is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days.
    kind : object array of str, shape (n_curves,)
        ``"ab"``, ``"c"`` or ``""``.
    band : object array of str, shape (n_curves,), optional
        Filter of each curve; without it the templates serve every band.
    n_shapes : int or dict of str to int, default 10
        Shapes for each kind and band.

    Returns
    -------
    TemplateSet
        Named by number within the kind, and band, as in ``"ab3g"``; the number 0 has the most
        members.

    Raises
    ------
    ConfigError
        If `n_shapes` is below 1 or leaves out a kind.
    DataError
        If there is no curve, or one is too short, constant or without a period.
    """
    n_curves = offsets.size - 1
    bands = np.full(n_curves, "", dtype=object) if band is None else np.asarray(band, object)
    if n_curves == 0 or not len(period) == len(kind) == len(bands) == n_curves:
        raise DataError(
            "build_templates needs one or more curves, each with a period, a kind and a band: got "
            f"{n_curves} curves, {len(period)} periods, {len(kind)} kinds and {len(bands)} bands"
        )
    wanted = n_shapes if isinstance(n_shapes, dict) else dict.fromkeys(set(kind), n_shapes)
    for one in sorted(set(kind)):
        if wanted.get(one, 0) < 1:
            raise ConfigError(f"n_shapes must be 1 or more for kind {one!r}, got {n_shapes!r}")
    cycles = np.empty((n_curves, N_PHASES))
    for i in range(n_curves):
        part = slice(offsets[i], offsets[i + 1])
        if part.stop - part.start < 10 or np.ptp(value[part]) == 0:
            raise DataError(
                f"build_templates needs ten points or more that vary: curve {i} has "
                f"{part.stop - part.start}; leave it out"
            )
        cycles[i] = smooth_cycle(fold(time[part], period[i]), value[part], error[part])
    cycles = _normalise(cycles)
    names, filters, kinds, shapes = [], [], [], []
    for pair in sorted(set(zip(kind, bands, strict=True))):
        where = np.array([p == pair for p in zip(kind, bands, strict=True)])
        for k, row in enumerate(_cluster(_align(cycles[where]), wanted[pair[0]])):
            names.append(f"{pair[0]}{k}{pair[1]}")
            kinds.append(pair[0])
            filters.append(pair[1])
            shapes.append(row)
    return TemplateSet(tuple(names), tuple(filters), tuple(kinds), np.array(shapes))
