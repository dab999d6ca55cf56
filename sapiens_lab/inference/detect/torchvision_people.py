"""torchvision's detectors (BSD license), trained on COCO, as detectors of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sapiens_lab.inference.boxes import Boxes, Selection
from sapiens_lab.weights.reading import read_content

DEFAULT = "fasterrcnn_mobilenet_v3_large_fpn"  # 74 MB, and quick enough for a CPU
_PERSON = 1  # in COCO's 91 categories


class TorchvisionPeople:
    """Finds people by a detector of ``torchvision.models.detection``.

    Args:
        source: its name there, whose weights torchvision downloads once; a file of its weights,
            whose name begins with that of the model, as those of torchvision do; by default a
            small one.
        select: which boxes are kept.
        device: where it runs.
        model: in place of ``source``, a model that is ready.

    Raises:
        ValueError: there is no such detector, or its weights are neither here nor can be had.
    """

    def __init__(
        self,
        source: str | None = None,
        *,
        select: Selection | None = None,
        device: str = "cpu",
        model: nn.Module | None = None,
    ) -> None:
        self.select, self.device = select or Selection(), torch.device(device)
        found = _load(source or DEFAULT) if model is None else model
        self.model = found.eval().to(self.device)

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return the people of an image."""
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        with torch.inference_mode():
            (found,) = self.model([pixels.to(self.device).float() / 255])
        people = found["labels"] == _PERSON
        boxes = Boxes(
            xyxy=found["boxes"][people].cpu().numpy().astype(np.float32).reshape(-1, 4),
            scores=found["scores"][people].cpu().numpy().astype(np.float32),
        )
        return self.select(boxes, (image.shape[0], image.shape[1]))


def _load(source: str) -> nn.Module:
    from torchvision.models import detection, get_model, list_models

    names = list_models(module=detection)
    path = Path(source).expanduser()
    if path.is_file():
        name = max((n for n in names if path.name.startswith(n)), key=len, default=None)
        if name is None:
            raise ValueError(
                f"{path} is not named after a detector of torchvision, e.g. {DEFAULT}.pth"
            )
        return _filled(get_model(name, weights=None, weights_backbone=None), path)
    if source not in names:
        raise ValueError(
            f"torchvision has no detector {source!r}, and there is no such file; it has "
            f"{', '.join(n for n in names if 'keypoint' not in n and 'mask' not in n)}"
        )
    try:
        model: nn.Module = get_model(source, weights="DEFAULT")
    except OSError as error:
        raise ValueError(
            f"the weights of torchvision's {source} could not be downloaded ({error}); download "
            "them elsewhere and give --detector torchvision=FILE, or use another detector"
        ) from error
    return model


def _filled(model: nn.Module, path: Path) -> nn.Module:
    state: Any = read_content(path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold the weights of its model: {reason}") from error
    return model
