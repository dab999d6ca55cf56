"""A detector in an ONNX file, of the layout that YOLOX exports, by onnxruntime.

Input ``(1, 3, h, w)`` float32, BGR 0..255, the image in the upper left corner and 114 around it.
Output ``(1, N, 5 + classes)``: center, width and height relative to the cells of three grids of
strides 8, 16 and 32, then the objectness and the score of each class. Person is class 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes, Selection

STRIDES = (8, 16, 32)
_GRAY = 114  # around the image
_PERSON = 0


class YoloxOnnx:
    """Finds people by the network in an ONNX file.

    Args:
        path: of the file.
        select: which boxes are kept.

    Raises:
        ImportError: onnxruntime is not installed.
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, or has another layout.
    """

    def __init__(self, path: Path, *, select: Selection | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                'this detector needs onnxruntime: pip install "sapiens-lab[onnx]"'
            ) from error
        if not path.is_file():
            raise FileNotFoundError(f"there is no ONNX file {path}")
        self.path, self.select = path, select or Selection()
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime has classes of its own for each fault
            raise ValueError(f"{path} cannot be run as ONNX: {error}") from error
        (given, *more), outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = list(given.shape)
        if more or len(outputs) != 1 or len(shape) != 4 or shape[1] != 3:
            raise ValueError(
                f"{path} has {len(more) + 1} inputs, the first {shape}, and {len(outputs)} "
                "outputs; the layout of YOLOX has one of each, the input (1, 3, height, width)"
            )
        self._input = given.name
        height, width = (v if isinstance(v, int) else 640 for v in shape[2:])  # where it is free
        self.size = (height, width)
        self._cells = grid_cells(self.size)

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return the people of an image.

        Raises:
            ValueError: the output has another form than YOLOX gives.
        """
        given, scale = letterbox(image, self.size)
        (output,) = self._session.run(None, {self._input: given})
        if output.ndim != 3 or output.shape[1] != len(self._cells) or output.shape[2] < 6:
            raise ValueError(
                f"{self.path} gave {output.shape}; YOLOX gives (1, {len(self._cells)}, 85)"
            )
        boxes = decode(output[0], self._cells, scale)
        return self.select(boxes, (image.shape[0], image.shape[1]))


def letterbox(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
    """Return an image ``(H, W, 3)`` RGB as input ``(1, 3, h, w)``, and how much it was reduced."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, int(height * scale)), max(1, int(width * scale)))
    small = cv2.resize(image, inner[::-1], interpolation=cv2.INTER_LINEAR)
    canvas = np.full((*size, 3), _GRAY, np.float32)
    canvas[: inner[0], : inner[1]] = small[..., ::-1]
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]), scale


def grid_cells(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return column, row and stride of every cell ``(N, 3)``, in the order of the output."""
    cells = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], -1))
    return np.concatenate(cells).astype(np.float32)


def decode(output: NDArray[np.float32], cells: NDArray[np.float32], scale: float) -> Boxes:
    """Return the people of an output ``(N, 5 + classes)``, in pixels of the source image."""
    stride = cells[:, 2:]
    center = (output[:, :2] + cells[:, :2]) * stride / scale
    half = np.exp(np.clip(output[:, 2:4], -20, 20)) * stride / scale / 2
    best = output[:, 5:].argmax(1) == _PERSON
    xyxy = np.concatenate([center - half, center + half], 1).astype(np.float32)
    scores = (output[:, 4] * output[:, 5 + _PERSON]).astype(np.float32)
    return Boxes(xyxy=xyxy[best], scores=scores[best])
