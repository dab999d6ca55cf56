"""Results: their arrays, their drawings, and every kind of file read back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.arrays import read_labels
from sapiens_lab.data.datasets.coco_regions import decode_region
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.files import check_kinds, depth_png, usual_kinds
from sapiens_lab.inference.results.normal import NormalResult
from sapiens_lab.inference.results.parts import PartResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import MultiResult, Result

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 30, 3)).astype(np.uint8)
COCO = Skeleton.load("coco17")
GOLIATH = Parts.load("goliath28")


def pose(image: np.ndarray = IMAGE) -> PoseResult:
    points = np.stack([np.linspace(2, 28, 17), np.linspace(3, 37, 17)], -1).astype(np.float32)
    scores = np.full(17, 0.9, np.float32)
    scores[:5] = 0.1
    return PoseResult(
        image=image, path="a/photo.jpg", skeleton=COCO,
        keypoints=np.stack([points, points + 1]), scores=np.stack([scores, scores / 2]),
        boxes=Boxes.of([[1, 2, 21, 32, 0.8], [5, 5, 29, 39, 0.4]]),
    )  # fmt: skip


def labels() -> np.ndarray:
    ids = np.zeros((40, 30), np.uint8)
    ids[10:30, 5:15], ids[10:30, 15:25] = 3, 27
    return ids


def parts() -> PartResult:
    return PartResult(image=IMAGE, path="a/photo.jpg", labels=labels(), parts=GOLIATH)


def depth(kind: str = "relative") -> DepthResult:
    values = np.linspace(0.5, 2.5, 1200, dtype=np.float32).reshape(40, 30)
    values[0, 0] = np.nan
    return DepthResult(
        image=IMAGE,
        path="a/photo.jpg",
        depth=values,
        kind=kind,
        person=labels() > 0,  # type: ignore[arg-type]
    )


def normal() -> NormalResult:
    vectors = np.zeros((40, 30, 3), np.float32)
    vectors[..., 2] = -1
    return NormalResult(image=IMAGE, path="a/photo.jpg", normal=vectors)


ALL = (pose, parts, depth, normal)


@pytest.mark.parametrize("make", ALL)
def test_every_result_draws_itself_and_says_what_it_is(make: object) -> None:
    result: Result = make()  # type: ignore[operator]
    assert result.overlay().shape == IMAGE.shape
    assert result.plot().shape[0] == 256  # small images are enlarged
    assert result.panels().shape[1] > 2 * 192
    shown = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown[..., ::-1], result.plot())
    assert repr(result).startswith(f"{type(result).__name__}(photo.jpg, 30x40: ")
    json.dumps(result.to_json())


def test_reprs() -> None:
    assert "2 people with 17 keypoints of coco17, 24 above 0.3" in repr(pose())
    assert f"3 of 28 classes of goliath28: {GOLIATH.classes[3]}" in repr(parts())
    assert "relative depth" in repr(depth())
    assert repr(depth("metric")).endswith(" m)")
    assert "100% of the pixels face the camera" in repr(normal())
    both = MultiResult({"pose": pose(), "depth": depth()})
    assert repr(both).count("\n") == 1
    assert set(both.to_numpy()) == {"keypoints", "boxes", "depth"}


def test_people_as_coco_and_numpy() -> None:
    first, second = pose().to_coco(7)
    assert first["image_id"] == 7
    assert first["bbox"] == [1, 2, 20, 30]
    assert first["score"] == pytest.approx(0.8 * 0.9)
    assert second["score"] == pytest.approx(0.4 * 0.45)
    assert len(first["keypoints"]) == 51
    assert first["keypoints"][:3] == [2, 3, pytest.approx(0.1)]
    arrays = pose().to_numpy()
    assert arrays["keypoints"].shape == (2, 17, 3)
    assert arrays["boxes"].shape == (2, 5)
    person = pose().to_json()["people"][0]
    assert person["keypoints"]["nose"] == [2, 3, 0.1]


def test_parts_as_coco(tmp_path: Path) -> None:
    rows = parts().to_coco(3)
    assert [row["category_id"] for row in rows] == [3, 27]
    for row in rows:
        pixels = decode_region(row, (40, 30), tmp_path)
        np.testing.assert_array_equal(pixels, labels() == row["category_id"])


def test_results_of_another_library() -> None:
    supervision = pytest.importorskip("supervision", reason="the library is optional")
    people = pose().to_supervision()
    np.testing.assert_array_equal(people.xy, pose().keypoints)
    found = parts().to_supervision()
    assert isinstance(found, supervision.Detections)
    np.testing.assert_array_equal(found.xyxy[0], [5, 10, 14, 29])


def test_every_kind_of_file(tmp_path: Path) -> None:
    both = MultiResult({r.task: r for r in (pose(), parts(), depth(), normal())})
    kinds = check_kinds(["npy", "crops", "overlay", "image", "json", "masks", "depth", "normals"])
    written = both.save(tmp_path, kinds, name="walk/photo")
    assert written[-1] == tmp_path / "json/walk/photo.json"
    assert {p.relative_to(tmp_path).as_posix() for p in written} == {
        "image/walk/photo.jpg", "json/walk/photo.json", "masks/walk/photo.png",
        *(f"overlay/walk/photo.{task}.jpg" for task in both),
        "depth/walk/photo.png", "depth/walk/photo.npy",
        "normals/walk/photo.png", "normals/walk/photo.npy",
        *(f"npy/walk/photo.{n}.npy" for n in ("keypoints", "boxes", "labels", "depth", "normal")),
        "crops/walk/photo.0.jpg", "crops/walk/photo.1.jpg",
    }  # fmt: skip
    mask = Image.open(tmp_path / "masks/walk/photo.png")
    assert mask.mode == "P"
    np.testing.assert_array_equal(np.asarray(mask), labels())
    assert json.loads(mask.text["classes"]) == list(GOLIATH.classes)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(mask.convert("RGB"))[15, 10], GOLIATH.colors[3])
    np.testing.assert_array_equal(np.load(tmp_path / "depth/walk/photo.npy"), depth().depth)
    np.testing.assert_array_equal(np.load(tmp_path / "normals/walk/photo.npy"), normal().normal)
    color = cv2.imread(str(tmp_path / "normals/walk/photo.png"))
    assert color[3, 3].tolist() == [255, 127, 127]  # blue: it faces the camera
    crop = cv2.imread(str(tmp_path / "crops/walk/photo.0.jpg"))
    assert crop.shape == (31, 21, 3)
    summary = json.loads((tmp_path / "json/walk/photo.json").read_text())
    assert (summary["height"], summary["width"]) == (40, 30)
    with pytest.raises(FileExistsError, match=r"photo\.jpg exists"):
        both.save(tmp_path, ["image"], name="walk/photo")
    both.save(tmp_path, ["image"], name="walk/photo2")


def test_masks_are_labels_for_training(tmp_path: Path) -> None:
    parts().save(tmp_path, ["masks"])
    np.testing.assert_array_equal(read_labels(tmp_path / "masks/photo.png"), labels())


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_depth_png_holds_its_scale(kind: str) -> None:
    image = Image.open(io.BytesIO(depth_png(depth(kind))))
    facts = json.loads(image.text["depth"])  # type: ignore[attr-defined]
    values = np.asarray(image).astype(np.float64)
    assert values.dtype.kind == "f"
    assert values[0, 0] == facts["invalid"] == 0
    read = facts["offset"] + facts["scale"] * values
    tolerance = 0.0006 if kind == "metric" else 2e-5
    np.testing.assert_allclose(read[0, 1:], depth().depth[0, 1:], atol=tolerance)
    np.testing.assert_allclose(read[1:], depth().depth[1:], atol=tolerance)
    assert (facts["unit"] == "m") == (kind == "metric")
    assert (facts["scale"] == 0.001) == (kind == "metric")


def test_kinds() -> None:
    assert usual_kinds(["pose"]) == ("image", "json")
    assert usual_kinds(["depth", "segmentation"]) == ("image", "json", "masks", "depth")
    with pytest.raises(ValueError, match=r"meshes cannot be saved; choose from image, overlay"):
        check_kinds(["json", "meshes"])
    with pytest.raises(ValueError, match="nothing cannot be saved"):
        check_kinds([])


def test_a_very_wide_image_is_shown_reduced() -> None:
    image = np.zeros((20, 20000, 3), np.uint8)
    result = PoseResult(
        image=image, path="wide.png", skeleton=COCO, boxes=Boxes.of([]),
        keypoints=np.zeros((0, 17, 2), np.float32), scores=np.zeros((0, 17), np.float32),
    )  # fmt: skip
    assert result.plot().shape[1] <= 4096
    assert "0 people" in repr(result)
    assert result.to_coco() == []
