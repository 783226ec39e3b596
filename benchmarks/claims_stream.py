"""Claims of the README about nights of alerts."""

from __future__ import annotations

from typing import Any


def nights(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `nightly_throughput.py`."""
    return [
        (
            f"a night of {row['alerts']:,} full ZTF packets over {row['stored_observations']:,} "
            f"stored observations, {100 * row['share_searched']:.0f} % of the periods searched to "
            f"{row['max_frequency']:.0f} cycles a day",
            f"{row['cpu_ms_an_alert']:.2f} ms of processor time an alert, {row['peak_mb']:,} MB; "
            f"equal to a batch over the whole histories: {row['searched_equal_to_the_bit']} "
            f"searched, {row['verified_equal_given_the_periods']} verified given the same periods",
        )
        for row in result["rows"]
    ]


CLAIMS = {"nightly_throughput": nights}
