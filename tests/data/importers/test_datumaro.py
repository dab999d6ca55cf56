"""Datumaro's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.coco_masks import counts_of_rle
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources


def read(root: Path, *annotations: Any) -> Annotated:
    labels = [{"name": name, "parent": ""} for name in ("person", "shirt", "nose", "left_eye")]
    points = {"items": [{"label_id": 0, "labels": ["nose", "left_eye"], "joints": [[1, 2]]}]}
    item = {"id": "a", "annotations": list(annotations),
            "image": {"path": "a.jpg", "size": [40, 80]}}  # fmt: skip
    content = {"info": {}, "categories": {"label": {"labels": labels}, "points": points},
               "items": [item]}  # fmt: skip
    sources.dump(root / "annotations/train.json", content)
    sources.image(root / "images/train/a.jpg")
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "datumaro"
    return importer.read(root)


def test_people(tmp_path: Path) -> None:
    """Points in one row, joined to a box by their group, and a skeleton of elements."""
    elements = [
        {"type": "points", "label_id": 2, "points": [3, 4], "visibility": [1]},
        {"type": "points", "label_id": 3, "points": [0, 0], "visibility": [0]},
    ]
    found = read(
        tmp_path,
        {"type": "points", "label_id": 0, "group": 1, "points": [10, 12, 14, 8],
         "visibility": [2, 0]},
        {"type": "bbox", "label_id": 0, "group": 1, "bbox": [5, 6, 20, 30]},
        {"type": "skeleton", "label_id": 0, "elements": elements},
        {"type": "caption", "caption": "x"},
    )  # fmt: skip
    assert found.images[0].subset == "train"
    skeleton, person = found.images[0].instances
    assert skeleton.keypoints == {"nose": (3, 4, 1)}
    assert (person.box, person.keypoints) == ((5, 6, 25, 36), {"nose": (10, 12, 2)})
    assert found.point_sets["person"].edges == [("nose", "left_eye")]
    path = tmp_path / "annotations/train.json"
    path.write_text(path.read_text().replace('"joints": [[1, 2]]', '"joints": [[0, 1], [0, 9]]'))
    importer = recognize(tmp_path)
    assert importer is not None
    assert importer.read(tmp_path).point_sets["person"].edges == [("nose", "left_eye")]
    assert not found.dropped.counts


def test_regions(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80), np.uint8, order="F")
    pixels[4:9, 30:50] = 1
    rle = coco_mask.encode(pixels)
    rle = {"counts": rle["counts"].decode(), "size": [40, 80]}
    found = read(
        tmp_path,
        {"type": "mask", "label_id": 1, "rle": rle},
        {"type": "polygon", "label_id": 1, "points": [1, 1, 9, 1, 9, 9]},
        {"type": "polyline", "label_id": 1, "points": [1, 1, 9, 1]},
        {"type": "mask", "label_id": 1, "rle": {**rle, "size": [80, 40]}},
    )
    mask, polygon = found.images[0].instances
    assert mask.counts is not None
    assert np.array_equal(mask_of(mask.counts, (40, 80)), pixels > 0)
    assert polygon.polygons == [[1, 1, 9, 1, 9, 9]]
    assert found.dropped.counts == {
        "annotations of the type 'polyline'": 1,
        "masks that cannot be read": 1,
    }


def test_annotations_that_make_no_sense(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"type": "bbox", "group": [1], "bbox": [1, None]},
        {"type": "points", "group": {}, "points": [1, "x", 3, 4]},
        {"type": "mask", "rle": {"size": 5, "counts": 5}},
        {"type": [1], "label_id": -5},
    )
    assert not any(i.keypoints for i in found.images[0].instances[:-1])
    assert sum(found.dropped.counts.values()) == 4


def test_text_rle_is_pycocotools(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pixels = np.asfortranarray(rng.random((37, 53)) > rng.random(), np.uint8)
        counts = counts_of_rle(
            {"size": [37, 53], "counts": coco_mask.encode(pixels)["counts"].decode()}, (37, 53)
        )
        assert np.array_equal(mask_of(counts, (37, 53)), pixels > 0)


@pytest.mark.parametrize("counts", ["~~~", "é", "o" * 100, [6, -1, 7], [5], ["6"], None, [1e9], ""])
def test_hostile_rle(counts: Any) -> None:
    with pytest.raises(ValueError, match="its RLE"):
        counts_of_rle({"size": [3, 4], "counts": counts}, (3, 4))
