"""Detectors: layouts by hand-made outputs, the real ONNX file against annotated people."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sapiens_lab.data.images import read_image
from sapiens_lab.inference.boxes import Selection
from sapiens_lab.inference.detect import yolox
from sapiens_lab.inference.detect.box_file import read_boxes
from sapiens_lab.inference.detect.choose import make_detector
from sapiens_lab.inference.detect.torchvision_people import TorchvisionPeople
from sapiens_lab.inference.detect.ultralytics_people import UltralyticsPeople
from sapiens_lab.inference.detect.yolox import YoloxOnnx

SELECT = Selection()
IMAGE = np.zeros((100, 200, 3), np.uint8)


def test_letterbox_is_top_left_gray_and_bgr() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    image[..., 0] = 200  # red
    given, scale = yolox.letterbox(image, (64, 64))
    assert given.shape == (1, 3, 64, 64)
    assert scale == 0.64
    assert given[0, :, 0, 0].tolist() == [0, 0, 200]
    assert given[0, :, 31, 63].tolist() == [0, 0, 200]
    assert (given[0, :, 32:] == 114).all()


def test_decoding_by_hand() -> None:
    cells = yolox.grid_cells((64, 64))
    assert len(cells) == 64 + 16 + 4
    assert cells[0].tolist() == [0, 0, 8]
    assert cells[64 + 5].tolist() == [1, 1, 16]
    output = np.zeros((84, 85), np.float32)
    output[69] = 0
    output[69, :6] = [0.5, 0.25, np.log(2), np.log(3), 0.9, 0.8]
    output[0, :7] = [0, 0, 0, 0, 0.9, 0.1, 0.8]  # another class
    boxes = yolox.decode(output, cells, 0.5)
    best = boxes.take([int(boxes.scores.argmax())])
    # Center (1.5, 1.25) cells of 16 pixels, size (2, 3) cells, in an image twice as large.
    np.testing.assert_allclose(best.xyxy, [[48 - 32, 40 - 48, 48 + 32, 40 + 48]], rtol=1e-6)
    np.testing.assert_allclose(best.scores, [0.72], rtol=1e-6)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def test_the_real_detector_finds_the_annotated_people(shared: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the library is optional")
    detect = YoloxOnnx(shared / "data/detectors/yolox_nano.onnx")
    folder = shared / "data/coco_tiny"
    content = json.loads((folder / "test_coco.json").read_text())
    found, tall, false = 0, [], 0
    for image in content["images"]:
        boxes = detect(read_image(folder / image["file_name"]), image["file_name"])
        matched = set()
        for person in content["annotations"]:
            if person["image_id"] != image["id"]:
                continue
            x, y, width, height = person["bbox"]
            truth = np.array([x, y, x + width, y + height])
            overlaps = [overlap(truth, box) for box in boxes.xyxy]
            hit = bool(overlaps) and max(overlaps) > 0.5
            found += hit
            if height > 96:
                tall.append(hit)
            if hit:
                matched.add(int(np.argmax(overlaps)))
        false += len(boxes) - len(matched)
    assert (found, false) == (11, 0)  # of 14: as the file's own README measures
    assert np.mean(tall) > 0.9
    (frame,) = list((shared / "data/real_frames/full_body").iterdir())[:1]
    assert len(detect(read_image(frame), str(frame))) == 1


def test_files_that_are_no_detector(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the library is optional")
    (tmp_path / "a.onnx").write_bytes(b"not onnx")
    with pytest.raises(ValueError, match=r"a\.onnx cannot be run as ONNX"):
        YoloxOnnx(tmp_path / "a.onnx")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'pip install "sapiens-lab\[onnx\]"'):
        make_detector(f"onnx={tmp_path}/a.onnx", select=SELECT)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(ImportError, match=r'AGPL-3\.0.*pip install "sapiens-lab\[detect\]"'):
        make_detector("ultralytics", select=SELECT)


class Known(nn.Module):
    """A detector of torchvision that has always found the same."""

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        assert images[0].shape == (3, 100, 200)
        assert float(images[0].max()) <= 1
        return [
            {
                "boxes": torch.tensor([[1.0, 2, 50, 90], [0, 0, 9, 9], [60, 2, 90, 90]]),
                "labels": torch.tensor([1, 18, 1]),  # 18 is a dog
                "scores": torch.tensor([0.5, 0.9, 0.8]),
            }
        ]


def test_torchvision_gives_people_only() -> None:
    found = TorchvisionPeople(model=Known())(IMAGE, "a.jpg")
    assert found.xyxy.tolist() == [[60, 2, 90, 90], [1, 2, 50, 90]]
    assert found.scores.tolist() == pytest.approx([0.8, 0.5])


def test_torchvision_by_file(tmp_path: Path) -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    path = tmp_path / "ssdlite320_mobilenet_v3_large-1234.pth"
    torch.save(model.state_dict(), path)
    detect = TorchvisionPeople(str(path), select=Selection(min_score=0))
    assert detect(IMAGE, "a.jpg").xyxy.shape[1] == 4
    torch.save({"weight": torch.ones(1)}, path)
    with pytest.raises(ValueError, match="does not hold the weights of its model"):
        TorchvisionPeople(str(path))
    with pytest.raises(ValueError, match="torchvision has no detector 'yolo'"):
        TorchvisionPeople("yolo")


def test_ultralytics_is_asked_for_people(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: dict[str, Any] = {}

    class Model:
        def __init__(self, name: str) -> None:
            asked["name"] = name

        def predict(self, image: np.ndarray, **options: Any) -> list[Any]:
            asked.update(options, pixel=image[0, 0].tolist())
            boxes = SimpleNamespace(xyxy=torch.tensor([[1.0, 2, 50, 90]]), conf=torch.tensor([0.7]))
            return [SimpleNamespace(boxes=boxes)]

    settings = SimpleNamespace(update=lambda values: asked.update(values))
    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Model, settings=settings))
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path))
    monkeypatch.delenv("YOLO_CONFIG_DIR", raising=False)
    for _ in range(2):
        detect = UltralyticsPeople()
    image = IMAGE.copy()
    image[..., 0] = 9
    assert detect(image, "a.jpg").xyxy.tolist() == [[1, 2, 50, 90]]
    assert asked["pixel"] == [0, 0, 9]
    assert (asked["classes"], asked["conf"], asked["sync"]) == ([0], 0.3, False)
    assert caplog.text.count("AGPL-3.0") == 1
    assert Path(asked["name"]).parent == tmp_path / "ultralytics"


def find_all(image: np.ndarray) -> list[list[float]]:
    """A detector of the user's own."""
    return [[0, 0, image.shape[1], image.shape[0], 0.9]]


def test_a_function_by_its_import_path() -> None:
    detect = make_detector("tests.inference.test_detect.find_all", select=SELECT)
    assert detect is not None
    assert detect(IMAGE, "a.jpg").xyxy.tolist() == [[0, 0, 199, 99]]
    with pytest.raises(ValueError, match="is a tuple, not a function"):
        make_detector("sapiens_lab.inference.detect.yolox.STRIDES", select=SELECT)
    assert make_detector(None, select=SELECT) is make_detector("none", select=SELECT) is None


def test_boxes_of_coco_results(tmp_path: Path, shared: Path) -> None:
    detect = read_boxes(shared / "data/coco_tiny/test_coco_det_AP_H_56.json", select=SELECT)
    found = detect(np.zeros((425, 640, 3), np.uint8), "photos/000000000785.jpg")
    np.testing.assert_allclose(found.xyxy[0], [277.118, 45.700, 502.210, 379.260], atol=1e-3)
    assert found.scores[0] > 0.99
    with pytest.raises(ValueError, match=r"has no boxes for x\.jpg"):
        detect(IMAGE, "x.jpg")
    (wrong := tmp_path / "boxes.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(ValueError, match="holds no box of a person"):
        read_boxes(wrong, select=SELECT)
    wrong.write_text("[1, 2]")
    with pytest.raises(ValueError, match="detections lack a number"):
        read_boxes(wrong, select=SELECT)
