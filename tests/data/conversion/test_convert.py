"""What is written is what the datasets read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.arrays import read_labels
from sapiens_lab.data.conversion import Converted, Options, convert, import_into
from sapiens_lab.data.conversion.converting import find_importer
from sapiens_lab.data.datasets.coco_parts import CocoParts
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.part_masks import PartMasks
from tests.data.importers import sources


def converted(source: Path, out: Path, **options: object) -> Converted:
    return convert(find_importer(source), source, out, Options(**options))  # type: ignore[arg-type]


def test_people_are_read_as_they_were_annotated(tmp_path: Path) -> None:
    """Images, order, visibility, boxes and the split of the source."""
    out = tmp_path / "out"
    result = converted(sources.yolo_pose(tmp_path / "yolo"), out)
    assert set(result.annotation_files) == {"train", "val"}
    assert result.skeleton == str(out / "skeleton.yaml")
    for split, name in (("train", "a.jpg"), ("val", "b.jpg")):
        dataset = CocoPose(out, split=split, skeleton=result.skeleton)
        assert dataset.image_paths() == [out / "images" / split / name]
        sample = dataset[0]
        assert sample.fields["keypoints"].xy.tolist() == [[20, 20], [40, 10], [0, 0]]
        assert sample.fields["keypoints"].visible.tolist() == [2, 1, 0]
        assert dataset.skeleton.flip_indices.tolist() == [0, 2, 1]
        assert sample.bbox.tolist() == [10, 10, 70, 30]


def test_boxes_and_areas_are_made(tmp_path: Path) -> None:
    """Around (10, 10)..(30, 20), a tenth larger on every side; 0.53 of the box is its area."""
    root = tmp_path / "labelme"
    sources.image(root / "a.jpg")
    shapes = [
        {"label": name, "shape_type": "point", "points": [xy]}
        for name, xy in (("nose", [10, 10]), ("left_eye", [30, 20]))
    ]
    sources.dump(root / "a.json", {"shapes": shapes, "imagePath": "a.jpg"})
    result = converted(root, tmp_path / "out")
    content = json.loads(result.annotation_files["all"].read_text())
    (row,) = content["annotations"]
    assert row["bbox"] == [8, 9, 24, 12]
    assert row["area"] == pytest.approx(0.53 * 24 * 12, abs=0.01)
    assert row["keypoints"] == [10, 10, 2, 30, 20, 2]
    assert (result.made.boxes, result.made.areas) == (1, 1)


def test_regions_and_masks_are_the_same(tmp_path: Path) -> None:
    root = sources.yolo_seg(tmp_path / "yolo")
    coco = converted(root, tmp_path / "coco")
    masks = converted(root, tmp_path / "masks", masks=True)
    regions = CocoParts(tmp_path / "coco", split="train", parts=coco.parts, val_fraction=None)
    files = PartMasks(tmp_path / "masks", split="train", parts=masks.parts, val_fraction=None)
    first, second = (d[0].fields["labels"].ids for d in (regions, files))
    assert np.array_equal(first, second)
    assert np.unique(first).tolist() == [0, 1]
    assert first.sum() == 20 * 40  # columns 20 to 60, rows 10 to 30
    assert masks.class_ids == {"shirt": 1}
    assert yaml.safe_load(Path(str(masks.parts)).read_text())["classes"] == ["background", "shirt"]


def test_a_skeleton_gives_the_order(tmp_path: Path) -> None:
    root = sources.labelme(tmp_path / "labelme")
    mine = sources.text(tmp_path / "mine.yaml", "name: x\nkeypoints: [Left-Eye, ear, NOSE]\n")
    result = converted(root, tmp_path / "out", skeleton=str(mine))
    content = json.loads(result.annotation_files["all"].read_text())
    people = [a for a in content["annotations"] if "keypoints" in a]
    assert people[0]["keypoints"] == [12.5, 8, 1, 0, 0, 0, 10, 12, 2]
    with pytest.raises(ValueError, match="only 1 of the 17 keypoints of 'coco17'"):
        convert_numbers(root, tmp_path / "other")


def convert_numbers(root: Path, out: Path) -> None:
    path = root / "a.json"
    path.write_text(path.read_text().replace("left_eye", "spot"))
    converted(root, out, skeleton="coco17")


def test_numbered_points_take_a_skeletons_names(tmp_path: Path) -> None:
    mine = sources.text(tmp_path / "mine.yaml", "name: x\nkeypoints: [nose, left_eye, right_eye]\n")
    result = converted(sources.yolo_pose(tmp_path / "a"), tmp_path / "out", skeleton=str(mine))
    content = json.loads(result.annotation_files["train"].read_text())
    assert content["categories"][0]["keypoints"] == ["nose", "left_eye", "right_eye"]
    assert content["annotations"][0]["keypoints"][:6] == [20, 20, 2, 40, 10, 1]


def test_images_may_stay_where_they_are(tmp_path: Path) -> None:
    """As fine-tuning imports a folder."""
    result = import_into(sources.yolo_pose(tmp_path / "yolo"), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.jpg"))
    dataset = CocoPose(
        tmp_path / "cache",
        split="val",
        skeleton=str(result.skeleton),
        image_dir=str(result.image_dirs["val"]),
    )
    assert dataset.image_paths() == [tmp_path / "yolo/valid/images/b.jpg"]


def test_masks_hold_the_ids_of_a_class_list(tmp_path: Path) -> None:
    root = sources.yolo_seg(tmp_path / "yolo")
    mine = "name: x\nclasses: [background, hat, top]\nmerge: {shirt: top}\n"
    parts = str(sources.text(tmp_path / "parts.yaml", mine))
    converted(root, tmp_path / "out", masks=True, classes=parts)
    assert np.unique(read_labels(tmp_path / "out/labels/a.png")).tolist() == [0, 2]


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = sources.yolo_pose(tmp_path / "yolo"), tmp_path / "out"
    sources.text(out / "mine.txt", "x")
    with pytest.raises(ValueError, match="is not empty"):
        converted(root, out)
    (out / "mine.txt").unlink()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sapiens_lab.data.conversion.converting.coco_content", fail)
        with pytest.raises(KeyboardInterrupt):
            converted(root, out)
    assert not list(out.iterdir())
    killed = tmp_path / ".out.12345678.part"
    sources.text(killed / "annotations/train.json", "{}")
    converted(root, out)
    assert sorted(p.name for p in out.iterdir()) == ["annotations", "images", "skeleton.yaml"]
    assert not killed.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"yolo", "out"}


def coco_people(root: Path, skeleton: str, *, is_named: bool) -> Path:
    """Write one person with the points of a shipped set at (i, 2 i), all visible but the first."""
    names = Skeleton.load(skeleton).keypoints
    sources.image(root / "a.jpg", 640, 320)
    points = [value for i in range(len(names)) for value in (i, 2 * i, 1 if i == 0 else 2)]
    category = {"id": 1, "name": "person", **({"keypoints": names} if is_named else {})}
    sources.dump(
        root / "people.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": points}],
            "categories": [category],
        },
    )
    return root


def written(out: Path, source: Path, **options: object) -> dict[str, list[float]]:
    """Return the points of the first person that was written, by name."""
    result = converted(source, out, **options)
    content = json.loads(result.annotation_files["all"].read_text())
    names, values = content["categories"][0]["keypoints"], content["annotations"][0]["keypoints"]
    return {name: values[3 * i : 3 * i + 3] for i, name in enumerate(names)}


@pytest.mark.parametrize("source", ["goliath308", "wholebody133", "halpe26", "mediapipe33"])
def test_sets_are_converted_by_name(tmp_path: Path, source: str) -> None:
    """Each of COCO's 17 is where the source has it."""
    theirs = Skeleton.load(source)
    root = coco_people(tmp_path / "people", source, is_named=True)
    points = written(tmp_path / "out", root, skeleton="coco17")
    assert tuple(points) == Skeleton.load("coco17").keypoints
    for name, (x, y, visible) in points.items():
        i = theirs.index(name)
        assert (x, y, visible) == (i, 2 * i, 1 if i == 0 else 2)


def test_a_neck_is_the_middle_of_the_shoulders(tmp_path: Path) -> None:
    """COCO's shoulders are points 5 and 6; the nose is occluded."""
    root = coco_people(tmp_path / "people", "coco17", is_named=True)
    points = written(tmp_path / "out", root, skeleton="openpose18")
    assert points["neck"] == [5.5, 11, 2]
    assert points["nose"] == [0, 0, 1]


def test_numbers_of_a_known_set(tmp_path: Path) -> None:
    """133 numbered points are COCO-WholeBody's if one says so; without, they fit no set of 17."""
    root = coco_people(tmp_path / "people", "wholebody133", is_named=False)
    with pytest.raises(ValueError, match="--from NAME"):
        written(tmp_path / "no", root, skeleton="coco17")
    points = written(tmp_path / "out", root, skeleton="coco17", source_skeleton="wholebody133")
    assert points["right_ankle"] == [16, 32, 2]
    own = written(tmp_path / "own", root, source_skeleton="wholebody133")
    assert tuple(own) == Skeleton.load("wholebody133").keypoints
    with pytest.raises(ValueError, match="numbers 133 keypoints, 'coco17' has 17"):
        written(tmp_path / "no", root, source_skeleton="coco17")


def test_points_that_are_not_written_are_counted(tmp_path: Path) -> None:
    root = coco_people(tmp_path / "people", "wholebody133", is_named=True)
    result = converted(root, tmp_path / "out", skeleton="coco17")
    assert result.dropped.counts == {"points that the skeleton does not have": 116}
    assert result.skeleton == "coco17"
