"""Small exports of each tool, written by hand after the public description of its format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def image(path: Path, height: int = 40, width: int = 80) -> Path:
    """Write an image that no other is equal to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))
    return path


def text(path: Path, content: str) -> Path:
    """Write a text file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def dump(path: Path, content: Any) -> Path:
    """Write a JSON file, making its folder."""
    return text(path, json.dumps(content))


def yolo_pose(root: Path, *, dims: int = 3) -> Path:
    """Two images of 80 x 40 (width x height); the first has one person of three points."""
    text(
        root / "data.yaml",
        "path: /home/someone/data\ntrain: train/images\nval: ../valid/images\n"
        f"nc: 1\nnames: [person]\nkpt_shape: [3, {dims}]\nflip_idx: [0, 2, 1]\n",
    )
    image(root / "train/images/a.jpg")
    image(root / "valid/images/b.jpg")
    values = ("0.25 0.5", "0.5 0.25", "0 0") if dims == 2 else ("0.25 0.5 2", "0.5 0.25 1", "0 0 0")
    row = " ".join(["0", "0.5", "0.5", "0.75", "0.5", *values])
    text(root / "train/labels/a.txt", row + "\n")
    text(root / "valid/labels/b.txt", row + "\n")
    return root


def yolo_seg(root: Path) -> Path:
    """One image with a square of class shirt, a box alone, and an unknown class."""
    text(root / "data.yaml", "train: images\nval: images\nnames: {0: shirt, 1: hat}\n")
    image(root / "images/a.png")
    rows = ("0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", "1 0.5 0.5 0.1 0.1", "7 0 0 1 0 1 1")
    text(root / "labels/a.txt", "\n".join(rows) + "\n")
    return root


def labelme(root: Path) -> Path:
    """One image with two people, by group and by box, a stray point, and a polygon."""
    image(root / "a.jpg")

    def shape(label: str, kind: str, points: list[list[float]], group: int | None = None) -> Any:
        flags = {"occluded": True} if label == "left_eye" else {}
        return {
            "label": label,
            "points": points,
            "group_id": group,
            "shape_type": kind,
            "flags": flags,
        }

    shapes = [
        shape("nose", "point", [[10, 12]], 1),
        shape("left_eye", "point", [[12.5, 8]], 1),
        shape("person", "rectangle", [[5, 3], [25, 33]], 1),
        shape("nose", "point", [[50, 10]]),
        shape("person", "rectangle", [[70, 35], [40, 5]]),
        shape("nose", "point", [[1, 39]]),
        shape("nose", "point", [[2, 39]]),
        shape("shirt", "polygon", [[6, 15], [16, 15], [16, 25], [6, 25]]),
        shape("line", "line", [[6, 15], [16, 15]]),
    ]
    dump(
        root / "a.json",
        {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "..\\images\\a.jpg",
         "imageData": None, "imageHeight": 40, "imageWidth": 80},
    )  # fmt: skip
    return root
