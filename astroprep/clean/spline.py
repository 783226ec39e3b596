"""Natural cubic smoothing splines over ragged curves, with the variance of the smooth."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.spline_curve import smooth_one
from astroprep.threads import for_objects

__all__ = ["smoothing_spline"]


@njit(nogil=True, cache=True)
def _smoothing_spline_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    gap: float,
    rule: int,
    parameter: float,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
    cutoff: NDArray[np.float64],
    dof: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        cutoff[i], dof[i] = smooth_one(
            time[a:b],
            value[a:b],
            weight[a:b],
            gap,
            rule,
            parameter,
            fit[a:b],
            variance[a:b],
            leverage[a:b],
        )


def smoothing_spline(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    gap: float,
    rule: int,
    parameter: float,
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Curve that minimises ``sum w (y - g(t))^2 + penalty * integral of g''^2``.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each series, finite; days and any unit. Equal times are allowed.
    weight : float64 array, shape (n_points,)
        Positive: 1 / error^2, or 1.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    gap : float
        A longer step in time, days, cuts the series into runs that share the penalty only.
    rule : int
        How the penalty is found: `BY_GCV` minimises the generalised cross-validation score,
        `BY_DOF` meets `parameter` degrees of freedom, `BY_CUTOFF` halves the amplitude of a
        sine of `parameter` days.
    parameter : float
        See `rule`; not used by `BY_GCV`.

    Returns
    -------
    fit, variance, leverage : float64 arrays, shape (n_points,)
        `variance` is the diagonal of ``A W^-1``, A the hat matrix, in units of the variance of
        a point of weight 1: Wahba's posterior variance, which holds for the bias too.
        `leverage` is the diagonal of A.
    cutoff, dof : float64 arrays, shape (n_series,)
        Period of half amplitude in days and trace of A. `cutoff` is NaN where a series has
        fewer than three different times, which are left as they are; both for an empty one.

    Notes
    -----
    The spline is the mean of a once integrated random walk given the data (Wahba). Two passes
    over the points carry the information of value and slope forwards and backwards (Fraser &
    Potter), in time linear in their number. Unlike Reinsch's banded equations, whose terms grow
    as the inverse square of the time between points, nothing is lost where points are close.

    For even sampling with rho points of weight w a day the curve keeps
    ``1 / (1 + penalty (2 pi / P)^4 / (rho w))`` of a sine of period P, which defines the
    cut-off; weights are divided by their mean, so that w is 1.

    References
    ----------
    .. [1] Reinsch 1967, Numer. Math. 10, 177, doi:10.1007/BF02162161
    .. [2] Fraser & Potter 1969, IEEE Trans. Autom. Control 14, 387,
       doi:10.1109/TAC.1969.1099196
    .. [3] Craven & Wahba 1979, Numer. Math. 31, 377, doi:10.1007/BF01404567
    .. [4] Wahba 1983, J. R. Stat. Soc. B 45, 133, doi:10.1111/j.2517-6161.1983.tb01239.x
    """
    fit, variance, leverage = np.empty(time.size), np.empty(time.size), np.empty(time.size)
    cutoff, dof = np.empty(offsets.size - 1), np.empty(offsets.size - 1)
    for_objects(
        _smoothing_spline_range,
        offsets.size - 1,
        time,
        value,
        weight,
        offsets,
        gap,
        rule,
        parameter,
        fit,
        variance,
        leverage,
        cutoff,
        dof,
    )
    return fit, variance, leverage, cutoff, dof
