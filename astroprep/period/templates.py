"""Normalised shapes of RR Lyrae light curves, and which of them serves a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError

__all__ = ["KIND_PERIODS", "N_PHASES", "TemplateSet", "resample"]

N_PHASES = 512  # the steepest published rise, 8 amplitudes a cycle, changes by 0.016 in one step

KIND_PERIODS = {"ab": (0.36, 1.2), "c": (0.2, 0.5), "": (0.0, np.inf)}
"""Days between which a kind is believed; wider than what is found (Smith 1995, RR Lyrae Stars)."""


def resample(shape: NDArray[np.float64], n_phases: int, n_harmonics: int) -> NDArray[np.float64]:
    """Periodic shapes on another even grid of phases, by their Fourier series.

    Parameters
    ----------
    shape : float64 array, shape (n_templates, n_given)
        At phases ``i / n_given``.
    n_phases : int
        Wanted.
    n_harmonics : int
        Kept; fewer where `n_given` or `n_phases` holds fewer.

    Returns
    -------
    float64 array, shape (n_templates, n_phases)
    """
    given = shape.shape[1]
    series = np.fft.rfft(shape, axis=1)
    kept = min(n_harmonics, (given - 1) // 2, (n_phases - 1) // 2)
    fresh = np.zeros((len(shape), n_phases // 2 + 1), complex)
    fresh[:, : kept + 1] = series[:, : kept + 1] * (n_phases / given)
    return np.asarray(np.fft.irfft(fresh, n_phases, axis=1))


@dataclass(frozen=True, eq=False)
class TemplateSet:
    """Normalised shapes of one cycle, some of them for a band or for a kind of pulsation.

    Parameters
    ----------
    names : tuple of str, length n_templates
        Such as ``"100g"``; no name twice.
    bands : tuple of str, length n_templates
        Filter that a shape was learned in, such as ``"g"``; ``""`` serves every band.
    kinds : tuple of str, length n_templates
        ``"ab"``, ``"c"`` or ``""``. One star has one kind in all its bands.
    shape : float64 array, shape (n_templates, n_phases)
        Magnitude at phases ``i / n_phases``: 0 at maximum light, which is at phase 0, and 1 at
        minimum light; at least 32 phases.
    period_range : float64 array, shape (n_templates, 2), optional
        Shortest and longest period, days, that a shape is tried at; by default `KIND_PERIODS`.

    Raises
    ------
    DataError
        If lengths disagree, a name is there twice, or a shape is not finite and about 0 to 1.
    """

    names: tuple[str, ...]
    bands: tuple[str, ...]
    kinds: tuple[str, ...]
    shape: NDArray[np.float64]
    period_range: NDArray[np.float64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        shape = np.array(self.shape, np.float64)
        n = len(self.names)
        if n == 0 or shape.ndim != 2 or shape.shape[0] != n or shape.shape[1] < 32:
            raise DataError(
                "TemplateSet needs one row of 32 phases or more for each name, "
                f"got {n} names and an array of shape {shape.shape}"
            )
        if len(self.bands) != n or len(self.kinds) != n:
            raise DataError(
                f"TemplateSet needs a band and a kind for each of its {n} names, "
                f"got {len(self.bands)} bands and {len(self.kinds)} kinds"
            )
        if len(set(self.names)) != n:
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise DataError(f"TemplateSet needs different names, {twice!r} is there twice")
        for name, row in zip(self.names, shape, strict=True):
            if not (np.isfinite(row).all() and abs(row.min()) < 0.05 and abs(row.max() - 1) < 0.05):
                raise DataError(
                    f"TemplateSet needs finite shapes between 0 and 1: {name!r} runs from "
                    f"{row.min():.4g} to {row.max():.4g}; subtract the minimum and divide"
                )
        ranges = self.period_range
        if ranges is None:
            unknown = sorted(set(self.kinds) - set(KIND_PERIODS))
            if unknown:
                raise DataError(
                    f"TemplateSet knows no periods of kind {unknown[0]!r}: give period_range"
                )
            ranges = np.array([KIND_PERIODS[kind] for kind in self.kinds])
        ranges = np.array(ranges, np.float64)
        if ranges.shape != (n, 2) or not (ranges[:, 0] < ranges[:, 1]).all():
            raise DataError(
                "TemplateSet needs period_range as rows of a shortest and a longer period, "
                f"got an array of shape {ranges.shape}"
            )
        for name, array in (("shape", shape), ("period_range", ranges)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        count = {kind: self.kinds.count(kind) for kind in dict.fromkeys(self.kinds)}
        filters = ", ".join(repr(band) for band in dict.fromkeys(self.bands))
        return f"TemplateSet({len(self)} templates, kinds {count}, bands {filters})"

    def take(self, index: ArrayLike) -> Self:
        """Templates at `index`, in its order."""
        at = np.asarray(index, np.intp)
        return type(self)(
            names=tuple(self.names[i] for i in at),
            bands=tuple(self.bands[i] for i in at),
            kinds=tuple(self.kinds[i] for i in at),
            shape=self.shape[at],
            period_range=self.period_range[at],
        )

    def serving(self, band: str) -> NDArray[np.intp]:
        """Templates for a band; of each kind those of the filter, else of no filter, else all.

        Parameters
        ----------
        band : str
            With or without its survey: ``"sdss_g"`` and ``"g"`` are served alike.

        Returns
        -------
        integer array
            Every kind of the set is in it.
        """
        own = np.array(self.bands, dtype=object)
        kinds = np.array(self.kinds, dtype=object)
        short = band.rpartition("_")[2]
        chosen = []
        for kind in dict.fromkeys(self.kinds):
            served = kinds == kind
            for wanted in (band, short, short.lower(), ""):
                if (served & (own == wanted)).any():
                    served &= own == wanted
                    break
            chosen.append(np.flatnonzero(served))
        return np.concatenate(chosen)
