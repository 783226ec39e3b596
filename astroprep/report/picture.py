"""Pictures as text that stands inside a page."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picture", "bitmap", "drawing"]

DOTS_PER_INCH = 120  # of bitmaps: sharp on ordinary screens, 15 kB for a small light curve


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    Parameters
    ----------
    source : str
        ``data:`` address with all of it.
    text : str
        What it shows, for those who cannot see it.
    width : int
        Natural width, CSS pixels.
    """

    source: str
    text: str
    width: int


def _encoded(ax: Axes, text: str, kind: str, mime: str) -> Picture:
    from matplotlib import rc_context

    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes of a picture must sit on a figure")
    stream = io.BytesIO()
    # Nothing that changes from run to run goes in: same input, same bytes.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": text, "svg.fonttype": "path"}):
        # class names in scripts that the font lacks become boxes, which is no news to the reader
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format=kind, dpi=DOTS_PER_INCH, transparent=True, metadata=metadata)
    address = f"data:{mime};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
    return Picture(source=address, text=text, width=round(96 * figure.get_figwidth()))


def drawing(ax: Axes, text: str) -> Picture:
    """SVG picture, for few lines; letters are outlines, so that no font is needed."""
    return _encoded(ax, text, "svg", "image/svg+xml")


def bitmap(ax: Axes, text: str) -> Picture:
    """PNG picture, for many points."""
    return _encoded(ax, text, "png", "image/png")
