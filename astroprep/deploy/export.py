"""A bundle's network for other runtimes: ONNX files, or C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from astroprep.deploy.bundle import Bundle, read_bundle
from astroprep.deploy.c99 import write_c99
from astroprep.deploy.integer_part import restore_network
from astroprep.deploy.onnx_files import float_model, integer_model
from astroprep.errors import ConfigError
from astroprep.io import replaced

__all__ = ["Target", "export_bundle"]

Target = Literal["onnx", "c99"]


def export_bundle(
    bundle: Bundle | str | os.PathLike[str], target: Target, folder: str | os.PathLike[str]
) -> list[Path]:
    """Write the network of a bundle.

    Parameters
    ----------
    bundle : Bundle or path
        Opened and checked.
    target : {"onnx", "c99"}
        ``network.onnx``, and ``network_int8.onnx`` where the bundle computes in integers; or
        ``astroprep.c`` and ``astroprep.h``, which need that.
    folder : path
        Made if it is not there.

    Returns
    -------
    list of Path
        What was written. Preprocessing, temperature and priors stay in the bundle.

    Raises
    ------
    ConfigError
        Unknown target, or C from a bundle without integers.
    DataError
        If the bundle is damaged or a file cannot be written.
    MissingExtraError
        If onnx is not installed and needed.
    """
    if target not in get_args(Target):
        raise ConfigError(f"export: target must be one of {', '.join(get_args(Target))}")
    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    source = opened.source
    tensors = opened.tensors()
    network = None
    if opened.integer is not None:
        network = restore_network(opened.integer, opened.network, tensors, source)
    if target == "c99":
        if network is None:
            raise ConfigError(
                f"{source} computes in floats; C needs integers: run its recipe with "
                'engine = "integer" in [deployment]'
            )
        return write_c99(network, folder, opened.classes)
    files = {"network.onnx": float_model(opened.graph, tensors)}
    if network is not None:
        files["network_int8.onnx"] = integer_model(network)
    paths = []
    for name, data in files.items():
        path = Path(folder) / name
        with replaced(path) as part:
            part.write_bytes(data)
        paths.append(path)
    return paths
