"""Light curves of objects out of their observations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.nightly.objects import fingerprints
from astroprep.nightly.rows import DETECTION, FORCED, SurveyAlerts

__all__ = ["Histories", "object_histories"]

SAME_EXPOSURE = 1e-4  # days; 9 s, below any exposure, above the light time of two positions


@dataclass(frozen=True, eq=False)
class Histories:
    """Everything measured of some objects.

    Parameters
    ----------
    batch : LightCurveBatch
        One curve an object, all bands, by object and time; observations that were withdrawn are
        not in it. An object may have no points left.
    pixels : list of list of int
        HEALPix pixels that the observations of each lie in.
    fingerprint : int64 array, shape (n_objects,)
        See `fingerprints`; 0 without points.
    """

    batch: LightCurveBatch
    pixels: list[list[int]]
    fingerprint: NDArray[np.int64]


def object_histories(rows: pa.Table, names: pa.Array, survey: SurveyAlerts) -> Histories:
    """Histories of objects.

    Parameters
    ----------
    rows : pyarrow.Table
        Their observations as they stand, by object and time: `Merged.current`.
    names : pyarrow.Array of str
        The objects, ascending; rows of others are left out.
    survey : SurveyAlerts
        Whose.

    Notes
    -----
    Where forced photometry of an exposure is there and good, the detection in the same exposure
    is flagged ``DUPLICATE``: both measure the same photons.
    """
    place = pc.index_in(rows["object_id"], value_set=names)
    belongs = pc.and_(pc.is_valid(place), pc.invert(rows["withdrawn"]))
    everything = pc.is_valid(place).to_numpy(zero_copy_only=False)
    pixel = rows["pixel"].to_numpy()[everything]
    code_all = place.drop_null().to_numpy()
    rows, code = rows.filter(belongs), place.filter(belongs).to_numpy().astype(np.int64)
    n = len(names)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=n))))
    column = {
        name: rows[name].to_numpy(zero_copy_only=False)
        for name in ("time", "value", "error", "flags", "kind", "source_id", "ra", "dec")
    }
    band = _band_codes(rows["band"], survey.bands)
    flags = column["flags"].astype(np.uint32)
    flags[_repeated(code, column["time"], band, column["kind"], flags)] |= np.uint32(
        PointFlag.DUPLICATE
    )
    ra, dec = _positions(code, column, n)
    batch = LightCurveBatch(
        time=column["time"],
        value=column["value"],
        error=column["error"],
        offsets=offsets,
        flags=flags,
        band=band,
        objects={"id": names.to_numpy(zero_copy_only=False), "ra": ra, "dec": dec},
        meta=Meta(
            survey=survey.name,
            quantity=survey.quantity,
            unit=survey.unit,
            time_scale="BJD TDB",
            time_ref=2400000.5,
            bands=("", *survey.bands),
        ),
    )
    some = np.flatnonzero(np.diff(offsets))
    mark = np.zeros(n, np.int64)
    mark[some] = fingerprints(
        offsets[some], column["source_id"], column["value"], column["error"], column["flags"]
    )
    return Histories(batch, _pixels(code_all, pixel, n), mark)


def _band_codes(names: pa.ChunkedArray, bands: tuple[str, ...]) -> NDArray[np.int16]:
    """Code of each band, 0 for one that is not known."""
    found = pc.index_in(names, value_set=pa.array(bands))
    return np.asarray(pc.fill_null(found, -1).to_numpy() + 1, np.int16)


def _repeated(
    code: NDArray[np.int64],
    time: NDArray[np.float64],
    band: NDArray[np.int16],
    kind: NDArray[np.int8],
    flags: NDArray[np.uint32],
) -> NDArray[np.int64]:
    """Detections beside good forced photometry of the same exposure."""
    if code.size < 2:
        return np.empty(0, np.int64)
    pair = (code[1:] == code[:-1]) & (band[1:] == band[:-1]) & (kind[1:] != kind[:-1])
    pair &= np.diff(time) < SAME_EXPOSURE
    first = np.flatnonzero(pair)
    detection = np.where(kind[first] == DETECTION, first, first + 1)
    forced = np.where(kind[first] == FORCED, first, first + 1)
    return np.asarray(detection[flags[forced] == 0], np.int64)


def _positions(
    code: NDArray[np.int64], column: dict[str, NDArray[np.float64]], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean position of each object, degrees; NaN without points."""
    ra, dec = np.deg2rad(column["ra"]), np.deg2rad(column["dec"])
    vectors = (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))
    x, y, z = (np.bincount(code, weights=v, minlength=n) for v in vectors)
    lost = np.bincount(code, minlength=n) == 0
    right = np.rad2deg(np.arctan2(y, x)) % 360
    up = np.rad2deg(np.arctan2(z, np.hypot(x, y)))
    return np.where(lost, np.nan, right), np.where(lost, np.nan, up)


def _pixels(code: NDArray[np.int64], pixel: NDArray[np.int32], n: int) -> list[list[int]]:
    """Pixels of each object, ascending; rows come by object."""
    new = np.ones(code.size, bool)  # few rows change pixel, and only those are sorted
    new[1:] = (code[1:] != code[:-1]) | (pixel[1:] != pixel[:-1])
    word = np.unique((code[new].astype(np.int64) << 32) + (pixel[new].astype(np.int64) + (1 << 31)))
    parts = np.split((word & 0xFFFFFFFF) - (1 << 31), np.searchsorted(word >> 32, np.arange(1, n)))
    return [part.tolist() for part in parts][:n]
