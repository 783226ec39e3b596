"""Cotrending: systematics out, star kept, beside least squares and lightkurve's CBVCorrector.

``NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/detrend_cbv.py --data DATA/`` puts
sines into the raw (SAP) flux of two Kepler stars, takes the same eight recovered vectors of
quarter 5, channel 38 out with every method, and prints how much of each sine stays and how much
scatter is left when the true sine is subtracted. KIC 9579641 lies on that channel; Kepler-90 lies
on channel 35, so its vectors are a neighbour's. Scatter is the standard deviation over the median
flux at cadences of quality 0 that have PDCSAP flux: the definition that gives 4,093 ppm for the
raw and 164 ppm for the PDCSAP flux of KIC 9579641. The settings were chosen on seeds below 1100
of these two stars; the seeds reported start at 5000. `correct` of lightkurve can here optimise its
over-fit score only, because its under-fit score downloads neighbours: it then takes the strongest
prior and leaves the systematics in, so that the rows of fixed strength are the fair ones. Then
vectors are computed from synthetic ensembles with known systematics: principal angles, and what
is left of the systematics in quiet and variable stars. Needs ``astroprep[kepler]``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import record
from scipy.linalg import subspace_angles

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import CotrendingCorrection, CotrendingFit, compute_vectors, read_vectors
from astroprep.io import open_survey

Array = NDArray[np.float64]
STARS = {
    "KIC 9579641": "kplr009579641-2010174085026_llc.fits",
    "Kepler-90 (other channel)": "kplr011442793-2010174085026_llc.fits",
}
VECTORS = "kplr_q05_ch38_cbv1-8_recovered.csv"
AMPLITUDES = (200e-6, 5000e-6)  # of the median flux, log-uniform
PERIODS = (1.0, 20.0)  # days, log-uniform
ALPHAS = (1e-20, 1e-4, 1e-2, 1.0)  # lightkurve's default first
FIRST_SEED = 5000


def ppm(values: Array) -> float:
    """Standard deviation in parts per million."""
    return float(1e6 * np.std(values))


class Star:
    """Raw flux of one star at good cadences, relative to its median, and what it needs."""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / "space" / "kepler" / STARS[name]
        with open_survey(path, flux="sap") as survey:
            raw = survey.read()
        with open_survey(path, flux="pdcsap") as survey:
            official = survey.read().value
        vectors = read_vectors(folder / "space" / "kepler" / VECTORS)[0]
        rows = vectors.at_cadence(raw.points["cadence"], bridge=1.0)
        good = (raw.points["survey_flags"] == 0) & np.isfinite(raw.value) & np.isfinite(official)
        good &= np.isfinite(rows[:, 0]) & np.isfinite(raw.time)
        self.name, self.meta = name, raw.meta
        self.time, self.cadence, self.rows = raw.time[good], raw.points["cadence"][good], rows[good]
        self.level = float(np.median(raw.value[good]))
        self.flux, self.error = raw.value[good] / self.level, raw.error[good] / self.level
        self.official = official[good] / np.median(official[good])

    def batch(self, curves: list[Array]) -> LightCurveBatch:
        """Batch of the same cadences with other fluxes."""
        n = len(curves)
        return LightCurveBatch(
            time=np.tile(self.time, n),
            value=np.concatenate(curves),
            error=np.tile(self.error, n),
            offsets=np.arange(n + 1) * self.time.size,
            points={"cadence": np.tile(self.cadence, n)},
            objects={"id": [f"{self.name} {i}" for i in range(n)]},
            meta=self.meta,
        )


def sines(star_time: Array, seeds: range, period: float | None) -> list[tuple[float, float, Array]]:
    """Period, amplitude and sine of each seed."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        drawn = float(np.exp(rng.uniform(*np.log(PERIODS))))
        p = period or drawn
        amplitude = float(np.exp(rng.uniform(*np.log(AMPLITUDES))))
        wave = amplitude * np.sin(2 * np.pi * star_time / p + rng.uniform(0, 2 * np.pi))
        found.append((p, amplitude, wave))
    return found


# -- the methods: fluxes of one star in, corrected fluxes out -----------------------------------

Method = Callable[[Star, list[Array]], list[Array]]


def ours(**settings: Any) -> Method:
    """Our step, all curves in one batch."""

    def method(star: Star, curves: list[Array]) -> list[Array]:
        vectors = CORRECTIONS["vectors"]
        step = CotrendingCorrection(vectors=vectors, **settings)
        value = step.fit(star.batch(curves[:1])).transform(star.batch(curves)).value
        return list(value.reshape(len(curves), -1))

    return method


CORRECTIONS: dict[str, str] = {}


def least_squares(star: Star, curves: list[Array]) -> list[Array]:
    """Plain least squares."""
    rows = star.rows - star.rows.mean(axis=0)
    return [y - rows @ np.linalg.lstsq(rows, y - y.mean(), rcond=None)[0] for y in curves]


def corrector(star: Star, flux: Array) -> tuple[Any, Any]:
    """Corrector of lightkurve for one curve, and the vectors as its design matrix."""
    import lightkurve
    from astropy import units

    unit = units.electron / units.second
    # the prior's strength has the unit of the flux, so the corrector gets electrons per second
    curve = lightkurve.KeplerLightCurve(
        time=star.time,
        flux=flux * star.level * unit,
        flux_err=star.error * star.level * unit,
        meta={"MISSION": "Kepler"},
    )
    design = lightkurve.correctors.DesignMatrix(star.rows, name="CBVs")
    return lightkurve.correctors.CBVCorrector(curve, do_not_load_cbvs=True), design


def prior_of(alpha: float) -> Method:
    """Gaussian prior of fixed strength in lightkurve."""

    def method(star: Star, curves: list[Array]) -> list[Array]:
        done = []
        for y in curves:
            one, design = corrector(star, y)
            fixed = one.correct_gaussian_prior(None, None, alpha=alpha, ext_dm=design)
            done.append(np.asarray(fixed.flux.value) / star.level)
        return done

    return method


def optimised(star: Star, curves: list[Array]) -> list[Array]:
    """`correct` of lightkurve, which chooses the strength by its over-fit score."""
    done = []
    for y in curves:
        one, design = corrector(star, y)
        with contextlib.redirect_stdout(io.StringIO()):
            fixed = one.correct(None, None, ext_dm=design, target_under_score=-1)
        done.append(np.asarray(fixed.flux.value) / star.level)
    return done


# -- what is measured ----------------------------------------------------------------------------


def measure(star: Star, method: Method, seeds: range, period: float | None) -> dict[str, Any]:
    """Share of the amplitude kept, and scatter once the true sine is subtracted."""
    injected = sines(star.time, seeds, period)
    begin = time.process_time()
    clean, *corrected = method(star, [star.flux, *(star.flux + wave for _, _, wave in injected)])
    seconds = (time.process_time() - begin) / (1 + len(injected))
    kept, scatter = [], []
    for (_, _, wave), y in zip(injected, corrected, strict=True):
        sine = wave - wave.mean()
        change = y - y.mean() - clean + clean.mean()
        kept.append(float(change @ sine / (sine @ sine)))
        scatter.append(ppm(y - wave) / ppm(star.official))
    share = np.array(kept)
    return {
        "sines": len(kept),
        "kept_min": float(share.min()),
        "kept_p5": float(np.percentile(share, 5)),
        "kept_median": float(np.median(share)),
        "kept_95": float(np.mean(share >= 0.95)),
        "scatter_median": float(np.median(scatter)),
        "scatter_p95": float(np.percentile(scatter, 95)),
        "scatter_max": float(np.max(scatter)),
        "within_1.1": float(np.mean(np.array(scatter) <= 1.1)),
        "clean_ppm": ppm(clean),
        "clean_step_ppm": float(1e6 * 1.4826 * np.median(np.abs(np.diff(clean))) / np.sqrt(2)),
        "ms": 1e3 * seconds,
    }


HEAD = (
    f"{'method':34} {'periods':>7} {'sines':>5} {'kept min':>9} {'p5':>6} {'median':>6} "
    f"{'>=95%':>6} {'scatter/PDCSAP median':>21} {'p95':>5} {'max':>5} {'<=1.1':>6} "
    f"{'bare ppm':>8} {'ms':>7}"
)


def line(name: str, periods: str, m: dict[str, Any]) -> str:
    """One row of the table."""
    return (
        f"{name:34} {periods:>7} {m['sines']:5d} {m['kept_min']:9.3f} {m['kept_p5']:6.3f} "
        f"{m['kept_median']:6.3f} {m['kept_95']:6.1%} {m['scatter_median']:21.3f} "
        f"{m['scatter_p95']:5.2f} {m['scatter_max']:5.2f} {m['within_1.1']:6.1%} "
        f"{m['clean_ppm']:8.0f} {m['ms']:7.1f}"
    )


def kepler(folder: Path, count: int, slow_count: int) -> list[dict[str, Any]]:
    """Sines in the two real stars."""
    CORRECTIONS["vectors"] = str(folder / "space" / "kepler" / VECTORS)
    many, few = range(FIRST_SEED, FIRST_SEED + count), range(FIRST_SEED, FIRST_SEED + slow_count)
    methods: list[tuple[str, Method, range]] = [
        ("astroprep, defaults", ours(), many),
        ("astroprep, protect=30", ours(protect=30.0), many),
        ("least squares", least_squares, many),
        *((f"lightkurve, prior, alpha={a:g}", prior_of(a), few) for a in ALPHAS),
        ("lightkurve, correct", optimised, few[:3]),
    ]
    rows = []
    for name in STARS:
        star = Star(folder, name)
        print(
            f"\n{name}: SAP {ppm(star.flux):.0f} ppm, least squares "
            f"{ppm(least_squares(star, [star.flux])[0]):.0f}, PDCSAP "
            f"{ppm(star.official):.0f}\n{HEAD}"
        )
        ours()(star, [star.flux])  # compiled and loaded
        for label, method, seeds in methods:
            for periods, period in (("1-20 d", None), ("30 d", 30.0)):
                m = measure(star, method, seeds, period)
                print(line(label, periods, m))
                rows.append({"star": name, "method": label, "periods": periods, **m})
    return rows


def speed(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Processor time a target, both sides interleaved, least of several."""
    star = Star(folder, "KIC 9579641")
    curves = [star.flux + wave for _, _, wave in sines(star.time, range(2000, 2008), None)]
    built = [corrector(star, y) for y in curves]

    def fixed(n: int) -> None:
        for one, design in built[:n]:
            one.correct_gaussian_prior(None, None, alpha=1e-4, ext_dm=design)

    def chosen(n: int) -> None:
        for one, design in built[:n]:
            with contextlib.redirect_stdout(io.StringIO()):
                one.correct(None, None, ext_dm=design, target_under_score=-1)

    # ours chooses the strength in each of the three rows
    pairs: list[tuple[str, dict[str, Any], int, Callable[[int], None], int]] = [
        ("vectors only / fixed prior", {"protect": 0.0}, 8, fixed, 8),
        ("same, one curve at a time", {"protect": 0.0}, 1, fixed, 1),
        ("star beside / `correct`", {}, 8, chosen, 1),
    ]
    rows = []
    for name, settings, m, theirs, n in pairs:
        step = CotrendingCorrection(CORRECTIONS["vectors"], **settings)
        step.fit(star.batch(curves[:1])).transform(star.batch(curves[:1]))
        least = [np.inf, np.inf]
        for _ in range(repeats):
            batch = star.batch(curves[:m])
            begin = time.process_time()
            step.transform(batch)
            middle = time.process_time()
            theirs(n)
            end = time.process_time()
            least = [min(least[0], (middle - begin) / m), min(least[1], (end - middle) / n)]
        print(
            f"{name:28} astroprep {1e3 * least[0]:8.2f} ms, lightkurve {1e3 * least[1]:8.1f} ms, "
            f"ratio {least[1] / least[0]:.1f}"
        )
        rows.append(
            {
                "speed": name,
                "astroprep_ms": 1e3 * least[0],
                "lightkurve_ms": 1e3 * least[1],
                "ratio": least[1] / least[0],
            }
        )
    return rows


# -- synthetic ensembles -------------------------------------------------------------------------


def true_systematics(cadences: int) -> Array:
    """Drift, two thermal recoveries with a jump, a wheel's oscillation and focus, centred."""
    t = np.linspace(0, 90, cadences)
    drift = (t / 90) ** 2 + 0.3 * t / 90
    recovery = sum(np.where(t > t0, np.exp(-(t - t0) / 2.5), 0.0) for t0 in (0.1, 31.0, 62.0))
    wheel = np.sin(2 * np.pi * t / 3.1) * (1 + 0.5 * np.sin(2 * np.pi * t / 45))
    focus = np.where(t > 40, 1.0, 0.0) + 0.5 * np.sin(2 * np.pi * t / 60 + 1)
    rows = np.column_stack([drift, recovery, wheel, focus])
    return rows - rows.mean(axis=0)


def ensemble(rng: np.random.Generator, stars: int) -> tuple[LightCurveBatch, Array, Array]:
    """Stars with known systematics, a third of them variable, one with huge weights."""
    cadences = 2000
    t = np.linspace(120.0, 210.0, cadences)
    truth = true_systematics(cadences)
    weights = rng.normal(1.0, 0.5, (stars, 4)) * np.array([3e-3, 1e-3, 4e-4, 1e-3])
    weights[1] *= [1, 1, 40, 1]
    flux = weights @ truth.T
    trend = flux.copy()
    noise = 1e-4 * np.exp(rng.normal(0, 0.3, stars))
    for i in range(stars):
        if i % 3 == 0:
            period = np.exp(rng.uniform(*np.log(PERIODS)))
            size = np.exp(rng.uniform(*np.log((1e-3, 1e-2))))
            flux[i] += size * np.sin(2 * np.pi * t / period + rng.uniform(0, 6.28))
        flux[i] += rng.normal(0, noise[i], cadences)
        flux[i, rng.integers(0, cadences, 10)] += rng.exponential(0.01, 10)
    hole = rng.uniform(size=flux.shape) < 0.02
    level = 1e5 * np.exp(rng.normal(0, 1, (stars, 1)))
    values = level * (1 + flux)
    values[hole] = np.nan
    batch = LightCurveBatch(
        time=np.tile(t, stars),
        value=values.ravel(),
        error=np.broadcast_to(noise[:, None] * level, flux.shape).ravel().copy(),
        offsets=np.arange(stars + 1) * cadences,
        flags=np.where(hole.ravel(), PointFlag.MISSING_VALUE, 0).astype(np.uint32),
        points={"cadence": np.tile(np.arange(cadences) + 5000, stars)},
        meta=Meta("synthetic", "flux", "electron/s", "BKJD", 2454833.0),
    )
    return batch, truth, trend * level


def computed(seeds: range, stars: int) -> list[dict[str, Any]]:
    """Principal angles to the truth, trends beside the truth and the errors they quote."""
    rows = []
    for seed in seeds:
        batch, truth, trend = ensemble(np.random.default_rng(seed), stars)
        begin = time.process_time()
        found = compute_vectors(batch, 4)
        seconds = time.process_time() - begin
        known = found.vectors.is_known
        centred = truth[known] - truth[known].mean(axis=0)
        angles = np.degrees(subspace_angles(found.vectors.vectors[known], centred))
        result = CotrendingFit(n_vectors=4).fit_transform(batch)
        value = result.points["trend"].reshape(stars, -1)
        off = value - np.nanmean(value, axis=1, keepdims=True) - trend
        off -= np.nanmean(off, axis=1, keepdims=True)
        pull = np.nanstd(off / result.points["trend_err"].reshape(stars, -1), axis=1)
        relative = 1e6 * np.nanstd(off, axis=1) / np.nanmedian(batch.value.reshape(stars, -1), 1)
        before = 1e6 * trend.std(axis=1) / np.nanmedian(batch.value.reshape(stars, -1), 1)
        quiet = np.arange(stars) % 3 > 0
        rows.append(
            {
                "seed": seed,
                "stars": stars,
                "vectors": found.vectors.n_vectors,
                "used": int((found.reason == "").sum()),
                "angles_deg": [float(a) for a in angles],
                "systematics_ppm": float(np.median(before)),
                "left_quiet_ppm": float(np.median(relative[quiet])),
                "left_variable_ppm": float(np.median(relative[~quiet])),
                "pull_median": float(np.median(pull)),
                "seconds": seconds,
            }
        )
        print(
            f"seed {seed}: {found.vectors.n_vectors} vectors of {rows[-1]['used']} of {stars} "
            f"stars, principal angles {', '.join(f'{a:.2f}' for a in angles)} deg; systematics "
            f"{np.median(before):.0f} ppm, left {rows[-1]['left_quiet_ppm']:.0f} (quiet) and "
            f"{rows[-1]['left_variable_ppm']:.0f} (variable) ppm; pull {np.median(pull):.2f}; "
            f"{seconds:.2f} s"
        )
    return rows


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of real surveys")
    parser.add_argument("--sines", type=int, default=100, help="per star and method")
    parser.add_argument("--peer-sines", type=int, default=50, help="for lightkurve's fixed priors")
    parser.add_argument("--stars", type=int, default=90, help="of a synthetic ensemble")
    parser.add_argument("--out", type=Path, help="another result file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightkurve")
    print("Vectors from synthetic ensembles, four true ones:")
    rows = computed(range(5), options.stars)
    if options.data:
        rows += kepler(options.data, options.sines, options.peer_sines)
        print("\nProcessor time a target, one thread:")
        rows += speed(options.data, 3)
    seeds = f"{FIRST_SEED} up; synthetic 0 to 4"
    print("written to", record("detrend_cbv", rows, options.out, seeds=seeds))


if __name__ == "__main__":
    main()
