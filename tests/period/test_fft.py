from __future__ import annotations

import numpy as np
import pytest

from astroprep.period.backends import ROWS
from astroprep.period.fft import columns_forward, row_order, twiddles
from astroprep.period.fft_lanes import across_lanes, lane_twiddles


@pytest.mark.parametrize("rows", [8, 16, 24, 40, *ROWS])
def test_transform_is_numpys(rows):
    """Oracle: numpy in float64; float32 keeps 1e-6 of the largest number."""
    rng = np.random.default_rng(rows)
    size, wanted = 8 * rows, 8 * rows // 5 * 4 // 16 * 16
    re, im = rng.normal(size=(2, size)).astype(np.float32)
    truth = np.fft.ifft(re + 1j * im) * size
    out = np.full((2, wanted), np.nan, np.float32)
    scale = np.linspace(0.5, 2, wanted).astype(np.float32)

    columns_forward(re, im, twiddles(rows), rows)
    across_lanes(re, im, row_order(rows), lane_twiddles(rows), scale, *out)

    mode = np.arange(wanted) - wanted // 2
    assert np.abs(out[0] + 1j * out[1] - scale * truth[mode]).max() < 1e-6 * np.abs(truth).max()
