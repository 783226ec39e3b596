"""Separations of matches, beside what chance alone would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astroprep.errors import ConfigError
from astroprep.integrate.density import surface_density
from astroprep.integrate.matches import Matches
from astroprep.plot.style import COLOURS, legend, new_axes, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_separations"]


def plot_separations(matches: Matches, bins: int = 40, ax: Axes | None = None) -> Axes:
    """Histogram of separations, with the expected number of chance partners.

    Parameters
    ----------
    matches : Matches
        Of `astroprep.integrate.crossmatch`, best with ``kind="all"``: with nearest partners only,
        chance ones hide behind real ones and the expectation is too high.
    bins : int, default 40
        From zero to the radius, or to the largest separation.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        A radius is well chosen where the histogram has come down to the line.

    Raises
    ------
    ConfigError
        If there is no bin.

    Notes
    -----
    Between ψ and ψ + dψ lie 2 π ψ ν dψ unrelated objects, for the density ν of the right
    catalogue around each left object. The density is that of all
    objects there, counterparts too, so it is a little too high where nearly all have one.
    """
    if bins < 1:
        raise ConfigError(f"plot_separations: bins must be at least 1, got {bins!r}")
    ax = new_axes(ax, (6.4, 3.8))
    apart = matches.separation[matches.is_matched]
    if not apart.size:
        return say_nothing_to_draw(ax, "no object is matched")
    radius = matches.about.get("radius") or float(apart.max())
    edges = np.linspace(0, radius if radius > 0 else 1.0, bins + 1)
    ax.hist(apart, edges.tolist(), color=COLOURS[0], alpha=0.75, label=f"{apart.size:,} matches")
    left, right = matches.left, matches.right
    none = np.zeros(len(left), np.int64)
    density = surface_density(left.ra, left.dec, right.ra, right.dec, none, 2.5 * radius)
    total = float(np.nansum(density))
    expected = np.pi * np.diff(edges**2) * total
    ax.stairs(
        expected, edges, color=COLOURS[1], linewidth=1.4,
        label=f"expected by chance: {expected.sum():,.3g}",
    )  # fmt: skip
    ax.set_xlim(0, edges[-1])
    ax.set_xlabel("separation [arcsec]")
    ax.set_ylabel("pairs per bin")
    legend(ax, loc="best")
    return ax
