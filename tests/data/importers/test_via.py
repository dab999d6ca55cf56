"""VGG Image Annotator, versions 2 and 3."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from tests.data.importers import sources

REGIONS = [
    ({"name": "point", "cx": 10, "cy": 12}, {"part": "nose", "person": "1"}),
    ({"name": "point", "cx": 14, "cy": 8}, {"part": "left_eye", "person": "1", "occluded": "yes"}),
    ({"name": "rect", "x": 5, "y": 6, "width": 20, "height": 30}, {"part": "who", "person": "1"}),
    ({"name": "point", "cx": 50, "cy": 20}, {"part": {"nose": True}, "person": "2"}),
    ({"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}, {"part": "shirt"}),
    ({"name": "polyline", "all_points_x": [1, 9], "all_points_y": [1, 1]}, {"part": "rope"}),
    ({"name": "point", "cx": 1, "cy": 1}, {}),
]


def read(root: Path) -> Annotated:
    sources.image(root / "a.jpg")
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "via"
    return importer.read(root)


def second(root: Path, *, project: bool) -> None:
    rows = [{"shape_attributes": shape, "region_attributes": own} for shape, own in REGIONS]
    images = {"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": rows}}
    content: Any = {"_via_settings": {}, "_via_img_metadata": images} if project else images
    sources.dump(root / "via.json", content)


def second_csv(root: Path) -> None:
    header = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
        "region_attributes"
    )
    with (root / "via.csv").open("w", newline="") as file:
        file.write(header + "\n")
        writer = csv.writer(file)
        for i, (shape, own) in enumerate(REGIONS):
            row = ["a.jpg", 1, "{}", len(REGIONS), i, json.dumps(shape), json.dumps(own)]
            writer.writerow(row)


@pytest.mark.parametrize("form", ["project", "export", "csv"])
def test_version_2(tmp_path: Path, form: str) -> None:
    if form == "csv":
        second_csv(tmp_path)
    else:
        second(tmp_path, project=form == "project")
    found = read(tmp_path)
    shirt, first, other = found.images[0].instances
    assert first.keypoints == {"nose": (10, 12, 2), "left_eye": (14, 8, 1)}
    assert first.box == (5, 6, 25, 36)
    assert other.keypoints == {"nose": (50, 20, 2)}
    assert shirt.polygons == [[1, 1, 9, 1, 9, 9]]
    assert found.dropped.counts == {
        "shapes of the kind 'polyline'": 1,
        "regions without a label": 1,
    }


def test_version_3(tmp_path: Path) -> None:
    rows = {
        "1_a": {"vid": "1", "z": [], "xy": [1, 10, 12], "av": {"1": "0"}},
        "1_b": {"vid": "1", "z": [], "xy": [2, 5, 6, 20, 30], "av": {"1": "1"}},
        "1_c": {"vid": "1", "z": [], "xy": [7, 1, 1, 9, 1, 9, 9], "av": {"1": "1"}},
        "1_d": {"vid": "1", "z": [], "xy": [6, 1, 1, 9, 1], "av": {"1": "1"}},
        "1_e": {"vid": "9", "z": [], "xy": [1, 1, 1], "av": {"1": "1"}},
        "1_f": {"vid": "1", "z": [0.5], "xy": [], "av": {"1": "1"}},
    }
    content = {
        "project": {"pid": "x"},
        "attribute": {"1": {"aname": "label", "options": {"0": "nose", "1": "shirt"}}},
        "file": {"1": {"fid": "1", "fname": "a.jpg", "type": 2, "src": ""}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": rows,
    }
    sources.dump(tmp_path / "via.json", content)
    found = read(tmp_path)
    shirt, person = found.images[0].instances
    assert (person.keypoints, person.box) == ({"nose": (10, 12, 2)}, (5, 6, 25, 36))
    assert shirt.polygons == [[1, 1, 9, 1, 9, 9]]
    assert found.dropped.counts == {
        "shapes of the kind 'of number 6'": 1,
        "regions of a file that is not listed": 1,
    }


def test_version_3_csv(tmp_path: Path) -> None:
    lines = [
        "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        '# ATTRIBUTES = {"1":"label"}',
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
        "spatial_coordinates,metadata",
        '"1_a","[""a.jpg""]",0,"[]","[1,10,12]","{""1"":""nose""}"',
        '"1_b","[""a.jpg""]",0,"[]"',
        '"1_c","broken",0,"[]","[1","{"',
    ]
    sources.text(tmp_path / "via.csv", "\n".join(lines))
    found = read(tmp_path)
    assert found.images[0].instances[0].keypoints == {"nose": (10, 12, 2)}
    assert found.dropped.counts == {"rows with too few columns": 1}


def test_shapes_that_make_no_sense(tmp_path: Path) -> None:
    shapes: list[Any] = [
        5, {"name": "point"}, {"name": "polygon", "all_points_x": 5},
        {"name": "rect", "x": float("nan")}, {"name": "circle", "cx": 1e300, "cy": 1, "r": 1},
    ]  # fmt: skip
    rows = [{"shape_attributes": s, "region_attributes": {"label": "a"}} for s in shapes]
    sources.dump(tmp_path / "via.json", {"x": {"filename": "a.jpg", "regions": rows}, "y": 5})
    found = read(tmp_path)
    assert not found.images[0].instances
    assert sum(found.dropped.counts.values()) == 5
