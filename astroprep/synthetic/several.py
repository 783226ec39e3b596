"""The same stars in three surveys with clocks, zero points, errors and mistakes of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError
from astroprep.synthetic.stars import draw_stars, magnitude

__all__ = ["SEVERAL_SURVEYS", "SurveyDesign", "simulate_several"]

MJD = 2400000.5
CLASSES = ("RRab", "RRc", "Cepheid", "EW")
NEIGHBOUR = (0.6, 2.5)  # arcseconds from a star; within the radius of any cross-match


@dataclass(frozen=True)
class SurveyDesign:
    """How one survey looks at the sky.

    Parameters
    ----------
    clock : {"MJD UTC", "HJD UTC", "BJD TDB"}
        What its times are, at the centre of the Earth or reduced from there.
    reference : float
        Julian date that it subtracts, days.
    start, stop : float
        First and last night, MJD.
    zero_point : float
        Added to true magnitudes.
    sigma : float
        Scatter of a point, mag; errors are honest.
    position_error : float
        Sigma of each coordinate of its positions, arcseconds.
    """

    clock: str
    reference: float
    start: float
    stop: float
    zero_point: float
    sigma: float
    position_error: float


SEVERAL_SURVEYS = {
    "north": SurveyDesign("MJD UTC", MJD, 53500.0, 54900.0, 0.0, 0.02, 0.2),
    "old": SurveyDesign("HJD UTC", 2450000.0, 52900.0, 54200.0, 0.31, 0.04, 0.4),
    "space": SurveyDesign("BJD TDB", 2455000.0, 54700.0, 55600.0, -0.17, 0.01, 0.1),
}
"""The three surveys, by name; the times of each overlap with those of another."""


def simulate_several(
    n_stars: int = 40, seed: int = 0, *, n_points: int = 120, n_neighbours: int = 6
) -> dict[str, LightCurveBatch]:
    """Three surveys of the same variable stars, with known truth.

    Parameters
    ----------
    n_stars : int, default 40
        Stars that every survey has.
    seed : int, default 0
        Same seed, same surveys.
    n_points : int, default 120
        Points of a curve, in nights of three exposures.
    n_neighbours : int, default 6
        Of the stars, how many have an unrelated variable within 2.5 arcseconds that only the
        survey ``old`` lists; of every second pair it misses the star itself.

    Returns
    -------
    dict of str to LightCurveBatch
        By the names in `SEVERAL_SURVEYS`. ``objects``: ``id``, ``ra``, ``dec`` (degrees, with the
        survey's errors), ``label`` (one star in ten mislabelled in ``old``),
        ``catalogue_period`` and ``catalogue_period_err`` (days; one in ten of ``old`` is a daily
        alias), and the truth: ``star`` (the same number is the same star; neighbours have their
        own) and ``true_period``. ``points``: ``bjd_truth`` (BJD TDB less 2400000.5).

    Raises
    ------
    ConfigError
        If a setting is out of range.

    Notes
    -----
    The light is that of the class (see `astroprep.synthetic.simulate_survey`) at the barycentre;
    each survey sees it when it reaches the centre of the Earth. Clocks are those of astropy, and
    nothing of `astroprep.integrate` is used, which can therefore be tested with it.
    """
    if n_stars < 1 or n_points < 3 or not 0 <= n_neighbours <= n_stars:
        raise ConfigError(
            f"simulate_several needs n_stars >= 1, n_points >= 3 and 0 <= n_neighbours <= "
            f"n_stars, got {n_stars!r}, {n_points!r}, {n_neighbours!r}"
        )
    rng = np.random.default_rng(seed)
    n = n_stars + n_neighbours
    label = np.array(CLASSES, dtype=object)[rng.integers(0, len(CLASSES), n)]
    stars = draw_stars(rng, label)
    mean = rng.uniform(14.0, 17.0, n)
    ra, dec = rng.uniform(120.0, 123.0, n), rng.uniform(-1.5, 1.5, n)
    near, angle = rng.uniform(*NEIGHBOUR, n_neighbours), rng.uniform(0, 2 * np.pi, n_neighbours)
    dec[n_stars:] = dec[:n_neighbours] + near * np.sin(angle) / 3600
    cos = np.cos(np.deg2rad(dec[n_stars:]))
    ra[n_stars:] = ra[:n_neighbours] + near * np.cos(angle) / 3600 / cos
    surveys = {}
    for name, design in SEVERAL_SURVEYS.items():
        seen = np.arange(n_stars)
        if name == "old":
            seen = np.delete(np.arange(n), np.arange(0, n_neighbours, 2))
        time, truth = _times(rng, design, ra[seen], dec[seen], n_points)
        curve = np.repeat(seen, n_points)
        value = mean[curve] + magnitude(stars, curve, truth) + design.zero_point
        about = _catalogue(rng, stars.period[seen], label[seen], wrong=name == "old")
        blur = rng.normal(0, design.position_error / 3600, (2, seen.size))
        surveys[name] = LightCurveBatch(
            time=time,
            value=np.round(value + rng.normal(0, design.sigma, value.size), 4),
            error=np.full(value.size, design.sigma),
            offsets=np.arange(seen.size + 1) * n_points,
            points={"bjd_truth": truth},
            objects={
                "id": np.array([f"{name}-{k}" for k in rng.permutation(seen.size)], object),
                "ra": ra[seen] + blur[0] / np.cos(np.deg2rad(dec[seen])),
                "dec": dec[seen] + blur[1],
                "star": seen,
                "true_period": stars.period[seen],
                **about,
            },
            meta=Meta(
                survey=name,
                time_scale=_stated(design),
                time_ref=design.reference,
            ),
        )
    return surveys


def _stated(design: SurveyDesign) -> str:
    """The clock in words, with what is subtracted where its name does not say it."""
    name, scale = design.clock.split()
    return design.clock if name == "MJD" else f"{name}-{design.reference:.0f} {scale}"


def _catalogue(
    rng: np.random.Generator,
    period: NDArray[np.float64],
    label: NDArray[np.object_],
    *,
    wrong: bool,
) -> dict[str, NDArray[np.generic]]:
    """What the survey's catalogue says of its stars, mistakes included."""
    n = period.size
    error = 2e-6 * period
    listed = period + rng.normal(0, 1, n) * error
    names = label.copy()
    if wrong:
        alias, mistaken = rng.permutation(n)[: n // 10], rng.permutation(n)[: n // 10]
        listed[alias] = 1 / (1 / listed[alias] + 1.0027379)  # one sidereal cycle a day too many
        names[mistaken] = np.where(label[mistaken] == "EW", "RRc", "EW")
    return {"label": names, "catalogue_period": listed, "catalogue_period_err": error}


def _times(
    rng: np.random.Generator,
    design: SurveyDesign,
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    n_points: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in the survey's clock and in BJD TDB less 2400000.5, of all its curves in a row."""
    from astropy import constants, units
    from astropy.coordinates import get_body_barycentric
    from astropy.time import Time

    nights = rng.choice(np.arange(design.start, design.stop), -(-n_points // 3), replace=False)
    start = np.sort(nights) + 0.7 + rng.normal(0, 0.02, nights.size)
    utc = (start[:, None] + [0.0, 0.021, 0.043]).ravel()[:n_points]
    clock = Time(utc, format="mjd", scale="utc")
    places = [get_body_barycentric(body, clock).xyz.to_value("au") for body in ("earth", "sun")]
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    star = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    days = (1 * units.au / constants.c).to_value("d")
    from_centre, from_sun = star @ places[0] * days, star @ (places[0] - places[1]) * days
    truth = (clock.tdb.mjd + from_centre).ravel()
    given = {
        "BJD TDB": truth,
        "HJD UTC": (utc + from_sun).ravel(),
        "MJD UTC": np.tile(utc, ra.size),
    }[design.clock]
    return given + (MJD - design.reference), truth
