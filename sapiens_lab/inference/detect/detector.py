"""``Detector``: what finds people, and a function of the user's as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes, Selection


class Detector(Protocol):
    """Finds the people in an image."""

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return the people of an image ``(H, W, 3)`` RGB, in its pixels.

        Args:
            image: the whole of it.
            name: its path.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFunction:
    """A function that takes an image ``(H, W, 3)`` RGB and gives boxes.

    Args:
        function: returns ``(N, 4)`` xyxy pixels or, with scores, ``(N, 5)``.
        select: which of its boxes are kept.
    """

    function: Callable[[NDArray[np.uint8]], Any]
    select: Selection = field(default_factory=Selection)

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return what the function finds."""
        boxes = Boxes.of(self.function(image), name)
        return self.select(boxes, (image.shape[0], image.shape[1]))
