"""Small good datasets of every kind, drawn by hand: what faults are planted into."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sapiens_lab.anatomy.skeleton import Skeleton

NUM = 10  # samples of a set
SIZE = (96, 80)  # (height, width) of maps and their images
PERSON = (120, 160)  # of the images of people

# A standing person, 1 high, about (0, 0): x to the right of the image, seen from the front.
_POSE = {
    "nose": (0, -0.42), "left_eye": (0.03, -0.45), "right_eye": (-0.03, -0.45),
    "left_ear": (0.06, -0.43), "right_ear": (-0.06, -0.43),
    "left_shoulder": (0.12, -0.3), "right_shoulder": (-0.12, -0.3),
    "left_elbow": (0.18, -0.15), "right_elbow": (-0.18, -0.15),
    "left_wrist": (0.2, 0.0), "right_wrist": (-0.2, 0.0),
    "left_hip": (0.08, 0.02), "right_hip": (-0.08, 0.02),
    "left_knee": (0.09, 0.25), "right_knee": (-0.09, 0.25),
    "left_ankle": (0.1, 0.46), "right_ankle": (-0.1, 0.46),
}  # fmt: skip


def body(i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mask and normals of an ellipsoid person; each sample has its own."""
    y, x = np.indices(SIZE, dtype=np.float64)
    rng = np.random.default_rng(i)
    cx, cy = rng.uniform(28, 52), rng.uniform(40, 56)
    rx, ry = rng.uniform(14, 22), rng.uniform(24, 34)
    u, v = (x - cx) / rx, (y - cy) / ry
    mask = u**2 + v**2 < 0.95
    z = -np.sqrt(np.clip(1 - u**2 - v**2, 0, None))
    normal = np.stack([u / rx, v / ry, z / rx], -1)  # a body as deep as it is wide
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return mask, np.where(mask[..., None], normal, 0).astype(np.float32)


def image_of(i: int, mask: np.ndarray) -> np.ndarray:
    """Return an image in which the person is brighter than a noisy background."""
    rng = np.random.default_rng(100 + i)
    pixels = rng.integers(20, 60, (*mask.shape, 3))
    pixels[mask] = np.array([150, 170, 190]) + rng.integers(0, 20, (int(mask.sum()), 3))
    return pixels.astype(np.uint8)


def depth_of(i: int) -> np.ndarray:
    """Return meters, 0 in the background."""
    mask, normal = body(i)
    return np.where(mask, 2.0 + 0.02 * i + 0.25 * normal[..., 2], 0).astype(np.float32)


def labels_of(i: int) -> np.ndarray:
    """Return ids of background, trousers, shirt, head (0, 1, 2, 3)."""
    mask, _ = body(i)
    rows = np.indices(SIZE)[0]
    top = np.flatnonzero(mask.any(1))[0]
    ids = np.where(rows < top + 14, 3, np.where(rows < top + 36, 2, 1))
    return np.where(mask, ids, 0).astype(np.uint8)


def write_maps(root: Path, kind: str) -> None:
    """Write images, masks and maps of ``labels``, ``depths`` or ``normals``."""
    for folder in ("images", kind, *(() if kind == "labels" else ("masks",))):
        (root / folder).mkdir(parents=True)
    for i in range(NUM):
        mask, normal = body(i)
        Image.fromarray(image_of(i, mask)).save(root / f"images/m{i}.png")
        if kind == "labels":
            Image.fromarray(labels_of(i)).save(root / f"labels/m{i}.png")
            continue
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"masks/m{i}.png")
        np.save(root / f"{kind}/m{i}.npy", depth_of(i) if kind == "depths" else normal)
    if kind == "labels":
        (root / "parts.yaml").write_text(
            "name: clothes\nclasses: [background, trousers, shirt, head]\n"
        )


def person(i: int) -> dict[str, Any]:
    """Return the annotation of person ``i``, alone in image ``i``."""
    rng = np.random.default_rng(200 + i)
    height, width = PERSON
    tall = rng.uniform(70, 100)
    x, y = rng.uniform(50, width - 50), height / 2 + rng.uniform(-6, 6)
    skeleton = Skeleton.load("coco17")
    points = np.array([_POSE[name] for name in skeleton.keypoints]) * tall + (x, y)
    points += rng.normal(0, 0.5, points.shape)
    low, high = points.min(0) - 4, points.max(0) + 4
    return {
        "id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0,
        "keypoints": [n for px, py in points.round(1).tolist() for n in (px, py, 2)],
        "num_keypoints": 17,
        "bbox": [*low.round(1).tolist(), *(high - low).round(1).tolist()],
        "area": float(0.5 * (high - low).prod()),
    }  # fmt: skip


def people() -> dict[str, Any]:
    """Return a good COCO file of people."""
    height, width = PERSON
    names = list(Skeleton.load("coco17").keypoints)
    return {
        "images": [
            {"id": i + 1, "file_name": f"p{i}.jpg", "height": height, "width": width}
            for i in range(NUM)
        ],
        "annotations": [person(i) for i in range(NUM)],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def regions() -> dict[str, Any]:
    """Return a good COCO file of regions: a coat and a hat in every image."""
    height, width = SIZE
    content: dict[str, Any] = {
        "images": [
            {"id": i + 1, "file_name": f"r{i}.png", "height": height, "width": width}
            for i in range(NUM)
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "coat"}, {"id": 2, "name": "hat"}],
    }
    for i in range(NUM):
        for j, (x, y, w, h) in enumerate(((20 + i, 40, 30, 40), (28 + i, 20, 14, 12))):
            content["annotations"].append(
                {
                    "id": 2 * i + j + 1, "image_id": i + 1, "category_id": j + 1, "iscrowd": 0,
                    "bbox": [x, y, w, h], "area": w * h,
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )  # fmt: skip
    return content


def write_people(root: Path) -> None:
    """Write images and annotations of people."""
    root.mkdir(parents=True)
    for i in range(NUM):
        mask = np.zeros(PERSON, bool)
        x, y, w, h = (round(n) for n in person(i)["bbox"])
        mask[y : y + h, x : x + w] = True
        Image.fromarray(image_of(i, mask)).save(root / f"p{i}.jpg", quality=92)
    (root / "annotations.json").write_text(json.dumps(people()))


def write_regions(root: Path) -> None:
    """Write images and annotations of regions."""
    root.mkdir(parents=True)
    for i in range(NUM):
        mask = np.zeros(SIZE, bool)
        mask[40:80, 20 + i : 50 + i] = mask[20:32, 28 + i : 42 + i] = True
        Image.fromarray(image_of(i, mask)).save(root / f"r{i}.png")
    (root / "annotations.json").write_text(json.dumps(regions()))


def write_images(root: Path) -> None:
    """Write a tree of images."""
    root.mkdir(parents=True)
    for i in range(NUM):
        Image.fromarray(image_of(i, body(i)[0])).save(root / f"i{i * 10}.jpg", quality=92)


def write_shards(root: Path) -> None:
    """Write two archives of images."""
    images = root / "images"
    write_images(images)
    for number in range(2):
        with tarfile.open(
            root / f"train-{number}.tar", "w", format=tarfile.USTAR_FORMAT
        ) as archive:
            for path in sorted(images.iterdir())[number::2]:
                archive.add(path, path.name)
    for path in images.iterdir():
        path.unlink()
    images.rmdir()
