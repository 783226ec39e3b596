"""ONNX files that stand alone: in floats, and in 8-bit integers as ONNX Runtime takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerLayer, IntegerNetwork
from astroprep.deploy.onnx import IR_VERSION, OPSET
from astroprep.optional import need

__all__ = ["float_model", "integer_model"]

_TO_THE_END = 2**31 - 1


def float_model(graph: bytes, tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Inference graph with its weights inside.

    Parameters
    ----------
    graph : bytes
        From `astroprep.deploy.onnx.build_graph`.
    tensors : mapping of str to float32 array
        The weights.

    Returns
    -------
    bytes
        A serialised ``ModelProto``, inputs and output as in `build_graph`.

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    """
    onnx = need("onnx", extra="train", who="ONNX export")
    model = onnx.load_model_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.external_data:
            tensor.CopyFrom(onnx.numpy_helper.from_array(tensors[tensor.name], tensor.name))
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def integer_model(network: IntegerNetwork) -> bytes:
    """The integer network as a graph of QuantizeLinear and DequantizeLinear pairs.

    Weights are 8-bit by output channel, activations 8-bit by tensor, both static. A runtime that
    fuses the pairs computes in integers; how it rounds between them is its own, so logits differ
    from `IntegerNetwork` by some levels and may from machine to machine.

    Parameters
    ----------
    network : IntegerNetwork
        What to write.

    Returns
    -------
    bytes
        A serialised ``ModelProto``: inputs float32 ``folded`` and ``auxiliary``, output float32
        ``logits``.

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    """
    return _Quantized(network).serialize()


class _Quantized:
    """Collects nodes; between the layers go levels, whose unit is 1, so only sums have scales."""

    def __init__(self, network: IntegerNetwork) -> None:
        self.onnx = need("onnx", extra="train", who="ONNX export")
        self.network, self.spec = network, network.spec
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._constant("one", np.float32(1))
        self._constant("zero_level", np.uint8(0))

    def serialize(self) -> bytes:
        helper, spec = self.onnx.helper, self.spec
        self._network()
        inputs = {"folded": ["n", int(spec["n_channels"]), int(spec["n_bins"])]}
        if spec["n_auxiliary"]:
            inputs["auxiliary"] = ["n", int(spec["n_auxiliary"])]
        float32 = self.onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "firenet_integer",
            [helper.make_tensor_value_info(n, float32, shape) for n, shape in inputs.items()],
            [helper.make_tensor_value_info("logits", float32, ["n", int(spec["n_classes"])])],
            initializer=list(self.constants.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="astroprep",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _network(self) -> None:
        spec, layers = self.spec, self.network.layers
        folded, auxiliary = self.network.ranges.input_factors()
        x = self._relu_levels(self._conv(self._input("folded", *folded, (-1, 1)), layers["stem"]))
        width = int(spec["stem"])
        for i, (_, expand, _) in enumerate(spec["fires"]):
            squeezed = self._relu_levels(self._conv(x, layers[f"fires.{i}.squeeze"]))
            parts = [
                self._relu_levels(self._conv(squeezed, layers[f"fires.{i}.expand_{n_taps}"]))
                for n_taps in (1, 3)
            ]
            y = self._node("Concat", parts, axis=1)
            if width == 2 * expand:
                layer = layers[f"fires.{i}.expand_1"]
                scale = self._constant(
                    f"{layer.name}.bypass", _ratio(layer.bypass, layer.shift).mean()
                )
                skipped = self._node("DequantizeLinear", [x, scale, "zero_level"])
                y = self._levels(self._node("Add", [self._floats(y), skipped]))
            x, width = y, 2 * expand
        y = self._node("Concat", self._pooled(x), axis=1)
        if spec["n_auxiliary"]:
            levels = self._input("auxiliary", *auxiliary, (-1,))
            extra = self._relu_levels(self._dense(levels, layers["auxiliary"]))
            y = self._node("Concat", [y, extra], axis=1)
        if spec["head_width"]:
            y = self._relu_levels(self._dense(y, layers["hidden"]))
        self._dense(y, layers["head"], unit=self.network.logit_scale)
        self.nodes[-1].output[0] = "logits"

    def _pooled(self, x: str) -> list[str]:
        ratio = _ratio(self.network.mean_multiplier, self.network.mean_shift)
        scale = self._constant("mean.scale", ratio * np.float32(self.spec["n_bins"]))
        scaled = self._node("DequantizeLinear", [x, scale, "zero_level"])
        mean = self._node("ReduceMean", [scaled], axes=[2], keepdims=0)
        largest = self._node("ReduceMax", [self._floats(x)], axes=[2], keepdims=0)
        return [self._levels(mean), self._levels(largest)]

    def _input(
        self,
        name: str,
        inverse: NDArray[np.float32],
        zero: NDArray[np.float32],
        shape: tuple[int, ...],
    ) -> str:
        factors = (("inverse", inverse), ("zero", zero))
        a, b = (self._constant(f"{name}.{k}", v.reshape(shape)) for k, v in factors)
        return self._levels(self._node("Add", [self._node("Mul", [name, a]), b]))

    def _conv(self, x: str, layer: IntegerLayer) -> str:
        """Circular convolution of levels; the circle is closed before they become floats."""
        n_taps = layer.weight.shape[2]
        pad = layer.dilation * (n_taps // 2)
        if pad:
            ends = [self._slice(x, -pad, _TO_THE_END), x, self._slice(x, 0, pad)]
            x = self._node("Concat", ends, axis=2)
        attributes = {"dilations": [layer.dilation], "kernel_shape": [n_taps]}
        return self._node("Conv", [self._floats(x), *self._weights(layer)], **attributes)

    def _dense(self, x: str, layer: IntegerLayer, unit: float = 1.0) -> str:
        return self._node("Gemm", [self._floats(x), *self._weights(layer, unit, True)], transB=1)

    def _weights(self, layer: IntegerLayer, unit: float = 1.0, is_dense: bool = False) -> list[str]:
        scale = (_ratio(layer.multiplier, layer.shift) * unit).astype(np.float32)
        name = self._constant(f"{layer.name}.scale", scale)
        out = []
        weight = layer.weight[:, :, 0] if is_dense else layer.weight
        for kind, values in (("weight", weight), ("bias", layer.bias)):
            zero = self._constant(f"{layer.name}.{kind}.zero", np.zeros(len(values), values.dtype))
            constant = self._constant(f"{layer.name}.{kind}", values)
            out.append(self._node("DequantizeLinear", [constant, name, zero], axis=0))
        return out

    def _relu_levels(self, x: str) -> str:
        return self._levels(self._node("Relu", [x]))

    def _levels(self, x: str) -> str:
        return self._node("QuantizeLinear", [x, "one", "zero_level"])

    def _floats(self, x: str) -> str:
        return self._node("DequantizeLinear", [x, "one", "zero_level"])

    def _slice(self, x: str, start: int, end: int) -> str:
        bounds = (start, end, 2)
        names = [self._constant(f"int{k}", np.array([k], np.int64)) for k in bounds]
        return self._node("Slice", [x, *names])

    def _constant(self, name: str, values: Any) -> str:
        self.constants[name] = self.onnx.numpy_helper.from_array(np.asarray(values), name)
        return name

    def _node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output


def _ratio(multiplier: Any, shift: Any) -> Any:
    return np.ldexp(np.asarray(multiplier, np.float64), -np.asarray(shift)).astype(np.float32)
