"""What one star says about the offsets between the surveys that saw it."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["star_information"]

HUBER = 1.345  # 95 % efficient for Gaussian errors; Huber 1964
CLIPPED = 0.7102  # mean of min(z^2, HUBER^2) for Gaussian z
ROUNDS = 25
LEAST_FREEDOM = 3  # fewer residuals cannot tell what the scatter is
LEAST_POINTS = 3  # of a survey in a fold
POINTS_PER_TERM = 5


@njit(cache=True)
def _visits(time, system, window, visit, n_systems):  # type: ignore[no-untyped-def]
    """Number the visits that two systems or more share; -1 elsewhere. Times are sorted."""
    n, first, count = time.size, 0, 0
    seen = np.zeros(n_systems, np.bool_)
    while first < n:
        last = first
        seen[:] = False
        while last < n and time[last] - time[first] <= window:
            seen[system[last]] = True
            last += 1
        shared = seen.sum() > 1
        visit[first:last] = count if shared else -1
        count += 1 if shared else 0
        first = last
    return count


@njit(cache=True)
def _forms(rows, matrix):  # type: ignore[no-untyped-def]
    """Quadratic form of every row: two products of matrices, not two calls of BLAS a point."""
    return ((rows @ matrix) * rows).sum(axis=1)


@njit(cache=True)
def _by_visits(value, weight, system, visit, n_visits, info, pull, residual, lever):  # type: ignore[no-untyped-def]
    """Offsets with one level per visit: information, its vector, residuals and leverages."""
    n_systems = pull.size
    share = np.zeros((n_visits, n_systems))
    moment = np.zeros(n_visits)
    info[:], pull[:] = 0.0, 0.0
    for i in range(value.size):
        k = system[i]
        share[visit[i], k] += weight[i]
        moment[visit[i]] += weight[i] * value[i]
        pull[k] += weight[i] * value[i]
        info[k, k] += weight[i]
    total = share.sum(axis=1)
    for g in range(n_visits):
        for k in range(n_systems):
            if share[g, k] > 0:
                pull[k] -= share[g, k] * moment[g] / total[g]
                for m in range(n_systems):
                    info[k, m] -= share[g, k] * share[g, m] / total[g]
    inverse = np.linalg.pinv(info)
    offset = inverse @ pull
    for g in range(n_visits):
        moment[g] -= share[g] @ offset
        share[g] /= total[g]
    toward = -share[visit]
    for i in range(value.size):
        g, k = visit[i], system[i]
        residual[i] = value[i] - offset[k] - moment[g] / total[g]
        toward[i, k] += 1.0
        lever[i] = 1 / total[g]
    lever += _forms(toward, inverse)
    lever *= weight


@njit(cache=True)
def _by_fold(value, weight, system, basis, info, pull, residual, lever):  # type: ignore[no-untyped-def]
    """Offsets with one harmonic series of the phase: as `_by_visits`."""
    n_systems, n_terms = pull.size, basis.shape[1]
    shape = np.zeros((n_terms, n_terms))
    coupling = np.zeros((n_terms, n_systems))
    info[:], pull[:] = 0.0, 0.0
    moment = np.zeros(n_terms)
    for i in range(value.size):
        w, k = weight[i], system[i]
        info[k, k] += w
        pull[k] += w * value[i]
        for a in range(n_terms):
            moment[a] += w * value[i] * basis[i, a]
            coupling[a, k] += w * basis[i, a]
            for b in range(n_terms):
                shape[a, b] += w * basis[i, a] * basis[i, b]
    for a in range(n_terms):
        shape[a, a] += 1e-10 * weight.sum()
    solved = np.linalg.solve(shape, coupling)
    coefficients = np.linalg.solve(shape, moment)
    info -= coupling.T @ solved
    pull -= coupling.T @ coefficients
    inverse = np.linalg.pinv(info)
    offset = inverse @ pull
    coefficients -= solved @ offset
    toward = -(basis @ solved)
    residual[:] = value - basis @ coefficients
    for i in range(value.size):
        residual[i] -= offset[system[i]]
        toward[i, system[i]] += 1.0
    lever[:] = weight * (_forms(basis, np.linalg.inv(shape)) + _forms(toward, inverse))
    # the level of the star is its own: only differences count
    level = info.sum(axis=1)
    total, mean = level.sum(), pull.sum()
    for k in range(n_systems):
        pull[k] -= level[k] * mean / total
        for m in range(n_systems):
            info[k, m] -= level[k] * level[m] / total


@njit(cache=True)
def _rescale(residual, lever, error, system, extra, weight, floor):  # type: ignore[no-untyped-def]
    """Weights from the residuals, and the variance of each system that its errors do not tell."""
    n_systems = extra.size
    clipped, variance, count = np.zeros(n_systems), np.zeros(n_systems), np.zeros(n_systems)
    for i in range(residual.size):
        k = system[i]
        own = error[i] ** 2 + extra[k]
        z = abs(residual[i]) / np.sqrt(own * max(1 - lever[i], 1e-3))
        clipped[k] += min(z, HUBER) ** 2
        variance[k] += own
        count[k] += 1
        weight[i] = HUBER / z if z > HUBER else 1.0
    for k in range(n_systems):
        if count[k] > 0:
            excess = clipped[k] / (count[k] * CLIPPED) - 1
            extra[k] = max(extra[k] + excess * variance[k] / count[k], floor)
    for i in range(residual.size):
        weight[i] /= error[i] ** 2 + extra[system[i]]


@njit(cache=True)
def _one_star(time, value, error, system, period, window, harmonics, info, pull, extra, used):  # type: ignore[no-untyped-def]
    """Fill in the information of one star; leave zeros where it has none."""
    n_systems = pull.size
    fold = np.isfinite(period) and period > 0
    visit = np.zeros(time.size, np.int64)
    n_levels, n_terms = 0, 0
    if fold:
        counts = np.bincount(system, minlength=n_systems)
        for i in range(time.size):
            if counts[system[i]] < LEAST_POINTS:
                visit[i] = -1
    else:
        n_levels = _visits(time, system, window, visit, n_systems)
    keep = np.flatnonzero(visit >= 0)
    if keep.size < 2:
        return
    t, v, e, s, g = time[keep], value[keep], error[keep].copy(), system[keep], visit[keep]
    v = v - np.median(v)
    used[:] = np.bincount(s, minlength=n_systems)
    n_present = (used > 0).sum()
    if fold:
        n_terms = 2 * min(harmonics, t.size // (2 * POINTS_PER_TERM))
    freedom = t.size - n_levels - n_terms - n_present + (0 if fold else 1)
    if freedom < LEAST_FREEDOM or n_present < 2 or (fold and n_terms == 0):
        used[:] = 0
        return
    spread = np.mean(np.abs(v)) ** 2
    floor = 1e-12 * spread + 1e-300
    extra[:] = floor
    for i in range(e.size):
        if not (np.isfinite(e[i]) and e[i] > 0):
            e[i] = 0.0
            extra[s[i]] = spread + floor
    weight = 1 / (e**2 + extra[s])
    residual, lever = np.empty(t.size), np.empty(t.size)
    basis = np.empty((t.size, n_terms))
    for j in range(n_terms // 2):
        angle = 2 * np.pi * (j + 1) * ((t / period) % 1.0)
        basis[:, 2 * j], basis[:, 2 * j + 1] = np.cos(angle), np.sin(angle)
    for turn in range(ROUNDS):
        if fold:
            _by_fold(v, weight, s, basis, info, pull, residual, lever)
        else:
            _by_visits(v, weight, s, g, n_levels, info, pull, residual, lever)
        if turn < ROUNDS - 1:
            _rescale(residual, lever, e, s, extra, weight, floor)
    # the scatter is itself estimated: Student's t of so many degrees has its 68 % further out
    info *= freedom / (freedom + 1.2)
    pull *= freedom / (freedom + 1.2)


@njit(cache=True)  # parallel would add half to a long compilation, for a fast fit
def star_information(  # type: ignore[no-untyped-def]
    time, value, error, system, offsets, period, n_systems, window, harmonics
):
    """Information of each star on the offsets of the systems that measured it.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, sorted in each star; magnitudes; an error that is not positive is unknown.
    system : int64 array, shape (n_points,)
        Codes below `n_systems`.
    offsets : int64 array, shape (n_stars + 1,)
        Star i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_stars,)
        Days; stars without one are compared visit by visit, the others by their folds.
    n_systems : int
        Surveys or bands.
    window : float
        Longest visit, days.
    harmonics : int
        Of a fold, at most; one for ten points.

    Returns
    -------
    info : float64 array, shape (n_stars, n_systems, n_systems)
        Inverse covariance of the offsets (1/mag^2), singular to a common shift; zero for a star
        that compares nothing.
    pull : float64 array, shape (n_stars, n_systems)
        ``info @ offsets``, 1/mag.
    extra : float64 array, shape (n_stars, n_systems)
        Variance beyond the errors, mag^2.
    used : int64 array, shape (n_stars, n_systems)
        Points compared.

    Notes
    -----
    Least squares of ``value = level[visit] + offset[system]``, or of a harmonic series of the
    phase in place of the levels, with Huber's weights. Each system has a variance beyond its
    errors such that the clipped, leverage-corrected residuals have the size of Gaussian ones
    (proposal 2 of [1]_, chapter 7); so the star's own variation within a visit, or around its
    fold, is in the uncertainty. Errors are enlarged, never reduced.

    References
    ----------
    .. [1] Huber 1981, Robust Statistics, Wiley, doi:10.1002/0471725250
    """
    n_stars = offsets.size - 1
    info = np.zeros((n_stars, n_systems, n_systems))
    pull, extra = np.zeros((n_stars, n_systems)), np.zeros((n_stars, n_systems))
    used = np.zeros((n_stars, n_systems), np.int64)
    for i in range(n_stars):
        a, b = offsets[i], offsets[i + 1]
        _one_star(
            time[a:b],
            value[a:b],
            error[a:b],
            system[a:b],
            period[i],
            window,
            harmonics,
            info[i],
            pull[i],
            extra[i],
            used[i],
        )
    return info, pull, extra, used
