"""The contract of every step: what it needs, and how it meets a curve that it cannot serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Self, final, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Quantity
from astroprep.errors import ConfigError, DataError
from astroprep.estimator import Estimator
from astroprep.interchange import take

__all__ = ["Needs", "OnBad", "Transformer"]

OnBad = Literal["raise", "reject"]

PLAIN: dict[type, tuple[Any, str]] = {
    float: (int | float | np.integer | np.floating, "a number"),
    int: (int | np.integer, "a whole number"),
    str: (str, "a text"),
    bool: (bool | np.bool_, "True or False"),
    type(None): (type(None), "None"),
}
"""What a setting declared so may be, and how a message names it."""


@dataclass(frozen=True)
class Needs:
    """What a step asks of each curve, as data.

    Parameters
    ----------
    min_points : int
        Usable points (see `LightCurveBatch.usable`).
    errors : bool
        Every usable point has a finite, positive error.
    quantity : {"mag", "flux"} or None
        The quantity it works on; None for either.
    objects : tuple of str
        Columns per object that must be there and, where they hold numbers, be finite.
    single_band : bool
        All usable points of a curve are of one band.
    """

    min_points: int = 0
    errors: bool = False
    quantity: Quantity | None = None
    objects: tuple[str, ...] = ()
    single_band: bool = True

    def unmet(self, batch: LightCurveBatch) -> NDArray[np.object_]:
        """Why each curve cannot be served: a phrase, or ``""`` where it can.

        Returns
        -------
        object array of str, shape (n_curves,)
            Reads after "needs ...", such as ``"at least 5 usable points, has 3"``.
        """
        why = np.full(batch.n_curves, "", dtype=object)
        usable = batch.usable
        counts = usable.counts()
        for i in np.flatnonzero(counts < self.min_points):
            why[i] = f"at least {self.min_points} usable points, has {counts[i]}"
        curve = np.repeat(np.arange(batch.n_curves), counts)
        if self.errors:
            bad = ~(np.isfinite(usable.error) & (usable.error > 0))
            _explain(why, curve[bad], "a positive error on every usable point (see FlagBad)")
        if self.single_band and usable.band is not None and usable.band.size:
            same = np.ones(usable.band.size, bool)
            same[1:] = (usable.band[1:] == usable.band[:-1]) | (curve[1:] != curve[:-1])
            _explain(why, curve[~same], "a single band (choose one with SelectBand)")
        for name in self.objects:
            column = batch.objects[name]
            if column.dtype.kind == "f":
                bad = ~np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
                _explain(why, np.flatnonzero(bad), f"a finite {name!r}")
        return why


def _explain(why: NDArray[np.object_], curves: NDArray[np.intp], reason: str) -> None:
    """Give the reason to those curves that have none yet."""
    for i in np.unique(curves):
        why[i] = why[i] or reason


@cache
def _simple_kinds(init: Callable[..., None]) -> dict[str, frozenset[type]]:
    """Settings of a step that are numbers, texts or switches, or None, with what they may be."""
    simple = {}
    for name, hint in get_type_hints(init).items():
        if name == "return":
            continue
        kinds = frozenset(get_args(hint) if get_origin(hint) is UnionType else (hint,))
        if kinds <= PLAIN.keys():
            simple[name] = kinds
    return simple


def _wrong_kinds(step: Transformer) -> list[str]:
    """Say which settings are of another kind than the step declares, as ``window="3"``."""
    wrong = []
    for name, kinds in _simple_kinds(type(step).__init__).items():
        value = getattr(step, name)
        switch = isinstance(value, bool | np.bool_)  # which Python takes for a number
        fits = any(isinstance(value, PLAIN[k][0]) and (k is bool) == switch for k in kinds)
        if not fits or value != value:  # NaN compares as False, and so passes for any limit
            names = " or ".join(sorted(PLAIN[k][1] for k in kinds))
            wrong.append(f"{name} must be {names}, got {value!r}")
    return wrong


class Transformer(Estimator):
    """A step: settings in, batch in, batch out.

    Subclasses declare `needs`, store their keyword parameters untouched in ``__init__`` (the
    last is always ``on_bad``), and write ``_check``, ``_fit`` and ``_transform``. ``fit`` and
    ``transform`` are final: they check the settings, hold every curve against ``needs``,
    and raise or reject by ``on_bad``. They take a `LightCurveBatch` or what
    `astroprep.interchange.take` knows (lightkurve, astropy, pandas, nested-pandas), and
    ``transform`` gives back the same kind.

    Attributes
    ----------
    needs : Needs
        What each curve must have.
    version : int
        Raised when a parameter changes its meaning or the result of the same settings changes.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    on_bad: OnBad

    def _check(self) -> None:
        """Raise `ConfigError` when a setting is wrong."""

    def _fit(self, batch: LightCurveBatch) -> None:
        """Learn from the curves that meet `needs`; learned names end in an underscore."""

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Work on the curves that meet `needs`; drop none except through `refuse`."""
        raise TypeError(f"{type(self).__name__} defines no _transform")

    @final
    def fit(self, batch: Any, y: Any = None) -> Self:
        """Check the settings and learn what the step learns.

        Parameters
        ----------
        batch : LightCurveBatch, or anything `astroprep.interchange.take` knows
            Curves that miss the needs raise, or are left out with ``on_bad="reject"``.
        y : ignored
            For scikit-learn's pipelines.

        Raises
        ------
        ConfigError
            If a setting is wrong.
        DataError
            If a curve cannot be served and ``on_bad`` is ``"raise"``.
        """
        self.check()
        self._fit(self._served(take(batch)[0]))
        self.fitted_ = True
        return self

    @final
    def transform(self, batch: Any) -> Any:
        """Apply the step.

        Parameters
        ----------
        batch : LightCurveBatch, or anything `astroprep.interchange.take` knows
            Never changed.

        Returns
        -------
        the same kind
            ``n_objects`` is what it was: each curve is in the result or in ``rejected``.

        Raises
        ------
        DataError
            If a curve cannot be served and ``on_bad`` is ``"raise"``, or the step learns from
            data and was not fitted.
        """
        self.check()
        if self._learns() and not getattr(self, "fitted_", False):
            raise DataError(f"{type(self).__name__} learns from data: call fit before transform")
        whole, give_back = take(batch)
        served = self._served(whole)
        result = self._transform(served)
        if result.n_objects != whole.n_objects:
            raise DataError(
                f"{type(self).__name__} lost objects: {whole.n_objects} in, "
                f"{result.n_objects} out; every curve belongs in the result or in rejected"
            )
        return give_back(result)

    @final
    def refuse(
        self, batch: LightCurveBatch, mask: NDArray[np.bool_], reason: str | NDArray[np.object_]
    ) -> LightCurveBatch:
        """Raise for, or reject, the curves where `mask` is True, as ``on_bad`` says.

        Parameters
        ----------
        batch : LightCurveBatch
            The curves at hand.
        mask : bool array, shape (n_curves,)
            True where the step cannot serve the curve.
        reason : str or object array of str, shape (n_curves,)
            A phrase that reads after "needs".
        """
        if not mask.any():
            return batch
        name = type(self).__name__
        if self.on_bad == "raise":
            i = int(np.argmax(mask))
            what = reason if isinstance(reason, str) else reason[i]
            raise DataError(
                f"{name} needs {what}: {batch.ids[i]!r} (curve {i}); "
                f"{int(mask.sum())} of {batch.n_curves} curves are refused. "
                f"Pass on_bad='reject' to set them aside with the reason."
            )
        text = (
            "needs " + reason
            if isinstance(reason, str)
            else np.array(["needs " + str(r) if r else "" for r in reason], dtype=object)
        )
        return batch.reject(mask, text, name)

    @final
    def check(self) -> None:
        """Raise `ConfigError` when a setting is wrong; fit and transform begin with it.

        Notes
        -----
        A setting that is declared as a number, a text or a switch must be one: ``window="3"``
        cannot be compared, and ``use_errors="no"`` would mean yes.
        """
        name = type(self).__name__
        if self.on_bad not in ("raise", "reject"):
            raise ConfigError(f"{name}: on_bad must be 'raise' or 'reject', got {self.on_bad!r}")
        wrong = _wrong_kinds(self)
        try:
            self._check()
        except ConfigError:
            raise  # says more than the kind
        except (AttributeError, TypeError, ValueError, OverflowError) as mistake:  # None.lower()
            wrong = wrong or [f"a setting has the wrong type: {mistake}"]
            raise ConfigError(f"{name}: " + "; ".join(wrong)) from mistake
        if wrong:
            raise ConfigError(f"{name}: " + "; ".join(wrong))

    @final
    def _served(self, batch: LightCurveBatch) -> LightCurveBatch:
        name = type(self).__name__
        wanted = self.needs.quantity
        if wanted is not None and batch.meta.quantity != wanted:
            step = {"flux": "ToFlux", "mag": "ToMagnitude"}[wanted]
            raise DataError(
                f"{name} needs {wanted}, but this batch holds {batch.meta.quantity}; "
                f"put {step} before it"
            )
        for column in self.needs.objects:
            if column not in batch.objects:
                raise DataError(
                    f"{name} needs the column {column!r} per object, but the batch has "
                    f"{', '.join(sorted(batch.objects))}; put the step that adds it before"
                )
        why = self.needs.unmet(batch)
        return self.refuse(batch, why != "", why)

    @classmethod
    def _learns(cls) -> bool:
        return cls._fit is not Transformer._fit

    def __sklearn_is_fitted__(self) -> bool:
        return not self._learns() or bool(getattr(self, "fitted_", False))

    @final
    def state(self) -> dict[str, Any]:
        """Return what ``fit`` learned, by name: arrays, numbers and text, for the bundle."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_") and name != "fitted_"
        }

    @final
    def load_state(self, state: dict[str, Any]) -> Self:
        """Take back what `state` gave, so that ``transform`` works without ``fit``.

        Raises
        ------
        DataError
            If a name is none that ``fit`` learns: a method, say, or a setting.
        """
        strange = [n for n in state if n.startswith("_") or not n.endswith("_") or n == "fitted_"]
        if strange:
            raise DataError(f"{type(self).__name__} learns no {', '.join(map(repr, strange))}")
        for name, value in state.items():
            setattr(self, name, value)
        self.fitted_ = True
        return self
