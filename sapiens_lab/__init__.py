"""Pretrain, fine-tune and evaluate human-vision foundation models.

The names below are imported when they are first used, so ``import sapiens_lab`` costs nothing:
``load_model``, ``save_model``, ``list_models``, ``Sapiens``, ``MaskedAutoencoder``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sapiens_lab.models.mae import MaskedAutoencoder
    from sapiens_lab.models.sapiens import Sapiens
    from sapiens_lab.weights.catalog import list_models
    from sapiens_lab.weights.model import load_model, save_model

__version__ = "0.1.0"
__all__ = ["load_model", "save_model", "list_models", "Sapiens", "MaskedAutoencoder"]

_HOMES = {
    "load_model": "sapiens_lab.weights.model",
    "save_model": "sapiens_lab.weights.model",
    "list_models": "sapiens_lab.weights.catalog",
    "Sapiens": "sapiens_lab.models.sapiens",
    "MaskedAutoencoder": "sapiens_lab.models.mae",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sapiens_lab' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
