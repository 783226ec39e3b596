"""`FoldedAutoencoder`: codes of folded light curves from a small network, run without torch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.model.autoencoder_runtime import decode, encode, encoder_input, layer_shapes
from astroprep.optional import need
from astroprep.represent.folded_bins import Align, FoldedBins
from astroprep.represent.folded_components import served_folds

__all__ = ["FoldedAutoencoder"]


class FoldedAutoencoder(Transformer):
    """Add the code of each folded light curve, from an autoencoder learned from a survey.

    Folds, alignment and refusals are those of `FoldedComponents`. ``fit`` trains with torch
    (extra ``train``); ``transform`` and ``reconstruct`` need no more than numpy and numba.

    Parameters
    ----------
    n_code : int, default 6
        Numbers of a curve.
    n_bins : int, default 32
        Bins of the circle; a multiple of 4.
    align : {"faintest", "brightest"}, default "faintest"
        What stands at phase zero, the centre of bin 0.
    min_filled : float, default 0.5
        Share of the bins that must hold a point.
    width : int, default 16
        Channels of the hidden layers.
    max_epochs : int, default 60
        Passes over the curves, at most; it stops early on held-out curves.
    seed : int, default 0
        Of everything random in training.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve that misses the needs.

    Attributes
    ----------
    weights_ : dict of str to float32 array
        Of encoder and decoder, see `layer_shapes`.
    validation_loss_ : float64 array
        Of the held-out curves, by epoch.

    Notes
    -----
    ``transform`` adds, per object: ``folded_code`` (n_curves, n_code); ``folded_code_misfit``, the
    mean square of the observed bins about the reconstruction, weighted by ``1 / (variance +
    0.1)``, in squared robust sigmas; and ``folded_epoch``, ``folded_level``, ``folded_scale`` as of
    `FoldedComponents`. A code has no order, no unit and no error: another seed gives another one.

    References
    ----------
    .. [1] Naul et al. 2018, Nature Astronomy 2, 151, doi:10.1038/s41550-017-0321-z
    """

    needs = Needs(min_points=5, errors=True, objects=("period",))
    example: ClassVar[dict[str, float]] = {"max_epochs": 2, "min_filled": 0.25}
    noise = 0.1  # AutoencoderSettings.noise, in the loss and in the misfit

    def __init__(
        self,
        n_code: int = 6,
        n_bins: int = 32,
        align: Align = "faintest",
        min_filled: float = 0.5,
        width: int = 16,
        max_epochs: int = 60,
        seed: int = 0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_code = n_code
        self.n_bins = n_bins
        self.align = align
        self.min_filled = min_filled
        self.width = width
        self.max_epochs = max_epochs
        self.seed = seed
        self.on_bad = on_bad

    def _check(self) -> None:
        rules = {
            "n_bins": "a multiple of 4, 8 to 1024",
            "n_code": "a whole number, 1 or more and fewer than n_bins",
            "width": "a whole number, 1 to 256",
            "max_epochs": "a whole number, 1 or more",
            "seed": "a whole number, 0 or more",
        }
        n_bins = self.n_bins
        good = {
            "n_bins": n_bins % 4 == 0 and 8 <= n_bins <= 1024,
            "n_code": 1 <= self.n_code < n_bins,
            "width": 1 <= self.width <= 256,
            "max_epochs": self.max_epochs >= 1,
            "seed": 0 <= self.seed < 1 << 63,
        }
        wrong = [
            f"{name} must be {rule}, got {getattr(self, name)!r}"
            for name, rule in rules.items()
            if not good[name] or getattr(self, name) != int(getattr(self, name))
        ]
        if self.align not in ("faintest", "brightest"):
            wrong.append(f"align must be 'faintest' or 'brightest', got {self.align!r}")
        if not 0 < self.min_filled <= 1:
            wrong.append(f"min_filled must be above 0, at most 1, got {self.min_filled!r}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def _folds(self, batch: LightCurveBatch) -> tuple[LightCurveBatch, FoldedBins]:
        least = max(1, round(self.min_filled * self.n_bins))
        return served_folds(self, batch, int(self.n_bins), self.align, least)

    def _fit(self, batch: LightCurveBatch) -> None:
        need("torch", extra="train", who="FoldedAutoencoder.fit")
        from astroprep.model.autoencoder import AutoencoderSettings, fit_autoencoder

        _, folds = self._folds(batch)
        if len(folds.mean) < 2:
            raise DataError(
                f"FoldedAutoencoder needs two curves at least to learn from, got {len(folds.mean)}"
            )
        settings = AutoencoderSettings(
            n_code=int(self.n_code),
            width=int(self.width),
            max_epochs=int(self.max_epochs),
            noise=self.noise,
            seed=int(self.seed),
        )
        net, history = fit_autoencoder(folds.mean, folds.variance, settings)
        self.weights_ = net.weights()
        self.validation_loss_ = np.array([row["validation_loss"] for row in history.epochs])

    def _weights(self) -> dict[str, NDArray[np.float32]]:
        """Learned weights, held against the shapes that the settings ask for."""
        shapes = layer_shapes(int(self.n_bins), int(self.n_code), int(self.width))
        given = {name: np.shape(array) for name, array in self.weights_.items()}
        if given != shapes:
            raise DataError(
                "FoldedAutoencoder: the weights are not of the shapes that n_bins, n_code and "
                "width ask for; fit it again"
            )
        return self.weights_

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        weights = self._weights()
        batch, folds = self._folds(batch)
        code = encode(weights, encoder_input(folds.mean, folds.variance))
        seen = np.isfinite(folds.variance)
        weight = 1.0 / (folds.variance + self.noise)
        square = np.where(seen, folds.mean - decode(weights, code), 0.0) ** 2
        return batch.with_columns(
            objects={
                "folded_code": code,
                "folded_code_misfit": (weight * square).sum(axis=1) / weight.sum(axis=1),
                "folded_epoch": folds.epoch,
                "folded_level": folds.level,
                "folded_scale": folds.scale,
            }
        )

    def reconstruct(self, code: ArrayLike) -> NDArray[np.float64]:
        """Folds that codes stand for.

        Parameters
        ----------
        code : float array, shape (n_curves, n_code)
            ``objects["folded_code"]``.

        Returns
        -------
        float64 array, shape (n_curves, n_bins)
            In robust sigmas of each curve, bright up; bin k is centred on phase ``k / n_bins``.

        Raises
        ------
        DataError
            If the step was not fitted or the codes are of another shape.
        """
        if not getattr(self, "fitted_", False):
            raise DataError("FoldedAutoencoder learns from data: call fit before reconstruct")
        numbers = np.asarray(code, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != self.n_code:
            raise DataError(
                f"FoldedAutoencoder has {self.n_code} numbers a curve, got an array of shape "
                f"{numbers.shape}"
            )
        return decode(self._weights(), numbers)
