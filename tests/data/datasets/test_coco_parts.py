from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from sapiens_lab.data.datasets.coco_parts import CocoParts
from sapiens_lab.data.datasets.coco_regions import decode_region

SIZE = (20, 30)
CATEGORIES = [
    {"id": 3, "name": "body"},
    {"id": 5, "name": "left_hand"},
    {"id": 9, "name": "right_hand"},
]


def rectangle(x1: int, y1: int, x2: int, y2: int) -> list[list[float]]:
    """The outline of pixels ``x1 .. x2 - 1`` and ``y1 .. y2 - 1``."""
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def pixels(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def run_lengths(mask: np.ndarray, *, packed: bool) -> dict[str, Any]:
    if packed:
        runs = coco_mask.encode(np.asfortranarray(mask))
        return {"size": list(SIZE), "counts": runs["counts"].decode()}
    column_wise = np.concatenate([[0], mask.ravel(order="F"), [2]])
    changes = np.flatnonzero(np.diff(column_wise))
    return {"size": list(SIZE), "counts": np.diff(np.concatenate([[0], changes])).tolist()}


def write(
    root: Path,
    rows: list[dict[str, Any]],
    *,
    file: str = "annotations/instances_train.json",
    images: int = 1,
    **changes: Any,
) -> Path:
    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    height, width = SIZE
    for i in range(images):
        Image.new("RGB", (width, height)).save(folder / f"{i}.jpg")
    content = {
        "images": [
            {"id": 10 + i, "file_name": f"{i}.jpg", "height": height, "width": width}
            for i in range(images)
        ],
        "categories": CATEGORIES,
        "annotations": [{"id": i, "image_id": 10, "iscrowd": 0, **r} for i, r in enumerate(rows)],
        **changes,
    }
    path = root / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def load(root: Path, **options: Any) -> CocoParts:
    return CocoParts(root, split="train", **options)


def test_polygons_and_run_lengths_become_one_map(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            {"category_id": 5, "segmentation": run_lengths(pixels(8, 8, 11, 12), packed=True)},
            {"category_id": 3, "segmentation": rectangle(5, 4, 15, 18)},
            {"category_id": 9, "segmentation": run_lengths(pixels(20, 2, 22, 9), packed=False)},
            {
                "category_id": 3,
                "segmentation": run_lengths(pixels(13, 0, 28, 6), packed=False),
                "iscrowd": 1,
            },
        ],
    )
    dataset = load(tmp_path)
    assert dataset.parts.classes == ("background", "body", "left_hand", "right_hand")
    sample = dataset[0]
    assert sample.labels is not None
    expected = np.zeros(SIZE, np.uint8)
    expected[:6, 13:28] = 255  # the crowd, below all others
    expected[4:18, 5:15] = 1
    expected[8:12, 8:11] = 2  # smaller, so on top of the body
    expected[2:9, 20:22] = 3
    np.testing.assert_array_equal(sample.labels.ids, expected)
    assert sample.labels.flip_indices is not None
    assert sample.labels.flip_indices.tolist() == [0, 1, 3, 2]
    assert sample.bbox.tolist() == [0, 0, 29, 19]
    assert sample.meta.path == str(tmp_path / "images/0.jpg")
    np.testing.assert_array_equal(
        dataset.count_pixels().pixels, np.bincount(expected.ravel(), minlength=256)
    )


def test_categories_are_classes_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        [
            {"category_id": 9, "segmentation": rectangle(0, 0, 4, 4)},
            {"category_id": 3, "segmentation": rectangle(10, 0, 14, 4)},
        ],
    )
    parts = tmp_path / "mine.yaml"
    parts.write_text("name: mine\nclasses: [left_hand, right_hand]\nmerge: {}\nignore: [body]\n")
    labels = load(tmp_path, parts=str(parts))[0].labels
    assert labels is not None
    # The list has no background, so what is not annotated is ignored too.
    expected = np.full(SIZE, 255, np.uint8)
    expected[:4, :4] = 1
    np.testing.assert_array_equal(labels.ids, expected)

    parts = tmp_path / "other.yaml"
    parts.write_text("name: other\nclasses: [Background, hand]\nmerge: {right_hand: hand}\n")
    with pytest.raises(ValueError, match=r"no class 'body'.*\n.*`merge`") as error:
        load(tmp_path, parts=str(parts))
    assert str(path) in str(error.value)
    assert "right_hand" not in str(error.value)


def test_one_file_is_divided_and_bare_images_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"category_id": 3, "segmentation": rectangle(0, 0, 4, 4), "image_id": 10 + i}
        for i in range(10)
    ]
    write(tmp_path, rows, file="annotations.json", images=12)
    names = {
        split: {Path(s.meta.path).name for s in (d[i] for i in range(len(d)))}
        for split in ("train", "val")
        for d in [CocoParts(tmp_path, split=split, val_fraction=0.3)]  # type: ignore[arg-type]
    }
    assert (len(names["train"]), len(names["val"])) == (7, 3)
    assert names["train"] | names["val"] == {f"{i}.jpg" for i in range(10)}
    assert len(load(tmp_path, annotation_file="annotations.json")) == 10


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "at least three points"),
        ([1, 2, 3, 4, 5, 6], "at least three points"),
        ({"size": [30, 20], "counts": [600]}, r"\(height, width\) \[30, 20\].*\[20, 30\]"),
        ({"size": [20, 30], "counts": [5, 900]}, "malformed"),
        ({"size": [20, 30]}, "malformed"),
    ],
)
def test_malformed_segmentations_are_named(segmentation: Any, message: str) -> None:
    annotation = {"id": 77, "segmentation": segmentation}
    with pytest.raises(ValueError, match=message) as error:
        decode_region(annotation, SIZE, Path("x.json"))
    assert "x.json: annotation 77" in str(error.value)


def test_faults_are_found_before_the_first_step(tmp_path: Path) -> None:
    rows = [
        {"category_id": 3, "segmentation": rectangle(0, 0, 4, 4), "image_id": 10 + i}
        for i in range(3)
    ]
    rows[1]["segmentation"] = [[1, 2]]
    write(tmp_path, rows, images=3)
    with pytest.raises(ValueError, match=r"1 of 3 segmentations.*\n.*annotation 1"):
        load(tmp_path)
    dataset = load(tmp_path, on_error="skip")
    with pytest.raises(ValueError, match="annotation 1"):
        dataset[1]
    assert dataset.count_pixels().num_maps == 2
    rows[1]["segmentation"] = rectangle(0, 0, 4, 4)
    write(tmp_path, rows, images=3)
    Image.new("RGB", (60, 40)).save(tmp_path / "images/1.jpg")
    with pytest.raises(ValueError, match=r"1\.jpg is 40 x 60.*made for 20 x 30"):
        load(tmp_path)
    (tmp_path / "images/1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 images are not in.*1\.jpg"):
        load(tmp_path)
    assert len(load(tmp_path, on_error="skip")) == 2


def test_files_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="There is no JSON file in it"):
        load(tmp_path)
    path = write(tmp_path, [{"category_id": 3, "keypoints": [1, 2, 2]}])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(FileNotFoundError, match=r"annotation_file=FILE") as error:
        load(tmp_path)
    assert "list.json: not a COCO file" in str(error.value)
    assert "instances_train.json: its annotations have no segmentation" in str(error.value)
    with pytest.raises(ValueError, match="no segmentation"):
        load(tmp_path, annotation_file=str(path))
    with pytest.raises(FileNotFoundError, match=r"near: list\.json"):
        load(tmp_path, annotation_file="lost.json")


def test_real_coco_people(shared: Path) -> None:
    folder = shared / "data/coco_tiny"
    dataset = load(folder, annotation_file="test_coco.json", image_dir=".")
    labels = dataset[0].labels
    assert labels is not None
    assert dataset.parts.classes == ("background", "person")
    share = float((labels.ids == 1).mean())
    assert 0.005 < share < 0.9
