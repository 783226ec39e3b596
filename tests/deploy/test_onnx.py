"""The exported graph: equal to torch, free of weights, and refused when it was tampered with."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from astroprep.compress.stored import store_network
from astroprep.deploy.onnx import build_graph, check_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import build_network, firenet_spec
from astroprep.model.train import predict_logits


@pytest.mark.parametrize("n_auxiliary", [7, 0])
@pytest.mark.parametrize("preset", ["nano", "micro", "small"])
def test_equals_torch(make_network: Any, make_inputs: Any, preset: str, n_auxiliary: int) -> None:
    net = make_network(preset, n_auxiliary)
    stored = store_network(net)
    graph = build_graph(stored.spec, stored.shapes)
    check_graph(graph, stored.shapes, "graph.onnx")

    golden = golden_vectors(graph, stored.weights, *make_inputs(100, n_auxiliary=n_auxiliary))

    expected = predict_logits(net, golden.folded, golden.auxiliary)
    np.testing.assert_allclose(golden.logits, expected, atol=1e-5 * np.abs(expected).max())


def test_several_periods_equal_torch() -> None:
    """Trained far enough that batch norms have statistics; the graph passes the guard too."""
    spec = firenet_spec("nano", n_channels=6, n_bins=16, n_auxiliary=4, n_classes=3, n_periods=3)
    net = build_network(spec, 1)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        net(torch.randn(32, 6, 16, generator=draw) + 0.5, torch.randn(32, 4, generator=draw))
    net.eval()
    stored = store_network(net)
    graph = build_graph(stored.spec, stored.shapes)
    check_graph(graph, stored.shapes, "graph.onnx")
    folded = torch.randn(20, 6, 16, generator=draw).numpy()
    auxiliary = torch.randn(20, 4, generator=draw).numpy()

    golden = golden_vectors(graph, stored.weights, folded, auxiliary)

    expected = predict_logits(stored.net, golden.folded, golden.auxiliary)
    np.testing.assert_allclose(golden.logits, expected, atol=1e-5 * np.abs(expected).max())


def test_is_a_valid_model_without_weights(compressed: Any) -> None:
    graph = build_graph(compressed.spec, compressed.shapes)
    model = onnx.load_model_from_string(graph)
    external = [t for t in model.graph.initializer if t.external_data]

    assert {t.name: tuple(t.dims) for t in external} == compressed.shapes
    assert not any(t.raw_data or t.float_data for t in model.graph.initializer)
    assert len(graph) < 200 * len(compressed.shapes)
    assert build_graph(compressed.spec, compressed.shapes) == graph
    for tensor in external:  # the checker wants to see weights
        tensor.CopyFrom(onnx.numpy_helper.from_array(compressed.weights[tensor.name], tensor.name))
    onnx.checker.check_model(model, full_check=True)


def test_phase_origin_does_not_matter(compressed: Any, make_inputs: Any) -> None:
    graph = build_graph(compressed.spec, compressed.shapes)
    folded, auxiliary = make_inputs(5)
    rolled = np.roll(folded, 11, axis=-1)

    one, two = (golden_vectors(graph, compressed.weights, f, auxiliary) for f in (folded, rolled))

    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)


def test_unknown_networks_are_refused(compressed: Any) -> None:
    with pytest.raises(ConfigError, match="ONNX export needs a network of format 'firenet-1' or"):
        build_graph({}, {})
    with pytest.raises(ConfigError, match="the network lacks 'stem'"):
        build_graph({"format": "firenet-1"}, compressed.shapes)
    spec = firenet_spec("nano", n_channels=4, n_bins=32, n_auxiliary=0, n_classes=3)
    unfolded = {n: tuple(t.shape) for n, t in build_network(spec).state_dict().items()}
    with pytest.raises(ConfigError, match=r"stem.conv.bias.*folded\?"):
        build_graph(spec, unfolded)


def _with_function(model: Any) -> None:
    model.functions.add(name="f", domain="evil")


def _with_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


def _with_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Loop"


def _with_subgraph(model: Any) -> None:
    attribute = model.graph.node[0].attribute.add(name="body")
    attribute.type = onnx.AttributeProto.GRAPH
    attribute.g.name = "inner"


def _with_other_file(model: Any) -> None:
    model.graph.initializer[0].external_data[0].value = "/etc/passwd"


def _with_offset(model: Any) -> None:
    model.graph.initializer[0].external_data.add(key="offset", value="0")


def _with_own_weights(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.zeros((12, 4, 5), np.float32), "stem.conv.weight")
    )


def _with_other_shape(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 13


def _without_name(model: Any) -> None:
    model.graph.initializer[0].ClearField("name")


def _with_sparse(model: Any) -> None:
    model.graph.sparse_initializer.add()


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_with_function, "not one plain graph"),
        (_with_domain, "is not allowed"),
        (_with_operator, "operator 'Loop' is not allowed"),
        (_with_subgraph, "attribute that is not allowed"),
        (_with_other_file, "wants weights from elsewhere"),
        (_with_offset, "wants weights from elsewhere"),
        (_with_own_weights, "carries weights of its own"),
        (_with_other_shape, r"disagree on tensor 'stem.conv.weight': \(13, 4, 5\)"),
        (_without_name, "weights without a name"),
        (_with_sparse, "more than nodes"),
    ],
)
def test_tampered_graphs_are_refused(compressed: Any, tamper: Any, message: str) -> None:
    model = onnx.load_model_from_string(build_graph(compressed.spec, compressed.shapes))
    tamper(model)
    with pytest.raises(DataError, match=message):
        check_graph(model.SerializeToString(), compressed.shapes, "night.apz: graph.onnx")


def test_torch_state_matches_decoded_weights(compressed: Any) -> None:
    state = compressed.net.state_dict()
    assert list(state) == list(compressed.weights)
    assert all(isinstance(t, torch.Tensor) for t in state.values())
