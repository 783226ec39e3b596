"""Who learns, who steers, who measures: the split by object."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.integrate.redundancy import twins
from astroprep.model.evaluate import split_validation
from astroprep.pipeline.predictions import SETS_JOINED_BY
from astroprep.pipeline.recipe import SplitTable

__all__ = ["Roles", "assign_roles"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Roles:
    """What each object of the input is for.

    Parameters
    ----------
    role : object array of str, shape (n_objects,)
        ``"train"``, ``"validation"``, ``"test"`` or ``""`` (predicted only).
    classes : list of str
        Labels in training, sorted.
    notes : dict of str to int
        What was set aside: ``train_twins_of_test`` and ``test_of_unknown_class``.
    """

    role: NDArray[np.object_]
    classes: list[str]
    notes: dict[str, int]


def assign_roles(
    objects: dict[str, NDArray[Any]], settings: SplitTable, seed: int, *, given: bool
) -> Roles:
    """Divide the objects of a survey.

    Parameters
    ----------
    objects : dict of arrays, shape (n_objects,)
        ``label`` and ``id`` (str, ``""`` for none), ``ra`` and ``dec`` (degrees, may be NaN),
        and ``split`` where `given`. A declination beyond 90 degrees, a survey's code for
        "none", counts as not known.
    settings : SplitTable
        Shares and the radius within which two entries are one star.
    seed : int
        Of the random parts.
    given : bool
        Whether ``split`` (``"train"`` or ``"test"``) is obeyed; otherwise objects are
        divided at random, class by class.

    Returns
    -------
    Roles
        Twins never stand on both sides: where a given split has them so, the training twin is
        predicted only. Validation comes out of training.

    Raises
    ------
    DataError
        If nothing, or a single class, is left to train on, or a class has a name with ``|``.
    """
    label = objects["label"]
    labelled = label != ""
    if not labelled.any():
        raise DataError(
            "no object has a label, so there is nothing to learn: name the column with "
            "--label-column, or classify with an existing bundle"
        )
    dec = np.where(np.abs(objects["dec"]) <= 90, objects["dec"], np.nan)
    strange = int((np.isfinite(objects["dec"]) & np.isnan(dec)).sum())
    if strange:
        log.warning("%d declinations beyond 90 degrees, taken as unknown", strange)
    star = twins(objects["ra"], dec, radius=settings.twin_radius, ids=objects["id"])
    role = np.full(label.size, "", dtype=object)
    notes = {"train_twins_of_test": 0, "test_of_unknown_class": 0}
    split = objects.get("split", role)
    if given:
        role[labelled & (split == "test")] = "test"
        train = labelled & (split == "train")
        crossing = train & np.isin(star, star[role == "test"])
        notes["train_twins_of_test"] = int(crossing.sum())
        role[train & ~crossing] = "train"
    else:
        where = np.flatnonzero(labelled)
        tests = split_validation(label[where], star[where], fraction=settings.test, seed=seed)
        role[where] = np.where(tests, "test", "train")
    train = np.flatnonzero(role == "train")
    classes = sorted(set(label[train]))
    if len(classes) < 2:
        raise DataError(
            f"training needs objects of at least two classes, got {classes or 'none'}"
            + (f" with split 'train'; the column holds {_words(split)}" if given else "")
        )
    for name in classes:
        if SETS_JOINED_BY in name:
            raise DataError(
                f"class {name!r} contains {SETS_JOINED_BY!r}, which stands between the classes of "
                "a conformal set; rename the label"
            )
    unknown = (role == "test") & ~np.isin(label, classes)
    notes["test_of_unknown_class"] = int(unknown.sum())
    role[unknown] = ""
    train = _sample(train, label, settings.max_train, seed)
    role[(role == "train") & ~np.isin(np.arange(role.size), train)] = ""
    steering = split_validation(
        label[train], star[train], fraction=settings.validation, seed=seed + 1
    )
    role[train[steering]] = "validation"
    if not (role == "test").any():
        log.warning("no object is left to test with, so nothing will be measured")
    for note, count in notes.items():
        if count:
            log.warning("%d objects set aside: %s", count, note.replace("_", " "))
    return Roles(role=role, classes=classes, notes=notes)


def _words(column: NDArray[np.object_]) -> str:
    """What a column holds, the commonest first."""
    words, counts = np.unique(column.astype(str), return_counts=True)
    most = np.argsort(-counts, kind="stable")[:5]
    return ", ".join(f"{counts[k]} x {str(words[k])!r}" for k in most)


def _sample(
    train: NDArray[np.intp], label: NDArray[np.object_], limit: int, seed: int
) -> NDArray[np.intp]:
    """At most `limit` training objects: rare classes whole, the others cut to one size."""
    if train.size <= limit:
        return train
    rng = np.random.default_rng(seed)
    _, code, counts = np.unique(label[train], return_inverse=True, return_counts=True)
    share = int(limit / counts.size)
    ceiling = int(
        max(share, (limit - counts[counts <= share].sum()) / max((counts > share).sum(), 1))
    )
    order = rng.permutation(train.size)
    rank = np.empty(train.size, np.int64)
    for c in range(counts.size):
        members = order[code[order] == c]
        rank[members] = np.arange(members.size)
    log.warning("learning from a sample of %d of %d training objects", limit, train.size)
    return train[rank < ceiling]
