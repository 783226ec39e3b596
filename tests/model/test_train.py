"""Training: learns, repeats itself, resumes exactly, and keeps constraints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from astroprep.errors import ConfigError, DataError
from astroprep.model.checkpoint import read_checkpoint, write_checkpoint
from astroprep.model.firenet import build_network, firenet_spec
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    effective_weights,
    fit_network,
    predict_logits,
)

QUICK = TrainSettings(
    max_epochs=12, batch_size=16, learning_rate=1e-2, averaging=0.9, patience=0, n_threads=1
)


@pytest.fixture
def arrays(rng):
    """Two shapes on a circle of 16 bins at any origin of phase: one wave or two."""
    label = rng.integers(0, 2, 300)
    phase = np.arange(16) / 16 + rng.random((300, 1))
    wave = np.sin(2 * np.pi * phase * (1 + label[:, None])) + rng.normal(0, 0.1, (300, 16))
    folded = np.stack([wave, np.ones_like(wave)], axis=1).astype(np.float32)
    return TrainingArrays(
        folded=folded,
        auxiliary=rng.normal(size=(300, 3)).astype(np.float32),
        label=label.astype(np.int64),
        is_validation=np.arange(300) % 5 == 0,
    )


def net_of(arrays, seed=0, n_classes=2):
    spec = firenet_spec(
        "nano",
        n_channels=arrays.folded.shape[1],
        n_bins=16,
        n_auxiliary=arrays.auxiliary.shape[1],
        n_classes=n_classes,
    )
    return build_network(spec, seed)


def weights_of(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def test_tells_one_wave_from_two(arrays):
    net = net_of(arrays)

    history = fit_network(net, arrays, QUICK)

    assert not net.training
    assert history.epochs[history.best_epoch]["validation_balanced_accuracy"] > 0.95
    right = predict_logits(net, arrays.folded, arrays.auxiliary).argmax(axis=1) == arrays.label
    assert right.mean() > 0.95


def test_same_seed_same_weights_whatever_the_global_state(arrays):
    first, second, other = net_of(arrays), net_of(arrays), net_of(arrays)

    torch.manual_seed(1)
    fit_network(first, arrays, QUICK)
    torch.manual_seed(2)
    fit_network(second, arrays, QUICK)
    fit_network(other, arrays, replace(QUICK, seed=1))

    assert_same(weights_of(first), weights_of(second))
    assert any(
        not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )


class Shifted:
    """Another origin of phase in every epoch."""

    def __init__(self, folded):
        self.folded = folded

    def __call__(self, rows, epoch):
        return np.roll(self.folded[rows], epoch, axis=-1)

    def fingerprint(self):
        return "shifted"


@pytest.mark.parametrize(
    "other",
    [{}, {"precision": "bfloat16"}, {"precision": "float16"}, {"equal_averaging": 0.9}],
    ids=["float32", "bfloat16", "float16", "equal averaging"],
)
def test_interrupted_and_resumed_equals_undisturbed(arrays, tmp_path, other):
    few = np.arange(300) < 90
    arrays = TrainingArrays(
        arrays.folded[few], arrays.auxiliary[few], arrays.label[few], arrays.is_validation[few]
    )
    settings = replace(QUICK, max_epochs=5, **other)
    undisturbed, resumed = net_of(arrays), net_of(arrays)
    augment = Shifted(arrays.folded)
    expected = fit_network(undisturbed, arrays, settings, augment=augment)
    checkpoint = tmp_path / "training.pt"

    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(
            net_of(arrays), arrays, settings, augment=augment, progress=stop, checkpoint=checkpoint
        )
    seen = []
    history = fit_network(
        resumed, arrays, settings, augment=augment, progress=seen.append, checkpoint=checkpoint
    )

    assert [row["epoch"] for row in seen] == list(range(2, 5))
    assert len(history.epochs) == len(expected.epochs)
    assert_same(weights_of(undisturbed), weights_of(resumed))
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_training_is_refused(arrays, tmp_path):
    checkpoint = tmp_path / "training.pt"

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(net_of(arrays), arrays, QUICK, progress=stop, checkpoint=checkpoint)

    with pytest.raises(ConfigError, match="belongs to another training"):
        fit_network(net_of(arrays), arrays, replace(QUICK, seed=7), checkpoint=checkpoint)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not a checkpoint" * 9]
)
def test_a_damaged_checkpoint_is_named(arrays, tmp_path, damage):
    checkpoint = tmp_path / "training.pt"

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(net_of(arrays), arrays, QUICK, progress=stop, checkpoint=checkpoint)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))

    with pytest.raises(DataError, match=r"training\.pt is damaged or no checkpoint"):
        fit_network(net_of(arrays), arrays, QUICK, checkpoint=checkpoint)


def test_no_flipped_bit_of_a_checkpoint_is_resumed_from(arrays, tmp_path):
    checkpoint = tmp_path / "training.pt"
    net = net_of(arrays)
    write_checkpoint(checkpoint, "this one", net, {"weights": net.state_dict()})
    assert_same(read_checkpoint(checkpoint, "this one", net)["weights"], net.state_dict())
    whole = checkpoint.read_bytes()

    for place in np.linspace(0, len(whole) - 1, 200).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        checkpoint.write_bytes(damaged)
        with pytest.raises(DataError, match=r"training\.pt is damaged"):
            read_checkpoint(checkpoint, "this one", net)


def test_a_refused_checkpoint_is_left_as_it_was(arrays, tmp_path):
    """Whoever gave the wrong settings can still go on with the right ones."""
    checkpoint = tmp_path / "training.pt"

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(net_of(arrays), arrays, QUICK, progress=stop, checkpoint=checkpoint)
    before = checkpoint.read_bytes()

    for net, settings in (
        (net_of(arrays, n_classes=3), QUICK),
        (net_of(arrays), replace(QUICK, seed=7)),
    ):
        with pytest.raises(ConfigError, match="remove it to start anew"):
            fit_network(net, arrays, settings, checkpoint=checkpoint)

    assert checkpoint.read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(arrays, tmp_path):
    checkpoint = tmp_path / "training.pt"

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(net_of(arrays), arrays, QUICK, progress=stop, checkpoint=checkpoint)

    with pytest.raises(ConfigError, match=r"another network: head\.weight is \[2,"):
        fit_network(net_of(arrays, n_classes=3), arrays, QUICK, checkpoint=checkpoint)


def test_equal_averaging_is_the_mean_of_the_last_epochs(arrays):
    """Without validation the last epoch is kept: the mean of the weights at the end of three."""
    alone = replace(arrays, is_validation=np.zeros(300, bool))
    settings = replace(QUICK, max_epochs=6, equal_averaging=0.5, averaging=0.0)
    steps = []
    net = net_of(arrays)

    def watch(network):
        steps.append({name: t.clone() for name, t in network.state_dict().items()})

    fit_network(net, alone, settings, after_step=watch)

    n_batches = 300 // 16
    last = [steps[epoch * n_batches + epoch_extra + n_batches - 1]
            for epoch, epoch_extra in ((3, 0), (4, 1), (5, 2))]  # fmt: skip
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            mean = sum(step[name] for step in last) / 3
            torch.testing.assert_close(tensor, mean, rtol=1e-5, atol=1e-6)


def test_the_last_epoch_is_kept_where_asked(arrays, rng):
    noise = replace(arrays, label=rng.integers(0, 2, 300))

    history = fit_network(net_of(noise), noise, replace(QUICK, keep="last", max_epochs=6))

    assert history.best_epoch == 5


def test_masks_hold_through_training_and_averaging(arrays):
    net = net_of(arrays)

    def prune(network):
        with torch.no_grad():
            network.stem.conv.weight[:, :, ::2] = 0.0

    fit_network(net, arrays, QUICK, after_step=prune)

    assert (net.stem.conv.weight[:, :, ::2] == 0).all()
    assert (net.stem.conv.weight[:, :, 1::2] != 0).any()


def test_stops_when_the_validation_no_longer_improves(arrays, rng):
    noise = replace(arrays, label=rng.integers(0, 2, 300))

    history = fit_network(net_of(noise), noise, replace(QUICK, max_epochs=60, patience=3))

    assert history.stopped_early
    assert len(history.epochs) == history.best_epoch + 4


def test_without_validation_the_last_epoch_is_kept(arrays):
    alone = replace(arrays, is_validation=np.zeros(300, bool))

    history = fit_network(net_of(alone), alone, QUICK)

    assert history.best_epoch == 11
    assert "validation_loss" not in history.epochs[0]


def test_a_class_only_in_validation_does_not_break_it(arrays):
    label = arrays.label.copy()
    label[0] = 2

    history = fit_network(net_of(arrays, n_classes=3), replace(arrays, label=label), QUICK)

    assert np.isfinite(history.epochs[-1]["validation_loss"])


def test_a_teacher_replaces_the_labels(arrays):
    """Labels say the opposite; a distillation of 1 listens to the teacher alone."""
    teacher = np.eye(2, dtype=np.float32)[arrays.label]
    misled = replace(arrays, label=1 - arrays.label, teacher=teacher)
    net = net_of(arrays)

    fit_network(net, misled, replace(QUICK, distillation=1.0))

    right = predict_logits(net, arrays.folded, arrays.auxiliary).argmax(axis=1) == arrays.label
    assert right.mean() > 0.95


def test_objects_of_no_weight_are_not_learned(arrays):
    """The wrongly labelled half has no weight."""
    wrong = np.arange(300) % 2 == 0
    label = np.where(wrong, 1 - arrays.label, arrays.label)
    net = net_of(arrays)

    fit_network(net, replace(arrays, label=label, weight=(~wrong).astype(np.float32)), QUICK)

    right = predict_logits(net, arrays.folded, arrays.auxiliary).argmax(axis=1) == arrays.label
    assert right.mean() > 0.95


@pytest.mark.parametrize(
    ("power", "expected"),
    [(0.0, [1, 1, 0]), (1.0, [0.625, 2.5, 0]), (0.5, [5 / 6, 5 / 3, 0])],
)
def test_class_weights_by_hand(power, expected):
    """Shares 4/5 and 1/5; the mean over the objects is 1."""
    label = np.array([0, 0, 0, 0, 1])

    weight = class_weights(label, 3, power)

    np.testing.assert_allclose(weight, expected)
    assert weight[label].mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("beta", "expected"), [(0.0, [1, 1, 0]), (0.5, [0.5 / 0.9375, 1.0, 0]), (0.9999, [1, 4, 0])]
)
def test_effective_weights_by_hand(beta, expected):
    """(1 - beta) / (1 - beta^n): equal weights for beta 0, inverse counts towards 1."""
    label = np.array([0, 0, 0, 0, 1])

    weight = effective_weights(label, 3, beta)

    expected = np.array(expected) / np.array(expected)[label].mean()
    if beta == 0.9999:
        expected = np.array([0.625, 2.5, 0])
    np.testing.assert_allclose(weight, expected, rtol=1e-3)
    assert weight[label].mean() == pytest.approx(1.0)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(ConfigError, match=r"max_epochs = 0, learning_rate = -1, seed = 'a'"):
        TrainSettings(max_epochs=0, learning_rate=-1, seed="a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.zeros(300, np.int64)}, "two classes at least"),
        ({"auxiliary": np.full((300, 3), np.nan, np.float32)}, "finite numbers in 'auxiliary'"),
        ({"weight": np.ones(5, np.float32)}, "300 rows in 'weight'"),
        ({"label": np.where(np.arange(300) == 1, 2, 0)}, "but class 2 has 1; merge it"),
        ({"label": np.arange(300) % 2 + 1}, "has 2 classes, but there is a label 2"),
        ({"label": np.arange(300) % 2 - 1}, "class codes from 0, got -1"),
        ({"is_validation": np.ones(300, bool)}, "got 0 objects of 0"),
    ],
)
def test_wrong_arrays_are_named(arrays, change, message):
    with pytest.raises(DataError, match=message):
        fit_network(net_of(arrays), replace(arrays, **change), QUICK)
