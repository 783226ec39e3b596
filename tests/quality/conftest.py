"""A plain survey in which every check is good, to be damaged in one way at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta

N_STARS, N_NIGHTS, N_EXPOSURES = 60, 60, 3


@pytest.fixture
def steady(rng: np.random.Generator) -> Callable[..., LightCurveBatch]:
    """Factory of constant stars, all seen in the same nights, with honest errors of 0.02 mag."""

    def make(n: int = N_STARS, bands: int = 1, **meta: object) -> LightCurveBatch:
        night = 55000.0 + np.arange(N_NIGHTS)
        one = (night[:, None] + 0.5 + 0.008 * np.arange(N_EXPOSURES)).ravel()
        one = np.concatenate([one + 0.002 * k for k in range(bands)])
        n_points = one.size
        mag = np.round(rng.uniform(14, 17, n), 3)
        about = {"survey": "steady", "time_scale": "MJD UTC", "time_ref": 2400000.5, **meta}
        if bands > 1:
            about["bands"] = ("g", "r", "i")[:bands]
        return LightCurveBatch(
            time=np.tile(one, n),
            value=np.repeat(mag, n_points) + rng.normal(0, 0.02, n * n_points),
            error=np.full(n * n_points, 0.02),
            offsets=np.arange(n + 1) * n_points,
            band=(
                np.tile(np.repeat(np.arange(bands), N_NIGHTS * N_EXPOSURES), n)
                if bands > 1
                else None
            ),
            objects={
                "id": np.array([f"s{i}" for i in range(n)], object),
                "ra": np.linspace(10, 300, n),
                "dec": np.linspace(-40, 40, n),
                "label": np.array([("A", "B")[i % 2] for i in range(n)], object),
                "split": np.array([("train", "test")[i % 3 == 0] for i in range(n)], object),
            },
            meta=Meta(**about),  # type: ignore[arg-type]
        )

    return make
