"""Shapes of RR Lyrae light curves: the set, its files, and the one that comes with the package."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError

__all__ = [
    "KIND_PERIODS",
    "N_PHASES",
    "TemplateSet",
    "load_templates",
    "read_templates",
    "resample",
    "shipped_templates",
    "write_templates",
]

N_PHASES = 512  # the steepest published rise, 8 amplitudes a cycle, changes by 0.016 in one step
HARMONICS = 30  # describes the published tables (three digits) to 0.0015 and drops their rounding
FILE_PHASES = 128  # of a written file: four per period of the highest harmonic that it keeps
FIRST_AB = 100  # numbers of the published files: overtone pulsators below, fundamental from here on

KIND_PERIODS = {"ab": (0.36, 1.2), "c": (0.2, 0.5), "": (0.0, np.inf)}
"""Days between which a kind of pulsation is believed; Catelan & Smith 2015, chapter 6."""

_SHIPPED = "rrlyrae_templates.json"


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


def load_templates(folder: str | Path, *, first_ab: int = FIRST_AB) -> TemplateSet:
    """Templates of Sesar et al. 2010, or others in files of that form.

    Parameters
    ----------
    folder : path
        Holds files such as ``100g.dat``, a number and a band: two columns, phase on an even grid
        from 0 and normalised magnitude. Other files are left alone.
    first_ab : int, default 100
        Numbers from here on are fundamental pulsators, lower ones overtone pulsators.

    Returns
    -------
    TemplateSet
        Smoothed to 30 harmonics, which changes the published tables by 0.0015 at most; by number
        within each band.

    Raises
    ------
    DataError
        If there is no such file, or one is not a table of even phases.

    References
    ----------
    .. [1] Sesar et al. 2010, ApJ 708, 717, doi:10.1088/0004-637X/708/1/717
    """
    found = []
    folder = Path(folder)
    for path in folder.glob("*.dat"):
        match = re.fullmatch(r"(\d+)([A-Za-z]+)", path.stem)
        if match:
            found.append((match[2], int(match[1]), path))
    if not found:
        raise DataError(
            f"load_templates found no file named by number and band, such as 100g.dat, in {folder}"
        )
    found.sort()
    return TemplateSet(
        names=tuple(path.stem for _, _, path in found),
        bands=tuple(band for band, _, _ in found),
        kinds=tuple("ab" if number >= first_ab else "c" for _, number, _ in found),
        shape=np.concatenate([_read_one(path) for _, _, path in found]),
    )


def _read_one(path: Path) -> NDArray[np.float64]:
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as problem:
        raise DataError(f"{path} is no table of numbers: {problem}") from problem
    n = len(table)
    even = n >= 32 and table.shape[1] == 2
    if not (even and np.allclose(table[:, 0], np.arange(n) / n, rtol=0, atol=0.1 / n)):
        raise DataError(
            f"{path} needs two columns, the first an even grid of 32 or more phases from 0 to "
            f"below 1, has shape {table.shape}"
        )
    return resample(table[None, :, 1], N_PHASES, HARMONICS)


def write_templates(path: str | Path, templates: TemplateSet, about: str) -> None:
    """Write a set as a small JSON file: 128 phases, four digits.

    Parameters
    ----------
    path : path
        The file; replaced.
    templates : TemplateSet
        The set.
    about : str
        Where the shapes come from.
    """
    shape = resample(templates.shape, FILE_PHASES, FILE_PHASES // 4)
    lines = []
    for i, name in enumerate(templates.names):
        low, high = (x if np.isfinite(x) else None for x in templates.period_range[i].tolist())
        row = {
            "name": name,
            "band": templates.bands[i],
            "kind": templates.kinds[i],
            "period_range": [low, high],
            "shape": [round(x, 4) + 0.0 for x in shape[i].tolist()],
        }
        lines.append(json.dumps(row))
    body = ",\n".join(lines)
    Path(path).write_text(f'{{"about": {json.dumps(about)}, "templates": [\n{body}\n]}}\n')


def read_templates(path: str | Path) -> TemplateSet:
    """Set that `write_templates` wrote.

    Raises
    ------
    DataError
        If the file is not of that form.
    """
    try:
        return _from_json(json.loads(Path(path).read_text()))
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"{path} is no file of write_templates: {problem!r}") from problem


def _from_json(content: dict[str, Any]) -> TemplateSet:
    rows = content["templates"]
    shape = np.array([row["shape"] for row in rows], np.float64)
    ends = [[np.inf if x is None else x for x in row["period_range"]] for row in rows]
    return TemplateSet(
        names=tuple(row["name"] for row in rows),
        bands=tuple(row["band"] for row in rows),
        kinds=tuple(row["kind"] for row in rows),
        shape=resample(shape, N_PHASES, shape.shape[1] // 4),
        period_range=np.array(ends, np.float64),
    )


@cache
def shipped_templates() -> TemplateSet:
    """Band-free templates of both kinds that come with the package.

    Learned by `astroprep.period.template_builder` from the simulated stars of
    `astroprep.synthetic`, whose Fourier parameters follow the literature.
    """
    text = files("astroprep.period").joinpath(_SHIPPED).read_text()
    return _from_json(json.loads(text))


def by_name(source: str) -> TemplateSet:
    """Set that a step's setting names: ``"shipped"``, a folder of tables or a JSON file.

    Raises
    ------
    ConfigError
        If there is nothing at that path.
    """
    if source == "shipped":
        return shipped_templates()
    path = Path(source)
    if not path.exists():
        raise ConfigError(
            f"templates must be 'shipped', a folder or a file, but there is no {source!r}"
        )
    return load_templates(path) if path.is_dir() else read_templates(path)
