"""The packages that are installed: whether they import, fit together and are new enough."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType

from sapiens_lab.commands.doctor.diagnosis import Line

_PACKAGE = "sapiens-lab"
_TOGETHER = "pip install --force-reinstall torch torchvision"
# Imported names of distributions that are called otherwise.
_MODULES = {
    "opencv-python": "cv2",
    "pillow": "PIL",
    "hydra-core": "hydra",
    "faster-coco-eval": "faster_coco_eval",
}
_WITH_BUILD = ("torch", "torchvision")  # say of themselves for what they were built, e.g. +cpu
_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
# What each optional extra is for; a test compares this with pyproject.toml.
EXTRAS = {
    "detect": "a person detector for whole images (AGPL-3.0)",
    "onnx": "person detectors in ONNX, for whole images",
    "convert": "reading label maps of HDF5 and MATLAB files",
    "video": "videos and cameras in `sapiens predict`",
    "wandb": "logger=wandb, Weights & Biases",
    "mlflow": "logger=mlflow, MLflow",
    "fast": "a compiled renderer of synthetic people",
    "scan": "reading scans for `sapiens render --mesh`",
}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:>=([\w.]+))?")


def examine_software() -> list[Line]:
    """Import every package that is needed, guarded; say what is missing and what does not fit."""
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [Line(status="ok", name="python", text=f"{python}, {sys.executable}")]
    required, extras = requirements()
    torch, line = _examine("torch", required.get("torch", ""))
    lines.append(line)
    lines += _examine_torchvision(torch, required.pop("torchvision", ""))
    required.pop("torch", None)
    found = [_examine(name, minimum)[1] for name, minimum in required.items()]
    shown = ("lightning", "timm", "opencv-python", "numpy")
    lines += [line for line in found if line.status != "ok" or line.name in shown]
    others = [f"{x.name} {x.text}" for x in found if x.status == "ok" and x.name not in shown]
    if others:
        lines.append(Line(status="ok", name="others", text=", ".join(others)))
    lines += _examine_pairs(torch)
    lines += [_examine_extra(name, packages) for name, packages in extras.items()]
    return lines


def requirements() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the least versions of what the package needs, and the packages of each extra."""
    needed: dict[str, str] = {}
    extras: dict[str, list[str]] = {}
    try:
        declared = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        declared = []
    for requirement in declared:
        match = _REQUIREMENT.match(requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if match is None:
            continue
        if extra is None:
            needed[match[1].lower()] = match[2] or ""
        elif extra[1] in EXTRAS:
            extras.setdefault(extra[1], []).append(match[1])
    for name in ("torch", "torchvision", "lightning", "timm", "opencv-python", "numpy"):
        needed.setdefault(name, "")
    return needed, extras


def _examine(name: str, minimum: str) -> tuple[ModuleType | None, Line]:
    """Import a package and compare its version with the least that is needed."""
    module, fault = guarded_import(_module_name(name))
    if module is None:
        return None, Line(status="error", name=name, text=fault, remedy=_remedy(name, fault))
    version = _version(name, module)
    if minimum and _numbers(version) < _numbers(minimum):
        return module, Line(
            status="error",
            name=name,
            text=f"{version} is older than {minimum}, which is needed",
            remedy=f'pip install -U "{name}>={minimum}"',
        )
    return module, Line(status="ok", name=name, text=version)


def guarded_import(name: str) -> tuple[ModuleType | None, str]:
    """Import a module, whatever it raises; return it, or what is wrong."""
    try:
        return importlib.import_module(name), ""
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing.partition(".")[0] == name.partition(".")[0]:
            return None, "is not installed"
        return None, f"cannot be imported: there is no module {missing}"
    except Exception as error:  # a broken package may raise anything
        first = (str(error).strip().splitlines() or [""])[0]
        return None, f"cannot be imported: {type(error).__name__}: {first}"


def _remedy(name: str, fault: str) -> str:
    if "libGL" in fault or "libgthread" in fault or "libglib" in fault:
        return (
            "opencv-python needs the libraries of a desktop: pip uninstall -y opencv-python && "
            "pip install opencv-python-headless, or install the system's libgl1 and libglib2.0-0"
        )
    if name in ("torch", "torchvision"):
        return f"{_TOGETHER}, in one command and from the same index"
    if "numpy" in fault.lower() and name != "numpy":
        return f"it was built for another NumPy: pip install --force-reinstall {name} numpy"
    verb = "pip install" if fault == "is not installed" else "pip install --force-reinstall"
    return f"{verb} {name}"


def _examine_torchvision(torch: ModuleType | None, minimum: str) -> Iterator[Line]:
    """Find a torchvision that was built for another torch, its compiled operators included."""
    module, line = _examine("torchvision", minimum)
    if torch is None:
        yield line
        return
    versions = f"torch {_version('torch', torch)}"
    own = _version("torchvision", module)
    if module is not None:
        fault = _missing_operator(torch)
        if not fault:
            yield line
            return
    else:
        fault = line.text.removeprefix("cannot be imported: ")
        if fault == "is not installed":
            yield line
            return
    yield Line(
        status="error",
        name="torchvision",
        text=f"{own} does not fit {versions}: {fault}",
        remedy=(
            "the two were installed from different places (a CPU-only torch beside a torchvision "
            f"for CUDA is the usual case): {_TOGETHER}, in one command and from the same index"
        ),
    )


def _missing_operator(torch: ModuleType) -> str:
    """Call the operator whose absence is the sign of a mismatch."""
    try:
        torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as error:  # AttributeError, RuntimeError or NotImplementedError, by version
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def _examine_pairs(torch: ModuleType | None) -> Iterator[Line]:
    """Find packages that are each whole and do not go together."""
    if torch is not None:
        try:
            torch.zeros(1).numpy()
        except Exception as error:  # RuntimeError: Numpy is not available
            yield Line(
                status="error",
                name="torch and numpy",
                text=f"torch cannot use this NumPy: {error}",
                remedy="pip install -U torch torchvision numpy, in one command",
            )
    present = [name for name in _OPENCV if _installed(name)]
    if len(present) > 1:
        yield Line(
            status="warning",
            name="opencv",
            text=f"{' and '.join(present)} write into the same folder",
            remedy=f"pip uninstall -y {' '.join(present)} && pip install opencv-python",
        )


def _examine_extra(name: str, packages: list[str]) -> Line:
    missing = [package for package in packages if not _installed(package)]
    if not missing:
        versions = ", ".join(f"{p} {metadata.version(p)}" for p in packages)
        return Line(status="ok", name=f"[{name}]", text=f"{versions}: {EXTRAS[name]}")
    return Line(
        status="note",
        name=f"[{name}]",
        text=f"optional, not installed ({', '.join(missing)}): {EXTRAS[name]}",
        remedy=f'pip install "{_PACKAGE}[{name}]"',
    )


def _module_name(distribution: str) -> str:
    return _MODULES.get(distribution, distribution.replace("-", "_"))


def _version(name: str, module: ModuleType | None) -> str:
    if name in _WITH_BUILD and module is not None:
        return str(getattr(module, "__version__", "of unknown version"))
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # opencv-python-headless is as good
        return str(getattr(module, "__version__", "of unknown version"))


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[\d.]+", version)
    return tuple(int(n) for n in found[0].strip(".").split(".")) if found else ()
