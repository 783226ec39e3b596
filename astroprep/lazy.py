"""Public names of a room, loaded on first use: a step costs only what it imports itself."""

from __future__ import annotations

import dis
import importlib
import sys
from types import CodeType, ModuleType
from typing import Any, cast

__all__ = ["lazy_room"]

NOT_PUBLIC = ("__future__", "typing", "astroprep.lazy")


class _Room(ModuleType):
    """A package whose public names come from the modules that define them, when asked for."""

    __lazy_home__: dict[str, str]  # public name to module

    def __getattr__(self, name: str) -> Any:
        home = self.__dict__.get("__lazy_home__", {}).get(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # importing the module `fold` must not hide the function `fold` that the room offers
        if isinstance(value, ModuleType) and name in self.__dict__.get("__lazy_home__", {}):
            if self.__lazy_home__[name] != value.__name__:
                return
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__lazy_home__})


def lazy_room(name: str) -> None:
    """Load the imports under ``if TYPE_CHECKING`` of a package one by one, on first use.

    Parameters
    ----------
    name : str
        Of a package that is being imported. Type checkers and editors see plain imports.
    """
    module = sys.modules[name]
    home: dict[str, str] = {}
    source = ""
    for one in dis.get_instructions(_code_of(module)):
        if one.opname == "IMPORT_NAME":
            source = one.argval
        elif one.opname == "IMPORT_FROM" and source not in NOT_PUBLIC:
            home[one.argval] = source
    module.__dict__["__lazy_home__"] = home
    module.__class__ = _Room


def _code_of(module: ModuleType) -> CodeType:
    """Compiled code of a module, which an archive or an installation without sources has too."""
    code = module.__spec__.loader.get_code(module.__name__)  # type: ignore[union-attr]
    return cast(CodeType, code)
