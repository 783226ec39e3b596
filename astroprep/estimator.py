"""What scikit-learn asks of an estimator, without importing it: that takes over a second."""

from __future__ import annotations

import inspect
from typing import Any, Self

from astroprep.errors import ConfigError

__all__ = ["Estimator"]


def _settings(kind: type) -> tuple[str, ...]:
    """Names of the parameters of ``__init__``, sorted."""
    parameters = inspect.signature(kind).parameters.values()
    return tuple(sorted(p.name for p in parameters if p.kind != p.VAR_KEYWORD))


class Estimator:
    """Settings and tags: enough for ``clone``, pipelines and grid searches.

    Notes
    -----
    The protocol is duck-typed: https://scikit-learn.org/stable/developers/develop.html.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name.

        Parameters
        ----------
        deep : bool, default True
            Those of an estimator among the settings too, as ``name__setting``.
        """
        found = {}
        for name in _settings(type(self)):
            value = found[name] = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{key}": inner for key, inner in value.get_params().items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Change settings; ``name__setting`` reaches into an estimator among them.

        Raises
        ------
        ConfigError
            If there is no such setting.
        """
        inner: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, nested, rest = key.partition("__")
            if name not in _settings(type(self)):
                raise ConfigError(
                    f"{type(self).__name__} has no setting {name!r}; it has "
                    f"{', '.join(_settings(type(self)))}"
                )
            if nested:
                inner.setdefault(name, {})[rest] = value
            else:
                setattr(self, name, value)
        for name, settings in inner.items():
            getattr(self, name).set_params(**settings)
        return self

    def fit_transform(self, batch: Any, y: Any = None) -> Any:
        """Learn from a batch and apply the step to it; see ``fit`` and ``transform``."""
        step: Any = self
        return step.fit(batch, y).transform(batch)

    def __repr__(self) -> str:
        """Name and the settings that are not the default."""
        parameters = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, parameter in parameters.items()
            if repr(getattr(self, name, None)) != repr(parameter.default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(),
        )
