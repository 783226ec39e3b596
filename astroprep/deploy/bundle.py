"""The bundle: one file that holds all that classifying needs, checked part by part.

A bundle (``*.apz``) is a zip archive of plain parts. Nothing in it is ever executed or unpickled:

=================  ============================================================================
``manifest.json``  format, version, and the size and sha256 of every other part
``recipe.json``    the recipe and every fitted parameter of the preprocessing
``model.json``     network, tensor shapes, classes, calibration, normalisation, feature names
``weights.bin``    the coded weights, see `astroprep.compress.weights`; stored as they are
``graph.onnx``     operators, and names of weights
``golden.json``    a few inputs with the logits they must give
``integer.json``   where the network runs in integers: ranges, digest, exact golden logits
``versions.json``  what wrote it
=================  ============================================================================

How arrays are written inside JSON: `astroprep.deploy.plain`.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.weights import decode_weights
from astroprep.deploy.integer_part import IntegerPart, restore_network
from astroprep.deploy.onnx import check_graph
from astroprep.deploy.plain import UNREADABLE, from_json, to_json
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced

__all__ = ["Bundle", "Golden", "bundle_bytes", "parse_bundle", "read_bundle", "write_bundle"]

FORMAT = "astroprep bundle"
VERSION = 1
MANIFEST = "manifest.json"
PART_LIMITS = {  # bytes after inflating; a bundle of ours is a hundred times below each
    MANIFEST: 1 << 16,
    "recipe.json": 1 << 22,
    "model.json": 1 << 20,
    "weights.bin": 1 << 26,
    "graph.onnx": 1 << 20,
    "golden.json": 1 << 20,
    "versions.json": 1 << 16,
    "integer.json": 1 << 18,
}
OPTIONAL = {"integer.json"}
FILE_LIMIT = 1 << 26
ENTRY_LIMIT = 64  # directory entries; a million of them would fill the memory before any check
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every part, so that equal content gives equal bytes


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs with the answer they must give, computed when the bundle was made.

    Parameters
    ----------
    folded : float32 array, shape (n_golden, n_channels, n_bins)
        Inputs, rounded to float16, which is how they are stored.
    auxiliary : float32 array, shape (n_golden, n_auxiliary)
        Likewise, already normalised.
    logits : float32 array, shape (n_golden, n_classes)
        What the network gives for exactly these inputs.
    """

    folded: NDArray[np.float32]
    auxiliary: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything a classifier needs, as plain values.

    Parameters
    ----------
    classes : tuple of str
        In the order of the logits.
    network : dict
        Description of the network, batch norms folded.
    shapes : dict of str to tuple of int
        Weight tensors in the order of the weights file.
    weights : bytes
        The weights file.
    graph : bytes
        Inference graph without weights, from `build_graph`.
    temperature : float
        Logits are divided by it before the softmax.
    priors : tuple of float
        Share of each class that the probabilities assume.
    feature_names : tuple of str
        Of the auxiliaries, in order.
    auxiliary_state : dict
        Fitted parameters (arrays, numbers, text) of the normalisation of the auxiliaries.
    recipe : dict
        The recipe, and the fitted state of its steps: nested dicts and lists of numbers, text,
        bool, None and arrays. Order of keys is kept.
    golden : Golden
        Proof that a runtime computes what was meant.
    versions : dict of str to str
        Of the packages that made it.
    integer : IntegerPart, optional
        Makes the runtime compute in integers.
    """

    classes: tuple[str, ...]
    network: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    weights: bytes
    graph: bytes
    temperature: float
    priors: tuple[float, ...]
    feature_names: tuple[str, ...]
    auxiliary_state: dict[str, Any]
    recipe: dict[str, Any]
    golden: Golden
    versions: dict[str, str] = field(default_factory=dict)
    integer: IntegerPart | None = None

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the network."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def training_summary(self) -> dict[str, Any]:
        """Distributions of the survey that was learned from, for judging drift.

        It stands in the recipe part, so the format is the same with and without it: empty for
        bundles that were written before there was one.
        """
        summary = self.recipe.get("training_summary")
        return dict(summary) if isinstance(summary, dict) else {}

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Decode the weights, by tensor name."""
        return decode_weights(self.weights, self.shapes)


def write_bundle(path: str | os.PathLike[str], bundle: Bundle) -> int:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    path : path
        Replaced in one step when everything is on disk; never half-written.
    bundle : Bundle
        What to write.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    ConfigError
        If the content cannot be stored or does not fit together.
    DataError
        If the file cannot be written.
    """
    data = bundle_bytes(bundle)
    with replaced(Path(path)) as part, part.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return len(data)


def bundle_bytes(bundle: Bundle) -> bytes:
    """Bytes of the file that `write_bundle` writes; equal content gives equal bytes.

    Parameters
    ----------
    bundle : Bundle
        What to write.

    Returns
    -------
    bytes
        A zip archive.

    Raises
    ------
    ConfigError
        If the content cannot be stored or does not fit together.
    """
    try:
        _check(bundle, "bundle to write")
        _check_integer(bundle, "bundle to write")
    except DataError as error:
        raise ConfigError(str(error)) from None
    golden = bundle.golden
    parts = {
        "recipe.json": to_json(bundle.recipe, "recipe"),
        "model.json": to_json(_model(bundle), "model"),
        "weights.bin": bundle.weights,
        "graph.onnx": bundle.graph,
        "golden.json": to_json(
            {
                "folded": golden.folded.astype(np.float16),
                "auxiliary": golden.auxiliary.astype(np.float16),
                "logits": golden.logits.astype(np.float32),
            },
            "golden",
        ),
        "versions.json": to_json(dict(sorted(bundle.versions.items())), "versions"),
    }
    if bundle.integer is not None:
        parts["integer.json"] = to_json(bundle.integer.to_dict(), "integer")
    for name, data in parts.items():
        if len(data) > PART_LIMITS[name]:
            raise ConfigError(
                f"{name} of the bundle has {len(data)} bytes, the limit is {PART_LIMITS[name]}"
            )
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "parts": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
        },
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {MANIFEST: to_json(manifest, "manifest"), **parts}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # unix on every system
            info.external_attr = 0o644 << 16
            coded = name == "weights.bin"
            info.compress_type = zipfile.ZIP_STORED if coded else zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=9)
    return out.getvalue()


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle and check all of it.

    Parameters
    ----------
    path : path
        File written by `write_bundle`.

    Returns
    -------
    Bundle
        Complete and consistent.

    Raises
    ------
    DataError
        If the file is missing, damaged, truncated, too large, of another version, or if its parts
        do not fit together. The message names the file and the part.
    """
    source = str(path)
    try:
        with open(path, "rb") as handle:
            data = handle.read(FILE_LIMIT + 1)
    except OSError as error:
        raise DataError(f"{source}: cannot read this bundle ({error.strerror})") from None
    return parse_bundle(data, source)


def parse_bundle(data: bytes, source: str) -> Bundle:
    """Check the bytes of a bundle and take them apart.

    Parameters
    ----------
    data : bytes
        The whole file.
    source : str
        Named in errors.

    Returns
    -------
    Bundle
        Complete and consistent.

    Raises
    ------
    DataError
        See `read_bundle`.
    """
    if len(data) > FILE_LIMIT:
        raise DataError(f"{source}: larger than {FILE_LIMIT} bytes, which no bundle is")
    if data.count(b"PK\x01\x02") > ENTRY_LIMIT:
        raise DataError(f"{source}: has more than {ENTRY_LIMIT} parts, which no bundle has")
    parts = _read_parts(data, source)
    _check_manifest(parts, source)
    model = _Reader(parts["model.json"], f"{source}: model.json")
    golden = _Reader(parts["golden.json"], f"{source}: golden.json")
    recipe = _Reader(parts["recipe.json"], f"{source}: recipe.json")
    versions = _Reader(parts["versions.json"], f"{source}: versions.json")
    integer = None
    if "integer.json" in parts:
        integer = _Reader(parts["integer.json"], f"{source}: integer.json").content
    bundle = Bundle(
        classes=model.texts("classes"),
        network=model.mapping("network"),
        shapes=model.shapes("tensors"),
        weights=parts["weights.bin"],
        graph=parts["graph.onnx"],
        temperature=model.number("temperature"),
        priors=model.numbers("priors"),
        feature_names=model.texts("feature_names"),
        auxiliary_state=model.mapping("auxiliary_state"),
        recipe=recipe.content,
        golden=Golden(golden.array("folded"), golden.array("auxiliary"), golden.array("logits")),
        versions={str(k): str(v) for k, v in versions.content.items()},
    )
    _check(bundle, source)
    if integer is not None:
        where = f"{source}: integer.json"
        bundle = replace(bundle, integer=IntegerPart.from_dict(integer, bundle.network, where))
        _check_integer(bundle, source)
    return bundle


def _model(bundle: Bundle) -> dict[str, Any]:
    return {
        "classes": list(bundle.classes),
        "network": bundle.network,
        "tensors": {name: list(shape) for name, shape in bundle.shapes.items()},
        "temperature": float(bundle.temperature),
        "priors": [float(p) for p in bundle.priors],
        "feature_names": list(bundle.feature_names),
        "auxiliary_state": bundle.auxiliary_state,
    }


def _read_parts(data: bytes, source: str) -> dict[str, bytes]:
    """Inflate the parts, none beyond its limit, and no name but the known ones."""
    parts: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            for name in names:
                if name not in PART_LIMITS:
                    raise DataError(
                        f"{source}: unknown part {name[:80]!r}; this is no bundle of astroprep, or "
                        "one of a newer version"
                    )
                if names.count(name) > 1:
                    raise DataError(f"{source}: part {name} is there {names.count(name)} times")
            for info in archive.infolist():
                parts[info.filename] = _inflate(archive, info, source)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,  # a compression method that this Python lacks
        RuntimeError,  # an encrypted part
        UnicodeDecodeError,
        OverflowError,
        OSError,  # an offset before the start
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{source}: not a readable bundle ({str(error)[:200]}); the file is damaged or "
            "truncated, fetch it again"
        ) from None
    missing = [name for name in PART_LIMITS if name not in parts and name not in OPTIONAL]
    if missing:
        raise DataError(f"{source}: lacks {', '.join(missing)}; fetch the bundle again")
    return parts


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> bytes:
    limit = PART_LIMITS[info.filename]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{source}: part {info.filename} is packed by an unusual method")
    with archive.open(info) as part:
        data = part.read(limit + 1)
    if len(data) > limit:
        raise DataError(
            f"{source}: part {info.filename} is larger than {limit} bytes, which no bundle needs"
        )
    return data


def _check_manifest(parts: Mapping[str, bytes], source: str) -> None:
    manifest = _Reader(parts[MANIFEST], f"{source}: {MANIFEST}").content
    if manifest.get("format") != FORMAT:
        raise DataError(f"{source}: {MANIFEST} does not describe a bundle of astroprep")
    if manifest.get("version") != VERSION:
        raise DataError(
            f"{source}: bundle version {manifest.get('version')!r}, this astroprep reads version "
            f"{VERSION}; use the astroprep that wrote it, or a newer one"
        )
    listed = manifest.get("parts")
    if not isinstance(listed, dict) or set(listed) != set(parts) - {MANIFEST}:
        raise DataError(f"{source}: {MANIFEST} does not list the parts of a bundle")
    for name, entry in listed.items():
        seen = {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
        if entry != seen:
            raise DataError(
                f"{source}: part {name} is not the one that was written (its sha256 or size "
                "differs from the manifest's); fetch the bundle again"
            )


def _check(bundle: Bundle, source: str) -> None:
    """Whether the parts fit together."""
    network, n_classes = bundle.network, len(bundle.classes)
    sizes = {}
    for key in ("n_channels", "n_bins", "n_auxiliary", "n_classes"):
        size = network.get(key)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= 1 << 16:
            raise DataError(f"{source}: model.json: the network has {key} = {size!r}")
        sizes[key] = size
    if n_classes < 2 or len(set(bundle.classes)) != n_classes:
        raise DataError(f"{source}: model.json: needs two different classes or more")
    if sizes["n_classes"] != n_classes or len(bundle.priors) != n_classes:
        raise DataError(
            f"{source}: model.json: the network has {sizes['n_classes']} classes, the list names "
            f"{n_classes}, the priors are {len(bundle.priors)}"
        )
    if len(bundle.feature_names) != sizes["n_auxiliary"]:
        raise DataError(
            f"{source}: model.json: {len(bundle.feature_names)} feature names for "
            f"{sizes['n_auxiliary']} auxiliaries"
        )
    priors = np.asarray(bundle.priors, dtype=np.float64)
    if not (np.isfinite(priors).all() and (priors > 0).all() and 0 < bundle.temperature < 1e6):
        raise DataError(f"{source}: model.json: priors and temperature must be positive numbers")
    golden = bundle.golden
    n_golden = len(golden.folded)
    wanted = {
        "folded": (n_golden, sizes["n_channels"], sizes["n_bins"]),
        "auxiliary": (n_golden, sizes["n_auxiliary"]),
        "logits": (n_golden, n_classes),
    }
    for name, shape in wanted.items():
        array = getattr(golden, name)
        if n_golden < 1 or array.shape != shape or not np.isfinite(array).all():
            raise DataError(
                f"{source}: golden.json: {name} has shape {array.shape}, finite {shape} is needed"
            )
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if name != "logits" and not np.array_equal(half, array):
            raise DataError(f"{source}: golden.json: {name} is not rounded to float16")
    decode_weights(bundle.weights, bundle.shapes, source=f"{source}: weights.bin")
    check_graph(bundle.graph, bundle.shapes, f"{source}: graph.onnx")


def _check_integer(bundle: Bundle, source: str) -> None:
    """Whether weights and ranges make the integer network that the bundle says."""
    if bundle.integer is None:
        return
    if bundle.integer.logits.shape != bundle.golden.logits.shape:
        raise DataError(
            f"{source}: integer.json: logits have shape {bundle.integer.logits.shape}, "
            f"{bundle.golden.logits.shape} is needed"
        )
    restore_network(bundle.integer, bundle.network, bundle.tensors(), f"{source}: integer.json")


class _Reader:
    """Typed access to one JSON part; whatever is not as expected is a DataError."""

    def __init__(self, data: bytes, source: str) -> None:
        self.source = source
        try:
            self.content: dict[str, Any] = from_json(data)
        except UNREADABLE as error:
            why = str(error)[:200]
            raise DataError(f"{source}: not readable ({why}); fetch the bundle again") from None
        if not isinstance(self.content, dict):
            raise DataError(f"{source}: must be an object, is a {type(self.content).__name__}")

    def _get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        value = self.content.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{self.source}: {key!r} is missing or is a {type(value).__name__}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self._get(key, dict))

    def number(self, key: str) -> float:
        return float(self._get(key, (int, float)))

    def numbers(self, key: str) -> tuple[float, ...]:
        values = self._get(key, list)
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise DataError(f"{self.source}: {key!r} must be numbers")
        return tuple(float(v) for v in values)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list)
        if not all(isinstance(v, str) for v in values):
            raise DataError(f"{self.source}: {key!r} must be text")
        return tuple(values)

    def shapes(self, key: str) -> dict[str, tuple[int, ...]]:
        out = {}
        for name, shape in self.mapping(key).items():
            if not isinstance(shape, list) or not all(
                isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 31 for n in shape
            ):
                raise DataError(f"{self.source}: {key!r} has a bad shape for {name!r}")
            out[name] = tuple(shape)
        return out

    def array(self, key: str) -> NDArray[np.float32]:
        array = self._get(key, np.ndarray)
        if array.dtype.kind != "f":
            raise DataError(f"{self.source}: {key!r} must hold floats, holds {array.dtype}")
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            return np.asarray(array, dtype=np.float32)
