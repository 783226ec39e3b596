"""The inference graph as ONNX: operators and names of weights, no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from astroprep.errors import ConfigError, DataError
from astroprep.model.spec import check_format, fire_layout
from astroprep.optional import need

__all__ = ["WEIGHTS_LOCATION", "build_graph", "check_graph"]

WEIGHTS_LOCATION = "weights.bin"
"""Where the graph says its weights are: the runtime hands them over under their names."""

OPSET = 17  # all that is used here is older; onnxruntime 1.13 and later run it
IR_VERSION = 8
OPERATORS = frozenset(
    {
        "Add",
        "Concat",
        "Conv",
        "Gemm",
        "MatMul",
        "ReduceMax",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Slice",
    }
)
"""Operators that `build_graph` uses; `check_graph` refuses any other."""

_FLOAT = 1  # TensorProto.FLOAT
_EXTERNAL = 1  # TensorProto.EXTERNAL


def build_graph(spec: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Inference graph of a network with folded batch norms.

    Parameters
    ----------
    spec : mapping
        Description of a `FireNet`.
    shapes : mapping of str to sequence of int
        Name and shape of every weight tensor.

    Returns
    -------
    bytes
        A serialised ``ModelProto``: inputs ``folded`` (n, n_channels, n_bins) and, where there
        are any, ``auxiliary`` (n, n_auxiliary), output ``logits`` (n, n_classes). Weights are
        external initialisers. Equal arguments give equal bytes.

    Raises
    ------
    ConfigError
        If the description is of a kind that this export does not know, or lacks a key.
    MissingExtraError
        If onnx is not installed.
    """
    check_format(spec, "ONNX export")
    try:
        return _Graph(spec, shapes).serialize()
    except KeyError as error:
        raise ConfigError(f"ONNX export: the network lacks {error}") from None


class _Graph:
    """Collects nodes while it walks through the network as `FireNet.forward` does."""

    def __init__(self, spec: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
        self.onnx = need("onnx", extra="train", who="ONNX export")
        self.spec = spec
        self.shapes = shapes
        self.nodes: list[Any] = []
        self.integers: dict[str, list[int]] = {}

    def serialize(self) -> bytes:
        helper, spec = self.onnx.helper, self.spec
        logits = self._network()
        self.nodes[-1].output[0] = logits
        inputs = {"folded": ["n", int(spec["n_channels"]), int(spec["n_bins"])]}
        if spec["n_auxiliary"]:
            inputs["auxiliary"] = ["n", int(spec["n_auxiliary"])]
        graph = helper.make_graph(
            self.nodes,
            "firenet",
            [helper.make_tensor_value_info(n, _FLOAT, shape) for n, shape in inputs.items()],
            [helper.make_tensor_value_info(logits, _FLOAT, ["n", int(spec["n_classes"])])],
            initializer=[
                *(self._external(name, shape) for name, shape in self.shapes.items()),
                *(
                    helper.make_tensor(name, self.onnx.TensorProto.INT64, [len(v)], v)
                    for name, v in self.integers.items()
                ),
            ],
        )
        model = helper.make_model(
            graph,
            producer_name="astroprep",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _network(self) -> str:
        spec = self.spec
        x, n_periods = "folded", int(spec.get("n_periods", 1))
        if n_periods > 1:  # every period is a curve of its own
            shape = (-1, int(spec["n_channels"]) // n_periods, int(spec["n_bins"]))
            x = self._node("Reshape", [x, self._integer(*shape)])
        x = self._conv(x, "stem", kernel=5)
        for i, layout in enumerate(fire_layout(spec)):
            squeezed = self._conv(x, f"fires.{i}.squeeze", kernel=1)
            wide = self._conv(squeezed, f"fires.{i}.expand_1", kernel=1)
            cyclic = self._conv(squeezed, f"fires.{i}.expand_3", kernel=3, dilation=layout.dilation)
            y = self._node("Concat", [wide, cyclic], axis=1)
            x = self._node("Add", [x, y]) if layout.bypass else y
        joined = [
            self._node("ReduceMean", [x], axes=[2], keepdims=0),
            self._node("ReduceMax", [x], axes=[2], keepdims=0),
        ]
        if n_periods > 1:
            width = fire_layout(spec)[-1].width if spec["fires"] else int(spec["stem"])
            pooled = self._node("Concat", joined, axis=1)
            pooled = self._node("Reshape", [pooled, self._integer(-1, n_periods, 2 * width)])
            chosen = self._slice(pooled, 0, 1, axis=1)
            joined = [
                self._node("Reshape", [chosen, self._integer(-1, 2 * width)]),
                self._node("ReduceMax", [pooled], axes=[1], keepdims=0),
            ]
        if spec["n_auxiliary"]:
            joined.append(self._node("Relu", [self._dense("auxiliary", "auxiliary")]))
        y = self._node("Concat", joined, axis=1)
        if spec["head_width"]:
            y = self._node("Relu", [self._dense(y, "hidden")])
        self._dense(y, "head")
        return "logits"

    def _conv(self, x: str, name: str, *, kernel: int, dilation: int = 1) -> str:
        """Circular convolution and ReLU; the circle is closed by copying its ends."""
        pad = dilation * (kernel // 2)
        if pad:
            ends = [self._slice(x, -pad, 2**31 - 1), x, self._slice(x, 0, pad)]
            x = self._node("Concat", ends, axis=2)
        attributes = {"dilations": [dilation], "kernel_shape": [kernel]}
        name = f"{name}.conv"
        if name in self.spec.get("factors", {}):
            x = self._node("Conv", [x, f"{name}.first.weight"], **attributes)
            attributes, name = {"dilations": [1], "kernel_shape": [1]}, f"{name}.second"
        return self._node(
            "Relu", [self._node("Conv", [x, f"{name}.weight", f"{name}.bias"], **attributes)]
        )

    def _slice(self, x: str, start: int, end: int, axis: int = 2) -> str:
        return self._node("Slice", [x, *(self._integer(k) for k in (start, end, axis))])

    def _dense(self, x: str, name: str) -> str:
        factor = self.spec.get("factors", {}).get(name, {})
        if "ranks" in factor:
            return self._train(x, name, factor)
        if factor:
            x = self._node("Gemm", [x, f"{name}.first.weight"], transB=1)
            name = f"{name}.second"
        return self._node("Gemm", [x, f"{name}.weight", f"{name}.bias"], transB=1)

    def _train(self, x: str, name: str, factor: Mapping[str, Any]) -> str:
        """Tensor train, as `astroprep.model.factored.TensorTrain` applies it."""
        left = prod(factor["inputs"])
        ranks = [1, *factor["ranks"]]
        for k, n in enumerate(factor["inputs"]):
            left //= n
            x = self._node("Reshape", [x, self._integer(-1, ranks[k] * n, left)])
            x = self._node("MatMul", [f"{name}.cores.{k}.weight", x])
        x = self._node("Reshape", [x, self._integer(-1, prod(factor["outputs"]))])
        return self._node("Add", [x, f"{name}.bias"])

    def _integer(self, *values: int) -> str:
        name = "int" + "_".join(str(value) for value in values)
        self.integers[name] = list(values)
        return name

    def _node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        for name in inputs:
            if "." in name and name not in self.shapes:
                raise ConfigError(
                    f"ONNX export: the network needs a tensor {name!r}, which the weights lack; "
                    "are its batch norms folded?"
                )
        output = f"t{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _external(self, name: str, shape: Sequence[int]) -> Any:
        proto = self.onnx.TensorProto
        tensor = proto(name=name, data_type=_FLOAT, dims=shape, data_location=_EXTERNAL)
        tensor.external_data.add(key="location", value=WEIGHTS_LOCATION)
        return tensor


def check_graph(data: bytes, shapes: Mapping[str, Sequence[int]], source: str) -> None:
    """Look into a graph that came from elsewhere, before any runtime does.

    ONNX lets a model name files to be read as weights and libraries' operators to be called. This
    walks through the protocol buffer itself, so that it needs no onnx package.

    Parameters
    ----------
    data : bytes
        A serialised ``ModelProto``.
    shapes : mapping of str to sequence of int
        Tensors that the weights file holds.
    source : str
        Named in errors.

    Raises
    ------
    DataError
        If the bytes are no protocol buffer, use an operator outside `OPERATORS`, hold functions,
        subgraphs or training parts, or if their external weights are not exactly these tensors,
        float32, at ``weights.bin``.
    """
    try:
        model = _fields(data)
        graphs = model.get(7, [])
        if len(graphs) != 1 or set(model) - _MODEL_FIELDS:
            raise ValueError("not one plain graph")
        graph = _fields(graphs[0])
        if set(graph) - _GRAPH_FIELDS:
            raise ValueError("it holds more than nodes, weights, inputs and outputs")
        for node in graph.get(1, []):
            _check_node(_fields(node))
        found = dict(filter(None, (_external_shape(_fields(t)) for t in graph.get(5, []))))
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{source}: not an inference graph that astroprep wrote ({error}); fetch it again"
        ) from None
    wanted = {name: tuple(int(n) for n in shape) for name, shape in shapes.items()}
    if found != wanted:
        odd = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
        raise DataError(
            f"{source}: the graph and the weights disagree on tensor {odd[0]!r}: "
            f"{found.get(odd[0])} and {wanted.get(odd[0])}; the bundle was put together wrongly"
        )


# Field numbers of onnx.proto3 (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).
_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8}
_GRAPH_FIELDS = {1, 2, 5, 11, 12}
_NODE_FIELDS = {1, 2, 3, 4, 5}
_ATTRIBUTE_FIELDS = {1, 2, 3, 8, 20}  # name, float, integer, integers, type: no tensor, no graph


def _check_node(node: dict[int, list[Any]]) -> None:
    operator = bytes(node.get(4, [b""])[0]).decode()
    if set(node) - _NODE_FIELDS or operator not in OPERATORS:
        raise ValueError(f"operator {operator!r} is not allowed")
    for attribute in node.get(5, []):
        if set(_fields(attribute)) - _ATTRIBUTE_FIELDS:
            raise ValueError(f"operator {operator!r} has an attribute that is not allowed")


def _external_shape(tensor: dict[int, list[Any]]) -> tuple[str, tuple[int, ...]] | None:
    """Name and shape of an external weight; None for a small integer constant."""
    if 14 not in tensor and 13 not in tensor:
        n_bytes = sum(len(part) for field in (4, 5, 7, 9, 10) for part in _blobs(tensor, field))
        if n_bytes > 64 or tensor.get(2) != [7]:
            raise ValueError("it carries weights of its own")
        return None
    entries = [_fields(entry) for entry in tensor.get(13, [])]
    location = [(bytes(e[1][0]), bytes(e[2][0])) for e in entries if 1 in e and 2 in e]
    if location != [(b"location", WEIGHTS_LOCATION.encode())] or tensor.get(2) != [_FLOAT]:
        raise ValueError("it wants weights from elsewhere")
    sizes: list[int] = []
    for part in tensor.get(1, []):
        sizes += [part] if isinstance(part, int) else _varints(part)
    names = _blobs(tensor, 8)
    if len(names) != 1:
        raise ValueError("it has weights without a name")
    return names[0].decode(), tuple(sizes)


def _blobs(tensor: dict[int, list[Any]], field: int) -> list[bytes]:
    return [part for part in tensor.get(field, []) if isinstance(part, bytes)]


def _fields(message: Any) -> dict[int, list[Any]]:
    """Field number to its values (int, or bytes for whatever has a length) of one message."""
    if not isinstance(message, bytes):
        raise ValueError("a message is missing")
    out: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if wire == 2:
                size, at = _varint(message, at)
            if size is None or at + size > len(message):
                raise ValueError("a field runs over the end")
            value = message[at : at + size]
            at += size
        out.setdefault(key >> 3, []).append(value)
    return out


def _varints(data: bytes) -> list[int]:
    out, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        out.append(value)
    return out


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")
