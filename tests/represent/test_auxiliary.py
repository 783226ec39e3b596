"""The scale of the auxiliaries."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import DataError
from astroprep.represent import AuxiliaryScale


def test_a_gaussian_feature_comes_out_with_unit_slope(rng):
    x = rng.normal(30.0, 4.0, (20_000, 1))

    scale = AuxiliaryScale.fit(x)

    assert scale.median[0] == pytest.approx(30.0, abs=0.1)
    assert scale.sigma[0] == pytest.approx(4.0, rel=0.03)  # 3 sigma of an IQR of 20,000
    np.testing.assert_allclose(np.sinh(scale.apply(x)[:, 0]), (x[:, 0] - 30) / 4, atol=0.2)


def test_missing_becomes_the_median_and_a_mark(rng):
    x = rng.normal(size=(50, 3))
    x[::2, 1] = np.nan

    scale = AuxiliaryScale.fit(x)
    applied = scale.apply(x)

    assert applied.shape == (50, scale.n_auxiliary) == (50, 4)
    assert (applied[::2, 1] == 0).all()
    np.testing.assert_array_equal(applied[:, 3], np.isnan(x[:, 1]))


def test_a_rare_gap_earns_no_mark(rng):
    x = rng.normal(size=(1000, 2))
    x[:10, 0], x[:11, 1] = np.nan, np.nan

    assert AuxiliaryScale.fit(x).marked.tolist() == [1]


def test_new_gaps_and_infinities_stay_finite(rng):
    scale = AuxiliaryScale.fit(rng.normal(size=(50, 2)))

    applied = scale.apply(np.array([[np.nan, np.inf], [1e300, -1e300]]))

    assert applied[0].tolist() == [0.0, 0.0]
    assert applied[1].tolist() == [5.0, -5.0]


def test_constant_and_empty_features_are_harmless():
    x = np.column_stack([np.full(9, 3.0), np.full(9, np.nan), np.eye(9)[0]])

    applied = AuxiliaryScale.fit(x).apply(x)

    assert np.isfinite(applied).all()
    assert (applied[:, 0] == 0).all()


def test_wrong_shapes_are_named(rng):
    with pytest.raises(DataError, match="one object at least"):
        AuxiliaryScale.fit(np.empty((0, 3)))
    with pytest.raises(DataError, match="learned 3 features"):
        AuxiliaryScale.fit(rng.normal(size=(5, 3))).apply(np.ones((2, 4)))
