"""Temperature and priors, against truth by construction."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import DataError
from astroprep.model.calibrate import (
    correct_priors,
    estimate_priors,
    fit_temperature,
    softmax,
    tempered_priors,
)
from astroprep.model.evaluate import ece


def honest(rng, n=20_000, n_classes=4, spread=2.0):
    """Logits, and labels drawn from their own softmax."""
    logits = rng.normal(0, spread, (n, n_classes))
    chance = softmax(logits).cumsum(axis=1)
    code = (rng.random(n)[:, None] > chance).sum(axis=1).clip(0, n_classes - 1)
    return logits, code


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_finds_the_temperature_that_was_put_in(rng, true):
    logits, code = honest(rng)

    found = fit_temperature(true * logits, code)

    assert found == pytest.approx(true, rel=0.04)  # about 3 sigma at 20,000 labels
    names = np.array(list("abcd"), dtype=object)
    assert ece(names[code], softmax(true * logits, found), list("abcd")) < 0.02


def test_weights_choose_whose_temperature(rng):
    logits, code = honest(rng)
    both = np.concatenate([logits, 5 * logits])
    weight = np.repeat([1.0, 0.0], len(logits))

    assert fit_temperature(both, np.tile(code, 2), weight) == pytest.approx(1.0, rel=0.04)


def test_softmax_survives_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1e5, 0.0], [-1e5, -1e5]])), [[1, 0], [0.5, 0.5]])
    assert softmax(np.empty((0, 3))).shape == (0, 3)


def test_no_validation_object_is_an_error():
    with pytest.raises(DataError, match="at least one validation object"):
        fit_temperature(np.empty((0, 3)), np.empty(0, int))


def two_gaussians(rng, share, n=20_000):
    """Posterior of class 1 for unit Gaussians at -1 and 1 learned at equal priors."""
    code = (rng.random(n) < share).astype(int)
    x = rng.normal(2.0 * code - 1.0, 1.0)
    p = 1 / (1 + np.exp(-2 * x))
    return code, x, np.column_stack([1 - p, p])


def test_correction_is_bayes_rule(rng):
    _, x, p = two_gaussians(rng, 0.1, 500)

    corrected = correct_priors(p, np.array([0.5, 0.5]), np.array([0.9, 0.1]))

    odds = np.exp(2 * x) / 9
    np.testing.assert_allclose(corrected[:, 1], odds / (1 + odds), rtol=1e-10)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_finds_the_priors_of_a_shifted_sample(rng, share):
    _, _, p = two_gaussians(rng, share)

    assert estimate_priors(p, np.array([0.5, 0.5]))[1] == pytest.approx(share, abs=0.015)


def test_limits_of_the_priors():
    learned = np.array([0.5, 0.5])
    np.testing.assert_array_equal(estimate_priors(np.empty((0, 2)), learned), learned)
    ruled_out = correct_priors(np.array([[1.0, 0.0]]), learned, np.array([0.0, 1.0]))
    np.testing.assert_array_equal(ruled_out, [[0.0, 1.0]])
    with pytest.raises(DataError, match="positive learned priors"):
        correct_priors(np.array([[1.0, 0.0]]), np.array([1.0, 0.0]), learned)


@pytest.mark.parametrize(("power", "expected"), [(0.0, 0.8), (0.5, 2 / 3), (1.0, 0.5)])
def test_tempered_priors_by_hand(power, expected):
    np.testing.assert_allclose(tempered_priors(np.array([80, 20]), power), [expected, 1 - expected])
    with pytest.raises(DataError, match="objects of every class"):
        tempered_priors(np.array([80, 0]), power)


def test_is_free_of_torch():
    import ast
    import inspect

    from astroprep.model import calibrate, evaluate

    for module in (calibrate, evaluate):
        tree = ast.parse(inspect.getsource(module))
        names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not any(name.startswith("torch") for name in names)
