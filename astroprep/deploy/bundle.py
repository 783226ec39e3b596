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

The checksums tell damage, not malice: they stand in the file that they check, unsigned, so whoever
changes a part can seal it anew. Who fetches a bundle compares the sha256 of the whole file with the
one that its maker gave by another way.

How arrays are written inside JSON: `astroprep.deploy.plain`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.weights import decode_weights
from astroprep.deploy.bundle_check import check_bundle, check_integer
from astroprep.deploy.bundle_parts import pack_parts, unpack_parts
from astroprep.deploy.integer_part import IntegerPart
from astroprep.deploy.part_reader import PartReader
from astroprep.deploy.plain import to_json
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced

__all__ = ["Bundle", "Golden", "bundle_bytes", "parse_bundle", "read_bundle", "write_bundle"]

FILE_LIMIT = 1 << 26


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
    source : str, default "bundle"
        Where it was read, for messages; not stored.
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
    source: str = "bundle"

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

    def tensors(self, source: str = "weights.bin") -> dict[str, NDArray[np.float32]]:
        """Weights by tensor name, decoded once; each call gives arrays of its own.

        Parameters
        ----------
        source : str, default "weights.bin"
            Named in errors.

        Raises
        ------
        DataError
            If the weights are damaged.
        """
        kept = self.__dict__.get("_decoded")
        if kept is None:
            kept = decode_weights(self.weights, self.shapes, source=source)
            self.__dict__["_decoded"] = kept
        return {name: array.copy() for name, array in kept.items()}


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
        check_bundle(bundle, "bundle to write")
        check_integer(bundle, "bundle to write")
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
    return pack_parts(parts)


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
    parts = unpack_parts(data, source)
    model = PartReader(parts["model.json"], f"{source}: model.json")
    golden = PartReader(parts["golden.json"], f"{source}: golden.json")
    recipe = PartReader(parts["recipe.json"], f"{source}: recipe.json")
    versions = PartReader(parts["versions.json"], f"{source}: versions.json")
    integer = None
    if "integer.json" in parts:
        integer = PartReader(parts["integer.json"], f"{source}: integer.json").content
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
        source=source,
    )
    check_bundle(bundle, source)
    if integer is not None:
        where = f"{source}: integer.json"
        bundle = replace(bundle, integer=IntegerPart.from_dict(integer, bundle.network, where))
        check_integer(bundle, source)
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
