"""Isotonic calibration, against scikit-learn and truth by construction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from astroprep.errors import DataError
from astroprep.model.calibrate import softmax
from astroprep.model.isotonic import Isotonic, choose_calibration


def drawn(rng, n=3000, bend=lambda z: z):
    """Logits, and labels drawn from the softmax of bent ones."""
    logits = rng.normal(0, 1.5, (n, 3))
    chance = softmax(bend(logits)).cumsum(axis=1)
    code = (rng.random(n)[:, None] > chance).sum(axis=1).clip(0, 2)
    return logits, code


def test_lines_are_those_of_scikit_learn_but_for_the_rule_of_succession(rng):
    logits, code = drawn(rng)
    p, weight = softmax(logits), rng.uniform(0.5, 2.0, code.size)

    lines = Isotonic.fit(p, code, weight)

    for k in range(3):
        theirs = IsotonicRegression(out_of_bounds="clip")
        theirs.fit(p[:, k], code == k, sample_weight=weight)
        mine = np.interp(p[:, k], lines.x[k], lines.y[k])
        step = np.round(theirs.predict(p[:, k]), 9)
        levels, n = np.unique(step, return_counts=True)
        # a step of n objects is drawn by at most 1 / (2 n + 2) to one half
        close = np.abs(mine - step) <= (0.5 / (n + 1) + 1e-6)[np.searchsorted(levels, step)]
        assert close.mean() > 0.9  # the rest stands in small steps that were joined again
        assert np.abs(mine - step).mean() < 0.01
        assert np.abs(mine - step).max() <= 0.25


def test_keeps_the_order_within_a_class_and_rows_sum_to_one(rng):
    logits, code = drawn(rng)
    lines = Isotonic.fit(softmax(logits), code)

    q = lines.apply(softmax(rng.normal(0, 3, (500, 3))))

    np.testing.assert_allclose(q.sum(axis=1), 1.0)
    assert all(
        (np.diff(y) >= 0).all() and (np.diff(x) > 0).all()
        for x, y in zip(lines.x, lines.y, strict=True)
    )
    assert ((q > 0) & (q < 1)).all()


def bent(z):
    """What no temperature undoes."""
    return np.where(z > 0, 3 * z, 0.1 * z) + np.array([2.0, 0.0, -2.0])


def test_is_chosen_where_a_temperature_is_not_enough_and_only_there(rng):
    weight = np.ones(4000)
    logits, code = drawn(rng, 4000)
    temperature, lines = choose_calibration(logits, code, weight)
    assert lines is None
    assert temperature == pytest.approx(1.0, rel=0.1)

    logits, code = drawn(rng, 4000, bent)
    temperature, lines = choose_calibration(logits, code, weight)
    assert lines is not None
    test, truth = drawn(rng, 4000, bent)
    rows = np.arange(4000), truth
    plain = softmax(test, temperature)
    assert -np.log(lines.apply(plain)[rows]).mean() < -np.log(plain[rows]).mean() - 0.05


def test_travels_as_plain_values_and_bad_ones_are_refused(rng):
    logits, code = drawn(rng, 300)
    p = softmax(logits)
    lines = Isotonic.fit(p, code)

    again = Isotonic.from_state(lines.to_state(), 3)

    np.testing.assert_array_equal(again.apply(p), lines.apply(p))
    with pytest.raises(DataError, match="lines of 4 classes"):
        Isotonic.from_state(lines.to_state(), 4)
    falling = {"x": [np.array([0.0, 1.0])] * 3, "y": [np.array([1.0, 0.0])] * 3}
    with pytest.raises(DataError, match="rising knots"):
        Isotonic.from_state(falling, 3)
    with pytest.raises(DataError, match="1 of them not finite"):
        Isotonic.fit(np.array([[np.nan, 0.5]]), np.array([0]))
