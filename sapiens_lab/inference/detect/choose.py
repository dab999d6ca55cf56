"""From what a user says to a detector: ``onnx=FILE``, ``torchvision``, ``my_module.find``, ..."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Selection
from sapiens_lab.inference.detect.detector import Detector, OwnFunction

KNOWN = "none, onnx=FILE, torchvision[=NAME|FILE], ultralytics[=NAME|FILE] or module.function"


def make_detector(
    spec: str | None, box_file: Path | None = None, *, select: Selection, device: str = "cpu"
) -> Detector | None:
    """Return the detector that is meant; ``None`` takes images as a whole.

    Args:
        spec: ``none``, ``onnx=FILE``, ``torchvision``, ``torchvision=NAME_OR_FILE``,
            ``ultralytics``, ``ultralytics=NAME_OR_FILE``, or the import path of a function that
            takes an image ``(H, W, 3)`` RGB and returns boxes ``(N, 4)`` or ``(N, 5)``.
        box_file: COCO annotations or results, in place of a detector.
        select: which boxes are kept.
        device: where detectors run.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a library is not installed; says how to install it.
        ValueError: there is no such detector, or two are given.
    """
    if box_file is not None:
        if spec is not None:
            raise ValueError("give --boxes or --detector, not both")
        from sapiens_lab.inference.detect.box_file import read_boxes

        return read_boxes(box_file, select=select)
    if spec in (None, "none"):
        return None
    assert spec is not None
    name, _, value = spec.partition("=")
    if name == "onnx" and value:
        from sapiens_lab.inference.detect.yolox import YoloxOnnx

        return YoloxOnnx(Path(value), select=select)
    if name == "torchvision":
        from sapiens_lab.inference.detect.torchvision_people import TorchvisionPeople

        return TorchvisionPeople(value or None, select=select, device=device)
    if name == "ultralytics":
        from sapiens_lab.inference.detect.ultralytics_people import UltralyticsPeople

        return UltralyticsPeople(value or None, select=select, device=device)
    if "." in name and not value:
        return OwnFunction(function=_import(name), select=select)
    raise ValueError(f"there is no detector {spec!r}; known are {KNOWN}")


def _import(path: str) -> Callable[[NDArray[np.uint8]], Any]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the detector {path} cannot be imported: {error}; known are {KNOWN}"
        ) from error
    if not callable(found):
        raise ValueError(f"the detector {path} is a {type(found).__name__}, not a function")
    function: Callable[[NDArray[np.uint8]], Any] = found
    return function
