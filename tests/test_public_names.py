"""Public names are reachable from their package, and cost nothing until they are used."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest
from torch import nn
from torchmetrics import Metric

import sapiens_lab

PACKAGES = [
    "sapiens_lab",
    *(m.name for m in pkgutil.walk_packages(sapiens_lab.__path__, "sapiens_lab.") if m.ispkg),
]
NAMES = [
    (package, name)
    for package in PACKAGES
    for name in getattr(importlib.import_module(package), "__all__", [])
]


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_name_is_reachable(package: str, name: str) -> None:
    module = importlib.import_module(package)
    assert getattr(module, name) is not None
    assert name in dir(module)


def test_the_names_of_the_issue() -> None:
    import sapiens_lab.losses
    import sapiens_lab.metrics
    import sapiens_lab.models
    import sapiens_lab.tasks

    assert sapiens_lab.losses.SiLogLoss.__module__ == "sapiens_lab.losses.depth"
    assert sapiens_lab.tasks.PoseTask.__module__ == "sapiens_lab.tasks.pose"
    assert sapiens_lab.metrics.OksAP.__module__ == "sapiens_lab.metrics.pose"
    assert sapiens_lab.models.ViT.__module__ == "sapiens_lab.models.vit"


@pytest.mark.parametrize("folder", ["losses", "metrics", "models", "tasks"])
def test_no_public_module_is_forgotten(folder: str) -> None:
    """Every loss, metric, model and task of a file is a name of its package."""
    package = importlib.import_module(f"sapiens_lab.{folder}")
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name in _defined(module):
            assert name in package.__all__, f"{name} of {module.__name__}"


def _defined(module: ModuleType) -> list[str]:
    inner = {"Block", "Attention", "Mlp", "Normalized", "Decoder"}  # parts of others
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, (nn.Module, Metric))
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and name not in inner
    ]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'sapiens_lab\.losses' has no attribute 'Nothing'"):
        _ = importlib.import_module("sapiens_lab.losses").Nothing


def test_importing_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "cv2", "lightning", "omegaconf")
    code = (
        f"import sys, {', '.join(PACKAGES)}\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
