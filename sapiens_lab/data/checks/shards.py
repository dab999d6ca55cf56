"""Checks of tables of offsets into archives."""

from __future__ import annotations

import numpy as np


def find_table_fault(rows: object, size: int) -> str:
    """Say why a table cannot be that of an archive; empty if it can.

    Args:
        rows: ``(n + 1, 3)``: where an entry's header, its content and what follows begin; the last
            row holds the archive's size.
        size: of the archive [bytes].
    """
    if not isinstance(rows, np.ndarray):
        return "it holds several arrays"
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
        return f"the table holds {rows.dtype} of shape {rows.shape}"
    if rows[-1, 0] != size:
        return f"the archive has {size} bytes, the table was made for {rows[-1, 0]}"
    header, content, stop = rows[:-1].T
    if ((header < 0) | (header >= content) | (content > stop) | (stop > size)).any():
        return "its places do not lie in the archive"
    return "its places overlap" if (header[1:] < stop[:-1]).any() else ""
