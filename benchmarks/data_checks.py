"""What checks cost at start-up: ``python benchmarks/data_checks.py [--people 100000]``.

Writes a clean COCO file of many people, reads it with all checks and with every check replaced by
one that finds nothing, in turns, and prints the best of each. Images are links to one file.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints
from unittest import mock

import numpy as np
from PIL import Image

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks import boxes, json_files, keypoints, sides
from sapiens_lab.data.datasets import coco_people, coco_pose, image_checks
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.discovery import coco

PEOPLE_PER_IMAGE = 2
HEIGHT, WIDTH = 480, 640
MODULES = (boxes, keypoints, json_files, sides, coco_people, coco_pose, coco)


def write(root: Path, num_people: int) -> None:
    """Write annotations of people and one file of all their images."""
    (root / "images").mkdir()
    first = root / "images" / "000000.jpg"
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(first)
    skeleton, rng = Skeleton.load("coco17"), np.random.default_rng(0)
    images, annotations = [], []
    for i in range(-(-num_people // PEOPLE_PER_IMAGE)):
        name = f"{i:06}.jpg"
        if i:
            os.link(first, root / "images" / name)
        images.append({"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH})
    low = rng.uniform(10, [WIDTH - 200, HEIGHT - 260], (num_people, 2))
    size = rng.uniform([80, 150], [180, 240], (num_people, 2))
    xy = low[:, None] + size[:, None] * rng.uniform(0.05, 0.95, (num_people, 17, 2))
    nose, left, right = (skeleton.index(name) for name in ("nose", "left_eye", "right_eye"))
    xy[:, [nose, left, right]] = low[:, None] + size[:, None] * [[0.5, 0.2], [0.6, 0.1], [0.4, 0.1]]
    points = np.concatenate([xy.round(1), np.full((num_people, 17, 1), 2)], -1).reshape(-1, 51)
    for i, row in enumerate(points.tolist()):
        x, y, w, h = low[i][0], low[i][1], size[i][0], size[i][1]
        annotations.append(
            {
                "id": i + 1, "image_id": i // PEOPLE_PER_IMAGE, "category_id": 1, "iscrowd": 0,
                "area": w * h / 2, "num_keypoints": 17, "bbox": [x, y, w, h], "keypoints": row,
            }
        )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (root / "person_keypoints_train.json").write_text(json.dumps(content))


@contextmanager
def no_checks() -> Iterator[None]:
    """Let every check find nothing."""
    with ExitStack() as stack:
        for module in MODULES:
            for name in _checks(module):
                stack.enter_context(mock.patch.object(module, name, _blind(module, name)))
        for module, name, blind in (
            (coco_pose, "check_file", lambda _: None),
            (image_checks, "look_at_images", _look_at_nothing),
        ):
            stack.enter_context(mock.patch.object(module, name, blind))
        yield


def _look_at_nothing(paths: Sequence[Path]) -> image_checks.LookedAt:
    return image_checks.LookedAt(facts=[None] * len(paths), messages=[""] * len(paths))


def _checks(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if name.startswith("check_") and ".data.checks." in getattr(value, "__module__", "")
    ]


def _blind(module: ModuleType, name: str) -> Any:
    is_list = "list" in str(get_type_hints(vars(module)[name]).get("return"))
    return lambda *_, **__: [] if is_list else None


def seconds(root: Path) -> float:
    """Return the processor time that the dataset takes to build."""
    began = time.process_time()
    dataset = CocoPose(root, split="train", skeleton="coco17")
    assert len(dataset) > 0
    return time.process_time() - began


def main() -> None:
    """Compare start-up with and without checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, arguments.people)
        with_checks, without = [], []
        for _ in range(arguments.repeats):
            with_checks.append(seconds(root))
            with no_checks():
                without.append(seconds(root))
    ratio = min(with_checks) / min(without)
    print(
        f"{arguments.people} people: {min(with_checks):.2f} s with checks, {min(without):.2f} s "
        f"without, {ratio - 1:+.0%}"
    )


if __name__ == "__main__":
    main()
