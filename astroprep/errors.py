"""What can go wrong, as a tree.

::

    AstroprepError
    ├── ConfigError        (also ValueError)   a setting or a recipe is wrong
    ├── DataError          (also ValueError)   an input file or light curve cannot be served
    ├── MissingExtraError  (also ImportError)  an optional package is not installed
    └── ProcessError       (also RuntimeError) one of several processes failed or fell silent

A message says who complains, what it needs, which object or key, what it saw and what to do.
"""

from __future__ import annotations

__all__ = ["AstroprepError", "ConfigError", "DataError", "MissingExtraError", "ProcessError"]


class AstroprepError(Exception):
    """Parent of every error that astroprep raises on purpose."""


class ConfigError(AstroprepError, ValueError):
    """A setting, a recipe or a command line is wrong; the message names the key."""


class DataError(AstroprepError, ValueError):
    """An input cannot be served; the message names the file or the object."""


class MissingExtraError(AstroprepError, ImportError):
    """An optional package is missing; the message says what to install."""


class ProcessError(AstroprepError, RuntimeError):
    """One of several processes failed, was killed or fell silent; the others were ended."""
