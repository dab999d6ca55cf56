"""Part masks from COCO's polygons and RLE: what labeling tools export."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.checks import regions
from sapiens_lab.data.checks.finding import Finding, OnError, settle
from sapiens_lab.data.checks.json_files import check_category_links, check_twins
from sapiens_lab.data.checks.maps import Look
from sapiens_lab.data.dataset import PixelCounts
from sapiens_lab.data.datasets.coco_checks import check_file, stated_size
from sapiens_lab.data.datasets.coco_regions import decode_region
from sapiens_lab.data.datasets.map_dataset import MapDataset, Mask, Size, count_labels
from sapiens_lab.data.datasets.part_masks import find_label_faults
from sapiens_lab.data.discovery import coco
from sapiens_lab.data.discovery.splits import Split, divide
from sapiens_lab.data.fields import LabelMap
from sapiens_lab.ranges import Within

log = logging.getLogger(__name__)

_WORDS = ("instances", "segm", "parts", "mask", "coco")  # in the names of likelier files


class CocoParts(MapDataset):
    """Images and the class ids that their annotations give.

    Where annotations overlap, the smaller one lies on top: a face on a body. Crowds are ignored
    where nothing lies on them. What no annotation covers is the class ``background``, or ignored if
    the list has none. Images without annotations are left out.

    Args:
        root: folder of the dataset; annotations and images are found as for ``CocoPose``.
        split: ``train`` or ``val``. If one file serves both, its images are divided by a checksum
            of their names, always in the same way.
        parts: the class list; categories are matched by name, and names under ``merge`` and
            ``ignore`` of its YAML are categories too. ``None`` takes the file's categories, with a
            background of id 0 before them; ``parts=FILE.json`` gives the task the same list.
        annotation_file: JSON file, absolute or relative to ``root``.
        image_dir: folder of the images, absolute or relative to ``root``.
        val_fraction: fraction that validates if one file serves both; ``None`` divides nothing.
        group_by: what of them stays on one side: ``folder``, or a regular expression on the
            images' names whose first group, or whole match, is the group.
        on_error: ``skip`` logs what is missing or faulty and goes on.

    Raises:
        FileNotFoundError: no folder, annotations or images; says where it looked.
        ValueError: a category is no class, or annotations are faulty; names them and the remedy.
    """

    field = "labels"
    parts: Parts

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        parts: str | Parts | None = None,
        annotation_file: str | None = None,
        image_dir: str | None = None,
        val_fraction: Within | None = 0.1,
        group_by: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        file = coco.find_annotations(root, split, WANTED, given=annotation_file)
        check_file(file)
        _check_regions(file, on_error)
        self.annotation_file = file.path
        self.parts = Parts.load(str(file.path) if parts is None else parts)
        self.image_dir = coco.find_image_folder(root, file, split, given=image_dir)
        self._class_of = _classes(file, self.parts)
        self._background = _background(self.parts)
        images, annotations = _annotated(file)
        names = [coco.file_name(image) for image in images]
        chosen = set(divide(names, split, val_fraction, group_by) if file.is_whole else names)
        chosen -= coco.report_missing(self.image_dir, chosen, on_error=on_error)
        paths = [self.image_dir / name for name in names if name in chosen]
        super().__init__({"image": paths}, on_error=on_error)
        # As bytes, which worker processes share without copying.
        self._annotations = [
            json.dumps([[image.get("height"), image.get("width")], rows]).encode()
            for name, image, rows in zip(names, images, annotations, strict=True)
            if name in chosen
        ]
        self.check_samples()

    def read_map(self, index: int, size: Size, mask: Mask | None) -> LabelMap:
        """Return the class of every pixel.

        Raises:
            ValueError: the annotations are malformed or made for another size; names them.
        """
        stated, rows = json.loads(self._annotations[index])
        if None not in stated and tuple(stated) != size:
            raise ValueError(
                f"{self._images[index]} is {size[0]} x {size[1]} (height x width) but "
                f"{self.annotation_file} was made for {stated[0]} x {stated[1]}; put the original "
                "image back"
            )
        regions = [decode_region(row, size, self.annotation_file) for row in rows]
        crowd = [bool(row.get("iscrowd")) for row in rows]
        ids = np.full(size, self._background, np.uint8)
        order = sorted(range(len(rows)), key=lambda i: (not crowd[i], -int(regions[i].sum())))
        for i in order:
            class_id = self._class_of[rows[i]["category_id"]]
            ids[regions[i]] = self.parts.ignore_index if crowd[i] else class_id
        return LabelMap(
            ids=ids, flip_indices=self.parts.flip_indices, ignore_index=self.parts.ignore_index
        )

    @property
    def source(self) -> Path:
        """The annotation file."""
        return self.annotation_file

    def map_name(self, index: int) -> str:
        """Return the image's name."""
        return self._images[index].name

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
        """Count the pixels of each class in images all over the dataset, as ``count_labels``."""
        return count_labels(self._read_ids, len(self), limit=limit, on_error=self.on_error)

    def _read_ids(self, index: int) -> NDArray[np.uint8]:
        return self.read_map(index, *self.read_header(index)).ids


def _check_regions(file: coco.CocoFile, on_error: OnError) -> None:
    """Check the annotations of all images at once, before any is drawn.

    Raises:
        ValueError: they are faulty; names them. With ``on_error=skip`` only if all are.
    """
    rows = [a for a in file.content["annotations"] if a.get("segmentation")]
    sizes = {image["id"]: stated_size(image) for image in file.content["images"]}

    def name(i: int) -> str:
        return f"annotation {rows[i].get('id')}"

    marks = [(a["image_id"], a.get("category_id"), str(a["segmentation"])) for a in rows]
    faults = [
        check_category_links(rows, file.content["categories"]),
        check_twins(marks, name=name),
        *regions.check_shapes(rows, [sizes.get(a["image_id"]) for a in rows], name=name),
    ]
    settle(faults, source=file.path, on_error=on_error)


def _find_fault(content: dict[str, Any]) -> str:
    if any(a.get("segmentation") for a in content["annotations"]):
        return ""
    return "its annotations have no segmentation"


WANTED = coco.Wanted(
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
