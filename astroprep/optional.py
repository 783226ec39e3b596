"""Optional packages: import one, or say what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from astroprep.errors import MissingExtraError

__all__ = ["need"]


def need(module: str, *, extra: str, who: str) -> ModuleType:
    """Import an optional module.

    Parameters
    ----------
    module : str
        Dotted name, such as ``"lightkurve"``.
    extra : str
        The extra of astroprep that brings it, such as ``"kepler"``.
    who : str
        What asks for it, named in the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the package is not installed. A package that is installed but fails inside
        its own imports raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise MissingExtraError(
            f"{who} needs {top}: pip install 'astroprep[{extra}]'", name=module
        ) from error
