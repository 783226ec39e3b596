"""`FireNetClassifier`: the network behind scikit-learn's fit and predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import tempered_priors
from astroprep.model.evaluate import split_validation
from astroprep.model.firenet import PRESETS, build_network, firenet_spec, fold_batchnorm
from astroprep.model.outputs import COVERAGE, Outputs
from astroprep.model.parallel import fit_parallel
from astroprep.model.priors import PriorEstimate, check_shares, estimate_shares
from astroprep.model.refold import AugmentSettings, Refold
from astroprep.model.settings import Precision
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    predict_logits,
)
from astroprep.model.unknown import UnknownScore
from astroprep.represent import AuxiliaryScale, FoldedChannels

__all__ = ["FireNetClassifier", "training_arrays"]


def training_arrays(
    batch: LightCurveBatch,
    label: NDArray[np.object_],
    is_validation: NDArray[np.bool_],
    *,
    limit: float = 5.0,
) -> tuple[TrainingArrays, AuxiliaryScale, list[str]]:
    """Arrays to train on, the scale of their auxiliaries, and the classes.

    Parameters
    ----------
    batch : LightCurveBatch
        With ``objects["folded"]`` and, if there are auxiliaries, ``objects["features"]``.
    label : object array of str, shape (n_curves,)
        A class for every curve.
    is_validation : bool array, shape (n_curves,)
        True for objects that only steer. The scale is learned from the others.
    limit : float, default 5.0
        Of `AuxiliaryScale`.

    Returns
    -------
    arrays : TrainingArrays
        In the order of the batch.
    scale : AuxiliaryScale
        To be applied to new features.
    classes : list of str
        Sorted; the label codes index it.

    Raises
    ------
    DataError
        If the batch has no folded channels.
    """
    folded, features = _inputs(batch)
    names, code = np.unique(label.astype(str), return_inverse=True)
    scale = AuxiliaryScale.fit(features[~is_validation], limit)
    arrays = TrainingArrays(
        folded=folded,
        auxiliary=scale.apply(features),
        label=code.astype(np.int64),
        is_validation=is_validation,
    )
    return arrays, scale, names.tolist()


def _inputs(batch: LightCurveBatch) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    if "folded" not in batch.objects:
        raise DataError(
            "FireNetClassifier needs the column 'folded' per object, but the batch has "
            f"{', '.join(sorted(batch.objects))}; put FoldedChannels before it"
        )
    features = batch.objects.get("features")
    if features is None:
        features = np.empty((batch.n_curves, 0))
    return np.ascontiguousarray(batch.objects["folded"], dtype=np.float32), features


class FireNetClassifier(ClassifierMixin, BaseEstimator):
    """Cyclic network on folded channels and features.

    Parameters
    ----------
    preset : {"nano", "micro", "small", "reference"}, default "small"
        Size, see `firenet_spec`.
    max_epochs, batch_size, learning_rate, weight_decay, class_power, effective_number, focus, \
label_smoothing, averaging, equal_averaging, patience, precision, device, seed, n_threads, \
processes, parallel
        As in `TrainSettings`; the seed also makes the initial weights and the split. With
        several processes every batch is divided among them, by default its objects.
    n_periods : int, default 1
        Periods that the light curves are folded at: 1 + ``n_candidates`` of `FoldedChannels`.
    augment : AugmentSettings, optional
        Change and fold the light curves anew for every epoch; their folds must come from `fold`.
    fold : FoldedChannels, optional
        Step that made ``objects["folded"]``; needed to augment.
    validation_fraction : float, default 0.15
        Share of each class that steers the training and fits calibration, conformal scores and
        the threshold of the unknown.
    prior_power : float, default 0.0
        Priors of the probabilities, and so of the predicted class: 0 those of the labelled
        stars, as ``astroprep run`` has them, 1 equal ones, see `tempered_priors`.
    false_unknown_rate : float, default 0.02
        Share of stars of known classes that may be called unknown.

    Attributes
    ----------
    classes_ : object array
        Labels that were learned, sorted as text.
    net_ : FireNet
        Trained, batch norm folded.
    scale_ : AuxiliaryScale
        Of the features.
    outputs_ : Outputs
        Calibration, conformal sets and the unknown score.
    temperature_ : float
        Divides the logits.
    learned_priors_, priors_ : float64 array, shape (n_classes,)
        Priors that the network learned (`tempered_priors` of ``class_power``) and those of
        ``predict_proba`` (of ``prior_power``).
    history_ : History
        Epoch by epoch.
    """

    def __init__(
        self,
        preset: str = "small",
        max_epochs: int = 20,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        class_power: float = 0.5,
        effective_number: float = 0.0,
        focus: float = 0.0,
        label_smoothing: float = 0.0,
        averaging: float = 0.998,
        equal_averaging: float = 0.0,
        patience: int = 10,
        precision: Precision = "float32",
        device: str = "cpu",
        n_periods: int = 1,
        augment: AugmentSettings | None = None,
        fold: FoldedChannels | None = None,
        validation_fraction: float = 0.15,
        prior_power: float = 0.0,
        false_unknown_rate: float = 0.02,
        seed: int = 0,
        n_threads: int = 2,
        processes: int = 1,
        parallel: str = "data",
    ) -> None:
        self.preset = preset
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_power = class_power
        self.effective_number = effective_number
        self.focus = focus
        self.label_smoothing = label_smoothing
        self.averaging = averaging
        self.equal_averaging = equal_averaging
        self.patience = patience
        self.precision = precision
        self.device = device
        self.n_periods = n_periods
        self.augment = augment
        self.fold = fold
        self.validation_fraction = validation_fraction
        self.prior_power = prior_power
        self.false_unknown_rate = false_unknown_rate
        self.seed = seed
        self.n_threads = n_threads
        self.processes = processes
        self.parallel = parallel

    def settings(self) -> TrainSettings:
        """Parameters that say how to train.

        Raises
        ------
        ConfigError
            If one is out of its range.
        """
        names = {f.name for f in fields(TrainSettings)} & set(self.get_params())
        return TrainSettings(**{name: getattr(self, name) for name in names})

    def fit(
        self,
        batch: LightCurveBatch,
        y: Sequence[str] | NDArray[np.object_] | None = None,
        *,
        is_validation: NDArray[np.bool_] | None = None,
        progress: Callable[[dict[str, float]], None] | None = None,
        checkpoint: Path | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        batch : LightCurveBatch
            With ``objects["folded"]`` and, where wanted, ``objects["features"]``. Curves
            without a label teach nothing. Curves that share ``objects["group"]``, where that
            column is there, stay on one side of the validation split.
        y : sequence of str, optional
            Labels; ``objects["label"]`` by default.
        is_validation : bool array, shape (n_curves,), optional
            Which objects only steer; chosen by `split_validation` by default.
        progress, checkpoint
            As in `fit_parallel`.

        Raises
        ------
        ConfigError
            If a parameter is out of its range.
        ProcessError
            If one of several processes was killed, failed or fell silent.
        DataError
            If labels or folded channels are missing, or there are fewer than two classes.
        """
        settings = self.settings()
        if self.preset not in PRESETS:
            raise ConfigError(f"unknown preset {self.preset!r}; there are {', '.join(PRESETS)}")
        if not 0 <= self.prior_power <= 1:
            raise ConfigError(f"prior_power must be from 0 to 1, got {self.prior_power!r}")
        if y is None and "label" not in batch.objects:
            raise DataError("FireNetClassifier needs labels: pass y or a column 'label'")
        given = batch.objects["label"] if y is None else np.asarray(y, dtype=object).ravel()
        if given.size != batch.n_curves:
            raise DataError(
                f"FireNetClassifier got {given.size} labels for {batch.n_curves} curves; where "
                "steps before it reject, leave y out: objects['label'] travels with the curves"
            )
        # none, "" and NaN are no label; 0 is one
        labelled = np.array([v is not None and v != "" and v == v for v in given.tolist()], bool)
        batch, label = batch[labelled], given[labelled]
        if len(set(label.tolist())) < 2:
            raise DataError(
                f"FireNetClassifier needs two classes at least, got {sorted(set(label.tolist()))} "
                f"on {label.size} labelled curves"
            )
        names, count = np.unique(label.astype(str), return_counts=True)
        if count.min() < settings.min_class_objects:
            raise DataError(
                f"FireNetClassifier needs {settings.min_class_objects} curves of every class at "
                f"least, but {str(names[count.argmin()])!r} has {count.min()}; merge it with "
                "another class, or leave its label empty"
            )
        if is_validation is None:
            is_validation = split_validation(
                label,
                batch.objects.get("group"),
                fraction=self.validation_fraction,
                seed=self.seed,
            )
        else:
            is_validation = np.asarray(is_validation, dtype=bool)[labelled]
        arrays, self.scale_, classes = training_arrays(batch, label, is_validation)
        spec = firenet_spec(
            self.preset,
            n_channels=arrays.folded.shape[1],
            n_bins=arrays.folded.shape[2],
            n_auxiliary=self.scale_.n_auxiliary,
            n_classes=len(classes),
            n_periods=self.n_periods,
        )
        net = build_network(spec, self.seed)
        self.history_ = fit_parallel(
            net,
            arrays,
            settings,
            augment=self._refold(batch, arrays),
            progress=progress,
            checkpoint=checkpoint,
        )
        self.net_ = fold_batchnorm(net)
        values = {str(value): value for value in label.tolist()}
        self.classes_ = np.array([values[name] for name in classes], dtype=object)
        learned = arrays.label[~is_validation]
        weight = class_weights(learned, len(classes), self.class_power)
        count = np.bincount(learned, minlength=len(classes))
        self.learned_priors_ = tempered_priors(count, self.class_power)
        self.priors_ = tempered_priors(count, self.prior_power)
        self._fit_outputs(arrays, weight)
        return self

    def _fit_outputs(self, arrays: TrainingArrays, weight: NDArray[np.float64]) -> None:
        """Calibrate on the validation objects; take the look of the known from the others."""
        check, code = arrays.is_validation, arrays.label
        logits = predict_logits(self.net_, arrays.folded[check], arrays.auxiliary[check])
        outputs = Outputs.fit(logits, code[check], self.learned_priors_, weight)
        unknown = UnknownScore.fit(
            arrays.auxiliary[~check],
            code[~check],
            logits,
            arrays.auxiliary[check],
            n_classes=len(self.classes_),
            false_unknown_rate=self.false_unknown_rate,
        )
        self.outputs_ = replace(outputs, unknown=unknown)
        self.temperature_ = outputs.temperature
        self._validation = outputs.calibrated(logits), code[check]

    def _refold(self, batch: LightCurveBatch, arrays: TrainingArrays) -> Refold | None:
        if self.augment is None:
            return None
        if self.fold is None:
            raise ConfigError("FireNetClassifier needs the step that folded the curves to augment")
        made = Refold.of_batch(batch, arrays.label, self.fold, self.augment)
        if not np.array_equal(made.plain(np.arange(min(batch.n_curves, 8))), arrays.folded[:8]):
            raise ConfigError(
                "FireNetClassifier: objects['folded'] was not made by the step given as fold"
            )
        return made

    def predict_logits(self, batch: LightCurveBatch) -> NDArray[np.float32]:
        """Logits before temperature and priors, float32, shape (n_curves, n_classes)."""
        check_is_fitted(self, "net_")
        folded, features = _inputs(batch)
        return predict_logits(self.net_, folded, self.scale_.apply(features))

    def predict_proba(
        self, batch: LightCurveBatch, shares: Mapping[str, float] | None = None
    ) -> NDArray[np.float64]:
        """Calibrated probabilities.

        Parameters
        ----------
        batch : LightCurveBatch
            As for `fit`.
        shares : mapping of class to float, optional
            Class shares of the sample, such as `estimate_priors` finds; `priors_` by default.

        Returns
        -------
        float64 array, shape (n_curves, n_classes)
            Rows sum to 1.

        Raises
        ------
        ConfigError
            If a class has no share, or they do not sum to 1.
        """
        logits, wanted = self.predict_logits(batch), self.priors_
        if shares is not None:
            wanted = check_shares(shares, self.classes_.tolist(), "predict_proba")
        return self.outputs_.probabilities(logits, wanted)

    def estimate_priors(self, batch: LightCurveBatch) -> PriorEstimate:
        """Class shares of unlabelled curves with standard errors, see `estimate_shares`.

        Raises
        ------
        DataError
            If there are too few curves, or classes that cannot be told apart.
        """
        p = self.outputs_.calibrated(self.predict_logits(batch))
        validation, code = self._validation
        return estimate_shares(p, self.learned_priors_, validation=validation, code=code)

    def predict_set(self, batch: LightCurveBatch, coverage: float = COVERAGE) -> NDArray[np.bool_]:
        """Conformal sets: which classes each holds, bool, shape (n_curves, n_classes).

        Parameters
        ----------
        batch : LightCurveBatch
            As for `fit`.
        coverage : float, default 0.9
            Probability that the set holds the true class, within each class that has thirty
            validation objects or more, and within the others together.

        Raises
        ------
        DataError
            If there were no validation objects.
        ConfigError
            If the coverage is not between 0 and 1.
        """
        return self.outputs_.sets(self.predict_logits(batch), coverage, self.priors_)

    def unknown_score(self, batch: LightCurveBatch) -> NDArray[np.float64]:
        """How unlike the training stars each curve is, float64, shape (n_curves,)."""
        logits = self.predict_logits(batch)
        return self._unknown().score(logits, self.scale_.apply(_inputs(batch)[1]))

    def is_unknown(self, batch: LightCurveBatch) -> NDArray[np.bool_]:
        """True where `unknown_score` is above its threshold, shape (n_curves,)."""
        return self._unknown().is_unknown(self.unknown_score(batch))

    def _unknown(self) -> UnknownScore:
        check_is_fitted(self, "outputs_")
        if self.outputs_.unknown is None:
            raise DataError("FireNetClassifier has learned no unknown score; fit it again")
        return self.outputs_.unknown

    def predict(self, batch: LightCurveBatch) -> NDArray[Any]:
        """Class of highest probability, one of `classes_`, object array, shape (n_curves,)."""
        best = self.predict_proba(batch).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def score(
        self,
        batch: LightCurveBatch,
        y: Sequence[str] | NDArray[np.object_] | None = None,
        sample_weight: NDArray[np.floating[Any]] | None = None,
    ) -> float:
        """Share of the labelled objects that are predicted right.

        Parameters
        ----------
        batch : LightCurveBatch
            As for `fit`.
        y : sequence of str, optional
            Labels; by default ``objects["label"]``, and then a labelled object that a step
            rejected counts as wrong.
        sample_weight : float array, shape (n_curves,), optional
            Goes with `y`.

        Raises
        ------
        DataError
            If labels are missing, or are not as many as the curves.
        """
        if y is not None and len(y) == batch.n_curves:
            return float(super().score(batch, y, sample_weight))
        if y is not None or sample_weight is not None or "label" not in batch.objects:
            raise DataError(
                f"FireNetClassifier.score needs the label of each of {batch.n_curves} curves, in "
                "y or as objects['label']; where steps before it reject, leave y out, as in "
                "GridSearchCV(...).fit(batch)"
            )
        label = batch.objects["label"]
        known = label != ""
        n_objects = int(known.sum()) + int((batch.rejected.label != "").sum())
        if not n_objects:
            raise DataError("FireNetClassifier.score needs an object with a label, there is none")
        return int((self.predict(batch)[known] == label[known]).sum()) / n_objects
