"""What a search found: candidates, how they relate to the choice, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.period.candidates import EVIDENCE
from astroprep.period.lombscargle import log10_false_alarm

__all__ = [
    "STATUS",
    "Candidates",
    "period_status",
    "relate",
    "share_of_aliases",
    "strongest",
]

RATIOS = {  # of the candidate's period to the chosen one
    "same": 1.0,
    "harmonic 2": 2.0,
    "harmonic 1/2": 0.5,
    "harmonic 3": 3.0,
    "harmonic 1/3": 1 / 3,
    "harmonic 4": 4.0,
    "harmonic 1/4": 0.25,
    "harmonic 3/2": 1.5,
    "harmonic 2/3": 2 / 3,
}
SHIFTS = (  # cycles per day between a signal and its alias
    ("alias +1/d", 1.0),
    ("alias -1/d", -1.0),
    ("alias +2/d", 2.0),
    ("alias -2/d", -2.0),
    ("alias +1/sidereal day", 1.0027379),
    ("alias -1/sidereal day", -1.0027379),
    ("sidelobe month", 1 / 29.53),
    ("sidelobe month", -1 / 29.53),
    ("sidelobe year", 1 / 365.25),
    ("sidelobe year", -1 / 365.25),
    ("sidelobe two years", 2 / 365.25),
    ("sidelobe two years", -2 / 365.25),
)
WINDOW = 0.5  # spectral window from which the sampling itself explains a peak
WEAK = -2.0  # log10 of the false-alarm probability
FEW_CYCLES = 4.0  # within the baseline
ALIAS_SHARE = 0.2  # probability on aliases of the choice that puts it in doubt
STATUS = ("ok", "alias?", "window", "weak", "few cycles")


def relate(
    frequency: NDArray[np.float64],
    peak: NDArray[np.float64],
    window: NDArray[np.float64],
    chosen: NDArray[np.float64],
    baseline: NDArray[np.float64],
) -> NDArray[np.object_]:
    """How candidates relate to a chosen frequency; the words of `Candidates.relations`.

    Parameters
    ----------
    frequency, peak : float64 array, shape (n_curves, n_candidates)
        Of each candidate, and of the peak that it stands for; cycles per day, 0 where none.
    window : float64 array, shape (n_curves, n_candidates)
        Spectral window at the peak.
    chosen, baseline : float64 array, shape (n_curves,)
        Cycles per day; days.

    Returns
    -------
    object array of str, shape (n_curves, n_candidates)
        Never ``best``.
    """
    centre = chosen[:, None]
    width = 1.0 / np.maximum(baseline, 1e-12)[:, None]
    code = np.full(frequency.shape, "other", dtype=object)
    code[window >= WINDOW] = "window"
    nearest = np.full(frequency.shape, np.inf)
    for name, shift in SHIFTS:
        for times in (1.0, 2.0):
            for at in (frequency, peak):
                off = np.abs(at - np.abs(times * centre + shift))
                nearer = (off < width) & (off < nearest) & (code != "window")
                code[nearer] = name
                nearest[nearer] = off[nearer]
    for name, ratio in reversed(RATIOS.items()):
        code[np.abs(frequency * ratio - centre) < width * max(1.0, ratio)] = name
    code[frequency == 0] = ""
    return code


def share_of_aliases(
    code: NDArray[np.object_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability that lies on aliases and sidelobes, shape (n_curves,)."""
    alias = np.array([str(c).startswith(("alias", "sidelobe")) for c in code.ravel()], bool)
    total = np.zeros(code.shape[0])
    for k in range(code.shape[1]):  # column by column: no batch size changes the sum
        total += np.where(alias.reshape(code.shape)[:, k], probability[:, k], 0.0)
    return total


def strongest(
    frequency: NDArray[np.float64],
    probability: NDArray[np.float64],
    code: NDArray[np.object_],
    count: int,
) -> dict[str, NDArray[Any]]:
    """The most probable candidates as columns per object; see `Candidates.strongest`."""
    likely = np.where(frequency > 0, probability, -1.0)
    order = np.argsort(-likely, axis=1, kind="stable")[:, :count]
    f = np.take_along_axis(frequency, order, axis=1)
    columns: dict[str, NDArray[Any]] = {
        "candidate_period": np.where(f > 0, 1 / np.where(f > 0, f, 1.0), 0.0),
        "candidate_probability": np.take_along_axis(likely, order, axis=1).clip(0.0),
        "candidate_status": np.take_along_axis(code, order, axis=1),
    }
    missing = ((0, 0), (0, count - order.shape[1]))
    fill = {name: "" if name.endswith("status") else 0.0 for name in columns}
    return {
        name: np.pad(column, missing, constant_values=fill[name])
        for name, column in columns.items()
    }


@dataclass(frozen=True)
class Candidates:
    """What the search found in each curve.

    Parameters
    ----------
    frequency : float64 array, shape (n_curves, 2 * n_peaks)
        Cycles per day: separate peaks by falling power, then half the frequency of each;
        0 where there is none.
    probability : float64 array, shape (n_curves, 2 * n_peaks)
        Of being the period, by the fitted ranking; sums to one over the candidates.
    power : float64 array, shape (n_curves, n_peaks)
        Power of the sine at each peak, standard normalisation.
    fap : float64 array, shape (n_curves, n_peaks)
        log10 of the false-alarm probability of each peak, as if it were the highest.
    window : float64 array, shape (n_curves, n_peaks)
        Spectral window at each peak, 0 to 1: 1 where all points share a phase.
    baseline : float64 array, shape (n_curves,)
        Days.
    """

    frequency: NDArray[np.float64]
    probability: NDArray[np.float64]
    power: NDArray[np.float64]
    fap: NDArray[np.float64]
    window: NDArray[np.float64]
    baseline: NDArray[np.float64]

    @classmethod
    def from_ranking(
        cls,
        evidence: NDArray[np.float64],
        frequency: NDArray[np.float64],
        probability: NDArray[np.float64],
        n_points: NDArray[np.int64],
        max_frequency: float,
    ) -> Self:
        """Join what was weighed and how it was ranked.

        Parameters
        ----------
        evidence, n_points
            As for `astroprep.period.ranking.rank`.
        frequency, probability
            From it.
        max_frequency : float
            Highest frequency searched, cycles per day.
        """
        column = {name: evidence[:, :, k] for k, name in enumerate(EVIDENCE)}
        there = column["power"] > 0
        fap = log10_false_alarm(
            np.where(there, column["power"], 0.5),
            n_points[:, None],
            np.where(there, column["spread"], 1.0),
            max_frequency,
        )
        return cls(
            frequency,
            probability,
            column["power"],
            np.where(there, fap, 0.0),
            column["window"],
            column["baseline"].max(axis=1, initial=0.0),
        )

    def best(self) -> NDArray[np.int64]:
        """Column of the choice: the more probable of peak and half, of the most probable pair.

        Returns
        -------
        int64 array, shape (n_curves,)
        """
        n_peaks = self.power.shape[1]
        single, double = self.probability[:, :n_peaks], self.probability[:, n_peaks:]
        pair = np.argmax(single + double, axis=1)
        row = np.arange(pair.size)
        return np.asarray(pair + n_peaks * (double[row, pair] > single[row, pair]))

    def relations(self, chosen: NDArray[np.float64] | None = None) -> NDArray[np.object_]:
        """How every candidate relates to the chosen period.

        Parameters
        ----------
        chosen : float64 array, shape (n_curves,), optional
            Frequencies, cycles per day; those of `best` otherwise.

        Returns
        -------
        object array of str, shape (n_curves, 2 * n_peaks)
            ``""`` where there is no candidate, and the first of these that holds within a peak
            width, 1 over the baseline: ``best`` the column of `best`; ``same``; ``harmonic 2``
            for twice the chosen period, likewise 1/2, 3, 1/3, 4, 1/4, 3/2, 2/3; ``window``
            where the sampling itself repeats (spectral window of 0.5 or more); ``alias +1/d``,
            likewise -1, +2, -2 and the sidereal day, and ``sidelobe month``, ``sidelobe year``,
            ``sidelobe two years`` for a shift from the chosen frequency, or from twice it (where
            an eclipsing star has its highest peak); ``other``.
        """
        best = self.best()
        row = np.arange(best.size)
        f = self.frequency
        if chosen is None:
            chosen = f[row, best]
        n_peaks = self.power.shape[1]
        peak = np.concatenate([f[:, :n_peaks], 2 * f[:, n_peaks:]], axis=1)  # of each pair
        code = relate(f, peak, np.tile(self.window, 2), chosen, self.baseline)
        width = 1.0 / np.maximum(self.baseline, 1e-12)
        own = (f[row, best] > 0) & (np.abs(f[row, best] - chosen) < width)
        code[row[own], best[own]] = "best"
        return code

    def strongest(
        self, count: int, chosen: NDArray[np.float64] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The most probable candidates, as columns per object.

        Parameters
        ----------
        count : int
            How many.
        chosen : float64 array, shape (n_curves,), optional
            As for `relations`.

        Returns
        -------
        dict
            ``candidate_period`` (days), ``candidate_probability`` and ``candidate_status``, shape
            (n_curves, count), most probable first; 0 and ``""`` where there are fewer.
        """
        return strongest(self.frequency, self.probability, self.relations(chosen), count)

    def alias_share(self, chosen: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Probability that lies on aliases and sidelobes of the choice, shape (n_curves,)."""
        return share_of_aliases(self.relations(chosen), self.probability)


def period_status(
    fap: NDArray[np.float64],
    window: NDArray[np.float64],
    cycles: NDArray[np.float64],
    alias_share: NDArray[np.float64],
) -> NDArray[np.object_]:
    """One word on how far to trust each period.

    Parameters
    ----------
    fap : float64 array, shape (n_curves,)
        log10 of the false-alarm probability of the highest peak.
    window : float64 array, shape (n_curves,)
        Spectral window at the period or at half of it, the larger.
    cycles : float64 array, shape (n_curves,)
        Baseline over period.
    alias_share : float64 array, shape (n_curves,)
        From `Candidates.alias_share`.

    Returns
    -------
    object array of str, shape (n_curves,)
        The first that holds: ``weak``, false-alarm probability above 0.01; ``window``, spectral
        window of 0.5 or more; ``few cycles``, fewer than four; ``alias?``, a fifth of the
        probability or more on aliases; ``ok``.
    """
    status = np.full(fap.shape, "ok", dtype=object)
    status[alias_share >= ALIAS_SHARE] = "alias?"
    status[cycles < FEW_CYCLES] = "few cycles"
    status[window >= WINDOW] = "window"
    status[fap > WEAK] = "weak"
    return status
