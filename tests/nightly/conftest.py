"""Nights of simulated alerts, and a classifier that was never trained: its plumbing is real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("deltalake")
pytest.importorskip("fastavro")

from astroprep.clean import FlagBad
from astroprep.compress.encode import encode_weights
from astroprep.compress.share import share_weights, stored_form
from astroprep.compress.stored import store_network
from astroprep.compress.weights import decode_weights
from astroprep.deploy.bundle import Bundle, write_bundle
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.model.firenet import build_network, firenet_spec, fold_batchnorm
from astroprep.period import PeriodSearch
from astroprep.pipeline.restore import state_of_steps
from astroprep.represent import FoldedChannels
from astroprep.synthetic import simulate_alerts

CLASSES = ("A", "B", "C")


@pytest.fixture(scope="session")
def bundle_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained network behind the steps that every recipe has."""
    steps = [
        FlagBad(missing_errors="estimate", on_bad="reject"),
        PeriodSearch(max_frequency=4.0, on_bad="reject"),
        FoldedChannels(n_bins=32, on_bad="reject"),
    ]
    n_channels = 3 * len(steps[-1].multiples)
    spec = firenet_spec(
        "nano", n_channels=n_channels, n_bins=32, n_auxiliary=0, n_classes=len(CLASSES)
    )
    folded = fold_batchnorm(build_network(spec, seed=3).eval())
    small = store_network(folded)
    share_weights(folded, 8)
    data = encode_weights(stored_form(folded))
    graph = build_graph(small.spec, small.shapes)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, n_channels, 32)).astype(np.float32)
    nothing = np.empty((4, 0), np.float32)
    path = tmp_path_factory.mktemp("bundle") / "bundle.apz"
    write_bundle(
        path,
        Bundle(
            classes=CLASSES,
            network=small.spec,
            shapes=small.shapes,
            weights=data,
            graph=graph,
            temperature=1.0,
            priors=(0.5, 0.3, 0.2),
            feature_names=(),
            auxiliary_state={
                "median": np.empty(0),
                "sigma": np.empty(0),
                "marked": np.empty(0, np.int64),
                "limit": 5.0,
            },
            recipe={
                "name": "untrained",
                "steps": state_of_steps(steps),
                "trained_with": "search",
                "quantity": "mag",
                "survey": "none",
                "bands": ["V"],
                "priors": [0.5, 0.3, 0.2],
            },
            golden=golden_vectors(graph, decode_weights(data, small.shapes), inputs, nothing),
            versions={"astroprep": "0.1.0"},
        ),
    )
    return path


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Any, list[Path]]]:
    """Factory of folders with a packet a file, one folder a night."""

    def make(n_stars: int = 6, n_nights: int = 5, **settings: Any) -> tuple[Any, list[Path]]:
        root = tmp_path_factory.mktemp("alerts")
        made = {"visits_per_night": 7.0, "cutout": 200, "seed": 4, **settings}
        stars, packets = simulate_alerts(n_stars, n_nights, **made)
        folders = []
        for night in packets:
            folder = root / str(night.mjd)
            folder.mkdir()
            for i, packet in enumerate(night.packets):
                (folder / f"{i:04d}.avro").write_bytes(packet)
            folders.append(folder)
        return stars, folders

    return make
