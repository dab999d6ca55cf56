"""Maps of class ids in .mat or HDF5 files, one file per image, of the image's name.

Numbers alone are read: cells, structures and objects are refused, and so is what an HDF5 file only
points to in another file. Needs the extra ``convert`` (SciPy for .mat, h5py for HDF5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.importers.annotated import Annotated, Instance
from sapiens_lab.data.importers.files import ImageFiles, base_of, look, walk
from sapiens_lab.data.importers.gather import Gatherer
from sapiens_lab.data.importers.pixels import counts_of
from sapiens_lab.limits import MAX_ARRAY_BYTES, MAX_MAP_PIXELS, check_bytes, check_regular

_SUFFIXES = (".mat", ".h5", ".hdf5")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBERS = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "double", "single", "logical")
_BACKGROUND = 0


def find(root: Path) -> str | None:
    """Say that a folder holds maps of class ids, if it does."""
    for suffix in _SUFFIXES:
        first = next(look(root, suffix), None)
        if first is not None and ImageFiles(root).find(first.stem) is not None:
            return f"label maps in {suffix} files ({first.relative_to(base_of(root))}, ...)"
    return None


def read(root: Path) -> Annotated:
    """Read every map below a folder; a class is called by its id.

    Raises:
        ImportError: the library that reads the files is not installed.
    """
    gatherer = Gatherer(root)
    found: set[int] = set()
    for path in walk(root):
        if path.suffix.lower() not in _SUFFIXES:
            continue
        image = gatherer.image(path.stem, near=path.parent)
        if image is None:
            continue
        try:
            labels = _read_map(path, image.size)
        except ValueError as error:
            gatherer.dropped.add("label maps that cannot be read", str(error))
            continue
        for value in np.unique(labels).tolist():
            if value != _BACKGROUND:
                found.add(value)
                counts = counts_of(labels == value)
                gatherer.add(image, Instance(label=f"class_{value}", counts=counts))
    annotated = gatherer.finish()
    # Every id keeps its place, so that masks hold the same numbers.
    annotated.classes = [f"class_{value}" for value in range(1, max(found, default=0) + 1)]
    return annotated


def _read_map(path: Path, size: tuple[int, int]) -> NDArray[np.int64]:
    """Return the one map of a file that has the image's size.

    Raises:
        ValueError: there is none, or several; names the file.
    """
    check_bytes(check_regular(path), MAX_ARRAY_BYTES, path)
    with path.open("rb") as file:
        start = file.read(1024)
    # MATLAB's version 7.3 is HDF5 behind a header of 512 bytes.
    arrays = (
        _read_hdf5(path, size) if _HDF5 in (start[:8], start[512:520]) else _read_mat(path, size)
    )
    if len(arrays) != 1:
        what = "several" if arrays else "no"
        raise ValueError(f"{path.name} has {what} maps of {size[0]} x {size[1]} numbers")
    values = next(iter(arrays.values()))
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise ValueError(f"{path.name} has values that are not whole numbers")
    if values.min() < 0 or values.max() > 254:
        raise ValueError(
            f"{path.name} has values from {values.min()} to {values.max()}; ids are 0..254"
        )
    return values.astype(np.int64)


def _read_mat(path: Path, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    try:
        from scipy.io import loadmat, whosmat
    except ImportError as error:
        raise ImportError(
            'reading .mat files needs SciPy: pip install "sapiens-lab[convert]"'
        ) from error
    try:
        names = [n for n, shape, kind in whosmat(path) if shape == size and kind in _NUMBERS]
        return {
            name: values
            for name, values in loadmat(path, variable_names=names).items()
            if name in names and isinstance(values, np.ndarray) and values.dtype.kind in "buif"
        }
    except Exception as error:  # the parser raises whatever it stumbles on
        raise ValueError(f"{path.name} is damaged: {error}") from error


def _read_hdf5(path: Path, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'reading HDF5 files needs h5py: pip install "sapiens-lab[convert]"'
        ) from error
    is_matlab = path.suffix.lower() == ".mat"  # stores columns first
    wanted = size[::-1] if is_matlab else size
    found: dict[str, NDArray[Any]] = {}

    def visit(name: str, item: Any) -> None:  # called for what lies in this file alone
        if not isinstance(item, h5py.Dataset) or item.shape != wanted:
            return
        if item.is_virtual or item.external or item.dtype.kind not in "buif":
            return
        if item.size <= MAX_MAP_PIXELS:
            found[name] = np.asarray(item[()].T if is_matlab else item[()])

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except Exception as error:  # the library raises whatever it stumbles on
        raise ValueError(f"{path.name} is damaged: {error}") from error
    return found
