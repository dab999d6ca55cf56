"""Supervisely's projects."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources

META = {
    "classes": [
        {
            "title": "person",
            "shape": "graph",
            "geometry_config": {
                "nodes": {"u1": {"label": "nose", "loc": [1, 1]}, "u2": {"label": "left_eye"}},
                "edges": [{"src": "u1", "dst": "u2"}, {"src": "u1", "dst": "gone"}],
            },
        },
        {"title": "shirt", "shape": "polygon"},
    ],
    "tags": [],
}


def read(root: Path, *objects: Any) -> Annotated:
    sources.dump(root / "meta.json", META)
    sources.image(root / "ds/img/a.jpg")
    content = {"size": {"height": 40, "width": 80}, "objects": list(objects)}
    sources.dump(root / "ds/ann/a.jpg.json", content)
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "supervisely"
    return importer.read(root)


def outline(kind: str, title: str, exterior: Any, interior: Any = ()) -> Any:
    points = {"exterior": exterior, "interior": list(interior)}
    return {"geometryType": kind, "classTitle": title, "points": points}


def bitmap(data: bytes, origin: Any) -> Any:
    text = base64.b64encode(data).decode()
    return {"geometryType": "bitmap", "classTitle": "hat",
            "bitmap": {"data": text, "origin": origin}}  # fmt: skip


def test_graphs_and_regions(tmp_path: Path) -> None:
    """A hole of 3 x 3 pixels keeps its border, so that one pixel is missing."""
    mask = cv2.imencode(".png", np.array([[255, 0, 255]], np.uint8))[1].tobytes()
    nodes = {"u1": {"loc": [10, 12]}, "u2": {"loc": [14, 8], "disabled": True}}
    square = [[10, 10], [20, 10], [20, 20], [10, 20]]
    hole = [[13, 13], [15, 13], [15, 15], [13, 15]]
    found = read(
        tmp_path,
        {"geometryType": "graph", "classTitle": "person", "nodes": nodes},
        outline("polygon", "shirt", square),
        outline("polygon", "shirt", square, [hole]),
        bitmap(zlib.compress(mask), [30, 5]),
        outline("line", "rope", [[1, 1], [2, 2]]),
    )
    person, shirt, ring, hat = found.images[0].instances
    assert person.keypoints == {"nose": (10, 12, 2), "left_eye": (14, 8, 1)}
    assert found.point_sets["person"].edges == [("nose", "left_eye")]
    assert shirt.polygons == [[10, 10, 20, 10, 20, 20, 10, 20]]
    assert ring.counts is not None
    pixels = mask_of(ring.counts, (40, 80))
    assert pixels.sum() == 11 * 11 - 1
    assert not pixels[14, 14]
    assert hat.counts is not None
    assert np.argwhere(mask_of(hat.counts, (40, 80))).tolist() == [[5, 30], [5, 32]]
    assert found.images[0].subset == "ds"
    assert found.dropped.counts == {"objects of the geometry 'line'": 1}


def test_hostile_objects(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(1 << 26))
    nan = float("nan")
    found = read(
        tmp_path,
        bitmap(bomb, [0, 0]),
        bitmap(b"no zlib", [0, 0]),
        bitmap(zlib.compress(b"no image"), [0, 0]),
        bitmap(zlib.compress(cv2.imencode(".png", np.ones((2, 2)))[1].tobytes()), [nan, 0]),
        outline("polygon", "shirt", [[1, 1], [2, 2], [nan, 3]], [[[1, 1]]]),
        outline("rectangle", "a", [[1, 1], [1e300, 5]]),
        {"geometryType": "graph", "classTitle": "person", "nodes": {"u1": 5}},
        5,
    )
    assert not found.images[0].instances
    meta = {"title": "x", "shape": "graph", "geometry_config": {"nodes": {"a": 5}, "edges": 5}}
    sources.dump(tmp_path / "meta.json", {"classes": [meta, 5]})
    importer = recognize(tmp_path)
    assert importer is not None
    assert importer.read(tmp_path).point_sets["x"].names == ["a"]
    assert found.dropped.counts["masks that cannot be read"] == 4
    assert sum(found.dropped.counts.values()) == 8
