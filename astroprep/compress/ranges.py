"""Between which values the activations of a network move: what fixes their 8-bit scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["ActivationRanges", "affine", "range_names"]

WIDEST = 1 << 14  # channels, bins or dilation that an integer network may have
LEVELS = 255  # activations are 0 ... 255
_ARRAYS = ("folded_low", "folded_high", "auxiliary_low", "auxiliary_high")


@dataclass(frozen=True, eq=False)
class ActivationRanges:
    """Ranges of the inputs, one a channel, and upper ends of what follows a ReLU, one a tensor.

    Parameters
    ----------
    folded_low, folded_high : float64 array, shape (n_channels,)
        Of the folded channels.
    auxiliary_low, auxiliary_high : float64 array, shape (n_auxiliary,)
        Of the auxiliaries.
    high : dict of str to float
        Upper ends by the names of `range_names`; the lower end is 0.
    """

    folded_low: NDArray[np.float64]
    folded_high: NDArray[np.float64]
    auxiliary_low: NDArray[np.float64]
    auxiliary_high: NDArray[np.float64]
    high: dict[str, float]

    def scale(self, name: str) -> float:
        """Value of one level; a tensor that is always 0 has any."""
        return self.high[name] / LEVELS if self.high[name] > 0 else 1.0 / LEVELS

    def input_factors(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Inverse scale and zero point of the folded channels and of the auxiliaries."""
        ends = (
            (self.folded_low, self.folded_high),
            (self.auxiliary_low, self.auxiliary_high),
        )
        pairs = [affine(low, high) for low, high in ends]
        return [((1 / scale).astype(np.float32), zero.astype(np.float32)) for scale, zero in pairs]

    def rounded(self) -> ActivationRanges:
        """Ends to four decimal digits: a hundredth of a level, for a third of the bytes."""
        content: dict[str, Any] = {
            name: np.array([_four_digits(x) for x in getattr(self, name)]) for name in _ARRAYS
        }
        content["high"] = {name: _four_digits(x) for name, x in self.high.items()}
        return ActivationRanges(**content)

    def to_dict(self) -> dict[str, Any]:
        """Plain values and arrays, for a bundle."""
        return {**{name: getattr(self, name) for name in _ARRAYS}, "high": dict(self.high)}

    def to_plain(self) -> dict[str, Any]:
        """The same with lists for arrays, for JSON."""
        return {k: v if k == "high" else v.tolist() for k, v in self.to_dict().items()}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], spec: Mapping[str, Any], source: str
    ) -> ActivationRanges:
        """Check what a bundle says.

        Parameters
        ----------
        content : mapping
            From `to_dict`, or from anyone.
        spec : mapping
            Description of the network.
        source : str
            Named in errors.

        Raises
        ------
        DataError
            If something is missing, of the wrong shape, or no finite number in order.
        """
        _check_spec(spec, source)
        sizes = {"folded": spec["n_channels"], "auxiliary": spec["n_auxiliary"]}
        arrays = {}
        for name in _ARRAYS:
            array = content.get(name)
            size = sizes[name.split("_")[0]]
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise DataError(f"{source}: {name} must be an array of floats")
            if array.shape != (size,) or not (np.abs(array) < 1e30).all():
                raise DataError(f"{source}: {name} must be {size} finite numbers")
            arrays[name] = array.astype(np.float64)
        for kind in sizes:
            if (arrays[f"{kind}_low"] > arrays[f"{kind}_high"]).any():
                raise DataError(f"{source}: a range of {kind} ends before it begins")
        high = content.get("high")
        wanted = range_names(spec)
        if not isinstance(high, dict) or sorted(high) != sorted(wanted):
            raise DataError(f"{source}: needs the ranges of {', '.join(wanted)}")
        for name, value in high.items():
            if not isinstance(value, float) or not 0 <= value < 1e30:
                raise DataError(f"{source}: the range of {name} must be a number from 0")
        return cls(**arrays, high=dict(high))


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def _check_spec(spec: Mapping[str, Any], source: str) -> None:
    """Refuse a description whose numbers no network has, before memory is laid out by them."""

    def is_size(value: Any, least: int = 1) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= WIDEST

    fires = spec.get("fires")
    good = isinstance(fires, list) and all(
        isinstance(fire, list) and len(fire) == 3 and all(is_size(n) for n in fire)
        for fire in fires
    )
    least = {"n_channels": 1, "n_bins": 1, "n_auxiliary": 0, "n_classes": 2, "stem": 1}
    good = good and all(is_size(spec.get(key), n) for key, n in least.items())
    good = good and is_size(spec.get("head_width"), 0) and is_size(spec.get("auxiliary_width"), 0)
    if not good or (spec["n_auxiliary"] and not spec["auxiliary_width"]):
        raise DataError(f"{source}: the description of the network has sizes that none has")


def range_names(spec: Mapping[str, Any]) -> list[str]:
    """Tensors inside a network that have a range, in order.

    Parameters
    ----------
    spec : mapping
        Description of a `FireNet`.

    Returns
    -------
    list of str
        ``stem``; ``fires.0.squeeze`` and ``fires.0`` of every fire module; ``mean``; ``auxiliary``
        and ``hidden`` where there are any. The maximum has the range of the last fire module.
    """
    fires = [
        name for i in range(len(spec["fires"])) for name in (f"fires.{i}.squeeze", f"fires.{i}")
    ]
    names = ["stem", *fires, "mean"]
    names += ["auxiliary"] if spec["n_auxiliary"] else []
    return names + (["hidden"] if spec["head_width"] else [])


def affine(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scale and zero point, which make 0 an exact level, of ranges.

    Parameters
    ----------
    low, high : float64 array, shape (n,)
        Ends; 0 is taken in.

    Returns
    -------
    scale : float64 array, shape (n,)
        Value of one level.
    zero : int64 array, shape (n,)
        Level of the value 0, 0 to 255.
    """
    bottom, top = np.minimum(low, 0.0), np.maximum(high, 0.0)
    scale = (top - bottom) / LEVELS
    scale = np.where(scale > 1e-30, scale, 1.0)
    return scale, np.rint(-bottom / scale).astype(np.int64)
