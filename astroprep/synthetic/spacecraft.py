"""What space telescopes do to photometry: clocks, gaps, motion, trends that stars share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPACECRAFT", "Flight", "MissionName", "Spacecraft", "fly", "light_travel"]

MissionName = Literal["kepler", "k2", "tess"]

AU_LIGHT_DAYS = 499.004784 / 86400.0  # light time of the astronomical unit; IAU 2012 B2
OBLIQUITY = np.deg2rad(23.4392911)
EQUINOX_JD = 2457102.448  # March equinox of 2015: the Earth stands at longitude 180 degrees
TROPICAL_YEAR = 365.2422  # days
PERIHELION_JD = 2457026.78  # 2015 January 4
ECCENTRICITY = 0.0167


@dataclass(frozen=True)
class Spacecraft:
    """Numbers of one mission, near what its real files show.

    Parameters
    ----------
    survey : str
        Name for ``meta.survey``.
    time_scale, time_ref : str, float
        As in the mission's files.
    start, days : float
        First time and usual length, days.
    cadence, exposure : float
        Cadence in days, and its fraction that light is collected.
    segment, first_cadence, channel : int
        Quarter (campaign, sector), number of the first cadence, channel.
    ra, dec : float
        Centre of the channel, degrees.
    off_axis : float
        Distance of the channel from the axis of the telescope, degrees.
    zero_flux : float
        Electrons a second of a star of magnitude 12.
    noise_floor : float
        Variance of detector and sky a second, electrons squared over seconds.
    trend : tuple of float
        Typical size of the five shared trends in SAP flux.
    safe_mode, no_data, dump, cosmic_ray : int
        Bits of the survey's quality column.
    """

    survey: str
    time_scale: str
    time_ref: float
    start: float
    days: float
    cadence: float
    exposure: float
    segment: int
    first_cadence: int
    channel: int
    ra: float
    dec: float
    off_axis: float
    zero_flux: float
    noise_floor: float
    trend: tuple[float, float, float, float, float]
    safe_mode: int
    no_data: int
    dump: int
    cosmic_ray: int


LONG_CADENCE = 0.02043359821692  # days; TIMEDEL of Kepler's long cadence files

SPACECRAFT: dict[MissionName, Spacecraft] = {
    "kepler": Spacecraft(
        "Kepler", "BKJD TDB", 2454833.0, 443.4908, 90.0, LONG_CADENCE, 0.9206, 5, 16373, 38,
        287.9, 46.3, 5.0, 2.1e5, 1.9e4, (3e-3, 1.5e-3, 4e-3, 4e-4, 1.2e-3),
        1 << 1, 1 << 16, 1 << 5, 1 << 7,
    ),
    "k2": Spacecraft(
        "K2", "BKJD TDB", 2454833.0, 2307.5103, 75.0, LONG_CADENCE, 0.9206, 5, 107576, 40,
        130.2, 16.8, 4.5, 2.1e5, 1.9e4, (3e-3, 1.5e-3, 3e-3, 3e-4, 1.2e-3),
        1 << 1, 1 << 16, 1 << 20, 1 << 7,
    ),
    "tess": Spacecraft(
        "TESS", "BTJD TDB", 2457000.0, 2307.2557, 26.0, 120.0 / 86400.0, 0.792, 37, 712000, 5,
        167.2, -53.5, 9.0, 2.37e3, 1.9e3, (2e-3, 1e-3, 3e-3, 4e-4, 1e-3),
        1 << 1, 1 << 3, 1 << 5, 1 << 6,
    ),
}  # fmt: skip
"""Missions by name. Fluxes and noise are those of real SAP light curves within a tenth."""


@dataclass(frozen=True)
class Flight:
    """Common history of all stars of one segment, all of shape (n_cadences,) but `basis`.

    Parameters
    ----------
    clock : float64 array
        Mid-cadence time at the spacecraft, days.
    flags : int64 array
        Bits that all stars share.
    lost : bool array
        Cadences without data.
    basis : float64 array, shape (5, n_cadences)
        Shared trends of unit size: aberration (2), recovery after interruptions, heater
        cycle, focus.
    roll : float64 array
        Turn about the axis, in units of the largest; zero but for K2.
    drift, jitter : float64 array
        Slow and fast pointing error, pixels.
    scattered : float64 array
        Scattered light, in units of the dark sky; zero but for TESS.
    """

    clock: NDArray[np.float64]
    flags: NDArray[np.int64]
    lost: NDArray[np.bool_]
    basis: NDArray[np.float64]
    roll: NDArray[np.float64]
    drift: NDArray[np.float64]
    jitter: NDArray[np.float64]
    scattered: NDArray[np.float64]


def fly(
    rng: np.random.Generator, mission: MissionName, days: float, cadence: float, safe_mode: bool
) -> Flight:
    """Simulate the common history of one segment.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    mission : {"kepler", "k2", "tess"}
        Which spacecraft.
    days, cadence : float
        Length and step, days.
    safe_mode : bool
        Interrupt the observations once, where there are ten days or more.
    """
    craft = SPACECRAFT[mission]
    n = max(1, round(days / cadence))
    clock = craft.start + cadence * np.arange(n, dtype=np.float64)
    flags = np.zeros(n, np.int64)
    lost = np.zeros(n, bool)
    restarts = [craft.start - 0.3]  # the segment begins with the end of a manoeuvre
    for begin, length, bit in _interruptions(rng, mission, days, safe_mode):
        inside = (clock >= craft.start + begin) & (clock < craft.start + begin + length)
        flags[inside] |= bit | craft.no_data
        lost |= inside
        restarts.append(craft.start + begin + length)
    roll = np.zeros(n)
    if mission == "k2":
        roll, fired = _roll(rng, clock - craft.start, days)
        flags[fired] |= craft.dump
    else:
        every = 3.0 if mission == "kepler" else 3.4  # days between momentum dumps
        dumps = np.abs((clock - craft.start - 1.3 + every / 2) % every - every / 2) < 0.51 * max(
            cadence, 0.004
        )
        flags[dumps] |= craft.dump
    slow = np.sin(2 * np.pi * (clock - craft.start) / max(60.0, 1.3 * days) + rng.uniform(0, 6.28))
    jitter = _red_noise(rng, n, 0.3)
    scattered = _scattered_light(rng, clock - craft.start, days) if mission == "tess" else 0 * slow
    return Flight(
        clock=clock,
        flags=flags,
        lost=lost,
        basis=_shared_trends(rng, clock - craft.start, days, np.array(restarts) - craft.start),
        roll=roll,
        drift=0.05 * slow,
        jitter=(0.002 if mission == "kepler" else 0.005) * jitter,
        scattered=scattered,
    )


def _interruptions(
    rng: np.random.Generator, mission: MissionName, days: float, safe_mode: bool
) -> list[tuple[float, float, int]]:
    """Begin and length in days, and the bit, of the gaps of a segment."""
    craft = SPACECRAFT[mission]
    gaps = []
    downlink = 1 << 3  # Earth point, in both numberings
    if mission == "kepler":
        gaps += [(at, 0.9, downlink) for at in np.arange(31.0, days - 1.0, 31.0)]
    if mission == "tess" and days > 16:
        gaps.append((13.0, 1.1, downlink))
    if safe_mode and days >= 10:
        gaps.append(
            (days * rng.uniform(0.35, 0.65), rng.uniform(0.01, 0.04) * days, craft.safe_mode)
        )
    return gaps


def _roll(
    rng: np.random.Generator, day: NDArray[np.float64], days: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Roll of K2 between firings: sunlight turns it, thrusters turn it back; Howell et al. 2014.

    The pressure changes its sign where the Sun passes behind the field, two thirds through.
    Firings are allowed every twelve cadences, 5.9 hours, and made when the turn exceeds half.
    """
    roll = np.zeros(day.size)
    fired = np.zeros(day.size, bool)
    step = np.median(np.diff(day)) / LONG_CADENCE if day.size > 1 else 1.0
    push = 0.075 * np.cos(0.75 * np.pi * day / days) * step
    every = max(1, round(12 / step))
    kicks = rng.uniform(0.75, 1.0, day.size)
    angle = 0.0
    for i in range(day.size):
        angle += push[i]
        if i % every == every - 1 and abs(angle) > 0.5:
            angle = -0.5 * kicks[i] * np.sign(push[i])
            fired[i] = True
        roll[i] = angle
    return roll, fired


def _red_noise(rng: np.random.Generator, n: int, memory: float) -> NDArray[np.float64]:
    """First-order autoregressive noise of unit variance."""
    white = rng.normal(0, np.sqrt(1 - memory**2), n)
    red = np.empty(n)
    last = rng.normal()
    for i in range(n):
        last = memory * last + white[i]
        red[i] = last
    return red


def _scattered_light(
    rng: np.random.Generator, day: NDArray[np.float64], days: float
) -> NDArray[np.float64]:
    """Earthshine at the end of each orbit of 13.7 days, turning with the Earth once a day."""
    light = np.zeros(day.size)
    for end in np.arange(13.0, days + 13.0, 13.7):
        near = np.exp(-0.5 * ((day - end + rng.uniform(0, 1)) / 1.1) ** 2)
        light += (
            rng.uniform(4, 9) * near * (1 + 0.4 * np.sin(2 * np.pi * day + rng.uniform(0, 6.28)))
        )
    return light


def _shared_trends(
    rng: np.random.Generator,
    day: NDArray[np.float64],
    days: float,
    restarts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Trends that every star shows in its own measure, each of unit size."""
    x = 2 * day / days - 1
    recovery = np.zeros(day.size)
    for at in restarts:
        since = day - at
        recovery += np.where(since > 0, -np.exp(-np.clip(since, 0, None) / 1.6), 0.0)
    swell = 1 + 0.5 * np.sin(2 * np.pi * day / 20.0 + rng.uniform(0, 6.28))
    heater = swell * np.sin(2 * np.pi * day / 3.2 + rng.uniform(0, 6.28))
    focus = np.zeros(day.size)
    for period in (5.0, 8.5, 14.0, 29.0):
        focus += np.sqrt(period / 29.0) * np.sin(2 * np.pi * day / period + rng.uniform(0, 6.28))
    return np.array([x, 1.5 * (x**2 - 1 / 3), recovery, heater, focus])


def light_travel(
    julian_date: NDArray[np.float64], ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Barycentric correction for the Earth on a Kepler ellipse about the Sun, days.

    Parameters
    ----------
    julian_date : float64 array, shape (n_times,)
        Times.
    ra, dec : float64 array, shape (n,)
        Degrees.

    Returns
    -------
    float64 array, shape (n, n_times)
        To be added to the spacecraft's time. Within ten seconds for the Earth, as the Sun is
        taken for the barycentre; what matters here is that it differs from star to star.
    """
    when = np.append(julian_date, EQUINOX_JD)
    anomaly = 2 * np.pi * (when - PERIHELION_JD) / TROPICAL_YEAR
    ahead = 2 * ECCENTRICITY * np.sin(anomaly)  # the equation of the centre, first order
    longitude = 2 * np.pi * (when - EQUINOX_JD) / TROPICAL_YEAR + np.pi + ahead - ahead[-1]
    across = np.sin(longitude)
    earth = np.array([np.cos(longitude), across * np.cos(OBLIQUITY), across * np.sin(OBLIQUITY)])
    earth = (earth * (1 - ECCENTRICITY * np.cos(anomaly)))[:, :-1]
    alpha, delta = np.deg2rad(ra), np.deg2rad(dec)
    star = np.array([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])
    return np.asarray(AU_LIGHT_DAYS * star.T @ earth)
