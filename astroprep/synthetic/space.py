"""Space photometry with known truth: stars of one channel, seen by Kepler, K2 or TESS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError
from astroprep.synthetic.detector import background, cosmic_rays, draw_motion, response
from astroprep.synthetic.spacecraft import (
    SPACECRAFT,
    Flight,
    MissionName,
    Spacecraft,
    fly,
    light_travel,
)
from astroprep.synthetic.stellar import (
    draw_flares,
    draw_spots,
    draw_transits,
    flare_light,
    spot_light,
    transit_light,
)

__all__ = ["EVENT_BITS", "SPACE_SHARES", "simulate_space"]

SPACE_SHARES = {
    "quiet": 0.34,
    "rotator": 0.20,
    "planet": 0.20,
    "flare-star": 0.16,
    "eclipsing": 0.10,
}
"""Share of each kind of star."""

EVENT_BITS = {"transit": 1, "flare": 2, "cosmic_ray": 4}
"""Bits of ``points["event_truth"]``."""

SUBEXPOSURES = 15  # a transit's ingress and a flare's peak are shorter than half an hour
VISIBLE = 0.1  # an event counts as one where it changes the flux by this part of its noise


def simulate_space(
    n_stars: int,
    seed: int,
    mission: MissionName = "kepler",
    *,
    days: float | None = None,
    cadence: float | None = None,
    shares: Mapping[str, float] | None = None,
    systematics: float = 1.0,
    noise: float = 1.0,
    safe_mode: bool = True,
) -> LightCurveBatch:
    """Simulate simple aperture photometry of the stars of one channel.

    Parameters
    ----------
    n_stars : int
        Stars.
    seed : int
        Same seed, same stars.
    mission : {"kepler", "k2", "tess"}, default "kepler"
        Kepler: slow aberration, monthly downlinks. K2: the roll of six hours, with a thruster
        firing flagged at the end of each. TESS: two orbits, momentum dumps, scattered light.
    days : float, optional
        Length; 90, 75 and 26 by default.
    cadence : float, optional
        Minutes; 29.4 for Kepler and K2 and 2 for TESS by default.
    shares : mapping of str to float, optional
        Share of each kind of star; `SPACE_SHARES` by default.
    systematics, noise : float, default 1.0
        Scale what the spacecraft adds, and photon noise with cosmic rays; 0 for none.
    safe_mode : bool, default True
        One interruption, with the recovery after it, in segments of ten days or more.

    Returns
    -------
    LightCurveBatch
        Flux in electron/s. Per point, beside ``cadence``, ``pos_corr1``, ``pos_corr2`` (pixels),
        ``survey_flags`` and ``background``: ``truth`` (the star without spacecraft and noise,
        known in the gaps too), ``systematics`` (what the spacecraft multiplies it by, less
        one) and ``event_truth`` (`EVENT_BITS`). Cadences without data are NaN, their times too,
        as in the missions' files. Per object ``label``, ``segment``, ``channel``, ``brightness``,
        ``crowding``, ``flux_fraction``, and the truth: ``rotation_period``,
        ``rotation_amplitude`` (its bound), ``transit_period``, ``transit_epoch``,
        ``transit_duration`` (days), ``transit_depth`` (of the star alone: times ``crowding`` in
        the aperture) and ``n_flares``; padded with NaN, shape (n_stars, 40), ``flare_start``
        (days) and ``flare_energy`` (equivalent duration, seconds). NaN where a star has none.

    Raises
    ------
    ConfigError
        If a setting is wrong; all mistakes come at once.

    Notes
    -----
    Five trends are shared by all stars, each star with its own coefficients, which vary smoothly
    over the channel with some scatter, as cotrending vectors suppose. The response to motion is
    a low polynomial and a wave of the pixel grid, of each star's own.

    References
    ----------
    .. [1] Davenport et al. 2014, ApJ 797, 122, arXiv:1411.3723 (flares)
    .. [2] Mandel & Agol 2002, ApJ 580, L171, arXiv:astro-ph/0210099 (transits)
    .. [3] Howell et al. 2014, PASP 126, 398, arXiv:1402.5163 (K2)
    """
    craft = _checked(n_stars, mission, days, cadence, shares, systematics, noise)
    days = craft.days if days is None else days
    step = craft.cadence if cadence is None else cadence / 1440.0
    rng = np.random.default_rng(seed)
    flight = fly(rng, mission, days, step, safe_mode)
    objects, place = _draw_objects(rng, craft, n_stars, shares or SPACE_SHARES)
    objects["id"] = np.array([f"sim-{mission}-{seed}-{i:05d}" for i in range(n_stars)], object)
    delay = light_travel(craft.time_ref + flight.clock, objects["ra"], objects["dec"])
    stars = _stars(rng, objects, flight.clock + delay, step, days)
    quiet = objects["flux_fraction"] * craft.zero_flux
    quiet = (quiet * 10 ** (-0.4 * (objects["brightness"] - 12.0)))[:, None]
    truth = quiet * (stars.light + (1 / objects["crowding"] - 1)[:, None])
    sky = background(rng, craft, flight, objects["brightness"])
    motion = draw_motion(rng, craft, flight, place)
    changes = systematics * response(rng, craft, flight, place, motion)
    leak = rng.normal(0, 0.01, (n_stars, 1)) * (sky - sky.min(axis=1, keepdims=True))
    changes += systematics * leak / truth
    seconds = craft.exposure * step * 86400.0
    sigma = np.sqrt((np.abs(truth) + sky + craft.noise_floor) / seconds)
    rays = cosmic_rays(rng, truth.shape, step) * (noise > 0)
    value = truth * (1 + changes) + noise * sigma * (rng.normal(size=truth.shape) + rays)
    events = EVENT_BITS["transit"] * (stars.transit < 0)
    events |= EVENT_BITS["flare"] * (stars.flare * quiet > VISIBLE * sigma)
    events |= EVENT_BITS["cosmic_ray"] * (rays > 0)
    flags = np.repeat(flight.flags[None], n_stars, axis=0)
    flags[:, flight.scattered > 3] |= 1 << 11  # stray light
    flags[:, flight.scattered > 8] |= 1 << 12  # so much that the mission leaves it out
    flags[(rays > 6) & (rng.random(rays.shape) < 0.8)] |= craft.cosmic_ray
    columns: dict[str, tuple[NDArray[Any], int]] = {
        "time": (flight.clock + delay, 6),
        "value": (value, 2),
        "error": (sigma, 3),
        "pos_corr1": (motion.column, 4),
        "pos_corr2": (motion.row, 4),
        "background": (sky, 0),
        "truth": (truth, 2),
        "systematics": (changes, 7),
        "survey_flags": (flags, 0),
        "event_truth": (events.astype(np.uint8), 0),
    }
    return _batch(craft, flight, objects, columns)


@dataclass(frozen=True)
class _Light:
    """Light of the stars, relative to their quiet flux, shape (n, n_cadences)."""

    light: NDArray[np.float64]
    transit: NDArray[np.float64]
    flare: NDArray[np.float64]


def _stars(
    rng: np.random.Generator,
    objects: dict[str, NDArray[Any]],
    time: NDArray[np.float64],
    step: float,
    days: float,
) -> _Light:
    """Draw what each star does, write it into `objects`, and integrate it over the exposures."""
    label = objects["label"]
    n, first = label.size, float(time.min())
    chance = rng.random(n)
    spotted = np.isin(label, ["rotator", "flare-star"])
    spotted |= (label == "planet") & (chance < 0.5)
    spotted |= (label == "eclipsing") & (chance < 0.3)
    small, large = np.exp(rng.uniform(np.log(0.02), np.log(0.12), n)), rng.uniform(0.25, 0.6, n)
    ratio = np.where(label == "planet", small, np.where(label == "eclipsing", large, 0.0))
    rate = np.where(label == "flare-star", np.exp(rng.uniform(np.log(0.15), np.log(1.0), n)), 0.0)
    spots = draw_spots(rng, spotted)
    transits = draw_transits(rng, ratio, first, days)
    flares = draw_flares(rng, rate, first, days)
    spot = spot_light(spots, time)
    transit, flare = np.zeros_like(time), np.zeros_like(time)
    for part in (np.arange(SUBEXPOSURES) + 0.5) / SUBEXPOSURES - 0.5:
        transit += transit_light(transits, time + part * step) / SUBEXPOSURES
        flare += flare_light(flares, time + part * step) / SUBEXPOSURES
    seen = np.isfinite(flares.start)
    objects.update(
        catalogue_period=np.where(ratio > 0, transits.period, spots.period),
        rotation_period=spots.period,
        rotation_amplitude=np.where(spotted, spots.amplitude, np.nan),
        transit_period=transits.period,
        transit_epoch=transits.epoch,
        transit_duration=transits.duration,
        transit_depth=np.where(ratio > 0, transits.depth(), np.nan),
        n_flares=seen.sum(axis=1),
        flare_start=flares.start,
        flare_energy=flares.energy,
    )
    return _Light((1 + spot) * (1 + transit) + flare, transit, flare)


def _draw_objects(
    rng: np.random.Generator, craft: Spacecraft, n: int, shares: Mapping[str, float]
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Columns per object that any survey has, and places on the channel in half-widths."""
    names, weight = list(shares), np.array(list(shares.values()), float)
    edges = np.round(np.cumsum(weight) / weight.sum() * n).astype(int)
    label = np.repeat(np.array(names, object), np.diff([0, *edges]))[rng.permutation(n)]
    place = rng.uniform(-1, 1, (n, 2))
    half = 6.0 if craft.survey == "TESS" else 0.55  # degrees
    bright, faint = (8.0, 12.5) if craft.survey == "TESS" else (11.0, 15.5)
    objects: dict[str, NDArray[Any]] = {
        "ra": (craft.ra + half * place[:, 0] / np.cos(np.deg2rad(craft.dec))) % 360,
        "dec": craft.dec + half * place[:, 1],
        "label": label,
        "segment": np.full(n, craft.segment),
        "channel": np.full(n, craft.channel),
        "brightness": np.round(bright + (faint - bright) * np.sqrt(rng.random(n)), 3),
        "crowding": np.round(1 - np.minimum(rng.exponential(0.02, n), 0.5), 4),
        "flux_fraction": np.round(rng.uniform(0.78, 0.97, n), 4),
    }
    return objects, place


def _batch(
    craft: Spacecraft,
    flight: Flight,
    objects: dict[str, NDArray[Any]],
    columns: Mapping[str, tuple[NDArray[Any], int]],
) -> LightCurveBatch:
    """Flat columns, rounded to float32 where files have it, NaN where nothing was measured."""
    n, size = objects["id"].size, flight.clock.size
    flat: dict[str, NDArray[Any]] = {}
    for name, (column, digits) in columns.items():
        if column.dtype.kind == "f":
            column = np.round(column, digits)
            column = column if name == "time" else column.astype(np.float32).astype(np.float64)
            if name not in ("truth", "systematics"):
                column[:, flight.lost] = np.nan
        flat[name] = column.ravel()
    number = craft.first_cadence + np.arange(size, dtype=np.int64)
    rounded = {
        name: np.round(column, 7) if column.dtype.kind == "f" else column
        for name, column in objects.items()
    }
    time, value, error = (flat.pop(name) for name in ("time", "value", "error"))
    return LightCurveBatch(
        time=time,
        value=value,
        error=error,
        offsets=size * np.arange(n + 1),
        points={"cadence": np.tile(number, n), **flat},
        objects=rounded,
        meta=Meta(craft.survey, "flux", "electron/s", craft.time_scale, craft.time_ref),
    )


def _checked(
    n_stars: int,
    mission: str,
    days: float | None,
    cadence: float | None,
    shares: Mapping[str, float] | None,
    systematics: float,
    noise: float,
) -> Spacecraft:
    """Spacecraft of the mission, once all settings are found right."""
    wrong = []
    if n_stars < 1:
        wrong.append(f"n_stars must be at least 1, got {n_stars!r}")
    if mission not in SPACECRAFT:
        wrong.append(f"mission must be one of {', '.join(SPACECRAFT)}, got {mission!r}")
    wrong += [
        f"{name} must be positive, got {number!r}"
        for name, number in (("days", days), ("cadence", cadence))
        if number is not None and not number > 0
    ]
    wrong += [
        f"{name} must not be negative, got {number!r}"
        for name, number in (("systematics", systematics), ("noise", noise))
        if not number >= 0
    ]
    given = SPACE_SHARES if shares is None else shares
    if not given or set(given) - set(SPACE_SHARES) or not sum(given.values()) > 0:
        wrong.append(f"shares must be of {', '.join(SPACE_SHARES)}, got {dict(given)!r}")
    elif min(given.values()) < 0:
        wrong.append(f"shares must not be negative, got {dict(given)!r}")
    if wrong:
        raise ConfigError("simulate_space: " + "; ".join(wrong))
    return SPACECRAFT[mission]  # type: ignore[index]
