"""Look survey flags up, say what they mean, and pack columns of truth values into bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.surveys.bits import SURVEY_BITS, LsstFlag, SurveyBits

__all__ = ["describe_flags", "pack_flags", "survey_bits"]


def survey_bits(survey: str) -> SurveyBits:
    """Names and masks of a survey's flags.

    Parameters
    ----------
    survey : str
        A key of `SURVEY_BITS`, in any case; what follows the name (``"TESS sector 5"``) is
        ignored.

    Raises
    ------
    ConfigError
        If the survey is not known; the message lists those that are.
    """
    words = survey.lower().split()
    for name, bits in sorted(SURVEY_BITS.items(), key=lambda item: -len(item[0])):
        known = name.lower().split()
        if words[: len(known)] == known:
            return bits
    raise ConfigError(
        f"the flags of survey {survey!r} are not known; there are {', '.join(SURVEY_BITS)}. Give "
        "SurveyFlags a mask of bits as a number, or the survey whose bits they are"
    )


def describe_flags(mask: int, survey: str) -> tuple[str, ...]:
    """What the bits of a mask mean.

    Parameters
    ----------
    mask : int
        Bits of a survey's quality column.
    survey : str
        See `survey_bits`.

    Returns
    -------
    tuple of str
        One ``"NAME: what it means"`` a bit, lowest first; ``"bit 9 (value 512): not
        documented"`` where the survey names none.

    Raises
    ------
    ConfigError
        If the survey is not known, or the mask is negative or no whole number.

    Examples
    --------
    >>> describe_flags(1 << 20, "K2")
    ('THRUSTER_FIRING: the thrusters fired',)
    """
    if isinstance(mask, bool) or not isinstance(mask, int | np.integer) or mask < 0:
        raise ConfigError(f"a mask of flags is a whole number of bits, 0 or more, got {mask!r}")
    bits = survey_bits(survey)
    named: list[str] = []
    left = int(mask)
    for name, member in bits.flag.__members__.items():
        if left & member:
            text = bits.text.get(int(member), "")
            named.append(f"{name}: {text}" if text else name)
            left &= ~int(member)
    unknown = [i for i in range(left.bit_length()) if left >> i & 1]
    return (*named, *(f"bit {i} (value {1 << i}): not documented" for i in unknown))


def pack_flags(columns: Mapping[str, ArrayLike]) -> NDArray[np.int64]:
    """One mask a point from the boolean flag columns of Rubin's DiaSource.

    Parameters
    ----------
    columns : mapping of str to bool array, shape (n_points,)
        Any of the names of `LsstFlag`; other columns are ignored. None (null) is false.

    Returns
    -------
    int64 array, shape (n_points,)
        Bits of `LsstFlag`, for ``points["survey_flags"]``.

    Raises
    ------
    DataError
        If none of the columns is a flag, or their lengths differ.
    """
    there = {name: columns[name] for name in LsstFlag.__members__ if name in columns}
    if not there:
        raise DataError(
            f"pack_flags found no flag of a DiaSource among {', '.join(columns) or 'no columns'}; "
            f"they are called like {next(iter(LsstFlag.__members__))}"
        )
    packed: NDArray[np.int64] | None = None
    for name, column in there.items():
        raised = np.array([v is not None and bool(v) for v in np.ravel(np.asarray(column))], bool)
        if packed is None:
            packed = np.zeros(raised.size, np.int64)
        if raised.size != packed.size:
            raise DataError(f"pack_flags: {name!r} has {raised.size} rows, others {packed.size}")
        packed[raised] |= np.int64(LsstFlag[name])
    assert packed is not None
    return packed
