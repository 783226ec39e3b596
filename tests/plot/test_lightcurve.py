"""Pictures of light curves hold the right points in the right places."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.plot import plot_folded, plot_light_curve

MakeBatch = Callable[..., LightCurveBatch]


def drawn(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points of every labelled artist, by label."""
    handles, labels = ax.get_legend_handles_labels()
    lines = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    return {
        label: (np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float))
        for label, line in zip(labels, lines, strict=True)
    }


def rendered(ax) -> None:
    """Draw it for real: bad text and layout fail only then."""
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def flagged(batch: LightCurveBatch, flags: dict[int, int]) -> LightCurveBatch:
    bits = batch.flags.copy()
    for position, flag in flags.items():
        bits[position] = flag
    return batch.with_columns(flags=bits)


def test_draws_every_good_point_of_the_chosen_curve(make_batch: MakeBatch) -> None:
    batch = make_batch(3, 40)

    ax = plot_light_curve(batch, 1)

    time, value = drawn(ax)["good"]
    np.testing.assert_array_equal(time, batch.time[40:80])
    np.testing.assert_array_equal(value, batch.value[40:80])
    assert ax.get_title(loc="left") == "star-1"
    rendered(ax)


@pytest.mark.parametrize(("quantity", "is_upside_down"), [("mag", True), ("flux", False)])
def test_bright_is_up(make_batch: MakeBatch, quantity: str, is_upside_down: bool) -> None:
    batch = make_batch(1).with_columns(meta=Meta(quantity=quantity, unit="e-/s"))
    for ax in (plot_light_curve(batch), plot_folded(batch)):
        bottom, top = ax.get_ylim()
        assert (bottom > top) == is_upside_down


def test_each_flagged_point_is_drawn_once_under_its_first_reason(make_batch: MakeBatch) -> None:
    batch = flagged(
        make_batch(1, 50),
        {
            3: int(PointFlag.OUTLIER),
            4: int(PointFlag.OUTLIER | PointFlag.DUPLICATE),
            5: int(PointFlag.DUPLICATE),
            6: int(PointFlag.ESTIMATED_ERROR),
        },
    )

    found = drawn(plot_light_curve(batch))

    np.testing.assert_array_equal(found["outlier (2)"][0], batch.time[[3, 4]])
    np.testing.assert_array_equal(found["duplicate (1)"][0], batch.time[[5]])
    assert found["good"][0].size == 47  # an estimated error is no reason to mark a point
    assert set(found) == {"good", "outlier (2)", "duplicate (1)"}


def test_far_points_sit_at_the_edge_and_undrawable_ones_are_counted(
    make_batch: MakeBatch,
) -> None:
    batch = make_batch(1, 50)
    value, time = batch.value.copy(), batch.time.copy()
    value[[0, 1]] = 99.99, np.nan
    time[2] = -2409998.5
    flags = {
        0: PointFlag.SENTINEL,
        1: PointFlag.MISSING_VALUE,
        2: PointFlag.BAD_TIME,
    }
    batch = flagged(batch.with_columns(value=value, time=time), flags)

    ax = plot_light_curve(batch)
    found = drawn(ax)

    assert found["sentinel (1)"][1] == pytest.approx(max(ax.get_ylim()))
    assert found["missing value (1), 1 not drawn"][0].size == 0
    assert found["bad time (1), 1 not drawn"][0].size == 0
    assert max(ax.get_ylim()) < 20
    rendered(ax)


def test_bands_and_down_weighted_points_are_told_apart(make_batch: MakeBatch) -> None:
    batch = make_batch(1, 30)
    weight = np.ones(30)
    weight[:4] = 0.1
    batch = replace(
        batch,
        weight=weight,
        band=np.tile(np.array([0, 1], np.int16), 15),
        meta=Meta(bands=("ztf_g", "ztf_r")),
    )

    sizes = {name: x.size for name, (x, _) in drawn(plot_light_curve(batch)).items()}

    assert sizes == {
        "ztf_g": 13,
        "ztf_g, down-weighted": 2,
        "ztf_r": 13,
        "ztf_r, down-weighted": 2,
    }


def test_folds_at_the_period_over_two_cycles(make_batch: MakeBatch) -> None:
    batch = make_batch(2, 40, period=0.61)

    ax = plot_folded(batch, 1)

    line = ax.lines[0]
    phase = ((batch.time[40:] - batch.time[40]) / 0.61) % 1
    np.testing.assert_allclose(line.get_xdata(), np.concatenate([phase, phase + 1]), atol=1e-9)
    np.testing.assert_array_equal(line.get_ydata(), np.tile(batch.value[40:], 2))


def test_phase_zero_is_the_epoch_and_a_given_period_wins(make_batch: MakeBatch) -> None:
    batch = make_batch(1, 40).with_columns(objects={"epoch": np.array([55123.4])})

    ax = plot_folded(batch, period=2.5)

    expected = ((batch.time - 55123.4) / 2.5) % 1
    np.testing.assert_allclose(ax.lines[0].get_xdata()[:40], expected, atol=1e-9)


def test_multiples_are_stacked_without_overlap(make_batch: MakeBatch) -> None:
    ax = plot_folded(make_batch(1, 40), multiples=(0.5, 1, 2))

    rows = [np.asarray(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 80]

    assert len(rows) == 3
    assert rows[0].max() < rows[1].min()
    assert rows[1].max() < rows[2].min()
    assert [text.get_text() for text in ax.texts] == ["0.5 P", "1 P", "2 P"]
    assert max(ax.get_ylim()) > rows[2].max()


def test_only_usable_points_are_folded(make_batch: MakeBatch) -> None:
    batch = flagged(make_batch(1, 40), {7: int(PointFlag.OUTLIER)})
    assert len(plot_folded(batch).lines[0].get_xdata()) == 2 * 39


@pytest.mark.parametrize("period", [None, np.nan, 0.0, -1.0])
def test_folding_without_a_period_names_the_object(
    make_batch: MakeBatch, period: float | None
) -> None:
    batch = make_batch(1).with_columns(objects={"period": np.array([np.nan])})
    with pytest.raises(DataError, match="star-0"):
        plot_folded(batch, period=period)


def test_wrong_arguments_are_refused(make_batch: MakeBatch) -> None:
    with pytest.raises(ConfigError, match="no curve 5"):
        plot_light_curve(make_batch(2), 5)
    with pytest.raises(ConfigError, match="positive multiples"):
        plot_folded(make_batch(1), multiples=())


@pytest.mark.parametrize(
    ("time", "value", "error"),
    [([], [], []), ([55000.0], [15.0], [np.nan]), ([55000.0] * 3, [np.nan] * 3, [0.1] * 3)],
    ids=["empty", "one point", "all NaN"],
)
def test_poor_curves_are_drawn_or_say_why_not(
    time: list[float], value: list[float], error: list[float]
) -> None:
    batch = LightCurveBatch.from_curves([(time, value, error)], ids=["poor"])
    rendered(plot_light_curve(batch))
    rendered(plot_folded(batch, period=1.0))


@pytest.mark.parametrize("name", ["$\\frac{$", "a\nb\x00c", "x" * 500, "<b>", "\ud800"])
def test_hostile_names_are_only_text(make_batch: MakeBatch, name: str) -> None:
    batch = make_batch(1).with_columns(
        objects={"id": np.array([name], object)}, meta=Meta(time_scale=name, unit=name)
    )
    rendered(plot_light_curve(batch))
    rendered(plot_folded(batch))


def test_draws_on_given_axes_and_on_plain_arrays(make_batch: MakeBatch) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    batch = make_batch(1)
    assert plot_light_curve((batch.time, batch.value, batch.error), ax=ax) is ax


def test_takes_and_knows_a_lightkurve_object() -> None:
    lightkurve = pytest.importorskip("lightkurve")
    time = np.linspace(0.0, 5.0, 30)
    curve = lightkurve.LightCurve(time=time, flux=np.sin(time) + 2, flux_err=np.full(30, 0.1))

    found = drawn(plot_light_curve(curve))

    np.testing.assert_allclose(found["good"][1], np.sin(time) + 2)


def test_nothing_global_is_left_behind(make_batch: MakeBatch) -> None:
    import sys

    plot_light_curve(make_batch(1))
    pyplot = sys.modules.get("matplotlib.pyplot")  # lightkurve and others may have loaded it
    assert pyplot is None or not pyplot.get_fignums()
