"""Unknown scores on Gaussians with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.unknown import METHODS, UnknownScore, energy_score

MIX = np.array([[2.0, 0.0], [1.5, 0.5]])


def stars(rng, n, shift=0.0):
    """Two classes in two correlated auxiliaries, and the exact logits between them."""
    code = rng.integers(0, 2, n)
    x = (rng.normal(size=(n, 2)) + np.array([[0, 0], [4, 0]])[code] + shift) @ MIX.T
    z = x @ np.linalg.inv(MIX).T
    return x, code, np.column_stack([8 - 4 * z[:, 0], 4 * z[:, 0] - 8]) / 2


def fitted(rng, method="combined", rate=0.02):
    x, code, _ = stars(rng, 4000)
    y, _, logits = stars(rng, 4000)
    return UnknownScore.fit(x, code, logits, y, n_classes=2, method=method, false_unknown_rate=rate)


def test_energy_by_hand():
    np.testing.assert_allclose(energy_score(np.array([[0.0, 0.0], [1e4, 0.0]])), [-np.log(2), -1e4])


def test_distance_is_that_of_the_true_covariance(rng):
    made = fitted(rng, "mahalanobis")
    x, _, logits = stars(rng, 300)
    z = x @ np.linalg.inv(MIX).T
    true = np.sqrt(np.minimum((z**2).sum(axis=1), ((z - [4, 0]) ** 2).sum(axis=1)))
    np.testing.assert_allclose(made.score(logits, x), true, atol=0.25, rtol=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_calls_as_many_known_objects_unknown_as_stated(rng, method, rate):
    made = fitted(rng, method, rate)
    x, _, logits = stars(rng, 20_000)
    share = made.is_unknown(made.score(logits, x)).mean()
    assert share == pytest.approx(rate, abs=4 * np.sqrt(rate / 4000) + 0.002)


def test_far_objects_are_unknown_and_travel_does_not_change_a_score(rng):
    made = fitted(rng)
    x, _, logits = stars(rng, 200, shift=[0.0, 7.0])
    assert made.is_unknown(made.score(logits, x)).mean() > 0.99
    again = UnknownScore.from_state(made.to_state(), 2)
    np.testing.assert_array_equal(again.score(logits, x), made.score(logits, x))
    with pytest.raises(DataError, match="missing parts or damaged"):
        UnknownScore.from_state(made.to_state(), 3)
    with pytest.raises(DataError, match="damaged"):
        UnknownScore.from_state({**made.to_state(), "mean": np.full((2, 2), np.nan)}, 2)


def test_without_auxiliaries_the_energy_decides_and_without_validation_nothing(rng):
    x, code, logits = stars(rng, 500)
    none = np.empty((500, 0))
    made = UnknownScore.fit(none, code, logits, none, n_classes=2)
    np.testing.assert_array_equal(made.score(logits, none), energy_score(logits))
    blind = UnknownScore.fit(x, code, logits[:0], x[:0], n_classes=2)
    assert not blind.is_unknown(blind.score(logits, x)).any()


def test_bad_input(rng):
    x, code, logits = stars(rng, 50)
    with pytest.raises(DataError, match="an object of every class"):
        UnknownScore.fit(x, code, logits, x, n_classes=3)
    with pytest.raises(DataError, match="finite auxiliaries"):
        UnknownScore.fit(np.where(x > 0, np.nan, x), code, logits, x, n_classes=2)
    with pytest.raises(ConfigError, match="false_unknown_rate"):
        UnknownScore.fit(x, code, logits, x, n_classes=2, false_unknown_rate=0.0)
    with pytest.raises(ConfigError, match="there are combined, energy"):
        UnknownScore.fit(x, code, logits, x, n_classes=2, method="magic")
    with pytest.raises(DataError, match="learned 2 auxiliaries"):
        fitted(rng).score(logits, x[:, :1])
