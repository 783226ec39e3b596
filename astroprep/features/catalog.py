"""Every feature by name, and what the words of a choice stand for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from astroprep.errors import ConfigError
from astroprep.features.bands_table import CROSS_BAND
from astroprep.features.feature import Feature
from astroprep.features.folded import FOLDED
from astroprep.features.fourier_table import FOURIER
from astroprep.features.noise import NOISE
from astroprep.features.series_table import CADENCE, SERIES, SERIES_NOISE
from astroprep.features.statistics_table import DISTRIBUTION

__all__ = [
    "CROSS_FEATURES",
    "DEFAULT_FEATURES",
    "FEATURES",
    "GROUPS",
    "Column",
    "resolve",
]

PERIOD = (
    Feature(
        "log10_period",
        "period",
        1,
        "log10 of P in days",
        "",
        "objects['period']",
        period=True,
        error="period_err / (P ln 10), where objects['period_err'] is there",
    ),
)

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for table in (PERIOD, DISTRIBUTION, NOISE, SERIES, SERIES_NOISE, CADENCE, FOURIER, FOLDED)
    for feature in table
}
"""Every feature of one band by name; the order is that of the default columns."""

CROSS_FEATURES: dict[str, Feature] = {feature.name: feature for feature in CROSS_BAND}
"""Every feature between two bands by name."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(feature.group for feature in FEATURES.values()))

# Apparent brightness and cadence tell which survey looked and how often, not what the star is.
SURVEY_GROUPS = ("brightness", "cadence")

DEFAULT_FEATURES: tuple[str, ...] = tuple(
    name
    for name, feature in FEATURES.items()
    if feature.default and feature.group not in SURVEY_GROUPS
)


@dataclass(frozen=True)
class Column:
    """One column of the result.

    Parameters
    ----------
    name : str
        Of the column.
    feature : Feature
        What it holds.
    bands : tuple of str
        None for the whole curve, one for a feature of a band, two for one between bands.
    """

    name: str
    feature: Feature
    bands: tuple[str, ...] = ()


def _words(features: Sequence[str] | str, cross: bool) -> list[str]:
    """Names of features that a setting stands for, each once."""
    words = (features,) if isinstance(features, str) else tuple(features)
    if not words:
        raise ConfigError("FeatureExtractor: features is empty; name some, or 'default'")
    known = {**FEATURES, **CROSS_FEATURES} if cross else FEATURES
    between = list(CROSS_FEATURES) if cross else []
    names: list[str] = []
    for word in words:
        if word == "default":
            names += [*DEFAULT_FEATURES, *between]
        elif word == "all":
            names += known
        elif word in known:
            names.append(word)
        elif group := [name for name, feature in known.items() if feature.group == word]:
            names += group
        elif word == "bands" or word in CROSS_FEATURES:
            raise ConfigError(
                f"FeatureExtractor: {word!r} compares bands; name two or more, bands=('g', 'r')"
            )
        else:
            close = difflib.get_close_matches(str(word), [*known, *GROUPS, "default", "all"], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; groups: {', '.join(GROUPS)}"
            raise ConfigError(f"FeatureExtractor: unknown feature {word!r}{hint}")
    return list(dict.fromkeys(names))


def resolve(
    features: Sequence[str] | str, bands: Sequence[str] | None = None
) -> tuple[Column, ...]:
    """Columns that a choice of features, and of bands, stands for.

    Parameters
    ----------
    features : name or sequence of names
        Of features or groups, ``"default"`` or ``"all"``.
    bands : sequence of str, optional
        Each feature is then a column per band, named ``feature_band``; those between bands
        follow for each band and the next one, named ``feature_band_next``. The period is one
        column, the first.

    Raises
    ------
    ConfigError
        If nothing is named, a name is unknown, or bands are too few or named twice.
    """
    if bands is None:
        return tuple(Column(name, FEATURES[name]) for name in _words(features, cross=False))
    if isinstance(bands, str) or not bands or len(set(bands)) != len(bands):
        raise ConfigError(
            f"FeatureExtractor: bands must be a sequence of different names, got {bands!r}"
        )
    names = _words(features, cross=len(bands) > 1)
    single = [FEATURES[name] for name in names if name in FEATURES]
    whole = [feature for feature in single if feature.group == "period"]
    return (
        *(Column(feature.name, feature) for feature in whole),
        *(
            Column(f"{feature.name}_{band}", feature, (band,))
            for band in bands
            for feature in single
            if feature.group != "period"
        ),
        *(
            Column(f"{name}_{band}_{after}", CROSS_FEATURES[name], (band, after))
            for band, after in pairwise(bands)
            for name in names
            if name in CROSS_FEATURES
        ),
    )
