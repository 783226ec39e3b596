"""Magnitudes and fluxes: the definition of AB, astropy, there and back, and what has none."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroprep.clean import MarkUpperLimits, ToFlux, ToMagnitude
from astroprep.clean.quantity import AB_ZERO_POINTS
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.represent import Normalize

MISSING = int(PointFlag.MISSING_VALUE)


def batch_of(value, error=0.1, meta=None):
    value = np.asarray(value, float)
    curve = (np.arange(value.size), value, np.full(value.size, error))
    return LightCurveBatch.from_curves([curve], ids=["star"], meta=meta or Meta())


@pytest.mark.parametrize("unit", AB_ZERO_POINTS)
def test_astropy_agrees(rng, unit):
    """The zero point is rounded to two digits, as surveys do: 3631 Jy are 1e-4 mag less."""
    flux = rng.uniform(1, 1e6, 50)
    ours = ToMagnitude().transform(batch_of(flux, 1.0, Meta(quantity="flux", unit=unit)))
    theirs = (flux * u.Unit(unit)).to(u.ABmag).value
    np.testing.assert_allclose(ours.value, theirs, rtol=0, atol=2e-4)
    np.testing.assert_allclose(ours.error, 2.5 / np.log(10) / flux)
    assert (ours.meta.quantity, ours.meta.unit) == ("mag", "mag")


@given(st.lists(st.floats(-5, 40), min_size=1, max_size=9), st.floats(1e-6, 1.0))
def test_there_and_back(mags, error):
    given_batch = batch_of(mags, error).with_columns(
        points={
            "trend": np.asarray(mags) + 0.1,
            "trend_err": np.full(len(mags), 0.02),
            "upper_limit": np.asarray(mags) - 1,
        }
    )
    flux = ToFlux().transform(given_batch)
    assert (flux.meta.quantity, flux.meta.unit) == ("flux", "nJy")
    ratio = flux.points["upper_limit"] / flux.value
    np.testing.assert_allclose(ratio, 10**0.4, rtol=1e-12)
    back = ToMagnitude().transform(flux)
    np.testing.assert_allclose(back.value, mags, rtol=0, atol=1e-12)
    np.testing.assert_allclose(back.error, error, rtol=1e-9)
    for name, column in given_batch.points.items():
        np.testing.assert_allclose(back.points[name], column, rtol=1e-9, atol=1e-12)
    assert back.meta == given_batch.meta


def test_what_has_no_value_is_flagged_and_its_limit_kept():
    flux = batch_of([100.0, 0.0, -3.0, np.nan, np.inf], 1.0, Meta(quantity="flux", unit="nJy"))
    mags = ToMagnitude().transform(MarkUpperLimits().transform(flux))
    np.testing.assert_allclose(mags.value[0], 26.4)
    assert np.isnan(mags.value[1:]).all()
    assert np.isnan(mags.error[1:]).all()
    assert ((mags.flags & MISSING) > 0).tolist() == [False, True, True, False, True]
    np.testing.assert_allclose(mags.points["upper_limit"][1:3], 31.4 - 2.5 * np.log10(5))
    beyond = ToFlux().transform(batch_of([20.0, 1e30, -1e30, -np.inf]))
    assert np.isnan(beyond.value).tolist() == [False, True, True, True]
    assert ((beyond.flags & MISSING) > 0).tolist() == [False, True, True, True]


def test_the_wanted_quantity_is_left_as_it_is():
    mags, flux = batch_of([15.0]), batch_of([3.0], meta=Meta(quantity="flux", unit="e/s"))
    assert ToMagnitude().transform(mags) is mags
    assert ToFlux().transform(flux) is flux


def test_what_cannot_be_known_is_refused():
    flux = batch_of([3.0, 5.0], meta=Meta(quantity="flux", unit="e/s"))
    with pytest.raises(DataError, match=r"no zero point for fluxes in 'e/s'.*give zero_point"):
        ToMagnitude().transform(flux)
    assert ToMagnitude(zero_point=20.44).transform(flux).meta.unit == "mag"
    scaled = Normalize().fit(flux).transform(flux)
    with pytest.raises(DataError, match="inverse_transform first"):
        ToMagnitude(zero_point=20.44).transform(scaled)
    for step in (ToFlux, ToMagnitude):
        with pytest.raises(ConfigError, match="zero_point must be"):
            step(zero_point=np.inf).fit(flux)
