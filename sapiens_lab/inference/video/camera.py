"""Frames of a camera, until it is stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.video.reading import VideoFrame
from sapiens_lab.inference.video.settings import VideoSettings
from sapiens_lab.limits import check_pixels


@dataclass(slots=True, kw_only=True)
class Camera:
    """A camera of this machine.

    Args:
        number: of the camera, from 0.
        settings: ``end_s`` counts from the first frame.
        is_stopped: asked before each frame; the camera ends where it is true.
    """

    number: int
    settings: VideoSettings
    is_stopped: Callable[[], bool] = lambda: False
    name: str = ""
    rate: Fraction = Fraction(30)
    time_base: Fraction = Fraction(1, 1000)
    num_frames: int | None = None
    audio: str | None = None

    def __post_init__(self) -> None:
        self.name = self.name or f"camera {self.number}"

    def frames(self) -> Iterator[VideoFrame]:
        """Yield what the camera sees.

        Raises:
            ValueError: there is no such camera, or it gives no images.
        """
        capture = open_camera(self.number)
        try:
            first: float | None = None
            index = -1
            while not self.is_stopped():
                is_there, bgr = capture.read()
                if not is_there:
                    raise ValueError(f"{self.name} gives no images any more")
                now = time.monotonic()
                first = now if first is None else first
                elapsed = now - first
                if self.settings.end_s is not None and elapsed >= self.settings.end_s:
                    return
                check_pixels(bgr.shape[0], bgr.shape[1], self.name)
                index += 1
                if elapsed >= self.settings.start_s and index % self.settings.stride == 0:
                    yield _frame(bgr, self.name, index, elapsed)
        finally:
            capture.release()


def open_camera(number: int) -> cv2.VideoCapture:
    """Open a camera.

    Raises:
        ValueError: there is none of this number.
    """
    advice = "; connect it, or give the file of a video"
    if sys.platform == "linux" and not Path(f"/dev/video{number}").exists():
        raise ValueError(f"there is no camera {number} (/dev/video{number}){advice}")
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ValueError(f"camera {number} cannot be opened: it is missing or in use{advice}")
    return capture


def _frame(bgr: NDArray[np.uint8], name: str, index: int, time_s: float) -> VideoFrame:
    return VideoFrame(
        name=f"{name}, frame {index}",
        key=f"{index:06d}",
        read=lambda: np.ascontiguousarray(bgr[..., ::-1]),
        index=index,
        time_s=time_s,
    )
