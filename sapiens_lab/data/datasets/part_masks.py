"""Images with a class id at every pixel: folders of masks, LIP, CIHP, FaceSynthetics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts, read_255_as
from sapiens_lab.data.arrays import LABEL_SUFFIXES, read_labels
from sapiens_lab.data.checks import masks as checks
from sapiens_lab.data.checks.finding import Finding, OnError
from sapiens_lab.data.checks.maps import Look, check_alignment
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import PixelCounts
from sapiens_lab.data.datasets.map_dataset import (
    MapDataset,
    Mask,
    Size,
    check_size,
    count_labels,
)
from sapiens_lab.data.discovery import folders
from sapiens_lab.data.discovery.splits import Split, check_root, divide
from sapiens_lab.data.fields import LabelMap
from sapiens_lab.ranges import Within

log = logging.getLogger(__name__)

Layout = Literal["folders", "lip", "cihp", "face_synthetics"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

# Names of the folders of images and of labels (sapiens_v1, 6.2, and the archives themselves).
_FOLDERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "folders": ((), ("labels", "label", "masks", "mask", "annotations", "segmentations")),
    "lip": (("trainval_images",), ("segmentations", "trainval_parsing_annotations")),
    "cihp": ((), ("category_ids",)),
}
_FACE_SUFFIX = "_seg"  # NNNNNN.png, NNNNNN_seg.png


class PartMasks(MapDataset):
    """Images and their class ids; for the arguments of all such datasets see ``MapDataset``.

    Args:
        parts: the class list; it also says what the values in the files become.
        layout: ``folders`` is ``images/`` and ``labels/`` (or ``masks/``, ``annotations/``,
            ``segmentations/``) with equal file names, perhaps with ``train/`` and ``val/`` inside
            or outside; ``lip``, ``cihp`` and ``face_synthetics`` are those sets as published.
        label_dir: folder of the labels: images of ids, palette images (their indices count),
            masks painted in the colors of the classes, or ``.npy``.
    """

    field = "labels"
    parts: Parts

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        parts: str | Parts,
        layout: Layout = "folders",
        image_dir: str | None = None,
        label_dir: str | None = None,
        val_fraction: Within | None = 0.1,
        group_by: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        self.parts = Parts.load(parts)
        files = find_label_files(
            root,
            split,
            layout=layout,
            image_dir=image_dir,
            label_dir=label_dir,
            val_fraction=val_fraction,
            group_by=group_by,
            on_error=on_error,
        )
        super().__init__(files, on_error=on_error)
        self._labels = files["label"]
        if self._is_binary():
            self.parts = read_255_as(self.parts, 1)
            log.warning(
                "%s: label maps hold 0 and 255 alone, so 255 is read as %r, not ignored; `merge: "
                "{255: %s}` in the class list's YAML says so, `ignore: [255]` the contrary",
                self.source, self.parts.classes[1], self.parts.classes[1],
            )  # fmt: skip
        self.check_samples()

    def read_map(self, index: int, size: Size, mask: Mask | None) -> LabelMap:
        """Return the class of every pixel."""
        ids = self._read_ids(index)
        check_size(self._images[index], self._labels[index], ids.shape, size)
        return LabelMap(
            ids=ids, flip_indices=self.parts.flip_indices, ignore_index=self.parts.ignore_index
        )

    @property
    def source(self) -> Path:
        """The folder of the label maps."""
        return self._labels[0].parent

    def map_paths(self) -> Sequence[Path]:
        """Return the files of the maps."""
        return self._labels

    def map_name(self, index: int) -> str:
        """Return the file's name."""
        return self._labels[index].name

    def read_values(
        self, index: int, size: Size, mask: Mask | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the class ids, and where they are not ignored."""
        ids = self.read_map(index, size, mask).ids
        return ids, ids != self.parts.ignore_index

    def find_faults(self, looks: Sequence[Look]) -> Sequence[Finding | None]:
        """Check which classes there are, and where."""
        return find_label_faults(looks, self.parts)

    def count_pixels(self, limit: int | None = 1000) -> PixelCounts:
        """Count the pixels of each class in masks all over the dataset, as ``count_labels``."""
        return count_labels(self._read_ids, len(self), limit=limit, on_error=self.on_error)

    def _is_binary(self) -> bool:
        """Return whether 255 is the second of two classes, and not the id to ignore."""
        if self.parts.num_classes != 2 or 255 in self.parts.explained:
            return False
        found: set[int] = set()
        for index in spread(len(self)):
            try:
                values = read_labels(self._labels[index])
            except (ValueError, FileNotFoundError):
                continue  # named by the checks
            found.update(np.unique(values).tolist())
            if not found <= {0, 255}:
                return False
        return 255 in found

    def _read_ids(self, index: int) -> NDArray[np.uint8]:
        return class_ids(read_labels(self._labels[index]), self.parts, self._labels[index])


def find_label_files(
    root: str | Path,
    split: Split,
    *,
    layout: Layout,
    image_dir: str | None,
    label_dir: str | None,
    val_fraction: float | None,
    group_by: str | None,
    on_error: OnError,
) -> dict[str, list[Path]]:
    """Return the files of ``image`` and ``label`` in a layout; for the arguments see ``PartMasks``.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: names do not match, or there is no such layout.
    """
    if layout == "face_synthetics":
        return _find_faces(root, split, val_fraction, group_by, on_error)
    if layout not in _FOLDERS:
        raise ValueError(f"layout={layout!r}; choose from {[*LAYOUTS]}")
    more, names = _FOLDERS[layout]
    labels = folders.Kind(name="label", folders=names, suffixes=LABEL_SUFFIXES, given=label_dir)
    kinds = folders.images(image_dir, *more), labels
    return folders.find_files(
        root, split, kinds, val_fraction=val_fraction, group_by=group_by, on_error=on_error
    )


def find_label_faults(looks: Sequence[Look], parts: Parts) -> list[Finding | None]:
    """Check label maps: which classes there are, and where."""
    return [
        *checks.check_ignored(looks, parts),
        *checks.check_classes([look for look in looks if look.valid.any()], parts),
        checks.check_mixtures(looks),
        *check_alignment(looks, what="label map"),
    ]


def class_ids(values: NDArray[Any], parts: Parts, path: Path) -> NDArray[np.uint8]:
    """Turn what a label file holds, ``(H, W)`` or ``(H, W, 3)``, into class ids ``(H, W)``.

    Raises:
        ValueError: a value is neither a class nor ignored, or a color is none of the list's.
    """
    if values.ndim == 3:
        if (ids := _from_colors(values, parts, path)) is not None:
            return ids
        values = values[..., 0]  # ids, repeated in three channels
    if values.size and (values.max() > 255 or values.min() < 0):
        wrong = np.unique(values[(values > 255) | (values < 0)])
        raise ValueError(f"{path} holds {_shown(wrong)}; class ids in files are 0..255")
    raw = values.astype(np.uint8, copy=False)
    ids = parts.lookup[raw]
    unknown = (ids >= parts.num_classes) & (ids != parts.ignore_index)
    if unknown.any():
        raise ValueError(
            f"{path} holds {_shown(np.unique(raw[unknown]))}, which {parts.name!r} does not "
            f"know: its classes are 0..{parts.num_classes - 1}. Say what they mean under `merge` "
            "or `ignore` in the class list's YAML"
        )
    return np.ascontiguousarray(ids)


def _from_colors(values: NDArray[Any], parts: Parts, path: Path) -> NDArray[np.uint8] | None:
    """Read a mask painted in the classes' colors; ``None`` if it is gray instead."""
    codes = values.astype(np.int64) @ np.array([65536, 256, 1])  # (H, W) 0xRRGGBB
    known = parts.colors.astype(np.int64) @ np.array([65536, 256, 1])  # (C,)
    present = np.unique(codes)
    unknown = present[~np.isin(present, known)]
    if len(unknown) and (values[..., :1] == values).all():
        return None
    if len(unknown):
        colors = ", ".join(f"#{c:06x}" for c in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise ValueError(
            f"{path} is a 3-channel mask without a color map: {parts.name!r} has no class of "
            f"color {colors}. Give the classes their colors in the class list's YAML, or save "
            "class ids in one channel"
        )
    for code in present:
        names = [n for n, c in zip(parts.classes, known, strict=True) if c == code]
        if len(names) > 1:
            raise ValueError(
                f"{path}: the color #{code:06x} stands for {' and '.join(names)}; give each class "
                "its own color in the class list's YAML"
            )
    order = np.argsort(known)
    classes = order[np.searchsorted(known, codes, sorter=order)]
    becomes = np.array([parts.class_of(name) for name in parts.classes], np.uint8)
    return np.asarray(becomes[classes])


def _shown(values: NDArray[Any]) -> str:
    more = ", ..." if len(values) > 8 else ""
    return f"value{'s' if len(values) > 1 else ''} {', '.join(map(str, values[:8]))}{more}"


def _find_faces(
    root: str | Path,
    split: Split,
    val_fraction: float | None,
    group_by: str | None,
    on_error: OnError,
) -> dict[str, list[Path]]:
    """Find FaceSynthetics: images and labels in one folder, below or at ``root``."""
    root = check_root(root, split)
    files = folders.list_files(root, folders.images(None))
    labels = {n.removesuffix(_FACE_SUFFIX): p for n, p in files.items() if n.endswith(_FACE_SUFFIX)}
    images = {name: path for name, path in files.items() if not name.endswith(_FACE_SUFFIX)}
    if not labels or not images:
        raise FileNotFoundError(f"{root} holds no pairs such as 000000.png and 000000_seg.png")
    names = folders.match({"image": images, "label": labels}, on_error=on_error)
    chosen = divide(names, split, val_fraction, group_by)
    return {"image": [images[n] for n in chosen], "label": [labels[n] for n in chosen]}
