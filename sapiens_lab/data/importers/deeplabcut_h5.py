"""DeepLabCut's labels in HDF5, as pandas writes them in its fixed format, read without pandas.

The header is one index of several levels, ``axis0_level*`` and ``axis0_label*``; the images are
``axis1``, or levels likewise; the numbers are ``block0_values``. The format ``table`` keeps its
header as a pickle, which is not read. Needs h5py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sapiens_lab.limits import MAX_ARRAY_BYTES, check_bytes, check_regular

Names = list[list[str]]  # of each column or row, the names of all levels


def read_frame(path: Path) -> tuple[Names, Names, list[list[float]]]:
    """Return the names of columns, the names of rows, and the numbers.

    Raises:
        ImportError: h5py is not installed.
        ValueError: the file is damaged, or is not in the fixed format; names it.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f'reading {path} needs h5py: pip install "sapiens-lab[convert]". The CSV beside it '
            "holds the same"
        ) from error
    check_bytes(check_regular(path), MAX_ARRAY_BYTES, path)
    try:
        with h5py.File(path, "r") as file:
            frames: list[Any] = []
            file.visititems(lambda _, item: _note_frame(frames, item, h5py.Group))
            if len(frames) == 1:
                return _read(frames[0], h5py.Dataset)
    except Exception as error:  # the library raises whatever it stumbles on
        raise ValueError(f"{path} cannot be read: {error}") from error
    raise ValueError(
        f"{path} holds no labels in pandas' fixed format; the CSV that DeepLabCut writes beside it "
        "is read instead"
    )


def _note_frame(frames: list[Any], item: Any, group: type) -> None:
    if isinstance(item, group) and "block0_values" in item:  # type: ignore[operator]
        frames.append(item)


def _read(frame: Any, dataset: type) -> tuple[Names, Names, list[list[float]]]:
    columns, rows = (_index(frame, axis, dataset) for axis in ("axis0", "axis1"))
    values = _array(frame, "block0_values", dataset)
    if values.dtype.kind not in "iuf" or values.shape != (len(rows), len(columns)):
        raise ValueError(
            f"its numbers have the shape {values.shape}, its header {len(rows)} x {len(columns)}"
        )
    return columns, rows, values.astype(np.float64).tolist()


def _index(frame: Any, axis: str, dataset: type) -> Names:
    if axis in frame:
        return [[name] for name in _texts(_array(frame, axis, dataset))]
    levels: list[list[str]] = []
    while f"{axis}_level{len(levels)}" in frame:
        names = _texts(_array(frame, f"{axis}_level{len(levels)}", dataset))
        places = _array(frame, f"{axis}_label{len(levels)}", dataset)
        if places.dtype.kind not in "iu" or (places < 0).any() or (places >= len(names)).any():
            raise ValueError(f"the places of {axis} are none of its names")
        levels.append([names[place] for place in places.tolist()])
    return [list(names) for names in zip(*levels, strict=True)]


def _array(frame: Any, name: str, dataset: type) -> Any:
    """Return an array that lies in the file itself."""
    item = frame[name] if frame.get(name, getlink=True).__class__.__name__ == "HardLink" else None
    if not isinstance(item, dataset) or item.is_virtual or item.external:  # type: ignore[attr-defined]
        raise ValueError(f"{name} is no array of its own")
    check_bytes(item.size * max(item.dtype.itemsize, 1), MAX_ARRAY_BYTES, name)  # type: ignore[attr-defined]
    return np.asarray(item[()])  # type: ignore[index]


def _texts(values: Any) -> list[str]:
    if values.dtype.kind != "S" or values.ndim != 1:
        raise ValueError("its header is no list of texts")
    return [value.decode("utf-8", "replace") for value in values.tolist()]
