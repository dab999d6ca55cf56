"""``sapiens convert``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sapiens_lab.commands.convert import _FORMATS
from sapiens_lab.commands.main import sapiens
from sapiens_lab.data.images import read_image
from sapiens_lab.data.importers import IMPORTERS, recognize
from tests.data.conversion.test_sigmas import coco
from tests.data.importers import sources
from tests.test_docs import check


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(sapiens, ["convert", *map(str, arguments)])


def test_a_folder_becomes_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report names everything, and its last line is a command that composes."""
    monkeypatch.chdir(tmp_path)
    sources.labelme(tmp_path / "lm")
    result = convert("lm", "out")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "lm is LabelMe files (a.json, ...)"
    assert lines[1].startswith("wrote people with keypoints: 3, regions: 1 to ")
    assert (
        "left out: 1 points that no group or box assigns to a person, e.g. nose in a.jpg" in lines
    )
    assert "made: 2 boxes, around keypoints or regions" in lines
    assert read_image("out/samples.png").shape[2] == 3
    commands = [line.strip() for line in lines if line.startswith("  sapiens train")]
    assert len(commands) == 2  # keypoints, regions
    for command in commands:
        check(*shlex.split(command)[2:])


@pytest.mark.parametrize("first", [["lm", "out"], ["--format", "labelme", "lm", "out"]])
def test_options_may_stand_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sources.labelme(tmp_path / "lm")
    assert convert(*first, "--masks", "--label", "shirt").exit_code == 0
    assert (tmp_path / "out/labels/a.png").is_file()


def test_help() -> None:
    for arguments in ([], ["-h"]):
        result = convert(*arguments)
        assert result.exit_code == 0
        assert "SOURCE OUT" in result.output
        assert "sapiens convert sigmas -h" in result.output
    assert "FILES" in convert("sigmas", "-h").output


def test_the_formats_are_the_importers() -> None:
    assert [importer.name for importer in IMPORTERS] == list(_FORMATS)


def test_splits(tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    sources.yolo_pose(root)
    arguments = ("--split", 0.5, "--group-by", r"/(\w)\.jpg")
    result = convert(root, tmp_path / "out", *arguments, "--images", "none")
    assert result.exit_code == 0, result.output
    assert "images: train 1, val 1" in result.output
    assert f"data.train.image_dir={root}" in result.output
    assert not list((tmp_path / "out").rglob("*.jpg"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "out"], "nowhere does not exist"),
        (["empty", "out"], "no known format is recognized"),
        (["yolo", "yolo"], "is not empty"),
        (["yolo", "yolo/out"], "lies within yolo"),
        (["yolo/data.yaml", "yolo/out"], "lies within yolo"),
        (["yolo", "out", "--label", "dog"], "there is no label 'dog'; the labels are person"),
        (["yolo", "out", "--skeleton", "coco17"], "only 0 of the 17 keypoints"),
        (["yolo", "out", "--masks"], "nothing is left to write of 2 images"),
        (["yolo", "out", "--masks", "--images", "none"], "--masks needs --images"),
        (["yolo", "out", "--group-by", "folder"], "add --split"),
        (["yolo", "out", "--split", "7"], "between 0 and 1"),
        (["yolo", "out", "--format", "labelme"], "nothing is left to write"),
        (["yolo", "out", "--format", "cvat"], "nothing is left to write"),
    ],
)
def test_mistakes_are_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sources.yolo_pose(tmp_path / "yolo")
    (tmp_path / "empty").mkdir()
    result = convert(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_sigmas(tmp_path: Path) -> None:
    a = coco(tmp_path / "a.json", [[[10, 10, 2], [50, 50, 2], [70, 70, 2]]] * 2)
    assert convert("sigmas", a, a, "--min-pairs", 2).output.count("sigma: 0.0000") == 3
    result = convert("sigmas", a, a)
    assert result.exit_code == 1
    assert "3 of 3 keypoints have fewer than 10 pairs" in result.output


def test_coco_can_be_converted_again(tmp_path: Path) -> None:
    """What was written is read as it was."""
    convert(sources.yolo_pose(tmp_path / "yolo"), tmp_path / "one")
    importer = recognize(tmp_path / "one")
    assert importer is not None
    assert importer.name == "coco"
    convert(tmp_path / "one", tmp_path / "two")
    first, second = (
        json.loads((tmp_path / name / "annotations/val.json").read_text())
        for name in ("one", "two")
    )
    assert first == second


def test_names_cannot_drive_a_terminal(tmp_path: Path) -> None:
    """Control characters, and what no file can hold, become question marks."""
    sources.image(tmp_path / "lm/a.jpg")
    shapes = [
        {"label": name, "shape_type": "point", "points": [[9, 9 + i]]}
        for i, name in enumerate(("nose", "eye\x1b[2J\n", "\ud800", "a\u202eb"))
    ]
    sources.dump(tmp_path / "lm/a.json", {"shapes": shapes, "imagePath": "a.jpg"})
    sources.dump(tmp_path / "lm/b.json", {"shapes": shapes, "imagePath": "\x1b[31m.jpg"})
    result = convert(tmp_path / "lm", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "4 keypoints: nose, eye?[2J?, ?, a?b" in result.output
    assert "not in the folder, e.g. ?[31m.jpg" in result.output
