"""Exports and timings of a bundle: complete files, figures that add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from astroprep.deploy.bundle import Bundle, write_bundle
from astroprep.deploy.export import export_bundle
from astroprep.deploy.integer_part import restore_network
from astroprep.deploy.profile import layer_times, runtime_speeds
from astroprep.deploy.runtime import Runtime
from astroprep.errors import ConfigError


def _run(path: Path, folded: Any, auxiliary: Any) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"folded": folded, "auxiliary": auxiliary})[0]


def test_onnx_files_stand_alone(integer_bundle: Bundle, make_inputs: Any, tmp_path: Path) -> None:
    """Floats as the runtime gives them; eight bits within a few levels of the kernel's."""
    inputs = make_inputs(64)
    whole, eight = export_bundle(integer_bundle, "onnx", tmp_path / "new")
    for path in (whole, eight):
        onnx.checker.check_model(onnx.load(path), full_check=True)

    exact = Runtime(integer_bundle, engine="float").logits(*inputs)
    np.testing.assert_allclose(_run(whole, *inputs), exact, atol=1e-4)
    integers = Runtime(integer_bundle).logits(*inputs)
    assert np.abs(_run(eight, *inputs) - integers).max() < 0.02 * np.ptp(integers)


def test_the_eight_bit_graph_is_computed_in_integers(
    integer_bundle: Bundle, tmp_path: Path
) -> None:
    """ONNX Runtime fuses what is quantized: no convolution of floats is left."""
    _, path = export_bundle(integer_bundle, "onnx", tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert "QLinearConv" in kinds
    assert "Conv" not in kinds
    assert "FusedConv" not in kinds


def test_c_from_floats_is_refused(bundle: Bundle, integer_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "x.apz"
    write_bundle(path, bundle)
    with pytest.raises(ConfigError, match=r"computes in floats.*\[deployment\]"):
        export_bundle(path, "c99", tmp_path)
    with pytest.raises(ConfigError, match="target must be"):
        export_bundle(bundle, "rust", tmp_path)  # type: ignore[arg-type]
    written = export_bundle(integer_bundle, "c99", tmp_path / "c")
    assert [p.name for p in written] == ["astroprep.c", "astroprep.h"]


def test_times_are_of_every_layer(integer_bundle: Bundle) -> None:
    part = integer_bundle.integer
    assert part is not None
    network = restore_network(part, integer_bundle.network, integer_bundle.tensors(), "x")
    layers = layer_times(network)
    assert [layer.name for layer in layers[:-1]] == [n for n in network.layers if n != "head"]
    assert sum(layer.microseconds for layer in layers) > 0
    assert all(layer.padded_macs >= layer.macs for layer in layers)
    assert {layer.bound for layer in layers} <= {"arithmetic", "bandwidth", "latency"}
    speeds = runtime_speeds(integer_bundle, (1, 64))
    assert [(s.engine, s.batch) for s in speeds] == [
        ("integer", 1),
        ("integer", 64),
        ("float", 1),
        ("float", 64),
    ]
    assert all(s.objects_per_second > 0 for s in speeds)
