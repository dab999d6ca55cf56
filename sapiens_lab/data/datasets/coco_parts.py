"""Part masks from COCO's polygons and RLE: what labeling tools export."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.dataset import Dataset, PixelCounts
from sapiens_lab.data.datasets.coco_regions import decode_region
from sapiens_lab.data.datasets.map_samples import (
    check_spread,
    make_sample,
    spread,
)
from sapiens_lab.data.discovery import coco
from sapiens_lab.data.discovery.splits import Split, divide
from sapiens_lab.data.faults import OnError
from sapiens_lab.data.fields import LabelMap
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Sample

log = logging.getLogger(__name__)

_WORDS = ("instances", "segm", "parts", "mask", "coco")  # in the names of likelier files


class CocoParts(Dataset):
    """One sample an image, whole, in the source frame.

    Where annotations overlap, the smaller one lies on top: a face on a body. Crowds are ignored
    where nothing lies on them. What no annotation covers is the class ``background``, or ignored if
    the list has none. Images without annotations are left out.

    Args:
        root: folder of the data set; annotations and images are found as for ``CocoPose``.
        split: ``train`` or ``val``. If one file serves both, its images are divided by a checksum
            of their names, always in the same way.
        parts: the class list; categories are matched by name, and names under ``merge`` and
            ``ignore`` of its YAML are categories too. ``None`` takes the file's categories, with a
            background of id 0 before them; ``parts=FILE.json`` gives the task the same list.
        annotation_file: JSON file, absolute or relative to ``root``.
        image_dir: folder of the images, absolute or relative to ``root``.
        val_fraction: fraction that validates if one file serves both; ``None`` divides nothing.
        on_error: ``skip`` logs what is missing or faulty and goes on.

    Raises:
        FileNotFoundError: no folder, annotations or images; says where it looked.
        ValueError: a category is no class, or annotations are faulty; names them and the remedy.
    """

    parts: Parts

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        parts: str | Parts | None = None,
        annotation_file: str | None = None,
        image_dir: str | None = None,
        val_fraction: float | None = 0.1,
        on_error: OnError = "raise",
    ) -> None:
        self.on_error = on_error
        file = coco.find_annotations(root, split, _WANTED, given=annotation_file)
        self.annotation_file = file.path
        self.parts = Parts.load(str(file.path) if parts is None else parts)
        self.image_dir = coco.find_image_folder(root, file, split, given=image_dir)
        self._class_of = _classes(file, self.parts)
        self._background = _background(self.parts)
        images, annotations = _annotated(file)
        names = [str(image["file_name"]) for image in images]
        chosen = set(divide(names, split, val_fraction) if file.is_whole else names)
        chosen -= coco.report_missing(self.image_dir, chosen, on_error=on_error)
        self._names = [name for name in names if name in chosen]
        # As bytes, which worker processes share without copying.
        self._annotations = [
            json.dumps([[image.get("height"), image.get("width")], rows]).encode()
            for name, image, rows in zip(names, images, annotations, strict=True)
            if name in chosen
        ]
        if self._names:
            check_spread(self.__getitem__, len(self), on_error=on_error)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        """Return an image as a whole.

        Raises:
            FileNotFoundError, ValueError: the image or its annotations cannot be read; names them.
        """
        path = self.image_dir / self._names[index]
        pixels = read_image(path)
        size = (pixels.shape[0], pixels.shape[1])
        stated, rows = json.loads(self._annotations[index])
        if None not in stated and tuple(stated) != size:
            raise ValueError(
                f"{path} is {size[0]} x {size[1]} (height x width) but {self.annotation_file} was "
                f"made for {stated[0]} x {stated[1]}; put the original image back"
            )
        regions = [decode_region(row, size, self.annotation_file) for row in rows]
        crowd = [bool(row.get("iscrowd")) for row in rows]
        ids = np.full(size, self._background, np.uint8)
        order = sorted(range(len(rows)), key=lambda i: (not crowd[i], -int(regions[i].sum())))
        for i in order:
            name = self._class_of[rows[i]["category_id"]]
            ids[regions[i]] = self.parts.ignore_index if crowd[i] else name
        labels = LabelMap(
            ids=ids, flip_indices=self.parts.flip_indices, ignore_index=self.parts.ignore_index
        )
        return replace(make_sample(pixels, path, index), labels=labels)

    def count_pixels(self, limit: int | None = 1000) -> PixelCounts:
        """Count the pixels of each class in images spread over the set.

        Args:
            limit: look into so many images at most; ``None`` looks into all.

        Raises:
            FileNotFoundError, ValueError: a file is faulty and ``on_error`` is not ``skip``.
        """
        counts, num_maps = np.zeros(256, np.int64), 0
        for index in spread(len(self), limit):
            try:
                labels = self[index].labels
            except (ValueError, FileNotFoundError) as error:
                if self.on_error == "raise":
                    raise
                log.warning("not counted: %s", error)
                continue
            assert labels is not None
            counts += np.bincount(labels.ids.ravel(), minlength=256)
            num_maps += 1
        return PixelCounts(counts, num_maps)


def _find_fault(content: dict[str, Any]) -> str:
    if any(a.get("segmentation") for a in content["annotations"]):
        return ""
    return "its annotations have no segmentation"


_WANTED = coco.Wanted(
    what="segmentations",
    find_fault=_find_fault,
    keys=("images", "annotations", "categories"),
    rank=lambda name: (not any(word in name for word in _WORDS),),
    remedy="",
)


def _classes(file: coco.CocoFile, parts: Parts) -> dict[Any, int]:
    """Return the class id of each category that annotations use."""
    names = {category["id"]: str(category["name"]) for category in file.content["categories"]}
    used = {a["category_id"] for a in file.content["annotations"] if a.get("segmentation")}
    classes, faults = {}, []
    for category in sorted(used, key=str):
        try:
            classes[category] = parts.class_of(names.get(category, f"category {category}"))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError(
            "\n  ".join([f"{file.path}: categories that are no class:", *faults[:5]])
            + "\nName them under `merge` or `ignore` in the class list's YAML"
        )
    return classes


def _background(parts: Parts) -> int:
    lower = [name.lower() for name in parts.classes]
    return lower.index("background") if "background" in lower else parts.ignore_index


def _annotated(
    file: coco.CocoFile,
) -> tuple[list[dict[str, Any]], list[Sequence[dict[str, Any]]]]:
    """Return the images that have regions, by name, and the regions of each."""
    rows: dict[Any, list[dict[str, Any]]] = {}
    for annotation in file.content["annotations"]:
        if annotation.get("segmentation"):
            kept = {k: annotation.get(k) for k in ("id", "category_id", "segmentation", "iscrowd")}
            rows.setdefault(annotation["image_id"], []).append(kept)
    images = sorted(file.content["images"], key=lambda image: str(image["file_name"]))
    found = [image for image in images if image["id"] in rows]
    if len(found) < len(images):
        log.info("%d images of %s have no regions; left out", len(images) - len(found), file.path)
    return found, [rows[image["id"]] for image in found]
