"""What the outline of a person tells: there its surface turns away from the viewer."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGMA = 2.0  # pixels of a thinned map over which an outline is smoothed
_STEEP = 0.08  # of the smoothed mask's slope, on the outline
_NUM_PIXELS = 40  # of an outline that tell something


def outline(
    valid: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.float32]] | None:
    """Return the pixels ``(h, w)`` just inside of the outline and which way is out ``(h, w, 2)``.

    ``None`` if there is too little of an outline: where a person is cut off by the image there is
    none.
    """
    smooth = cv2.GaussianBlur(
        valid.astype(np.float32), (0, 0), _SIGMA, borderType=cv2.BORDER_REPLICATE
    )
    down, across = np.gradient(smooth)
    slope = np.hypot(down, across)
    ring = valid & (slope > _STEEP)
    if ring.sum() < _NUM_PIXELS:
        return None
    out = -np.stack([across, down], -1) / np.maximum(slope, 1e-6)[..., None]
    return ring, out.astype(np.float32)
