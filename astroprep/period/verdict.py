"""From evidence to a verdict on a known period: the tests, their thresholds and the reasons."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, gammaln, stdtr

from astroprep.period.aliases import OFFSETS, alias_of
from astroprep.period.examine import BENDS
from astroprep.period.verify_evidence import EVIDENCE

__all__ = ["Half", "Judgement", "PeriodStatus", "judge", "log10_chance"]

Half = Literal["keep", "report"]
Array = NDArray[np.float64]

CHANCE = 1e-3  # of a false alarm per curve, here and in the tests for drift: one good period in a
# thousand searched again without need is cheap beside the search that all others are spared
SURE = np.log10(CHANCE)
FAR_BETTER = 0.8  # a rival must leave less than this share of the unexplained variance: shapes that
# four harmonics cannot follow differ by more than noise, which no number of points mends
ENOUGH = 0.01  # probability of the other harmonics being noise, above which a fraction is enough
PEAKS = 3.0  # independent frequencies that a climb from the known one sees


class PeriodStatus(enum.IntEnum):
    """The verdict on a known period."""

    CONFIRMED = 0  # the light curve repeats at it
    DRIFTED = 1  # at a nearby one, or at one that changes
    ALIAS = 2  # at one that the sampling confuses with it
    HARMONIC = 3  # at a simple multiple or fraction of it
    LOST = 4  # at nothing that was looked at


@dataclass(frozen=True)
class Judgement:
    """Verdicts and what they rest on; every array has shape (n_curves,).

    Parameters
    ----------
    status : int64 array
        `PeriodStatus`.
    frequency, frequency_error : float64 array
        Cycles per day; of the old period where it is lost.
    power : float64 array
        Share of variance explained at `frequency`.
    bend, bend_error : float64 array
        Half the change of frequency, cycles per day squared; infinite error where the seasons do
        not tell.
    changing : bool array
        Whether the change is significant.
    significance : float64 array
        Standard deviations by which the light curve departs from the old ephemeris, in frequency
        or in its change, whichever is more.
    log10_false_alarm : float64 array
        That noise explains as much at the frequency of the verdict, given all that was tried.
    """

    status: NDArray[np.int64]
    frequency: NDArray[np.float64]
    frequency_error: NDArray[np.float64]
    power: NDArray[np.float64]
    bend: NDArray[np.float64]
    bend_error: NDArray[np.float64]
    changing: NDArray[np.bool_]
    significance: NDArray[np.float64]
    log10_false_alarm: NDArray[np.float64]


def log10_chance(
    power: Array,
    n_harmonics: Array,
    n_points: Array,
    trials: Array | float,
) -> Array:
    """Decimal logarithm of the chance that noise explains this much, at the best of some trials.

    Parameters
    ----------
    power, n_harmonics, n_points : float64 array, shape (n_curves,)
        Share of variance explained by a series of so many harmonics; ``n_points > 2 h + 1``.
    trials : float or float64 array
        Independent frequencies tried.

    Returns
    -------
    float64 array, shape (n_curves,)
        0 or less.

    Notes
    -----
    Of white noise, h harmonics with a free mean explain a share p or more with probability
    I(1 - p; a, h), a = (n - 2 h - 1) / 2, which for whole h is
    (1 - p)**a * sum over j < h of Gamma(a + j) / Gamma(a) / j! * p**j.
    """
    a = 0.5 * (n_points - 2 * n_harmonics - 1)
    p = np.clip(power, 1e-300, 1 - 1e-15)
    total = np.full(p.shape, -np.inf)
    for j in range(int(n_harmonics.max(initial=0))):
        term = gammaln(a + j) - gammaln(a) - gammaln(j + 1) + j * np.log(p)
        total = np.where(j < n_harmonics, np.logaddexp(total, term), total)
    chance = (a * np.log1p(-p) + total + np.log(trials)) / np.log(10)
    return np.asarray(np.minimum(chance, 0.0), np.float64)


def _wins(
    power: Array,
    local: Array,
    n_harmonics: Array,
    n_points: Array,
    trials: float,
) -> NDArray[np.bool_]:
    """Whether a rival explains so much more that the old family is given up.

    The two fits have equally many parameters but share none, so that what they leave differs by
    as much noise as a whole series fits: an F-test with all its coefficients, and for many points,
    where any misfit of shape is significant, a clear share of what was left.
    """
    rest, rest_local = np.maximum(1 - power, 1e-12), np.maximum(1 - local, 1e-12)
    extra = 2 * n_harmonics
    freedom = np.maximum(n_points - extra - 2, 1.0)
    ratio = np.maximum(rest_local - rest, 0.0) / extra / (rest / freedom)
    return np.asarray(
        (trials * fdtrc(extra, freedom, ratio) < CHANCE) & (rest < FAR_BETTER * rest_local)
    )


def _fraction_enough(
    all_power: Array,
    part: Array,
    extra: Array,
    freedom: Array,
) -> NDArray[np.bool_]:
    """Whether harmonics beyond those of a fraction of the period add nothing but noise."""
    gain = np.maximum(all_power - part, 0.0) / np.maximum(extra, 1)
    ratio = gain * freedom / np.maximum(1 - all_power, 1e-12)
    return np.asarray((extra > 0) & (fdtrc(np.maximum(extra, 1), freedom, ratio) > ENOUGH))


class _Rivals(NamedTuple):
    alias: NDArray[np.bool_]
    long: NDArray[np.bool_]
    alarm_alias: Array
    alarm_long: Array


class _Departures(NamedTuple):
    bend_error: Array
    sigma_shift: Array
    sigma_change: Array
    shifted: NDArray[np.bool_]
    changing: NDArray[np.bool_]


def _departures(
    e: dict[str, Array],
    place: Array,
    error: Array,
    frequency: Array,
    frequency_error: Array,
    freedom: Array,
    noise: Array,
    min_shift: float,
) -> _Departures:
    """Tests of the old frequency against a new constant one, and of that against a changing one.

    Student's t on the frequency, and on its change; the exact fit that bends must also explain
    more by the F-test with one degree of freedom. `noise` holds the scatter of the seasons about
    their own ephemeris, so that a star that jitters has to depart by more.
    """
    bends = e["bend"] != 0
    known = np.where(np.isfinite(frequency_error), frequency_error, error)
    move = np.where(bends, e["frequency_bent"], place) - frequency
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(
            bends & np.isfinite(e["variance_bent"]),
            np.sqrt(np.maximum(e["variance_bent"], 0.0) * noise),
            error,
        )
        sigma_shift = np.abs(move) / np.hypot(spread, known)
        bend_error = np.where(e["variance_bend"] > 0, np.sqrt(e["variance_bend"] * noise), np.inf)
        sigma_change = np.where(np.isfinite(bend_error), np.abs(e["bend"]) / bend_error, 0.0)
    shifted = (2 * stdtr(freedom, -sigma_shift) < CHANCE) & (
        np.abs(move) * e["baseline"] > min_shift
    )
    local = np.where(e["frequency_far"] > 0, e["power_far"], e["power_near"])
    gain = np.maximum(e["power_bent"] - local, 0.0) / noise
    changing = (
        bends
        & (2 * stdtr(freedom, -sigma_change) < CHANCE)
        & (fdtrc(1.0, freedom, gain) < CHANCE)
        & (np.abs(e["bend"]) * e["baseline"] ** 2 / 4 > min_shift)
    )
    return _Departures(bend_error, sigma_shift, sigma_change, shifted, changing)


def judge(
    evidence: Array,
    n_points: NDArray[np.int64],
    frequency: Array,
    frequency_error: Array,
    min_shift: float,
    half: Half,
) -> Judgement:
    """Verdicts from the evidence.

    Parameters
    ----------
    evidence : float64 array, shape (n_curves, len(EVIDENCE))
        From `astroprep.period.examine.examine`.
    n_points : int64 array, shape (n_curves,)
        Points of each curve.
    frequency, frequency_error : float64 array, shape (n_curves,)
        The known ones, cycles per day; the error NaN where it is not known.
    min_shift : float
        Cycles over the baseline, below which a drift does not matter.
    half : {"keep", "report"}
        Whether half the period, where it is enough, is a verdict of its own.

    Returns
    -------
    Judgement
    """
    e = {name: evidence[:, k] for k, name in enumerate(EVIDENCE)}
    n, h = n_points.astype(np.float64), e["harmonics"]
    is_far, bends = e["frequency_far"] > 0, e["bend"] != 0
    place = np.where(is_far, e["frequency_far"], e["frequency_near"])
    curvature = np.where(is_far, e["curvature_far"], e["curvature_near"])
    freedom = np.maximum(n - 2 * h - 2, 1.0)
    noise = np.maximum(1 - e["power_bent"], 1e-15) / freedom * e["scatter"]
    error = _peak_error(noise, curvature, e["baseline"])

    within = PEAKS + 4 * h * e["reach"]  # a series of h harmonics sees h times as many
    trials = np.where(bends, within * BENDS, np.where(is_far, within, PEAKS))
    alarm = log10_chance(e["power_bent"], h, n, trials)
    rival = _rivals(e, n)
    apart = _departures(e, place, error, frequency, frequency_error, freedom, noise, min_shift)
    third, enough = _fractions(e, n, freedom, half)

    status = np.full(n.size, PeriodStatus.LOST, np.int64)
    significant = alarm < SURE
    status[significant] = PeriodStatus.CONFIRMED
    status[significant & (apart.shifted | apart.changing | is_far)] = PeriodStatus.DRIFTED
    sampling = alias_of(frequency, place, e["dominant"], e["baseline"]) & ~bends
    status[significant & is_far & sampling] = PeriodStatus.ALIAS
    status[significant & (third | enough)] = PeriodStatus.HARMONIC
    fraction = np.where(significant & third, 3.0, np.where(significant & enough, 2.0, 1.0))
    status[rival.alias] = PeriodStatus.ALIAS
    status[rival.long] = PeriodStatus.HARMONIC

    found = np.where(bends, e["frequency_bent"], place) * fraction
    spread = np.where(
        bends & np.isfinite(e["variance_bent"]),
        np.sqrt(np.maximum(e["variance_bent"], 0.0) * noise),
        error,
    )
    as_known = np.where(np.isfinite(frequency_error), frequency_error, 1 / e["baseline"])
    error_alias = _peak_error(noise, e["curvature_alias"], e["baseline"])
    error_long = _peak_error(noise, e["curvature_long"], e["baseline"])

    def chosen(alias: Array, long: Array, lost: Array, otherwise: Array) -> Array:
        choice = [rival.alias, rival.long, status == PeriodStatus.LOST]
        return np.select(choice, [alias, long, lost], otherwise)

    return Judgement(
        status=status,
        frequency=chosen(e["frequency_alias"], e["frequency_long"], frequency, found),
        frequency_error=chosen(error_alias, error_long, as_known, spread * fraction),
        power=chosen(e["power_alias"], e["power_long"], e["power_old"], e["power_bent"]),
        bend=e["bend"],
        bend_error=apart.bend_error,
        changing=apart.changing & (status == PeriodStatus.DRIFTED),
        significance=np.maximum(apart.sigma_shift, apart.sigma_change),
        log10_false_alarm=chosen(rival.alarm_alias, rival.alarm_long, alarm, alarm),
    )


def _peak_error(noise: Array, curvature: Array, baseline: Array) -> Array:
    """Error of a frequency; a peak that does not bend is no better known than its width."""
    with np.errstate(divide="ignore"):
        return np.minimum(np.sqrt(2 * noise / curvature), 1 / baseline)


def _rivals(e: dict[str, Array], n: Array) -> _Rivals:
    """Whether an alias or a multiple of the period explains more, one of them at most."""
    h, tried = e["harmonics"], PEAKS * OFFSETS.size
    alarm_alias = log10_chance(e["power_alias"], h, n, tried)
    alarm_long = log10_chance(e["power_long"], h, n, 2 * PEAKS)
    alias = (alarm_alias < SURE) & _wins(e["power_alias"], e["power_bent"], h, n, tried)
    long = (alarm_long < SURE) & _wins(e["power_long"], e["power_bent"], h, n, 2 * PEAKS)
    alias &= ~(long & (e["power_long"] >= e["power_alias"]))
    return _Rivals(alias, long & ~alias, alarm_alias, alarm_long)


def _fractions(
    e: dict[str, Array], n: Array, freedom: Array, half: Half
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a third or half of the period is enough: at a constant frequency, by its strength."""
    h, constant = e["harmonics"], e["bend"] == 0
    local = np.where(e["frequency_far"] > 0, e["power_far"], e["power_near"])
    odd = np.where(h > 2, 2 * h - 2, 0)
    third = constant & _fraction_enough(local, e["power_third"], odd, freedom + 1)
    third &= log10_chance(e["power_third"], np.ones_like(h), n, PEAKS) < SURE
    evens = h // 2
    odd = np.where(h > 1, 2 * (h - evens), 0)
    enough = constant & _fraction_enough(local, e["power_half"], odd, freedom + 1)
    enough &= log10_chance(e["power_half"], np.maximum(evens, 1), n, PEAKS) < SURE
    return third, enough & (half == "report")
