"""LabelMe."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources


def read(root: Path) -> Annotated:
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "labelme"
    return importer.read(root)


def test_people_by_group_and_by_box(tmp_path: Path) -> None:
    found = read(sources.labelme(tmp_path))
    (image,) = found.images
    first, second, alone, shirt = image.instances
    assert first.keypoints == {"nose": (10, 12, 2), "left_eye": (12.5, 8, 1)}
    assert first.box == (5, 3, 25, 33)
    assert second.keypoints == {"nose": (50, 10, 2)}
    assert second.box == (40, 5, 70, 35)
    assert alone.keypoints == {"nose": (1, 39, 2)}
    assert (shirt.label, shirt.polygons) == ("shirt", [[6, 15, 16, 15, 16, 25, 6, 25]])
    assert found.dropped.counts == {
        "points that no group or box assigns to a person": 1,
        "shapes of the kind 'line'": 1,
    }


def test_masks_lie_at_their_corner(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    mask = cv2.imencode(".png", np.full((2, 3), 255, np.uint8))[1].tobytes()
    shape = {"label": "hat", "shape_type": "mask", "points": [[10, 4], [12, 5]]}
    shape["mask"] = base64.b64encode(mask).decode()
    broken = {**shape, "mask": "!!"}
    sources.dump(tmp_path / "a.json", {"shapes": [shape, broken], "imagePath": "a.jpg"})
    found = read(tmp_path)
    (region,) = found.images[0].instances
    assert region.counts is not None
    rows, columns = np.nonzero(mask_of(region.counts, (40, 80)))
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (y, x) for y in (4, 5) for x in (10, 11, 12)
    ]
    assert found.dropped.counts == {"masks that cannot be read": 1}


def test_rectangles_alone_are_regions(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    shape = {"label": "hat", "shape_type": "rectangle", "points": [[10, 4], [12, 8]]}
    sources.dump(tmp_path / "a.json", {"shapes": [shape], "imagePath": "a.jpg"})
    (region,) = read(tmp_path).images[0].instances
    assert region.polygons == [[10, 4, 12, 4, 12, 8, 10, 8]]


def test_an_image_of_another_size_is_left_out(tmp_path: Path) -> None:
    path = sources.labelme(tmp_path) / "a.json"
    content = json.loads(path.read_text()) | {"imageHeight": 41}
    sources.dump(path, content)
    found = read(tmp_path)
    assert not found.images
    reason = "images of another height x width than they were annotated at"
    assert found.dropped.examples == {reason: "a.jpg (40 x 80, stated 41 x 80)"}


@pytest.mark.parametrize("name", ["../../outside.jpg", "/etc/outside.jpg", "C:\\x\\outside.jpg"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    sources.image(tmp_path / "outside.jpg")
    root = tmp_path / "a/b"
    sources.dump(root / "a.json", {"shapes": [], "imagePath": name})
    found = read(root)
    assert not found.images
    assert found.dropped.counts == {"images that are annotated but not in the folder": 1}


def test_shapes_that_make_no_sense(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    shapes = [{"shape_type": True}, {"points": 5}, 5, {"shape_type": "mask", "points": [[1], 2]}]
    sources.dump(tmp_path / "a.json", {"shapes": shapes, "imagePath": "a.jpg"})
    found = read(tmp_path)
    assert not found.images[0].instances
    assert sum(found.dropped.counts.values()) == 4


def test_truncated_files_are_named(tmp_path: Path) -> None:
    path = sources.labelme(tmp_path) / "a.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON"):
        read(tmp_path)
