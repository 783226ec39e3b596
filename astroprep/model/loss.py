"""What training minimises: weights of classes, focal loss, soft targets of a teacher."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from astroprep.errors import DataError
from astroprep.model.settings import TrainingArrays, TrainSettings

__all__ = ["Side", "class_weights", "effective_weights"]


def class_weights(label: NDArray[np.int64], n_classes: int, power: float) -> NDArray[np.float64]:
    """Weight of each class in the loss: its share to the power of minus `power`.

    Parameters
    ----------
    label : int64 array, shape (n_objects,)
        Class codes.
    n_classes : int
        Number of classes.
    power : float
        0 for none, 1 for equal total weight of every class. The priors that the network
        learns are the shares to the power ``1 - power``.

    Returns
    -------
    float64 array, shape (n_classes,)
        Mean 1 over the objects; 0 for a class without any.
    """
    count = np.bincount(label, minlength=n_classes).astype(np.float64)
    weight = np.zeros(n_classes)
    weight[count > 0] = count[count > 0] ** -power
    return np.asarray(weight * (count.sum() / (weight * count).sum()))


def effective_weights(label: NDArray[np.int64], n_classes: int, beta: float) -> NDArray[np.float64]:
    """Weight of each class by its effective number of objects.

    Parameters
    ----------
    label : int64 array, shape (n_objects,)
        Class codes.
    n_classes : int
        Number of classes.
    beta : float
        From 0 (all weights equal) towards 1 (inverse to the counts).

    Returns
    -------
    float64 array, shape (n_classes,)
        ``(1 - beta) / (1 - beta**n)`` for n objects, scaled to mean 1 over the objects; 0 for a
        class without any.

    References
    ----------
    .. [1] Cui et al. 2019, "Class-balanced loss", equation 2, arXiv:1901.05555
    """
    count = np.bincount(label, minlength=n_classes).astype(np.float64)
    weight = np.zeros(n_classes)
    there = count > 0
    weight[there] = (1.0 - beta) / -np.expm1(count[there] * np.log(beta)) if beta else 1.0
    return np.asarray(weight * (count.sum() / (weight * count).sum()))


class Side:
    """The arrays of one side (training or validation) as tensors, and the loss on them.

    Parameters
    ----------
    arrays : TrainingArrays
        Of both sides: class weights come from the objects that are learned.
    rows : bool array, shape (n_objects,)
        The side.
    settings : TrainSettings
        Says which loss.
    n_classes : int
        Number of classes.

    Raises
    ------
    DataError
        If there are more classes in the labels or fewer in the teacher than the network has.
    """

    def __init__(
        self,
        arrays: TrainingArrays,
        rows: NDArray[np.bool_],
        settings: TrainSettings,
        n_classes: int,
    ) -> None:
        if len(arrays.label) and arrays.label.max() >= n_classes:
            raise DataError(
                f"the network has {n_classes} classes, but there is a label {arrays.label.max()}"
            )
        device = torch.device(settings.device)
        self.rows = np.flatnonzero(rows)
        self.folded = torch.tensor(arrays.folded[rows], device=device)  # (curve, channel, phase)
        self.auxiliary = torch.tensor(arrays.auxiliary[rows], device=device)  # (curve, auxiliary)
        self.label = torch.tensor(arrays.label[rows], device=device)  # (curve,)
        self.settings = settings
        smooth = settings.label_smoothing
        one_hot = functional.one_hot(self.label, n_classes).float()
        self.target = one_hot * (1 - smooth) + smooth / n_classes  # (curve, class)
        self.soft: torch.Tensor | None = None
        if settings.distillation:
            self.soft = self._soft(arrays, rows, n_classes)
        learned = arrays.label[~arrays.is_validation]
        by_class = (
            effective_weights(learned, n_classes, settings.effective_number)
            if settings.effective_number
            else class_weights(learned, n_classes, settings.class_power)
        )
        weight = by_class[arrays.label[rows]]
        if arrays.weight is not None:
            weight = weight * arrays.weight[rows]
        self.weight = torch.tensor(weight, dtype=torch.float32, device=device)  # (curve,)

    def _soft(
        self, arrays: TrainingArrays, rows: NDArray[np.bool_], n_classes: int
    ) -> torch.Tensor:
        if arrays.teacher is None:
            raise DataError("distillation needs the probabilities of a teacher: arrays.teacher")
        if arrays.teacher.shape[1:] != (n_classes,):
            raise DataError(
                f"the teacher gives {arrays.teacher.shape[1:]} numbers an object, the network has "
                f"{n_classes} classes"
            )
        teacher = torch.tensor(arrays.teacher[rows], dtype=torch.float32, device=self.label.device)
        logit = torch.log(teacher.clamp_min(1e-7))
        return torch.softmax(logit / self.settings.distillation_temperature, dim=1)

    def __len__(self) -> int:
        return int(self.label.shape[0])

    def loss(self, logits: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        """Mean loss of some objects, weighted by class.

        Parameters
        ----------
        logits : float tensor, shape (n_rows, n_classes)
            Of the network; the loss is taken in float32.
        rows : int64 tensor or slice
            Objects of this side.

        Returns
        -------
        float32 tensor, scalar
            ``(1 - s) focal + s T² CE(teacher_T, network_T)`` for a share s of distillation; the
            square keeps the gradients of both parts alike at any temperature T.

        References
        ----------
        .. [1] Lin et al. 2017, "Focal loss", equation 5, arXiv:1708.02002
        .. [2] Hinton, Vinyals & Dean 2015, section 2, arXiv:1503.02531
        """
        settings, logits = self.settings, logits.float()
        log_p = torch.log_softmax(logits, dim=1)  # (curve, class)
        factor = (1.0 - log_p.exp()) ** settings.focus if settings.focus else 1.0
        loss = -(self.target[rows] * factor * log_p).sum(dim=1)  # (curve,)
        if self.soft is not None:
            temperature = settings.distillation_temperature
            softened = torch.log_softmax(logits / temperature, dim=1)
            soft = -(self.soft[rows] * softened).sum(dim=1) * temperature**2
            loss = (1 - settings.distillation) * loss + settings.distillation * soft
        return (loss * self.weight[rows]).mean()
