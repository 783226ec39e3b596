"""The noise steps on real Kepler, K2, TESS, Catalina and MACHO photometry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from sklearn.cluster import DBSCAN

from astroprep.clean import (
    Bin,
    BinDown,
    ClusterNoise,
    FlagBad,
    Smooth,
    SurveyFlags,
    amplitude_kept,
    window_response,
)
from astroprep.clean.cluster import cluster_labels
from astroprep.data import LightCurveBatch
from astroprep.io import open_survey
from astroprep.represent import Normalize


def space(data_dir, name):
    return FlagBad().transform(
        SurveyFlags().transform(open_survey(data_dir / "space" / name).read())
    )


def ground(data_dir, name, n=100):
    with open_survey(data_dir / f"{name}.parquet") as survey:
        return next(iter(survey.iter_batches(n)))


STEPS = (
    Bin(),
    Bin("boundary", "count", 10),
    BinDown(),
    Smooth(),
    Smooth(robust=2),
    Smooth("spline"),
    Smooth("spline", window=2.0),
    ClusterNoise(),
)


@pytest.mark.parametrize("name", ["kepler", "k2", "tess"])
def test_space_photometry_stays_finite(data_dir, name):
    batch = space(data_dir, name)
    for step in STEPS:
        usable = step.transform(batch).usable
        assert np.isfinite(usable.value).all()
        assert (usable.error > 0).all()
        levels = [np.median(batch.usable.value[a:b]) for a, b in itertools.pairwise(
            batch.usable.offsets)]  # fmt: skip
        after = [np.median(usable.value[a:b]) for a, b in itertools.pairwise(usable.offsets)]
        np.testing.assert_allclose(after, levels, rtol=0.02)


@pytest.mark.parametrize(
    "name", ["crts_south", "asas_south", "sdss_stripe82_rrlyrae", "lmc_cepheids_multisurvey"]
)
def test_ground_photometry_is_served_whole(data_dir, name):
    """Sentinel times, repeated times, several bands, and MACHO without errors, as they come."""
    raw = ground(data_dir, name)
    for batch in (raw, FlagBad().transform(raw)):
        for step in STEPS:
            result = step.transform(batch)
            assert result.n_curves == batch.n_curves
            assert np.isfinite(result.usable.value).all()
        for settings in ({"per": "object"}, {"per": "band"}, {"per": "survey"}):
            there = Normalize(**settings).fit_transform(batch)
            back = Normalize().inverse_transform(there)
            fine = np.isfinite(batch.value)
            np.testing.assert_allclose(back.value[fine], batch.value[fine], rtol=1e-13, atol=1e-12)
            np.testing.assert_allclose(back.error, batch.error, rtol=1e-14)


def test_labels_on_catalina_are_those_of_scikit_learn(data_dir):
    usable = FlagBad().transform(ground(data_dir, "crts_south", 40)).usable
    scale = np.array(
        [5 * np.median(usable.error[a:b]) for a, b in itertools.pairwise(usable.offsets)]
    )
    ours = cluster_labels(usable.time, usable.value, usable.offsets, 0.5, scale, 3)
    for (a, b), s in zip(itertools.pairwise(usable.offsets), scale, strict=True):
        plane = np.column_stack([usable.time[a:b] / 0.5, usable.value[a:b] / s])
        peer = DBSCAN(eps=1.0, min_samples=3).fit(plane)
        np.testing.assert_array_equal(ours[a:b], peer.labels_)


def test_the_spline_of_a_kepler_quarter_is_that_of_scipy(data_dir):
    usable = space(data_dir, "kepler").usable
    part = slice(0, 800)
    time, value, error = usable.time[part], usable.value[part], usable.error[part]
    given = LightCurveBatch.from_curves([(time, value, error)])
    ours = Smooth("spline", window=1.0).transform(given).value
    weight = error**-2 / np.mean(error**-2)
    penalty = time.size / np.ptp(time) * (1.0 / (2 * np.pi)) ** 4
    peer = make_smoothing_spline(time, value, weight, lam=penalty)(time)
    np.testing.assert_allclose(ours, peer, atol=1e-5 * np.std(value))


def test_bins_of_a_kepler_quarter_are_those_of_lightkurve(data_dir):
    lk = pytest.importorskip("lightkurve")
    batch = space(data_dir, "kepler")[:1]
    usable = batch.usable
    start = float(usable.time[0])
    curve = lk.LightCurve(time=usable.time, flux=usable.value, flux_err=usable.error)
    peer = np.asarray(curve.bin(time_bin_size=0.5, time_bin_start=start).flux, float)
    plain = LightCurveBatch.from_curves([(usable.time, usable.value, np.ones(usable.time.size))])
    ours = BinDown(size=0.5, origin=start).transform(plain).value
    np.testing.assert_allclose(ours, peer[np.isfinite(peer)], rtol=1e-12)


def test_a_kepler_quarter_keeps_what_theory_says(data_dir):
    """Real sampling with its gaps: within 2 % of the amplitude for periods above the window."""
    batch = space(data_dir, "kepler")[:1]
    periods = np.array([0.6, 1.0, 2.0, 4.0])
    kept = amplitude_kept(Smooth(window=0.5), batch, periods)[0]
    np.testing.assert_allclose(kept, window_response(periods, 0.5, 2), atol=0.02)
