"""A ground-based survey of stars with known truth: its cadence, its errors, its accidents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError
from astroprep.synthetic.stars import CLASSES, draw_stars, magnitude

__all__ = ["CLASS_SHARES", "content_sha256", "simulate_survey"]

CLASS_SHARES = {
    "RRab": 0.14,
    "RRc": 0.11,
    "Cepheid": 0.10,
    "delta-Scuti": 0.11,
    "EA": 0.13,
    "EW": 0.14,
    "LPV": 0.09,
    "rotational": 0.10,
    "constant": 0.08,
}
"""Share of each class in a simulated survey; unequal, as in any survey."""

FIRST_NIGHT = 53550  # MJD; 2005 June 29, about when the southern Catalina light curves begin
NIGHTS = 2557  # seven years
SYNODIC_MONTH = 29.530588853  # days, mean; Meeus 1998, Astronomical Algorithms, chapter 49
NEW_MOON = 53527.91  # MJD of a new Moon, 2005 June 6
TROPICAL_YEAR = 365.2422  # days
SIDEREAL_DAY = 0.99726957  # days
EQUINOX = 53449.52  # MJD of the March equinox of 2005, when the Sun stands at right ascension 0
LOCAL_MIDNIGHT = 0.59  # fraction of a UTC day, for an observatory at longitude 149 degrees east
SENTINEL_TIME = -2409998.5  # what the Catalina files hold where a time was lost
SENTINEL_VALUE = 99.99


def _field_visits(
    rng: np.random.Generator, ra: float, clear: NDArray[np.bool_], n_visits: float
) -> NDArray[np.float64]:
    """Times at which one field was observed: four exposures a night, half an hour in all."""
    night = FIRST_NIGHT + np.arange(clear.size)
    sun = 360.0 * (night - EQUINOX) / TROPICAL_YEAR
    hour_angle = (sun + 180.0 - ra + 180.0) % 360.0 - 180.0  # at midnight, degrees
    moon = ((night - NEW_MOON) / SYNODIC_MONTH) % 1.0
    open_nights = clear & (np.abs(hour_angle) < 105.0) & (np.abs(moon - 0.5) > 0.12)
    choices = np.flatnonzero(open_nights)
    wanted = min(choices.size, max(1, round(rng.normal(n_visits / 4, n_visits / 24))))
    chosen = np.sort(rng.choice(choices, wanted, replace=False))
    transit = -hour_angle[chosen] / 360.0 * SIDEREAL_DAY
    start = np.clip(transit + rng.normal(0, 0.05, wanted), -0.19, 0.17)
    gap = rng.normal(0.0070, 0.0004, (wanted, 4)).clip(0.005).cumsum(axis=1)
    visits = night[chosen] + LOCAL_MIDNIGHT + start
    return np.asarray((visits[:, None] + gap).ravel())


def _weather(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Clear nights; a night is like the one before in four cases of five."""
    same = rng.random(NIGHTS) < 0.8
    turns = np.cumsum(~same) % 2 == 0
    return np.asarray(turns | (rng.random(NIGHTS) < 0.25))


def _observe(
    rng: np.random.Generator, source: NDArray[np.intp], n_visits: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Positions, offsets and exposure times of all objects; twins share the field."""
    n = source.size
    n_fields = int(np.clip(n // 12, 1, 80))
    field_ra = rng.uniform(0.0, 360.0, n_fields)
    field_dec = np.rad2deg(np.arcsin(rng.uniform(-0.95, -0.3, n_fields)))
    clear = _weather(rng)
    visits = [_field_visits(rng, ra, clear, n_visits) for ra in field_ra]

    field = rng.integers(0, n_fields, n)[source]
    offset = rng.uniform(-1.4, 1.4, (2, n))[:, source]
    twin = source != np.arange(n)
    offset += twin * rng.uniform(-2.5, 2.5, (2, n)) / 3600.0  # arcseconds
    dec = field_dec[field] + offset[0]
    ra = (field_ra[field] + offset[1] / np.cos(np.deg2rad(dec))) % 360.0

    times = [visits[f] for f in field]
    sizes = np.array([t.size for t in times], np.int64)
    time = np.concatenate(times)
    curve = np.repeat(np.arange(n), sizes)
    exposure = np.arange(time.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    night_lost = (rng.random((n, 1 + sizes.max() // 4)) < 0.06)[curve, exposure // 4]
    kept = ~night_lost & (rng.random(time.size) < rng.uniform(0.8, 1.0, n)[curve])
    offsets = np.concatenate(([0], np.cumsum(np.bincount(curve[kept], minlength=n))))
    return ra, dec, offsets, time[kept]


def _accidents(
    rng: np.random.Generator,
    batch: LightCurveBatch,
    rate: float,
) -> LightCurveBatch:
    """What happens to real files; each accident leaves its bit in ``points["corruption"]``."""
    n = batch.n_points
    time, value, error = batch.time.copy(), batch.value.copy(), batch.error.copy()
    bits = np.zeros(n, np.uint32)
    draw = rng.random(n)

    def hit(low: float, high: float, flag: PointFlag) -> NDArray[np.intp]:
        where = np.flatnonzero((draw >= low * rate) & (draw < high * rate))
        bits[where] |= np.uint32(flag)
        return where

    where = hit(0.0, 0.006, PointFlag.OUTLIER)
    value[where] += rng.choice([-1.0, 1.0, 1.0], where.size) * rng.uniform(0.6, 2.5, where.size)
    where = hit(0.006, 0.008, PointFlag.SENTINEL)
    value[where] = SENTINEL_VALUE
    where = hit(0.008, 0.010, PointFlag.MISSING_VALUE)
    value[where] = np.nan
    where = hit(0.010, 0.013, PointFlag.MISSING_ERROR)
    error[where] = np.where(rng.random(where.size) < 0.5, np.nan, 0.0)
    where = hit(0.013, 0.01305, PointFlag.BAD_TIME)
    time[where] = SENTINEL_TIME

    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    repeats = (rng.random(batch.n_curves) < 0.08 * rate)[curve] & (rng.random(n) < 0.04)
    index = np.repeat(np.arange(n), 1 + repeats)
    second = np.zeros(index.size, bool)
    second[1:] = index[1:] == index[:-1]
    shuffled = (rng.random(batch.n_curves) < 0.10 * rate)[curve[index]]
    key = np.where(shuffled, rng.random(index.size), np.arange(index.size) / index.size)
    order = np.lexsort((key, curve[index]))
    index = index[order]
    bits_out = bits[index] | (second[order] * np.uint32(PointFlag.DUPLICATE))
    return LightCurveBatch(
        time=time[index],
        value=value[index],
        error=error[index],
        offsets=np.concatenate(([0], np.cumsum(np.bincount(curve[index], minlength=len(batch))))),
        points={"truth": batch.points["truth"][index], "corruption": bits_out},
        objects=batch.objects,
        meta=batch.meta,
    )


def _break_some(rng: np.random.Generator, batch: LightCurveBatch, share: float) -> LightCurveBatch:
    """Empty some curves, cut others to two points, lose every value of the next."""
    broken = rng.permutation(batch.n_curves)[: round(share * batch.n_curves)]
    keep = np.ones(batch.n_points, bool)
    value, bits = batch.value.copy(), batch.points["corruption"].copy()
    for i, kind in zip(broken, np.arange(broken.size) % 3, strict=True):
        first, last = batch.offsets[i], batch.offsets[i + 1]
        if kind < 2:
            keep[first + 2 * kind : last] = False
        else:
            value[first:last] = np.nan
            kept = PointFlag.BAD_TIME | PointFlag.MISSING_ERROR | PointFlag.DUPLICATE
            bits[first:last] &= np.uint32(kept)
            bits[first:last] |= np.uint32(PointFlag.MISSING_VALUE)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    return LightCurveBatch(
        time=batch.time[keep],
        value=value[keep],
        error=batch.error[keep],
        offsets=np.concatenate(
            ([0], np.cumsum(np.bincount(curve[keep], minlength=batch.n_curves)))
        ),
        points={"truth": batch.points["truth"][keep], "corruption": bits[keep]},
        objects=batch.objects,
        meta=batch.meta,
    )


def _class_list(
    rng: np.random.Generator, n: int, shares: Mapping[str, float]
) -> NDArray[np.object_]:
    """Labels with counts as near to the shares as whole numbers allow, shuffled."""
    names = list(shares)
    share = np.array([shares[name] for name in names], float)
    edges = np.round(np.cumsum(share / share.sum()) * n).astype(np.int64)
    labels = np.repeat(np.array(names, dtype=object), np.diff(edges, prepend=0))
    return np.asarray(rng.permutation(labels))


def _check_settings(
    n_objects: int,
    shares: Mapping[str, float],
    n_visits: float,
    test_fraction: float,
    accidents: float,
) -> None:
    wrong = []
    if n_objects < 1:
        wrong.append(f"n_objects must be at least 1, got {n_objects!r}")
    unknown = sorted(set(shares) - set(CLASSES))
    if unknown or not shares or min(shares.values(), default=0) < 0 or sum(shares.values()) <= 0:
        wrong.append(f"shares must be positive numbers for classes out of {', '.join(CLASSES)}")
    if not 4 <= n_visits <= 2000:
        wrong.append(f"n_visits must lie in [4, 2000], got {n_visits!r}")
    if not 0 <= test_fraction <= 1:
        wrong.append(f"test_fraction must lie in [0, 1], got {test_fraction!r}")
    if not 0 <= accidents <= 10:
        wrong.append(f"accidents must lie in [0, 10], got {accidents!r}")
    if wrong:
        raise ConfigError("simulate_survey: " + "; ".join(wrong))


def simulate_survey(
    n_objects: int = 900,
    seed: int = 0,
    *,
    shares: Mapping[str, float] = CLASS_SHARES,
    n_visits: float = 250.0,
    test_fraction: float = 0.4,
    accidents: float = 1.0,
) -> LightCurveBatch:
    """Survey of variable and constant stars with known truth.

    Parameters
    ----------
    n_objects : int, default 900
        Rows of the survey, the few twins and broken rows included.
    seed : int, default 0
        Same seed, same survey (with the same numpy: its random streams may change).
    shares : mapping of class to share, default `CLASS_SHARES`
        Any subset of its keys; scaled to a sum of 1.
    n_visits : float, default 250
        Mean number of exposures of a field in seven years.
    test_fraction : float, default 0.4
        Share of the stars with ``split`` "test"; the others are "train". Twins never cross.
    accidents : float, default 1
        Scales the rate of every accident: 0 gives a clean survey with honest errors.

    Returns
    -------
    LightCurveBatch
        Magnitudes with MJD times. ``objects``: ``id``, ``ra``, ``dec`` (degrees), ``label``,
        ``catalogue_period`` (the true one, days, NaN for constant stars), ``split``,
        ``amplitude`` (peak to peak, magnitudes), ``mean_mag``, ``error_factor`` (true scatter
        over quoted error) and ``twin_of`` (id of the same star under another id, or "").
        ``points``: ``truth`` (noise-free magnitude) and ``corruption`` (`PointFlag` bits of
        what was done to the point).

    Raises
    ------
    ConfigError
        If a setting is out of range; all of them at once.

    Notes
    -----
    Pulsating stars are sine series in magnitudes, ``sum_k R_k1 sin(2 pi k phase + phi_k1)``.
    RRab phases follow metallicity and period [1]_, the higher ones their interrelations;
    RRc [2]_, high-amplitude delta Scuti stars [3]_ and Cepheids [4]_ [5]_ scatter about
    rounded values typical of the published diagrams; Miras are near-sinusoidal [6]_. Detached
    binaries are two uniform discs [7]_, contact binaries two discs of the size of their Roche
    lobes [8]_ with tidal distortion. Spots are two harmonics with a wandering amplitude. There
    is no limb darkening, no eccentricity and no multi-periodicity.

    The cadence is that of the Catalina surveys [9]_: four exposures within half an hour, in
    seasons, without the days around full Moon, clear nights in runs. Stars of one field share
    their exposures. True errors grow towards faint stars and change from night to night; the
    quoted ones are wrong by a factor of each star. Values are rounded to 0.001 mag and
    float32, times to 1e-6 days. One object in a hundred is a second detection of another one
    and one in a hundred is broken (empty, two points, or nothing but NaN).

    References
    ----------
    .. [1] Jurcsik & Kovacs 1996, A&A 312, 111, eq. 3
    .. [2] Alcock et al. 2004, AJ 127, 334; Clement et al. 1992, ApJ 395, 192
    .. [3] Poretti 2001, A&A 371, 986, arXiv:astro-ph/0103498
    .. [4] Simon & Lee 1981, ApJ 248, 291
    .. [5] Ngeow et al. 2003, ApJ 586, 959, arXiv:astro-ph/0212106
    .. [6] Lebzelter 2011, Astron. Nachr. 332, 140, arXiv:1010.2672
    .. [7] Mandel & Agol 2002, ApJ 580, L171, arXiv:astro-ph/0210099
    .. [8] Eggleton 1983, ApJ 268, 368
    .. [9] Drake et al. 2009, ApJ 696, 870, arXiv:0809.1394
    """
    _check_settings(n_objects, shares, n_visits, test_fraction, accidents)
    rng = np.random.default_rng(seed)
    source = np.arange(n_objects)
    second = rng.permutation(n_objects)[: 2 * round(0.01 * accidents * n_objects)]
    source[second[1::2]] = source[second[::2]]
    label = _class_list(rng, n_objects, shares)[source]
    stars = draw_stars(rng, label).take(source)
    mean_mag = np.clip(17.6 - rng.exponential(1.2, n_objects), 13.0, None)[source]
    ra, dec, offsets, time = _observe(rng, source, n_visits)

    curve = np.repeat(np.arange(n_objects), np.diff(offsets))
    truth = mean_mag[curve] + magnitude(stars, curve, time)
    night = np.floor(time - LOCAL_MIDNIGHT + 0.5).astype(np.int64) - FIRST_NIGHT
    seeing = np.exp(rng.normal(0, 0.25, NIGHTS + 2))[night]
    sigma = np.hypot(0.012, 0.028 * 10 ** (0.3 * (truth - 16.0)) * seeing)
    factor = np.exp(min(accidents, 1.0) * rng.normal(-0.15, 0.25, n_objects))
    names = np.array([f"sim-{seed}-{i:06d}" for i in range(n_objects)], dtype=object)
    in_test = (rng.random(n_objects) < test_fraction)[source]  # a star is on one side
    batch = LightCurveBatch(
        time=np.round(time, 6),
        value=truth + sigma * rng.normal(size=truth.size),
        error=sigma / factor[curve],
        offsets=offsets,
        points={"truth": truth, "corruption": np.zeros(truth.size, np.uint32)},
        objects={
            "id": names,
            "ra": np.round(ra, 6),
            "dec": np.round(dec, 6),
            "label": label,
            "catalogue_period": np.round(stars.period, 9),
            "split": np.where(in_test, "test", "train").astype(object),
            "amplitude": np.round(stars.amplitude, 4),
            "mean_mag": np.round(mean_mag, 3),
            "error_factor": np.round(factor, 4),
            "twin_of": np.where(source == np.arange(n_objects), "", names[source]).astype(object),
        },
        meta=Meta(survey="synthetic, Catalina-like", time_scale="MJD UTC", time_ref=2400000.5),
    )
    batch = _break_some(rng, _accidents(rng, batch, accidents), 0.01 * accidents)
    return batch.with_columns(
        value=np.round(batch.value, 3).astype(np.float32).astype(np.float64),
        error=np.round(batch.error, 4).astype(np.float32).astype(np.float64),
    )


def content_sha256(batch: LightCurveBatch, points: Sequence[str] = ()) -> str:
    """Checksum of what a batch says, whatever file format or library version carried it.

    Parameters
    ----------
    batch : LightCurveBatch
        Its points (time, value, error, band), ids and metadata count, and of the columns per
        object ``ra``, ``dec``, ``label``, ``split`` and ``catalogue_period``. The sign and
        payload of a NaN do not.
    points : sequence of str
        Further columns per point that count.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()

    def add(name: str, column: NDArray[np.generic]) -> None:
        digest.update(f"|{name}|{column.size}|".encode())
        if column.dtype == object:
            digest.update("\0".join(column.tolist()).encode())
        elif column.dtype.kind == "f":
            plain = np.where(np.isnan(column), np.nan, column) + 0.0  # -0.0 becomes 0.0
            digest.update(np.ascontiguousarray(plain, "<f8").tobytes())
        else:
            digest.update(np.ascontiguousarray(column, "<i8").tobytes())

    add("offsets", batch.offsets)
    for name in ("time", "value", "error"):
        add(name, getattr(batch, name))
    if batch.band is not None:
        add("band", np.array([*batch.meta.bands, ""], dtype=object)[batch.band])
    for name in points:
        add(name, batch.points[name])
    for name in ("id", "ra", "dec", "label", "split", "catalogue_period"):
        if name in batch.objects:
            add(name, batch.objects[name])
    meta = batch.meta
    digest.update(f"{meta.survey}|{meta.quantity}|{meta.time_scale}".encode())
    return digest.hexdigest()
