"""Points of training curves on disk, from which they are folded anew for every epoch."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced
from astroprep.model.refold import AugmentSettings, Refold
from astroprep.model.settings import TrainingArrays
from astroprep.represent import FoldedChannels

__all__ = ["load_refold", "save_points"]

POINTS = ("time", "value", "error", "trust")
PROBED = 64  # curves that are folded again to see that these are the points the folds came from


def save_points(
    path: Path, batch: LightCurveBatch, steps: Sequence[Transformer], is_learned: NDArray[np.bool_]
) -> None:
    """Store the usable points of some curves of a prepared batch.

    Parameters
    ----------
    path : Path
        An npz file, which appears whole.
    batch : LightCurveBatch
        Behind all `steps`, among them `FoldedChannels`.
    steps : sequence of Transformer
        Of the recipe.
    is_learned : bool array, shape (n_rows_of_input,)
        Rows of the input whose curves are stored.
    """
    kept = batch[is_learned[batch.objects["row"]]]
    usable = kept.usable
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            time=usable.time,
            value=usable.value,
            error=usable.error,
            trust=kept.weight[usable.index],
            count=usable.counts(),
            row=kept.objects["row"],
            period=_fold_step(steps).periods(kept),
            sign=-1.0 if batch.meta.quantity == "mag" else 1.0,
        )


def load_refold(
    paths: Sequence[Path],
    row: NDArray[np.int64],
    arrays: TrainingArrays,
    steps: Sequence[Transformer],
    settings: AugmentSettings,
) -> Refold:
    """What folds the training curves anew.

    Parameters
    ----------
    paths : sequence of Path
        Written by `save_points`, in the order of the input.
    row : int64 array, shape (n_objects,)
        Row in the input of every object of `arrays`, ascending. Validation objects have no
        points here and are never asked for.
    arrays : TrainingArrays
        What is learned from.
    steps : sequence of Transformer
        Of the recipe.
    settings : AugmentSettings
        How curves are changed.

    Raises
    ------
    ConfigError
        If the points do not give the folds: a step behind `FoldedChannels` changed them.
    DataError
        If a file is missing or damaged.
    """
    parts = [_read(path) for path in paths]
    stored = np.concatenate([part["row"] for part in parts])
    stored_count = np.concatenate([part["count"] for part in parts])
    known = np.isin(stored, row)  # a class may have been left out since
    place = np.searchsorted(row, stored[known])
    count = np.zeros(row.size, np.int64)
    count[place] = stored_count[known]
    is_point = np.repeat(known, stored_count)
    stored_period = np.concatenate([part["period"] for part in parts])
    period = np.zeros((row.size, stored_period.shape[1]))
    period[place] = stored_period[known]
    points = {name: np.concatenate([part[name] for part in parts])[is_point] for name in POINTS}
    refold = Refold(
        **points,
        offsets=np.concatenate([[0], np.cumsum(count)]),
        period=period,
        label=arrays.label,
        sign=float(parts[0]["sign"]),
        layout=_fold_step(steps).layout(),
        settings=settings,
    )
    few = np.flatnonzero(~arrays.is_validation)[:PROBED]
    if not np.array_equal(refold.plain(few), arrays.folded[few]):
        raise ConfigError(
            "[training.augment] needs the points that FoldedChannels folded, but a step behind it "
            "changed them; let FoldedChannels be the last step"
        )
    return refold


def _fold_step(steps: Sequence[Transformer]) -> FoldedChannels:
    """The step whose folds the network sees; `Prepared` was made, so there is one."""
    return next(step for step in reversed(steps) if isinstance(step, FoldedChannels))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    damaged = DataError(f"{path} is damaged; pass --restart to begin anew")
    if not zipfile.is_zipfile(path):  # missing or cut short; numpy would leave it open
        raise damaged
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (*POINTS, "count", "row", "period", "sign")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise damaged from error
