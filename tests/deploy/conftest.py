"""A small bundle, made once without training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from astroprep.compress.integer import IntegerNetwork
from astroprep.compress.prune import apply_masks, magnitude_masks, prunable_layers
from astroprep.compress.quantize import calibrate_ranges, quantize_network
from astroprep.compress.share import share_weights, stored_form
from astroprep.compress.stored import CompressedNetwork, store_network, store_tensors
from astroprep.deploy.bundle import Bundle
from astroprep.deploy.integer_part import make_integer_part
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.model.firenet import FireNet, build_network, firenet_spec, fold_batchnorm

CLASSES = ("RRab", "RRc", "EW")


@pytest.fixture(scope="session")
def make_network() -> Any:
    """Factory of a network whose batch norms do something."""

    def make(preset: str = "micro", n_auxiliary: int = 7) -> FireNet:
        spec = firenet_spec(
            preset, n_channels=4, n_bins=32, n_auxiliary=n_auxiliary, n_classes=len(CLASSES)
        )
        net = build_network(spec, seed=3)
        rng = np.random.default_rng(0)
        for name, tensor in net.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.copy_(tensor.new_tensor(rng.uniform(0.5, 1.5, tensor.shape)))
        return net.eval()

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Any:
    """Factory of folded curves and auxiliaries."""

    def make(n: int, seed: int = 0, n_auxiliary: int = 7) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed)
        folded = rng.normal(size=(n, 4, 32)).astype(np.float32)
        return folded, rng.normal(size=(n, n_auxiliary)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def compressed(make_network: Any) -> CompressedNetwork:
    """The network pruned and shared without any training."""
    folded = fold_batchnorm(make_network())
    layers = prunable_layers(folded)
    apply_masks(folded, magnitude_masks(folded, layers, 0.8))
    plain = store_network(folded)
    share_weights(folded, 8)
    return store_tensors(plain.net, stored_form(folded))


@pytest.fixture(scope="session")
def bundle(compressed: CompressedNetwork, make_inputs: Any) -> Bundle:
    graph = build_graph(compressed.spec, compressed.shapes)
    return Bundle(
        classes=CLASSES,
        network=compressed.spec,
        shapes=compressed.shapes,
        weights=compressed.data,
        graph=graph,
        temperature=1.25,
        priors=(0.5, 0.3, 0.2),
        feature_names=tuple("abcdefg"),
        auxiliary_state={"center": np.arange(7.0), "scale": np.ones(7)},
        recipe={
            "name": "test",
            "steps": [{"step": "SigmaClip", "sigma": 4.0}],
            "state": {"odd": np.array([np.nan, np.inf, -0.0]), "names": np.array(["a"], object)},
        },
        golden=golden_vectors(graph, compressed.weights, *make_inputs(4, seed=9)),
        versions={"astroprep": "0.1.0"},
    )


@pytest.fixture(scope="session")
def make_integer(make_network: Any, make_inputs: Any) -> Any:
    """Factory of an integer network and its quantized inputs."""

    def make(preset: str, n_auxiliary: int, n: int = 40) -> tuple[IntegerNetwork, Any, Any]:
        net = make_network(preset, n_auxiliary)
        inputs = make_inputs(n, n_auxiliary=n_auxiliary)
        network = quantize_network(net, calibrate_ranges(net, *inputs))
        return network, inputs, network.quantize(*inputs)

    return make


@pytest.fixture(scope="session")
def integer_bundle(bundle: Bundle, make_inputs: Any) -> Bundle:
    """The bundle with an integer network."""
    net = build_network(bundle.network)
    net.load_state_dict({name: torch.from_numpy(a) for name, a in bundle.tensors().items()})
    network = quantize_network(net, calibrate_ranges(net, *make_inputs(50)))
    part = make_integer_part(network, bundle.golden.folded, bundle.golden.auxiliary)
    return dataclasses.replace(bundle, integer=part)
