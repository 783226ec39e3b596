"""Pictures of periods mark the frequencies and draw the points that they should."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period import fold
from astroprep.plot import plot_folds, plot_o_minus_c, plot_periodogram, plot_window
from astroprep.plot.period import CYCLES, MAX_DRAWN

MakeBatch = Callable[..., LightCurveBatch]

FREQUENCY = np.linspace(0.01, 8, 4000)
PEAK = 2.345


def peaked(at: float = PEAK) -> np.ndarray:
    return 0.05 + 0.6 * np.exp(-(((FREQUENCY - at) / 0.01) ** 2))


def marks(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        line = handle[0] if isinstance(handle, tuple) else handle
        found[label] = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    return found


def rendered(ax) -> None:
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_the_highest_peak_is_chosen_and_marked_above_the_curve() -> None:
    ax = plot_periodogram(FREQUENCY, peaked())

    (x,), (y,) = marks(ax)["chosen"]
    assert x == pytest.approx(PEAK, abs=0.002)
    assert 0.65 < y < ax.get_ylim()[1]
    assert "P = 0.42" in ax.get_title(loc="left")
    assert ax.get_xlabel() == "frequency [cycles / d]"
    rendered(ax)


def test_aliases_and_harmonics_of_the_choice_are_where_they_belong() -> None:
    """|f + k c| for k of -2, -1, 1, 2; below zero they fold back."""
    found = marks(plot_periodogram(FREQUENCY, peaked(), chosen=1.25))

    np.testing.assert_allclose(found["± 1 d"][0], [0.25, 0.75, 2.25, 3.25])
    np.testing.assert_allclose(found["harmonic"][0], [1.25 / 3, 0.625, 2.5, 3.75])
    for name in ("sidereal day", "lunar month", "year"):
        wanted = np.sort(np.abs(1.25 + CYCLES[name] * np.array([-2, -1, 1, 2])))
        np.testing.assert_allclose(found[f"± {name}"][0], wanted)
    assert set(marks(plot_periodogram(FREQUENCY, peaked(), aliases=False))) == {"chosen"}


def test_candidates_are_marked_without_the_chosen_and_the_absent() -> None:
    ax = plot_periodogram(FREQUENCY, peaked(), [PEAK, 1.0, 0.0, np.nan, 99.0], chosen=PEAK)

    x, y = marks(ax)["other candidates"]
    assert x.tolist() == [1.0]
    assert 0.05 < y[0] < 0.1  # just above the curve there
    rendered(ax)


def test_no_peak_of_a_long_periodogram_is_lost(rng) -> None:
    frequency = np.linspace(0.01, 24, 300_000)
    power = rng.uniform(0, 0.1, frequency.size)
    power[123_457] = 0.9

    x, y = plot_periodogram(frequency, power).lines[0].get_data()

    assert x.size <= MAX_DRAWN + 50
    assert y.max() == 0.9
    assert x[np.argmax(y)] == frequency[123_457]
    assert (np.diff(x) > 0).all()


@pytest.mark.parametrize("draw", [plot_periodogram, plot_window])
def test_spectra_of_any_size_are_drawn(draw) -> None:
    for f, p in (([], []), ([1.0], [0.5]), ([1.0, 2.0], [0.0, 0.0]), ([2.0, np.nan], [1.0, 1.0])):
        rendered(draw(f, p))
    with pytest.raises(ConfigError, match="as many powers as frequencies"):
        draw([1.0, 2.0], [1.0])


@pytest.mark.parametrize("chosen", [0.0, -1.0, np.nan, np.inf])
def test_a_chosen_frequency_is_positive(chosen: float) -> None:
    with pytest.raises(ConfigError, match="positive chosen frequency"):
        plot_periodogram(FREQUENCY, peaked(), chosen=chosen)


def test_the_window_marks_whole_days_and_what_can_be_told_apart() -> None:
    wide = marks(plot_window(FREQUENCY, peaked(1.0)))
    slow = marks(plot_window(np.linspace(1e-4, 0.1, 500), np.ones(500)))

    assert wide["cycles per day"][0].tolist() == list(range(1, 9))
    assert "year" not in wide
    assert slow["year"][0] == pytest.approx(1 / 365.2422)
    assert slow["lunar month"][0] == pytest.approx(1 / 29.530589)
    rendered(plot_window(FREQUENCY, peaked(1.0)))


def test_folds_stand_side_by_side_on_one_scale(make_batch: MakeBatch) -> None:
    batch = make_batch(2, 50)

    axes = plot_folds(batch, curve=1)

    assert [ax.get_title(loc="left") for ax in axes] == [
        "P = 0.61 d",
        "2 P = 1.22 d",
        "P/2 = 0.305 d",
    ]
    assert len({ax.figure for ax in axes}) == 1
    assert len({ax.get_ylim() for ax in axes}) == 1
    first = batch.usable.time[50]
    for ax, multiple in zip(axes, (1, 2, 0.5), strict=True):
        x = ax.lines[0].get_xdata()[:50]
        np.testing.assert_allclose(x, fold(batch.usable.time[50:], 0.61 * multiple, first))
    rendered(axes[0])


def test_folds_need_a_period_a_curve_and_multiples(make_batch: MakeBatch) -> None:
    batch = make_batch(1, 20)
    assert plot_folds(batch, 1.0, multiples=(3,))[0].get_title(loc="left") == "3 P = 3 d"
    with pytest.raises(DataError, match="plot_folds needs a period"):
        plot_folds(batch, np.nan)
    with pytest.raises(ConfigError, match="there is no curve 5"):
        plot_folds(batch, curve=5)
    with pytest.raises(ConfigError, match="positive multiples"):
        plot_folds(batch, multiples=(1, 0))


@pytest.mark.parametrize(("size", "unit", "scale"), [(0.01, "min", 1440.0), (1.0, "d", 1.0)])
def test_timings_are_drawn_in_a_fitting_unit(size: float, unit: str, scale: float) -> None:
    time, late = np.arange(5.0), size * np.array([1.0, -1.0, 0.5, 0.0, np.nan])

    ax = plot_o_minus_c(time, late, np.full(5, 0.1 * size), model=(time[:4], late[:4]))

    found = marks(ax)
    np.testing.assert_allclose(found["observed"][1], late[:4] * scale)
    np.testing.assert_allclose(found["model"][1], late[:4] * scale)
    assert ax.get_ylabel() == f"O - C [{unit}]"
    assert ax.get_title(loc="left") == "1 of 5 events not drawn"
    rendered(ax)


def test_timings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 times, 1 differences"):
        plot_o_minus_c([1.0, 2.0], [1.0])
    with pytest.raises(ConfigError, match="model has 1 times and 2"):
        plot_o_minus_c([1.0], [1.0], model=([1.0], [1.0, 2.0]))
    rendered(plot_o_minus_c([], []))
    rendered(plot_o_minus_c([np.nan], [1.0]))
