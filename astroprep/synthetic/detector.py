"""From a star's light to counts: motion over the pixels, shared trends, sky, cosmic rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.synthetic.spacecraft import Flight, Spacecraft

__all__ = ["Motion", "background", "cosmic_rays", "draw_motion", "response"]

PIXEL_WAVE = 0.55  # pixels; the flux in an aperture repeats about twice a pixel
ROLL_PIXELS = 0.13  # a degree off axis: K2 stars at the edge of the field move by a pixel
RAYS_PER_DAY = 0.2  # that change an aperture by some sigma of a long cadence


@dataclass(frozen=True)
class Motion:
    """Motion of each star on the detector, pixels, shape (n, n_cadences).

    Parameters
    ----------
    column, row : float64 array
        What ``pos_corr1`` and ``pos_corr2`` hold.
    along, across : float64 array
        The same, along the arc of the roll and across it.
    """

    column: NDArray[np.float64]
    row: NDArray[np.float64]
    along: NDArray[np.float64]
    across: NDArray[np.float64]


def draw_motion(
    rng: np.random.Generator, craft: Spacecraft, flight: Flight, place: NDArray[np.float64]
) -> Motion:
    """Motion of stars at `place` (n, 2), in half-widths of the channel from its centre."""
    x, y = craft.off_axis + 0.55 * place[:, 0], 0.55 * place[:, 1]
    reach = ROLL_PIXELS * np.hypot(x, y)[:, None]
    angle = np.arctan2(y, x)[:, None] + 0.9  # of the arc against the columns
    own = 1 + 0.2 * place.sum(axis=1)[:, None]  # aberration differs over the field
    along = reach * flight.roll + 0.4 * own * flight.drift + flight.jitter
    across = own * flight.drift + 0.5 * np.roll(flight.jitter, 1)
    measured = 2e-4 * rng.normal(size=(2, *along.shape))
    return Motion(
        column=along * np.cos(angle) - across * np.sin(angle) + measured[0],
        row=along * np.sin(angle) + across * np.cos(angle) + measured[1],
        along=along,
        across=across,
    )


def response(
    rng: np.random.Generator,
    craft: Spacecraft,
    flight: Flight,
    place: NDArray[np.float64],
    motion: Motion,
) -> NDArray[np.float64]:
    """Relative change of flux by the spacecraft, shape (n, n_cadences)."""
    n = place.shape[0]
    common = rng.choice([-1.0, 1.0], 5) * rng.uniform(0.6, 1.4, 5)
    slope = rng.normal(0, 0.35, (2, 5))
    own = np.array(craft.trend) * (common + place @ slope + rng.normal(0, 0.25, (n, 5)))
    changes = own @ flight.basis
    a, b, c, d, e = (scale * rng.normal(size=(n, 1)) for scale in (0.012, 0.012, 0.001, 0.02, 0.08))
    s, t = motion.along, motion.across
    wave = np.sin(2 * np.pi * s / PIXEL_WAVE + rng.uniform(0, 2 * np.pi, (n, 1)))
    changes += a * s + b * s**2 + c * wave + d * t + e * s * t
    fired = (flight.flags & craft.dump) > 0
    smear = np.abs(rng.normal(0, 2e-3, (n, 1))) * rng.uniform(0.3, 1.7, int(fired.sum()))
    changes[:, fired] -= smear
    return np.asarray(changes)


def background(
    rng: np.random.Generator, craft: Spacecraft, flight: Flight, brightness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sky inside each aperture, electron/s, shape (n, n_cadences); bright stars have large ones."""
    n = brightness.size
    dark = 0.12 * craft.noise_floor * 10 ** (-0.12 * (brightness - 13.0))
    dark *= np.exp(rng.normal(0, 0.15, n))
    season = 1 + 0.05 * rng.normal(1, 0.2, (n, 1)) * flight.basis[0]
    glow = rng.uniform(0.8, 1.2, (n, 1)) * flight.scattered
    return np.asarray(dark[:, None] * (season + glow))


def cosmic_rays(
    rng: np.random.Generator, shape: tuple[int, int], step: float
) -> NDArray[np.float64]:
    """Charge of cosmic rays in units of the noise of a cadence of `step` days, mostly zero."""
    hit = rng.random(shape) < RAYS_PER_DAY * step
    return np.where(hit, 4 + rng.exponential(12.0, shape), 0.0)
