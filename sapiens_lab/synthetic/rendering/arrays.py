"""Names for the array types of the renderer."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
U8: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]
Rng: TypeAlias = np.random.Generator

_BLOCK = 200_000  # multiplications that OpenBLAS does in the calling thread


def product(a: NDArray[Any], b: NDArray[Any]) -> F32:
    """Return ``a (..., K) @ b (K, M)`` in blocks so small that BLAS starts no threads for them.

    Its threads would wait for each other whenever other processes, such as loading workers, use
    the same cores: then a scene took 97 ms instead of 28.
    """
    flat = np.ascontiguousarray(a, np.float32).reshape(-1, a.shape[-1])
    right = np.ascontiguousarray(b, np.float32)
    rows = max(1, _BLOCK // right.size)
    whole = len(flat) // rows * rows
    out = np.empty((len(flat), right.shape[1]), np.float32)
    if whole:
        blocks = flat[:whole].reshape(-1, rows, flat.shape[1])
        np.matmul(blocks, right, out=out[:whole].reshape(len(blocks), rows, -1))
    np.matmul(flat[whole:], right, out=out[whole:])
    return out.reshape(*a.shape[:-1], right.shape[1])


def along(a: F32, direction: NDArray[Any]) -> F32:
    """Return the products ``(...)`` of ``a (..., K)`` with one vector ``(K,)``."""
    return np.asarray(np.einsum("...i,i->...", a, direction.astype(np.float32)))


def dot(a: F32, b: F32) -> F32:
    """Return the row-wise products ``(N,)`` of ``(N, 3)``; several times as fast as ``sum``."""
    return np.asarray(np.einsum("ni,ni->n", a, b))


def unit(vectors: F32) -> F32:
    """Scale rows ``(N, 3)`` to unit length."""
    length = np.sqrt(np.maximum(dot(vectors, vectors), np.float32(1e-18)))
    return np.asarray(vectors / length[:, None])
