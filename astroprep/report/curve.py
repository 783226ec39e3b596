"""Light curves as SVG that stands inside the page: small, sharp, and only numbers."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from astroprep.period import fold

__all__ = ["MAX_POINTS", "curve_svg"]

MAX_POINTS = 200  # of one picture: twice in two cycles, each some 20 bytes with its error
WIDTH, HEIGHT = 400, 200
LEFT, RIGHT, TOP, BOTTOM = 62, 392, 8, 172
COMMON = (1.0, 99.0)  # percentiles of the values that the frame is made for
ROOM = 0.35  # of their range, above and below


def curve_svg(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    period: float,
    *,
    downwards: bool,
) -> Markup:
    """Picture of a light curve, two cycles if it has a period.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Usable points: days, and magnitudes or fluxes.
    period : float
        Days; without a positive, finite one the points stand against time.
    downwards : bool
        Whether the values grow downwards, as magnitudes do.

    Returns
    -------
    Markup
        An ``<svg>`` element; at most `MAX_POINTS` points, evenly chosen. What is not drawn, or
        lies beyond the frame, is said in its title.
    """
    n = time.size
    if n == 0:
        return Markup("")
    some = np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(np.int64))
    low, high = np.percentile(value, COMMON)
    spread = (high - low) or float(np.median(error)) or 1.0
    low, high = low - ROOM * spread, high + ROOM * spread
    inside = some[(value[some] >= low) & (value[some] <= high)]
    periodic = bool(np.isfinite(period) and period > 0)
    if periodic:
        x, start, end, unit = fold(time[inside], period) / 2, 0.0, 2.0, "phase"
    else:
        start, end, unit = float(time.min()), float(time.max()), "time [d]"
        x = (time[inside] - start) / ((end - start) or 1.0)
    share = (value[inside] - low) / (high - low)
    y = TOP + (share if downwards else 1 - share) * (BOTTOM - TOP)
    half = np.minimum(error[inside] / (high - low) * (BOTTOM - TOP), BOTTOM - TOP)
    pixel = LEFT + np.concatenate([x, x + 0.5] if periodic else [x]) * (RIGHT - LEFT)
    y, half = (np.tile(a, 2) if periodic else a for a in (y, half))
    title = [f"{'Folded light' if periodic else 'Light'} curve, {n} points"]
    if some.size < n:
        title.append(f"{some.size} drawn")
    if some.size > inside.size:
        title.append(f"{some.size - inside.size} beyond the frame")
    top, bottom = (low, high) if downwards else (high, low)
    return Markup(
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>'
        f"{', '.join(title)}</title>"
        f'<path d="{_bars(pixel, y, half)}" stroke="currentColor" opacity="0.35"/>'
        f'<path d="{_dots(pixel, y)}" stroke="var(--accent)" stroke-width="5" '
        'stroke-linecap="round"/>'
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="currentColor"/>'
        '<g font-size="14" fill="currentColor">'
        f'<text x="{LEFT - 5}" y="{TOP + 10}" text-anchor="end">{top:.5g}</text>'
        f'<text x="{LEFT - 5}" y="{BOTTOM}" text-anchor="end">{bottom:.5g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{start:.7g}</text>'
        f'<text x="{(LEFT + RIGHT) // 2}" y="{HEIGHT - 8}" text-anchor="middle">{unit}</text>'
        f'<text x="{RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{end:.7g}</text></g></svg>'
    )


def _dots(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Lines of no length, which round ends make dots."""
    points = zip(x.round().astype(int).tolist(), y.round().astype(int).tolist(), strict=True)
    return "".join(f"M{a} {b}h0" for a, b in points)


def _bars(x: NDArray[np.float64], y: NDArray[np.float64], half: NDArray[np.float64]) -> str:
    """Error bars that are longer than a dot, cut at the frame."""
    upper, lower = np.maximum(y - half, TOP).round(), np.minimum(y + half, BOTTOM).round()
    seen = half > 3
    rows = zip(
        *(a[seen].round().astype(int).tolist() for a in (x, upper, lower - upper)), strict=True
    )
    return "".join(f"M{a} {b}v{c}" for a, b, c in rows)
