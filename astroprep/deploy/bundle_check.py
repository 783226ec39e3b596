"""Whether the parts of a bundle fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astroprep.deploy.integer_part import restore_network
from astroprep.deploy.onnx import check_graph
from astroprep.errors import ConfigError, DataError
from astroprep.model.spec import check_format

if TYPE_CHECKING:
    from astroprep.deploy.bundle import Bundle

__all__ = ["check_bundle", "check_integer"]

COLDEST = 1e-6  # logits over a temperature nearer to zero would be infinite


def check_bundle(bundle: Bundle, source: str) -> None:
    """Whether the parts fit together."""
    network, n_classes = bundle.network, len(bundle.classes)
    try:
        check_format(network, f"{source}: model.json")
    except ConfigError as error:
        raise DataError(f"{error}; a newer astroprep may have written it") from None
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
    if not (np.isfinite(priors).all() and (priors > 0).all()):
        raise DataError(f"{source}: model.json: priors must be positive numbers")
    if not COLDEST <= bundle.temperature <= 1 / COLDEST:
        raise DataError(
            f"{source}: model.json: the temperature must be positive, {COLDEST:g} to "
            f"{1 / COLDEST:g}, is {bundle.temperature:g}"
        )
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
    bundle.tensors(f"{source}: weights.bin")
    check_graph(bundle.graph, bundle.shapes, f"{source}: graph.onnx")


def check_integer(bundle: Bundle, source: str) -> None:
    """Whether weights and ranges make the integer network that the bundle says."""
    if bundle.integer is None:
        return
    if bundle.integer.logits.shape != bundle.golden.logits.shape:
        raise DataError(
            f"{source}: integer.json: logits have shape {bundle.integer.logits.shape}, "
            f"{bundle.golden.logits.shape} is needed"
        )
    restore_network(bundle.integer, bundle.network, bundle.tensors(), f"{source}: integer.json")
