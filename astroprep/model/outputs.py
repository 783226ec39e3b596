"""From logits to what is said of an object: probabilities, sets of classes, known or not.

Free of torch: training fits this once, the bundle carries it as plain values, and the deployed
classifier applies the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.model.calibrate import correct_priors, softmax
from astroprep.model.conformal import Conformal
from astroprep.model.isotonic import Isotonic, choose_calibration
from astroprep.model.unknown import UnknownScore

__all__ = ["COVERAGE", "Outputs"]

COVERAGE = 0.9
"""Probability that a conformal set holds the true class, where nothing else is asked for."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """What turns logits into honest answers.

    The decision rule, for every prediction and every measure: the class of highest calibrated
    probability under the stated class shares.

    Parameters
    ----------
    learned : float64 array, shape (n_classes,)
        Class shares that the logits assume.
    temperature : float, default 1.0
        Divides the logits.
    isotonic : Isotonic, optional
        Applied to the tempered probabilities.
    conformal : Conformal, optional
        Fitted on calibrated probabilities under `learned`.
    unknown : UnknownScore, optional
        Fitted on auxiliaries.
    """

    learned: NDArray[np.float64]
    temperature: float = 1.0
    isotonic: Isotonic | None = None
    conformal: Conformal | None = None
    unknown: UnknownScore | None = None

    @classmethod
    def fit(
        cls,
        logits: NDArray[np.floating[Any]],
        code: NDArray[np.integer[Any]],
        learned: NDArray[np.floating[Any]],
        weight: NDArray[np.floating[Any]],
    ) -> Self:
        """Calibrate on validation objects; without any nothing is calibrated.

        Parameters
        ----------
        logits : float array, shape (n_objects, n_classes)
            Of objects that the network did not learn, finite.
        code : int array, shape (n_objects,)
            Their classes.
        learned : float array, shape (n_classes,)
            Class shares that the network learned.
        weight : float array, shape (n_classes,)
            Of each class, as in training.

        Notes
        -----
        Adaptive sets are the ones whose coverage was nearest to the stated one in every group of
        classes over divisions of validation stars (`benchmarks/classify_honest.py`).

        Conformal scores are taken from the same objects as the calibration. It moves all
        objects by a few numbers alike, so what that costs in coverage is far below what the
        number of objects costs; `benchmarks/classify_honest.py` measures coverage on others.
        """
        prior = np.asarray(learned, dtype=np.float64)
        if not len(code):
            return cls(prior)
        y = np.asarray(code, dtype=np.int64)
        temperature, isotonic = choose_calibration(logits, y, np.asarray(weight)[y])
        plain = cls(prior, temperature, isotonic)
        return cls(
            prior, temperature, isotonic, Conformal.fit(plain.calibrated(logits), y, score="aps")
        )

    def calibrated(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Calibrated probabilities under the learned class shares, shape (n, n_classes)."""
        p = softmax(logits, self.temperature)
        return p if self.isotonic is None else self.isotonic.apply(p)

    def probabilities(
        self,
        logits: NDArray[np.floating[Any]],
        shares: NDArray[np.floating[Any]] | None = None,
    ) -> NDArray[np.float64]:
        """Calibrated probabilities under stated class shares.

        Parameters
        ----------
        logits : float array, shape (n_objects, n_classes)
            Of the network.
        shares : float array, shape (n_classes,), optional
            The learned ones by default.

        Returns
        -------
        float64 array, shape (n_objects, n_classes)
            Rows sum to 1.
        """
        p = self.calibrated(logits)
        return p if shares is None else correct_priors(p, self.learned, shares)

    def sets(
        self,
        logits: NDArray[np.floating[Any]],
        coverage: float = COVERAGE,
        shares: NDArray[np.floating[Any]] | None = None,
    ) -> NDArray[np.bool_]:
        """Which classes belong to the conformal set of each object.

        Parameters
        ----------
        logits : float array, shape (n_objects, n_classes)
            Of the network.
        coverage : float, default 0.9
            Probability that the set holds the true class.
        shares : float array, shape (n_classes,), optional
            Class shares of the sample, see `Conformal`.

        Returns
        -------
        bool array, shape (n_objects, n_classes)
            A set may be empty.

        Raises
        ------
        DataError
            If nothing was calibrated.
        ConfigError
            If the coverage is not between 0 and 1.
        """
        if self.conformal is None:
            raise DataError("conformal sets need validation objects, and this bundle saw none")
        return self.conformal.contains(self.calibrated(logits), coverage, shares)

    def to_state(self) -> dict[str, Any]:
        """Plain values beyond temperature and learned shares, which a bundle has anyway."""
        parts = {name: getattr(self, name) for name in ("isotonic", "conformal", "unknown")}
        return {name: part.to_state() for name, part in parts.items() if part is not None}

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], temperature: float, learned: NDArray[np.floating[Any]]
    ) -> Self:
        """Take up what `to_state` gave; nothing of it need be there.

        Raises
        ------
        DataError
            If a part is damaged.
        """
        n = len(learned)
        made: dict[str, Any] = {}
        for name, kind in (
            ("isotonic", Isotonic),
            ("conformal", Conformal),
            ("unknown", UnknownScore),
        ):
            if name in state:
                if not isinstance(state[name], Mapping):
                    raise DataError(f"{name} must be a table, is a {type(state[name]).__name__}")
                made[name] = kind.from_state(state[name], n)
        return cls(np.asarray(learned, dtype=np.float64), temperature, **made)
