"""Names for the array types of the renderer."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
U8: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]
Rng: TypeAlias = np.random.Generator


def dot(a: F32, b: F32) -> F32:
    """Return the row-wise products ``(N,)`` of ``(N, 3)``; several times as fast as ``sum``."""
    return np.asarray(np.einsum("ni,ni->n", a, b))


def unit(vectors: F32) -> F32:
    """Scale rows ``(N, 3)`` to unit length."""
    length = np.sqrt(np.maximum(dot(vectors, vectors), np.float32(1e-18)))
    return np.asarray(vectors / length[:, None])
