"""Label Studio's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.brush import decode_brush
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources


def read(root: Path) -> Annotated:
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "label_studio"
    return importer.read(root)


def result(name: str, kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a result for an image of 80 x 40 (width x height)."""
    return {
        "id": name, "type": kind, "value": value, "original_width": 80, "original_height": 40,
        "from_name": "x", "to_name": "image", **more,
    }  # fmt: skip


def point(name: str, label: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    return result(name, "keypointlabels", value, **more)


def box(name: str, x: float, y: float, w: float, h: float, rotation: float = 0) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": rotation}
    return result(name, "rectanglelabels", {**value, "rectanglelabels": ["person"]})


def task(*results: dict[str, Any], image: str = "/data/upload/1/1a2b3c4d-a.jpg") -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)}]}


def test_percent_becomes_pixels_and_points_find_their_person(tmp_path: Path) -> None:
    """By parent, by relation, by box; 25 % of 80 columns is 20, 50 % of 40 rows is 20."""
    sources.image(tmp_path / "a.jpg")
    sources.dump(
        tmp_path / "export.json",
        [
            task(
                box("one", 10, 10, 40, 80),
                box("two", 60, 10, 30, 80),
                point("a", "nose", 25, 50, parentID="one"),
                point("b", "left_eye", 95, 5),
                {"type": "relation", "from_id": "b", "to_id": "two", "direction": "right"},
                point("c", "nose", 70, 50),
                result("a", "choices", {"choices": ["Occluded"]}),
            )
        ],
    )
    found = read(tmp_path)
    first, second = found.images[0].instances
    assert (first.box, first.keypoints) == ((8, 4, 40, 36), {"nose": (20, 20, 1)})
    assert second.box == (48, 4, 72, 36)
    assert second.keypoints == {"left_eye": (76, 2, 2), "nose": (56, 20, 2)}
    assert not found.dropped.counts


def test_regions(tmp_path: Path) -> None:
    """A box that turns by 90 degrees about its corner (40, 20) lies to the left of it."""
    sources.image(tmp_path / "imgs/a.jpg")
    points = [[10, 10], [20, 10], [20, 50]]
    ring = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["ring"]}
    sources.dump(
        tmp_path / "export.json",
        [
            task(
                result("a", "polygonlabels", {"points": points, "polygonlabels": ["shirt"]}),
                result("b", "ellipselabels", ring),
                result("c", "video", {}),
                box("d", 50, 50, 10, 20, rotation=90),
                image="/data/local-files/?d=imgs/a.jpg",
            )
        ],
    )
    found = read(tmp_path)
    shirt, ring_, turned = found.images[0].instances
    assert shirt.polygons == [[8, 4, 16, 4, 16, 20]]
    x, y = ring_.polygons[0][::2], ring_.polygons[0][1::2]
    assert (min(x), max(x), min(y), max(y)) == pytest.approx((32, 48, 12, 28))
    x, y = turned.polygons[0][::2], turned.polygons[0][1::2]
    assert (min(x), max(x), min(y), max(y)) == pytest.approx((32, 40, 20, 28))
    assert found.dropped.counts == {"results of the type 'video'": 1}


def test_the_last_annotation_that_was_not_cancelled_counts(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    one = task(point("a", "nose", 25, 50))
    one["annotations"] = [
        {"result": [point("a", "nose", 1, 1)]},
        *one["annotations"],
        {"result": [point("a", "nose", 2, 2)], "was_cancelled": True},
    ]
    sources.dump(tmp_path / "export.json", [one])
    found = read(tmp_path)
    assert found.images[0].instances[0].keypoints == {"nose": (20, 20, 2)}
    assert found.dropped.counts == {
        "annotations that were skipped or cancelled": 1,
        "further annotations of the same image": 1,
    }


def test_the_short_form(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    row = {"x": 25, "y": 50, "keypointlabels": ["nose"], "original_width": 80,
           "original_height": 40}  # fmt: skip
    content = [{"image": "s3://bucket/imgs/a.jpg", "id": 1, "kp": [row], "annotator": 1}]
    sources.dump(tmp_path / "min.json", content)
    found = read(tmp_path)
    assert found.images[0].instances[0].keypoints == {"nose": (20, 20, 2)}


def brush(values: list[int]) -> list[int]:
    """Encode bytes with widths of 2, 4, 8 and 13 bits: runs by the last, others one by one."""
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{w - 1:04b}" for w in (2, 4, 8, 13))
    i = 0
    while i < len(values):
        j = i
        while j < len(values) and values[j] == values[i] and j - i < 2**13:
            j += 1
        if j - i > 2:
            bits += "1" + f"{3:02b}" + f"{j - i - 1:013b}" + f"{values[i]:08b}"
        else:
            bits += "0" + f"{0:02b}" + f"{j - i - 1:02b}" + f"{values[i]:08b}" * (j - i)
        i = j
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_brushes_round_trip(tmp_path: Path) -> None:
    mask = np.zeros((40, 80), bool)
    mask[4:9, 30:50] = True
    stream = brush(np.repeat(mask.ravel().astype(int) * 255, 4).tolist())
    assert np.array_equal(decode_brush(stream, (40, 80)), mask)
    sources.image(tmp_path / "a.jpg")
    value = {"format": "rle", "rle": stream, "brushlabels": ["hat"]}
    sources.dump(tmp_path / "export.json", [task(result("a", "brushlabels", value))])
    (hat,) = read(tmp_path).images[0].instances
    assert hat.counts is not None
    assert np.array_equal(mask_of(hat.counts, (40, 80)), mask)


def test_a_brush_of_label_studio_itself() -> None:
    """What `mask2rle` of label-studio-sdk 2.1.2 writes for this mask."""
    stream = [0, 0, 0, 180, 57, 27, 254, 19, 0, 143, 254, 248, 4, 127, 241, 128, 97, 127, 252, 214]
    mask = np.zeros((5, 9), bool)
    mask[0, 5] = mask[1, 1] = mask[1, 3:] = True
    assert np.array_equal(decode_brush([*stream, 0], (5, 9)), mask)


def test_hostile_brushes() -> None:
    good = brush([0] * 4 * 12)
    assert not decode_brush(good, (3, 4)).any()
    faults = {
        "no list": "abc",
        "no bytes": [300],
        "cut off": good[:8],
        "values, 48 are RGBA": brush([0] * 4 * 11),
        "more values than it says": [*brush([0] * 48)[:6], *brush([0] * 96)[6:]],
        "not 8": [*good[:4], good[4] | 0b10000000, *good[5:]],
    }
    for message, stream in faults.items():
        with pytest.raises(ValueError, match=message):
            decode_brush(stream, (3, 4))


def test_results_that_make_no_sense(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    loop = [{"type": "relation", "from_id": "a", "to_id": "b"},
            {"type": "relation", "from_id": "b", "to_id": "a"}]  # fmt: skip
    rows = [point("a", "nose", float("nan"), 5), {"type": "keypointlabels", "value": 3}, *loop,
            result("b", "brushlabels", {"rle": None}), "text"]  # fmt: skip
    sources.dump(tmp_path / "export.json", [task(*rows), 5, {"data": {}, "annotations": [5]}])  # type: ignore[arg-type]
    found = read(tmp_path)
    assert not found.images[0].instances
    assert sum(found.dropped.counts.values()) == 6
