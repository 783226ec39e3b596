"""Light-curve FITS of Kepler, K2 and TESS: one file a star and quarter, campaign or sector."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io.columns import ColumnNames
from astroprep.io.fitsfile import SpaceCurve, read_space_curve
from astroprep.io.missions import MISSIONS
from astroprep.io.survey import Survey

__all__ = ["FITS_SUFFIXES", "SpaceFitsReader", "fits_files"]

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
MAX_BATCH_POINTS = 4_000_000  # some 300 MB of columns: 850 Kepler quarters, 35 sectors of 20 s


def fits_files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """FITS files that a path, a folder, a pattern or a list names, sorted and each once.

    Parameters
    ----------
    source : str, Path or sequence of them
        A file, a folder (searched with all folders below it for ``.fits``, ``.fit`` and their
        ``.gz``), a pattern such as ``"q5/*_llc.fits"`` (``**`` for any depth), or several.

    Returns
    -------
    list of Path
        A list keeps its order; a folder and a pattern give their files sorted.

    Raises
    ------
    DataError
        If nothing is found.
    """
    if not isinstance(source, str | Path):
        found = [path for one in source for path in fits_files(one)]
        if not found:
            raise DataError("an empty list names no FITS files; name a file or a folder")
        return list(dict.fromkeys(found))
    path = Path(source)
    if path.is_dir():
        below = sorted(
            Path(folder) / name
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(FITS_SUFFIXES)
        )
        if not below:
            raise DataError(f"{path}: no {', '.join(FITS_SUFFIXES)} in this folder or below it")
        return below
    if any(sign in str(source) for sign in "*?[") and not path.exists():
        matching = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]
        if not matching:
            raise DataError(f"{source}: no file goes by this pattern")
        return matching
    return [path]


class SpaceFitsReader(Survey):
    """Survey of Kepler-pipeline and SPOC light-curve files, one object a file.

    All cadences are read (30 min, 1 min, 2 min, 20 s; ``_llc``, ``_slc``, ``_lc``,
    ``_fast-lc``, compressed or not). A file is opened, copied into arrays and closed before
    the next one, without memory mapping, so that thousands of them leave nothing open.

    Parameters
    ----------
    source : str, Path or sequence of them
        See `fits_files`.
    names : ColumnNames, optional
        ``value`` and ``error`` name other flux columns than `flux` says, ``points`` further
        columns of the table (such as ``"MOM_CENTR1"``) and ``extra`` numbers of the headers
        (such as ``"TEFF"``) to carry along. The other names are fixed by the format.
    flux : {"pdcsap", "sap"}, default "pdcsap"
        Which flux becomes ``value``. PDCSAP is the default because it can be used as it is:
        pointing, focus and temperature, which are ten to a hundred times the noise in SAP,
        are out of it, and crowding is corrected. SAP is for those who detrend themselves (see
        `astroprep.detrend`).
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a file that is damaged, is no light curve, or is another mission's.

    Attributes
    ----------
    path : Path
        The file, or the folder that holds all of them.
    files : list of Path
        One an object; ``objects["row"]`` counts them.
    columns : list of str
        Columns of the first file that can be read.
    schema_metadata : dict of str to str
        Survey, quantity, unit and time system.

    Raises
    ------
    DataError
        If there is no file, or the first one is bad and ``on_bad`` is ``"raise"``.

    Notes
    -----
    ``time`` is the barycentric Julian date in TDB less 2454833 (Kepler, K2) or 2457000
    (TESS), checked against the header; ``value`` and ``error`` are in electron/s. Cadences
    without data stay in the curve as NaN, so that ``points["cadence"]`` has no holes; `FlagBad`
    marks them. The raw quality of the survey is in ``points["survey_flags"]`` (see
    `astroprep.clean.SurveyFlags`), the motion of the star on the detector in
    ``points["pos_corr1"]`` and ``["pos_corr2"]`` (pixels), the subtracted sky in
    ``points["background"]`` (electron/s). Per object: ``id``, ``ra``, ``dec`` (degrees),
    ``segment`` (quarter, campaign or sector), ``channel`` (of Kepler; for TESS four times the
    camera before plus the CCD, 1 to 16), ``brightness`` (Kepler or TESS magnitude),
    ``crowding`` and ``flux_fraction`` (CROWDSAP and FLFRCSAP; NaN where the header has none).

    The checksums of the headers are not verified: genuine files of all three missions fail
    them (``CHECKSUM`` of the table, with astropy's reading of the standard).

    References
    ----------
    .. [1] Thompson et al. 2016, Kepler Archive Manual, KDMC-10008-006
    .. [2] Tenenbaum & Jenkins 2018, TESS Science Data Products Description Document,
       EXP-TESS-ARC-ICD-0014 Rev D
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path],
        names: ColumnNames | None = None,
        *,
        flux: Literal["pdcsap", "sap"] = "pdcsap",
        on_bad: OnBad = "raise",
    ) -> None:
        if flux not in ("pdcsap", "sap"):
            raise ConfigError(f"flux must be 'pdcsap' or 'sap', got {flux!r}")
        self.names = names or ColumnNames()
        self.flux = flux
        self.on_bad = on_bad
        self.files = fits_files(source)
        _check_names(self.names)
        folders = [str(file.parent) for file in self.files]
        one = isinstance(source, str | Path) and Path(source).exists()
        self.path = Path(source) if one else Path(os.path.commonpath(folders))  # type: ignore[arg-type]
        self._known: tuple[Path, SpaceCurve] | None = None
        first = self._first()
        self.columns = [] if first is None else list(first.columns)
        mission = None if first is None else MISSIONS[first.mission]
        self._meta = Meta(
            survey="" if first is None else first.mission,
            quantity="flux",
            unit="electron/s",
            time_scale="" if mission is None else mission.time_scale,
            time_ref=None if mission is None else mission.time_ref,
        )
        self.schema_metadata = {
            "survey": self._meta.survey,
            "quantity": "flux",
            "unit": self._meta.unit,
            "time_system": self._meta.time_scale,
        }

    @property
    def n_objects(self) -> int:
        """Files of the survey."""
        return len(self.files)

    @property
    def meta(self) -> Meta:
        """Metadata of every batch, from the first file that can be read."""
        return self._meta

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches of at most `max_objects` files in their order.

        Parameters
        ----------
        max_objects : int, default 4096
            A batch also ends when it holds four million points.
        first_row : int, default 0
            Files before it are not opened.

        Yields
        ------
        LightCurveBatch
            ``objects["row"]`` is the position in `files`; files that were refused are in
            ``rejected`` under their name.

        Raises
        ------
        DataError
            If a file is bad and ``on_bad`` is ``"raise"``.
        """
        if max_objects < 1:
            raise ConfigError(f"max_objects must be at least 1, got {max_objects!r}")
        curves: list[SpaceCurve] = []
        rows: list[int] = []
        refused: list[tuple[int, str, str]] = []
        n_points, given = 0, False
        for row in range(first_row, len(self.files)):
            curve = self._read(row, refused)
            if curve is not None:
                curves.append(curve)
                rows.append(row)
                n_points += curve.time.size
            if len(rows) + len(refused) >= max_objects or n_points >= MAX_BATCH_POINTS:
                yield self._batch(curves, rows, refused)
                curves, rows, refused, n_points, given = [], [], [], 0, True
        if rows or refused or not given:
            yield self._batch(curves, rows, refused)

    def _first(self) -> SpaceCurve | None:
        """First file that can be read; tells the mission of the survey."""
        for file in self.files:
            try:
                curve = read_space_curve(file, self.names, self.flux)
            except DataError:
                if self.on_bad == "raise":
                    raise
                continue
            self._known = (file, curve)  # a survey of one file is read once
            return curve
        return None

    def _read(self, row: int, refused: list[tuple[int, str, str]]) -> SpaceCurve | None:
        """Curve of one file; None, and an entry in `refused`, where there is none."""
        file = self.files[row]
        if self._known is not None and self._known[0] == file:
            return self._known[1]
        try:
            curve = read_space_curve(file, self.names, self.flux)
            if curve.mission != self._meta.survey:
                raise DataError(
                    f"{file}: is of {curve.mission}, but the survey began with "
                    f"{self._meta.survey}, whose times and units are those of the batch; open "
                    "each mission by itself"
                )
        except DataError as error:
            if self.on_bad == "raise":
                raise
            refused.append((row, file.name, str(error).removeprefix(f"{file}: ")))
            return None
        return curve

    def _batch(
        self, curves: list[SpaceCurve], rows: list[int], refused: list[tuple[int, str, str]]
    ) -> LightCurveBatch:
        def joined(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.concatenate([np.empty(0), *(getattr(curve, name) for curve in curves)])

        kinds = {"id": object, "segment": np.int64, "channel": np.int64}
        integers = {"cadence": np.int64, "survey_flags": np.int64}
        return LightCurveBatch(
            time=joined("time"),
            value=joined("value"),
            error=joined("error"),
            offsets=np.cumsum([0, *(curve.time.size for curve in curves)]),
            points={
                name: np.concatenate(
                    [
                        np.empty(0, integers.get(name, np.float64)),
                        *(curve.points[name] for curve in curves),
                    ]
                )
                for name in SpaceCurve.point_names(self.names)
            },
            objects={
                "row": np.array(rows, np.int64),
                **{
                    name: np.array(
                        [curve.objects[name] for curve in curves], kinds.get(name, np.float64)
                    )
                    for name in SpaceCurve.object_names(self.names)
                },
            },
            rejected=_rejected(refused),
            meta=self._meta,
        )


def _rejected(refused: list[tuple[int, str, str]]) -> Rejected:
    rows, names, reasons = zip(*refused, strict=True) if refused else ((), (), ())
    return Rejected(
        row=np.array(rows, np.int64),
        id=np.array(names, object),
        step=np.full(len(rows), "SpaceFitsReader", object),
        reason=np.array(reasons, object),
    )


def _check_names(names: ColumnNames) -> None:
    """Names that the format itself gives cannot be chosen."""
    chosen = ("id", "ra", "dec", "label", "split", "period", "lightcurve", "time", "band")
    wrong = [name for name in chosen if getattr(names, name) is not None]
    if wrong:
        raise ConfigError(
            f"light-curve FITS name their own {', '.join(wrong)}; only value, error, points and "
            "extra can be chosen (add labels and periods to batch.objects after reading)"
        )
