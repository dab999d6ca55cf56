"""A folder of another tool is named as what it is, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab.data.datasets.coco_parts import CocoParts
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.depth_maps import DepthMaps
from tests.data.importers import sources


@pytest.mark.parametrize("dataset", [CocoPose, CocoParts, DepthMaps])
def test_a_foreign_folder_is_one_line(tmp_path: Path, dataset: type) -> None:
    arguments = {"skeleton": "coco17"} if dataset is CocoPose else {}
    sources.yolo_pose(tmp_path)
    expected = f"{tmp_path} is YOLO-pose data (data.yaml): `sapiens convert {tmp_path} OUT` makes"
    with pytest.raises(FileNotFoundError) as raised:
        dataset(tmp_path, split="train", **arguments)
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


def test_many_labelme_files_are_one_line(tmp_path: Path) -> None:
    for i in range(20):
        sources.dump(tmp_path / f"{i}.json", {"shapes": [], "imagePath": f"{i}.jpg"})
    with pytest.raises(
        FileNotFoundError, match=r"LabelMe files \(0.json, ...\): `sapiens"
    ) as raised:
        CocoPose(tmp_path, split="train", skeleton="coco17")
    assert "\n" not in str(raised.value)


def test_many_unknown_files_are_counted(tmp_path: Path) -> None:
    for i in range(20):
        sources.dump(tmp_path / f"{i:02}.json", {"a": 1})
    with pytest.raises(FileNotFoundError, match="and 12 other files") as raised:
        CocoPose(tmp_path, split="train", skeleton="coco17")
    assert str(raised.value).count("not a COCO file") == 8
