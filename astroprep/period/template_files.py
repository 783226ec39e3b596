"""Files of light-curve templates: published tables, our own form, and the set in the package."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.period.templates import N_PHASES, TemplateSet, resample

__all__ = [
    "by_name",
    "check_name",
    "load_templates",
    "read_templates",
    "shipped_templates",
    "write_templates",
]

HARMONICS = 30  # describes the published tables (three digits) to 0.0015 and drops their rounding
FILE_PHASES = 128  # of a written file: four per period of the highest harmonic that it keeps
FIRST_AB = 100  # numbers of the published files: overtone pulsators below, fundamental from here on

_SHIPPED = "rrlyrae_templates.json"


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

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    TemplateSet

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

    Learned by `astroprep.period.rrlyrae_library` from the simulated stars of
    `astroprep.synthetic`, whose Fourier parameters follow the literature.

    Returns
    -------
    TemplateSet
    """
    text = files("astroprep.period").joinpath(_SHIPPED).read_text()
    return _from_json(json.loads(text))


def check_name(source: str) -> None:
    """Raise `ConfigError` unless `by_name` finds something at `source`."""
    if source != "shipped" and not Path(source).exists():
        raise ConfigError(
            f"templates must be 'shipped', a folder or a file, but there is no {source!r}"
        )


def by_name(source: str) -> TemplateSet:
    """Set that a step's setting names: ``"shipped"``, a folder of tables or a JSON file."""
    check_name(source)
    if source == "shipped":
        return shipped_templates()
    path = Path(source)
    return load_templates(path) if path.is_dir() else read_templates(path)
