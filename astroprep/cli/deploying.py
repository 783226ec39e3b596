"""The verbs that look at a bundle's network: ``astroprep export`` and ``astroprep bench``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import show

__all__ = ["bench", "export"]

BundleFile = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle that `astroprep run` wrote.")
]


class ExportTarget(StrEnum):
    """What a network is written as."""

    onnx = "onnx"
    c99 = "c99"


def export(
    bundle: BundleFile,
    target: Annotated[ExportTarget, typer.Option(help="ONNX files, or a C source and header.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Write the network for other runtimes; C holds integers only and allocates nothing.

    Example: `astroprep export result/bundle.apz --target c99 --out firmware/`
    """
    from astroprep.deploy.export import export_bundle

    for path in export_bundle(bundle, target.value, out):
        show.out.print(str(path))


def bench(bundle: BundleFile) -> None:
    """Objects a second of the network, and the time of every layer where it is of integers.

    Example: `astroprep bench result/bundle.apz`
    """
    from rich.table import Table

    from astroprep.deploy.bundle import read_bundle
    from astroprep.deploy.integer_part import restore_network
    from astroprep.deploy.profile import layer_times, runtime_speeds

    opened = read_bundle(bundle)
    table = Table("engine", "batch", "objects a second")
    for speed in runtime_speeds(opened):
        table.add_row(speed.engine, str(speed.batch), f"{speed.objects_per_second:,.0f}")
    show.out.print(table)
    if opened.integer is None:
        show.out.print("floats on ONNX Runtime; layers are timed where a bundle has integers")
        return
    network = restore_network(opened.integer, opened.network, opened.tensors(), str(bundle))
    layers = Table("layer", "microseconds", "MAC", "GMAC/s", "bytes", "bound by")
    for layer in layer_times(network):
        rate = layer.macs / max(layer.microseconds, 1e-6) / 1e3
        numbers = (f"{layer.macs:,}", f"{rate:.0f}", f"{layer.n_bytes:,}")
        layers.add_row(layer.name, f"{layer.microseconds:.3f}", *numbers, layer.bound)
    show.out.print(layers)
