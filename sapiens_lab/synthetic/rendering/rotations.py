"""3x3 rotation matrices; angles in radians, right-handed, acting on column vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.synthetic.rendering.arrays import F64


def about_x(angle: float) -> F64:
    """Rotate about the x axis."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def about_y(angle: float) -> F64:
    """Rotate about the y axis."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def about_z(angle: float) -> F64:
    """Rotate about the z axis."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def about_axis(axis: NDArray[Any], angle: float) -> F64:
    """Rotate about ``axis (3,)`` of any length (Rodrigues' formula)."""
    x, y, z = (float(v) / (float(np.linalg.norm(axis)) + 1e-9) for v in axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)
