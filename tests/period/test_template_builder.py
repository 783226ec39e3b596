"""Templates as a set, their files, and the builder that learns them from labelled stars."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.period.rrlyrae_library import simulated_set
from astroprep.period.template_builder import build_templates, smooth_cycle
from astroprep.period.template_files import (
    load_templates,
    read_templates,
    shipped_templates,
    write_templates,
)
from astroprep.period.templates import TemplateSet, resample

FINE = np.arange(512) / 512


def saw(phase, rise):
    """0 at phase 0, a smooth climb to 1, and a fall that takes `rise` cycles."""
    p = np.asarray(phase) % 1
    return np.where(p < 1 - rise, (1 - np.cos(np.pi * p / (1 - rise))) / 2, 0.0) + np.where(
        p >= 1 - rise, (1 + np.cos(np.pi * (p - 1 + rise) / rise)) / 2, 0.0
    )


@pytest.fixture
def make_stars(rng):
    """Factory of folded-curve columns: stars of given shapes, epochs and periods at random."""

    def make(rises, n_points=120, noise=0.02):
        n = len(rises)
        period = rng.uniform(0.45, 0.75, n)
        epoch = rng.uniform(0, 1, n)
        time = rng.uniform(0, 500, (n, n_points))
        shape = np.array(
            [saw((t - e) / p, r) for t, e, p, r in zip(time, epoch, period, rises, strict=True)]
        )
        value = 15 + rng.uniform(0.6, 1.2, (n, 1)) * shape + rng.normal(0, noise, shape.shape)
        offsets = np.arange(n + 1, dtype=np.int64) * n_points
        return time.ravel(), value.ravel(), np.full(value.size, noise), offsets, period

    return make


# -- the builder ---------------------------------------------------------------------------


def test_one_shape_in_all_stars_is_learned(make_stars):
    """Noise 0.02 mag in 30 x 120 points leaves the mean shape good to a few thousandths."""
    points = make_stars([0.3] * 30)
    learned = build_templates(*points, np.full(30, "ab", dtype=object), n_shapes=1)

    assert learned.names == ("ab0",)
    assert learned.shape[0].argmin() in (0, 1, 511)
    truth = saw(FINE, 0.3)
    shifted = [np.abs(np.roll(learned.shape[0], k) - truth).max() for k in range(-8, 9)]
    assert min(shifted) < 0.02


def test_two_shapes_are_told_apart_and_the_common_one_comes_first(make_stars):
    rises = np.array([0.15] * 24 + [0.45] * 12)
    learned = build_templates(*make_stars(rises), np.full(36, "ab", dtype=object), n_shapes=2)
    for row, rise in zip(learned.shape, (0.15, 0.45), strict=True):
        misfit = [np.sqrt(np.mean((np.roll(row, k) - saw(FINE, rise)) ** 2)) for k in range(-9, 10)]
        assert min(misfit) < 0.03


def test_kinds_and_bands_get_their_own_templates(make_stars):
    kind = np.array(["ab", "ab", "c", "c"] * 3, dtype=object)
    band = np.array(["g", "r"] * 6, dtype=object)
    learned = build_templates(*make_stars([0.3] * 12), kind, band=band, n_shapes={"ab": 2, "c": 1})
    assert learned.names == ("ab0g", "ab1g", "ab0r", "ab1r", "c0g", "c0r")
    assert learned.kinds == ("ab",) * 4 + ("c",) * 2
    assert learned.bands == ("g", "g", "r", "r", "g", "r")
    assert learned.period_range[[0, 4]].tolist() == [[0.36, 1.2], [0.2, 0.5]]


def test_smoothing_keeps_the_shape_and_leaves_outliers_out(rng):
    phase = rng.random(150)
    value = np.sin(2 * np.pi * phase) + rng.normal(0, 0.05, 150)
    value[:4] += 5
    smooth = smooth_cycle(phase, value, np.full(150, 0.05))
    # 150 points, a handful of effective coefficients: 0.05 sqrt(5 / 150) = 0.01
    assert np.sqrt(np.mean((smooth - np.sin(2 * np.pi * FINE)) ** 2)) < 0.02


def test_builder_names_what_is_wrong(make_stars):
    points = make_stars([0.3] * 3)
    kind = np.full(3, "ab", dtype=object)
    with pytest.raises(ConfigError, match="n_shapes must be 1 or more for kind 'ab'"):
        build_templates(*points, kind, n_shapes=0)
    with pytest.raises(ConfigError, match="for kind 'ab'"):
        build_templates(*points, kind, n_shapes={"c": 2})
    with pytest.raises(DataError, match="3 curves, 3 periods, 2 kinds"):
        build_templates(*points, kind[:2])
    time, value, error, offsets, period = points
    with pytest.raises(DataError, match="ten points or more that vary: curve 1 has 4"):
        build_templates(time, value, error, np.array([0, 120, 124, 360]), period, kind)
    with pytest.raises(DataError, match="curve 0 has 120"):
        build_templates(time, value * 0, error, offsets, period, kind)
    with pytest.raises(DataError, match="positive period"):
        build_templates(time, value, error, offsets, period * 0, kind)
    with pytest.raises(DataError, match="smooth_cycle needs ten points, got 3"):
        smooth_cycle(time[:3], value[:3], error[:3])


def test_the_shipped_set_is_what_its_command_makes():
    """Four digits are written; clusters do not depend on the machine."""
    again, shipped = simulated_set(), shipped_templates()
    assert again.names == shipped.names
    np.testing.assert_allclose(shipped.shape, again.shape, rtol=0, atol=5e-3)


def test_the_shipped_set_is_small_and_complete():
    shipped = shipped_templates()
    assert len(shipped) == 16
    assert shipped.shape.min() > -0.01
    assert (shipped.shape.argmin(axis=1) % 511 <= 1).all()
    assert shipped is shipped_templates()


# -- the set -------------------------------------------------------------------------------


def three(**change):
    base = {
        "names": ("0g", "100g", "100r"),
        "bands": ("g", "g", "r"),
        "kinds": ("c", "ab", "ab"),
        "shape": np.array([saw(FINE, r) for r in (0.5, 0.2, 0.3)]),
    }
    return TemplateSet(**{**base, **change})


@pytest.mark.parametrize(
    ("band", "names"),
    [
        ("g", ("0g", "100g")),
        ("sdss_g", ("0g", "100g")),
        ("G", ("0g", "100g")),
        ("ztf_r", ("0g", "100r")),  # kind c has no r: all of that kind serve
        ("tess", ("0g", "100g", "100r")),
        ("", ("0g", "100g", "100r")),
    ],
)
def test_a_band_is_served_by_its_filter_in_every_kind(band, names):
    assert three().take(three().serving(band)).names == names


def test_a_set_refuses_what_is_no_template():
    with pytest.raises(DataError, match="one row of 32 phases"):
        three(shape=np.zeros((3, 8)))
    with pytest.raises(DataError, match="a band and a kind for each"):
        three(bands=("g",))
    with pytest.raises(DataError, match="'0g' is there twice"):
        three(names=("0g", "0g", "1"))
    with pytest.raises(DataError, match="'0g' runs from 0 to 2"):
        three(shape=2 * three().shape)
    with pytest.raises(DataError, match="'0g' runs from nan"):
        three(shape=three().shape * np.nan)
    with pytest.raises(DataError, match="no periods of kind 'x'"):
        three(kinds=("x", "ab", "ab"))
    with pytest.raises(DataError, match="shortest and a longer"):
        three(period_range=np.ones((3, 2)))
    with pytest.raises(ValueError, match="read-only"):
        three().shape[0] = 1


def test_resampling_is_exact_for_a_short_series():
    wave = np.cos(2 * np.pi * np.arange(40) / 40)[None] + np.sin(6 * np.pi * np.arange(40) / 40)
    fine = resample(wave, 512, 30)
    truth = np.cos(2 * np.pi * FINE) + np.sin(6 * np.pi * FINE)
    np.testing.assert_allclose(fine[0], truth, atol=1e-13)


# -- files ---------------------------------------------------------------------------------


def write_table(path, phase, value):
    np.savetxt(path, np.stack([phase, value], axis=1), fmt="%.4f")


def test_published_form_is_read(tmp_path):
    grid = np.arange(500) / 500
    for name, rise in (("0g", 0.5), ("100r", 0.2), ("100g", 0.3)):
        write_table(tmp_path / f"{name}.dat", grid, saw(grid, rise))
    (tmp_path / "notes.txt").write_text("not a template")
    (tmp_path / "readme.dat").write_text("nor this")
    loaded = load_templates(tmp_path)
    assert loaded.names == ("0g", "100g", "100r")
    assert loaded.bands == ("g", "g", "r")
    assert loaded.kinds == ("c", "ab", "ab")
    np.testing.assert_allclose(loaded.shape[1], saw(FINE, 0.3), atol=2e-3)
    assert load_templates(tmp_path, first_ab=101).kinds == ("c", "c", "c")


def test_wrong_tables_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file named by number and band, such as 100g.dat"):
        load_templates(tmp_path)
    (tmp_path / "1g.dat").write_text("phase mag\n")
    with pytest.raises(DataError, match=r"1g.dat is no table of numbers"):
        load_templates(tmp_path)
    write_table(tmp_path / "1g.dat", np.sort(np.random.default_rng(0).random(60)), np.arange(60))
    with pytest.raises(DataError, match=r"1g.dat needs two columns, the first an even grid"):
        load_templates(tmp_path)


def test_written_sets_come_back(tmp_path):
    given = three(period_range=np.array([[0.0, np.inf], [0.3, 1.0], [0.3, 1.0]]))
    path = tmp_path / "set.json"
    write_templates(path, given, "three shapes")
    again = read_templates(path)
    assert (again.names, again.bands, again.kinds) == (given.names, given.bands, given.kinds)
    np.testing.assert_array_equal(again.period_range, given.period_range)
    np.testing.assert_allclose(again.shape, given.shape, atol=2e-3)
    assert json.loads(path.read_text())["about"] == "three shapes"
    for text in ("{", "[]", '{"templates": [{}]}'):
        path.write_text(text)
        with pytest.raises(DataError, match="is no file of write_templates"):
            read_templates(path)
