"""Unknown scores on Gaussians with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from astroprep.errors import ConfigError, DataError
from astroprep.model.density import ClassDensity
from astroprep.model.unknown import METHODS, UnknownScore, entropy_score

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


def test_entropy_by_hand():
    p = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        logits = np.log(p).clip(-800) + 3.0
    np.testing.assert_allclose(entropy_score(logits), [1.5 * np.log(2), 0.0], atol=1e-12)


def test_density_is_that_of_the_true_gaussians(rng):
    x, code, _ = stars(rng, 40_000)
    made = ClassDensity.fit(x, code, 2, "columns")
    y, _, _ = stars(rng, 300)
    z = y @ np.linalg.inv(MIX).T
    square = np.stack([(z**2).sum(axis=1), ((z - [4, 0]) ** 2).sum(axis=1)])
    true = -logsumexp(-square / 2, axis=0) + np.log(2) + np.log(abs(np.linalg.det(MIX)))
    np.testing.assert_allclose(made.surprise(y), true, atol=0.3, rtol=0.15)


def test_density_looks_at_what_separates_and_never_twice_at_the_same(rng):
    n = 6000
    code = rng.integers(0, 3, n)
    noise = rng.normal(size=(n, 30))
    telling = rng.normal(size=(n, 4)) + 3 * code[:, None]
    made = ClassDensity.fit(np.hstack([noise, telling, telling[:, :1]]), code, 3)
    # 30 to 33 tell the classes but go up together: the first stands for them, then comes noise
    chosen = made.look.argmax(axis=0)
    assert len(set(chosen)) == 16
    assert chosen[0] >= 30
    assert len({30, 34} & set(chosen)) < 2


def test_directions_are_fishers_discriminants(rng):
    """Two classes: along the inverse covariance times the difference of the means."""
    x, code, _ = stars(rng, 40_000)
    made = ClassDensity.fit(x, code, 2, "directions")
    assert made.look.shape == (2, 1)
    true = np.linalg.solve(MIX @ MIX.T, MIX @ [4, 0])
    found = made.look[:, 0] * np.sign(made.look[0, 0] * true[0])
    np.testing.assert_allclose(
        found / np.linalg.norm(found), true / np.linalg.norm(true), atol=0.05
    )


def test_a_class_of_one_object_and_a_constant_auxiliary(rng):
    x = np.column_stack([rng.normal(size=(200, 3)), np.full(200, 2.0)])
    code = np.zeros(200, np.int64)
    code[7] = 1
    made = ClassDensity.fit(x, code, 2)
    assert np.isfinite(made.surprise(x)).all()
    far = x[:1] + np.array([0, 0, 0, 3.0])
    assert made.surprise(far) > made.surprise(x).max()


def test_the_sum_is_of_shares_of_validation_objects(rng):
    """Each part adds minus the logarithm of the share of validation objects as unlike."""
    x, code, _ = stars(rng, 4000)
    y, _, logits = stars(rng, 4000)
    made = UnknownScore.fit(x, code, logits, y, n_classes=2)
    parts = [*(one.surprise(y) for one in made.density.values()), entropy_score(logits)]
    rank = [np.searchsorted(np.sort(p), p) for p in parts]
    exact = -np.log(1 - np.array(rank) / 4000)
    inside = (exact < made.highest).all(axis=0)
    exact[2] /= 2
    np.testing.assert_allclose(made.score(logits, y)[inside], exact.sum(axis=0)[inside], atol=0.5)


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
    with pytest.raises(DataError, match="damaged"):
        UnknownScore.from_state(made.to_state(), 3)
    state = made.to_state()
    for name, value in (
        ("mean", np.full((2, 2), np.nan)),
        ("step", np.zeros((2, 3), np.uint8)),
        ("look", np.zeros((3, 2), np.uint8)),
        ("unit", None),
    ):
        columns = {**state["density"]["columns"], name: value}
        damaged = {**state, "density": {**state["density"], "columns": columns}}
        with pytest.raises(DataError, match="unknown score"):
            UnknownScore.from_state(damaged, 2)
    tail = state["tail"][:2]
    for name, value in (("tail", tail), ("threshold", None), ("n_auxiliary", -1), ("method", tail)):
        with pytest.raises(DataError, match="missing parts or damaged"):
            UnknownScore.from_state({**state, name: value}, 2)


def test_a_score_has_the_same_bits_whoever_stands_beside(rng):
    """Partitions of a cluster, and batches under a memory ceiling, are cut differently."""
    code = rng.integers(0, 9, 4000)
    x = rng.normal(size=(4000, 45)) + 0.3 * code[:, None]
    for kind in ("columns", "directions"):
        made = ClassDensity.fit(x, code, 9, kind)
        whole = made.surprise(x[:200])
        for size in (1, 3, 7, 64):
            parts = [made.surprise(x[i : min(i + size, 200)]) for i in range(0, 200, size)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_without_auxiliaries_the_entropy_decides_and_without_validation_nothing(rng):
    x, code, logits = stars(rng, 500)
    none = np.empty((500, 0))
    made = UnknownScore.fit(none, code, logits, none, n_classes=2)
    np.testing.assert_array_equal(made.score(logits, none), entropy_score(logits))
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
    with pytest.raises(ConfigError, match="there are combined, columns"):
        UnknownScore.fit(x, code, logits, x, n_classes=2, method="magic")
    with pytest.raises(DataError, match="learned 2 auxiliaries"):
        fitted(rng).score(logits, x[:, :1])
