"""YOLO models of the library ultralytics, which is AGPL-3.0, as detectors of people."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.cache import cache_folder
from sapiens_lab.inference.boxes import Boxes, Selection

log = logging.getLogger(__name__)

DEFAULT = "yolo11n.pt"
_PERSON = 0


class UltralyticsPeople:
    """Finds people by a YOLO model.

    The library writes its settings into our cache, and sends nothing.

    Args:
        source: name or file of a model; names are downloaded by the library.
        select: which boxes are kept.
        device: where it runs.

    Raises:
        ImportError: ultralytics is not installed.
        ValueError: the model cannot be loaded.
    """

    def __init__(
        self, source: str | None = None, *, select: Selection | None = None, device: str = "cpu"
    ) -> None:
        self.select, self.device = select or Selection(), device
        folder = cache_folder() / "ultralytics"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))  # read when it is imported
        try:
            from ultralytics import YOLO, settings
        except ImportError as error:
            raise ImportError(
                'this detector needs ultralytics (AGPL-3.0): pip install "sapiens-lab[detect]"'
            ) from error
        settings.update({"sync": False})
        _say_license(folder)
        name = source or DEFAULT
        file = Path(name).expanduser()
        try:
            self.model: Any = YOLO(str(file if file.is_file() else folder / name))
        except Exception as error:  # whatever the library raises for a name or file
            raise ValueError(f"ultralytics cannot load {name}: {error}") from error

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return the people of an image."""
        (found,) = self.model.predict(
            np.ascontiguousarray(image[..., ::-1]),  # it takes BGR, as OpenCV reads
            classes=[_PERSON],
            conf=self.select.min_score,
            device=self.device,
            verbose=False,
        )
        boxes = Boxes(
            xyxy=found.boxes.xyxy.cpu().numpy().astype(np.float32).reshape(-1, 4),
            scores=found.boxes.conf.cpu().numpy().astype(np.float32),
        )
        return self.select(boxes, (image.shape[0], image.shape[1]))


def _say_license(folder: Path) -> None:
    """Say once on this machine what the license asks for."""
    marker = folder / "license_was_shown"
    if marker.exists():
        return
    log.warning(
        "ultralytics is AGPL-3.0: a program that uses it, or a service built on it, must be "
        "published under the same license. --detector onnx=FILE or torchvision does without it. "
        "This is said once."
    )
    marker.touch()
