"""What one camera sees of a rendered person or of a scan.

People and scans differ in what is known about them (a scan has neither parts nor keypoints); what
a camera sees of them does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from sapiens_lab.synthetic.rendering.arrays import F32, U8, Bool
from sapiens_lab.synthetic.rendering.camera import Camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What one camera sees, ready to be written."""

    rgb: U8  # (H, W, 3)
    mask: Bool  # (H, W)
    depth: F32  # (H, W) [m]; 0 outside the mask
    normal: F32  # (H, W, 3) camera frame, unit; 0 outside the mask
    labels: U8 | None  # (H, W) part ids
    camera: Camera
    facts: dict[str, Any]  # goes into the scene's record


class ViewSource(Protocol):
    """Renders view number ``index``, always the same one; is pickled for worker processes."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    def labeled(self) -> bool:
        """Whether views carry part labels and keypoints."""

    def settings(self) -> dict[str, Any]:
        """Return everything that decides what the views look like."""

    def view(self, index: int) -> View:
        """Render one view."""
