"""Variable stars and the visits of a survey to them, which alerts tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.synthetic.stars import Stars, draw_stars, magnitude

__all__ = ["FIRST", "AlertStars", "Survey", "draw_alert_stars"]

Survey = Literal["ztf", "lsst"]

FIRST = 59000  # MJD of the first night
DETECTED = 5.0  # sigma of the difference
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VARIABLE = ("RRab", "RRc", "Cepheid", "delta-Scuti", "EA", "EW", "LPV", "rotational")


@dataclass(frozen=True, eq=False)
class AlertStars:
    """Stars that give alerts, and all visits of them.

    Parameters
    ----------
    label : object array of str, shape (n_stars,)
        True classes.
    period : float64 array, shape (n_stars,)
        True periods, days; NaN where nothing repeats.
    ra, dec : float64 array, shape (n_stars,)
        Degrees.
    id : object array of str, shape (n_stars,)
        Names in the packets.
    star : int64 array, shape (n_visits,)
        Star of each visit; visits are ordered by star and time.
    mjd : float64 array, shape (n_visits,)
        Mid-exposure, UTC, days.
    band : int64 array, shape (n_visits,)
        Code into the bands of the survey.
    flux, flux_err, reference : float64 array, shape (n_visits,)
        Of the star as measured, its error, and of the star in the reference image, nJy.
    detected : bool array, shape (n_visits,)
        Whether the difference gave an alert.
    """

    label: NDArray[np.object_]
    period: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    id: NDArray[np.object_]
    star: NDArray[np.int64]
    mjd: NDArray[np.float64]
    band: NDArray[np.int64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    reference: NDArray[np.float64]
    detected: NDArray[np.bool_]

    @property
    def night(self) -> NDArray[np.int64]:
        """Whole MJD of each visit."""
        return np.floor(self.mjd).astype(np.int64)


def draw_alert_stars(
    rng: np.random.Generator,
    n_stars: int,
    n_nights: int,
    visits_per_night: float | Sequence[float],
    survey: Survey,
) -> AlertStars:
    """Stars, visits and fluxes."""
    label = rng.permutation(np.resize(np.array(VARIABLE, object), n_stars))
    physical: Stars = draw_stars(rng, label)
    ra = (150.0 + rng.uniform(-20, 20, n_stars)) % 360
    dec = rng.uniform(-20.0, 20.0, n_stars)
    level = rng.uniform(15.5, 18.5, n_stars)
    colour = rng.uniform(0.1, 0.6, n_stars)
    count = rng.poisson(visits_per_night, (n_stars, n_nights))
    star = np.repeat(np.repeat(np.arange(n_stars), n_nights), count.ravel())
    night = np.repeat(np.tile(np.arange(n_nights), n_stars), count.ravel())
    mjd = FIRST + night + rng.uniform(0.15, 0.45, star.size)
    order = np.lexsort((mjd, star))
    star, mjd = star[order], np.round(mjd[order], 6)
    band = rng.integers(0, 2, star.size)
    base = level[star] + colour[star] * (band == 0)
    truth = 10 ** (0.4 * (31.4 - base - magnitude(physical, star, mjd)))
    reference = 10 ** (0.4 * (31.4 - base))
    error = 0.012 * truth + 150.0
    flux = truth + rng.normal(0, 1, star.size) * error
    return AlertStars(
        label=label,
        period=physical.period,
        ra=ra,
        dec=dec,
        id=_names(n_stars, survey),
        star=star,
        mjd=mjd,
        band=band,
        flux=flux,
        flux_err=error,
        reference=reference,
        detected=np.abs(flux - reference) > DETECTED * error,
    )


def _names(n: int, survey: Survey) -> NDArray[np.object_]:
    if survey == "lsst":
        return np.array([str(10**15 + 7919 * k) for k in range(n)], object)
    names = []
    for k in range(n):
        letters = ""
        for _ in range(7):
            k, rest = divmod(k, 26)
            letters = LETTERS[rest] + letters
        names.append("ZTF20" + letters)
    return np.array(names, object)
