"""Reading the description of a network, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from astroprep.errors import ConfigError

__all__ = [
    "FORMAT",
    "FORMAT_PERIODS",
    "FORMAT_RESHAPED",
    "FireLayout",
    "check_format",
    "fire_layout",
    "reshaped",
]

FORMAT = "firenet-1"
FORMAT_PERIODS = "firenet-periods-1"
"""Of networks that look at several periods, ``n_periods`` of them."""
FORMAT_RESHAPED = "firenet-2"
"""Of networks whose layers were narrowed or factored after training, with more keys:

``fires`` entries of four numbers (squeeze, expansion by 1, by 3 taps, dilation), ``bypass`` (a bool
a fire module) and ``factors`` (see `astroprep.model.factored`). Whoever knows only the other format
refuses them.
"""


class FireLayout(NamedTuple):
    """Widths of one fire module, its dilation, and whether its input is added to its output."""

    squeeze: int
    expand_1: int
    expand_3: int
    dilation: int
    bypass: bool

    @property
    def width(self) -> int:
        """Channels that come out."""
        return self.expand_1 + self.expand_3


def fire_layout(spec: Mapping[str, Any]) -> list[FireLayout]:
    """Fire modules of a description of either format.

    Parameters
    ----------
    spec : mapping
        Description of a `FireNet`.

    Raises
    ------
    ConfigError
        If a bypass joins different widths.
    """
    layouts: list[FireLayout] = []
    width = int(spec["stem"])
    given = spec.get("bypass")
    for i, entry in enumerate(spec["fires"]):
        squeeze, expand_1, *rest, dilation = (int(n) for n in entry)
        expand_3 = rest[0] if rest else expand_1
        bypass = width == expand_1 + expand_3 if given is None else bool(given[i])
        if bypass and width != expand_1 + expand_3:
            raise ConfigError(
                f"fire module {i} adds {width} channels to {expand_1 + expand_3}; they must agree"
            )
        layouts.append(FireLayout(squeeze, expand_1, expand_3, dilation, bypass))
        width = expand_1 + expand_3
    return layouts


def check_format(spec: Mapping[str, Any], who: str) -> None:
    """Refuse descriptions of other networks.

    Raises
    ------
    ConfigError
        If the format is none of the three.
    """
    formats = (FORMAT, FORMAT_PERIODS, FORMAT_RESHAPED)
    if spec.get("format") not in formats:
        raise ConfigError(
            f"{who} needs a network of format {' or '.join(map(repr, formats))}, got "
            f"{spec.get('format')!r}"
        )


def reshaped(spec: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Copy of a description with other layers, bypasses as they were.

    Parameters
    ----------
    spec : mapping
        Description of a `FireNet`.
    **changes
        Keys to replace.
    """
    kept = [layout.bypass for layout in fire_layout(spec)]
    return {**spec, "bypass": kept, **changes, "format": FORMAT_RESHAPED}
