"""The picture of a stored curve shows the model, its scale and the points that are kept."""

from __future__ import annotations

import io

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.plot import plot_stored
from astroprep.reduce import compress_curves


def rendered(ax):
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


@pytest.mark.parametrize("model", ["harmonic", "spline"])
def test_the_line_is_the_model(make_batch, model):
    batch = make_batch(2, 200)
    value = batch.value.copy()
    value[210:215] += 2.0
    batch = batch.with_columns(value=value)
    stored = compress_curves(batch, model)
    ax = plot_stored(batch, stored, 1)
    line = next(x for x in ax.get_lines() if str(x.get_label()).startswith(model))
    at = line.get_xdata()
    own = stored.parameters
    time = own.first[1] + at * own.period[1] if model == "harmonic" else at
    expected = stored.decode([time, time]).value[at.size :]
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-6)
    assert any("kept as measured" in str(x.get_label()) for x in ax.get_lines())
    assert ax.yaxis_inverted()
    rendered(ax)


def test_raw_and_empty_curves_say_so(make_batch):
    batch = make_batch(1, 2)
    ax = plot_stored(batch, compress_curves(batch, "harmonic"))
    assert any("kept raw" in str(x.get_label()) for x in ax.get_lines())
    rendered(ax)
    nothing = make_batch(1, 0)
    ax = plot_stored(nothing, compress_curves(nothing, "harmonic"))
    assert "no usable point" in ax.texts[0].get_text()
    with pytest.raises(ConfigError, match="no 3"):
        plot_stored(batch, compress_curves(batch, "harmonic"), series=3)
