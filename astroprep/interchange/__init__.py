"""Light curves as others hold them: taken in, and given back in the same form.

One pair of functions a form (`from_arrow` and `to_arrow`, ...), and `take`, which recognises the
form. Columns are found by the names in `NAMES`, or given.
"""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.interchange.arrow import from_arrow, to_arrow
    from astroprep.interchange.forms import take
    from astroprep.interchange.frames import from_nested, from_pandas, to_nested, to_pandas
    from astroprep.interchange.names import NAMES, find_column
    from astroprep.interchange.tables import (
        from_lightkurve,
        from_timeseries,
        to_lightkurve,
        to_timeseries,
    )

__all__ = [
    "NAMES",
    "find_column",
    "from_arrow",
    "from_lightkurve",
    "from_nested",
    "from_pandas",
    "from_timeseries",
    "take",
    "to_arrow",
    "to_lightkurve",
    "to_nested",
    "to_pandas",
    "to_timeseries",
]

lazy_room(__name__)
