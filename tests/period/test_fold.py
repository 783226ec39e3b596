from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.period import FoldPhase, fold, fold_ragged


def test_phase_never_reaches_one():
    """``np.mod(-1e-17, 1.0)`` is 1.0."""
    assert fold(np.array([-1e-17, 0.0, 2.5, -0.25]), 1.0).tolist() == [0.0, 0.0, 0.5, 0.75]


@settings(deadline=None)  # the first call compiles
@given(
    time=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    period=st.floats(1e-3, 1e4),
    epoch=st.floats(-1e6, 1e6),
)
def test_phase_stays_in_the_circle(time, period, epoch):
    phase = fold(time, period, epoch)
    ragged = fold_ragged(
        np.array(time), np.array([0, len(time)]), np.array([period]), np.array([epoch])
    )

    assert ((phase >= 0) & (phase < 1)).all()
    assert ((ragged >= 0) & (ragged < 1)).all()
    around = np.abs(phase - ragged)
    assert np.minimum(around, 1 - around).max() < 1e-9


@pytest.mark.parametrize("period", [0.0, -1.0, np.nan, np.inf])
def test_a_period_is_positive(period):
    with pytest.raises(DataError, match="positive period"):
        fold([1.0], period)


def test_the_step_starts_at_the_first_usable_point():
    batch = LightCurveBatch.from_curves(
        [([3.0, 2.0, 2.5], [1.0, 2.0, 3.0], [0.1] * 3)], objects={"period": [2.0]}
    )

    folded = FoldPhase().transform(batch)

    assert folded.objects["epoch"].tolist() == [2.0]
    assert folded.points["phase"].tolist() == [0.5, 0.0, 0.25]
