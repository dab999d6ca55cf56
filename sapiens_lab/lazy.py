"""Public names that are imported when they are first used.

A package lists its names once, in ``__init__.pyi`` beside ``__init__.py``, where type checkers and
editors look too. Importing a package then costs nothing, and ``sapiens_lab.losses.SiLogLoss``
imports the one module that defines it (PEP 562).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def public_names(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: its ``__name__``.
        file: its ``__file__``; ``from MODULE import NAME as NAME`` stands in the stub beside it.
    """
    homes = _read(Path(file).with_suffix(".pyi"))

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # the next use does not come here
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names, list(homes)


def _read(stub: Path) -> dict[str, str]:
    """Return the module of every name that a stub imports, a line each."""
    lines = (line.split() for line in stub.read_text(encoding="utf-8").splitlines())
    return {words[3]: words[1] for words in lines if words[:1] == ["from"]}
