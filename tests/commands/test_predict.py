"""``sapiens predict``: files, continuing, mistakes, damaged images."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.inference import folder as folder_module
from tests.command import run, status

Weights = dict[str, Path]


def predict(source: object, weights: Path, out: Path, *options: str) -> int:
    return status("predict", str(source), "--weights", str(weights), "--out", str(out),
                  "--device", "cpu", *options)  # fmt: skip


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def size(path: Path) -> tuple[int, int]:
    """Read an image whole and return its (width, height)."""
    with Image.open(path) as image:
        image.load()
        return image.size


def test_a_folder_of_images(
    photos: Path,
    weights: Weights,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert predict(photos, weights["all"], out) == 0
    names = ("a", "b", "day/a", "day/c")
    expected = {"predict.json", "images.jsonl", "coco_keypoints.json", "coco_parts.json"}
    for kind, suffixes in (
        ("image", ("jpg",)), ("json", ("json",)), ("masks", ("png",)),
        ("depth", ("png", "npy")), ("normals", ("png", "npy")),
    ):  # fmt: skip
        expected |= {f"{kind}/{name}.{suffix}" for name in names for suffix in suffixes}
    assert set(files(out)) == expected
    rows = json.loads((out / "coco_keypoints.json").read_text())
    assert [row["image_id"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["file_name"] == str(photos / "a.jpg")
    said = capsys.readouterr().out
    assert "4 images in" in said
    assert "images/s" in said
    assert "the bottleneck is" in said
    text = (out / "json/a.json").read_text()
    assert len(json.loads(text)["pose"]["people"][0]["keypoints"]) == 17
    assert '"nose": [' in text
    assert text.count("\n") < 120  # numbers of a point stand in one line


def test_the_same_command_continues(
    photos: Path,
    weights: Weights,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert predict(photos / "day", weights["segmentation"], out) == 0
    times = {name: (out / name).stat().st_mtime_ns for name in files(out) if "/" in name}
    (out / "masks/c.png").unlink()
    with (out / "images.jsonl").open("a") as file:
        file.write('{"key": "cut o')  # as after SIGKILL
    capsys.readouterr()
    assert predict(photos / "day", weights["segmentation"], out) == 0
    assert "1 images in" in (said := capsys.readouterr().out)
    assert "1 were complete before" in said
    assert all((out / n).stat().st_mtime_ns == t for n, t in times.items() if "/a." in n)
    assert (out / "masks/c.png").is_file()
    assert len({r["image_id"] for r in json.loads((out / "coco_parts.json").read_text())}) == 2
    # Another image of that name does not take its place, nor is it taken for it.
    assert predict(photos / "a.jpg", weights["segmentation"], out) == 1
    assert "already holds a of" in capsys.readouterr().err
    # Other settings need another folder.
    assert predict(photos / "day", weights["segmentation"], out, "--save", "json") == 1
    assert "predictions of other settings (save: " in capsys.readouterr().err
    # So do weights that were written again.
    before = (weights["segmentation"] / "model.safetensors").stat().st_mtime
    os.utime(weights["segmentation"] / "model.safetensors", (before + 60, before + 60))
    assert predict(photos / "day", weights["segmentation"], out) == 1
    assert "predictions of other settings (weights: " in capsys.readouterr().err
    os.utime(weights["segmentation"] / "model.safetensors", (before, before))
    cv2.imwrite(str(photos / "day/c.jpg"), np.zeros((9, 9, 3), np.uint8))
    assert predict(photos / "day", weights["segmentation"], out) == 1
    assert "c.jpg has changed since it was predicted" in capsys.readouterr().err
    assert predict(photos / "day", weights["segmentation"], out, "--overwrite") == 0
    assert size(out / "masks/c.png") == (9, 9)


def test_a_folder_of_other_files_is_left_alone(
    photos: Path,
    weights: Weights,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert predict(photos, weights["segmentation"], tmp_path / "out") == 1
    assert "holds other files" in capsys.readouterr().err
    assert files(tmp_path / "out") == ["mine.txt"]


def odd_images(folder: Path) -> None:
    """Write images that are odd, and files that are none."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    folder.mkdir()
    image.save(folder / "good.jpg")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("RGBA").save(folder / "alpha.png")
    image.convert("L").save(folder / "gray.png")
    Image.fromarray(pixels[:1, :1]).save(folder / "one_pixel.png")
    Image.new("RGB", (40000, 4)).save(folder / "wide.png")
    cv2.imwrite(str(folder / "bits16.png"), pixels.astype(np.uint16) * 257)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / "rotated.jpg", exif=exif)
    frames = [image, Image.fromarray(255 - pixels)]
    for suffix in ("png", "webp"):
        image.save(folder / f"animated_{suffix}.{suffix}", save_all=True, append_images=frames)
    content = (folder / "good.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[:300])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not an image")
    Image.new("RGB", (30000, 2300)).save(folder / "bomb.png")


def test_damaged_images_do_not_stop_the_others(
    weights: Weights, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.delenv("SAPIENS_LIMIT_SCALE", raising=False)
    odd_images(tmp_path / "odd")
    out = tmp_path / "out"
    assert predict(tmp_path / "odd", weights["segmentation"], out) == 1
    said = capsys.readouterr()
    for name, reason in (
        ("cut.jpg", "is truncated"), ("empty.jpg", "is truncated (0 bytes)"),
        ("text.jpg", "is damaged or not an image"), ("bomb.png", "has 2300 x 30000 pixels"),
    ):  # fmt: skip
        assert any(name in line and reason in line for line in said.err.splitlines()), name
    assert "4 images failed:" in said.err
    assert "--limit-scale 4" in said.err
    assert caplog.text.count("of such files the first image is taken") == 1
    masks = {p.stem: size(p) for p in (out / "masks").iterdir()}
    assert len(masks) == 10
    assert masks["rotated"] == (20, 30)
    assert masks["wide"] == (40000, 4)


def test_people_of_a_file(
    photos: Path,
    weights: Weights,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [
        {"image_id": i, "category_id": 1, "bbox": box, "score": score, "id": n}
        for n, (i, box, score) in enumerate(
            [
                (5, [1, 1, 20, 20], 0.9),
                (5, [22, 10, 10, 20], 0.8),
                (5, [0, 0, 9, 9], 0.1),
                (5, [2, 1, 20, 20], 0.7),
            ]
        )
    ]
    images = [{"id": 5, "file_name": "a.jpg"}, {"id": 6, "file_name": "b.png"}]
    (boxes := tmp_path / "boxes.json").write_text(
        json.dumps({"images": images, "annotations": rows, "categories": []})
    )
    out = tmp_path / "out"
    sources = [str(photos / "a.jpg"), str(photos / "b.png"), str(photos / "day/c.jpg")]
    words = [*sources, "--weights", str(weights["pose"]), "--out", str(out), "--device", "cpu"]
    assert status("predict", *words, "--boxes", str(boxes), "--save", "json,crops") == 1
    said = capsys.readouterr()
    assert "no person was found in 1: " in said.out
    assert "has no boxes for" in said.err
    people = json.loads((out / "json/a.json").read_text())["pose"]["people"]
    assert [person["box"] for person in people] == [
        [1, 1, 21, 21],
        [22, 10, 32, 30],
        [2, 1, 22, 21],  # close to the first, and kept
    ]
    assert files(out / "crops") == ["a.0.jpg", "a.1.jpg", "a.2.jpg"]
    assert predict(photos, weights["pose"], tmp_path / "whole") == 0
    assert caplog.text.count("each image is taken as one person") == 1


def test_a_list_on_the_standard_input(
    photos: Path,
    weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{photos / 'a.jpg'}\n{photos / 'b.png'}\n"))
    assert predict("-", weights["segmentation"], tmp_path / "out", "--save", " masks, ") == 0
    assert files(tmp_path / "out/masks") == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save", "movie"], "movie cannot be saved"),
        (["--batch-size", "0"], "--batch-size 0: give a number above 0"),
        (["--device", "warp"], "--device warp: "),
        (["--detector", "magic"], "there is no detector 'magic'; known are none, onnx=FILE"),
        (["--detector", "no.such"], "the detector no.such cannot be imported"),
        (["--detector", "onnx=gone.onnx"], "there is no ONNX file gone.onnx"),
        (["--boxes", "gone.json"], "there is no file gone.json of boxes"),
        (["--boxes", "gone.json", "--detector", "none"], "not both"),
        (["--limit-scale", "0"], "limit_scale=0"),
    ],
)
def test_mistakes_are_answered_in_a_line(
    options: list[str], message: str, photos: Path, weights: Weights, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("onnxruntime", reason="the library is optional")
    assert predict(photos, weights["pose"], tmp_path / "out", *options) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_stop_leaves_whole_files_and_what_is_complete_is_known(
    photos: Path, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    add = folder_module.OutputFolder.add

    def stopping(self: Any, record: Any) -> None:
        add(self, record)
        if len(self._records) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(folder_module.OutputFolder, "add", stopping)
    assert predict(photos, weights["segmentation"], out, "--threads", "1") == 130
    assert "the same command continues from here" in capsys.readouterr().out
    assert len((out / "images.jsonl").read_text().splitlines()) == 2
    monkeypatch.undo()
    assert predict(photos, weights["segmentation"], out, "--threads", "1") == 0
    assert "2 were complete before" in capsys.readouterr().out
    for path in (out / "masks").rglob("*.png"):
        assert min(size(path)) > 0


def test_a_run_names_the_command_for_its_own_export(trained: Any) -> None:
    (line,) = [line for line in trained.printed.splitlines() if line.startswith("use it: ")]
    words = line.split()
    assert words[2:5] == ["sapiens", "predict", "IMAGES"]
    export = words[words.index("--weights") + 1]
    assert export.startswith("outputs/pose/synthetic/")
    assert trained.folder.as_posix().endswith(export.removesuffix("/export"))


def test_what_was_trained_can_be_predicted(trained: Any, photos: Path, tmp_path: Path) -> None:
    run("predict", str(photos / "a.jpg"), "--weights", str(trained.folder / "export"),
        "--out", str(tmp_path / "out"), "--save", "json")  # fmt: skip
    content = json.loads((tmp_path / "out/json/a.json").read_text())
    assert len(content["pose"]["people"]) == 1
    checkpoint = trained.folder / "checkpoints/best.ckpt"
    run("predict", str(photos / "a.jpg"), "--weights", str(checkpoint),
        "--out", str(tmp_path / "two"), "--save", "json")  # fmt: skip
    assert json.loads((tmp_path / "two/json/a.json").read_text()) == content
