"""The circular autoencoder: torch against its twin, missing phases, seeds, the bundle."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from astroprep.data import LightCurveBatch
from astroprep.deploy.plain import from_json, to_json
from astroprep.errors import ConfigError, DataError, MissingExtraError
from astroprep.model import FoldedAutoencoder
from astroprep.model.autoencoder import AutoencoderSettings, CircularAutoencoder, fit_autoencoder
from astroprep.model.autoencoder_runtime import decode, encode, encoder_input, layer_shapes

PERIOD = 0.61


def folds(rng, n=160, n_bins=16, missing=0.3):
    """Two-parameter family of shapes, bent: a line of numbers cannot hold it exactly."""
    phase = 2 * np.pi * np.arange(n_bins) / n_bins
    sharp = rng.uniform(0, 3, (n, 1))
    truth = -np.exp(sharp * (np.cos(phase) - 1)) * 3 + rng.uniform(-1, 1, (n, 1)) * np.sin(phase)
    variance = rng.uniform(0.005, 0.05, (n, n_bins))
    mean = truth + rng.normal(0, np.sqrt(variance))
    variance[rng.random((n, n_bins)) < missing] = np.inf
    return truth, mean, variance


@pytest.mark.parametrize(("n_bins", "n_code", "width"), [(32, 6, 16), (8, 1, 3), (12, 4, 5)])
def test_the_runtime_equals_torch(rng, n_bins, n_code, width):
    torch.manual_seed(3)
    net = CircularAutoencoder(n_bins, n_code, width)
    for parameter in net.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.3)
    _, mean, variance = folds(rng, 20, n_bins)
    x = encoder_input(mean, variance)

    with torch.no_grad():
        code = net.encode(torch.tensor(x, dtype=torch.float32))
        made = net.decode(code).numpy()

    ours = encode(net.weights(), x)
    size = np.abs(code.numpy()).max()
    np.testing.assert_allclose(ours, code.numpy(), atol=1e-5 * max(size, 1))
    np.testing.assert_allclose(
        decode(net.weights(), ours), made, atol=1e-5 * max(np.abs(made).max(), 1)
    )
    assert {n: w.shape for n, w in net.weights().items()} == layer_shapes(n_bins, n_code, width)


def test_the_convolutions_are_circular(rng):
    """A fold turned by four bins turns the maps before the code by one: nothing is at an edge."""
    net = CircularAutoencoder(16, 2, 4)
    x = torch.tensor(rng.normal(size=(3, 2, 16)), dtype=torch.float32)

    def maps(y):
        h = torch.relu(net._convolve(y, "encode_1"))
        h = torch.relu(net._convolve(h, "encode_2", stride=2))
        return net._convolve(h, "encode_3", stride=2)

    with torch.no_grad():
        turned = maps(torch.roll(x, 4, dims=-1))
        torch.testing.assert_close(turned, torch.roll(maps(x), 1, dims=-1))


def test_missing_phases_are_neither_input_nor_scored(rng):
    _, mean, variance = folds(rng, 60)
    settings = AutoencoderSettings(n_code=2, width=4, max_epochs=3)
    other = np.where(np.isfinite(variance), mean, 1e6)

    one, first = fit_autoencoder(mean, variance, settings)
    two, second = fit_autoencoder(other, variance, settings)

    for name, weight in one.weights().items():
        np.testing.assert_array_equal(weight, two.weights()[name])
    for name in ("loss", "validation_loss"):
        assert [r[name] for r in first.epochs] == [r[name] for r in second.epochs]
    np.testing.assert_array_equal(encoder_input(mean, variance), encoder_input(other, variance))


def test_learns_shapes_through_gaps(rng):
    """Unobserved bins of new curves come out closer than the mean curve of the survey."""
    truth, mean, variance = folds(rng, 500)
    rows = []

    net, history = fit_autoencoder(
        mean[:400],
        variance[:400],
        AutoencoderSettings(n_code=2, width=8, max_epochs=120, batch_size=32),
        progress=rows.append,
    )

    made = decode(net.weights(), encode(net.weights(), encoder_input(mean[400:], variance[400:])))
    lost = ~np.isfinite(variance[400:])
    error = np.sqrt(np.mean((made - truth[400:])[lost] ** 2))
    plain = np.sqrt(np.mean((truth[:400].mean(axis=0) - truth[400:])[lost] ** 2))
    assert error < 0.5 * plain
    assert rows == history.epochs
    best = history.epochs[history.best_epoch]["validation_loss"]
    assert best == min(r["validation_loss"] for r in rows) < 0.3 * rows[0]["validation_loss"]


def test_stops_early_with_the_best_weights(rng):
    _, mean, variance = folds(rng, 40)
    noise = rng.normal(size=mean.shape)  # nothing to learn

    _, history = fit_autoencoder(
        noise, variance, AutoencoderSettings(n_code=2, width=4, max_epochs=200, patience=3)
    )

    assert history.stopped_early
    assert len(history.epochs) == history.best_epoch + 4 < 200


def test_seeds_decide_and_global_state_does_not(rng):
    _, mean, variance = folds(rng, 40)

    def trained(seed):
        settings = AutoencoderSettings(n_code=2, width=4, max_epochs=2, seed=seed)
        return fit_autoencoder(mean, variance, settings)[0].weights()["code_weight"]

    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = trained(0)
    torch.testing.assert_close(torch.get_rng_state(), before)
    torch.manual_seed(12)
    np.testing.assert_array_equal(first, trained(0))
    assert not np.array_equal(first, trained(1))


def star(rng, n=120, gap=0.0):
    cycle, phase = np.sort(rng.integers(0, 2000, n)), rng.uniform(gap, 1.0, n)
    mag = 15 + 0.4 * np.cos(2 * np.pi * phase) + rng.normal(0, 0.02, n)
    order = np.argsort(cycle + phase)
    return 55000 + ((cycle + phase) * PERIOD)[order], mag[order], np.full(n, 0.02)


def batch_of(curves):
    n = len(curves)
    return LightCurveBatch.from_curves(curves, objects={"period": np.full(n, PERIOD)})


SMALL = {"n_code": 2, "n_bins": 16, "width": 4, "max_epochs": 3}


@pytest.fixture
def survey(rng):
    return batch_of([star(rng) for _ in range(20)])


def test_survives_the_bundle_and_rebuilds_the_fold(survey):
    step = FoldedAutoencoder(**SMALL).fit(survey)
    plain = step.transform(survey).objects

    state = from_json(to_json(step.state(), "state"))
    again = FoldedAutoencoder(**SMALL).load_state(state).transform(survey).objects

    for name, column in plain.items():
        np.testing.assert_array_equal(again[name], column)
    made = step.reconstruct(plain["folded_code"])
    assert made.shape == (20, 16)
    assert plain["folded_code"].shape == (20, 2)
    assert np.isfinite(plain["folded_code_misfit"]).all()


def test_transform_runs_without_torch(survey, tmp_path):
    step = FoldedAutoencoder(**SMALL).fit(survey)
    (tmp_path / "state.json").write_bytes(to_json(step.state(), "state"))
    np.savez(tmp_path / "s.npz", time=survey.time, value=survey.value, offsets=survey.offsets)
    code = f"""
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch was asked for")
sys.meta_path.insert(0, NoTorch())
from pathlib import Path
import numpy as np
from astroprep.data import LightCurveBatch
from astroprep.deploy.plain import from_json
from astroprep.model import FoldedAutoencoder
folder = Path({str(tmp_path)!r})
s = np.load(folder / "s.npz")
n = s["offsets"].size - 1
batch = LightCurveBatch(time=s["time"], value=s["value"], error=np.full(s["time"].size, 0.02),
    offsets=s["offsets"], objects={{"period": np.full(n, {PERIOD})}})
state = from_json((folder / "state.json").read_bytes())
step = FoldedAutoencoder(**{SMALL!r}).load_state(state)
np.save(folder / "code.npy", step.transform(batch).objects["folded_code"])
step.reconstruct(np.zeros((1, 2)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        np.load(tmp_path / "code.npy"), step.transform(survey).objects["folded_code"]
    )


def test_fit_without_torch_says_what_to_install(survey, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises((MissingExtraError, ImportError), match="torch"):
        FoldedAutoencoder(**SMALL).fit(survey)


def test_too_few_observed_phases_are_refused(rng, survey):
    step = FoldedAutoencoder(**SMALL).fit(survey)
    kept = step.set_params(on_bad="reject").transform(batch_of([star(rng), star(rng, gap=0.7)]))
    assert kept.n_curves == 1
    assert "of 16 phase bins observed" in kept.rejected.reason[0]


@pytest.mark.parametrize("name", ["n_bins", "n_code", "width", "max_epochs", "seed", "min_filled"])
def test_wrong_settings_are_named(survey, name):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        FoldedAutoencoder(**{name: -1}).fit(survey)


def test_all_wrong_training_settings_come_at_once():
    with pytest.raises(ConfigError, match=r"n_code = 0, patience = 0, hidden = 1.0, noise = 0"):
        AutoencoderSettings(n_code=0, patience=0, hidden=1.0, noise=0)


def test_bad_folds_and_damaged_weights_are_refused(rng, survey):
    _, mean, variance = folds(rng, 10)
    with pytest.raises(ConfigError, match="multiple of 4 bins"):
        fit_autoencoder(mean[:, :10], variance[:, :10])
    with pytest.raises(DataError, match="two curves at least"):
        fit_autoencoder(mean[:1], variance[:1])
    with pytest.raises(DataError, match="finite bins"):
        fit_autoencoder(mean * np.nan, variance)
    step = FoldedAutoencoder(**SMALL).fit(survey)
    with pytest.raises(DataError, match="weights are not of the shapes"):
        step.set_params(width=5).transform(survey)
    broken = {**step.weights_, "code_bias": np.full(2, np.nan, np.float32)}
    with pytest.raises(DataError, match="code_bias, needed to encode, is missing or bad"):
        encode(broken, encoder_input(mean, variance))
    with pytest.raises(DataError, match="has 2 numbers a curve"):
        step.set_params(width=4).reconstruct(np.zeros((1, 3)))
