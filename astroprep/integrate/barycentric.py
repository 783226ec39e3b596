"""The step that puts a batch on the barycentric clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.sites import find_site
from astroprep.integrate.time_system import TimeSystem, parse_time_system, require_scale
from astroprep.integrate.timescale import directions, is_position, reasons, time_shift
from astroprep.units import TIME_REFERENCES

__all__ = ["ToBarycentric"]

NAMED = {TIME_REFERENCES[name]: name for name in ("BJD", "BKJD", "BTJD")}


class ToBarycentric(Transformer):
    """Turn the times of a batch into barycentric Julian dates in TDB.

    Parameters
    ----------
    system : str or None, default None
        Time system, such as ``"MJD UTC"`` or ``"HMJD UTC"``; None takes ``meta.time_scale``.
    scale : str or None, default None
        UTC, TAI, TT, TDB or TCB for times that do not state theirs.
    site : str, (longitude, latitude, height) or None, default None
        Name of a site or a survey, or degrees east, degrees north and metres; None is the Earth's
        centre, which errs by up to 21 ms.
    reference : float or None, default None
        Julian date to subtract from the result, days; None keeps the one of the batch.
    ra, dec : str, default "ra", "dec"
        Columns of the position in ``objects``: ICRS, degrees. Not read for barycentric times.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a curve without a position, or with no time that can be converted.

    Raises
    ------
    DataError
        If neither the settings nor the batch state the time system and scale, or they
        contradict each other.

    Notes
    -----
    See `to_bjd_tdb` for the method and its errors. ``points["time_given"]`` keeps the times as
    they were. A single time that cannot be converted (not finite, a sentinel, UTC outside its
    table) becomes NaN with the flag BAD_TIME. The batch's ``meta`` says what the times are now,
    so a second application changes nothing. Columns of epochs in ``objects`` are left alone.

    References
    ----------
    .. [1] Eastman, Siverd & Gaudi 2010, PASP 122, 935, doi:10.1086/655938
    """

    needs = Needs(single_band=False)
    example = {"system": "MJD UTC"}  # noqa: RUF012

    def __init__(
        self,
        system: str | None = None,
        scale: str | None = None,
        site: str | tuple[float, float, float] | None = None,
        reference: float | None = None,
        ra: str = "ra",
        dec: str = "dec",
        on_bad: OnBad = "raise",
    ) -> None:
        self.system = system
        self.scale = scale
        self.site = site
        self.reference = reference
        self.ra = ra
        self.dec = dec
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = []
        try:
            parse_time_system(self.system or "JD", self.scale)
        except ConfigError as mistake:
            wrong.append(str(mistake))
        try:
            if self.site is not None:
                find_site(self.site)
        except ConfigError as mistake:
            wrong.append(str(mistake))
        if self.reference is not None and not np.isfinite(self.reference):
            wrong.append(f"reference must be a Julian date, got {self.reference!r}")
        if wrong:
            raise ConfigError("ToBarycentric: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        system = self._system(batch)
        star = np.zeros((batch.n_curves, 3))
        if system.origin != "barycentre":
            batch, star = self._placed(batch)
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
        site = None if self.site is None else find_site(self.site)
        shift, code = time_shift(batch.time, system, curve, star, site)
        reference = system.zero if self.reference is None else float(self.reference)
        scale = f"{NAMED.get(reference, f'BJD-{reference!r}')} TDB"
        result = batch.with_columns(
            time=(system.zero - reference) + batch.time + shift,
            flags=np.where(code > 0, batch.flags | np.uint32(PointFlag.BAD_TIME), batch.flags),
            points={"time_given": batch.time},
            meta=replace(batch.meta, time_scale=scale, time_ref=reference),
        )
        why = _hopeless(batch, curve, code)
        return self.refuse(result, why != "", why)

    def _system(self, batch: LightCurveBatch) -> TimeSystem:
        """Time system of the batch, from the settings or what the survey stated."""
        stated, reference = batch.meta.time_scale, batch.meta.time_ref
        text = self.system or stated
        if not text:
            raise DataError(
                "ToBarycentric needs to know what the times are, and the batch does not say; pass "
                "system=, such as 'MJD UTC', 'HJD-2450000 UTC' or 'BJD TDB'"
            )
        try:
            system = parse_time_system(text, self.scale)
        except ConfigError as mistake:
            raise DataError(f"ToBarycentric: {mistake}") from mistake
        require_scale(system, "ToBarycentric", text)
        if reference is None:
            return system
        if self.system and reference != system.zero:
            raise DataError(
                f"ToBarycentric: system={self.system!r} counts from JD {system.zero!r}, but the "
                f"times of the batch ({stated!r}) count from {reference!r}"
            )
        return TimeSystem(reference, system.origin, system.scale)

    def _placed(self, batch: LightCurveBatch) -> tuple[LightCurveBatch, NDArray[np.float64]]:
        """Curves with a position, and their directions."""
        missing = [name for name in (self.ra, self.dec) if name not in batch.objects]
        if missing:
            raise DataError(
                f"ToBarycentric needs the column {missing[0]!r} per object, but the batch has "
                f"{', '.join(sorted(batch.objects))}; name it with ra= and dec="
            )
        try:
            ra, dec = (np.asarray(batch.objects[n], np.float64) for n in (self.ra, self.dec))
        except (TypeError, ValueError) as mistake:
            raise DataError(
                f"ToBarycentric needs degrees in {self.ra!r} and {self.dec!r}: {mistake}"
            ) from mistake
        good = is_position(ra, dec)
        batch = self.refuse(batch, ~good, "a position (finite ra, dec from -90 to 90 degrees)")
        return batch, directions(ra[good], dec[good])


def _hopeless(
    batch: LightCurveBatch, curve: NDArray[np.int64], code: NDArray[np.int8]
) -> NDArray[np.object_]:
    """Why curves cannot be served that have points, but no time that could be converted."""
    total = np.diff(batch.offsets)
    lost = (np.bincount(curve[code > 0], minlength=batch.n_curves) == total) & (total > 0)
    why = np.full(batch.n_curves, "", dtype=object)
    text = reasons()
    for i in np.flatnonzero(lost):
        first = int(batch.offsets[i])
        why[i] = f"{text[code[first]]}, has {batch.time[first]:.10g}"
    return why
